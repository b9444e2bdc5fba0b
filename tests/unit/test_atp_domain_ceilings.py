"""Fair share, quota windows and hierarchies, among them the cases P7, P8 and P10 of conformance/cases.json."""

import json
from pathlib import Path
from typing import Any

import pytest

from services.atp.domain.ceilings import ceilings_for, left_of, portions
from services.atp.domain.fair_share import fair_share, rationed, scaled
from services.atp.domain.model import (
    Book,
    Hierarchy,
    Item,
    Node,
    Planned,
    PositionKey,
    Posting,
    Quota,
    Request,
    Tier,
    UsageKey,
)
from services.atp.domain.release import split

TODAY = 740_000
ITEM = Item("I1", groups=("drinks",))
CASES = {
    case["id"]: case
    for case in json.loads((Path(__file__).parents[2] / "conformance" / "cases.json").read_text())["protection"]
}


def _request(tier: str = "gold", customer: str | None = None, zone: str = "NE") -> Request:
    return Request(
        "erp", "o1", Tier(tier, 1, 1), zone, "web", TODAY, ship_complete=False, lines=(), customer_id=customer
    )


def _tree(*nodes: Node) -> Hierarchy:
    pool = Node("rest", None, "none", "", 9, (5,))
    return Hierarchy("tree.1", "tree", 1, "I1", ((TODAY, TODAY + 9),), (*nodes, pool), "rest")


def _book(*limits: Quota | Hierarchy, **regions: str) -> Book:
    quotas = tuple(each for each in limits if isinstance(each, Quota))
    trees = tuple(each for each in limits if isinstance(each, Hierarchy))
    return Book(TODAY, {"I1": ITEM}, {}, {}, quotas=quotas, hierarchies=trees, regions=regions)


def _left(book: Book, request: Request, day: int = 0) -> int | None:
    (ceiling,) = ceilings_for(book, request, ITEM)
    return left_of(ceiling, book.usage, TODAY + day)


def _taken(book: Book, request: Request, quantity: int, day: int = 0) -> list[tuple[str, int, int, str]]:
    (ceiling,) = ceilings_for(book, request, ITEM)
    found = portions(ceiling, book.usage, TODAY + day, quantity)
    return [(each.usage.limit_id, each.usage.period_start - TODAY, each.quantity, each.taken) for each in found]


def test_percentages_of_a_total_without_a_remainder() -> None:
    case: dict[str, Any] = CASES["P7"]
    assert fair_share(case["total"], case["pct"]) == case["alloc"]


def test_too_little_for_all_is_shared_fairly() -> None:
    case: dict[str, Any] = CASES["P10"]
    assert scaled(case["import"], case["supply"]) == case["alloc"]


@pytest.mark.parametrize(
    ("total", "weights", "shares"),
    [
        (10, [1, 1, 1], [4, 3, 3]),
        (7, [0, 0], [4, 3]),
        (0, [3, 5], [0, 0]),
        (5, [], []),
        (100, [57, 27, 16], [57, 27, 16]),
    ],
)
def test_the_largest_remainders_get_what_is_left(total: int, weights: list[int], shares: list[int]) -> None:
    assert fair_share(total, weights) == shares


def test_nobody_loses_his_share_to_what_others_take_within_theirs() -> None:
    assert rationed([6, 6], [0, 0], 6) == [3, 3]
    assert rationed([6, 6], [3, 0], 3) == [3, 3]
    assert rationed([6, 6, 6], [5, 0, 0], 4) == [5, 2, 2]
    assert rationed([4, 0], [1, 3], 9) == [4, 0]


def test_an_order_takes_from_its_node_and_its_parents() -> None:
    """The allocations are chosen, the case names none: NE 50, its parent EAST 20, the root 10."""
    case: dict[str, Any] = CASES["P8"]
    root = Node("ROOT", None, "channel", "web", 1, (10,))
    east = Node("EAST", "ROOT", "region", "east", 1, (20,))
    north_east = Node("NE", "EAST", "zone", "NE", 1, (50,))
    south_east = Node("SE", "EAST", "zone", "SE", 2, (60,))
    book = _book(_tree(root, east, north_east, south_east), NE="east")
    left = _left(book, _request())
    assert left is not None
    assert min(case["order"], left) == case["parents_only_consumed"]
    assert _taken(book, _request(), left) == [
        ("tree.1/NE", 0, 50, "own"),
        ("tree.1/EAST", 0, 20, "parent"),
        ("tree.1/ROOT", 0, 10, "parent"),
    ]


def test_less_important_siblings_that_lend_are_asked_last_and_not_within_their_lock_window() -> None:
    gold = Node("gold", None, "tier", "gold", 1, (10,))
    silver = Node("silver", None, "tier", "silver", 2, (20,), lends=True)
    bronze = Node("bronze", None, "tier", "bronze", 3, (30,), lends=True, lock_days=4)
    book = _book(_tree(gold, silver, bronze))
    assert [_left(book, _request("gold"), day) for day in (0, 3, 4, 9, 10)] == [30, 30, 60, 60, None]
    assert _taken(book, _request("gold"), 55, 4) == [
        ("tree.1/gold", 0, 10, "own"),
        ("tree.1/bronze", 0, 30, "borrowed"),
        ("tree.1/silver", 0, 15, "borrowed"),
    ]
    assert _left(book, _request("bronze")) == 30
    assert _left(book, _request("red")) == 5


def test_a_quota_looks_at_the_nearest_periods_first_and_closed_ones_give_nothing() -> None:
    def quota(start: int, end: int) -> Quota:
        return Quota("q", "doc", 1, TODAY + start, TODAY + end, 10, item_group="drinks", backward=2, forward=1)

    book = _book(quota(-9, -1), quota(0, 4), quota(5, 9), quota(12, 15))
    assert [_left(book, _request(), day) for day in (0, 5, 10, 12)] == [20, 30, None, 30]
    assert _taken(book, _request(), 25, 5) == [("q", 5, 10, "own"), ("q", 0, 10, "borrowed"), ("q", 12, 5, "borrowed")]


def test_what_was_borrowed_is_given_back_first() -> None:
    own, other = UsageKey("quota", "q", TODAY), UsageKey("quota", "q", TODAY + 5)
    protection = Posting(UsageKey("protection", "p", TODAY), 8)
    postings = (protection, Posting(own, 6), Posting(other, 2, "borrowed"))
    part = Planned(PositionKey("I1", "L1"), "road", 8, TODAY, TODAY, TODAY, 100, postings)
    first, rest = split(part, 5)
    assert [each.quantity for each in first.postings] == [5, 5]
    assert [(each.quantity, each.taken) for each in rest.postings] == [(3, "own"), (1, "own"), (2, "borrowed")]
