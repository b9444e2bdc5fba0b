"""Who goes short when there is less than what is committed: deficits, pegged to promises.

Supply is dealt out to the open commitments of a position in order of service. A commitment of q on day d is covered as
far as what is left allows, `min(q, max(0, min of S(s) - dealt(s) over d <= s < H))`; the rest of it is its deficit. So
a deficit falls to those who are served last. Then the first day is looked for on which the whole deficit could be
covered without taking from anybody before it; beyond the checking horizon supply is assumed, so that H is such a day.
An assumed receipt that the horizon has reached is no supply: what nothing real has replaced is a deficit.

Guarantee (tests/property): nobody has a deficit while A(s) is not negative before H; nobody's deficit is changed by
those who rank behind; and where A(s) is negative, at least that many units are pegged by s.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import accumulate
from typing import Generic, TypeVar

from services.atp.domain.model import Day, Item, Position
from services.atp.domain.supply_picture import counted, horizon, lowest_from, opening

Name = TypeVar("Name")


@dataclass(frozen=True, slots=True)
class Owed(Generic[Name]):
    """An open commitment; `place` is its place in the order of service, ascending and unique."""

    name: Name
    place: tuple[object, ...]
    day: Day
    quantity: int


@dataclass(frozen=True, slots=True)
class Deficit(Generic[Name]):
    """What of a commitment is not covered on its day, and the first day on which it would be; None: no day."""

    name: Name
    quantity: int
    covered_on: Day | None


def peg(position: Position, item: Item, today: Day, owed: Iterable[Owed[Name]]) -> list[Deficit[Name]]:
    """The deficits of a position, those served first first. `owed` is all that is open there."""
    commitments = sorted(owed, key=_place)
    days, levels = _supply(position, item, today, [max(each.day, today) for each in commitments])
    end = horizon(item, today)
    found: list[Deficit[Name]] = []
    for each in commitments:
        day = max(each.day, today)
        if end is not None and day >= end:
            continue
        first = bisect_left(days, day)
        room = lowest_from(levels)
        covered = min(each.quantity, max(0, room[first]))
        _deal(levels, first, covered)
        missing = each.quantity - covered
        if missing:
            found.append(Deficit(each.name, missing, _first_cover(days, levels, first, missing, end)))
    return found


def may_lack(position: Position, today: Day) -> bool:
    """Whether more may be committed than there is on some day: never False where it is so, sometimes True where not.

    It needs no item: what only counts by an item's policy (planned, past-due and assumed receipts) is left out.
    """
    changes: dict[Day, int] = {today: position.on_hand - position.buffer}
    for receipts in position.receipts:
        if receipts.day >= today:
            changes[receipts.day] = changes.get(receipts.day, 0) + receipts.confirmed
    for day, quantity in position.commitments:
        changes[max(day, today)] = changes.get(max(day, today), 0) - quantity
    return any(level < 0 for level in accumulate(changes[day] for day in sorted(changes)))


def _supply(position: Position, item: Item, today: Day, days: Iterable[Day]) -> tuple[list[Day], list[int]]:
    """S by day, at every day that matters before the horizon."""
    coming: dict[Day, int] = {today: opening(position, item)}
    for receipts in position.receipts:
        day = max(receipts.day, today)
        coming[day] = coming.get(day, 0) + counted(receipts, item, today)
    for day in days:
        coming.setdefault(day, 0)
    end = horizon(item, today)
    known = sorted(day for day in coming if end is None or day < end)
    return known, list(accumulate(coming[day] for day in known))


def _first_cover(days: list[Day], levels: list[int], first: int, missing: int, end: Day | None) -> Day | None:
    """The first day from which all of what is missing is there to stay; it is dealt out then."""
    place = bisect_right(lowest_from(levels), missing - 1, lo=first)
    if place == len(days):
        return end
    _deal(levels, place, missing)
    return days[place]


def _deal(levels: list[int], first: int, quantity: int) -> None:
    for index in range(first, len(levels)):
        levels[index] -= quantity


def _place(owed: Owed[Name]) -> tuple[object, ...]:
    return owed.place
