"""The world in which an allocation policy is measured: recorded demand, supply that is short of it, no foresight.

* **Demand**: order lines with day, item, tier and quantity, in the order in which they came.
* **Supply**: at the start of every period an item receives so much that all receipts until then are a given
  percentage of all demand until the end of that period. Purchasing thus knows how much is wanted, everything is
  equally short, and what is measured is only who gets it. Nothing of a receipt is known before its day.
* **Time**: a line that cannot be served at once waits for `wait_days`; what is not served by then is lost. What is
  served leaves at once. What is left at the end of a period is carried over.

What a line gets is what the product's own domain makes confirmable for its tier, taken and shipped by the product's own
functions; a test holds it against whole decisions. A policy only says, each day, what is protected.
"""

import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Protocol

from services.atp.domain.allocation import confirmable
from services.atp.domain.model import (
    Book,
    Day,
    Item,
    Offer,
    Position,
    PositionKey,
    Protection,
    Request,
    Tier,
    UsageKey,
)
from services.atp.domain.release import ship
from services.atp.domain.taking import Draft, Lane, Piece

TIERS: Final = ("gold", "silver", "bronze")
WEIGHTS: Final[Mapping[str, float]] = {"gold": 3.0, "silver": 1.5, "bronze": 1.0}
RANK: Final = {tier: rank for rank, tier in enumerate(TIERS, start=1)}
LOCATION: Final = "DC"
EVERYBODY: Final = "everybody"  # the one tier of first come, first served
RANKED: Final = {name: Tier(name, RANK.get(name, 1), 1, lead_time_days=0) for name in (*TIERS, EVERYBODY)}
_AT_ONCE: Final = Offer(LOCATION, "road", "road", 1, 0, 0, 0, 0)
_REQUESTS: Final = {
    name: Request("history", name, tier, "*", "shop", 0, ship_complete=False, lines=()) for name, tier in RANKED.items()
}


class Demand(NamedTuple):
    """One order line. `day` counts from the start of the history; the lines of a day are in the order they came."""

    day: Day
    item: str
    tier: str
    quantity: int


@dataclass(frozen=True, slots=True)
class Setting:
    """A stretch of history, [first, last), with its supply; `receipts` is (item, day) -> quantity."""

    first: Day
    last: Day
    period_days: int
    wait_days: int
    demand: tuple[Demand, ...]
    receipts: Mapping[tuple[str, Day], int]

    def period_start(self, day: Day) -> Day:
        """The first day of the period that a day is in."""
        return self.first + (day - self.first) // self.period_days * self.period_days

    def last_served(self, day: Day) -> Day:
        """The last day on which a line of a day may be served."""
        return min(day + self.wait_days, self.last - 1)


class Policy(Protocol):
    """What is protected. It is told of demand when it comes, and of nothing else."""

    def protected(self, item: str, day: Day, period_end: Day) -> Mapping[str, int]:
        """What is to be kept for each tier from a day to the last day of its period, besides what it has used."""
        ...

    def see(self, demand: Demand) -> None:
        """A line came."""
        ...

    @property
    def lapse_days(self) -> int:
        """How long before the end of its period a protection is released."""
        ...


@dataclass(slots=True)
class Result:
    """Units served and asked by tier; `decisions` is (day, item, number of the line, what it got)."""

    served: dict[str, int] = field(default_factory=lambda: dict.fromkeys(TIERS, 0))
    asked: dict[str, int] = field(default_factory=lambda: dict.fromkeys(TIERS, 0))
    served_at_once: int = 0
    decisions: list[tuple[Day, str, int, int]] = field(default_factory=list)

    @property
    def units(self) -> int:
        """All units served."""
        return sum(self.served.values())

    @property
    def value(self) -> float:
        """Units served, weighted by tier."""
        return sum(WEIGHTS[tier] * units for tier, units in self.served.items())

    def share(self, tier: str) -> float:
        """The part of a tier's demand that was served."""
        return self.served[tier] / max(1, self.asked[tier])


def setting(
    history: Iterable[Demand], first: Day, last: Day, *, period_days: int, wait_days: int, supply_percent: int
) -> Setting:
    """The world of a stretch of history at a level of supply."""
    demand = tuple(each for each in history if first <= each.day < last)
    wanted: dict[str, dict[Day, int]] = {}
    for each in demand:
        start = first + (each.day - first) // period_days * period_days
        by_period = wanted.setdefault(each.item, {})
        by_period[start] = by_period.get(start, 0) + each.quantity
    receipts: dict[tuple[str, Day], int] = {}
    for item, by_period in wanted.items():
        asked = given = 0
        for start in range(first, last, period_days):
            asked += by_period.get(start, 0)
            quantity = (asked * supply_percent + 50) // 100 - given
            given += quantity
            if quantity:
                receipts[item, start] = quantity
    return Setting(first, last, period_days, wait_days, demand, receipts)


def replay(world: Setting, policy: Policy | None, *, until: Day | None = None) -> Result:
    """Serve the demand of a setting, day after day, `until` a day or to the end.

    Without a policy it is first come, first served: nobody is ranked, nothing is protected.
    """
    result = Result()
    shelves = {item: _Shelf(world, item, policy, result) for item in sorted({each.item for each in world.demand})}
    for (item, day), quantity in sorted(world.receipts.items(), key=lambda entry: entry[0][1]):
        shelves[item].coming.append((day, quantity))
    by_day: dict[Day, list[Demand]] = {}
    for each in world.demand:
        by_day.setdefault(each.day, []).append(each)
        result.asked[each.tier] += each.quantity
    waited: dict[str, None] = {}
    for day in range(world.first, world.last if until is None else until + 1):
        today = by_day.get(day, [])
        asked = {each.item: None for each in today}
        for item in sorted({**waited, **asked}):
            shelves[item].open(day)
        for each in today:
            shelves[each.item].serve_new(each)
            if policy is not None:
                policy.see(each)
        waited = {item: None for item in {**waited, **asked} if shelves[item].waiting}
    return result


def shuffled_after(world: Setting, day: Day, seed: int) -> Setting:
    """The same world up to and with a day; all that is recorded after it is dealt anew, demand and receipts."""
    chance = random.Random(seed)
    past = [each for each in world.demand if each.day <= day]
    later = [each for each in world.demand if each.day > day]
    days = [each.day for each in later]
    chance.shuffle(later)
    dealt = [each._replace(day=other) for each, other in zip(later, days, strict=True)]
    coming = [key for key in world.receipts if key[1] > day]
    amounts = [world.receipts[key] for key in coming]
    chance.shuffle(amounts)
    receipts = {**world.receipts, **dict(zip(coming, amounts, strict=True))}
    return Setting(world.first, world.last, world.period_days, world.wait_days, (*past, *dealt), receipts)


@dataclass(slots=True)
class _Waiting:
    """The rest of a line, until a day; numbers count the lines of an item in the order in which they came."""

    number: int
    tier: str
    latest: Day
    rest: int


@dataclass(slots=True)
class _Shelf:
    """One item on its way through the setting."""

    world: Setting
    item: str
    policy: Policy | None
    result: Result
    coming: list[tuple[Day, int]] = field(default_factory=list)  # receipts that have not come, ascending by day
    waiting: list[_Waiting] = field(default_factory=list)
    numbers: int = 0
    book: Book = field(init=False)
    lane: Lane = field(init=False)

    def __post_init__(self) -> None:
        key = PositionKey(self.item, LOCATION)
        items = {self.item: Item(self.item)}
        self.book = Book(self.world.first, items, {key: Position(key, 0, 0)}, {"*": (_AT_ONCE,)})
        self.lane = Lane(_AT_ONCE, key, 0)

    @property
    def _key(self) -> PositionKey:
        return self.lane.key

    def open(self, day: Day) -> None:
        """Begin a day: take in what has come, size what is protected, serve those who wait."""
        self.book.today = day
        while self.coming and self.coming[0][0] <= day:
            self._receive(self.coming.pop(0)[1])
        self.waiting = [each for each in self.waiting if each.latest >= day]
        if self.policy is not None:
            self._protect(self.policy, day)
        if self.waiting and self.book.positions[self._key].on_hand:
            self._serve_waiting(day)

    def _receive(self, quantity: int) -> None:
        position = self.book.positions[self._key]
        self.book.positions[self._key] = Position(position.key, position.version, position.on_hand + quantity)

    def _protect(self, policy: Policy, day: Day) -> None:
        """What is protected is sized by what is expected of the rest of the period."""
        start = self.world.period_start(day)
        end = min(start + self.world.period_days, self.world.last) - 1
        rules = []
        for tier, rest in policy.protected(self.item, day, end).items():
            name = f"{tier}-{start}"
            used = self.book.usage.get(UsageKey("protection", name, start), 0)
            rank, lapse = RANK[tier], policy.lapse_days
            rules.append(
                Protection(name, "policy", 1, self._key, tier, rank, start, end, used + rest, lapse_days=lapse)
            )
        self.book.protections = {self._key: tuple(rules)}

    def _serve_waiting(self, day: Day) -> None:
        """Those who wait, in order of service: rank, then day, then who came first."""
        for each in sorted(self.waiting, key=lambda one: (RANKED[self._ranked(one.tier)].priority_rank, one.number)):
            units = self._give(each.tier, day, each.rest)
            if units:
                each.rest -= units
                self.result.decisions.append((day, self.item, each.number, units))
        self.waiting = [each for each in self.waiting if each.rest]

    def serve_new(self, demand: Demand) -> None:
        """Decide a line when it comes; what it does not get waits."""
        self.numbers += 1
        units = self._give(demand.tier, demand.day, demand.quantity)
        self.result.served_at_once += units
        self.result.decisions.append((demand.day, self.item, self.numbers, units))
        latest = self.world.last_served(demand.day)
        if units < demand.quantity and latest > demand.day:
            self.waiting.append(_Waiting(self.numbers, demand.tier, latest, demand.quantity - units))

    def _give(self, tier: str, day: Day, wanted: int) -> int:
        """Take what is confirmable off the book and let it leave; how much that was."""
        ranked = RANKED[self._ranked(tier)]
        if self.book.positions[self._key].on_hand <= 0:
            return 0
        item = self.book.items[self.item]
        units = min(wanted, confirmable(self.book, self._key, item, ranked, day))
        if units:
            part = Draft(self.book, _REQUESTS[ranked.tier]).take(item, Piece(self.lane, day, units), ())
            ship(self.book, part, units)
            self.result.served[tier] += units
        return units

    def _ranked(self, tier: str) -> str:
        return EVERYBODY if self.policy is None else tier
