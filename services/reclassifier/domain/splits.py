"""Orders split so that each stays within a limit of one order, or goes around a quota that was reached."""

from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import groupby, takewhile
from operator import attrgetter
from typing import Final, NamedTuple

from services.reclassifier.domain.detections import PERCENT, Basis, Detection, Kind, Limits, rarer_than
from services.reclassifier.domain.traces import TierTerms

SECONDS_PER_MINUTE = 60
USUAL_ORDERS: Final = 100  # fewer of the same users' orders say too little alone of what is usual
FOLLOWED_MAX: Final = 20  # last orders of a customer or user in a zone that a later one may follow


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

    Another way is another name of the customer, or channel, or, by the same user, another customer. Who orders in
    several ways all day, or for many, does so also after orders that no quota cut short: it is a detection only if
    such orders follow those cut short `split_times` as often as the same user's others to the same zone, and that so
    many do would come about by chance less than once in `split_chance_one_in`. Given how many follow at all, how many
    of them follow the orders cut short is binomial (Przyborowski and Wilenski, Biometrika 31, 1940).
    """
    followed = _Followed(_concerned(orders), limits)
    for owner, around in sorted(followed.around.items()):
        if len(around) >= limits.split_orders_min and followed.is_more_than_usual(owner, limits):
            yield _around(owner, around, followed, limits)


def _concerned(orders: Sequence[Sized]) -> list[Sized]:
    """Those of customers and users of whose orders a quota cut any short."""
    owners = {one.owner for one in orders if one.quota_reached}
    users = {one.entered_by for one in orders if one.quota_reached and one.entered_by is not None}
    return [one for one in orders if one.owner in owners or one.entered_by in users]


class _Follows(NamedTuple):
    """Orders, and how many orders came soon after one of them, there, another way."""

    orders: int = 0
    followers: int = 0

    def plus(self, orders: int, followers: int) -> "_Follows":
        """With these."""
        return _Follows(self.orders + orders, self.followers + followers)


class _Followed:
    """What came after orders that a quota cut short, by owner; and after others, by who entered them and zone."""

    def __init__(self, orders: Sequence[Sized], limits: Limits) -> None:
        self.around: dict[str, dict[Sized, None]] = {}
        self._short: dict[str, int] = {}
        self._places: dict[str, set[tuple[str, str]]] = {}
        self._usual: dict[tuple[str, str], _Follows] = {}
        self._after_short: set[Sized] = set()
        ranked = sorted(orders, key=attrgetter("zone", "at", "owner", "order"))
        for before, later in _pairs(ranked, limits):
            if before.quota_reached:
                self.around.setdefault(before.owner, {})[later] = None
                self._after_short.add(later)
        for one in ranked:
            self._count(one, 1, 0)
            if one.quota_reached:
                self._short[one.owner] = self._short.get(one.owner, 0) + 1
                self._places.setdefault(one.owner, set()).add(_place(one))
        for before, _ in _pairs(ranked, limits):
            self._count(before, 0, 1)
        shares = sorted(-(-each.followers * USUAL_ORDERS // each.orders) for each in self._usual.values())
        self._anybodys = shares[len(shares) // 2] if shares else 0  # the median: a few who order all day are not usual

    def usual(self, owner: str) -> _Follows:
        """Of others by the same users there; what they lack of `USUAL_ORDERS` as by the median of users and zones."""
        found = _Follows()
        for place in self._places[owner]:
            found = found.plus(*self._usual.get(place, _Follows()))
        lacking = max(0, USUAL_ORDERS - found.orders)
        return found.plus(lacking, -(-lacking * self._anybodys // USUAL_ORDERS))

    def is_more_than_usual(self, owner: str, limits: Limits) -> bool:
        """Whether more follow the owner's orders cut short than follow others."""
        short, around, usual = self._short[owner], len(self.around[owner]), self.usual(owner)
        if around * usual.orders < limits.split_times * usual.followers * short:
            return False
        return rarer_than(limits.split_chance_one_in, around, around + usual.followers, short, short + usual.orders)

    def short(self, owner: str) -> int:
        """How many orders of the owner a quota cut short."""
        return self._short[owner]

    def _count(self, one: Sized, orders: int, followers: int) -> None:
        """Count for what is usual; what follows an order cut short may be part of going around, and says nothing."""
        if one.quota_reached or one in self._after_short:
            return
        self._usual[_place(one)] = self._usual.get(_place(one), _Follows()).plus(orders, followers)


def _place(one: Sized) -> tuple[str, str]:
    """Who entered it, the customer where nobody is named, and where it goes."""
    return (f"customer {one.owner}" if one.entered_by is None else f"user {one.entered_by}", one.zone)


def _pairs(ranked: Iterable[Sized], limits: Limits) -> Iterator[tuple[Sized, Sized]]:
    """Each order with each that came soon after it to its zone another way; `ranked` by zone and time."""
    within = limits.split_minutes * SECONDS_PER_MINUTE
    for _, rows in groupby(ranked, key=attrgetter("zone")):
        recent: dict[str, deque[Sized]] = {}
        for later in rows:
            whose = [f"owner {later.owner}", *([] if later.entered_by is None else [f"user {later.entered_by}"])]
            found: dict[Sized, None] = {}
            for key in whose:
                before = recent.setdefault(key, deque(maxlen=FOLLOWED_MAX))
                soon = takewhile(lambda one, at=later.at: at - one.at <= within, reversed(before))  # type: ignore[misc]
                found |= {one: None for one in soon if _is_another_way(one, later)}
                before.append(later)
            for one in found:
                yield one, later


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


def _around(owner: str, around: Collection[Sized], followed: _Followed, limits: Limits) -> Detection:
    usual = followed.usual(owner)
    more = (("split_times", limits.split_times), ("split_chance_one_in", limits.split_chance_one_in))
    return Detection(
        Kind.SPLIT_ORDERS,
        Basis.QUOTA,
        owner,
        None,
        None,
        (
            ("orders", len(around)),
            ("orders_cut_short", followed.short(owner)),
            ("usual_orders", usual.orders),
            ("usual_orders_followed_so", usual.followers),
        ),
        (*_compared(limits), *more),
        f"{len(around)} orders came, within {limits.split_minutes} minutes of one of {followed.short(owner)} orders"
        f" that a quota cut short, to the same zone under another name or channel; so came {usual.followers} after"
        f" {usual.orders} others.",
    )


def _compared(limits: Limits) -> tuple[tuple[str, int], ...]:
    return (
        ("split_orders_min", limits.split_orders_min),
        ("split_minutes", limits.split_minutes),
        ("split_near_percent", limits.split_near_percent),
    )
