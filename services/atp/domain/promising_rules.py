"""Stricter rules for promising: what is offered for a day looks at its period, and not at all supply up to it.

Supply and commitments are sorted into periods: of so many days, or (`discrete`) each from one receipt to the next, the
first one with the opening stock. What a period has by itself, supply less commitments, may be short; a shortage is made
up for from what other periods have left, in this order:

- *backward consumption*: the shortages, earliest first, take from earlier periods, the nearest first;
- *forward consumption*: what lacks then takes from later periods, the nearest first;
- *accumulation*: a period is offered with what it has left what is left of so many periods before it.

Discrete ATP is the uncommitted part of one receipt until the next: unlimited backward consumption, no accumulation.
The printed cases are in conformance/cases.json (`oracle_atp`, `discrete_atp`).

A rule can only be stricter than cumulative ATP with look-ahead: the offer for a day is `min(rule, ATP(d))`, with what
is kept from whoever asks (protections, backorders that rank ahead) taken off both (`offered`). It speaks of days before
the checking horizon only; beyond it supply is assumed.
"""

from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from typing import NamedTuple

from services.atp.domain.model import Day, Item, Position, PromisingRule
from services.atp.domain.supply_picture import Room, counted, horizon, opening


class Left(NamedTuple):
    """What a period has left, negative where it is short; periods that are not named have nothing."""

    period: int
    quantity: int


def is_stricter(item: Item) -> bool:
    """Whether an item has a rule that may offer less than cumulative ATP."""
    return item.rule.kind != "cumulative"


def by_periods(supply: Mapping[int, int], demand: Mapping[int, int]) -> list[Left]:
    """What each period has by itself, ascending; only periods with supply or demand."""
    return [Left(period, supply.get(period, 0) - demand.get(period, 0)) for period in sorted({**supply, **demand})]


def consumed(lefts: Sequence[Left], *, backward: int | None, forward: int | None) -> list[Left]:
    """What periods (ascending) have left once shortages took from others, as far as so many periods away.

    None: however far. What lacks afterwards stays with its period as a negative quantity.
    """
    left = {each.period: each.quantity for each in lefts}
    _consume_backward(left, backward)
    _consume_forward(left, forward)
    return [Left(each.period, left[each.period]) for each in lefts]


def _consume_backward(left: dict[int, int], reach: int | None) -> None:
    giving: list[int] = []
    for period in tuple(left):
        while left[period] < 0 and giving and (reach is None or giving[-1] >= period - reach):
            part = min(-left[period], left[giving[-1]])
            left[period] += part
            left[giving[-1]] -= part
            if not left[giving[-1]]:
                giving.pop()
        if left[period] > 0:
            giving.append(period)


def _consume_forward(left: dict[int, int], reach: int | None) -> None:
    short: deque[int] = deque()
    for period in tuple(left):
        while short and reach is not None and short[0] < period - reach:
            short.popleft()
        while left[period] > 0 and short:
            part = min(left[period], -left[short[0]])
            left[period] -= part
            left[short[0]] += part
            if not left[short[0]]:
                short.popleft()
        if left[period] < 0:
            short.append(period)


def accumulated(lefts: Sequence[Left], periods: int) -> Iterator[Left]:
    """With what each period has left what is left of so many periods before it, where that changes, ascending.

    A shortage is not carried: what made up for it was taken already.
    """
    known = [each.period for each in lefts]
    carried = list(accumulate((max(0, each.quantity) for each in lefts), initial=0))
    edges = {period + step for period in known for step in (0, 1, periods + 1)}
    for period in sorted(edges):
        place = bisect_left(known, period)
        own = lefts[place].quantity if place < len(known) and known[place] == period else 0
        yield Left(period, own + carried[place] - carried[bisect_left(known, period - periods)])


def figures(position: Position, item: Item, today: Day) -> Room:
    """What a stricter rule offers by day before the checking horizon, by itself and not clipped at 0."""
    supply, demand = _by_day(position, item, today)
    rule = item.rule
    if rule.kind == "discrete":
        starts = [today, *(day for day in sorted(supply) if day > today and supply[day])]
        lefts = _sorted_into(supply, demand, [bisect_right(starts, day) - 1 for day in (*supply, *demand)])
        found = {each.period: each.quantity for each in consumed(lefts, backward=None, forward=0)}
        return Room(starts, [found.get(index, 0) for index in range(len(starts))])
    numbers = [period_of(rule, day) for day in (*supply, *demand)]
    lefts = consumed(_sorted_into(supply, demand, numbers), backward=rule.backward, forward=rule.forward)
    steps = list(accumulated(lefts, rule.accumulation))
    return Room([max(today, first_day(rule, each.period)) for each in steps], [each.quantity for each in steps])


def offered(room: Room, free: Room, position: Position, item: Item, today: Day) -> Room:
    """A room lowered to what a stricter rule offers.

    `room` is what supply leaves for somebody, `free` what it would leave if nothing were kept from him; what is kept
    from him of the supply is kept from him of the rule's figure as well.
    """
    by_rule, end = figures(position, item, today), horizon(item, today)
    days = sorted(day for day in {*room.days, *free.days, *by_rule.days} if day >= today)
    quantities = [
        room.at(day) if end is not None and day >= end else min(room.at(day), by_rule.at(day) - _kept(room, free, day))
        for day in days
    ]
    return Room(days, quantities)


def period_of(rule: PromisingRule, day: Day) -> int:
    """The number of the period of a day; periods of seven days are weeks from Monday to Sunday."""
    return (day - 1) // rule.period_days


def first_day(rule: PromisingRule, period: int) -> Day:
    """The first day of a period."""
    return period * rule.period_days + 1


def start_of_period(position: Position, item: Item, today: Day, day: Day) -> Day:
    """The first day, today or later, of the period that a day is in."""
    if item.rule.kind != "discrete":
        return max(today, first_day(item.rule, period_of(item.rule, day)))
    days = figures(position, item, today).days
    return days[bisect_right(days, day) - 1]


def _kept(room: Room, free: Room, day: Day) -> int:
    return free.at(day) - room.at(day)


def _by_day(position: Position, item: Item, today: Day) -> tuple[dict[Day, int], dict[Day, int]]:
    """Supply and commitments before the checking horizon, what is past due as today's."""
    end = horizon(item, today)
    supply: dict[Day, int] = {today: opening(position, item)}
    demand: dict[Day, int] = {}
    for receipts in position.receipts:
        day = max(receipts.day, today)
        supply[day] = supply.get(day, 0) + counted(receipts, item, today)
    for available_day, quantity in position.commitments:
        day = max(available_day, today)
        demand[day] = demand.get(day, 0) + quantity
    if end is not None:
        supply = {day: quantity for day, quantity in supply.items() if day < end}
        demand = {day: quantity for day, quantity in demand.items() if day < end}
    return supply, demand


def _sorted_into(supply: Mapping[Day, int], demand: Mapping[Day, int], periods: Sequence[int]) -> list[Left]:
    """Days as periods: `periods` are those of the days of the supply, then of the demand."""
    have: dict[int, int] = {}
    owed: dict[int, int] = {}
    for period, quantity in zip(periods[: len(supply)], supply.values(), strict=True):
        have[period] = have.get(period, 0) + quantity
    for period, quantity in zip(periods[len(supply) :], demand.values(), strict=True):
        owed[period] = owed.get(period, 0) + quantity
    return by_periods(have, owed)
