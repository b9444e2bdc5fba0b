"""What there is at a position, day by day: supply, commitments and what is left for promising.

Nothing here runs over days. A picture is a list of breakpoints: the first is today, a value holds until the next.
Formulas: `A(d) = S(d) - D(d)`, `ATP(d) = max(0, min of A(s) over d <= s < H)` (docs/glossary.md, cumulative ATP with
look-ahead). Past-due receipts count as today's for the item's `past_due_supply_days`, then no more; past-due
commitments count until they are shipped or given back.

From the checking horizon H on supply is assumed: a promise there brings an assumed receipt of its quantity on its day.
Real receipts that are due there replace it (`still_assumed`). What H reaches, as days go by, is assumed no more: what
nothing real replaced by then is a deficit.
"""

from bisect import bisect_left, bisect_right
from dataclasses import replace
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


class Assumed(NamedTuple):
    """Assumed receipts of a day: what is still assumed, and what real receipts have replaced of it."""

    day: Day
    quantity: int
    replaced: int


class Room(NamedTuple):
    """What can be taken from each breakpoint up to the next, not clipped at 0."""

    days: list[Day]
    quantities: list[int]

    def at(self, day: Day) -> int:
        """What can be taken on a day, today or later; may be negative."""
        return self.quantities[bisect_right(self.days, day) - 1]

    def place(self, day: Day) -> int:
        """The index of the breakpoint from which a day has its room."""
        return bisect_right(self.days, day) - 1

    def most(self, last: Day) -> int:
        """The most that there is room for on any day up to the last one; may be negative, 0 if no day is left."""
        if self.days[-1] <= last:
            return max(self.quantities)
        return max(self.quantities[: bisect_right(self.days, last)], default=0)

    def earliest(self, quantity: int) -> Day:
        """The first day with room for a quantity that some day has room for."""
        index = 0
        while self.quantities[index] < quantity:
            index += 1
        return self.days[index]

    def latest(self, quantity: int, last: Day) -> Day | None:
        """The last day, not after `last`, with room for a quantity."""
        until = last
        for index in range(bisect_right(self.days, last) - 1, -1, -1):
            if self.quantities[index] >= quantity:
                return until
            until = self.days[index] - 1
        return None

    @property
    def turning_days(self) -> list[Day]:
        """The days on which it may change."""
        return self.days


def running_supply(position: Position, item: Item, today: Day) -> Curve:
    """The whole picture of a position, also beyond its checking horizon."""
    coming: dict[Day, int] = {today: opening(position, item)}
    for receipts in position.receipts:
        day = max(receipts.day, today)
        coming[day] = coming.get(day, 0) + counted(receipts, item, today)
    for assumed in still_assumed(position, item, today):
        coming[assumed.day] = coming.get(assumed.day, 0) + assumed.quantity
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
    """The part of receipts that counts as supply today; what is assumed is none, unless it stands."""
    if item.supply_stands:
        return receipts.assumed + counted(receipts, replace(item, supply_stands=False), today)
    if receipts.day < today - item.past_due_supply_days:
        return 0
    return receipts.confirmed + receipts.planned if item.planned_receipts_count else receipts.confirmed


def opening(position: Position, item: Item) -> int:
    """What there is at first. Where supply stands, goods leave that were never received: they take nothing from it."""
    on_hand = max(0, position.on_hand) if item.supply_stands else position.on_hand
    return on_hand - position.buffer


def still_assumed(position: Position, item: Item, today: Day) -> list[Assumed]:
    """What is assumed from the checking horizon on, and what of it real receipts have replaced, ascending by day.

    A real receipt that is due from H on replaces what is assumed for its day or later, the earliest first, as far as
    it is not needed for what is committed without an assumption, or for what lacks before H.
    """
    end = None if item.supply_stands else horizon(item, today)
    assumed = [] if end is None else [(each.day, each.assumed) for each in position.receipts if each.assumed]
    assumed = [(day, quantity) for day, quantity in assumed if end is not None and day >= end]
    if end is None or not assumed:
        return []
    days, levels = _surplus(position, item, today, end)
    found: list[Assumed] = []
    for day, quantity in assumed:
        first = bisect_left(days, day)
        replaced = min(quantity, max(0, min(levels[first:])))
        levels[first:] = [level - replaced for level in levels[first:]]
        found.append(Assumed(day, quantity - replaced, replaced))
    return found


def _surplus(position: Position, item: Item, today: Day, end: Day) -> tuple[list[Day], list[int]]:
    """By day from H on: real receipts due there, less what is committed there without an assumption or lacks before."""
    before, by_day = 0, {end: 0}
    for day, quantity in changes(position, item, today).items():
        if day < end:
            before += quantity
        else:
            by_day[day] = by_day.get(day, 0) + quantity
    for each in position.receipts:
        if each.day >= end:
            by_day[each.day] = by_day.get(each.day, 0) + each.assumed
    by_day[end] += min(0, before)
    days = sorted(by_day)
    return days, list(accumulate(by_day[day] for day in days))


def changes(position: Position, item: Item, today: Day) -> dict[Day, int]:
    """By how much A changes on which day; today holds the opening level."""
    by_day: dict[Day, int] = {today: opening(position, item)}
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
