"""What the reclassifier must say of every customer, computed anew by DuckDB from the rows of the history's file.

Shares no code with the product: rows are filtered, orders and days are formed, cancellations are taken for returns and
windows are summed here, by the text of docs/reclassification.md. Everything is whole numbers: amounts in millionths,
shares in millionths of a percent, cut off towards zero as they are shown.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final

import duckdb

LINES: Final = """
CREATE TABLE booked AS
SELECT order_id, sku, qty, order_ts, unit_price_gbp::decimal(18, 6) AS price, customer_id::varchar AS customer,
       is_cancel, row_number() OVER (ORDER BY file_row_number) AS position
FROM read_parquet($file, file_row_number = true)
WHERE is_goods AND customer_id IS NOT NULL AND CASE WHEN is_cancel THEN qty < 0 ELSE qty > 0 AND unit_price_gbp > 0 END
"""
ORDERS: Final = """
CREATE TABLE line AS
SELECT order_id, customer, sku, qty::hugeint AS units, (price * 1000000)::hugeint AS micros, 0::hugeint AS returned,
       min(order_ts) OVER of_order AS placed, row_number() OVER (of_order ORDER BY position) AS line
FROM booked WHERE NOT is_cancel WINDOW of_order AS (PARTITION BY order_id)
"""
CUT: Final = "DELETE FROM line WHERE placed >= $1"
CANCELLED: Final = """
SELECT customer, sku, -qty, order_ts FROM booked WHERE is_cancel AND order_ts < $1 ORDER BY order_ts, position
"""
CANDIDATES: Final = """
SELECT l.customer, l.sku, l.order_id, l.line, l.units::bigint, l.placed FROM line l
WHERE EXISTS (SELECT 1 FROM booked c WHERE c.is_cancel AND c.customer = l.customer AND c.sku = l.sku)
ORDER BY l.placed DESC, l.order_id DESC, l.line DESC
"""
BY_DAY: Final = """
CREATE TABLE order_day AS
SELECT customer, placed::date - DATE '1970-01-01' AS day, count(DISTINCT order_id)::hugeint AS orders,
       sum(units)::hugeint AS units, sum(units * micros)::hugeint AS value,
       sum(returned)::hugeint AS returned, sum(returned * micros)::hugeint AS returned_value
FROM line GROUP BY ALL HAVING day <= $1
"""
SUMS: Final = """
SELECT customer, sum(orders), sum(units), sum(value), sum(returned), sum(returned_value), count(*),
       sum(value) FILTER (day > $today - $days // 2),
       coalesce(sum(value) FILTER (day > $today - 2 * ($days // 2) AND day <= $today - $days // 2), 0)
FROM order_day WHERE day > $today - $days GROUP BY customer
"""
GAPS: Final = """
SELECT customer, count(gap), count(*) FILTER (gap < $today - newest) FROM (
    SELECT customer, day - lag(day) OVER (PARTITION BY customer ORDER BY day) AS gap,
           max(day) OVER (PARTITION BY customer) AS newest
    FROM order_day WHERE day > $today - $days
) GROUP BY customer
"""
WEEKS: Final = """
SELECT customer, count(*), sum(units), sum(units * units) FROM (
    SELECT customer, ($today - day) // 7 AS week, sum(units) AS units FROM order_day
    WHERE day > $today - $days AND ($today - day) // 7 < $days // 7 GROUP BY ALL
) GROUP BY customer
"""
EDGES: Final = "SELECT customer, min(day), max(day) FROM order_day GROUP BY customer"
EPOCH: Final = date(1970, 1, 1)
MICROS: Final = 1_000_000
HUNDRED_PERCENT: Final = 100 * MICROS


@dataclass(frozen=True, slots=True)
class Rows:
    """What was counted from: order lines, their units, and the units of cancellations that are of some order."""

    lines: int
    orders: int
    units: int
    returned_units: int


class Recount:
    """The rows of a file until a moment (naive UTC, exclusive), less returns that never came by (order id, line)."""

    def __init__(self, file: Path, until: datetime, unreturned: Mapping[tuple[str, str], int]) -> None:
        self._database = duckdb.connect()
        self._database.execute(LINES, {"file": str(file)})
        self._database.execute(ORDERS)
        self._database.execute(CUT, [until])
        returned = _matched(
            self._database.execute(CANCELLED, [until]).fetchall(), self._database.execute(CANDIDATES).fetchall()
        )
        for place, units in unreturned.items():
            returned[place] -= units
        self._database.execute("CREATE TABLE back (order_id varchar, line varchar, units bigint)")
        rows = [(*place, units) for place, units in returned.items() if units]
        if rows:
            self._database.executemany("INSERT INTO back VALUES (?, ?, ?)", rows)
        self._database.execute(
            "UPDATE line SET returned = back.units FROM back"
            " WHERE back.order_id = line.order_id AND back.line = line.line::varchar"
        )

    @property
    def rows(self) -> Rows:
        """How much there is."""
        question = "SELECT count(*), count(DISTINCT order_id), sum(units), sum(returned) FROM line"
        found = self._database.execute(question).fetchone() or (0, 0, 0, 0)
        return Rows(*(int(number or 0) for number in found))

    def figures(self, today: date, windows: Sequence[int]) -> dict[str, dict[str, Any]]:
        """By customer: each figure under its name, those of a window as `<name>_<days>d`."""
        self._database.execute("DROP TABLE IF EXISTS order_day")
        day = (today - EPOCH).days
        self._database.execute(BY_DAY, [day])
        edges = {customer: (first, last) for customer, first, last in self._database.execute(EDGES).fetchall()}
        found: dict[str, dict[str, Any]] = {
            customer: {"recency_days": day - last, "last_order_day": str(date.fromordinal(EPOCH.toordinal() + last))}
            for customer, (_, last) in edges.items()
        }
        for days in windows:
            sums, gaps, weeks = (self._by_customer(each, day, days) for each in (SUMS, GAPS, WEEKS))
            for customer, (first, _) in edges.items():
                of_window = _window(sums.get(customer), day, first, days)
                of_window |= _habits(gaps.get(customer, (0, 0)))
                of_window |= _demand(weeks.get(customer, (0, 0, 0)), min(days // 7, (day - first) // 7 + 1))
                if customer not in sums:
                    of_window |= {"periods": 0}
                found[customer] |= {f"{name}_{days}d": value for name, value in of_window.items()}
        return found

    def _by_customer(self, question: str, day: int, days: int) -> dict[str, tuple[int, ...]]:
        rows = self._database.execute(question, {"today": day, "days": days}).fetchall()
        return {customer: tuple(int(number or 0) for number in numbers) for customer, *numbers in rows}


def _matched(cancelled: Iterable[tuple[Any, ...]], candidates: Iterable[tuple[Any, ...]]) -> dict[tuple[str, str], int]:
    """Units that came back by order and line: of the newest order line placed until then that has any left."""
    newest_first: dict[tuple[str, str], list[tuple[tuple[str, str], int, datetime]]] = defaultdict(list)
    for customer, sku, order_id, line, units, at in candidates:
        newest_first[customer, sku].append(((order_id, str(line)), units, at))
    found: dict[tuple[str, str], int] = defaultdict(int)
    for customer, sku, units, at in cancelled:
        rest = units
        for place, ordered, placed in newest_first[customer, sku]:
            if placed <= at:
                taken = min(rest, ordered - found[place])
                found[place] += taken
                rest -= taken
    return found


def _window(sums: tuple[int, ...] | None, today: int, first: int, days: int) -> dict[str, Any]:
    orders, units, value, returned, returned_value, order_days, newer, older = sums or (0,) * 8
    known = sums is not None and first <= today - 2 * (days // 2) + 1
    return {
        "orders": orders,
        "units": units,
        "value": value,
        "unpriced_lines": 0,
        "order_days": order_days,
        "order_value": _over(value, orders),
        "returned_units": returned,
        "returned_value": returned_value,
        "return_share": _over(returned * HUNDRED_PERCENT, units),
        "repeat_share": _over((order_days - 1) * HUNDRED_PERCENT, order_days),
        "trend": _over((newer - older) * HUNDRED_PERCENT, older) if known else None,
    }


def _habits(gaps: tuple[int, ...]) -> dict[str, Any]:
    intervals, shorter = gaps
    return {"lapse_risk": _over(shorter * HUNDRED_PERCENT, intervals) if intervals >= 3 else None}


def _demand(weeks: tuple[int, ...], periods: int) -> dict[str, Any]:
    active, total, squares = weeks
    spread, square = active * squares - total * total, total * total
    profile = None
    if active >= 2:
        rare, uneven = periods * 100 >= 132 * active, spread * 100 >= 49 * square
        names = (("smooth", "erratic"), ("intermittent", "lumpy"))
        profile = names[rare][uneven]
    return {
        "profile": profile,
        "average_interval": _over(periods * MICROS, active),
        "squared_variation": _over(spread * MICROS, square) if active >= 2 else None,
        "periods": periods,
        "periods_with_demand": active,
    }


def _over(part: int, whole: int) -> int | None:
    """The quotient cut off towards zero; None of nothing."""
    if not whole:
        return None
    return -(-part // whole) if part < 0 else part // whole
