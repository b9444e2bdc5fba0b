"""What is set aside at a position for old backorders that take all that they need or nothing, and whom it is kept from.

What is set aside is no commitment: nobody is promised anything by it. It lowers what those behind it in the order of
service may take, from the day on which it is there; those before it take as if it were not. It counts on the days that
the rule gives it and no longer, whether or not anybody has looked at the position since, and is never more than there
is: so whoever gives something back, to have it planned anew, finds it again.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from services.atp.domain.model import Day, Item, Position, Request
from services.atp.domain.service_rule import ServicePlace, ServiceRule, SetAside
from services.atp.domain.supply_picture import Room, changes, horizon, lookahead

SET_ASIDE_MAX: Final = 16  # orders at a position: its row is read by every decision; the others come after them
AFTER_ALL: Final = "\uffff"  # after every text of a place
NEVER: Final = 10**7  # a day after all others
Steps = tuple[tuple[Day, int], ...]


def window(rule: ServiceRule, request: Request) -> tuple[Day, Day] | None:
    """The first and the last day on which stock is set aside for an order; None: on none."""
    if rule.set_aside is None:
        return None
    tier = request.tier.tier
    after = next((days for name, days in rule.set_aside.tiers if name == tier), rule.set_aside.after_days)
    if after is None:
        return None
    first = request.ordered_day + after
    return first, first + rule.set_aside.lasts_days - 1


def in_force(position: Position, rule: ServiceRule, today: Day) -> list[SetAside]:
    """What is set aside at a position today, in order of service."""
    return [] if rule.set_aside is None else [each for each in position.set_aside if today <= each.through]


def kept_ahead(position: Position, rule: ServiceRule, today: Day, place: ServicePlace) -> list[tuple[Day, int]]:
    """What is kept at a position from whoever has a place: what is set aside for others before it.

    What stands under the key of a former rule is before everybody, until it has a new one.
    """
    return [
        (day if day > today else today, quantity)  # noqa: FURB136  as in the supply picture
        for each in in_force(position, rule, today)
        if not each.is_for(place) and (each.basis != rule.basis or each.place < place)
        for day, quantity in each.steps
    ]


def steps_of(room: Room, need: int, last: Day) -> Steps:
    """As much of a room as is needed, from the first day on which it is there; `last`: the last day that helps."""
    steps: list[tuple[Day, int]] = []
    taken = 0
    for day, quantity in zip(room.days, room.quantities, strict=True):
        more = min(quantity, need) - taken
        if more > 0 and day <= last:
            steps.append((day, more))
            taken += more
    return tuple(steps)


def with_set_aside(position: Position, own: SetAside | None, place: ServicePlace) -> tuple[SetAside, ...]:
    """What is set aside at a position, with this for who has a place instead of what was; the first as may be."""
    others = [each for each in position.set_aside if not each.is_for(place)]
    return tuple(sorted([*others, own] if own is not None else others)[:SET_ASIDE_MAX])


def lowered(steps: Steps, most: int) -> Steps:
    """The first units of steps, at most so many."""
    kept: list[tuple[Day, int]] = []
    for day, quantity in steps:
        part = min(quantity, most)
        if part > 0:
            kept.append((day, part))
            most -= part
    return tuple(kept)


def within_supply(position: Position, item: Item | None, today: Day) -> tuple[SetAside, ...]:
    """What is set aside, as far as there is so much left, by every day; those first in order of service keep theirs."""
    if item is None:
        return ()
    end = horizon(item, today)
    by_day = changes(position, item, today)
    kept: list[SetAside] = []
    for each in position.set_aside:
        last = NEVER if end is None else end - 1
        left = steps_of(lookahead(by_day, item, today), each.units, last)
        steps = _both(each.steps, left, today)
        if steps:
            kept.append(each._replace(steps=steps))
            for day, quantity in steps:
                by_day[day] = by_day.get(day, 0) - quantity
    return tuple(kept)


def as_committed(position: Position) -> Position:
    """A position as if what is set aside were promised: where it may lack then, more may be set aside than there is."""
    kept = [step for each in position.set_aside for step in each.steps]
    return replace(position, commitments=tuple(sorted((*position.commitments, *kept))))


def _both(asked: Steps, left: Steps, today: Day) -> Steps:
    """No more by any day than either of two."""
    asked = tuple((max(day, today), quantity) for day, quantity in asked)
    steps: list[tuple[Day, int]] = []
    taken = 0
    for day in sorted({day for day, _ in (*asked, *left)}):
        more = min(_by(asked, day), _by(left, day)) - taken
        if more > 0:
            steps.append((day, more))
            taken += more
    return tuple(steps)


def _by(steps: Iterable[tuple[Day, int]], day: Day) -> int:
    return sum([quantity for start, quantity in steps if start <= day])
