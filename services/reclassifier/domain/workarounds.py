"""Ways around the rules: too many priority overrides by one user, and orders entered under another customer's id."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Final, NamedTuple, TypeVar

from services.reclassifier.domain.detections import PERCENT, Basis, Detection, Kind, Limits, percent
from services.reclassifier.domain.traces import ANYWHERE, TierTerms

Key = TypeVar("Key")
Number = TypeVar("Number", int, Fraction)
PEERS_MIN: Final = 2  # other users who do the same: fewer say nothing of what is usual


class UsersActs(NamedTuple):
    """How often a user let an order be served before its turn, of how many orders; and how many it entered itself."""

    user: str
    acts: int
    orders: int
    entered: int = 0


class Entered(NamedTuple):
    """Orders in one tier that a user (None: nobody was named) entered under one owner for one zone."""

    user: str | None
    owner: str
    zone: str
    tier: str
    orders: int


def too_many_overrides(acts: Sequence[UsersActs], limits: Limits) -> Iterator[Detection]:
    """Users with at least `acts_min` acts and `acts_times` as many as the median of the others.

    A desk, which enters `orders_min` orders or more itself, is compared with the other desks, by acts to an order; who
    is none with the others who are none. Where there are fewer than `PEERS_MIN` of the same sort, everybody else
    counts, and a desk must also have `desk_acts_percent` acts or more to a hundred orders that it enters.
    """
    whole = sum(one.acts for one in acts)
    for one in acts:
        peers = _peers(one, acts, limits)
        if len(peers) < PEERS_MIN or one.acts < limits.acts_min or not _stands_out(one, peers, limits):
            continue
        share, middle = percent(one.acts, whole), _doubled_median([peer.acts for peer in peers])
        yield Detection(
            Kind.PRIORITY_OVERRIDES,
            Basis.ACTS,
            None,
            one.user,
            None,
            (
                ("acts", one.acts),
                ("orders", one.orders),
                ("share_percent", share),
                ("all_acts", whole),
                ("others_median_doubled", middle),
                ("orders_entered", one.entered),
            ),
            (
                ("acts_min", limits.acts_min),
                ("acts_times", limits.acts_times),
                ("desk_acts_percent", limits.desk_acts_percent),
            ),
            f"{one.acts} of {whole} priority overrides ({share} %) were made by this user, who entered {one.entered}"
            f" orders; of the {len(peers)} others like it who make any, half made no more than {middle // 2}.",
        )


def _is_desk(one: UsersActs, limits: Limits) -> bool:
    return one.entered >= limits.orders_min


def _peers(one: UsersActs, acts: Sequence[UsersActs], limits: Limits) -> list[UsersActs]:
    """With whom a user is compared: others of the same sort if there are enough, else all others."""
    others = [other for other in acts if other.user != one.user]
    alike = [other for other in others if _is_desk(other, limits) is _is_desk(one, limits)]
    return alike if len(alike) >= PEERS_MIN else others


def _stands_out(one: UsersActs, peers: Sequence[UsersActs], limits: Limits) -> bool:
    if not _is_desk(one, limits):
        return one.acts * 2 >= limits.acts_times * _doubled_median([peer.acts for peer in peers])
    if all(_is_desk(peer, limits) for peer in peers):
        usual = _doubled_median([Fraction(peer.acts, peer.entered) for peer in peers])
        return 2 * Fraction(one.acts, one.entered) >= limits.acts_times * usual
    often = one.acts * PERCENT >= limits.desk_acts_percent * one.entered
    return often and one.acts * 2 >= limits.acts_times * _doubled_median([peer.acts for peer in peers])


def _doubled_median(numbers: Iterable[Number]) -> Number:
    """Twice the middle, which of an even count is the sum of two."""
    ranked = sorted(numbers)
    return ranked[(len(ranked) - 1) // 2] + ranked[len(ranked) // 2]


@dataclass(slots=True)
class _Habit:
    """For whom and where to a user enters orders."""

    orders: int = 0
    by_owner: dict[str, int] = field(default_factory=dict)

    def add(self, one: Entered) -> None:
        """Count these."""
        self.orders += one.orders
        self.by_owner[one.owner] = self.by_owner.get(one.owner, 0) + one.orders

    def home(self, limits: Limits) -> str | None:
        """The owner for whom the user orders most, if that is often."""
        owner, orders = max(self.by_owner.items(), key=lambda item: (item[1], item[0]))
        return owner if orders >= limits.habit_orders_min else None

    def is_for_one(self, home: str, besides: str, limits: Limits) -> bool:
        """Whether nearly all is for one, but for what is under another owner, which must be less than half of it.

        What is under the other does not count against the habit, or who does it more often would be seen less.
        """
        own, foreign = self.by_owner[home], self.by_owner[besides]
        return own * PERCENT >= limits.habit_percent * (self.orders - foreign) and foreign * 2 <= own


def entered_under_anothers_id(
    entered: Sequence[Entered], terms: Mapping[str, TierTerms], limits: Limits
) -> Iterator[Detection]:
    """Orders that go where the user's own customer is served, under the id of one of a better tier.

    The user enters nearly everything else for one customer; the orders go to a zone of that one, to which the other's
    orders by anybody else do not go. Zone "*" says nothing.
    """
    ranks = {tier: one.rank for tier, one in terms.items()}
    habits: dict[str, _Habit] = {}
    for one in entered:
        if one.user is not None:
            habits.setdefault(one.user, _Habit()).add(one)
    homes = {user: home for user, habit in habits.items() if (home := habit.home(limits)) is not None}
    zones = _zones_of_homes(entered, homes, ranks)
    usual = _Usual(entered)
    found: dict[tuple[str, str], list[Entered]] = {}
    for one in entered:
        if one.user in homes and one.owner != homes[one.user] and one.zone in zones[one.user]:
            if not habits[one.user].is_for_one(homes[one.user], one.owner, limits):
                continue
            better = ranks.get(one.tier, zones[one.user][one.zone]) < zones[one.user][one.zone]
            if better and usual.is_strange(one, limits):
                found.setdefault((one.user, one.owner), []).append(one)
    for (user, owner), rows in sorted(found.items()):
        orders = sum(row.orders for row in rows)
        if orders >= limits.foreign_orders_min:
            yield _foreign((user, owner, homes[user]), rows, habits[user], usual, limits)


def _zones_of_homes(
    entered: Iterable[Entered], homes: Mapping[str, str], ranks: Mapping[str, int]
) -> dict[str, dict[str, int]]:
    """By user: the zones to which it orders for its own customer, each with the best rank that this is served by."""
    zones: dict[str, dict[str, int]] = {user: {} for user in homes}
    for one in entered:
        if one.user is None or homes.get(one.user) != one.owner or one.zone == ANYWHERE or one.tier not in ranks:
            continue
        known = zones[one.user].get(one.zone)
        zones[one.user][one.zone] = ranks[one.tier] if known is None else min(known, ranks[one.tier])
    return zones


class _Usual:
    """Where to each owner's orders go, by who entered them."""

    def __init__(self, entered: Iterable[Entered]) -> None:
        self._orders: dict[str, int] = {}
        self._to_zone: dict[tuple[str, str], int] = {}
        self._by_user: dict[tuple[str, str | None], int] = {}
        self._by_user_to_zone: dict[tuple[str, str, str | None], int] = {}
        for one in entered:
            _add(self._orders, one.owner, one.orders)
            _add(self._to_zone, (one.owner, one.zone), one.orders)
            _add(self._by_user, (one.owner, one.user), one.orders)
            _add(self._by_user_to_zone, (one.owner, one.zone, one.user), one.orders)

    def of_others(self, owner: str, user: str | None) -> int:
        """An owner's orders that somebody else entered."""
        return self._orders[owner] - self._by_user[owner, user]

    def is_strange(self, one: Entered, limits: Limits) -> bool:
        """Whether what others order for the owner hardly goes to this zone; False where too little is known."""
        others = self.of_others(one.owner, one.user)
        there = self._to_zone[one.owner, one.zone] - self._by_user_to_zone[one.owner, one.zone, one.user]
        return others >= limits.habit_orders_min and there * PERCENT <= limits.stranger_percent * others


def _add(counts: dict[Key, int], key: Key, orders: int) -> None:
    counts[key] = counts.get(key, 0) + orders


def _foreign(
    who: tuple[str, str, str], rows: Sequence[Entered], habit: _Habit, usual: _Usual, limits: Limits
) -> Detection:
    user, owner, home = who
    orders = sum(row.orders for row in rows)
    own = habit.by_owner[home]
    return Detection(
        Kind.OTHER_CUSTOMERS_ID,
        Basis.HABIT,
        owner,
        user,
        min(row.tier for row in rows),
        (
            ("orders", orders),
            ("users_orders", habit.orders),
            ("users_orders_for_own_customer", own),
            ("others_orders_for_this_customer", usual.of_others(owner, user)),
        ),
        (
            ("foreign_orders_min", limits.foreign_orders_min),
            ("habit_orders_min", limits.habit_orders_min),
            ("habit_percent", limits.habit_percent),
            ("stranger_percent", limits.stranger_percent),
        ),
        f"{orders} orders were entered under this customer by a user of whose {habit.orders} orders {own} are of"
        f" {_named(home)}, to a zone where that one is served and this one's other orders hardly go.",
    )


def _named(owner: str) -> str:
    return owner.partition(":")[2]
