"""An event log in memory, for unit tests of what reads and writes one. It passes the contract suite of the real ones.

A `MemoryStore` is the broker: it survives the `MemoryEventLog`s that are opened over it. Failures are switched on from
outside: `store.failing` is raised by every operation, `store.failing_topics` by publishing to these topics.
"""

import asyncio
import zlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime

from services.chassis.event_log.port import (
    EventLogError,
    LogUnavailable,
    OwnershipLost,
    PublishRefused,
    PublishUnknown,
    Received,
    Record,
    TopicPartition,
    TopicSpec,
)

RECORD_MAX_BYTES = 1_000_000


class MemoryStore:
    """What is stored, and who consumes."""

    def __init__(self) -> None:
        self.topics: dict[str, TopicSpec] = {}
        self.records: dict[TopicPartition, list[Received]] = {}
        self.next_offsets: dict[TopicPartition, int] = {}
        self.committed: dict[str, dict[TopicPartition, int]] = defaultdict(dict)
        self.members: dict[str, list[MemoryConsumer]] = defaultdict(list)
        self.changed = asyncio.Condition()
        self.failing: EventLogError | None = None
        self.failing_topics: dict[str, EventLogError] = {}

    def check(self) -> None:
        if self.failing is not None:
            raise self.failing

    def places(self, topics: Iterable[str]) -> list[TopicPartition]:
        unknown = [topic for topic in topics if topic not in self.topics]
        if unknown:
            raise LogUnavailable(f"no such topics: {unknown}")
        return [(topic, index) for topic in topics for index in range(self.topics[topic].partitions)]

    def compact(self) -> None:
        """Keep the newest record of each key, in compacted topics."""
        for (topic, _), records in self.records.items():
            if self.topics[topic].compacted:
                newest = {each.record.key: each.offset for each in records}
                records[:] = [each for each in records if newest[each.record.key] == each.offset]

    def read(
        self, positions: dict[TopicPartition, int], readable: Iterable[TopicPartition], max_records: int
    ) -> list[Received]:
        taken: list[Received] = []
        for place in readable:
            start = positions[place] if positions[place] <= self.next_offsets[place] else 0
            ahead = [each for each in self.records[place] if each.offset >= start]
            mine = ahead[: max_records - len(taken)]
            taken += mine
            positions[place] = mine[-1].offset + 1 if len(mine) < len(ahead) and mine else self.next_offsets[place]
            if len(mine) < len(ahead) and not mine:
                positions[place] = start
        return taken

    def share_out(self, group: str) -> None:
        members = self.members[group]
        for member in members:
            member.partitions = frozenset()
        for topic in sorted({topic for member in members for topic in member.topics}):
            takers = [member for member in members if topic in member.topics]
            for place in self.places([topic]):
                taker = takers[place[1] % len(takers)]
                taker.partitions |= {place}


class MemoryEventLog:
    """The port over a store."""

    def __init__(self, store: MemoryStore) -> None:
        self.store = store
        self._consumers: list[MemoryConsumer] = []
        self._waiting: set[asyncio.Timeout] = set()
        self._in_a_hurry = False

    async def ensure_topics(self, topics: Sequence[TopicSpec]) -> None:
        self.store.check()
        for topic in topics:
            if topic.name not in self.store.topics:
                self.store.topics[topic.name] = topic
                for place in self.store.places([topic.name]):
                    self.store.records[place] = []
                    self.store.next_offsets[place] = 0

    async def partitions(self, topic: str) -> int:
        return len(self.store.places([topic]))

    async def producer(self, name: str) -> "MemoryProducer":  # noqa: ARG002 - the port's
        return MemoryProducer(self.store)

    async def consumer(
        self,
        group: str,
        topics: Sequence[str],
        member: str | None = None,  # noqa: ARG002 - the port's
        *,
        gather_seconds: float = 0.0,  # noqa: ARG002 - the port's
    ) -> "MemoryConsumer":
        self.store.check()
        self.store.places(topics)
        consumer = MemoryConsumer(self, group, topics)
        self._consumers.append(consumer)
        return consumer

    async def reader(self, topics: Sequence[str]) -> "MemoryReader":
        self.store.check()
        return MemoryReader(self, self.store.places(topics))

    async def group_lag(self, group: str, topics: Sequence[str]) -> int:
        committed = self.store.committed[group]
        return sum(self.store.next_offsets[place] - committed.get(place, 0) for place in self.store.places(topics))

    async def poll(
        self, positions: dict[TopicPartition, int], readable: Sequence[TopicPartition], maximum: int, seconds: float
    ) -> list[Received]:
        store = self.store
        store.check()
        with suppress(TimeoutError):
            async with asyncio.timeout(0 if self._in_a_hurry else seconds) as patience, store.changed:
                self._waiting.add(patience)
                try:
                    while not (received := store.read(positions, readable, maximum)):
                        await store.changed.wait()
                        store.check()
                    return received
                finally:
                    self._waiting.discard(patience)
        return []

    def hurry(self) -> None:
        """Stop waiting for records, in polls under way too: whoever reads is about to be stopped."""
        self._in_a_hurry = True
        for patience in self._waiting:
            patience.reschedule(0)

    async def close(self) -> None:
        for consumer in self._consumers:
            await consumer.close()


class MemoryProducer:
    """Stores at once."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        self._turn = 0

    async def publish(self, records: Sequence[Record], *, deadline_seconds: float) -> None:  # noqa: ARG002 - never late
        for error in (self._store.failing, *(self._store.failing_topics.get(each.topic) for each in records)):
            if error is not None:
                raise error
        places = [self._place(index, record) for index, record in enumerate(records)]
        async with self._store.changed:
            for record, place in zip(records, places, strict=True):
                offset = self._store.next_offsets[place]
                stored = Received(replace(record, partition=place[1]), place[1], offset, datetime.now(UTC))
                self._store.records[place].append(stored)
                self._store.next_offsets[place] = offset + 1
            self._store.changed.notify_all()

    async def close(self) -> None:
        pass

    def _place(self, index: int, record: Record) -> TopicPartition:
        topic = self._store.topics.get(record.topic)
        if topic is None:
            raise PublishUnknown(f"no such topic: {record.topic}")
        if record.key is None and topic.compacted:
            raise PublishRefused(index, "key_missing", "the topic is compacted")
        if len(record.value or b"") > RECORD_MAX_BYTES:
            raise PublishRefused(index, "record_too_large", "")
        if record.partition is not None:
            return (record.topic, record.partition)
        self._turn += 1
        return (record.topic, (self._turn if record.key is None else zlib.crc32(record.key)) % topic.partitions)


class MemoryConsumer:
    """A member of a group."""

    def __init__(self, log: MemoryEventLog, group: str, topics: Sequence[str]) -> None:
        self.topics = tuple(topics)
        self.partitions: frozenset[TopicPartition] = frozenset()
        self._log = log
        self._store = store = log.store
        self._group = group
        self._positions: dict[TopicPartition, int] = {}
        self._paused: set[TopicPartition] = set()
        store.members[group].append(self)
        store.share_out(group)

    async def poll(self, max_records: int, timeout_seconds: float) -> list[Received]:
        committed = self._store.committed[self._group]
        self._positions = {place: self._positions.get(place, committed.get(place, 0)) for place in self.partitions}
        readable = sorted(self.partitions - self._paused)
        return await self._log.poll(self._positions, readable, max_records, timeout_seconds)

    async def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        self._store.check()
        mine = {place: offset for place, offset in offsets.items() if place in self.partitions}
        self._store.committed[self._group] |= mine
        if len(mine) < len(offsets):
            raise OwnershipLost(f"{offsets.keys() - mine.keys()}")

    def pause(self, partitions: Iterable[TopicPartition]) -> None:
        self._paused |= set(partitions)

    def resume(self, partitions: Iterable[TopicPartition]) -> None:
        self._paused -= set(partitions)

    def assigned(self) -> frozenset[TopicPartition]:
        return self.partitions

    async def lag(self) -> dict[TopicPartition, int]:
        committed = self._store.committed[self._group]
        return {place: self._store.next_offsets[place] - committed.get(place, 0) for place in self.partitions}

    async def close(self) -> None:
        if self in self._store.members[self._group]:
            self._store.members[self._group].remove(self)
            self.partitions = frozenset()
            self._store.share_out(self._group)


class MemoryReader:
    """A reader without a group."""

    def __init__(self, log: MemoryEventLog, places: Sequence[TopicPartition]) -> None:
        self._log = log
        self._store = log.store
        self._positions = dict.fromkeys(places, 0)

    async def end_offsets(self) -> dict[TopicPartition, int]:
        self._store.check()
        return {place: self._store.next_offsets[place] for place in self._positions}

    async def seek(self, offsets: Mapping[TopicPartition, int]) -> None:
        self._positions |= {place: offset for place, offset in offsets.items() if place in self._positions}

    async def positions(self) -> dict[TopicPartition, int]:
        return dict(self._positions)

    async def poll(self, max_records: int, timeout_seconds: float) -> list[Received]:
        return await self._log.poll(self._positions, sorted(self._positions), max_records, timeout_seconds)

    async def close(self) -> None:
        pass
