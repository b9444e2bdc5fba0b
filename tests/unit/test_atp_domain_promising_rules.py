"""The printed cases of stricter rules, read from the conformance cases, and what a rule does to an offer."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from services.atp.domain.allocation import room_for
from services.atp.domain.model import Book, Item, Position, PositionKey, PromisingRule, Protection, Receipts, Tier
from services.atp.domain.promising_rules import Left, accumulated, by_periods, consumed, figures
from services.atp.domain.supply_picture import UNLIMITED, atp, running_supply

CASES: dict[str, Any] = json.loads((Path(__file__).parents[2] / "conformance" / "cases.json").read_text())
ORACLE = CASES["oracle_atp"]
KEY = PositionKey("I1", "L1")
TODAY = 740_000
GOLD, BRONZE = Tier("gold", 1, 1), Tier("bronze", 3, 1)


def lefts() -> list[Left]:
    return by_periods(dict(enumerate(ORACLE["supply"])), dict(enumerate(ORACLE["demand"])))


def quantities(found: Sequence[Left]) -> list[int]:
    return [each.quantity for each in found]


def at(supply: Sequence[int], demand: Sequence[int], *, on_hand: int = 0) -> Position:
    receipts = tuple(Receipts(TODAY + day, quantity) for day, quantity in enumerate(supply) if quantity)
    commitments = tuple((TODAY + day, quantity) for day, quantity in enumerate(demand) if quantity)
    return Position(KEY, 1, on_hand, receipts=receipts, commitments=commitments)


def by_day(item: Item) -> list[int]:
    room = figures(at(ORACLE["supply"], ORACLE["demand"]), item, TODAY)
    return [room.at(TODAY + day) for day in range(8)]


def test_periods_have_what_is_printed_by_themselves_and_in_all() -> None:
    assert quantities(lefts()) == ORACLE["period"]
    position = at(ORACLE["supply"], ORACLE["demand"])
    assert running_supply(position, Item("I1"), TODAY).available == ORACLE["projected"]
    assert [atp(position, Item("I1"), TODAY, TODAY + day) for day in range(8)] == [
        max(0, level) for level in ORACLE["lookahead_derived"]
    ]


def test_backward_consumption_leaves_what_is_printed() -> None:
    assert quantities(consumed(lefts(), backward=None, forward=0)) == ORACLE["backward"]
    assert by_day(Item("I1", rule=PromisingRule("periods", backward=7))) == ORACLE["backward"]


def test_accumulation_offers_what_is_printed() -> None:
    left = consumed(lefts(), backward=None, forward=0)
    assert quantities([each for each in accumulated(left, 8) if each.period < 8]) == ORACLE["backward_accumulate"]
    assert (
        by_day(Item("I1", rule=PromisingRule("periods", backward=7, accumulation=7))) == ORACLE["backward_accumulate"]
    )


def test_backward_then_forward_consumption_leaves_what_is_printed() -> None:
    expected = ORACLE["backward_then_forward_derived"]
    assert quantities(consumed(lefts(), backward=None, forward=None)) == expected
    assert by_day(Item("I1", rule=PromisingRule("periods", backward=7, forward=7))) == expected


def test_a_request_is_offered_the_printed_periods() -> None:
    """The last period, not after the one that is asked for, whose figure covers the quantity."""
    asked = ORACLE["request"]
    backward, accumulating = (
        by_day(Item("I1", rule=PromisingRule("periods", backward=7, accumulation=window))) for window in (0, 7)
    )

    def last(row: Sequence[int]) -> int:
        return max(period for period in range(1, asked["period"] + 1) if row[period - 1] >= asked["qty"])

    assert last(backward) == asked["backward_only_offer"]
    assert last(accumulating) == asked["accumulate_offer"]


@pytest.mark.parametrize("case", CASES["discrete_atp"], ids=lambda case: str(case["id"]))
def test_discrete_atp_is_what_is_printed(case: dict[str, Any]) -> None:
    """The opening stock belongs to the first week; an ATP is what is uncommitted of a receipt until the next."""
    weekly = [0] * (7 * len(case["mps"]))
    supply, demand = list(weekly), list(weekly)
    supply[::7], demand[::7] = case["mps"], case["orders"]
    item = Item("I1", rule=PromisingRule("discrete"))
    room = figures(at(supply, demand, on_hand=case["opening"]), item, TODAY)
    found = {str(case["first_week"] + (day - TODAY) // 7): room.at(day) for day in room.days}
    assert found == case["atp"]
    assert sum(found.values()) == case["opening"] + sum(case["mps"]) - sum(case["orders"])


def test_a_week_begins_on_monday() -> None:
    monday = 7 * 105_714 + 1
    position = Position(KEY, 1, 0, receipts=(Receipts(monday + 3, 5), Receipts(monday + 7, 2)))
    room = figures(position, Item("I1", rule=PromisingRule("periods", 7)), monday + 2)
    assert [room.at(monday + day) for day in (2, 3, 6, 7, 13, 14)] == [5, 5, 5, 2, 2, 0]


def test_a_rule_offers_no_more_than_atp_and_less_where_it_is_stricter() -> None:
    book = Book(TODAY, {}, {KEY: at(ORACLE["supply"], ORACLE["demand"])}, {})
    item = Item("I1", rule=PromisingRule("periods", backward=7, accumulation=7))
    room = room_for(book, KEY, item, GOLD)
    assert [max(0, room.at(TODAY + day)) for day in range(8)] == [0, 0, 0, 0, 1, 4, 6, 8]
    discrete = room_for(book, KEY, Item("I1", rule=PromisingRule("discrete")), GOLD)
    assert [max(0, discrete.at(TODAY + day)) for day in range(8)] == [0, 0, 0, 0, 1, 3, 2, 2]


def test_what_is_kept_for_others_is_kept_of_a_rules_figure_too() -> None:
    kept = Protection("P", "d", 1, KEY, "gold", 1, TODAY, TODAY + 9, 4)
    book = Book(TODAY, {}, {KEY: at((0, 0, 0, 5), (), on_hand=20)}, {}, {KEY: (kept,)})
    item = Item("I1", rule=PromisingRule("discrete"))
    assert [room_for(book, KEY, item, tier).at(TODAY + 3) for tier in (GOLD, BRONZE)] == [5, 1]


def test_beyond_the_checking_horizon_no_rule_is_asked() -> None:
    item = Item("I1", checking_horizon_days=4, rule=PromisingRule("discrete"))
    book = Book(TODAY, {}, {KEY: at((0, 3, 0, 0, 0, 9), (0, 0, 2), on_hand=6)}, {})
    room = room_for(book, KEY, item, GOLD)
    assert [room.at(TODAY + day) for day in (0, 1, 3, 4, 9)] == [6, 1, 1, UNLIMITED, UNLIMITED]
