"""The event log over Apache Kafka (3.9 and 4.x) through aiokafka: see `port.py` for what it guarantees.

The guards against what aiokafka gets wrong stand where they act: `kafka_client.py` (deadlines, abandoning),
`kafka_producer.py` (no idempotent producer), `kafka_consumer.py` (silence is examined).
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, TypeVar

from aiokafka import AIOKafkaClient, AIOKafkaConsumer
from aiokafka import TopicPartition as KafkaPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.cluster import ClusterMetadata
from aiokafka.errors import NoError, TopicAlreadyExistsError, for_code

from services.chassis.event_log.kafka_client import (
    START_SECONDS,
    KafkaSecurity,
    answered,
    connection_options,
    let_go,
)
from services.chassis.event_log.kafka_consumer import KafkaGroupConsumer, KafkaReader, start_client, stop_client
from services.chassis.event_log.kafka_producer import KafkaProducer
from services.chassis.event_log.port import LogUnavailable, TopicSpec

REPLICAS_MAX: Final = 3  # of a topic created here; fewer on a smaller cluster
TOPIC_READY_SECONDS: Final = 15.0
TOPIC_READY_POLL_SECONDS: Final = 0.05

T = TypeVar("T")


class KafkaEventLog:
    """The way to one Kafka cluster; `bootstrap` is `host:port[,host:port]`."""

    def __init__(self, bootstrap: str, *, security: KafkaSecurity | None = None, name: str = "tiercel") -> None:
        self._bootstrap = bootstrap
        self._security = security or KafkaSecurity()
        self._name = name
        self._opened: set[KafkaProducer | KafkaGroupConsumer | KafkaReader] = set()
        self._offsets: AIOKafkaConsumer | None = None
        self._offsets_lock = asyncio.Lock()

    async def ensure_topics(self, topics: Sequence[TopicSpec]) -> None:
        """See the port. Replicas: 3, or as many as there are brokers."""
        cluster = await self._cluster()
        existing = cluster.topics()
        missing = [topic for topic in topics if topic.name not in existing]
        if missing:
            replicas = min(REPLICAS_MAX, len(cluster.brokers()))
            await self._with_admin(lambda admin: _create(admin, missing, replicas))
            await self._until_served(missing)

    async def partitions(self, topic: str) -> int:
        """See the port."""
        return len(_partitions_of(await self._cluster(), topic))

    async def producer(self, name: str) -> KafkaProducer:
        """See the port."""
        return self._remember(KafkaProducer(self._options(name), name))

    async def consumer(self, group: str, topics: Sequence[str], member: str | None = None) -> KafkaGroupConsumer:
        """See the port. A named member keeps its partitions for a restart of up to 10 s (static membership)."""
        cluster = await self._cluster()
        for topic in topics:
            _partitions_of(cluster, topic)
        name = group if member is None else f"{group}.{member}"
        client = await start_client(self._options(name), group=group, member=member)
        client.subscribe(topics)
        return self._remember(KafkaGroupConsumer(client, name))

    async def reader(self, topics: Sequence[str]) -> KafkaReader:
        """See the port."""
        cluster = await self._cluster()
        places = [(topic, partition) for topic in topics for partition in _partitions_of(cluster, topic)]
        name = f"{self._name}.reader"
        client = await start_client(self._options(name), group=None, member=None)
        return self._remember(KafkaReader(client, name, places))

    async def group_lag(self, group: str, topics: Sequence[str]) -> int:
        """See the port."""
        cluster = await self._cluster()
        partitions = [KafkaPartition(topic, index) for topic in topics for index in _partitions_of(cluster, topic)]
        committed = await self._with_admin(
            lambda admin: admin.list_consumer_group_offsets(group, partitions=partitions)
        )
        ends = await self._ask_offsets(lambda client: client.end_offsets(partitions))
        starts = await self._ask_offsets(lambda client: client.beginning_offsets(partitions))
        done = {partition: max(at.offset, starts[partition]) for partition, at in committed.items()}
        return sum(max(0, ends[partition] - done.get(partition, starts[partition])) for partition in partitions)

    async def close(self) -> None:
        """See the port."""
        await asyncio.gather(*(each.close() for each in tuple(self._opened)))
        client, self._offsets = self._offsets, None
        if client is not None:
            await stop_client(client, self._name)

    def _options(self, name: str) -> dict[str, Any]:
        return connection_options(self._bootstrap, self._security, name)

    def _remember(self, opened: "Opened") -> "Opened":
        self._opened.add(opened)
        opened.on_close = self._opened.discard
        return opened

    async def _cluster(self) -> ClusterMetadata:
        """What the cluster is now: brokers, topics, partitions."""
        client = AIOKafkaClient(**self._options(self._name))
        try:
            await answered(client.bootstrap(), "bootstrap", seconds=START_SECONDS)
            return await answered(client.fetch_all_metadata(), "metadata")
        finally:
            await let_go(client.close(), self._name)

    async def _with_admin(self, ask: Callable[[AIOKafkaAdminClient], Awaitable[T]]) -> T:
        admin = AIOKafkaAdminClient(**self._options(self._name))
        try:
            await answered(admin.start(), "administration: start", seconds=START_SECONDS)
            return await answered(ask(admin), "administration")
        finally:
            await let_go(admin.close(), self._name)

    async def _ask_offsets(self, ask: Callable[[AIOKafkaConsumer], Awaitable[T]]) -> T:
        """Ask a client that is kept for this, because lag is asked for again and again."""
        async with self._offsets_lock:
            if self._offsets is None:
                self._offsets = await start_client(self._options(f"{self._name}.offsets"), group=None, member=None)
            client = self._offsets
            try:
                return await answered(ask(client), "offsets")
            except LogUnavailable:
                self._offsets = None
                await stop_client(client, self._name)
                raise

    async def _until_served(self, topics: Sequence[TopicSpec]) -> None:
        """Wait until every new partition has a leader: the brokers know a topic a moment after its creation."""
        try:
            async with asyncio.timeout(TOPIC_READY_SECONDS):
                while True:
                    cluster = await self._cluster()
                    if all(
                        len(cluster.available_partitions_for_topic(topic.name) or ()) >= topic.partitions
                        for topic in topics
                    ):
                        return
                    await asyncio.sleep(TOPIC_READY_POLL_SECONDS)
        except TimeoutError as error:
            raise LogUnavailable(f"no leader for {[topic.name for topic in topics]}") from error


Opened = TypeVar("Opened", KafkaProducer, KafkaGroupConsumer, KafkaReader)


async def _create(admin: AIOKafkaAdminClient, topics: Sequence[TopicSpec], replicas: int) -> None:
    answer = await admin.create_topics(
        [NewTopic(topic.name, topic.partitions, replicas, topic_configs=_settings(topic)) for topic in topics]
    )
    for name, code, message in answer.topic_errors:
        error = for_code(code)
        if error not in (NoError, TopicAlreadyExistsError):  # somebody else may create it at the same time
            raise LogUnavailable(f"creating {name}: {message or error.__name__}")


def _settings(topic: TopicSpec) -> dict[str, str]:
    if topic.compacted:
        return {"cleanup.policy": "compact"}
    return {"cleanup.policy": "delete", "retention.ms": str(topic.retention_hours * 3_600_000)}


def _partitions_of(cluster: ClusterMetadata, topic: str) -> list[int]:
    partitions = cluster.partitions_for_topic(topic)
    if not partitions:
        raise LogUnavailable(f"topic {topic} does not exist")
    return sorted(partitions)
