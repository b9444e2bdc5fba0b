"""A whole order gets the first of all plans, found here by trying every way to serve every unit of it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations_with_replacement, product
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from services.atp.domain.model import (
    Book,
    Capacity,
    Item,
    LineDecision,
    Offer,
    OrderDecision,
    Position,
    PositionKey,
    Quota,
    Receipts,
    Request,
    RequestLine,
    Tier,
)
from services.atp.domain.promising import decide, inquire
from tests.support import promise_worlds as worlds
from tests.support.capacity_worlds import CapacityAuditor, limited
from tests.support.promise_auditor import Auditor

TODAY = worlds.TODAY
DAYS = 4  # days of availability that are tried; nothing turns later in these worlds
UNITS_MAX = 4  # of an order
Way = tuple[Offer, int]  # an offer, and the day on which goods are available
Serving = tuple[Way, ...]  # one for each unit that is served

small = st.sampled_from((0, 1, 2, 3))


@st.composite
def orders(draw: st.DrawFn) -> tuple[Book, Request]:
    """Up to three lines of up to two items, up to three locations by up to two services."""
    items = [f"I{number}" for number in range(draw(st.integers(1, 2)))]
    places = [f"L{number}" for number in range(draw(st.integers(1, 3)))]
    services = [draw(st.integers(1, 2 if len(places) < 3 else 1)) for _ in places]
    offers = tuple(
        Offer(
            place,
            f"S{service}",
            "road",
            rank=1,
            processing_days=0,
            transit_days=draw(st.integers(0, 1)),
            cost_shipment_minor=draw(st.sampled_from((0, 50, 120, 300))),
            cost_unit_minor=draw(st.sampled_from((0, 10, 40, 90))),
        )
        for place, count in zip(places, services, strict=True)
        for service in range(count)
    )
    keys = [PositionKey(item, place) for item in items for place in places]
    positions = {
        key: Position(key, 1, draw(small), receipts=tuple(Receipts(TODAY + day, draw(small)) for day in (1, 3)))
        for key in keys
    }
    capacities = {
        place: (Capacity(f"C-{place}", place, None, (draw(small),) * 7),) for place in places if draw(st.booleans())
    }
    quotas = (Quota("q", "d", 1, TODAY, TODAY + 2, draw(small), item_id="I0"),) if draw(st.booleans()) else ()
    tier = Tier(
        "gold",
        1,
        1,
        lead_time_days=2,
        split_allowed=draw(st.sampled_from((True, True, False))),
        as_soon_as_possible=draw(st.booleans()),
        lateness_penalty_minor=draw(st.sampled_from((0, 15, 200))),
        split_penalty_minor=draw(st.sampled_from((0, 70))),
    )
    left, lines = UNITS_MAX, []
    for number in range(draw(st.integers(1, 3))):
        quantity = draw(st.integers(1, max(1, left - 1)))
        left -= quantity
        latest = draw(st.sampled_from((TODAY + 1, TODAY + 3)))
        minimum = draw(st.sampled_from((0, 0, 1, quantity)))
        wanted = TODAY + draw(st.integers(0, 3))
        lines.append(RequestLine(str(number), draw(st.sampled_from(items)), quantity, wanted, latest, minimum))
        if left < 1:
            break
    most = draw(st.sampled_from((None, None, 1, 2)))
    request = Request("erp", "o", tier, "GB", "web", TODAY, ship_complete=False, lines=tuple(lines), max_shipments=most)
    if draw(st.booleans()):  # what the order has already
        leaving = st.tuples(st.sampled_from(offers), st.integers(0, DAYS - 1))
        had = [(offer.location_id, offer.service, TODAY + day) for offer, day in draw(st.lists(leaving, max_size=2))]
        request = replace(request, shipments=tuple(dict.fromkeys(had)))
    book = Book(TODAY, {item: Item(item) for item in items}, positions, {"*": offers}, quotas=quotas)
    return replace(book, capacities=capacities), request


@dataclass(frozen=True)
class Oracle:
    """Every plan of an order, and its worth, by the words of the design."""

    book: Book
    request: Request

    def best(self) -> tuple[int, int, int]:
        """The worth of the first of all plans: units (negative), cost, shipments."""
        servings = [list(self._servings(line)) for line in self.request.lines]
        return min(self.worth(plan) for plan in product(*servings) if self._is_feasible(plan))

    def _servings(self, line: RequestLine) -> Iterator[Serving]:
        ways = [
            (offer, day)
            for offer in self.book.offers["*"]
            for day in range(TODAY, TODAY + DAYS)
            if line.latest_acceptable_arrival is None or day + offer.transit_days <= line.latest_acceptable_arrival
        ]
        for units in range(line.quantity + 1):
            if units and units < min(line.minimum_quantity, line.quantity):
                continue
            for serving in combinations_with_replacement(ways, units):
                if self.request.tier.split_allowed or len(set(map(_name, serving))) <= 1:
                    yield serving

    def _is_feasible(self, plan: Sequence[Serving]) -> bool:
        most = self.request.max_shipments
        opened = self._opened(plan)
        if most is not None and opened and len(self.request.shipments) + len(opened) > most:
            return False
        for key, position in self.book.positions.items():
            for end in range(TODAY, TODAY + DAYS):
                there = position.on_hand + sum(each.confirmed for each in position.receipts if each.day <= end)
                taken = [
                    day
                    for line, serving in zip(self.request.lines, plan, strict=True)
                    for offer, day in serving
                    if PositionKey(line.item_id, offer.location_id) == key and day <= end
                ]
                if len(taken) > there:
                    return False
        return self._may_leave(plan) and self._is_within_quotas(plan)

    def _may_leave(self, plan: Sequence[Serving]) -> bool:
        leaving = [(offer.location_id, day) for serving in plan for offer, day in serving]
        return all(
            leaving.count((place, day)) <= capacity.weekdays[0]
            for place, everyone in self.book.capacities.items()
            for capacity in everyone
            for day in range(TODAY, TODAY + DAYS)
        )

    def _is_within_quotas(self, plan: Sequence[Serving]) -> bool:
        for quota in self.book.quotas:
            taken = [
                day
                for line, serving in zip(self.request.lines, plan, strict=True)
                for _, day in serving
                if line.item_id == quota.item_id and quota.start <= day <= quota.end
            ]
            if len(taken) > quota.quantity:
                return False
        return True

    def worth(self, plan: Sequence[Serving]) -> tuple[int, int, int]:
        """Units (negative), cost with all penalties, shipments; those that the order has already cost nothing more."""
        tier, opened = self.request.tier, self._opened(plan)
        cost = sum(offer.cost_shipment_minor for offer in opened.values())
        cost += tier.split_penalty_minor * max(0, len(opened) - (0 if self.request.shipments else 1))
        units = 0
        for line, serving in zip(self.request.lines, plan, strict=True):
            units += len(serving)
            cost += tier.backorder_penalty_minor * (line.quantity - len(serving))
            for offer, day in serving:
                late = max(0, day + offer.transit_days - (line.requested_arrival or 0))
                cost += offer.cost_unit_minor + tier.lateness_penalty_minor * late
        return -units, cost, len(opened)

    def _opened(self, plan: Sequence[Serving]) -> dict[tuple[str, str, int], Offer]:
        """The shipments that a plan needs besides those that the order has already."""
        used = {(offer.location_id, offer.service, day): offer for serving in plan for offer, day in serving}
        return {name: offer for name, offer in used.items() if name not in self.request.shipments}


def _name(way: Way) -> tuple[str, str, int]:
    offer, day = way
    return offer.location_id, offer.service, day


def _plan_of(book: Book, decision: OrderDecision) -> list[Serving]:
    """What was decided, unit by unit."""
    offers = {(offer.location_id, offer.service): offer for offer in book.offers["*"]}
    return [
        tuple(
            (offers[part.key.location_id, part.service], part.ship_day)
            for part in line.planned
            for _ in range(part.quantity)
        )
        for line in decision.lines
    ]


@given(orders())
def test_no_plan_of_a_small_order_is_better_than_the_one_that_is_taken(order: tuple[Book, Request]) -> None:
    book, request = order
    oracle = Oracle(book, request)
    decision = inquire(book, request)
    plan = _plan_of(book, decision)
    assert oracle._is_feasible(plan)
    assert not decision.budget_spent
    assert oracle.worth(plan) == oracle.best()
    for line, asked in zip(decision.lines, request.lines, strict=True):
        promised = sum(part.quantity for part in line.planned)
        assert promised == 0 or promised >= min(asked.minimum_quantity, asked.quantity)
        assert bool(line.why) == (line.outcome != "promised")


@given(orders(), st.randoms(use_true_random=False))
def test_neither_the_order_of_lines_nor_that_of_locations_matters(order: tuple[Book, Request], chance: Random) -> None:
    book, request = order
    offers, lines, keys = list(book.offers["*"]), list(request.lines), list(book.positions)
    for each in (offers, lines, keys):
        chance.shuffle(each)
    shuffled = replace(book, offers={"*": tuple(offers)}, positions={key: book.positions[key] for key in keys})
    one = inquire(book, request)
    other = inquire(shuffled, replace(request, lines=tuple(lines)))
    assert _by_name(one) == _by_name(other)
    assert one.cost_minor == other.cost_minor


def _by_name(decision: OrderDecision) -> dict[str, LineDecision]:
    return {line.line: replace(line, why=()) for line in decision.lines}


@given(limited(worlds.books(locations=3)), worlds.requests(lines_max=4), st.sampled_from((None, 1, 2)))
def test_a_plan_of_many_lines_can_be_taken_and_keeps_to_its_greatest_number_of_shipments(
    book: Book, asked: Request, most: int | None
) -> None:
    request = replace(asked, max_shipments=most)
    stock = Auditor(replace(book, positions=dict(book.positions), usage=dict(book.usage)))
    leaving, shipments = CapacityAuditor(book), dict[tuple[str, str, int], None]()
    decision = decide(book, request)
    for line in decision.lines:
        for part in line.planned:
            place = part.key.location_id
            assert part.quantity <= stock.allowed(request, part.key, part.available_day)
            assert part.quantity <= leaving.left(request, place, part.service, part.ship_day)
            stock.take(request, replace(line, planned=(part,)))
            leaving.taken.append((request, part))
            shipments[place, part.service, part.ship_day] = None
    assert most is None or len(shipments) <= most
