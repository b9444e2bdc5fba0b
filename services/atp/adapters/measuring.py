"""Keeps the totals of the measures: orders that changed are measured anew, and the difference is added.

A pass reads every order that was written by a transaction that had not ended when the former pass began: a change that
is written again is measured again, which changes nothing. In a pass an order is measured once, however often it
changed: what came after the look was written by a transaction that the next pass reads. It goes in portions, each one
transaction; one process at a time. `services.atp.adapters.service_months` lists what changes in a closed month.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

import orjson

from services.atp.adapters.order_costs import publish_costs
from services.atp.adapters.order_records import StoredOrder, load_orders
from services.atp.adapters.service_months import correct, month_of
from services.atp.domain.model import Day
from services.atp.domain.service_measures import AmountKey, base_of, measure, measured_lines, missed_days
from services.chassis.business_time import business_now
from services.chassis.database import Connection, Database

CHANGES_PER_PORTION: Final = 2_000  # some hundred orders; the rows of one transaction are never divided
ORDERS_AT_ONCE: Final = 50  # of one look at the tables; a thousand lines each are some 50 MB
_LOCK: Final = "SELECT through_xid FROM measuring FOR UPDATE SKIP LOCKED"
_CHANGED: Final = """
SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS oldest, c.recorded_xid, c.promise_id
FROM (SELECT 1) AS one LEFT JOIN LATERAL (
    SELECT recorded_xid, promise_id FROM (
        SELECT recorded_xid, promise_id FROM promise WHERE recorded_xid >= $1
        UNION ALL
        SELECT recorded_xid, promise_id FROM fulfilment WHERE recorded_xid >= $1 AND promise_id IS NOT NULL
        UNION ALL
        SELECT recorded_xid, promise_id FROM order_report WHERE recorded_xid >= $1 AND promise_id IS NOT NULL
    ) AS written ORDER BY recorded_xid FETCH FIRST $2 ROWS WITH TIES
) AS c ON true
"""
_FORMER: Final = "SELECT promise_id, tier, amounts FROM measured_order WHERE promise_id = ANY($1::uuid[])"
_ADD: Final = """
INSERT INTO measure_total (day, tier, measure, detail, amount)
SELECT * FROM unnest($1::int[], $2::text[], $3::text[], $4::text[], $5::bigint[])
ON CONFLICT (day, tier, measure, detail) DO UPDATE SET amount = measure_total.amount + excluded.amount
"""
_KEEP: Final = """
INSERT INTO measured_order (promise_id, tier, amounts, missed_from, missed_to)
SELECT * FROM unnest($1::uuid[], $2::text[], $3::jsonb[], $4::int[], $5::int[])
ON CONFLICT (promise_id) DO UPDATE SET tier = excluded.tier, amounts = excluded.amounts,
    missed_from = excluded.missed_from, missed_to = excluded.missed_to
"""
_THROUGH: Final = "UPDATE measuring SET through_xid = greatest(through_xid, $1)"
_BEHIND: Final = """
SELECT EXISTS (SELECT FROM promise p, measuring m WHERE p.recorded_xid >= m.through_xid)
    OR EXISTS (SELECT FROM fulfilment f, measuring m WHERE f.recorded_xid >= m.through_xid AND f.promise_id IS NOT NULL)
    OR EXISTS (SELECT FROM order_report r, measuring m
        WHERE r.recorded_xid >= m.through_xid AND r.promise_id IS NOT NULL)
"""
TotalKey = tuple[Day, str, str, str]


@dataclass(slots=True)
class Pass:
    """Where a pass is: `oldest` is the oldest transaction that had not ended when it began."""

    at: int | None = None
    oldest: int | None = None
    finished: bool = False
    measured: set[UUID] = field(default_factory=set)
    corrected: set[Day] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class _Portion:
    """What one transaction did, to be added to the pass once it has committed."""

    reached: int
    oldest: int
    finished: bool
    measured: Sequence[UUID]
    corrected: Sequence[Day]


@dataclass(frozen=True, slots=True)
class _Measured:
    """An order with what it adds to the measures of its tier, and the first and last day on which it missed any."""

    promise_id: UUID
    name: str
    tier: str
    amounts: Mapping[AmountKey, int]
    missed: tuple[Day, Day] | None


async def measure_changes(database: Database) -> Pass | None:
    """One pass over all that changed; None if another process is at it."""
    state = Pass()
    while not state.finished:
        done = await database.run(lambda connection: _portion(connection, state), label="measure", by_key=True)
        if done is None:
            return None
        state.at, state.oldest, state.finished = done.reached, done.oldest, done.finished
        state.measured.update(done.measured)
        state.corrected.update(done.corrected)
    return state


async def behind(connection: Connection) -> bool:
    """Whether something may have changed since the last pass began."""
    found: bool = await connection.fetchval(_BEHIND)
    return found


async def _portion(connection: Connection, state: Pass) -> _Portion | None:
    through = await connection.fetchval(_LOCK)
    if through is None:
        return None
    anew = through == 0 and state.at is not None  # a rate changed meanwhile: begin again
    at = through if state.at is None or anew else state.at
    rows = await connection.fetch(_CHANGED, at, CHANGES_PER_PORTION)
    oldest = rows[0]["oldest"] if state.oldest is None else state.oldest
    changed = [row for row in rows if row["promise_id"] is not None]
    promise_ids = sorted({row["promise_id"] for row in changed} - (set() if anew else state.measured))
    months: dict[Day, dict[str, None]] = {}
    for start in range(0, len(promise_ids), ORDERS_AT_ONCE):
        await _measure(connection, promise_ids[start : start + ORDERS_AT_ONCE], months)
    corrected = await _correct(connection, months) if months else []
    finished = len(changed) < CHANGES_PER_PORTION
    reached = oldest if finished else max(row["recorded_xid"] for row in changed) + 1
    await connection.execute(_THROUGH, min(oldest, reached))
    return _Portion(reached, oldest, finished, promise_ids, corrected)


async def _measure(connection: Connection, promise_ids: Sequence[UUID], months: dict[Day, dict[str, None]]) -> None:
    """Measure some orders anew; adds to `months` the names of those that change the figures of a month."""
    # What another system promised, by its own rules, is no measure of how tiers are served here.
    orders = [each for each in await load_orders(connection, promise_ids) if not each.taken_over]
    measured = []
    for stored in orders:
        measured.append(_measured(stored))
        await asyncio.sleep(0)  # one may have a thousand lines, and this process has more to do
    former = {
        row["promise_id"]: _totals_of(row["tier"], orjson.loads(row["amounts"]))
        for row in await connection.fetch(_FORMER, promise_ids)
    }
    changes: dict[TotalKey, int] = {}
    for order in measured:
        now = {(key.day, order.tier, *key[1:]): amount for key, amount in order.amounts.items()}
        before = former.get(order.promise_id, {})
        for key in sorted({*now, *before}):
            change = now.get(key, 0) - before.get(key, 0)
            if change:
                changes[key] = changes.get(key, 0) + change
                months.setdefault(month_of(key[0]), {})[order.name] = None
    await _add(connection, changes)
    await _keep(connection, measured)
    costed = [(order, one.amounts) for order, one in zip(orders, measured, strict=True)]
    await publish_costs(connection, costed, await business_now(connection))


async def _add(connection: Connection, changes: Mapping[TotalKey, int]) -> None:
    keys = sorted(key for key, change in changes.items() if change)
    if keys:
        columns = [list(column) for column in zip(*keys, strict=True)]
        await connection.execute(_ADD, *columns, [changes[key] for key in keys])


async def _keep(connection: Connection, orders: Sequence[_Measured]) -> None:
    await connection.execute(
        _KEEP,
        [order.promise_id for order in orders],
        [order.tier for order in orders],
        [_written(order.amounts) for order in orders],
        [None if order.missed is None else order.missed[0] for order in orders],
        [None if order.missed is None else order.missed[1] for order in orders],
    )


async def _correct(connection: Connection, months: Mapping[Day, Mapping[str, None]]) -> list[Day]:
    corrected = []
    now = await business_now(connection)
    for month in sorted(months):
        corrected += await correct(connection, [month], now, "late_event", sorted(months[month]))
    return corrected


def _measured(order: StoredOrder) -> _Measured:
    lines = measured_lines(order.record)
    amounts = measure(order.record, lines)
    return _Measured(order.promise_id, order.name, base_of(order.record).tier, amounts, missed_days(lines))


def _written(amounts: Mapping[AmountKey, int]) -> str:
    return orjson.dumps([[*key, amount] for key, amount in amounts.items()]).decode()


def _totals_of(tier: str, amounts: Iterable[Sequence[int | str]]) -> dict[TotalKey, int]:
    return {(int(day), tier, str(name), str(detail)): int(amount) for day, name, detail, amount in amounts}
