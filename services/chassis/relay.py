"""The relay: takes committed rows out of the outbox and publishes them, in order per key, at least once.

Guarantees
* No row is lost: it stays unpublished until the log has confirmed it. Not "greater than the last one seen", since
  positions are taken before the commit and rows appear out of order.
* Whoever drops repeated event ids sees the events of a key in order, however many relays run, die or are stopped and
  go on: a row is published only when all older rows of its key are confirmed, or right behind them in the same call.
* An urgent row waits for at most one small batch of bulk rows, of a million; a key's own older bulk rows leave with it.
* A row that the log will never take is set aside (`refused`), counted and logged; the rows after it go on.

Not guaranteed: no duplicates. A batch that was not confirmed in time is sent again.

How: 64 buckets (hash of the key) are leased to the living relays. One loop per relay reads, publishes outside of any
transaction under a deadline shorter than its leases, and marks. A NOTIFY after each commit wakes it; a poll makes good
for a lost one. A relay that was stopped in the middle of a call and goes on after its leases went to another may still
push old records into the log, behind newer ones of the same key. It finds out when it marks (fences), and asks the new
owner to publish those keys again from there on, so that the last record of a key, which is what a compacted topic
keeps, is again the newest.

    leased ─▶ rewind if asked ─▶ read ─▶ publish ─▶ mark ─▶ wait for a commit, the poll, bulk allowance or the beacon
                                            │ not confirmed: the same rows again, topic by topic
                                            │ refused: set that row aside
                                            └ lease lost meanwhile: ask the new owner for a rewind
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import structlog

from services.chassis import relay_rows
from services.chassis.clocks import WallClock
from services.chassis.database import Connection, Database, DatabaseError
from services.chassis.database_session import DRIVER_ERRORS
from services.chassis.event_log.port import EventLogError, Producer, PublishRefused, Record
from services.chassis.leases import Leases
from services.chassis.outbox import BUCKETS, Lane, channel
from services.chassis.relay_metrics import RelayMetrics
from services.chassis.relay_rows import Row

GROUP: Final = "outbox"
LEASE_MARGIN_SECONDS: Final = 1.0  # between the latest end of a call and the earliest loss of the lease
UNEXPECTED_ERRORS_MAX: Final = 10  # in a row; then the relay dies and takes the process with it
BACK_OFF_FIRST_SECONDS: Final = 0.05
BEACON_BUCKET: Final = 0  # whoever holds it lights the beacon
BESIDE_URGENT: Final = 4  # while urgent rows come, bulk batches are smaller by so much, and so is the wait for one
URGENT_SECONDS: Final = 2.0  # after an urgent row others are expected

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class RelaySettings:
    """How fast, how much at once, how patient."""

    batch_rows: int = 1_000
    bulk_batch_rows: int = 200  # what an urgent row may have to wait for: some 20 ms
    bulk_rows_per_second: float = 5_000.0  # per relay; the urgent lane has the rest of the machine
    poll_seconds: float = 1.0
    pace_seconds: float = 0.005  # from one batch to the next under load, so that batches fill
    publish_deadline_seconds: float = 4.0
    lease_seconds: float = 8.0  # a stopped relay delays its rows by as much; a dead one by a refresh
    refresh_seconds: float = 2.0
    drain_seconds: float = 5.0  # at a stop: the time to publish what is left
    back_off_max_seconds: float = 5.0


@dataclass(frozen=True, slots=True)
class Beacon:
    """Records to publish every interval, but only while nothing in `lanes` waits: silence must not look like freshness.

    `records` is given the time up to which everything committed in these lanes is in the log. One relay of all sends
    them.
    """

    records: Callable[[datetime], Sequence[Record]]
    interval_seconds: float = 1.0
    lanes: frozenset[Lane] = frozenset({Lane.URGENT})


class Relay:
    """One of any number of relays over the outbox of one service."""

    def __init__(
        self,
        database: Database,
        producer: Producer,
        *,
        wall: WallClock,
        name: str,
        metrics: RelayMetrics,
        settings: RelaySettings | None = None,
        beacon: Beacon | None = None,
    ) -> None:
        self._database = database
        self._producer = producer
        self._wall = wall
        self._metrics = metrics
        self._settings = settings or RelaySettings()
        self._beacon = beacon
        self._leases = Leases(
            database.url,
            database.schema,
            wall,
            group=GROUP,
            count=BUCKETS,
            name=name,
            ttl_seconds=self._settings.lease_seconds,
        )
        self._woken = asyncio.Event()
        self._unsettled: list[_Outcome] = []
        self._rewind_asked = False
        self._topic_by_topic = False
        self._bulk_allowance = float(self._settings.bulk_batch_rows)
        self._bulk_counted_at = wall.monotonic()
        self._bulk_waits = False
        self._urgent_at = float("-inf")
        self._beacon_due_at = wall.monotonic()

    async def run(self, stop: asyncio.Event) -> None:
        """Publish until `stop` is set, then what is left, for a few seconds; return the leases at the end."""
        drained = asyncio.Event()
        async with self._database.listen(channel(self._database.schema), self._wake):
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._keep_leases(drained), name="relay: keep leases")
                    group.create_task(self._wake_when(stop), name="relay: wake at the stop")
                    await self._publish_until(stop)
                    drained.set()
            finally:
                await self._leases.release()

    def _wake(self, _payload: str) -> None:
        self._woken.set()

    async def _wake_when(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self._woken.set()

    # The side task: leases and gauges.

    async def _keep_leases(self, drained: asyncio.Event) -> None:
        while not drained.is_set():
            try:
                await self._leases.refresh()
                await self._database.read(self._look_around, label="look at the outbox")
            except (*DRIVER_ERRORS, DatabaseError) as error:
                self._metrics.failed("database")
                _log.warning("relay_leases_not_refreshed", cause=repr(error))
            self._metrics.leased(len(self._leases.held))
            self._woken.set()
            await _until(drained, self._settings.refresh_seconds)

    async def _look_around(self, connection: Connection) -> None:
        now = self._wall.now()
        self._rewind_asked = await relay_rows.rewind_is_asked(connection)
        for lane in Lane:
            waiting = await relay_rows.backlog(connection, lane)
            age = 0.0 if waiting.oldest_at is None else max(0.0, (now - waiting.oldest_at).total_seconds())
            self._metrics.waits(lane, waiting.rows, age)

    # The loop.

    async def _publish_until(self, stop: asyncio.Event) -> None:
        failures, deadline = 0, None
        while True:
            started, stopping = self._wall.monotonic(), stop.is_set()
            self._woken.clear()
            try:
                more = await self._round()
                failures = 0
            except (DatabaseError, EventLogError, TimeoutError) as error:
                more, failures = False, failures + 1
                self._metrics.failed("database" if isinstance(error, DatabaseError) else "unknown")
                _log.warning("relay_round_failed", attempt=failures, cause=repr(error))
            except Exception:
                more, failures = False, failures + 1
                self._metrics.failed("unexpected")
                _log.exception("relay_round_broken", attempt=failures)
                if failures >= UNEXPECTED_ERRORS_MAX:
                    raise
            if stopping:  # this round has seen everything that was committed before the stop
                deadline = deadline or started + self._settings.drain_seconds
                if not more or started > deadline:
                    return
            elif failures:
                await _until(stop, self._back_off_seconds(failures))
            elif not more and not stop.is_set():
                await self._rest(started)

    async def _round(self) -> bool:
        """One batch of each lane, if there are rows; whether more urgent ones are known to wait."""
        while self._unsettled:
            await self._settle(self._unsettled[0])
        self._leases.let_go()
        held = dict(self._leases.held)
        if not held or not self._may_publish():
            return False
        if self._rewind_asked:
            await self._rewind(held)
        limit = self._settings.batch_rows
        urgent = await self._database.read(
            lambda connection: relay_rows.urgent_rows(connection, held, limit), by_key=True
        )
        if urgent:
            self._urgent_at = self._wall.monotonic()
        await self._deliver(urgent, held)
        await self._deliver_bulk(held)
        await self._light_beacon(held)
        return len(urgent) >= limit

    async def _rest(self, started: float) -> None:
        """Sleep until there may be something to do, and under load until the pace allows the next round."""
        wait = self._settings.poll_seconds
        if self._bulk_waits:
            missing = self._bulk_batch() - self._bulk_allowance
            wait = min(wait, max(0.0, missing / self._settings.bulk_rows_per_second))
        if self._beacon is not None:
            wait = min(wait, max(0.0, self._beacon_due_at - self._wall.monotonic()))
        await _until(self._woken, wait)
        await asyncio.sleep(max(0.0, started + self._settings.pace_seconds - self._wall.monotonic()))

    def _back_off_seconds(self, failures: int) -> float:
        return min(self._settings.back_off_max_seconds, BACK_OFF_FIRST_SECONDS * 2.0 ** min(failures, 10))

    def _may_publish(self) -> bool:
        """Whether a call that begins now surely ends before anybody else can own the leases."""
        return self._leases.safe_seconds() >= self._settings.publish_deadline_seconds + LEASE_MARGIN_SECONDS

    async def _deliver_bulk(self, held: Mapping[int, int]) -> None:
        batch, now = self._bulk_batch(), self._wall.monotonic()
        grown = (now - self._bulk_counted_at) * self._settings.bulk_rows_per_second
        most = float(self._settings.bulk_batch_rows)
        self._bulk_counted_at, self._bulk_allowance = now, min(most, self._bulk_allowance + grown)
        if self._bulk_waits and self._bulk_allowance < batch:
            return
        limit = max(1, min(batch, int(self._bulk_allowance)))
        rows = await self._database.read(lambda connection: relay_rows.bulk_rows(connection, held, limit), by_key=True)
        self._bulk_waits = len(rows) >= limit
        self._bulk_allowance -= len(rows)
        await self._deliver(rows, held)

    def _bulk_batch(self) -> int:
        """How many bulk rows are published at once."""
        batch = self._settings.bulk_batch_rows
        return max(1, batch // BESIDE_URGENT) if self._wall.monotonic() - self._urgent_at < URGENT_SECONDS else batch

    async def _rewind(self, held: Mapping[int, int]) -> None:
        count = await self._database.run(lambda connection: relay_rows.rewind(connection, held), label="rewind outbox")
        self._rewind_asked = False
        _log.warning("outbox_rewound", rows=count)

    async def _light_beacon(self, held: Mapping[int, int]) -> None:
        beacon, now = self._beacon, self._wall.monotonic()
        if beacon is None or now < self._beacon_due_at or BEACON_BUCKET not in held or not self._may_publish():
            return
        self._beacon_due_at = now + beacon.interval_seconds
        as_of = self._wall.now()
        if await self._database.read(lambda connection: relay_rows.all_published(connection, beacon.lanes)):
            await self._publish(beacon.records(as_of))

    # One batch.

    async def _deliver(self, rows: Sequence[Row], held: Mapping[int, int]) -> None:
        """Publish and mark. After a call that was not confirmed: topic by topic, so that a bad one holds up itself."""
        parts = _by_topic(rows) if self._topic_by_topic else [rows]
        failure: Exception | None = None
        for part in parts:
            if part and self._may_publish():
                try:
                    await self._deliver_part(part, held)
                except (EventLogError, TimeoutError) as error:
                    failure = error
        if rows:
            self._topic_by_topic = failure is not None
        if failure is not None:
            raise failure

    async def _deliver_part(self, rows: Sequence[Row], held: Mapping[int, int]) -> None:
        fences = {row.bucket: held[row.bucket] for row in rows}
        try:
            await self._publish([row.record for row in rows])
        except PublishRefused as refusal:
            await self._set_aside(rows[refusal.index], refusal)
        except (EventLogError, TimeoutError):
            await self._settle(_Outcome(rows, fences, confirmed=False))
            raise
        else:
            await self._settle(_Outcome(rows, fences, confirmed=True))

    async def _publish(self, records: Sequence[Record]) -> None:
        deadline = self._settings.publish_deadline_seconds
        # The outer one is for a producer that does not keep its word, and fires first if this process was stopped.
        async with asyncio.timeout(deadline + LEASE_MARGIN_SECONDS / 2):
            await self._producer.publish(records, deadline_seconds=deadline)

    async def _set_aside(self, row: Row, refusal: PublishRefused) -> None:
        reason = f"{refusal.reason}: {refusal.detail}"
        await self._database.run(
            lambda connection: relay_rows.refuse(connection, row, reason), label="refuse outbox row"
        )
        self._metrics.failed("refused")
        _log.error("outbox_row_refused", position=row.position, topic=row.topic, reason=refusal.reason)

    async def _settle(self, outcome: "_Outcome") -> None:
        """Mark what was confirmed; for leases that went to another in the meantime, ask for a rewind instead."""

        async def work(connection: Connection) -> list[Row]:
            still = await self._leases.still_held(connection, outcome.fences)
            if outcome.confirmed:
                await relay_rows.mark_published(connection, [row for row in outcome.rows if row.bucket in still])
            lost = [row for row in outcome.rows if row.bucket not in still]
            if lost:
                await relay_rows.ask_for_rewind(connection, lost)
            return lost

        self._unsettled = [outcome]  # it is owed, also if the database is away now: the next round begins with it
        lost = await self._database.run(work, label="settle outbox batch", by_key=True)
        self._unsettled = []
        if lost:
            self._metrics.failed("lease_lost")
            _log.warning("relay_overtaken", rows=len(lost))
        if outcome.confirmed:
            for lane, count in Counter(row.lane for row in outcome.rows).items():
                self._metrics.published(lane, count)


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What became of a call: its rows, the fences under which they were read, and whether the log confirmed."""

    rows: Sequence[Row]
    fences: Mapping[int, int]
    confirmed: bool


def _by_topic(rows: Sequence[Row]) -> list[list[Row]]:
    return [[row for row in rows if row.topic == topic] for topic in sorted({row.topic for row in rows})]


async def _until(event: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
