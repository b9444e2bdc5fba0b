"""Orders split so that each stays within a limit of one order, or goes around a quota that was reached."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from operator import attrgetter
from typing import NamedTuple

from services.reclassifier.domain.detections import PERCENT, Basis, Detection, Kind, Limits
from services.reclassifier.domain.traces import TierTerms

SECONDS_PER_MINUTE = 60


class Sized(NamedTuple):
    """An order as it stands now, with when it was ordered (seconds since some moment) and how it came.

    `named`: the customer as the source named it, and the channel: another name or channel is another way to a quota.
    """

    owner: str
    at: int
    order: str
    tier: str
    zone: str
    entered_by: str | None
    named: str
    units: int
    value_micros: int
    quota_reached: bool


def split_around_limits(orders: Sequence[Sized], terms: Mapping[str, TierTerms], limits: Limits) -> Iterator[Detection]:
    """Owners with `split_orders_min` orders too many: each close to a limit, close in time, together beyond it."""
    ranked = sorted(orders)
    for owner, own in groupby(ranked, key=attrgetter("owner")):
        rows = list(own)
        for tier in sorted({one.tier for one in rows} & terms.keys()):
            of_tier = [one for one in rows if one.tier == tier]
            for basis, most in _maxima(terms[tier]):
                split = _too_many(of_tier, basis, most, limits)
                if len(split) >= limits.split_orders_min:
                    yield _beyond((owner, tier), basis, most, split, limits)


def _maxima(terms: TierTerms) -> Iterator[tuple[Basis, int]]:
    if terms.order_quantity_max is not None:
        yield Basis.ORDER_QUANTITY, terms.order_quantity_max
    if terms.order_value_max_micros is not None:
        yield Basis.ORDER_VALUE, terms.order_value_max_micros


def _too_many(orders: Sequence[Sized], basis: Basis, most: int, limits: Limits) -> list[Sized]:
    """Those that came after another one to the same zone, too close to it for both to be within the limit as one."""
    near = [one for one in orders if limits.split_near_percent * most <= _size(one, basis) * PERCENT <= most * PERCENT]
    within = limits.split_minutes * SECONDS_PER_MINUTE
    found: list[Sized] = []
    first: dict[str, tuple[Sized, int]] = {}
    for one in near:
        known = first.get(one.zone)
        if known is None or one.at - known[0].at > within:
            first[one.zone] = (one, _size(one, basis))
            continue
        together = known[1] + _size(one, basis)
        first[one.zone] = (known[0], together)
        if together > most:
            found.append(one)
    return found


def _size(one: Sized, basis: Basis) -> int:
    return one.units if basis is Basis.ORDER_QUANTITY else one.value_micros


def split_around_quotas(orders: Sequence[Sized], limits: Limits) -> Iterator[Detection]:
    """Owners of whose orders a quota gave less than was wanted, and that at once ordered there another way.

    Another way is another name of the customer, or channel, or, by the same user, another customer.
    """
    within = limits.split_minutes * SECONDS_PER_MINUTE
    by_zone: dict[str, list[Sized]] = {}
    for one in sorted(orders, key=attrgetter("zone", "at", "owner", "order")):
        by_zone.setdefault(one.zone, []).append(one)
    found: dict[str, dict[Sized, None]] = {}
    for rows in by_zone.values():
        for place, short in enumerate(rows):
            if not short.quota_reached:
                continue
            for later in rows[place + 1 :]:
                if later.at - short.at > within:
                    break
                if _is_another_way(short, later):
                    found.setdefault(short.owner, {})[later] = None
    for owner, around in sorted(found.items()):
        if len(around) >= limits.split_orders_min:
            yield _around(owner, list(around), limits)


def _is_another_way(short: Sized, later: Sized) -> bool:
    same = later.owner == short.owner or (later.entered_by is not None and later.entered_by == short.entered_by)
    return same and later.named != short.named


def _beyond(whose: tuple[str, str], basis: Basis, most: int, split: Sequence[Sized], limits: Limits) -> Detection:
    owner, tier = whose
    word = "quantity" if basis is Basis.ORDER_QUANTITY else "value"
    return Detection(
        Kind.SPLIT_ORDERS,
        basis,
        owner,
        None,
        tier,
        (("orders", len(split)), ("limit_of_one_order", most)),
        _compared(limits),
        f"{len(split)} orders came within {limits.split_minutes} minutes of another one to the same zone, each close"
        f" to the greatest {word} of one order in tier {tier} and together beyond it.",
    )


def _around(owner: str, around: Sequence[Sized], limits: Limits) -> Detection:
    return Detection(
        Kind.SPLIT_ORDERS,
        Basis.QUOTA,
        owner,
        None,
        None,
        (("orders", len(around)),),
        _compared(limits),
        f"{len(around)} orders came, within {limits.split_minutes} minutes of an order that a quota cut short, to the"
        " same zone under another name or channel.",
    )


def _compared(limits: Limits) -> tuple[tuple[str, int], ...]:
    return (
        ("split_orders_min", limits.split_orders_min),
        ("split_minutes", limits.split_minutes),
        ("split_near_percent", limits.split_near_percent),
    )
