from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from services.reclassifier.application.condition_document import DEPTH_MAX, NODES_MAX
from services.reclassifier.application.rule_set_document import RuleSetDocument
from services.reclassifier.bootstrap import SHIPPED_RULE_SET
from services.reclassifier.domain.classification import Judgement, find_move, judge
from services.reclassifier.domain.features import Features, Window
from services.reclassifier.domain.leaves import Comparison, Finding, Leaf, Truth
from services.reclassifier.domain.measures import Measure
from services.reclassifier.domain.predicates import AllOf, AnyOf, Not, findings, truth
from services.reclassifier.domain.rule_set import RuleSet
from services.reclassifier.domain.standing import Assigned, Standing, standing_at

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
TODAY = NOW.toordinal()
LONG_AGO = NOW - timedelta(days=400)
MICROS = 1_000_000


def _leaf(feature: str, **rest: object) -> dict[str, object]:
    return {"feature": feature, **({} if feature == "recency" else {"window_days": 90}), **rest}


DOCUMENT: dict[str, Any] = {
    "rungs": [
        {
            "tier": "gold",
            "promote": {"all": [_leaf("orders", at_least=5), _leaf("value", at_least="1000")]},
            "demote": _leaf("value", below="600"),
        },
        {
            "tier": "silver",
            "promote": _leaf("value", at_least="300"),
            "demote": {"any": [_leaf("value", below="150"), _leaf("recency", above=60)]},
        },
    ],
    "floor": "bronze",
    "minimum_dwell_days": 28,
    "proposal_ttl_days": 7,
}


def _rules(**changes: object) -> RuleSet:
    return RuleSetDocument.model_validate({**DOCUMENT, **changes}).to_domain("activity", 3)


def _features(orders: int, value: int, *, recency: int | None = 3, unpriced: int = 0, first: int = 40) -> Features:
    window = Window(90, orders, orders, value * MICROS, unpriced, TODAY - first if orders else None)
    return Features(TODAY, {90: window}, None if recency is None else TODAY - recency)


def _standing(tier: str | None, since: datetime | None = LONG_AGO) -> Standing:
    return Standing(tier, since, overridden=False, until=None)


def _target(tier: str, features: Features) -> str | None:
    move = find_move(_rules(), tier, features)
    return None if move is None else move.to_tier


@pytest.mark.parametrize(
    ("tier", "orders", "value", "target"),
    [
        ("bronze", 1, 299, None),
        ("bronze", 1, 300, "silver"),
        ("bronze", 4, 5_000, "silver"),
        ("bronze", 5, 1_000, "gold"),
        ("silver", 5, 1_000, "gold"),
        ("silver", 5, 999, None),
        ("silver", 1, 150, None),
        ("silver", 1, 149, "bronze"),
        ("gold", 1, 600, None),
        ("gold", 1, 599, "silver"),
        ("gold", 1, 149, "bronze"),
    ],
)
def test_thresholds_move_and_the_gap_between_them_holds(tier: str, orders: int, value: int, target: str | None) -> None:
    assert _target(tier, _features(orders, value)) == target


def test_a_customer_in_the_gap_stays_wherever_it_is() -> None:
    between = _features(5, 800)  # too little for gold, too much to lose it
    assert _target("gold", between) is None
    assert _target("silver", between) is None


def test_long_silence_drops_a_customer_that_its_value_would_keep() -> None:
    assert _target("silver", _features(2, 200, recency=60)) is None
    assert _target("silver", _features(2, 200, recency=61)) == "bronze"


def test_nobody_is_promoted_into_a_tier_that_would_drop_it_at_once() -> None:
    assert _target("bronze", _features(2, 400, recency=61)) is None


def test_what_is_unknown_moves_nobody() -> None:
    assert _target("gold", _features(5, 100, unpriced=2)) is None
    assert _target("bronze", _features(5, 100, unpriced=2)) is None
    assert _target("silver", _features(1, 200, recency=None)) is None


def test_a_lower_bound_that_passes_is_enough() -> None:
    assert _target("bronze", _features(5, 1_000, unpriced=2)) == "gold"


@pytest.mark.parametrize(
    ("parts", "every", "some"),
    [
        ([Truth.YES, Truth.YES], Truth.YES, Truth.YES),
        ([Truth.YES, Truth.UNKNOWN], Truth.UNKNOWN, Truth.YES),
        ([Truth.NO, Truth.UNKNOWN], Truth.NO, Truth.UNKNOWN),
        ([Truth.NO, Truth.YES], Truth.NO, Truth.YES),
        ([Truth.UNKNOWN, Truth.UNKNOWN], Truth.UNKNOWN, Truth.UNKNOWN),
    ],
)
def test_conditions_combine_as_in_kleenes_logic(parts: list[Truth], every: Truth, some: Truth) -> None:
    features = _features(3, 100, recency=None)
    leaves = {
        Truth.YES: Leaf(Measure.ORDERS, Comparison.AT_LEAST, 3, 90),
        Truth.NO: Leaf(Measure.ORDERS, Comparison.ABOVE, 3, 90),
        Truth.UNKNOWN: Leaf(Measure.RECENCY, Comparison.AT_MOST, 30),
    }
    given = tuple(leaves[part] for part in parts)
    assert truth(AllOf(given), features) is every
    assert truth(AnyOf(given), features) is some
    assert truth(Not(AllOf(given)), features) == Truth.YES - every


@pytest.mark.parametrize(
    ("comparison", "below", "at", "over"),
    [
        (Comparison.AT_LEAST, Truth.NO, Truth.YES, Truth.YES),
        (Comparison.ABOVE, Truth.NO, Truth.NO, Truth.YES),
        (Comparison.AT_MOST, Truth.YES, Truth.YES, Truth.NO),
        (Comparison.BELOW, Truth.YES, Truth.NO, Truth.NO),
    ],
)
def test_each_comparison_says_on_which_side_its_limit_lies(
    comparison: Comparison, below: Truth, at: Truth, over: Truth
) -> None:
    leaf = Leaf(Measure.ORDERS, comparison, 4, 90)
    assert [truth(leaf, _features(orders, 1)) for orders in (3, 4, 5)] == [below, at, over]


@pytest.mark.parametrize(("comparison", "days"), [("at_least", 9), ("above", 10), ("at_most", 10), ("below", 9)])
def test_silence_turns_a_condition_on_the_day_that_its_comparison_says(comparison: str, days: int) -> None:
    condition = {"not": _leaf("recency", **{comparison: 9})}
    rules = _rules(rungs=[{"tier": "gold", "promote": _leaf("recency", at_least=700), "demote": condition}])
    assert rules.windows == ()
    last = TODAY - 5
    features = Features(TODAY, {}, last)
    at = judge(rules, _standing("bronze"), features, NOW).again_at
    assert at == datetime.fromordinal(last + days).replace(tzinfo=UTC)


def test_a_move_names_its_numbers_beside_their_limits() -> None:
    move = find_move(_rules(), "bronze", _features(5, 1_250))
    assert move is not None
    assert move.evidence == (
        Finding("orders_90d", "5", "at least 5"),
        Finding("value_90d", "1250.00", "at least 1000.00"),
    )
    assert move.reason == "activity v3: orders_90d 5 (at least 5), value_90d 1250.00 (at least 1000.00)"


def test_a_number_that_is_missing_or_only_a_lower_bound_says_so() -> None:
    condition = AllOf(
        (Leaf(Measure.RECENCY, Comparison.BELOW, 9), Leaf(Measure.VALUE, Comparison.AT_MOST, 500_000, 90))
    )
    found = findings(condition, _features(1, 7, recency=None, unpriced=1))
    assert found == (Finding("recency", "unknown", "below 9"), Finding("value_90d", "7.00 or more", "at most 0.50"))


def test_a_reason_of_many_numbers_is_cut() -> None:
    many = {"any": [_leaf("value", at_least=str(number)) for number in range(60)]}
    rules = _rules(rungs=[{"tier": "gold", "promote": many, "demote": _leaf("recency", above=700)}])
    move = find_move(rules, "bronze", _features(1, 100))
    assert move is not None
    assert len(move.reason) == 500
    assert move.reason.endswith("…")


def test_a_move_waits_for_the_minimum_dwell() -> None:
    since = NOW - timedelta(days=27)
    rich = _features(9, 9_000)
    assert judge(_rules(), _standing("bronze", since), rich, NOW) == Judgement(None, since + timedelta(days=28))
    assert judge(_rules(), _standing("bronze", since), rich, since + timedelta(days=28)).move is not None


def test_who_was_never_assigned_stands_on_the_floor_and_need_not_dwell() -> None:
    move = judge(_rules(), _standing(None, None), _features(9, 9_000), NOW).move
    assert move is not None
    assert (move.from_tier, move.to_tier) == ("bronze", "gold")


def test_an_override_or_a_tier_of_others_is_left_alone_until_it_ends() -> None:
    ends = NOW + timedelta(days=9)
    held = Standing("bronze", LONG_AGO, overridden=True, until=ends)
    assert judge(_rules(), held, _features(9, 9_000), NOW) == Judgement(None, ends)
    assert judge(_rules(), _standing("platinum"), _features(9, 9_000), NOW) == Judgement(None, None)


def test_the_next_look_is_when_the_oldest_day_leaves_the_window_or_silence_grows_too_long() -> None:
    at = judge(_rules(), _standing("silver"), _features(2, 200, recency=3, first=80), NOW).again_at
    assert at == datetime.fromordinal(TODAY + 10).replace(tzinfo=UTC)
    at = judge(_rules(), _standing("silver"), _features(2, 200, recency=58, first=58), NOW).again_at
    assert at == datetime.fromordinal(TODAY + 3).replace(tzinfo=UTC)


def test_nothing_to_wait_for_is_said_so() -> None:
    assert judge(_rules(), _standing("bronze"), _features(0, 0, recency=None), NOW).again_at is None


@pytest.mark.parametrize(
    ("at_day", "expected"),
    [
        (-1, Standing(None, None, overridden=False, until=NOW)),
        (0, Standing("silver", NOW, overridden=False, until=NOW + timedelta(days=10))),
        (12, Standing("gold", NOW + timedelta(days=10), overridden=True, until=NOW + timedelta(days=20))),
        (20, Standing("silver", NOW, overridden=False, until=NOW + timedelta(days=30))),
        (30, Standing("bronze", NOW + timedelta(days=30), overridden=False, until=None)),
    ],
)
def test_the_standing_follows_the_published_plan(at_day: int, expected: Standing) -> None:
    plan = (
        Assigned("silver", NOW, NOW + timedelta(days=30), 2),
        Assigned("gold", NOW + timedelta(days=10), NOW + timedelta(days=20), 3, is_override=True),
        Assigned("bronze", NOW + timedelta(days=30), None, 4),
    )
    assert standing_at(plan, NOW + timedelta(days=at_day)) == expected


def _nested(depth: int) -> dict[str, Any]:
    return _leaf("orders", at_least=1) if depth == 1 else {"not": _nested(depth - 1)}


def _rung(**changes: object) -> dict[str, Any]:
    return {"rungs": [{**DOCUMENT["rungs"][0], **changes}]}


@pytest.mark.parametrize(
    "wrong",
    [
        {"floor": "gold"},
        {"floor": "very gold"},
        {"rungs": []},
        {"minimum_dwell_days": -1},
        {"proposal_ttl_days": 0},
        {"unknown": 1},
        _rung(promote={"all": []}),
        _rung(promote={"all": [_leaf("orders", at_least=1)], "any": []}),
        _rung(promote=_leaf("orders")),
        _rung(promote=_leaf("orders", at_least=1, below=3)),
        _rung(promote=_leaf("orders", at_least="1.5")),
        _rung(promote=_leaf("charm", at_least=1)),
        _rung(promote={"feature": "orders", "at_least": 1}),
        _rung(promote={"feature": "recency", "window_days": 9, "at_least": 1}),
        _rung(promote={"feature": "orders", "window_days": 731, "at_least": 1}),
        _rung(promote=_nested(DEPTH_MAX + 1)),
        _rung(demote={"any": [_leaf("orders", at_least=1)] * NODES_MAX}),
        _rung(promote=None),
        _rung(promote="always"),
        _rung(promote={"not": {"not": 1}}),
    ],
)
def test_a_rule_set_that_makes_no_sense_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        RuleSetDocument.model_validate({**DOCUMENT, **wrong})


def test_the_deepest_and_largest_condition_that_is_allowed_is_read() -> None:
    RuleSetDocument.model_validate({**DOCUMENT, **_rung(promote=_nested(DEPTH_MAX))})
    wide = {"any": [_leaf("orders", at_least=1)] * (NODES_MAX - 1)}
    RuleSetDocument.model_validate({**DOCUMENT, **_rung(demote=wide)})


def test_a_rule_set_is_the_same_after_being_written_and_read() -> None:
    document = RuleSetDocument.model_validate({**DOCUMENT, **_rung(demote={"not": _leaf("recency", at_most=9)})})
    again = RuleSetDocument.model_validate(document.to_json())
    assert again == document
    assert again.to_json() == document.to_json()


def test_the_shipped_rule_set_is_valid_and_leaves_a_gap_at_each_limit() -> None:
    rules = RuleSetDocument.model_validate_json(SHIPPED_RULE_SET.read_bytes()).to_domain("activity", 1)
    assert rules.tiers == ("gold", "silver", "bronze")
    for value in range(0, 3_000, 7):
        for orders in range(8):
            features = _features(orders, value if orders else 0)
            for tier in rules.tiers:
                move = find_move(rules, tier, features)
                assert move is None or find_move(rules, move.to_tier, features) is None  # one move, then rest
