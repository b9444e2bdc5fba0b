"""The plan taken is the first in the order of plans, found here by trying every lane, day and quantity."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from services.atp.domain.model import (
    Book,
    LineDecision,
    Offer,
    Position,
    PositionKey,
    Receipts,
    Request,
    RequestLine,
)
from services.atp.domain.promising import decide
from tests.support import promise_worlds as worlds
from tests.support.promise_auditor import Auditor

Choice = tuple[int, int, int, int, int, str, str, int]  # the order of plans, then the quantity's sign-free size


def _with_tier(request: Request, **changes: object) -> Request:
    return replace(request, tier=replace(request.tier, **changes))  # type: ignore[arg-type]


def _copy(book: Book) -> Book:
    return replace(book, positions=dict(book.positions), usage=dict(book.usage))


def _wanted(request: Request, line: RequestLine) -> int:
    default = request.ordered_day + request.tier.lead_time_days
    return default if line.requested_arrival is None else line.requested_arrival


def _choices(
    auditor: Auditor, request: Request, line: RequestLine, shipments: list[tuple[str, str, int]]
) -> list[tuple[Choice, Offer, int, int]]:
    tier, wanted = request.tier, _wanted(request, line)
    found = []
    for offer in auditor.book.offers["*"]:
        for day in auditor.days:
            ship_day = day + offer.processing_days
            arrival = ship_day + offer.transit_days
            units = min(line.quantity, auditor.allowed(request, PositionKey("I1", offer.location_id), day))
            latest = line.latest_acceptable_arrival
            if units <= 0 or (latest is not None and arrival > latest):
                continue
            is_new = (offer.location_id, offer.service, ship_day) not in shipments
            cost = offer.cost_unit_minor * units + tier.backorder_penalty_minor * (line.quantity - units)
            cost += offer.cost_shipment_minor * is_new + tier.split_penalty_minor * (is_new and len(shipments) > 0)
            cost += tier.lateness_penalty_minor * max(0, arrival - wanted) * units
            preferred = ship_day if tier.as_soon_as_possible else -ship_day
            key = (-units, cost, int(is_new), preferred, offer.rank, offer.location_id, offer.service, units)
            found.append((key, offer, day, units))
    return found


@given(worlds.books(), worlds.requests(lines_max=1), st.sampled_from((1, 10, 1000)))
def test_a_line_in_one_part_is_the_first_of_all_plans(book: Book, asked: Request, lateness_minor: int) -> None:
    request = replace(
        _with_tier(asked, split_allowed=False, lateness_penalty_minor=lateness_minor), ship_complete=False
    )
    auditor = Auditor(_copy(book))
    shipments: list[tuple[str, str, int]] = []
    for line, answer in zip(request.lines, decide(book, request).lines, strict=True):
        choices = _choices(auditor, request, line, shipments)
        best = min(choices, key=lambda choice: choice[0], default=None)
        if best is None or best[3] < min(line.minimum_quantity, line.quantity):
            assert not answer.planned
            assert answer.outcome == ("backordered" if best is None else "below_minimum")
            continue
        _, offer, day, units = best
        (part,) = answer.planned
        chosen = (part.key.location_id, part.service, part.available_day, part.quantity)
        assert chosen == (offer.location_id, offer.service, day, units)
        assert answer.outcome == _outcome(answer)
        auditor.take(request, answer)
        shipments.append((part.key.location_id, part.service, part.ship_day))


def _outcome(answer: LineDecision) -> str:
    if answer.backordered:
        return "partly_promised"
    late = any(part.arrival_day > answer.requested_arrival for part in answer.planned)
    return "promised_late" if late else "promised"


@given(worlds.books(locations=3, limited=False, protected=False, waiting=True), worlds.requests(lines_max=1))
def test_a_split_line_gets_all_that_there_is_by_the_latest_acceptable_date(book: Book, asked: Request) -> None:
    request = replace(_with_tier(asked, split_allowed=True), ship_complete=False)
    (line,) = request.lines
    auditor = Auditor(_copy(book))
    most = dict.fromkeys(book.positions, 0)
    for offer in book.offers["*"]:
        key = PositionKey("I1", offer.location_id)
        lag = offer.processing_days + offer.transit_days
        last = auditor.days[-1] if line.latest_acceptable_arrival is None else line.latest_acceptable_arrival - lag
        units = [auditor.allowed(request, key, day) for day in auditor.days if day <= last]
        most[key] = max([most[key], *units])
    there_is = min(line.quantity, sum(most.values()))
    (answer,) = decide(book, request).lines
    promised = sum(part.quantity for part in answer.planned)
    assert promised == (there_is if there_is >= min(line.minimum_quantity, line.quantity) else 0)


@given(worlds.books(locations=3, horizon=False), worlds.requests(lines_max=1))
def test_a_split_is_never_worse_than_one_part(book: Book, asked: Request) -> None:
    one = replace(_with_tier(asked, split_allowed=False), ship_complete=False)
    several = _with_tier(one, split_allowed=True)
    (single,), (split,) = decide(_copy(book), one).lines, decide(book, several).lines
    assert sum(part.quantity for part in split.planned) >= sum(part.quantity for part in single.planned)


@given(worlds.books(limited=False), worlds.requests(lines_max=4))
def test_what_ships_complete_arrives_on_one_day_where_there_is_one_lane(book: Book, asked: Request) -> None:
    one_lane = replace(book, protections={}, offers={"*": book.offers["*"][:1]})
    lines = tuple(replace(line, latest_acceptable_arrival=None) for line in asked.lines)
    decision = decide(one_lane, replace(asked, ship_complete=True, lines=lines))
    arrivals = [part.arrival_day for line in decision.lines for part in line.planned]
    assert len(dict.fromkeys(arrivals)) <= 1
    assert all((line.outcome == "ship_complete_unmet") == (not arrivals) for line in decision.lines)


@given(st.integers(0, 60), st.lists(st.integers(1, 30), min_size=2, max_size=6))
def test_lines_of_one_item_share_one_stock(stock: int, quantities: list[int]) -> None:
    key = PositionKey("I1", "L0")
    book = Book(
        worlds.TODAY,
        {"I1": worlds.ITEM},
        {key: Position(key, 1, stock, receipts=(Receipts(worlds.TODAY + 2, 10),))},
        {"*": (Offer("L0", "S0", "road", 1, 0, 1, 0, 0),)},
    )
    lines = tuple(RequestLine(str(number), "I1", quantity) for number, quantity in enumerate(quantities))
    request = Request("erp", "o1", worlds.TIERS[0], "GB", "web", worlds.TODAY, ship_complete=False, lines=lines)
    decision = decide(book, request)
    promised = sum(part.quantity for line in decision.lines for part in line.planned)
    assert promised == min(sum(quantities), stock + 10)
