"""A full run after every event, by arithmetic of its own: who has how much of what, in the order of service.

A small company: items at one location, with what is there today; one quota of one tier over all items; orders of one or
two lines, some of which ship complete. It shares no code with the engine. After each event every open rest is looked
at, the first in the order of service first, and takes what there is, as long as the quota lasts.
"""

from dataclasses import dataclass, field
from random import Random
from typing import Literal

TIERS = {"gold": 1, "silver": 5, "bronze": 9}
LIMITED = "bronze"
ITEMS = ("A", "B", "C")
Kind = Literal["order", "receipt", "cancel", "tier", "quota"]


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happens: `number` is of the order or customer, `lines` are (item, quantity)."""

    kind: Kind
    number: int = 0
    tier: str = ""
    lines: tuple[tuple[str, int], ...] = ()
    whole: bool = False
    quantity: int = 0
    wanted: int = 0


def events(random: Random, number: int, customers: int = 4) -> list[Event]:
    """A history: orders of customers in tiers, supply, cancellations, changes of tiers and of the quota."""
    found: list[Event] = []
    orders = 0
    for _ in range(number):
        kind = random.choices(("order", "receipt", "cancel", "tier", "quota"), (8, 4, 4, 2, 1))[0]
        if kind == "order":
            items = random.sample(ITEMS, random.choice((1, 1, 2)))
            lines = tuple((item, random.randint(1, 5)) for item in items)
            customer = str(random.randrange(customers))
            whole, wanted = random.random() < 0.3, random.randrange(3)
            found.append(Event("order", orders, customer, lines, whole=whole, wanted=wanted))
            orders += 1
        elif kind == "receipt":
            found.append(Event("receipt", lines=((random.choice(ITEMS), random.randint(1, 6)),)))
        elif kind == "cancel" and orders:
            found.append(Event("cancel", random.randrange(orders)))
        elif kind == "tier":
            found.append(Event("tier", random.randrange(customers), random.choice(list(TIERS))))
        elif kind == "quota":
            found.append(Event("quota", quantity=random.randint(1, 4)))
    return found


@dataclass(slots=True)
class _Order:
    number: int
    customer: int
    wanted: int
    whole: bool
    asked: list[tuple[str, int]]
    has: list[int]
    of_quota: int = 0
    gone: bool = False


@dataclass(slots=True)
class Oracle:
    """The company as it should be."""

    quota: int
    free: dict[str, int] = field(default_factory=lambda: dict.fromkeys(ITEMS, 0))
    tiers: dict[int, str] = field(default_factory=dict)
    orders: list[_Order] = field(default_factory=list)

    def happen(self, event: Event) -> None:
        """Take an event in, and run."""
        match event.kind:
            case "order":
                order = _Order(event.number, int(event.tier), event.wanted, event.whole, list(event.lines), [])
                order.has = [0] * len(order.asked)
                self.orders.append(order)
                self._serve(order, range(len(order.asked)))
            case "receipt":
                ((item, quantity),) = event.lines
                self.free[item] += quantity
            case "cancel":
                self._cancel(self.orders[event.number])
            case "tier":
                self.tiers[event.number] = event.tier
            case _:
                self.quota += event.quantity
        self._run()

    def has(self) -> list[list[int]]:
        """What each order has by line."""
        return [list(order.has) for order in self.orders]

    def _tier(self, order: _Order) -> str:
        return self.tiers.get(order.customer, "silver")

    def _cancel(self, order: _Order) -> None:
        if not order.gone:
            for (item, _), quantity in zip(order.asked, order.has, strict=True):
                self.free[item] += quantity
            self.quota += order.of_quota
            order.has, order.of_quota, order.gone = [0] * len(order.asked), 0, True

    def _run(self) -> None:
        open_lines = [
            (TIERS[self._tier(order)], order.wanted, order.number, str(index + 1), order, index)
            for order in self.orders
            for index, (_, quantity) in enumerate(order.asked)
            if not order.gone and order.has[index] < quantity
        ]
        for *_, order, index in sorted(open_lines, key=lambda each: each[:4]):
            every = range(len(order.asked)) if order.whole else [index]
            self._serve(order, every)

    def _serve(self, order: _Order, lines: "range | list[int]") -> None:
        limited = self._tier(order) == LIMITED
        rests = {index: order.asked[index][1] - order.has[index] for index in lines}
        if order.whole:
            there = all(self.free[order.asked[index][0]] >= rest for index, rest in rests.items())
            if not there or (limited and sum(rests.values()) > self.quota):
                return
        for index, rest in rests.items():
            item = order.asked[index][0]
            taken = max(0, min(rest, self.free[item], self.quota if limited else rest))
            self.free[item] -= taken
            order.has[index] += taken
            if limited:
                self.quota -= taken
                order.of_quota += taken
