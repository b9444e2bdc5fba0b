"""Questions to a Kafka cluster: its topics, a group's offsets, the ends of partitions; and making topics.

Lag is asked for again and again, so the clients that ask are kept, and made anew after a question failed.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, Generic, TypeVar

from aiokafka import AIOKafkaClient, AIOKafkaConsumer
from aiokafka import TopicPartition as KafkaPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.cluster import ClusterMetadata
from aiokafka.errors import NoError, TopicAlreadyExistsError, for_code
from aiokafka.structs import OffsetAndMetadata

from services.chassis.event_log.kafka_client import START_SECONDS, answered, let_go
from services.chassis.event_log.kafka_consumer import start_client, stop_client
from services.chassis.event_log.port import LogUnavailable, TopicSpec

Client = TypeVar("Client")
Answer = TypeVar("Answer")

REPLICAS_MAX: Final = 3  # of a topic that is made here; fewer on a smaller cluster


class KafkaCluster:
    """Asks one cluster; `options` are those of `connection_options`."""

    def __init__(self, options: dict[str, Any]) -> None:
        name = options["client_id"]

        async def start_metadata() -> AIOKafkaClient:
            client = AIOKafkaClient(**options)
            return await _started(client, client.bootstrap(), client.close, name)

        async def start_admin() -> AIOKafkaAdminClient:
            client = AIOKafkaAdminClient(**options)
            return await _started(client, client.start(), client.close, name)

        self._coordinators: dict[str, int] = {}  # node by group
        self._metadata = _Kept(start_metadata, lambda client: _end(client.close(), name))
        self._admin = _Kept(start_admin, lambda client: _end(client.close(), name))
        self._offsets: _Kept[AIOKafkaConsumer] = _Kept(
            lambda: start_client(options, group=None, member=None), lambda client: stop_client(client, name)
        )

    async def metadata(self) -> ClusterMetadata:
        """What the cluster is now: brokers, topics, partitions."""
        return await self._metadata.ask(lambda client: client.fetch_all_metadata(), "metadata")

    async def create(self, topics: Sequence[TopicSpec], brokers: int) -> None:
        """Make topics; one that somebody else made in the meantime is left as it is."""
        replicas = min(REPLICAS_MAX, brokers)
        wanted = [NewTopic(topic.name, topic.partitions, replicas, topic_configs=_settings(topic)) for topic in topics]
        answer = await self._admin.ask(lambda admin: admin.create_topics(wanted), "create topics")
        for name, code, message in answer.topic_errors:
            error = for_code(code)
            if error not in (NoError, TopicAlreadyExistsError):
                raise LogUnavailable(f"creating {name}: {message or error.__name__}")

    async def committed(self, group: str, partitions: Sequence[KafkaPartition]) -> dict[KafkaPartition, int]:
        """The committed offsets of a group, without those partitions where it has none."""

        async def look(admin: AIOKafkaAdminClient) -> dict[KafkaPartition, OffsetAndMetadata]:
            if group not in self._coordinators:
                self._coordinators[group] = await admin.find_coordinator(group)
            coordinator = self._coordinators[group]
            found: dict[KafkaPartition, OffsetAndMetadata] = await admin.list_consumer_group_offsets(
                group, coordinator, list(partitions)
            )
            return found

        try:
            offsets = await self._admin.ask(look, "committed offsets")
        except LogUnavailable:
            self._coordinators.pop(group, None)
            raise
        if offsets.keys() < set(partitions):  # how a broker answers that no longer looks after the group
            self._coordinators.pop(group, None)
            raise LogUnavailable(f"the coordinator of {group} moved")
        return {partition: at.offset for partition, at in offsets.items() if at.offset >= 0}

    async def starts(self, partitions: Sequence[KafkaPartition]) -> dict[KafkaPartition, int]:
        """The oldest offset of each partition."""
        return await self._offsets.ask(lambda client: client.beginning_offsets(partitions), "beginning offsets")

    async def ends(self, partitions: Sequence[KafkaPartition]) -> dict[KafkaPartition, int]:
        """The next offset to be written of each partition."""
        return await self._offsets.ask(lambda client: client.end_offsets(partitions), "end offsets")

    async def close(self) -> None:
        """Close the clients."""
        await asyncio.gather(self._metadata.close(), self._admin.close(), self._offsets.close())


class _Kept(Generic[Client]):
    """A client that is started when it is first needed, and thrown away when it failed to answer."""

    def __init__(self, start: Callable[[], Awaitable[Client]], stop: Callable[[Client], Awaitable[None]]) -> None:
        self._start = start
        self._stop = stop
        self._client: Client | None = None
        self._starting = asyncio.Lock()

    async def ask(self, question: Callable[[Client], Awaitable[Answer]], what: str) -> Answer:
        async with self._starting:
            client = self._client = self._client or await self._start()
        try:
            return await answered(question(client), what)
        except LogUnavailable:
            if self._client is client:
                await self.close()
            raise

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await self._stop(client)


async def _started(
    client: Client, starting: Awaitable[None], close: Callable[[], Awaitable[None]], name: str
) -> Client:
    try:
        await answered(starting, f"{name}: start", seconds=START_SECONDS)
    except BaseException:
        await _end(close(), name)
        raise
    return client


async def _end(closing: Awaitable[None], name: str) -> None:
    await let_go(closing, name)


def _settings(topic: TopicSpec) -> dict[str, str]:
    if topic.compacted:
        return {"cleanup.policy": "compact"}
    return {"cleanup.policy": "delete", "retention.ms": str(topic.retention_hours * 3_600_000)}
