"""What protections keep at a position, day by day.

`P(s)` of a protection is its quantity, or its part of gross supply by s: opening stock plus receipts from its start to
min(s, end), never lowered by shipments. The opening stock of the current period is what was on hand at its start (on
hand now, and what has been shipped since); with `carry_stock` that of a future period is what is there by its start,
shipped since the protection is in effect or not; else it is nothing. Parts by percentage are rounded down; ratios share
the whole, rounded down until the last receipt of the period and by largest remainder from then on. So P(s) never falls
as s grows.

For the current period and with `carry_stock` all of P(s) is kept; a future period keeps only what is covered by
receipts due within it, each unit covering one protection, in order of rank, then start. Units cover earliest first, so
that a cover once given does not move as s grows. Assumed receipts cover nothing.

What was consumed is kept no more; nor is what is not expected to be asked for in the rest of the period. Today's part
of that expectation is lowered by what was taken today: else a protection would grow again by what it gives, at the cost
of others (docs/adr/0027-shares-move-with-supply-alone.md). Of nested scopes of one tier the narrowest counts: a
protection for several locations keeps nothing at a position at which one of its own overlaps its period.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from services.atp.domain.fair_share import fair_share
from services.atp.domain.model import Day, Item, Position, Protection, UsageKey
from services.atp.domain.supply_picture import counted

PERCENT: Final = 10_000  # hundredths of a percent in the whole
Steps = list[tuple[Day, int]]  # (day, quantity more kept from that day on)


class Stand(NamedTuple):
    """A position today, with what was taken and shipped so far."""

    position: Position
    item: Item
    today: Day
    usage: Mapping[UsageKey, int]


def is_live(protection: Protection, today: Day) -> bool:
    """Whether a protection still keeps anything: in effect, its period is not over and it has not lapsed."""
    return today <= protection.end - max(0, protection.lapse_days) and not protection.upcoming


def consumed_key(protection: Protection) -> UsageKey:
    """The counter of what was taken under a protection."""
    return UsageKey("protection", protection.protection_id, protection.start)


def shipped_key(protection: Protection) -> UsageKey:
    """The counter of what left the position in the period of a protection that depends on gross supply."""
    return UsageKey("shipped", protection.protection_id, protection.start)


def asked_key(protection: Protection, today: Day) -> UsageKey:
    """The counter of what was taken today of a protection that is re-sized by what is expected."""
    return UsageKey("asked", protection.protection_id, today)


def counts_shipment(protection: Protection, day: Day) -> bool:
    """Whether what leaves the position on a day is still gross supply of a protection."""
    start = protection.start if protection.counts_from is None else protection.counts_from
    return by_gross_supply(protection) and start <= day <= protection.end


def by_gross_supply(protection: Protection) -> bool:
    """Whether what has shipped counts for it: a part of gross supply, or divided over locations by it."""
    return protection.basis != "quantity" or protection.scope > 0


def kept(
    protections: Sequence[Protection], position: Position, item: Item, today: Day, usage: Mapping[UsageKey, int]
) -> Iterator[tuple[Protection, Steps]]:
    """Every protection that is live with the quantity that it keeps, in order of rank, then start."""
    for protection, steps in covered(protections, position, item, today, usage):
        consumed = usage.get(consumed_key(protection), 0) + protection.lowered_by
        yield protection, _within(_beyond(steps, consumed), _expected(protection, today, usage))


def covered(
    protections: Sequence[Protection], position: Position, item: Item, today: Day, usage: Mapping[UsageKey, int]
) -> Iterator[tuple[Protection, Steps]]:
    """P(s) of every protection that is live, as steps, in order of rank, then start."""
    stand = Stand(position, item, today, usage)
    free: dict[Day, int] | None = None
    everyone = sorted(protections, key=_by_rank)
    live = [each for each in everyone if is_live(each, today) and not is_hidden(each, everyone)]
    for protection in live:
        if protection.start <= today or protection.carry_stock:
            yield protection, _target(protection, live, stand)
            continue
        if free is None:
            free = {due.day: counted(due, item, today) for due in position.receipts if due.day > today}
        yield protection, _cover(protection, _target(protection, live, stand), free)


def asked_quantity(protection: Protection, protections: Sequence[Protection], stand: Stand) -> int:
    """What a protection that is live asks for in all, covered or not."""
    live = [each for each in sorted(protections, key=_by_rank) if is_live(each, stand.today)]
    return sum(quantity for _, quantity in _target(protection, live, stand))


def _by_rank(protection: Protection) -> tuple[int, Day, str]:
    return (protection.priority_rank, protection.start, protection.protection_id)


def is_hidden(protection: Protection, everyone: Sequence[Protection]) -> bool:
    """Whether a narrower one of its tier is there in its period."""
    return protection.scope > 0 and any(
        each.scope < protection.scope
        and each.tier == protection.tier
        and not each.upcoming
        and each.start <= protection.end
        and protection.start <= each.end
        for each in everyone
    )


def _target(protection: Protection, live: Sequence[Protection], stand: Stand) -> Steps:
    """P(s) by its document, as steps, without regard to what covers it."""
    if protection.basis == "quantity":
        return [(max(protection.start, stand.today), protection.quantity)]
    gross = gross_supply(protection, stand)
    weights, place = [protection.share], 0
    whole = PERCENT
    if protection.basis == "ratio":
        sharing = [each for each in live if _shares_with(protection, each)]
        weights, place = [each.share for each in sharing], sharing.index(protection)
        whole = sum(weights)
    steps: Steps = []
    total = given = 0
    for day, quantity in gross:
        total += quantity
        part = total * protection.share // whole if whole else 0
        steps.append((day, part - given))
        given = part
    if protection.basis == "ratio" and whole and steps:
        day, last = steps[-1]
        steps[-1] = (day, last + fair_share(total, weights)[place] - given)
    return steps


def _shares_with(protection: Protection, other: Protection) -> bool:
    return other.basis == "ratio" and (
        (other.document_id, other.document_version, other.scope, other.start, other.end)
        == (protection.document_id, protection.document_version, protection.scope, protection.start, protection.end)
    )


def gross_supply(protection: Protection, stand: Stand) -> Steps:
    """Gross supply of the period as steps (day, units more), the opening stock first; see the module."""
    position, item, today, usage = stand
    start, end = protection.start, protection.end
    due = [(each.day, counted(each, item, today)) for each in position.receipts]
    if start <= today:
        shipped = usage.get(shipped_key(protection), 0)
        opening = position.on_hand + shipped + sum(quantity for day, quantity in due if day <= today)
        return [(today, max(0, opening)), *((day, quantity) for day, quantity in due if today < day <= end)]
    opening = 0
    if protection.carry_stock:
        coming = sum(quantity for day, quantity in due if day < start)
        opening = max(0, position.on_hand + usage.get(shipped_key(protection), 0) + coming)
    return [(start, opening), *((day, quantity) for day, quantity in due if start <= day <= end)]


def _expected(protection: Protection, today: Day, usage: Mapping[UsageKey, int]) -> int | None:
    """What is still expected to be asked for: even over the period's days, rounded up, less what was taken today."""
    if protection.expected is None:
        return None
    days = protection.end - protection.start + 1
    left = protection.end - max(protection.start, today) + 1
    expected = -(-protection.expected * left // days)
    return max(0, expected - usage.get(asked_key(protection, today), 0))


def _cover(protection: Protection, target: Steps, free: dict[Day, int]) -> Steps:
    """Take from the receipts that are not covering yet, earliest first, what a future period is covered by."""
    cover: Steps = []
    wanted = 0
    raised: dict[Day, int] = {}
    for day, quantity in target:
        raised[day] = raised.get(day, 0) + quantity
    for day in sorted({**free, **raised}):
        wanted += raised.get(day, 0)
        taken = 0
        for due in sorted(free):
            if protection.start <= due <= min(day, protection.end) and wanted > 0 and free[due] > 0:
                part = min(wanted, free[due])
                free[due] -= part
                wanted -= part
                taken += part
        if taken:
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


def _within(steps: Steps, most: int | None) -> Steps:
    """The steps of min(most, what the steps add up to)."""
    if most is None:
        return steps
    limited: Steps = []
    for day, quantity in steps:
        part = min(quantity, most)
        most -= part
        if part:
            limited.append((day, part))
    return limited
