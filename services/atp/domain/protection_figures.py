"""What protections at a position are worth today: asked for, given, still kept, lapsed, and not covered by supply.

A future period keeps what is covered by receipts due within it; what its document asks beyond them is uncovered. Of the
current period, and with `carry_stock`, all is kept; uncovered is what the position could not give of it by its last
day. There each unit covers one protection, in order of rank, then start, as everywhere.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from services.atp.domain.model import Day, Item, Position, Protection, UsageKey
from services.atp.domain.protected_supply import (
    Stand,
    Steps,
    asked_quantity,
    consumed_key,
    covered,
    is_hidden,
    is_live,
    kept,
)
from services.atp.domain.supply_picture import changes, horizon, lookahead

NO_LAPSE = 0


class Figures(NamedTuple):
    """Units. `protected` is what the document asks for in the whole period, `remaining` what is still kept of it."""

    protected: int
    consumed: int
    remaining: int
    lapsed: int
    uncovered: int


def figures(
    protections: Sequence[Protection], position: Position, item: Item, today: Day, usage: Mapping[UsageKey, int]
) -> list[tuple[Protection, Figures]]:
    """The figures of each protection at a position, in its order; all must be of this position."""
    stand = Stand(position, item, today, usage)
    live = {_name(each): steps for each, steps in kept(protections, position, item, today, usage)}
    uncovered = _uncovered(protections, stand)
    found = []
    for protection in protections:
        consumed = usage.get(consumed_key(protection), 0)
        asked = _asked(protection, protections, stand)
        remaining = sum(quantity for _, quantity in live.get(_name(protection), ()))
        over = not is_live(protection, today) and not protection.upcoming and protection.start <= today
        lapsed = max(0, asked - consumed) if over else 0
        found.append((protection, Figures(asked, consumed, remaining, lapsed, uncovered.get(_name(protection), 0))))
    return found


def _name(protection: Protection) -> tuple[str, Day]:
    return (protection.protection_id, protection.start)


def _asked(protection: Protection, protections: Sequence[Protection], stand: Stand) -> int:
    """What a document asks for here, lapsed or not; nothing where a narrower line counts or the period is over."""
    if is_hidden(protection, protections):
        return 0
    if protection.basis == "quantity":
        return protection.quantity
    if protection.end < stand.today:
        return stand.usage.get(consumed_key(protection), 0)  # of a part of gross supply nothing else is known any more
    awake = [replace(each, lapse_days=NO_LAPSE, upcoming=False) for each in protections]
    return asked_quantity(replace(protection, lapse_days=NO_LAPSE, upcoming=False), awake, stand)


def _uncovered(protections: Sequence[Protection], stand: Stand) -> dict[tuple[str, Day], int]:
    position, item, today, usage = stand
    by_day = changes(position, item, today)
    end = horizon(item, today)
    found: dict[tuple[str, Day], int] = {}
    covers = {_name(each): steps for each, steps in covered(protections, position, item, today, usage)}
    for protection, steps in kept(protections, position, item, today, usage):
        if protection.start > today and not protection.carry_stock:
            given = sum(quantity for _, quantity in covers[_name(protection)])
            found[_name(protection)] = max(0, _asked(protection, protections, stand) - given)
            continue
        last = protection.end if end is None else min(protection.end, end - 1)
        room = max(0, lookahead(by_day, item, today).at(max(last, today)))
        wanted = sum(quantity for _, quantity in steps)
        found[_name(protection)] = max(0, wanted - room)
        _take(by_day, steps, room)
    return found


def _take(by_day: dict[Day, int], steps: Steps, most: int) -> None:
    """Take what is covered off the picture, so that it covers nobody else."""
    for day, quantity in steps:
        part = min(quantity, most)
        most -= part
        by_day[day] = by_day.get(day, 0) - part
