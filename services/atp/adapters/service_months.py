"""A month's figures by tier, from the totals; closed months, which change only by a listed correction.

open ──close──▶ closed: the figures as they were, kept
                  │ a late event or a cost input changes what the totals say
                  └─▶ a correction: what is to be added, with its cause; figures + corrections = totals, always
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Final

import orjson

from services.atp.domain.model import Day
from services.atp.domain.service_figures import added, difference
from services.chassis.database import Connection

FiguresByTier = dict[str, dict[str, Decimal]]
REFERENCES_MAX: Final = 20  # of one correction; the order's own history has the rest
MONTHS_PER_YEAR: Final = 12
# What is known of a line only once its due day has passed.
DUE_MEASURES: Final = (
    "lines_due",
    "units_due",
    "units_shipped_in_time",
    "units_delivered",
    "lines_delivered",
    "lines_on_time_in_full",
    "lines_delivered_as_requested",
    "lines_late",
    "days_late",
    "orders_delivered",
    "orders_accurate",
)
_TOTALS: Final = """
SELECT tier, measure, detail, sum(amount)::numeric AS amount FROM measure_total
WHERE day BETWEEN $1 AND $2 AND measure NOT IN ('activity', 'goods_units')
    AND (day < $3 OR NOT measure = ANY($4::text[]))
GROUP BY tier, measure, detail HAVING sum(amount) <> 0
"""
_AT_RATES: Final = """
SELECT t.tier, CASE t.measure WHEN 'activity' THEN t.detail ELSE 'goods' END AS component,
    sum(t.amount)::numeric AS quantity, sum(t.amount * r.amount_minor) AS amount,
    coalesce(sum(t.amount) FILTER (WHERE r.amount_minor IS NULL), 0)::numeric AS missing
FROM measure_total t LEFT JOIN LATERAL (
    SELECT c.amount_minor FROM cost_rate c
    WHERE c.kind = CASE t.measure WHEN 'activity' THEN 'activity' ELSE 'landed' END AND c.name = t.detail
        AND c.effective_day <= t.day AND c.amount_minor IS NOT NULL
    ORDER BY c.effective_day DESC LIMIT 1
) AS r ON true
WHERE t.day BETWEEN $1 AND $2 AND t.measure IN ('activity', 'goods_units') AND t.amount <> 0
GROUP BY t.tier, component
"""
# What a protection gave and what lapsed is known at the end of its period, by the document then in effect.
_PROTECTIONS: Final = """
SELECT p.tier, sum(p.quantity)::numeric AS protected, sum(least(p.quantity, coalesce(u.consumed, 0)))::numeric AS used,
    coalesce(sum(greatest(0, p.quantity - coalesce(u.consumed, 0))) FILTER (WHERE p.end_day - p.lapse_days < $3), 0)
        ::numeric AS lapsed
FROM protection p LEFT JOIN usage u
    ON u.kind = 'protection' AND u.limit_id = p.protection_id AND u.period_start = p.start_day
WHERE p.end_day BETWEEN $1 AND $2 AND p.effective_from < $4::date
    AND (p.effective_to IS NULL OR p.effective_to >= least($4::date, date '0001-01-01' + (p.end_day - 1)))
GROUP BY p.tier
"""
_QUOTAS: Final = """
SELECT coalesce(q.tier, '*') AS tier, sum(q.quantity)::numeric AS quota, sum(coalesce(u.consumed, 0))::numeric AS used,
    sum(greatest(0, q.quantity - coalesce(u.consumed, 0)))::numeric AS remaining
FROM quota q LEFT JOIN usage u ON u.kind = 'quota' AND u.limit_id = q.quota_id AND u.period_start = q.start_day
WHERE q.end_day BETWEEN $1 AND $2 AND q.effective_from < $3::date
    AND (q.effective_to IS NULL OR q.effective_to >= least($3::date, date '0001-01-01' + (q.end_day - 1)))
GROUP BY coalesce(q.tier, '*')
"""
_CLOSED: Final = "SELECT month, closed_at, closed_by, figures FROM service_month WHERE month = $1"
_CLOSED_SINCE: Final = "SELECT month FROM service_month WHERE month >= $1 ORDER BY month"
_WHICH_CLOSED: Final = "SELECT month FROM service_month WHERE month = ANY($1::int[]) ORDER BY month"
_CORRECTIONS: Final = """
SELECT number, recorded_at, cause, reference, figures FROM service_correction WHERE month = $1 ORDER BY number
"""
_CLOSE: Final = "INSERT INTO service_month (month, closed_at, closed_by, figures) VALUES ($1, $2, $3, $4)"
_CORRECT: Final = """
INSERT INTO service_correction (month, number, recorded_at, cause, reference, figures)
SELECT $1, coalesce(max(number), 0) + 1, $2, $3, $4, $5 FROM service_correction WHERE month = $1
"""
_FIRST_DAY: Final = "SELECT min(day) FROM measure_total"


@dataclass(frozen=True, slots=True)
class Correction:
    """What was added to a closed month, and why."""

    number: int
    recorded_at: datetime
    cause: str
    reference: tuple[str, ...]
    figures: FiguresByTier


@dataclass(frozen=True, slots=True)
class ClosedMonth:
    """A month as it was closed, with what was added since."""

    closed_at: datetime
    closed_by: str
    figures: FiguresByTier
    corrections: tuple[Correction, ...]

    def current(self) -> FiguresByTier:
        """The figures with all corrections."""
        now = self.figures
        for each in self.corrections:
            now = {tier: added(now.get(tier, {}), each.figures.get(tier, {})) for tier in sorted({*now, *each.figures})}
        return {tier: figures for tier, figures in now.items() if figures}


def month_of(day: Day) -> Day:
    """The first day of a day's month."""
    return date.fromordinal(day).replace(day=1).toordinal()


def following(month: Day) -> Day:
    """The first day of the next month."""
    first = date.fromordinal(month)
    if first.month == MONTHS_PER_YEAR:
        return date(first.year + 1, 1, 1).toordinal()
    return first.replace(month=first.month + 1).toordinal()


async def figures_of(connection: Connection, month: Day, today: Day) -> FiguresByTier:
    """What the totals say of a month, by tier; what is due today or later is left out."""
    last = following(month) - 1
    found: FiguresByTier = {}
    for row in await connection.fetch(_TOTALS, month, last, today, list(DUE_MEASURES)):
        _put(found, row["tier"], row["measure"], row["detail"], row["amount"])
    for row in await connection.fetch(_AT_RATES, month, last):
        _put(found, row["tier"], "quantity", row["component"], row["quantity"])
        _put(found, row["tier"], "cost_rate", row["component"], row["amount"])
        _put(found, row["tier"], "cost_missing", row["component"], row["missing"])
    until = date.fromordinal(min(last, today) + 1)
    for row in await connection.fetch(_PROTECTIONS, month, last, today, until):
        for name in ("protected", "used", "lapsed"):
            _put(found, row["tier"], "protection", name, row[name])
    for row in await connection.fetch(_QUOTAS, month, last, until):
        for name in ("quota", "used", "remaining"):
            _put(found, row["tier"], "quota", name, row[name])
    return found


async def closed_month(connection: Connection, month: Day) -> ClosedMonth | None:
    """A month that was closed; None if it is open."""
    row = await connection.fetchrow(_CLOSED, month)
    if row is None:
        return None
    corrections = tuple(
        Correction(each["number"], each["recorded_at"], each["cause"], tuple(each["reference"]), _read(each["figures"]))
        for each in await connection.fetch(_CORRECTIONS, month)
    )
    return ClosedMonth(row["closed_at"], row["closed_by"], _read(row["figures"]), corrections)


async def close(connection: Connection, month: Day, at: datetime, author: str) -> bool:
    """Keep the figures of a month that is over; False if it is closed already."""
    if await connection.fetchval("SELECT EXISTS (SELECT FROM service_month WHERE month = $1)", month):
        return False
    figures = await figures_of(connection, month, at.toordinal())
    await connection.execute(_CLOSE, month, at, author, _written(figures))
    return True


async def months_to_close(connection: Connection, before: Day) -> list[Day]:
    """Open months that ended before a day, oldest first, from the first that has a figure."""
    first: Day | None = await connection.fetchval(_FIRST_DAY)
    if first is None:
        return []
    closed = set(await closed_since(connection, first))
    month = month_of(first)
    found = []
    while following(month) <= before:
        if month not in closed:
            found.append(month)
        month = following(month)
    return found


async def correct(
    connection: Connection, months: Iterable[Day], at: datetime, cause: str, references: Sequence[str]
) -> list[Day]:
    """List what changed in those of the months that are closed; which of them did."""
    corrected = []
    rows = await connection.fetch(_WHICH_CLOSED, sorted(set(months)))
    for month in [row["month"] for row in rows]:
        closed = await closed_month(connection, month)
        assert closed is not None  # noqa: S101 - it was just found
        before, now = closed.current(), await figures_of(connection, month, at.toordinal())
        changes = {
            tier: change
            for tier in sorted({*before, *now})
            if (change := difference(now.get(tier, {}), before.get(tier, {})))
        }
        if changes:
            await connection.execute(_CORRECT, month, at, cause, list(references[:REFERENCES_MAX]), _written(changes))
            corrected.append(month)
    return corrected


async def closed_since(connection: Connection, day: Day) -> list[Day]:
    """Closed months from the month of a day on."""
    return [row["month"] for row in await connection.fetch(_CLOSED_SINCE, month_of(day))]


def _put(found: FiguresByTier, tier: str, measure: str, detail: str, amount: Decimal | None) -> None:
    if amount:
        own = found.setdefault(tier, {})
        name = f"{measure}/{detail}" if detail else measure
        own[name] = own.get(name, Decimal(0)) + amount


def _written(figures: Mapping[str, Mapping[str, Decimal]]) -> str:
    return orjson.dumps(
        {tier: {name: f"{amount:f}" for name, amount in own.items()} for tier, own in figures.items()}
    ).decode()


def _read(written: str) -> FiguresByTier:
    return {
        tier: {name: Decimal(amount) for name, amount in own.items()} for tier, own in orjson.loads(written).items()
    }
