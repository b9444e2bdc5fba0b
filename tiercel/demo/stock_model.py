"""Supply for a history that has none: a periodic-review replenishment that knows only past demand.

The model, for every item, at one or two locations:

* Each item has a home location; the busiest fifth of the items are also kept at the second location, which gets a
  quarter of their supply. The first opening stock is `OPENING_COVER_DAYS` of the item's mean daily demand over the
  first `LEARNING_DAYS` days of the history (the one figure taken from ahead: a shop that opens has a plan).
* Every `REVIEW_DAYS` days the item's inventory position (modelled stock plus what is on order, less demand so far) is
  brought up to `COVER_DAYS` times the mean daily demand of the last `TRAILING_DAYS` days, times `supply_share`.
* An order is due `LEAD_DAYS` later and is announced as a confirmed scheduled receipt at once. One delivery in ten,
  drawn by the item's name and the day, comes two days late.

Supply is short on purpose (`supply_share` below 1), so that tiers matter.
"""

import zlib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from fractions import Fraction
from typing import Final

from tiercel.demo.history import History

HOME: Final = "DC-HOME"
SECOND: Final = "DC-SECOND"
LEARNING_DAYS: Final = 28
OPENING_COVER_DAYS: Final = 18
REVIEW_DAYS: Final = 7
TRAILING_DAYS: Final = 28
COVER_DAYS: Final = 21
LEAD_DAYS: Final = 9
LATE_DAYS: Final = 2
LATE_ONE_IN: Final = 10
SECOND_SHARE: Final = Fraction(1, 4)


@dataclass(frozen=True, slots=True)
class Opening:
    """Stock on hand at the start."""

    sku: str
    location: str
    quantity: int


@dataclass(frozen=True, slots=True)
class Delivery:
    """A purchase order: announced on one day, due on another, arriving on a third (not before it is due)."""

    reference: str
    sku: str
    location: str
    quantity: int
    announced: date
    due: date
    arrives: date


@dataclass(frozen=True, slots=True)
class StockPlan:
    """All supply of a replay, deliveries ascending by (announced, reference)."""

    openings: tuple[Opening, ...]
    deliveries: tuple[Delivery, ...]


def plan_supply(history: History, *, supply_share: Fraction) -> StockPlan:
    """The supply of the whole replay; `supply_share` scales opening stock and every replenishment."""
    first = history.orders[0].ordered_at.date()
    last = history.orders[-1].ordered_at.date()
    demand = _demand_by_day(history)
    second = _kept_twice(demand)
    openings: list[Opening] = []
    deliveries: list[Delivery] = []
    for sku in sorted(demand):
        by_day = demand[sku]
        learned = sum(quantity for day, quantity in by_day.items() if day < first + timedelta(days=LEARNING_DAYS))
        opening = _ceil(Fraction(learned * OPENING_COVER_DAYS, LEARNING_DAYS) * supply_share)
        openings.extend(Opening(sku, place, part) for place, part in _places(opening, sku in second) if part)
        for announced, quantity in _replenish(by_day, first, last, opening, supply_share):
            deliveries.extend(_deliveries(sku, announced, quantity, split=sku in second))
    deliveries.sort(key=lambda delivery: (delivery.announced, delivery.reference))
    return StockPlan(tuple(openings), tuple(deliveries))


def _demand_by_day(history: History) -> dict[str, dict[date, int]]:
    demand: dict[str, dict[date, int]] = defaultdict(lambda: defaultdict(int))
    for order in history.orders:
        for line in order.lines:
            demand[line.sku][order.ordered_at.date()] += line.quantity
    return demand


def _kept_twice(demand: Mapping[str, Mapping[date, int]]) -> frozenset[str]:
    ranked = sorted(demand, key=lambda sku: (-sum(demand[sku].values()), sku))
    return frozenset(ranked[: len(ranked) // 5])


def _replenish(
    by_day: Mapping[date, int], first: date, last: date, opening: int, supply_share: Fraction
) -> Iterator[tuple[date, int]]:
    days = sorted(by_day)
    inventory_position, seen = opening, 0
    review = first + timedelta(days=REVIEW_DAYS)
    while review <= last:
        while seen < len(days) and days[seen] < review:
            inventory_position -= by_day[days[seen]]
            seen += 1
        start = review - timedelta(days=TRAILING_DAYS)
        trailing = sum(by_day[day] for day in days[max(0, seen - TRAILING_DAYS) : seen] if day >= start)
        window = min(TRAILING_DAYS, (review - first).days)
        target = _ceil(Fraction(trailing * COVER_DAYS, window) * supply_share)
        wanted = target - inventory_position
        if wanted > 0:
            inventory_position += wanted
            yield review, wanted
        review += timedelta(days=REVIEW_DAYS)


def _deliveries(sku: str, announced: date, quantity: int, *, split: bool) -> Iterator[Delivery]:
    due = announced + timedelta(days=LEAD_DAYS)
    late = zlib.crc32(f"{sku}/{announced.isoformat()}".encode()) % LATE_ONE_IN == 0
    arrives = due + timedelta(days=LATE_DAYS) if late else due
    for place, part in _places(quantity, split):
        if part:
            reference = f"PO-{announced:%y%m%d}-{sku}-{place}"
            yield Delivery(reference, sku, place, part, announced, due, arrives)


def _places(quantity: int, split: bool) -> tuple[tuple[str, int], ...]:
    if not split:
        return ((HOME, quantity),)
    second = int(quantity * SECOND_SHARE)
    return ((HOME, quantity - second), (SECOND, second))


def _ceil(value: Fraction) -> int:
    return -((-value.numerator) // value.denominator)
