"""Bookable daily capacity: how many units may leave a location on a ship day, and what of it a tier may take.

    left(k, s) = capacity(s) - booked(s) - sum of what is kept on s from tier k
    kept       = max(0, share - booked by its tier), unless the share has lapsed: today > s - lapse_days

As protections keep stock: in prioritised mode a share is kept from the tiers that rank behind its own, in core mode
from all others. A quantity is limited by every capacity of its location that matches its service: the service's own and
the one of all services together. Days are independent of one another: nothing is carried over, so that a day may be
full and the next one free. What is booked counts on its ship day and is given back with the quantity; shipment gives
nothing back.
"""

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import replace
from itertools import accumulate
from typing import Final

from services.atp.domain.model import Book, Capacity, CapacityShare, Day, Offer, Tier, UsageKey

_WEEK: Final = 7


def limiting(book: Book, offer: Offer) -> tuple[Capacity, ...]:
    """The capacities that limit what leaves by an offer, in their order at the location."""
    return limiting_at(book, offer.location_id, offer.service) if book.capacities else ()


def limiting_at(book: Book, location_id: str, service: str) -> tuple[Capacity, ...]:
    """The capacities that limit what leaves a location by a service."""
    found = book.capacities.get(location_id, ())
    return tuple([each for each in found if each.service is None or each.service == service])


def units_on(capacity: Capacity, ship_day: Day) -> int:
    """What may leave on a day in all."""
    exceptions = capacity.exceptions
    place = bisect_left(exceptions, (ship_day,))
    if place < len(exceptions) and exceptions[place][0] == ship_day:
        return exceptions[place][1]
    return capacity.weekdays[(ship_day - 1) % _WEEK]  # day 1 was a Monday


def most_on_any_day(capacity: Capacity) -> int:
    """What may leave on the day on which most may."""
    return max(*capacity.weekdays, *[units for _, units in capacity.exceptions])


def with_more(capacity: Capacity, ship_day: Day, units: int) -> Capacity:
    """A capacity of so many units more on one day."""
    others = [each for each in capacity.exceptions if each[0] != ship_day]
    raised = (ship_day, units_on(capacity, ship_day) + units)
    return replace(capacity, exceptions=tuple(sorted([*others, raised])))


def booked_key(capacity: Capacity, ship_day: Day) -> UsageKey:
    """The counter of all that leaves on a day."""
    return UsageKey("capacity", capacity.capacity_id, ship_day)


def booked_by_tier_key(capacity: Capacity, tier: str, ship_day: Day) -> UsageKey:
    """The counter of what leaves on a day for a tier that has a share."""
    return UsageKey("capacity", f"{capacity.capacity_id}/{tier}", ship_day)


def counted_by(capacity: Capacity, tier: str, ship_day: Day) -> list[UsageKey]:
    """The counters of what leaves on a day for a tier."""
    keys = [booked_key(capacity, ship_day)]
    if any(share.tier == tier for share in capacity.shares):
        keys.append(booked_by_tier_key(capacity, tier, ship_day))
    return keys


def kept_from(capacity: Capacity, share: CapacityShare, tier: Tier, day: Day, usage: Mapping[UsageKey, int]) -> int:
    """What a share that has not lapsed keeps from a tier on a ship day."""
    if share.tier == tier.tier or (share.mode == "prioritised" and share.priority_rank >= tier.priority_rank):
        return 0
    return max(0, share.quantity - usage.get(booked_by_tier_key(capacity, share.tier, day), 0))


def left_for(capacity: Capacity, tier: Tier, ship_day: Day, today: Day, usage: Mapping[UsageKey, int]) -> int:
    """What a tier may still take on a ship day, not clipped at 0."""
    left = units_on(capacity, ship_day) - usage.get(booked_key(capacity, ship_day), 0)
    for share in capacity.shares:
        if today <= ship_day - max(0, share.lapse_days):
            left -= kept_from(capacity, share, tier, ship_day, usage)
    return left


def leaving_by(book: Book, location_id: str, tier: Tier, days: int) -> list[int]:
    """What a tier may still let leave a location by all services, by each of so many days from today on; cumulative.

    Empty where nothing limits all services together.
    """
    whole = [each for each in book.capacities.get(location_id, ()) if each.service is None]
    if not whole:
        return []
    lefts = [
        min(max(0, left_for(each, tier, day, book.today, book.usage)) for each in whole)
        for day in range(book.today, book.today + days)
    ]
    return list(accumulate(lefts))


def keeper(capacity: Capacity, tier: Tier, ship_day: Day, today: Day, usage: Mapping[UsageKey, int]) -> str | None:
    """The tier for which most is kept from another one on a ship day; None: nothing is."""
    kept = [
        (-kept_from(capacity, share, tier, ship_day, usage), share.priority_rank, share.tier)
        for share in capacity.shares
        if today <= ship_day - max(0, share.lapse_days)
    ]
    most = min(kept, default=(0, 0, ""))
    return most[2] if most[0] < 0 else None
