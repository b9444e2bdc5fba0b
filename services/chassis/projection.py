"""A table kept up to date from topics that every process reads whole, with the offsets stored beside it.

Guarantees: an event's effect and the offset behind it are stored in one transaction, so nothing is applied twice or
left out, whatever dies; several processes that keep the same projection take turns by the row of the partition, and
what one has applied the others skip. `catch_up` returns when everything that was in the topics at the call is applied.

An event that cannot be read or applied is counted and skipped: there is one order of a topic for everybody, so it
cannot be set aside for one, and the former value of its key stays in force (the design's rule for tiers). Failures of
the surroundings are waited out.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import structlog

from services.chassis.clocks import SystemClock, WallClock
from services.chassis.consumer_metrics import ConsumerMetrics
from services.chassis.database import Connection, Database, DatabaseError, Retry
from services.chassis.deliveries import Delivery, Rejected
from services.chassis.envelope import MalformedEvent, from_record
from services.chassis.event_log.port import EventLog, LogReader, LogUnavailable, Received, TopicPartition
from services.chassis.isolation import Interrupted, Isolation, Patience

BATCH_MAX: Final = 200  # events; some 20 ms, for which an urgent one waits behind those of an import
STORE_SECONDS: Final = 5.0

Apply = Callable[[Connection, Sequence[Delivery]], Awaitable[None]]

_log = structlog.get_logger(__name__)

_LOCK: Final = """
INSERT INTO projection_offset (projection, topic, partition, next_offset)
SELECT $1, topic, partition, 0 FROM unnest($2::text[], $3::integer[]) AS wanted(topic, partition)
 ORDER BY topic, partition
ON CONFLICT (projection, topic, partition) DO UPDATE SET updated_at = clock_timestamp()
RETURNING topic, partition, next_offset
"""

_MOVE: Final = """
INSERT INTO projection_offset AS p (projection, topic, partition, next_offset)
SELECT $1, topic, partition, next_offset
  FROM unnest($2::text[], $3::integer[], $4::bigint[]) AS moved(topic, partition, next_offset)
 ORDER BY topic, partition
ON CONFLICT (projection, topic, partition)
DO UPDATE SET next_offset = excluded.next_offset, updated_at = clock_timestamp()
 WHERE p.next_offset < excluded.next_offset
"""

_STORED: Final = "SELECT topic, partition, next_offset FROM projection_offset WHERE projection = $1"


class ProjectionStalled(Exception):  # noqa: N818 - says what happened
    """The projection could not follow its topics for too long."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How long and how often; tests shorten them."""

    poll_seconds: float = 1.0
    stall_seconds: float = 300.0  # without an answer of the log, or with a batch that cannot be applied
    reopen: Retry = field(default_factory=lambda: Retry(pause_first_seconds=0.2, pause_max_seconds=5.0))
    patience: Patience = field(default_factory=Patience)


@dataclass(frozen=True, slots=True)
class Heartbeats:
    """Which events of which topic say that the publisher lives: one per partition every second, in wall time.

    Every process hears all of them, whichever of several applies what is between them. `applied` ones are given to
    `apply` as well.
    """

    event_type: str
    topic: str
    applied: bool = False


class ProjectionRunner:
    """Applies the events of whole topics to tables of `database`, which has the table `projection_offset`."""

    def __init__(
        self,
        log: EventLog,
        topics: Sequence[str],
        database: Database,
        apply: Apply,
        *,
        name: str,
        metrics: ConsumerMetrics,
        heartbeats: Heartbeats | None = None,
        batch_max: int = BATCH_MAX,
        limits: Limits | None = None,
        wall: WallClock | None = None,
        followed: Callable[[], None] | None = None,
    ) -> None:
        """`apply` works in the transaction that it is given, on events in order; `followed` is called behind them."""
        self._log = log
        self._topics = tuple(topics)
        self._database = database
        self._apply = apply
        self._name = name
        self._metrics = metrics
        self._heartbeats = heartbeats
        self._batch_max = batch_max
        self._limits = limits or Limits()
        self._wall = wall or SystemClock()
        self._followed = followed
        self._heard: dict[int, datetime | None] = {}
        self._reader: LogReader | None = None
        self._applied: dict[TopicPartition, int] = {}
        self._progressed_at = self._wall.monotonic()
        self._stored_at = float("-inf")
        self.caught_up = False
        """Whether everything that was in the topics when `run` or `catch_up` began is applied."""
        self.activity = 0
        """How many events were applied or skipped since the start, heartbeats not counted; never falls."""

    async def catch_up(self) -> None:
        """Return when everything that is in the topics now is applied.

        Raises:
            LogUnavailable: the log is away; call it again.
        """
        await self._follow(asyncio.Event(), to_the_end=True)

    async def run(self, stop: asyncio.Event) -> None:
        """Follow the topics until `stop` is set.

        Raises:
            ProjectionStalled: the process must end; one that decides on old data must not look healthy.
        """
        self._progressed_at = self._wall.monotonic()
        try:
            async with asyncio.TaskGroup() as tasks:
                watching = tasks.create_task(self._watch(), name=f"{self._name}: watch")
                await self._keep_following(stop)
                watching.cancel()
        except BaseExceptionGroup as several:  # the first one is why the others were cancelled
            raise several.exceptions[0] from several

    def heartbeat_age_seconds(self) -> float:
        """Age of the newest heartbeat of the partition that was silent longest; infinite if one was never heard."""
        if not self._heard or None in self._heard.values():
            return float("inf")
        oldest = min(heard for heard in self._heard.values() if heard is not None)
        return max(0.0, (self._wall.now() - oldest).total_seconds())

    async def lag(self) -> int:
        """How many records of the topics this process has not applied yet; heartbeats count while they are unread.

        Raises:
            LogUnavailable: the log is away, or `run` has not reached it yet.
        """
        if self._reader is None:
            raise LogUnavailable(f"{self._name} is not reading")
        ends = await self._reader.end_offsets()
        return sum(max(0, end - self._applied.get(place, 0)) for place, end in ends.items())

    async def _watch(self) -> None:
        while True:
            idle_seconds = self._wall.monotonic() - self._progressed_at
            if idle_seconds > self._limits.stall_seconds:
                raise ProjectionStalled(f"{self._name}: no progress for {idle_seconds:.0f} s")
            await asyncio.sleep(min(1.0, self._limits.stall_seconds / 10))

    async def _keep_following(self, stop: asyncio.Event) -> None:
        failures = 0
        while not stop.is_set():
            began = self._wall.monotonic()
            try:
                await self._follow(stop)
            except LogUnavailable as error:
                failures = 1 if self._progressed_at > began else failures + 1
                _log.warning("event_log_unavailable", projection=self._name, failures=failures, error=str(error))
                self._metrics.reopened.at(self._name).inc()
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._limits.reopen.pause_seconds(failures)):
                        await stop.wait()

    async def _follow(self, stop: asyncio.Event, *, to_the_end: bool = False) -> None:
        reader = await self._log.reader(self._topics)
        isolation = Isolation(
            self._store,
            stop,
            name=self._name,
            patience=self._limits.patience,
            retried=self._metrics.retries.at(self._name).inc,
        )
        try:
            ends = await reader.end_offsets()
            self._expect_heartbeats(ends)
            self._applied = dict.fromkeys(ends, 0) | await self._stored_offsets()
            await reader.seek(self._applied)
            self._reader = None if to_the_end else reader
            self.caught_up = self.caught_up or _reached(self._applied, ends)
            while not stop.is_set() and not (to_the_end and _reached(self._applied, ends)):
                received = await reader.poll(self._batch_max, self._limits.poll_seconds)
                if received:
                    await self._take(isolation, received)
                self._applied = await reader.positions()
                if received and self._followed is not None:
                    self._followed()
                self._progressed_at = self._wall.monotonic()
                self._metrics.polled_at.at(self._name).set(self._wall.now().timestamp())
                self.caught_up = self.caught_up or _reached(self._applied, ends)
        except Interrupted:
            _log.info("batch_given_back", projection=self._name)
        finally:
            self._reader = None
            await reader.close()

    async def _take(self, isolation: Isolation, received: Sequence[Received]) -> None:
        deliveries = self._decode(received)
        with self._metrics.batch_seconds.at(self._name).time():
            rejected = await isolation.apply(deliveries) if deliveries else []
        for each in rejected:
            self._skip(deliveries[each.index].received, each.code, each.detail)
        for delivery in deliveries:
            self._metrics.applied.at(self._name, delivery.event.topic).inc()
        self.activity += len(deliveries)
        await self._move_now_and_then(received)

    async def _move_now_and_then(self, received: Sequence[Received]) -> None:
        """Store how far we are behind what was not given to `apply`; without it, that is only read again."""
        if self._wall.monotonic() - self._stored_at < STORE_SECONDS:
            return
        self._stored_at = self._wall.monotonic()
        try:
            await self._database.run(lambda connection: self._move(connection, received), label=f"{self._name}: move")
        except DatabaseError as error:
            _log.warning("offsets_not_stored", projection=self._name, error=repr(error))

    def _decode(self, received: Sequence[Received]) -> list[Delivery]:
        deliveries: list[Delivery] = []
        for each in received:
            try:
                event = from_record(each)
            except MalformedEvent as error:
                self.activity += 1
                self._skip(each, error.reason, error.detail)
                continue
            if self._heartbeats is not None and event.type == self._heartbeats.event_type:
                self._hear(each.partition, event.time)
                if not self._heartbeats.applied:
                    continue
            deliveries.append(Delivery(event, each))
        return deliveries

    def _skip(self, received: Received, reason: str, detail: str) -> None:
        self._metrics.skipped.at(received.record.topic, reason).inc()
        _log.error(
            "event_skipped",
            projection=self._name,
            topic=received.record.topic,
            partition=received.partition,
            offset=received.offset,
            reason=reason,
            detail=detail,
        )

    def _expect_heartbeats(self, ends: Mapping[TopicPartition, int]) -> None:
        if self._heartbeats is not None:
            expected = [partition for topic, partition in ends if topic == self._heartbeats.topic]
            self._heard = {partition: self._heard.get(partition) for partition in expected}

    def _hear(self, partition: int, at: datetime) -> None:
        before = self._heard.get(partition)
        self._heard[partition] = at if before is None else max(before, at)

    async def _stored_offsets(self) -> dict[TopicPartition, int]:
        try:
            rows = await self._database.read(lambda connection: connection.fetch(_STORED, self._name))
        except DatabaseError as error:
            raise LogUnavailable(f"{self._name}: its offsets cannot be read: {error!r}") from error
        return {(row["topic"], row["partition"]): row["next_offset"] for row in rows}

    async def _store(self, batch: Sequence[Delivery]) -> Sequence[Rejected]:
        """Apply a batch and move the offsets behind it, in one transaction."""

        async def work(connection: Connection) -> None:
            received = [delivery.received for delivery in batch]
            places = sorted({each.place for each in received})
            rows = await connection.fetch(_LOCK, self._name, [topic for topic, _ in places], [n for _, n in places])
            done = {(row["topic"], row["partition"]): row["next_offset"] for row in rows}
            news = [each for each in batch if each.received.offset >= done[each.received.place]]
            if news:
                await self._apply(connection, news)
                await self._move(connection, received)

        await self._database.run(work, label=self._name, by_key=True)
        return ()

    async def _move(self, connection: Connection, received: Sequence[Received]) -> None:
        behind = {each.place: each.offset + 1 for each in received}
        places = sorted(behind)
        columns = ([topic for topic, _ in places], [n for _, n in places], [behind[place] for place in places])
        await connection.execute(_MOVE, self._name, *columns)


def _reached(positions: Mapping[TopicPartition, int], ends: Mapping[TopicPartition, int]) -> bool:
    return all(positions.get(place, 0) >= end for place, end in ends.items())
