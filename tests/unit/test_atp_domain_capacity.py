from dataclasses import replace

import pytest

from services.atp.domain.capacity import left_for
from services.atp.domain.glance import glance
from services.atp.domain.model import (
    Book,
    Capacity,
    CapacityShare,
    Item,
    Offer,
    Position,
    PositionKey,
    Posting,
    Request,
    RequestLine,
    Tier,
    UsageKey,
)
from services.atp.domain.promising import decide
from services.atp.domain.release import release

TODAY = 740_000  # Tuesday, 19 January 2027
KEY = PositionKey("I1", "L1")
GOLD, SILVER = Tier("gold", 1, 1, lead_time_days=4), Tier("silver", 2, 1, lead_time_days=4)
LANE = Offer("L1", "std", "road", 1, processing_days=0, transit_days=2, cost_shipment_minor=500, cost_unit_minor=10)
TEN = Capacity("dock", "L1", None, (10,) * 7)


def _book(*capacities: Capacity) -> Book:
    return Book(
        TODAY,
        {"I1": Item("I1")},
        {KEY: Position(KEY, 1, 1_000)},
        {"*": (LANE,)},
        capacities={"L1": capacities},
    )


def _request(quantity: int, tier: Tier = SILVER, latest: int | None = None) -> Request:
    line = RequestLine("1", "I1", quantity, latest_acceptable_arrival=latest)
    return Request("erp", f"o{quantity}", tier, "GB", "web", TODAY, ship_complete=False, lines=(line,))


def test_a_full_day_is_passed_over_and_the_next_one_is_used() -> None:
    book = _book(replace(TEN, exceptions=((TODAY, 3),)))
    (line,) = decide(book, _request(5)).lines
    (part,) = line.planned
    assert (part.ship_day, part.quantity, line.outcome) == (TODAY + 1, 5, "promised")
    assert part.postings == (Posting(UsageKey("capacity", "dock", TODAY + 1), 5),)


def test_what_more_than_a_day_holds_leaves_on_several() -> None:
    (line,) = decide(_book(TEN), _request(25)).lines
    assert sorted((part.ship_day - TODAY, part.quantity) for part in line.planned) == [(0, 10), (1, 10), (2, 5)]


def test_what_cannot_leave_in_time_says_which_day_of_which_capacity_would_have_to_grow() -> None:
    (line,) = decide(_book(TEN), _request(25, latest=TODAY + 3)).lines
    assert line.backordered == 5
    assert [(why.kind, why.reference, why.day, why.needed) for why in line.why] == [
        ("capacity", "dock", TODAY + 1, 5),
    ]
    assert line.why[0].would_help.startswith(
        "capacity dock raised by 5 units on 2027-01-20, or a latest acceptable arrival"
    )


@pytest.mark.parametrize(("mode", "left"), [("prioritised", (10, 6)), ("core", (10, 6))])
def test_a_share_is_kept_from_the_tiers_behind(mode: str, left: tuple[int, int]) -> None:
    share = CapacityShare("gold", 1, 4, "core" if mode == "core" else "prioritised")
    capacity = replace(TEN, shares=(share,))
    assert tuple(left_for(capacity, tier, TODAY, TODAY, {}) for tier in (GOLD, SILVER)) == left


def test_only_a_core_share_is_kept_from_the_tiers_ahead() -> None:
    ours = CapacityShare("silver", 2, 4)
    assert left_for(replace(TEN, shares=(ours,)), GOLD, TODAY, TODAY, {}) == 10
    assert left_for(replace(TEN, shares=(ours._replace(mode="core"),)), GOLD, TODAY, TODAY, {}) == 6


def test_a_share_that_is_not_used_lapses_before_its_day() -> None:
    capacity = replace(TEN, shares=(CapacityShare("gold", 1, 4, lapse_days=2),))
    assert [left_for(capacity, SILVER, TODAY + day, TODAY, {}) for day in range(4)] == [10, 10, 6, 6]


def test_what_a_tier_books_is_kept_for_it_no_more_and_given_back_it_is_again() -> None:
    book = _book(replace(TEN, shares=(CapacityShare("gold", 1, 4),)))
    (line,) = decide(book, _request(3, GOLD)).lines
    assert book.usage == {UsageKey("capacity", "dock", TODAY): 3, UsageKey("capacity", "dock/gold", TODAY): 3}
    (capacity,) = book.capacities["L1"]
    assert left_for(capacity, SILVER, TODAY, TODAY, book.usage) == 6
    release(book, line.planned)
    assert left_for(capacity, SILVER, TODAY, TODAY, book.usage) == 6
    assert set(book.usage.values()) == {0}


def test_a_service_is_limited_by_its_own_capacity_and_by_that_of_all_together() -> None:
    book = _book(TEN, Capacity("post", "L1", "std", (4,) * 7), Capacity("van", "L1", "van", (0,) * 7))
    (line,) = decide(book, _request(6)).lines
    assert sorted((part.ship_day - TODAY, part.quantity) for part in line.planned) == [(0, 4), (1, 2)]


def test_a_glance_sees_the_first_arrival_that_capacity_lets_be() -> None:
    full = replace(TEN, exceptions=tuple((TODAY + day, 0) for day in range(5)))
    assert glance(_book(full), _request(1)).earliest_arrival == TODAY + 7
