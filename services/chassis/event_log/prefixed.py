"""An event log whose topics and groups have a prefix there and none here: several deployments on one cluster.

Everything above it speaks of `orders.v1`; the cluster has `<prefix>orders.v1`. With an empty prefix nothing is wrapped.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from services.chassis.event_log.port import (
    EventLog,
    GroupConsumer,
    LogReader,
    Producer,
    Received,
    Record,
    TopicPartition,
    TopicSpec,
)


def with_prefix(log: EventLog, prefix: str) -> EventLog:
    """The log as seen through the prefix."""
    return PrefixedEventLog(log, prefix) if prefix else log


class PrefixedEventLog:
    """`EventLog` through a prefix."""

    def __init__(self, log: EventLog, prefix: str) -> None:
        self._log = log
        self._prefix = prefix

    async def ensure_topics(self, topics: Sequence[TopicSpec]) -> None:
        """See the port."""
        await self._log.ensure_topics([replace(topic, name=self._prefix + topic.name) for topic in topics])

    async def partitions(self, topic: str) -> int:
        """See the port."""
        return await self._log.partitions(self._prefix + topic)

    async def producer(self, name: str) -> Producer:
        """See the port."""
        return _Producer(await self._log.producer(name), self._prefix)

    async def consumer(
        self, group: str, topics: Sequence[str], member: str | None = None, *, gather_seconds: float = 0.0
    ) -> GroupConsumer:
        """See the port."""
        names = [self._prefix + topic for topic in topics]
        consumer = await self._log.consumer(self._prefix + group, names, member, gather_seconds=gather_seconds)
        return _Consumer(consumer, self._prefix)

    async def reader(self, topics: Sequence[str]) -> LogReader:
        """See the port."""
        return _Reader(await self._log.reader([self._prefix + topic for topic in topics]), self._prefix)

    async def group_lag(self, group: str, topics: Sequence[str]) -> int:
        """See the port."""
        return await self._log.group_lag(self._prefix + group, [self._prefix + topic for topic in topics])

    async def close(self) -> None:
        """See the port."""
        await self._log.close()


class _Producer:
    def __init__(self, producer: Producer, prefix: str) -> None:
        self._producer = producer
        self._prefix = prefix

    async def publish(self, records: Sequence[Record], *, deadline_seconds: float) -> None:
        named = [
            Record(self._prefix + each.topic, each.key, each.value, each.headers, each.partition) for each in records
        ]
        await self._producer.publish(named, deadline_seconds=deadline_seconds)

    async def close(self) -> None:
        await self._producer.close()


class _Consumer:
    def __init__(self, consumer: GroupConsumer, prefix: str) -> None:
        self._consumer = consumer
        self._prefix = prefix

    async def poll(self, max_records: int, timeout_seconds: float) -> list[Received]:
        return _received(await self._consumer.poll(max_records, timeout_seconds), self._prefix)

    async def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        await self._consumer.commit(_there(offsets, self._prefix))

    def pause(self, partitions: Iterable[TopicPartition]) -> None:
        self._consumer.pause([(self._prefix + topic, number) for topic, number in partitions])

    def resume(self, partitions: Iterable[TopicPartition]) -> None:
        self._consumer.resume([(self._prefix + topic, number) for topic, number in partitions])

    def assigned(self) -> frozenset[TopicPartition]:
        return frozenset((topic.removeprefix(self._prefix), number) for topic, number in self._consumer.assigned())

    async def lag(self) -> dict[TopicPartition, int]:
        return _here(await self._consumer.lag(), self._prefix)

    async def close(self) -> None:
        await self._consumer.close()


class _Reader:
    def __init__(self, reader: LogReader, prefix: str) -> None:
        self._reader = reader
        self._prefix = prefix

    async def end_offsets(self) -> dict[TopicPartition, int]:
        return _here(await self._reader.end_offsets(), self._prefix)

    async def seek(self, offsets: Mapping[TopicPartition, int]) -> None:
        await self._reader.seek(_there(offsets, self._prefix))

    async def positions(self) -> dict[TopicPartition, int]:
        return _here(await self._reader.positions(), self._prefix)

    async def poll(self, max_records: int, timeout_seconds: float) -> list[Received]:
        return _received(await self._reader.poll(max_records, timeout_seconds), self._prefix)

    async def close(self) -> None:
        await self._reader.close()


def _received(received: Sequence[Received], prefix: str) -> list[Received]:
    return [
        Received(
            replace(each.record, topic=each.record.topic.removeprefix(prefix)), each.partition, each.offset, each.at
        )
        for each in received
    ]


def _here(offsets: Mapping[TopicPartition, int], prefix: str) -> dict[TopicPartition, int]:
    return {(topic.removeprefix(prefix), number): offset for (topic, number), offset in offsets.items()}


def _there(offsets: Mapping[TopicPartition, int], prefix: str) -> dict[TopicPartition, int]:
    return {(prefix + topic, number): offset for (topic, number), offset in offsets.items()}
