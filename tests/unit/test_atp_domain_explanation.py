from dataclasses import replace
from datetime import date

from services.atp.domain.model import (
    Binding,
    Book,
    Capacity,
    Item,
    Offer,
    Position,
    PositionKey,
    Protection,
    Quota,
    Receipts,
    Request,
    RequestLine,
    Tier,
)
from services.atp.domain.promising import decide

TODAY = date(2026, 1, 1).toordinal()
KEY, SOUTH = PositionKey("I1", "north"), PositionKey("I1", "south")
BRONZE = Tier("bronze", 3, 1, lead_time_days=4)
LANE = Offer("north", "std", "road", 1, processing_days=1, transit_days=2, cost_shipment_minor=500, cost_unit_minor=10)


def _book(on_hand: int, *receipts: Receipts, waiting: tuple[tuple[int, int], ...] = ()) -> Book:
    position = Position(KEY, 1, on_hand, receipts=receipts, waiting=waiting)
    return Book(TODAY, {"I1": Item("I1")}, {KEY: position}, {"*": (LANE,)})


def _why(book: Book, line: RequestLine, tier: Tier = BRONZE) -> tuple[Binding, ...]:
    request = Request("erp", "o1", tier, "GB", "web", TODAY, ship_complete=False, lines=(line,))
    return decide(book, request).lines[0].why


def _gold(quantity: int, start: int = 0, end: int = 30) -> Protection:
    return Protection("gold-january", "doc", 1, KEY, "gold", 1, TODAY + start, TODAY + end, quantity)


def test_a_late_line_names_the_supply_or_the_date_that_would_help() -> None:
    (binding,) = _why(_book(2, Receipts(TODAY + 6, 9)), RequestLine("1", "I1", 5))
    assert binding == Binding(
        "supply",
        "north",
        allowed=2,
        day=TODAY + 1,
        would_help="3 more units at north by 2026-01-02, or a requested arrival of 2026-01-10",
        needed=3,
    )


def test_a_short_line_names_the_first_acceptable_date_that_would_help() -> None:
    line = RequestLine("1", "I1", 5, latest_acceptable_arrival=TODAY + 7)
    (binding,) = _why(_book(2, Receipts(TODAY + 6, 9)), line)
    assert binding.would_help == "3 more units at north by 2026-01-05, or a latest acceptable arrival of 2026-01-10"


def test_a_protection_that_keeps_the_quantity_is_named() -> None:
    book = replace(_book(10), protections={KEY: (_gold(8),)})
    (binding,) = _why(book, RequestLine("1", "I1", 5))
    assert (binding.kind, binding.reference, binding.tier) == ("protection", "gold-january", "gold")
    assert (binding.allowed, binding.needed) == (2, 3)
    assert binding.would_help == "protection gold-january lowered by 3 units"


def test_a_protection_beyond_what_covers_it_has_to_be_lowered_by_more() -> None:
    book = replace(_book(0, Receipts(TODAY + 5, 6)), protections={KEY: (_gold(10, 5, 20),)})
    (binding,) = _why(book, RequestLine("1", "I1", 2, TODAY + 20))
    assert (binding.allowed, binding.needed) == (0, 6)


def test_where_neither_alone_would_do_both_are_named_and_more_supply_helps() -> None:
    book = replace(_book(10), protections={KEY: (_gold(8),)})
    supply, protection = _why(book, RequestLine("1", "I1", 15))
    assert (supply.kind, supply.allowed, supply.needed) == ("supply", 10, 13)
    assert (protection.kind, protection.allowed, protection.needed) == ("protection", 2, None)
    assert protection.would_help == supply.would_help == "13 more units at north"


def test_a_quota_and_supply_that_bind_together_are_raised_together() -> None:
    quota = Quota("web-january", "doc", 1, TODAY, TODAY + 400, 4)
    both = replace(_book(2), quotas=(quota,))
    first, second = _why(both, RequestLine("1", "I1", 5, latest_acceptable_arrival=TODAY + 9))
    assert (first.kind, first.reference, first.allowed, first.needed) == ("quota", "web-january", 4, 1)
    assert (second.kind, second.allowed, second.needed) == ("supply", 2, 3)
    assert first.would_help == second.would_help


def test_a_quota_and_a_protection_that_bind_together_are_changed_together() -> None:
    quota = Quota("web-january", "doc", 1, TODAY, TODAY + 1, 4)
    book = replace(_book(10), quotas=(quota,), protections={KEY: (_gold(8),)})
    line = RequestLine("1", "I1", 5, latest_acceptable_arrival=TODAY + 4)
    last = _why(book, line)[-1]
    assert last.would_help == "protection gold-january lowered by 3 units and quota web-january raised by 1 unit"


def test_stock_that_is_kept_for_those_who_wait_is_named() -> None:
    (binding,) = _why(_book(10, waiting=((1, 8),)), RequestLine("1", "I1", 5))
    assert (binding.kind, binding.reference, binding.allowed) == ("protection", "backorders_ahead", 2)
    assert binding.would_help == "3 more units at north"


def test_where_no_lane_is_fast_enough_the_first_date_is_named() -> None:
    (binding,) = _why(_book(10), RequestLine("1", "I1", 5, TODAY + 1))
    assert (binding.kind, binding.reference, binding.day, binding.needed) == ("lane", "north/std", TODAY + 3, 2)
    assert binding.would_help == "a requested arrival of 2026-01-04"


def test_where_no_lane_is_fast_enough_and_nothing_is_there_both_are_named() -> None:
    (binding,) = _why(_book(0), RequestLine("1", "I1", 5, latest_acceptable_arrival=TODAY + 1))
    assert binding.would_help == "arrival on 2026-01-04 or later, and 5 more units at north by 2026-01-01"


def test_a_line_below_its_minimum_names_what_reaches_it() -> None:
    minimum, supply = _why(_book(2), RequestLine("1", "I1", 9, minimum_quantity=6))
    assert (minimum.kind, minimum.allowed, minimum.needed) == ("minimum_quantity", 2, 4)
    assert (supply.kind, supply.needed) == ("supply", 4)


def test_several_locations_are_named_with_what_each_would_need() -> None:
    book = _book(2)
    book.positions[SOUTH] = Position(SOUTH, 1, -1)
    book = replace(book, offers={"*": (LANE, replace(LANE, location_id="south"))})
    north, south = _why(book, RequestLine("1", "I1", 5))
    assert (north.reference, north.needed, south.reference, south.needed) == ("north", 3, "south", 4)


def test_a_line_that_is_late_because_that_is_cheaper_says_by_how_much() -> None:
    careless = replace(BRONZE, lateness_penalty_minor=0)
    book = _book(9)
    book.positions[SOUTH] = Position(SOUTH, 1, 9)
    express = replace(LANE, location_id="south", service="air", transit_days=0, cost_unit_minor=100)
    book = replace(book, offers={"*": (LANE, express)})
    (binding,) = _why(book, RequestLine("1", "I1", 5, TODAY + 1), careless)
    assert (binding.kind, binding.reference, binding.allowed) == ("lane", "south/air", 5)
    assert binding.would_help.startswith("a plan in time costs 450 minor units more")


def test_a_line_that_is_out_of_reach_of_an_order_with_all_its_shipments_needs_a_date_and_a_shipment_more() -> None:
    book = replace(_book(2), capacities={"north": (Capacity("dock", "north", None, (1,) * 7),)})
    lines = (RequestLine("1", "I1", 1), RequestLine("2", "I1", 1, latest_acceptable_arrival=TODAY + 1))
    late = replace(BRONZE, as_soon_as_possible=False)
    request = Request("erp", "o1", late, "GB", "web", TODAY, ship_complete=False, lines=lines, max_shipments=1)
    whole, nothing = decide(book, request).lines
    assert whole.outcome == "promised"
    assert [each.would_help for each in nothing.why] == ["arrival on 2026-01-04 or later, and one shipment more"]
