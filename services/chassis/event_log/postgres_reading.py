"""Reading the event log in PostgreSQL: as a member of a group, or whole topics without one."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

import asyncpg
import orjson

from services.chassis.database import Work
from services.chassis.event_log import postgres_schema as sql
from services.chassis.event_log.port import LogUnavailable, OwnershipLost, Received, Record, TopicPartition
from services.chassis.event_log.postgres_groups import Groups, Membership
from services.chassis.event_log.postgres_heads import LOOK_SECONDS, Heads

T = TypeVar("T")


class Runner(Protocol):
    """What reading needs of the log."""

    async def run(self, work: Work[T], label: str) -> T:
        """Run work on the database; `LogUnavailable` if it was not done."""
        ...

    async def ask(self, label: str, question: str, *parameters: Any) -> list[asyncpg.Record]:
        """The rows of one statement that writes nothing; `LogUnavailable` if the database did not answer."""
        ...


class _Reading:
    """What a group member and a reader have in common: positions, and polling from there."""

    def __init__(self, log: Runner, heads: Heads) -> None:
        self._log = log
        self._heads = heads
        self._positions: dict[TopicPartition, int] = {}
        self._turn = 0

    async def _poll(
        self, readable: Mapping[TopicPartition, int], max_records: int, timeout_seconds: float
    ) -> list[Received]:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_seconds
        while True:
            behind = self._heads.behind(readable)
            if behind and (received := await self._read(behind, max_records)):
                return received
            remaining = deadline - loop.time()
            if remaining <= 0:
                return []
            # After an empty read (what was ahead is compacted away) it need not take the whole time.
            await self._heads.changed(min(remaining, LOOK_SECONDS) if behind else remaining)
            readable = {place: self._positions[place] for place in readable if place in self._positions}

    async def _read(self, behind: Sequence[TopicPartition], max_records: int) -> list[Received]:
        """One read over these partitions, each with the same share, beginning with another one every time."""
        self._turn += 1
        start = self._turn % len(behind)
        chosen = [*behind[start:], *behind[:start]][:max_records]
        share = max_records // len(chosen)
        topics = [topic for topic, _ in chosen]
        partitions = [partition for _, partition in chosen]
        positions = [self._positions[place] for place in chosen]
        rows = await self._log.ask("read", sql.READ, topics, partitions, positions, share)
        received = [_received(row) for row in rows if row["record_offset"] is not None]
        taken: dict[TopicPartition, list[int]] = {}
        for each in received:
            taken.setdefault(each.place, []).append(each.offset)
        for row in rows:
            place = (row["topic"], row["partition"])
            offsets = taken.get(place, [])
            self._positions[place] = offsets[-1] + 1 if len(offsets) == share else row["next_offset"]
        return received


class PostgresGroupConsumer(_Reading):
    """One member of a group."""

    def __init__(
        self,
        log: Runner,
        heads: Heads,
        groups: Groups,
        membership: Membership,
        *,
        group: str,
        topics: Mapping[str, int],
        name: str,
    ) -> None:
        super().__init__(log, heads)
        self._groups = groups
        self._membership = membership
        self._group = group
        self._topics = dict(topics)
        self._name = name
        self._generation = 0
        self._paused: set[TopicPartition] = set()

    async def poll(self, max_records: int, timeout_seconds: float) -> list[Received]:
        """See the port."""
        await self._follow_membership()
        readable = {place: offset for place, offset in self._positions.items() if place not in self._paused}
        return await self._poll(readable, max_records, timeout_seconds)

    async def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        """See the port."""
        self._check()
        mine = sorted(place for place in offsets if place in self._membership.partitions)
        if mine:
            columns = ([topic for topic, _ in mine], [partition for _, partition in mine])
            values = [offsets[place] for place in mine]
            await self._log.run(
                lambda connection: connection.execute(sql.COMMIT, self._group, *columns, values), "commit offsets"
            )
        if len(mine) < len(offsets):
            raise OwnershipLost(f"{self._name}: no longer reads {sorted(offsets.keys() - set(mine))}")

    def pause(self, partitions: Iterable[TopicPartition]) -> None:
        """See the port."""
        self._paused |= set(partitions)

    def resume(self, partitions: Iterable[TopicPartition]) -> None:
        """See the port."""
        self._paused -= set(partitions)

    def assigned(self) -> frozenset[TopicPartition]:
        """See the port."""
        return self._membership.partitions

    async def lag(self) -> dict[TopicPartition, int]:
        """See the port."""
        rows = await self._committed()
        return {place: row["next_offset"] - row["position"] for place, row in rows.items()}

    async def close(self) -> None:
        """See the port."""
        await self._groups.leave(self._group, self._membership, self._topics)

    def _check(self) -> None:
        if self._membership.lost:
            raise LogUnavailable(f"{self._name}: the lock of the group was lost")

    async def _follow_membership(self) -> None:
        """Take over the partitions that were given to this member, at their committed offsets; forget the others."""
        self._check()
        generation = self._membership.generation
        if generation == self._generation:
            return
        committed = await self._committed()
        self._positions = {place: self._positions.get(place, row["position"]) for place, row in committed.items()}
        self._generation = generation

    async def _committed(self) -> dict[TopicPartition, asyncpg.Record]:
        rows = await self._log.ask("committed offsets", sql.COMMITTED, self._group, list(self._topics))
        places = {(row["topic"], row["partition"]): row for row in rows}
        return {place: row for place, row in places.items() if place in self._membership.partitions}


class PostgresReader(_Reading):
    """Reads all partitions of some topics, from the beginning."""

    def __init__(self, log: Runner, heads: Heads, partitions: Iterable[TopicPartition]) -> None:
        super().__init__(log, heads)
        self._positions = dict.fromkeys(partitions, 0)

    async def end_offsets(self) -> dict[TopicPartition, int]:
        """See the port."""
        rows = await self._log.ask("end offsets", sql.HEADS_OF, sorted({topic for topic, _ in self._positions}))
        heads = {(row["topic"], row["partition"]): row["next_offset"] for row in rows}
        return {place: heads[place] for place in self._positions}

    async def seek(self, offsets: Mapping[TopicPartition, int]) -> None:
        """See the port."""
        self._positions |= {place: offset for place, offset in offsets.items() if place in self._positions}

    async def positions(self) -> dict[TopicPartition, int]:
        """See the port."""
        return dict(self._positions)

    async def poll(self, max_records: int, timeout_seconds: float) -> list[Received]:
        """See the port."""
        return await self._poll(self._positions, max_records, timeout_seconds)

    async def close(self) -> None:
        """See the port."""


def _received(row: asyncpg.Record) -> Received:
    headers = tuple((name, value.encode("latin-1")) for name, value in orjson.loads(row["headers"]))
    record = Record(row["topic"], row["key"], row["value"], headers, row["partition"])
    return Received(record, row["partition"], row["record_offset"], row["at"])
