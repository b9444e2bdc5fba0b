"""A run over what an event touches ends as a run over all would, after each event of thousands of random histories.

Touched are the items of the event, those that a customer whose tier changed waits for, and all items where a quota over
all of them was given something back. The oracle runs over everything, by arithmetic of its own.
"""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from services.atp.domain.model import (
    Book,
    Item,
    Offer,
    OpenBackorder,
    Planned,
    Position,
    PositionKey,
    Quota,
    Request,
    RequestLine,
    Tier,
)
from services.atp.domain.order_of_service import service_key
from services.atp.domain.promising import decide
from services.atp.domain.redecision import serve
from services.atp.domain.release import release
from services.atp.domain.service_rule import Criterion, ServiceRule
from tests.support.service_oracle import ITEMS, LIMITED, TIERS, Event, Oracle, events

TODAY = 740_000
START = datetime(2026, 1, 1, tzinfo=UTC)
HISTORIES = 25  # of one example
RULE = ServiceRule(1, "sequence", (Criterion("tier_rank"), Criterion("requested_date"), Criterion("age")))


@dataclass(slots=True)
class Order:
    """An order with what it was promised by line."""

    request: Request
    customer: int
    parts: list[tuple[str, Planned]] = field(default_factory=list)
    gone: bool = False

    def open_lines(self) -> list[RequestLine]:
        had = {line.line: 0 for line in self.request.lines}
        for line, part in self.parts:
            had[line] += part.quantity
        lines = [replace(line, quantity=line.quantity - had[line.line]) for line in self.request.lines]
        return [line for line in lines if line.quantity and not self.gone]


class Company:
    """The domain, run incrementally."""

    def __init__(self, quota: int) -> None:
        positions = {key: Position(key, 1, 0) for key in (PositionKey(item, "L") for item in ITEMS)}
        offers = {"*": (Offer("L", "S", "road", 1, 0, 1, 0, 0),)}
        self.book = Book(TODAY, {item: Item(item) for item in ITEMS}, positions, offers, service=RULE)
        self.quota = quota
        self.tiers: dict[int, str] = {}
        self.orders: list[Order] = []
        self._limit(0)

    def happen(self, event: Event) -> None:
        touched: dict[str, None] = {}
        match event.kind:
            case "order":
                self._place(event)
            case "receipt":
                ((item, quantity),) = event.lines
                key = PositionKey(item, "L")
                position = self.book.positions[key]
                self.book.positions[key] = replace(position, on_hand=position.on_hand + quantity)
                touched[item] = None
            case "cancel":
                touched = self._cancel(self.orders[event.number])
            case "tier":
                self.tiers[event.number] = event.tier
                own = [order for order in self.orders if order.customer == event.number]
                touched = {line.item_id: None for order in own for line in order.open_lines()}
            case _:
                self._limit(event.quantity)
                touched = dict.fromkeys(ITEMS)
        self._run(touched)

    def has(self) -> list[list[int]]:
        found = []
        for order in self.orders:
            had = {line.line: 0 for line in order.request.lines}
            for line, part in order.parts:
                had[line] += part.quantity
            found.append(list(had.values()))
        return found

    def _limit(self, more: int) -> None:
        self.quota += more
        self.book.quotas = (Quota("q", "q", 1, TODAY, TODAY + 900, self.quota, tier=LIMITED),)

    def _tier(self, customer: int) -> Tier:
        name = self.tiers.get(customer, "silver")
        return Tier(name, TIERS[name], 1)

    def _place(self, event: Event) -> None:
        customer = int(event.tier)
        lines = tuple(
            RequestLine(str(number), item, quantity, TODAY + 9 + event.wanted, TODAY + 90)
            for number, (item, quantity) in enumerate(event.lines, start=1)
        )
        request = Request(
            "s", f"{event.number:05}", self._tier(customer), "*", "web", TODAY, ship_complete=event.whole, lines=lines
        )
        order = Order(request, customer)
        self.orders.append(order)
        order.parts = [(line.line, part) for line in decide(self.book, request).lines for part in line.planned]

    def _cancel(self, order: Order) -> dict[str, None]:
        freed = [part for _, part in order.parts]
        release(self.book, freed)
        order.parts, order.gone = [], True
        shared = any(posting.usage.kind == "quota" for part in freed for posting in part.postings)
        return dict.fromkeys(ITEMS) if shared else {part.key.item_id: None for part in freed}

    def _run(self, touched: dict[str, None]) -> None:
        waiting: list[OpenBackorder] = []
        for order in self.orders:
            lines = order.open_lines()
            asked = [line for line in lines if line.item_id in touched]
            if asked and order.request.ship_complete:
                asked = lines
            request = replace(order.request, tier=self._tier(order.customer), lines=tuple(asked))
            at = START + timedelta(minutes=int(order.request.order_id))
            for line in asked:
                key = service_key(replace(request, lines=(line,)), line, at, RULE)
                own = request if request.ship_complete else replace(request, lines=(line,))
                waiting.append(OpenBackorder(request.order_id, key, own, line))
        for backorder, decision in serve(self.book, waiting):
            order = self.orders[int(backorder.promise_id)]
            order.parts += [(decision.line, part) for part in decision.planned]


@given(st.integers(0, 2**32), st.integers(0, 6))
def test_after_each_event_an_incremental_run_has_done_what_a_full_run_does(seed: int, quota: int) -> None:
    random = Random(seed)
    for _ in range(HISTORIES):
        company, oracle = Company(quota), Oracle(quota)
        supplied = 0
        for number, event in enumerate(events(random, 14)):
            company.happen(event)
            oracle.happen(event)
            supplied += sum(quantity for _, quantity in event.lines) if event.kind == "receipt" else 0
            assert company.has() == oracle.has(), (seed, number, event)
            positions = company.book.positions.values()
            held = sum(quantity for each in positions for _, quantity in each.commitments)
            assert held == sum(map(sum, company.has()))
            assert held <= supplied == sum(each.on_hand for each in positions)
