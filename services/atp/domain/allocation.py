"""Who may take what: protections, quotas and freed stock that is kept for those who wait.

`Confirmable(k, d) = max(0, min of A(s) - R_k(s, d) over d <= s < H)`, where R_k(s, d) is what protections keep from
tier k. A protection that has not lapsed keeps its remaining quantity, max(0, P(s) - consumed), from its first day on:
in prioritised mode from the tiers that rank behind its own, in core mode from all others and from its own tier for
days outside its period. P(s) is the protected quantity for the current period and with `carry_stock`; a future period
keeps only what is covered by receipts due within it, each unit covering one protection, in order of rank, then start.
Units cover earliest first, so that a cover once given does not move as s grows. Assumed receipts cover nothing.

Guarantee (tests/property): what a tier may still take under its protection is not lowered by the decision for a tier
that the protection restricts, where all protections of a position have one mode; and shipping what was promised
changes nothing for anybody.
"""

from collections.abc import Iterator, Mapping, Sequence

from services.atp.domain.model import (
    Book,
    Day,
    Item,
    Position,
    PositionKey,
    Protection,
    Quota,
    Request,
    RequestLine,
    Tier,
    UsageKey,
)
from services.atp.domain.supply_picture import Room, changes, counted, horizon, lookahead

Steps = list[tuple[Day, int]]  # (day, quantity more kept from that day on)


def confirmable(book: Book, key: PositionKey, item: Item, tier: Tier, day: Day) -> int:
    """What a new request of a tier may take at a position on a day (today or later), quotas aside."""
    return max(0, room_for(book, key, item, tier).at(day))


def room_for(book: Book, key: PositionKey, item: Item, tier: Tier, *, behind_waiting: bool = True) -> Room:
    """`confirmable` for all days at once, not clipped at 0. Whoever is served in turn is not behind those who wait."""
    position = book.positions[key]
    by_day = changes(position, item, book.today)
    if behind_waiting and position.waiting:
        by_day[book.today] -= sum(quantity for rank, quantity in position.waiting if rank <= tier.priority_rank)
    protections = book.protections.get(key)
    if not protections:
        return lookahead(by_day, item, book.today)
    own: list[tuple[Protection, Steps]] = []
    for protection, steps in kept(protections, position, item, book.today, book.usage):
        if protection.tier == tier.tier:
            if protection.mode == "core":
                own.append((protection, steps))
        elif _restricts_others(protection, tier):
            _lower(by_day, steps)
    return _outside_own_periods(by_day, own, item, book.today) if own else lookahead(by_day, item, book.today)


def remaining(book: Book, protection: Protection, item: Item, day: Day) -> int:
    """What a protection still keeps on a day: 0 before its period, after its lapse and when it is used up."""
    position = book.positions[protection.key]
    everyone = book.protections.get(protection.key, ())
    for each, steps in kept(everyone, position, item, book.today, book.usage):
        if each.protection_id == protection.protection_id and each.start == protection.start:
            return sum(quantity for start, quantity in steps if start <= day)
    return 0


def is_live(protection: Protection, today: Day) -> bool:
    """Whether a protection still keeps anything: its period is not over and it has not lapsed."""
    return today <= protection.end - max(0, protection.lapse_days)


def kept(
    protections: Sequence[Protection], position: Position, item: Item, today: Day, usage: Mapping[UsageKey, int]
) -> Iterator[tuple[Protection, Steps]]:
    """Every protection that is live with the quantity that it keeps, in order of rank, then start."""
    free: dict[Day, int] | None = None
    for protection in sorted(protections, key=_by_rank):
        if not is_live(protection, today):
            continue
        consumed = usage.get(usage_of(protection), 0)
        if protection.start <= today or protection.carry_stock:
            rest = protection.quantity - consumed
            yield protection, [(max(protection.start, today), rest)] if rest > 0 else []
            continue
        if free is None:
            free = {due.day: counted(due, item, today) - due.assumed for due in position.receipts if due.day > today}
        yield protection, _beyond(_cover(protection, free), consumed)


def restricts(protection: Protection, tier: Tier, day: Day) -> bool:
    """Whether what a protection keeps is kept from a tier that asks for a day."""
    if protection.tier == tier.tier:
        return protection.mode == "core" and not protection.start <= day <= protection.end
    return _restricts_others(protection, tier)


def usage_of(limit: Protection | Quota) -> UsageKey:
    """The counter of a protection or quota."""
    if isinstance(limit, Protection):
        return UsageKey("protection", limit.protection_id, limit.start)
    return UsageKey("quota", limit.quota_id, limit.start)


def matching_quotas(book: Book, request: Request, item_id: str) -> list[Quota]:
    """The quotas that a request for an item has to pass, closed periods left out."""
    matching = [
        quota
        for quota in book.quotas
        if quota.end >= book.today
        and quota.item_id in (None, item_id)
        and quota.tier in (None, request.tier.tier)
        and quota.zone in (None, request.zone)
        and quota.channel in (None, request.channel)
    ]
    return sorted(matching, key=usage_of)


def quota_left(book: Book, request: Request, line: RequestLine, day: Day) -> int | None:
    """The least that any matching quota leaves for a day; None: no quota matches."""
    quotas = matching_quotas(book, request, line.item_id)
    return min((left for _, left in quotas_left(book, quotas, day)), default=None)


def within_quotas(room: Room, book: Book, quotas: Sequence[Quota]) -> Room:
    """The room that quotas leave of a room: nowhere more, and less in the periods of quotas that are nearly used up."""
    edges = [*room.days, *(quota.start for quota in quotas), *(quota.end + 1 for quota in quotas)]
    days = sorted(dict.fromkeys(day for day in edges if day >= book.today))
    lefts = [(quota.start, quota.end, _left(book, quota)) for quota in quotas]
    quantities = [min([room.at(day), *(left for start, end, left in lefts if start <= day <= end)]) for day in days]
    return Room(days, quantities)


def quotas_left(book: Book, quotas: Sequence[Quota], day: Day) -> list[tuple[str, int]]:
    """What each of the quotas leaves for a day, those whose period does not contain it left out."""
    return [(quota.quota_id, _left(book, quota)) for quota in quotas if quota.start <= day <= quota.end]


def _left(book: Book, quota: Quota) -> int:
    return max(0, quota.quantity - book.usage.get(usage_of(quota), 0))


def _by_rank(protection: Protection) -> tuple[int, Day, str]:
    return (protection.priority_rank, protection.start, protection.protection_id)


def _restricts_others(protection: Protection, tier: Tier) -> bool:
    return protection.mode == "core" or protection.priority_rank < tier.priority_rank


def _cover(protection: Protection, free: dict[Day, int]) -> Steps:
    """Take from the receipts that are not covering yet, earliest first, what a future period is covered by."""
    need = protection.quantity
    cover: Steps = []
    for day in sorted(free):
        if protection.start <= day <= protection.end and need > 0 and free[day] > 0:
            taken = min(need, free[day])
            free[day] -= taken
            need -= taken
            cover.append((day, taken))
    return cover


def _beyond(cover: Steps, consumed: int) -> Steps:
    """The steps of max(0, P(s) - consumed), given those of P(s)."""
    steps: Steps = []
    for day, quantity in cover:
        used = min(consumed, quantity)
        consumed -= used
        if quantity > used:
            steps.append((day, quantity - used))
    return steps


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
