import gc
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest

from services.atp.domain.model import (
    Book,
    Item,
    Offer,
    Planned,
    Position,
    PositionKey,
    Posting,
    Protection,
    Quota,
    Receipts,
    Request,
    RequestLine,
    Tier,
    UsageKey,
)
from services.atp.domain.order_of_service import service_key
from services.atp.domain.promising import decide
from services.atp.domain.release import release, ship, split
from services.contracts.promises import LineOutcome

TODAY = 740_000
KEY = PositionKey("I1", "L1")
GOLD = Tier("gold", 1, 1, lead_time_days=4)
LANE = Offer("L1", "std", "road", 1, processing_days=1, transit_days=2, cost_shipment_minor=500, cost_unit_minor=10)


def _book(on_hand: int, *, receipts: tuple[Receipts, ...] = (), offers: tuple[Offer, ...] = (LANE,)) -> Book:
    return Book(TODAY, {"I1": Item("I1")}, {KEY: Position(KEY, 1, on_hand, receipts=receipts)}, {"*": offers})


def _request(*lines: RequestLine, tier: Tier = GOLD, ship_complete: bool = False, zone: str = "GB") -> Request:
    return Request("erp", "o1", tier, zone, "web", TODAY, ship_complete, lines)


def _outcomes(book: Book, request: Request) -> list[str]:
    return [LineOutcome(line.outcome).value for line in decide(book, request).lines]


def test_a_line_is_promised_from_stock_within_the_lead_time() -> None:
    book = _book(10)
    (line,) = decide(book, _request(RequestLine("1", "I1", 4))).lines
    assert line.requested_arrival == TODAY + 4
    assert line.planned == (Planned(KEY, "std", 4, TODAY, TODAY + 1, TODAY + 3, cost_minor=540, carrier_class="road"),)
    assert book.positions[KEY].commitments == ((TODAY, 4),)


def test_a_shipment_costs_once_and_the_line_that_opens_it_pays() -> None:
    decision = decide(_book(10), _request(RequestLine("1", "I1", 4), RequestLine("2", "I1", 5)))
    assert [part.cost_minor for line in decision.lines for part in line.planned] == [540, 50]
    assert decision.cost_minor == 590


def test_a_decision_leaves_nothing_for_the_cycle_collector() -> None:
    request = _request(*(RequestLine(str(number), "I1", 4) for number in range(5)), ship_complete=True)
    gc.collect()
    gc.disable()
    try:
        for on_hand in (100, 3):
            decide(_book(on_hand), request)
        assert gc.collect() == 0
    finally:
        gc.enable()


def test_a_tier_that_is_not_in_a_hurry_ships_as_late_as_is_in_time() -> None:
    patient = replace(GOLD, as_soon_as_possible=False)
    (line,) = decide(_book(10), _request(RequestLine("1", "I1", 4, TODAY + 9), tier=patient)).lines
    assert [(part.available_day, part.arrival_day) for part in line.planned] == [(TODAY + 6, TODAY + 9)]


def test_a_date_in_the_past_is_served_at_the_earliest() -> None:
    (line,) = decide(_book(10), _request(RequestLine("1", "I1", 4, TODAY - 30))).lines
    assert line.outcome == "promised_late"
    assert [part.arrival_day for part in line.planned] == [TODAY + 3]
    assert [(binding.kind, binding.needed) for binding in line.why] == [("lane", 33)]


def test_what_cannot_be_promised_waits() -> None:
    book = _book(3, receipts=(Receipts(TODAY + 5, 4),))
    (line,) = decide(book, _request(RequestLine("1", "I1", 10))).lines
    assert line.outcome == "partly_promised"
    assert [(part.available_day, part.quantity) for part in line.planned] == [(TODAY, 3), (TODAY + 5, 4)]
    assert line.backordered == 3
    assert [binding.would_help for binding in line.why] == ["3 more units at L1"]


@pytest.mark.parametrize(
    ("request_", "outcome"),
    [
        (_request(RequestLine("1", "I9", 1)), "unknown_item"),
        (_request(RequestLine("1", "I2", 1)), "item_inactive"),
        (_request(RequestLine("1", "I1", 1), tier=replace(GOLD, carrier_classes=("air",))), "no_source"),
    ],
)
def test_what_can_never_be_served_is_refused_and_does_not_wait(request_: Request, outcome: str) -> None:
    book = replace(_book(10), items={"I1": Item("I1"), "I2": Item("I2", active=False)})
    (line,) = decide(book, request_).lines
    assert (line.outcome, line.planned, line.backordered) == (outcome, (), 0)


def test_an_item_that_no_location_has_yet_waits_for_its_first_receipt() -> None:
    book = replace(_book(10), positions={})
    (line,) = decide(book, _request(RequestLine("1", "I1", 2))).lines
    assert (line.outcome, line.backordered) == ("backordered", 2)
    assert [binding.reference for binding in line.why] == ["L1"]


def test_a_zones_own_lanes_come_before_those_for_all_zones() -> None:
    book = replace(_book(10), offers={"*": (LANE,), "GB": (replace(LANE, service="local"),)})
    assert decide(book, _request(RequestLine("1", "I1", 1))).lines[0].planned[0].service == "local"
    assert decide(book, _request(RequestLine("1", "I1", 1), zone="FR")).lines[0].planned[0].service == "std"


def test_less_than_the_minimum_is_not_promised() -> None:
    line = RequestLine("1", "I1", 10, minimum_quantity=5)
    assert _outcomes(_book(4), _request(line)) == ["below_minimum"]
    assert _outcomes(_book(5), _request(line)) == ["partly_promised"]


def test_an_order_that_ships_complete_gets_all_or_nothing() -> None:
    lines = (RequestLine("1", "I1", 4), RequestLine("2", "I1", 5))
    book = _book(8)
    decision = decide(book, _request(*lines, ship_complete=True))
    assert [line.outcome for line in decision.lines] == ["ship_complete_unmet"] * 2
    assert [line.backordered for line in decision.lines] == [4, 5]
    assert [binding.kind for binding in decision.lines[1].why] == ["supply", "ship_complete"]
    assert book.positions[KEY].commitments == ()
    assert _outcomes(_book(9), _request(*lines, ship_complete=True)) == ["promised", "promised"]


def test_an_order_that_ships_complete_does_not_wait_for_what_can_never_come() -> None:
    decision = decide(_book(8), _request(RequestLine("1", "I1", 4), RequestLine("2", "I9", 1), ship_complete=True))
    assert [line.outcome for line in decision.lines] == ["ship_complete_unmet", "unknown_item"]
    assert [line.backordered for line in decision.lines] == [0, 0]


def test_an_order_that_ships_complete_arrives_on_one_day() -> None:
    book = _book(4, receipts=(Receipts(TODAY + 6, 9),))
    decision = decide(book, _request(RequestLine("1", "I1", 4), RequestLine("2", "I1", 5), ship_complete=True))
    assert [part.arrival_day for line in decision.lines for part in line.planned] == [TODAY + 9] * 2
    assert decision.cost_minor == 590


def test_a_line_that_has_to_arrive_earlier_ships_as_late_as_it_may() -> None:
    book = _book(4, receipts=(Receipts(TODAY + 6, 9),))
    soon = RequestLine("1", "I1", 4, latest_acceptable_arrival=TODAY + 4)
    decision = decide(book, _request(soon, RequestLine("2", "I1", 5), ship_complete=True))
    assert [part.arrival_day for line in decision.lines for part in line.planned] == [TODAY + 4, TODAY + 9]


def test_lines_that_only_fit_on_different_days_are_still_promised_whole() -> None:
    quotas = (Quota("now", "doc", 1, TODAY, TODAY + 3, 4), Quota("then", "doc", 1, TODAY + 4, TODAY + 30, 5))
    book = replace(_book(4, receipts=(Receipts(TODAY + 6, 9),)), quotas=quotas)
    decision = decide(
        book,
        _request(
            RequestLine("1", "I1", 4),
            RequestLine("2", "I1", 5),
            tier=replace(GOLD, split_allowed=False),
            ship_complete=True,
        ),
    )
    assert [part.arrival_day for line in decision.lines for part in line.planned] == [TODAY + 3, TODAY + 9]


def test_a_promise_beyond_the_horizon_brings_its_assumed_receipt_and_takes_it_away() -> None:
    book = replace(_book(3), items={"I1": Item("I1", checking_horizon_days=20)})
    (line,) = decide(book, _request(RequestLine("1", "I1", 10), tier=replace(GOLD, split_allowed=False))).lines
    assert [(part.available_day, part.assumed) for part in line.planned] == [(TODAY + 20, True)]
    assert book.positions[KEY].receipts == (Receipts(TODAY + 20, 0, assumed=10),)
    assert _outcomes(book, _request(RequestLine("1", "I1", 3))) == ["promised"]
    release(book, line.planned)
    assert book.positions[KEY].receipts == ()


def _protected_book() -> Book:
    protection = Protection("p1", "doc", 1, KEY, "gold", 1, TODAY, TODAY + 9, 5)
    return replace(_book(10), protections={KEY: (protection,)})


def test_a_shipment_keeps_what_was_consumed_and_a_release_gives_it_back() -> None:
    counter = UsageKey("protection", "p1", TODAY)
    book = _protected_book()
    ((part,),) = (line.planned for line in decide(book, _request(RequestLine("1", "I1", 6))).lines)
    assert part.postings == (Posting(counter, 6),)
    shipped, rest = split(part, 4)
    ship(book, shipped, 4)
    release(book, [rest])
    assert book.usage[counter] == 4
    assert (book.positions[KEY].on_hand, book.positions[KEY].commitments) == (6, ())


def test_a_shipment_that_a_count_includes_leaves_on_hand_alone() -> None:
    book = _protected_book()
    ((part,),) = (line.planned for line in decide(book, _request(RequestLine("1", "I1", 6))).lines)
    ship(book, part, 6, on_hand_change=0)
    assert (book.positions[KEY].on_hand, book.positions[KEY].commitments) == (10, ())


def test_the_order_of_service_is_rank_then_date_then_age() -> None:
    line = RequestLine("1", "I1", 1, TODAY + 9)
    early, late = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, 0, 0, 0, 1, tzinfo=UTC)
    elsewhere = datetime(2026, 1, 1, 1, tzinfo=timezone(timedelta(hours=2)))
    silver = replace(GOLD, tier="silver", priority_rank=2)
    keys = [
        service_key(_request(tier=GOLD), line, elsewhere),
        service_key(_request(tier=GOLD), line, early),
        service_key(_request(tier=GOLD), line, late),
        service_key(_request(tier=GOLD), replace(line, requested_arrival=TODAY + 10), early),
        service_key(_request(tier=silver), replace(line, requested_arrival=None), early),
    ]
    assert keys == sorted(keys)


def _calls_of(lines: int) -> int:
    """Calls of functions that it takes to decide an order of which every other line finds nothing."""
    names = [f"I{number}" for number in range(lines)]
    positions = {
        PositionKey(name, "L1"): Position(PositionKey(name, "L1"), 1, 9 * (number % 2))
        for number, name in enumerate(names)
    }
    express = replace(LANE, service="express", rank=2, transit_days=1, cost_unit_minor=30)
    book = Book(TODAY, {name: Item(name) for name in names}, positions, {"*": (LANE, express)})
    request = _request(*(RequestLine(str(number), name, 4) for number, name in enumerate(names)))
    calls = 0

    def count(_frame: object, event: str, _argument: object) -> None:
        nonlocal calls
        calls += event == "call"

    sys.setprofile(count)
    try:
        decision = decide(book, request)
    finally:
        sys.setprofile(None)
    assert [line.outcome for line in decision.lines].count("promised") == lines // 2
    return calls


def test_an_order_that_lacks_many_items_is_not_searched_where_nothing_can_be_gained() -> None:
    assert _calls_of(200) < 200 * 500
