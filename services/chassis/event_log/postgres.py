"""The event log in PostgreSQL: durable, for one process, with what services rely on in Kafka (see `port.py`).

It is the transport of the embedded form. Its limits, which make it simple: consumers and readers of a group live in
one process; records are stored one by one, not in segments; partitions cannot be added to a topic later.
"""

import asyncio
import zlib
from collections.abc import Sequence
from itertools import count
from typing import Any, Final, Self, TypeVar

import asyncpg
import orjson
import structlog

from services.chassis.database import Connection, Database, DatabaseError, Work
from services.chassis.event_log import postgres_schema as sql
from services.chassis.event_log.port import (
    LogUnavailable,
    PublishRefused,
    PublishUnknown,
    Record,
    TopicPartition,
    TopicSpec,
)
from services.chassis.event_log.postgres_groups import Groups
from services.chassis.event_log.postgres_heads import Heads
from services.chassis.event_log.postgres_reading import PostgresGroupConsumer, PostgresReader

RECORD_MAX_BYTES: Final = 1_000_000  # as in Kafka, so that what works here works there
MAINTAIN_SECONDS: Final = 60.0
EXPIRE_BATCH_RECORDS: Final = 10_000  # deleted in one transaction
COMPACT_AFTER_RECORDS: Final = 1_000  # appended to a partition since its last compaction
TOMBSTONE_SECONDS: Final = 86_400.0  # a reader that is a day behind may miss a deletion, as in Kafka

T = TypeVar("T")
_log = structlog.get_logger(__name__)


class PostgresEventLog:
    """The log in one database. Made by `open`."""

    @classmethod
    async def open(cls, url: str, *, maintain: bool = True) -> Self:
        """Connect, make the schema if it is missing, and start to look after it.

        Raises:
            LogUnavailable: the database does not answer.
        """
        try:
            database = await Database.open(url, schema=sql.SCHEMA, name="event log", max_size=6)
        except DatabaseError as error:
            raise LogUnavailable(repr(error)) from error
        log = cls(url, database)
        try:
            await log._start(maintain=maintain)
        except BaseException:
            await log.close()
            raise
        return log

    def __init__(self, url: str, database: Database) -> None:
        self._database = database
        self._topics: dict[str, TopicSpec] = {}
        self._heads = Heads(self._look)
        self._groups = Groups(url)
        self._maintainer: asyncio.Task[None] | None = None

    async def ensure_topics(self, topics: Sequence[TopicSpec]) -> None:
        """See the port."""

        async def make(connection: Connection) -> None:
            for topic in sorted(topics, key=lambda each: each.name):
                await connection.execute(
                    sql.CREATE_TOPIC, topic.name, topic.partitions, topic.compacted, topic.retention_hours
                )

        await self.run(make, "create topics")
        await self._learn_topics()

    async def partitions(self, topic: str) -> int:
        """See the port."""
        return (await self.topic(topic)).partitions

    async def producer(self, name: str) -> "PostgresProducer":
        """See the port."""
        return PostgresProducer(self, name)

    async def consumer(
        self,
        group: str,
        topics: Sequence[str],
        member: str | None = None,
        *,
        gather_seconds: float = 0.0,  # noqa: ARG002 - the port's
    ) -> PostgresGroupConsumer:
        """See the port. Nothing is held back.

        `member` makes no difference: a group's members end together with the process.

        Raises:
            GroupInUse: another process consumes in the group.
        """
        counts = {topic: (await self.topic(topic)).partitions for topic in topics}
        membership = await self._groups.join(group, counts)
        name = group if member is None else f"{group}.{member}"
        return PostgresGroupConsumer(self, self._heads, self._groups, membership, group=group, topics=counts, name=name)

    async def reader(self, topics: Sequence[str]) -> PostgresReader:
        """See the port."""
        counts = {topic: (await self.topic(topic)).partitions for topic in topics}
        return PostgresReader(self, self._heads, [(topic, index) for topic in topics for index in range(counts[topic])])

    async def group_lag(self, group: str, topics: Sequence[str]) -> int:
        """See the port."""
        rows = await self.ask("lag", sql.COMMITTED, group, list(topics))
        return sum(row["next_offset"] - row["position"] for row in rows)

    async def close(self) -> None:
        """See the port."""
        if self._maintainer is not None:
            self._maintainer.cancel()
            await asyncio.wait([self._maintainer])
        await self._heads.stop()
        await self._groups.close()
        await self._database.close()

    async def maintain(self, *, compact_after_records: int = COMPACT_AFTER_RECORDS) -> None:
        """Delete what is too old, and of compacted topics what has a newer record of its key."""
        for row in await self.run(lambda connection: connection.fetch(sql.TO_MAINTAIN), "look for old records"):
            topic, partition = row["topic"], row["partition"]
            if not row["compacted"]:
                await self._expire(topic, partition)
            elif row["next_offset"] - row["compacted_to"] >= compact_after_records:
                await self._compact(topic, partition, row["next_offset"])

    async def run(self, work: Work[T], label: str) -> T:
        """Run work on the database.

        Raises:
            LogUnavailable: it was not done, or that is not known.
        """
        try:
            return await self._database.run(work, label=label, by_key=True)
        except (DatabaseError, asyncpg.PostgresError, OSError) as error:
            raise LogUnavailable(f"{label}: {error!r}") from error

    async def ask(self, label: str, question: str, *parameters: Any) -> list[asyncpg.Record]:
        """The rows of one statement that writes nothing.

        Raises:
            LogUnavailable: the database did not answer.
        """
        try:
            return await self._database.ask(question, *parameters, label=label)
        except (DatabaseError, asyncpg.PostgresError, OSError) as error:
            raise LogUnavailable(f"{label}: {error!r}") from error

    async def append(self, records: Sequence[Record], places: Sequence[TopicPartition]) -> None:
        """Store the records in the partitions given; returns when they are durable, and wakes the readers."""
        columns = (
            [topic for topic, _ in places],
            [partition for _, partition in places],
            [record.key for record in records],
            [record.value for record in records],
            [_pack(record.headers) for record in records],
        )
        rows = await self.run(lambda connection: connection.fetch(sql.APPEND, *columns), "append")
        self._heads.advance({(row["topic"], row["partition"]): row["next_offset"] for row in rows})

    async def topic(self, name: str) -> TopicSpec:
        """What is known of a topic, `LogUnavailable` if it does not exist."""
        if name not in self._topics:
            await self._learn_topics()
        try:
            return self._topics[name]
        except KeyError as error:
            raise LogUnavailable(f"topic {name} does not exist") from error

    async def _start(self, *, maintain: bool) -> None:
        await self.run(sql.make_schema, "make schema event_log")
        await self._learn_topics()
        await self._heads.start()
        if maintain:
            self._maintainer = asyncio.create_task(self._keep_maintaining(), name="event log: retention, compaction")

    async def _learn_topics(self) -> None:
        for row in await self.run(lambda connection: connection.fetch(sql.TOPICS), "look for topics"):
            self._topics[row["name"]] = TopicSpec(row["name"], row["partitions"], compacted=row["compacted"])

    async def _look(self) -> dict[TopicPartition, int]:
        rows = await self.ask("look for records", sql.HEADS)
        return {(row["topic"], row["partition"]): row["next_offset"] for row in rows}

    async def _keep_maintaining(self) -> None:
        while True:
            await asyncio.sleep(MAINTAIN_SECONDS)
            try:
                await self.maintain()
            except LogUnavailable as error:  # whoever uses the log stops the process if that lasts
                _log.warning("event_log_not_maintained", cause=repr(error))

    async def _expire(self, topic: str, partition: int) -> None:
        expired = EXPIRE_BATCH_RECORDS
        while expired == EXPIRE_BATCH_RECORDS:
            expired = await self.run(
                lambda connection: connection.fetchval(sql.EXPIRE, topic, partition, EXPIRE_BATCH_RECORDS), "expire"
            )

    async def _compact(self, topic: str, partition: int, up_to: int) -> None:
        async def compact(connection: Connection) -> None:
            await connection.execute(sql.COMPACT, topic, partition, TOMBSTONE_SECONDS)
            await connection.execute(sql.COMPACTED, topic, partition, up_to)

        await self.run(compact, "compact")


class PostgresProducer:
    """Publishes each call as one transaction: all of its records, or none."""

    def __init__(self, log: PostgresEventLog, name: str) -> None:
        self._log = log
        self._name = name
        self._turns = count()

    async def publish(self, records: Sequence[Record], *, deadline_seconds: float) -> None:
        """See the port."""
        if not records:
            return
        try:
            async with asyncio.timeout(deadline_seconds):
                places = [await self._place(index, record) for index, record in enumerate(records)]
                await self._log.append(records, places)
        except TimeoutError as error:
            raise PublishUnknown(f"{self._name}: not confirmed within {deadline_seconds:g} s") from error
        except LogUnavailable as error:
            raise PublishUnknown(f"{self._name}: {error}") from error

    async def close(self) -> None:
        """See the port."""

    async def _place(self, index: int, record: Record) -> TopicPartition:
        topic = await self._log.topic(record.topic)
        if record.key is None and topic.compacted:
            raise PublishRefused(index, "key_missing", "the topic is compacted and takes no record without a key")
        size = len(record.key or b"") + len(record.value or b"") + sum(len(n) + len(v) for n, v in record.headers)
        if size > RECORD_MAX_BYTES:
            raise PublishRefused(index, "record_too_large", f"{size} bytes, at most {RECORD_MAX_BYTES}")
        if record.partition is not None:
            if not 0 <= record.partition < topic.partitions:
                raise LogUnavailable(f"{record.topic} has no partition {record.partition}")
            return (record.topic, record.partition)
        chooser = next(self._turns) if record.key is None else zlib.crc32(record.key)
        return (record.topic, chooser % topic.partitions)


def _pack(headers: Sequence[tuple[str, bytes]]) -> bytes:
    """Headers as one value: JSON, in which each byte of a header's value is one character."""
    return orjson.dumps([(name, value.decode("latin-1")) for name, value in headers])
