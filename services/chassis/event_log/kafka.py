"""The event log over Apache Kafka (3.9 and 4.x) through aiokafka: see `port.py` for what it guarantees.

The guards against what aiokafka gets wrong stand where they act: `kafka_client.py` (deadlines, abandoning),
`kafka_producer.py` (no idempotent producer), `kafka_consumer.py` (silence is examined).
"""

import asyncio
import time
from collections.abc import Sequence
from typing import Any, Final, TypeVar

from aiokafka import TopicPartition as KafkaPartition
from aiokafka.cluster import ClusterMetadata

from services.chassis.event_log.kafka_client import KafkaSecurity, connection_options
from services.chassis.event_log.kafka_cluster import KafkaCluster
from services.chassis.event_log.kafka_consumer import KafkaGroupConsumer, KafkaReader, gathering, start_client
from services.chassis.event_log.kafka_producer import KafkaProducer
from services.chassis.event_log.port import LogUnavailable, TopicSpec

TOPIC_READY_SECONDS: Final = 15.0
TOPIC_READY_POLL_SECONDS: Final = 0.05
PARTITIONS_KNOWN_SECONDS: Final = 60.0  # how late lag may see partitions that were added to a topic

Opened = TypeVar("Opened", KafkaProducer, KafkaGroupConsumer, KafkaReader)


class KafkaEventLog:
    """The way to one Kafka cluster; `bootstrap` is `host:port[,host:port]`."""

    def __init__(self, bootstrap: str, *, security: KafkaSecurity | None = None, name: str = "tiercel") -> None:
        """`name` begins the client ids, which show in the logs and quotas of the brokers."""
        self._bootstrap = bootstrap
        self._security = security or KafkaSecurity()
        self._name = name
        self._cluster = KafkaCluster(self._options(name))
        self._partitions: dict[str, list[KafkaPartition]] = {}
        self._looked_at = float("-inf")
        self._opened: set[KafkaProducer | KafkaGroupConsumer | KafkaReader] = set()

    async def ensure_topics(self, topics: Sequence[TopicSpec]) -> None:
        """See the port. Replicas: 3, or as many as there are brokers."""
        cluster = await self._cluster.metadata()
        existing = cluster.topics()
        missing = [topic for topic in topics if topic.name not in existing]
        if missing:
            await self._cluster.create(missing, brokers=len(cluster.brokers()))
            await self._until_served(missing)

    async def partitions(self, topic: str) -> int:
        """See the port."""
        return len(_partitions_of(await self._cluster.metadata(), [topic]))

    async def producer(self, name: str) -> KafkaProducer:
        """See the port."""
        return self._remember(KafkaProducer(self._options(name), name))

    async def consumer(
        self, group: str, topics: Sequence[str], member: str | None = None, *, gather_seconds: float = 0.0
    ) -> KafkaGroupConsumer:
        """See the port. A named member keeps its partitions for a restart of up to 10 s (static membership)."""
        _partitions_of(await self._cluster.metadata(), topics)
        name = group if member is None else f"{group}.{member}"
        options = self._options(name) | gathering(gather_seconds)
        client = await start_client(options, group=group, member=member)
        client.subscribe(topics)
        return self._remember(KafkaGroupConsumer(client, name))

    async def reader(self, topics: Sequence[str]) -> KafkaReader:
        """See the port."""
        partitions = _partitions_of(await self._cluster.metadata(), topics)
        name = f"{self._name}.reader"
        client = await start_client(self._options(name), group=None, member=None)
        return self._remember(KafkaReader(client, name, partitions, self._cluster.ends))

    async def group_lag(self, group: str, topics: Sequence[str]) -> int:
        """See the port."""
        partitions = await self._known_partitions(topics)
        committed, ends = await asyncio.gather(
            self._cluster.committed(group, partitions), self._cluster.ends(partitions)
        )
        behind = [each for each in partitions if ends[each] > committed.get(each, 0)]
        starts = await self._cluster.starts(behind) if behind else {}  # what expired unread is ahead of nobody
        return sum(max(0, ends[each] - max(starts[each], committed.get(each, 0))) for each in behind)

    async def close(self) -> None:
        """See the port."""
        await asyncio.gather(self._cluster.close(), *(each.close() for each in tuple(self._opened)))

    async def _known_partitions(self, topics: Sequence[str]) -> list[KafkaPartition]:
        """Without asking each time: the answer names every topic of the cluster, whoever's it is."""
        now = time.monotonic()
        if now - self._looked_at > PARTITIONS_KNOWN_SECONDS:
            self._partitions.clear()
            self._looked_at = now
        missing = [topic for topic in topics if topic not in self._partitions]
        if missing:
            cluster = await self._cluster.metadata()
            self._partitions |= {topic: _partitions_of(cluster, [topic]) for topic in missing}
        return [each for topic in topics for each in self._partitions[topic]]

    def _options(self, name: str) -> dict[str, Any]:
        return connection_options(self._bootstrap, self._security, name)

    def _remember(self, opened: Opened) -> Opened:
        self._opened.add(opened)
        opened.on_close = self._opened.discard
        return opened

    async def _until_served(self, topics: Sequence[TopicSpec]) -> None:
        """Wait until every new partition has a leader: the brokers know a topic a moment after its creation."""
        try:
            async with asyncio.timeout(TOPIC_READY_SECONDS):
                # A cluster has no event for it.
                while not _have_leaders(await self._cluster.metadata(), topics):  # noqa: ASYNC110
                    await asyncio.sleep(TOPIC_READY_POLL_SECONDS)
        except TimeoutError as error:
            raise LogUnavailable(f"no leader for {[topic.name for topic in topics]}") from error


def _have_leaders(cluster: ClusterMetadata, topics: Sequence[TopicSpec]) -> bool:
    return all(len(cluster.available_partitions_for_topic(topic.name) or ()) >= topic.partitions for topic in topics)


def _partitions_of(cluster: ClusterMetadata, topics: Sequence[str]) -> list[KafkaPartition]:
    found: list[KafkaPartition] = []
    for topic in topics:
        partitions = cluster.partitions_for_topic(topic)
        if not partitions:
            raise LogUnavailable(f"topic {topic} does not exist")
        found += [KafkaPartition(topic, partition) for partition in sorted(partitions)]
    return found
