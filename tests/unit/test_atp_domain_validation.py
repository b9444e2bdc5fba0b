"""Validation by tier: which lines are refused or held before stock is taken, and what would help."""

from dataclasses import replace
from typing import Any

import pytest

from services.atp.domain.model import Book, Item, LineDecision, Offer, Position, PositionKey, Request, RequestLine, Tier
from services.atp.domain.promise_state import first_state
from services.atp.domain.promising import decide, inquire
from services.atp.domain.validation import amount_text
from services.atp.domain.validation_rules import MICRO, Block, ValidationRules

TODAY = 740_000
KEYS = (PositionKey("tea", "north"), PositionKey("cup", "north"))
LANE = Offer("north", "std", "road", 1, processing_days=1, transit_days=1, cost_shipment_minor=500, cost_unit_minor=10)
CREDIT_HOLD, CREDIT_STOP = Block("credit", "hold"), Block("credit", "refuse")


def _book() -> Book:
    items = {"tea": Item("tea", groups=("drinks",)), "cup": Item("cup")}
    return Book(TODAY, items, {key: Position(key, 1, 100) for key in KEYS}, {"*": (LANE,)})


def _request(rules: ValidationRules | None, *lines: RequestLine, **fields: Any) -> Request:
    tier = Tier("silver", 2, 1, validation=rules)
    lines = lines or (RequestLine("1", "tea", 5), RequestLine("2", "cup", 3))
    request = Request("erp", "o1", tier, "GB", "web", TODAY, ship_complete=False, lines=lines)
    return replace(request, **fields)


def _lines(rules: ValidationRules | None, *lines: RequestLine, **fields: Any) -> tuple[LineDecision, ...]:
    book = _book()
    decision = decide(book, _request(rules, *lines, **fields))
    taken = sum(quantity for position in book.positions.values() for _, quantity in position.commitments)
    assert taken == sum(part.quantity for line in decision.lines for part in line.planned)
    return decision.lines


def _outcomes(rules: ValidationRules | None, *lines: RequestLine, **fields: Any) -> list[str]:
    return [line.outcome for line in _lines(rules, *lines, **fields)]


def _helps(rules: ValidationRules | None, *lines: RequestLine, **fields: Any) -> list[tuple[str, int | None, str]]:
    return [
        (why.reference, why.allowed, why.would_help) for line in _lines(rules, *lines, **fields) for why in line.why
    ]


def test_a_tier_without_rules_permits_everything() -> None:
    assert _outcomes(None) == ["promised", "promised"]


def test_a_line_over_its_quantity_is_refused_and_the_others_are_decided() -> None:
    rules = ValidationRules(line_quantity_max=4)
    assert _outcomes(rules) == ["not_permitted", "promised"]
    assert _helps(rules) == [("line_quantity_max", 4, "the line smaller by 1 in quantity")]


def test_an_order_over_its_quantity_is_refused_whole() -> None:
    rules = ValidationRules(order_quantity_max=7)
    assert _outcomes(rules) == ["not_permitted", "not_permitted"]
    assert _helps(rules)[0] == ("order_quantity_max", 7, "the order smaller by 1 in quantity")


def test_values_are_exact_to_a_millionth() -> None:
    rules = ValidationRules(line_value_max_micro=MICRO)
    third = RequestLine("1", "tea", 3, unit_price_micro=333_334)
    assert _outcomes(rules, third) == ["not_permitted"]
    assert _helps(rules, third)[0][2] == "a line value lower by 0.000002, which is at most 1"
    assert _outcomes(rules, replace(third, unit_price_micro=333_333)) == ["promised"]


def test_an_order_has_a_least_and_a_greatest_value() -> None:
    lines = (
        RequestLine("1", "tea", 2, unit_price_micro=MICRO),
        RequestLine("2", "cup", 1, unit_price_micro=MICRO // 2),
    )
    assert _outcomes(ValidationRules(order_value_min_micro=2_500_000, order_value_max_micro=2_500_000), *lines) == [
        "promised",
        "promised",
    ]
    assert _helps(ValidationRules(order_value_min_micro=4 * MICRO), *lines)[0][2] == (
        "an order value higher by 1.5, which is at least 4"
    )
    assert _helps(ValidationRules(order_value_max_micro=2 * MICRO), *lines)[0][2] == (
        "an order value lower by 0.5, which is at most 2"
    )


@pytest.mark.parametrize("limit", ["line_value_max_micro", "order_value_min_micro", "order_value_max_micro"])
def test_a_line_without_a_price_fails_a_limit_of_value(limit: str) -> None:
    limits: dict[str, Any] = {limit: 10}
    rules = ValidationRules(**limits)
    assert {help_ for _, _, help_ in _helps(rules)} == {"a unit price on every line"}


def test_an_item_is_permitted_by_its_id_or_by_its_group() -> None:
    assert _outcomes(ValidationRules(permitted_items=("cup",))) == ["not_permitted", "promised"]
    assert _outcomes(ValidationRules(permitted_item_groups=("drinks",))) == ["promised", "not_permitted"]
    both = ValidationRules(permitted_items=("cup",), permitted_item_groups=("drinks",))
    assert _outcomes(both) == ["promised", "promised"]
    assert _outcomes(both, RequestLine("1", "ghost", 1)) == ["not_permitted"]


@pytest.mark.parametrize(
    ("rules", "reference"),
    [
        (ValidationRules(permitted_channels=("shop",)), "permitted_channels"),
        (ValidationRules(permitted_zones=("FR",)), "permitted_zones"),
    ],
)
def test_another_channel_or_zone_refuses_the_order(rules: ValidationRules, reference: str) -> None:
    assert _outcomes(rules) == ["not_permitted", "not_permitted"]
    assert {found for found, _, _ in _helps(rules)} == {reference}


def test_a_check_that_is_held_holds_the_whole_order_and_takes_nothing() -> None:
    rules = ValidationRules(line_quantity_max=4, held=("line_quantity_max",))
    assert _outcomes(rules) == ["held_for_release", "held_for_release"]
    assert [bool(line.why) for line in _lines(rules)] == [True, False]


def test_a_line_that_is_refused_stays_refused_when_its_order_is_held() -> None:
    rules = ValidationRules(line_quantity_max=4, permitted_items=("tea",), held=("line_quantity_max",))
    assert _outcomes(rules) == ["held_for_release", "not_permitted"]
    assert _outcomes(rules, released=True) == ["promised", "not_permitted"]


def test_an_order_with_nothing_but_refused_lines_is_refused_and_not_held() -> None:
    rules = ValidationRules(order_quantity_max=1, permitted_items=("coal",), held=("order_quantity_max",))
    assert _outcomes(rules) == ["not_permitted", "not_permitted"]


def test_a_refusal_of_the_order_goes_before_what_would_hold_it() -> None:
    rules = ValidationRules(line_quantity_max=4, permitted_zones=("FR",), held=("line_quantity_max",))
    assert _outcomes(rules) == ["not_permitted", "not_permitted"]
    assert _outcomes(None, blocks=(CREDIT_HOLD, Block("compliance", "refuse"))) == ["not_permitted", "not_permitted"]


def test_a_block_holds_or_refuses_as_it_says() -> None:
    assert _outcomes(None, blocks=(CREDIT_HOLD,)) == ["held_for_release", "held_for_release"]
    assert _helps(None, blocks=(CREDIT_HOLD,))[0] == (
        "credit_block",
        None,
        "the credit block of the customer lifted, or the order released",
    )
    assert _helps(None, blocks=(CREDIT_STOP,))[0][2] == "the credit block of the customer lifted"


def test_a_release_waives_what_holds_and_not_what_refuses() -> None:
    rules = ValidationRules(line_quantity_max=4, held=("line_quantity_max",))
    assert _outcomes(rules, blocks=(CREDIT_HOLD,), released=True) == ["promised", "promised"]
    assert _outcomes(rules, blocks=(CREDIT_STOP,), released=True) == ["not_permitted", "not_permitted"]


def test_of_an_order_that_ships_complete_no_line_is_served_without_the_refused_one() -> None:
    rules = ValidationRules(line_quantity_max=4)
    answers = _lines(rules, ship_complete=True)
    assert [(line.outcome, line.backordered) for line in answers] == [("not_permitted", 0), ("ship_complete_unmet", 0)]


def test_a_held_order_awaits_its_release_and_an_inquiry_says_the_same() -> None:
    request = _request(None, blocks=(CREDIT_HOLD,))
    decision = decide(_book(), request)
    assert first_state(decision) == "awaiting_release"
    assert inquire(_book(), request) == decision
    assert first_state(decide(_book(), replace(request, blocks=(CREDIT_STOP,)))) == "refused"


def test_a_backorder_was_validated_when_its_order_came() -> None:
    decision = decide(_book(), _request(ValidationRules(line_quantity_max=1), blocks=(CREDIT_STOP,)), in_turn=True)
    assert [line.outcome for line in decision.lines] == ["promised", "promised"]


def test_amounts_are_written_plainly() -> None:
    assert [amount_text(micro) for micro in (0, 1, MICRO, 12_500_000)] == ["0", "0.000001", "1", "12.5"]
