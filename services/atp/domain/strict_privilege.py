"""Strict privilege: beyond its own protection a request is restricted by all strict protections, its own among them.

Of a request for d, p = min(q, own remaining at d) is checked by the rule of its tier; the rest, after p is taken, is
checked against the remaining of every protection that is strict or restricts the tier by its mode. So a tier that has
used up what is protected for it takes no part in what is kept for the tiers behind it.
"""

from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import NamedTuple

from services.atp.domain.model import Day, Item, Protection, Tier
from services.atp.domain.protected_supply import Steps
from services.atp.domain.supply_picture import Room, horizon, lowest_from


def restricts(protection: Protection, tier: Tier, day: Day) -> bool:
    """Whether what a protection keeps is, by its mode, kept from a tier that asks for a day."""
    if is_own(protection, tier):
        return protection.mode == "core" and not protection.start <= day <= protection.end
    return restricts_others(protection, tier)


def is_own(protection: Protection, tier: Tier) -> bool:
    """Whether a protection is the tier's own; an unconsumable one is nobody's."""
    return protection.tier == tier.tier and not protection.unconsumable


def restricts_others(protection: Protection, tier: Tier) -> bool:
    """Whether a protection that is not the tier's own is kept from it."""
    return protection.mode == "core" or protection.unconsumable or protection.priority_rank < tier.priority_rank


class Kept(NamedTuple):
    """A position before protections (by how much A changes on which day), and what each live one keeps of it."""

    levels: Mapping[Day, int]
    everyone: Sequence[tuple[Protection, Steps]]


def privileged(room: Room, kept: Kept, tier: Tier, item: Item, today: Day) -> Room:
    """A room by the tier's rule, lowered to what strict privilege leaves."""
    end = horizon(item, today)
    edges = [day for each, steps in kept.everyone for day in (each.start, each.end + 1, *(day for day, _ in steps))]
    days = sorted(dict.fromkeys(day for day in (*room.days, *kept.levels, *edges) if day >= today))
    beyond = [end is not None and day >= end for day in days]
    quantities = [
        room.at(day) if far else _allowed(room.at(day), kept, tier, day, end)
        for day, far in zip(days, beyond, strict=True)
    ]
    return Room(days, quantities)


def _allowed(by_rule: int, kept: Kept, tier: Tier, day: Day, end: Day | None) -> int:
    """p, and what the rest may be, on one day."""
    own = [steps for each, steps in kept.everyone if _privileges(each, tier, day)]
    privilege = sum(quantity for steps in own for start, quantity in steps if start <= day)
    if by_rule <= privilege:
        return by_rule
    changes = dict(kept.levels)
    for each, steps in kept.everyone:
        if not (each.strict or restricts(each, tier, day)):
            continue
        used = privilege if _privileges(each, tier, day) else 0
        for start, quantity in steps:
            part = min(used, quantity)
            used -= part
            changes[start] = changes.get(start, 0) - (quantity - part)
    days = sorted(each for each in changes if end is None or each < end)
    lowest = lowest_from(list(accumulate(changes[each] for each in days)))
    place = max(index for index, each in enumerate(days) if each <= day)
    return privilege + max(0, min(by_rule, lowest[place]) - privilege)


def _privileges(protection: Protection, tier: Tier, day: Day) -> bool:
    return is_own(protection, tier) and protection.start <= day <= protection.end
