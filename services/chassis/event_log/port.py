"""What the services need of an event log, whichever one is behind it.

Two adapters keep this contract, and one suite (`tests/contract/`) runs over both: `kafka.py` (Apache Kafka) and
`postgres.py` (a durable log in PostgreSQL for one process).

Guaranteed: records of one key are read in the order in which they were published; a record is delivered to a group at
least once, also after a crash between the work and the commit; a compacted topic keeps the newest record of each key.
Not guaranteed: exactly once (consumers know an event id that they have seen), order between partitions, and that a
record whose publishing timed out was not stored (it may appear later).

    EventLogError
    |- LogUnavailable     nothing is known to have changed; make a new consumer or reader, then go on
    |- PublishUnknown     the records may or may not be stored; publish them again
    |- PublishRefused     the log will never take this record; the others of the call may or may not be stored
    |- OwnershipLost      a partition belongs to another member now; what was not committed is read again there
    `- GroupInUse         another process consumes in this group (PostgreSQL only, which serves one process)
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, TypeAlias

TopicPartition: TypeAlias = tuple[str, int]


class EventLogError(Exception):
    """The parent of everything that an event log raises."""


class LogUnavailable(EventLogError):  # noqa: N818 - says what happened
    """The log did not answer before the deadline, or the consumer can no longer be used."""


class PublishUnknown(EventLogError):  # noqa: N818 - says what happened
    """The log did not confirm before the deadline: the records may or may not be stored, now or later."""


class PublishRefused(EventLogError):  # noqa: N818 - says what happened
    """The log will never take a record as it is: `index` is its place in the call, `reason` a stable code."""

    def __init__(self, index: int, reason: str, detail: str) -> None:
        super().__init__(f"record {index}: {reason}: {detail}")
        self.index = index
        self.reason = reason
        self.detail = detail


class OwnershipLost(EventLogError):  # noqa: N818 - says what happened
    """The group gave the partitions to another member, which reads again what was not committed."""


class GroupInUse(EventLogError):  # noqa: N818 - says what happened
    """Another process consumes in this group, and this log serves one process."""


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """A topic to create when it is missing; an existing topic is left as it is."""

    name: str
    partitions: int = 8
    compacted: bool = False
    retention_hours: int = 168  # a week; of no effect on a compacted topic


@dataclass(frozen=True, slots=True)
class Record:
    """One record to publish. Without a `partition` the key chooses; without a key any partition is taken."""

    topic: str
    key: bytes | None
    value: bytes | None  # None is a tombstone: a compacted topic forgets the key
    headers: tuple[tuple[str, bytes], ...] = ()
    partition: int | None = None


@dataclass(frozen=True, slots=True)
class Received:
    """One record as it was read; `at` is when the log took it."""

    record: Record
    partition: int
    offset: int
    at: datetime

    @property
    def place(self) -> TopicPartition:
        """Where it was read from: (topic, partition)."""
        return (self.record.topic, self.partition)


class Producer(Protocol):
    """Publishes. Used by the relay and, for dead letters, by the consumer loop; never by a request."""

    async def publish(self, records: Sequence[Record], *, deadline_seconds: float) -> None:
        """Return when every record is durable, in the order given per key.

        Raises:
            PublishUnknown: not confirmed before the deadline; publish again, consumers drop the duplicate.
            PublishRefused: a record can never be taken (no key on a compacted topic, too large, no such topic).
        """
        ...

    async def close(self) -> None:
        """Give up what is held; returns within seconds also when the log is gone."""
        ...


class GroupConsumer(Protocol):
    """One member of a group: the log divides the partitions among the members and stores how far they are.

    Life cycle: `poll`, do the work durably, `commit`, again. After `LogUnavailable` close it and make a new one, which
    starts at the committed offsets; a new group starts at the oldest record.
    """

    async def poll(self, max_records: int, timeout_seconds: float) -> list[Received]:
        """Records in order per partition, at once when there are some, else after up to `timeout_seconds` none.

        Raises:
            LogUnavailable: the log is gone, or the consumer no longer makes progress.
        """
        ...

    async def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Store the next offset to read of each partition.

        Raises:
            OwnershipLost: a partition belongs to another member; nothing that it reads again is lost.
            LogUnavailable: not confirmed before the deadline.
        """
        ...

    def pause(self, partitions: Iterable[TopicPartition]) -> None:
        """Deliver nothing from these until `resume`; what was polled and not committed stays uncommitted."""
        ...

    def resume(self, partitions: Iterable[TopicPartition]) -> None:
        """Deliver again; a partition that was not paused is ignored."""
        ...

    def assigned(self) -> frozenset[TopicPartition]:
        """The partitions that this member reads now."""
        ...

    async def lag(self) -> dict[TopicPartition, int]:
        """Records after the committed offset, for each partition of this member."""
        ...

    async def close(self) -> None:
        """Leave; returns within seconds also when the log is gone. Nothing is committed by closing."""
        ...


class LogReader(Protocol):
    """Reads whole topics without a group: the caller keeps the offsets. Starts at the oldest record."""

    async def end_offsets(self) -> dict[TopicPartition, int]:
        """The next offset to be written of each partition: reading up to here is having read all."""
        ...

    async def seek(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Go to these offsets; partitions not named stay. An offset that no longer exists means the oldest record."""
        ...

    async def positions(self) -> dict[TopicPartition, int]:
        """The next offset to be read of each partition, also past what compaction removed."""
        ...

    async def poll(self, max_records: int, timeout_seconds: float) -> list[Received]:
        """As `GroupConsumer.poll`."""
        ...

    async def close(self) -> None:
        """Give up what is held; returns within seconds also when the log is gone."""
        ...


class EventLog(Protocol):
    """The way to the log: makes producers, consumers and readers. Safe to share in one event loop."""

    async def ensure_topics(self, topics: Sequence[TopicSpec]) -> None:
        """Create the topics that are missing; returns when records can be published to all of them."""
        ...

    async def partitions(self, topic: str) -> int:
        """How many partitions a topic has; `LogUnavailable` if it does not exist."""
        ...

    async def producer(self, name: str) -> Producer:
        """A producer; `name` shows in the logs of the broker."""
        ...

    async def consumer(
        self, group: str, topics: Sequence[str], member: str | None = None, *, gather_seconds: float = 0.0
    ) -> GroupConsumer:
        """A member of `group`. A stable `member` name lets a restart keep its partitions without a rebalance.

        `gather_seconds`: for how long the log may hold records back, so that more of them come at once.
        """
        ...

    async def reader(self, topics: Sequence[str]) -> LogReader:
        """A reader of all partitions of the topics."""
        ...

    async def group_lag(self, group: str, topics: Sequence[str]) -> int:
        """Records that the group has not committed, summed over the topics; a new group has all of them ahead."""
        ...

    async def close(self) -> None:
        """Close everything that this log made."""
        ...
