"""Who may take what: protections, quotas, hierarchies and freed stock that is kept for those who wait.

`Confirmable(k, d) = max(0, min of A(s) - R_k(s, d) over d <= s < H)`, where R_k(s, d) is what protections keep from
tier k. A protection that has not lapsed keeps its remaining quantity, max(0, P(s) - consumed), from its first day on:
in prioritised mode from the tiers that rank behind its own, in core mode from all others and from its own tier for
days outside its period; an unconsumable one from everybody. What P(s) is, `services.atp.domain.protected_supply` says;
what strict privilege takes off, `services.atp.domain.strict_privilege`; quotas and hierarchies are the ceilings of
`services.atp.domain.ceilings`; what an item's stricter rule offers, `services.atp.domain.promising_rules`.

Guarantee (tests/property): what a tier may still take under its protection is not lowered by the decision for a tier
that the protection restricts, where all protections of a position have one mode; and shipping what was promised
changes nothing for anybody.
"""

from services.atp.domain.ceilings import ceilings_for, lefts, quota_key
from services.atp.domain.leads import lead_of_tier, waiting_ahead
from services.atp.domain.made_to_order import item_at
from services.atp.domain.model import (
    Book,
    Day,
    Item,
    PositionKey,
    Protection,
    Quota,
    Request,
    RequestLine,
    Tier,
    UsageKey,
)
from services.atp.domain.promising_rules import is_stricter, offered
from services.atp.domain.protected_supply import Steps, consumed_key, kept
from services.atp.domain.service_rule import ServicePlace
from services.atp.domain.set_aside import AFTER_ALL, kept_ahead
from services.atp.domain.strict_privilege import Kept, is_own, privileged, restricts_others
from services.atp.domain.supply_picture import Room, changes, horizon, lookahead


def confirmable(book: Book, key: PositionKey, item: Item, tier: Tier, day: Day) -> int:
    """What a new request of a tier may take at a position on a day (today or later), quotas aside."""
    return max(0, room_for(book, key, item, tier).at(day))


def room_for(
    book: Book,
    key: PositionKey,
    item: Item,
    tier: Tier,
    *,
    behind_waiting: bool = True,
    channel: str | None = None,
    place: ServicePlace | None = None,
) -> Room:
    """`confirmable` for all days at once, not clipped at 0. Whoever is served in turn is not behind those who wait.

    Without a channel nothing is kept from one. `place` is the request's place in the order of service; None: that of an
    order of the tier that comes today and has nothing else to it, or, for whoever is served in turn, before all others.
    """
    if book.assumed_from:
        item = item_at(book, key.location_id, item)
    held = 0 if channel is None else book.positions[key].kept_from(channel)
    position = book.positions[key]
    aside: Steps = []
    if position.waiting or position.set_aside:
        if behind_waiting:
            place = place or (lead_of_tier(book.service, tier, book.today, channel), AFTER_ALL, "", "", "")
            held += waiting_ahead(position, book.service, place[0])
        if place is not None and position.set_aside:
            aside = kept_ahead(position, book.service, book.today, place)
    room = _of_supply(book, key, item, tier, [(book.today, held), *aside])
    if not is_stricter(item):
        return room
    free = lookahead(changes(position, item, book.today), item, book.today)
    return offered(room, free, position, item, book.today)


def _of_supply(book: Book, key: PositionKey, item: Item, tier: Tier, held: Steps) -> Room:
    """What cumulative ATP leaves for a tier, without what is held back from its channel or for those who wait ahead."""
    position = book.positions[key]
    by_day = changes(position, item, book.today)
    _lower(by_day, held)
    protections = book.protections.get(key)
    if not protections:
        return lookahead(by_day, item, book.today)
    everyone = list(kept(protections, position, item, book.today, book.usage))
    levels = dict(by_day) if any(each.strict for each, _ in everyone) else None
    own: list[tuple[Protection, Steps]] = []
    for protection, steps in everyone:
        if is_own(protection, tier):
            if protection.mode == "core":
                own.append((protection, steps))
        elif restricts_others(protection, tier):
            _lower(by_day, steps)
    room = _outside_own_periods(by_day, own, item, book.today) if own else lookahead(by_day, item, book.today)
    return room if levels is None else privileged(room, Kept(levels, everyone), tier, item, book.today)


def remaining(book: Book, protection: Protection, item: Item, day: Day) -> int:
    """What a protection still keeps on a day: 0 before its period, after its lapse and when it is used up."""
    position = book.positions[protection.key]
    everyone = book.protections.get(protection.key, ())
    for each, steps in kept(everyone, position, item, book.today, book.usage):
        if each.protection_id == protection.protection_id and each.start == protection.start:
            return sum(quantity for start, quantity in steps if start <= day)
    return 0


def usage_of(limit: Protection | Quota) -> UsageKey:
    """The counter of a protection or quota."""
    return consumed_key(limit) if isinstance(limit, Protection) else quota_key(limit)


def quota_left(book: Book, request: Request, line: RequestLine, day: Day) -> int | None:
    """The least that any matching quota or hierarchy leaves for a day; None: none limits it."""
    ceilings = ceilings_for(book, request, book.items[line.item_id])
    return min((left for _, left in lefts(ceilings, book.usage, day)), default=None)


def _lower(by_day: dict[Day, int], steps: Steps) -> None:
    for day, quantity in steps:
        by_day[day] = by_day.get(day, 0) - quantity


def _outside_own_periods(by_day: dict[Day, int], own: list[tuple[Protection, Steps]], item: Item, today: Day) -> Room:
    """Core mode for the tier itself: on a day in one of its periods all its other periods restrict it, else all do."""
    end = horizon(item, today)
    for protection, steps in own:
        for edge in (*(day for day, _ in steps), protection.start, protection.end + 1):
            by_day.setdefault(max(edge, today), 0)
    days, quantities = _but(by_day, own, None, item, today)
    for protection, _ in own:
        _, inside = _but(by_day, own, protection, item, today)
        for index, day in enumerate(days):
            if protection.start <= day <= protection.end and (end is None or day < end):
                quantities[index] = inside[index]
    return Room(days, quantities)


def _but(
    by_day: dict[Day, int], own: list[tuple[Protection, Steps]], spared: Protection | None, item: Item, today: Day
) -> Room:
    lowered = dict(by_day)
    for protection, steps in own:
        if protection is not spared:
            _lower(lowered, steps)
    return lookahead(lowered, item, today)
