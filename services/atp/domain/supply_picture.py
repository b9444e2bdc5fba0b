"""What there is at a position, day by day: supply, commitments and what is left for promising.

Nothing here runs over days. A picture is a list of breakpoints: the first is today, a value holds until the next.
Formulas: `A(d) = S(d) - D(d)`, `ATP(d) = max(0, min of A(s) over d <= s < H)` (docs/glossary.md, cumulative ATP with
look-ahead). Past-due receipts count as today's for the item's `past_due_supply_days`, then no more; past-due
commitments count until they are shipped or given back.
"""

from bisect import bisect_left, bisect_right
from itertools import accumulate
from typing import Final, NamedTuple

from services.atp.domain.model import Day, Item, Position, Receipts

UNLIMITED: Final = 10**18  # base units from the checking horizon on; above any sum of quantities that the edge lets in


class Curve(NamedTuple):
    """S, D and A by breakpoint; `available` may be negative and is shown so. `horizon` is H, None if there is none."""

    days: list[Day]
    supply: list[int]
    committed: list[int]
    available: list[int]
    horizon: Day | None


class Room(NamedTuple):
    """What can be taken from each breakpoint up to the next, not clipped at 0."""

    days: list[Day]
    quantities: list[int]

    def at(self, day: Day) -> int:
        """What can be taken on a day, today or later; may be negative."""
        return self.quantities[bisect_right(self.days, day) - 1]


def running_supply(position: Position, item: Item, today: Day) -> Curve:
    """The whole picture of a position, also beyond its checking horizon."""
    coming: dict[Day, int] = {today: position.on_hand - position.buffer}
    for receipts in position.receipts:
        day = max(receipts.day, today)
        coming[day] = coming.get(day, 0) + counted(receipts, item, today)
    going: dict[Day, int] = {}
    for available_day, quantity in position.commitments:
        day = max(available_day, today)
        going[day] = going.get(day, 0) + quantity
    days = sorted(coming | going)
    supply = list(accumulate(coming.get(day, 0) for day in days))
    committed = list(accumulate(going.get(day, 0) for day in days))
    available = [have - owed for have, owed in zip(supply, committed, strict=True)]
    return Curve(days, supply, committed, available, horizon(item, today))


def atp(position: Position, item: Item, today: Day, day: Day) -> int:
    """Cumulative ATP with look-ahead: what can be promised on `day`, if nothing is protected."""
    return max(0, lookahead(changes(position, item, today), item, today).at(day))


def horizon(item: Item, today: Day) -> Day | None:
    """H, the first day on which supply is assumed; None: never."""
    if item.checking_horizon_days is None or item.backorders.policy == "discontinued":
        return None
    return today + item.checking_horizon_days


def counted(receipts: Receipts, item: Item, today: Day) -> int:
    """The part of receipts that counts as supply today."""
    if receipts.day >= today:
        quantity = receipts.confirmed + receipts.assumed
    elif today - receipts.day <= item.past_due_supply_days:
        quantity = receipts.confirmed
    else:
        return 0
    return quantity + receipts.planned if item.planned_receipts_count else quantity


def changes(position: Position, item: Item, today: Day) -> dict[Day, int]:
    """By how much A changes on which day; today holds the opening level."""
    by_day: dict[Day, int] = {today: position.on_hand - position.buffer}
    for receipts in position.receipts:
        day = receipts.day if receipts.day > today else today  # noqa: FURB136  a call of max() costs three times this
        by_day[day] = by_day.get(day, 0) + counted(receipts, item, today)
    for available_day, quantity in position.commitments:
        day = available_day if available_day > today else today  # noqa: FURB136  the same
        by_day[day] = by_day.get(day, 0) - quantity
    return by_day


def lookahead(by_day: dict[Day, int], item: Item, today: Day) -> Room:
    """The least level from each breakpoint on, up to the checking horizon; unlimited beyond it."""
    days = sorted(by_day)
    levels = list(accumulate(map(by_day.__getitem__, days)))
    end = horizon(item, today)
    if end is not None:
        del levels[bisect_left(days, end) :]
        del days[len(levels) :]
    room = lowest_from(levels)
    if end is not None:
        days.append(max(end, today))
        room.append(UNLIMITED)
    return Room(days, room)


def lowest_from(levels: list[int]) -> list[int]:
    """For each place the least of the levels from there to the end."""
    room = list(accumulate(reversed(levels), min))
    room.reverse()
    return room
