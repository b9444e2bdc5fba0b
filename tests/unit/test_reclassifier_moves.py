from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from services.reclassifier.application.calendar import next_run
from services.reclassifier.application.rule_set_document import RuleSetDocument, content_hash
from services.reclassifier.domain.classification import Held, Judgement, Memory, held_by, judge
from services.reclassifier.domain.features import Features, Window
from services.reclassifier.domain.leaves import InTop, TopKey, Truth, leaf_truth, leaf_turns, score_of
from services.reclassifier.domain.measures import Measure
from services.reclassifier.domain.predicates import truth
from services.reclassifier.domain.rule_set import Calendar, Every, Mode, RuleSet
from services.reclassifier.domain.standing import Standing

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
TODAY = NOW.toordinal()
LONG_AGO = NOW - timedelta(days=400)
CALENDAR = {"every": "week", "on": 1, "at": "03:00", "zone": "Europe/Berlin"}
VALUE = {"feature": "value", "window_days": 90}
DOCUMENT: dict[str, Any] = {
    "rungs": [
        {"tier": "gold", "promote": {**VALUE, "at_least": "1000"}, "demote": {**VALUE, "below": "600"}},
        {"tier": "silver", "promote": {**VALUE, "at_least": "300"}, "demote": {**VALUE, "below": "150"}},
    ],
    "floor": "bronze",
}


def _rules(**changes: object) -> RuleSet:
    return RuleSetDocument.model_validate({**DOCUMENT, **changes}).to_domain("activity", 3)


def _worth(value: int, *, orders: int = 4, unpriced: int = 0) -> Features:
    window = Window(90, orders, orders, value * 1_000_000, unpriced, TODAY - 40)
    return Features(TODAY, {90: window}, TODAY - 3)


def _in(tier: str, since: datetime = LONG_AGO) -> Standing:
    return Standing(tier, since, overridden=False, until=None)


def _target(rules: RuleSet, tier: str, value: int) -> str | None:
    move = judge(rules, _in(tier), _worth(value), NOW).move
    return None if move is None else move.to_tier


def test_a_downgrade_goes_to_what_the_numbers_say_or_one_step() -> None:
    assert _target(_rules(), "gold", 10) == "bronze"
    assert _target(_rules(downgrade="one_step"), "gold", 10) == "silver"
    assert _target(_rules(downgrade="one_step"), "silver", 10) == "bronze"


def test_a_demotion_waits_for_its_days_of_grace_without_a_break() -> None:
    rules = _rules(grace_days=10)
    first = judge(rules, _in("gold"), _worth(100), NOW)
    assert (first.move, first.falling_since, first.again_at) == (None, NOW, NOW + timedelta(days=10))
    later = NOW + timedelta(days=9)
    assert judge(rules, _in("gold"), _worth(100), later, Memory(falling_since=NOW)).move is None
    assert judge(rules, _in("gold"), _worth(700), later, Memory(falling_since=NOW)).falling_since is None
    due = judge(rules, _in("gold"), _worth(100), NOW + timedelta(days=10), Memory(falling_since=NOW))
    assert due.move is not None


def test_grace_begins_anew_in_every_tier() -> None:
    rules = _rules(grace_days=10, minimum_dwell_days=0, downgrade="one_step")
    fell = NOW + timedelta(days=10)
    just_fallen = judge(rules, _in("silver", fell), _worth(100), fell, Memory(falling_since=NOW))
    assert (just_fallen.move, just_fallen.falling_since) == (None, fell)
    due = judge(rules, _in("silver", fell), _worth(100), fell + timedelta(days=10), Memory(falling_since=fell))
    assert due.move is not None


def test_a_promotion_knows_no_grace() -> None:
    assert _target(_rules(grace_days=10), "bronze", 2_000) == "gold"


def test_after_a_proposal_that_came_to_nothing_a_customer_is_left_alone_for_a_while() -> None:
    rules = _rules(cool_down_days=5)
    failed = Memory(failed_at=NOW - timedelta(days=4))
    assert judge(rules, _in("bronze"), _worth(2_000), NOW, failed) == Judgement(None, NOW + timedelta(days=1))
    assert judge(rules, _in("bronze"), _worth(2_000), NOW + timedelta(days=1), failed).move is not None


@pytest.mark.parametrize(
    ("changes", "blown", "held"),
    [
        ({}, False, None),
        ({}, True, Held.BY_FUSE),
        ({"mode": "propose"}, False, Held.BY_MODE),
        ({"mode": "shadow"}, True, None),
        ({"automatic_jump_max": 2}, False, None),
        ({"automatic_jump_max": 1}, True, Held.BY_JUMP),
    ],
)
def test_a_person_decides_where_mode_jump_or_fuse_say_so(
    changes: dict[str, Any], blown: bool, held: Held | None
) -> None:
    rules = _rules(**changes)
    move = judge(rules, _in("bronze"), _worth(2_000), NOW).move
    assert move is not None
    assert held_by(rules, move, fuse_blown=blown) is held


def test_a_rung_may_have_a_mode_of_its_own() -> None:
    rungs = [{**DOCUMENT["rungs"][0], "mode": "propose"}, DOCUMENT["rungs"][1]]
    rules = _rules(rungs=rungs)
    modes = [judge(rules, _in(tier), _worth(value), NOW).move for tier, value in (("bronze", 2_000), ("silver", 10))]
    assert [move and move.mode for move in modes] == [Mode.PROPOSE, Mode.AUTOMATIC]


SCORES = {
    "worth": [
        {**VALUE, "zero_at": "0", "full_at": "1000", "weight": 70},
        {"feature": "recency", "zero_at": 30, "full_at": 0, "weight": 30},
    ]
}


def test_a_score_adds_its_parts_in_proportion_and_is_compared_exactly() -> None:
    score = {"score": "worth", "at_least": "62"}
    rungs = [{"tier": "gold", "promote": score, "demote": {"score": "worth", "below": "20"}}]
    rules = _rules(rungs=rungs, scores=SCORES)
    assert (rules.windows, rules.detail) == ((90,), ())
    (promote,) = [leaf for leaf in rules.leaves if getattr(leaf, "limit", None) == 62_000_000]
    parts = getattr(promote, "parts", ())
    assert score_of(parts, _worth(500)) == (35 + 27) * 1_000_000
    assert score_of(parts, _worth(5_000)) == (70 + 27) * 1_000_000
    assert [leaf_truth(promote, _worth(value)) for value in (499, 500)] == [Truth.NO, Truth.YES]
    assert leaf_truth(promote, _worth(500, unpriced=1)) is Truth.UNKNOWN
    assert leaf_turns(promote, _worth(500)) == TODAY + 1
    move = judge(rules, _in("bronze"), _worth(500), NOW).move
    assert move is not None
    assert (move.evidence[0].name, move.evidence[0].value, move.evidence[0].limit) == (
        "score:worth",
        "62.00",
        "at least 62.00",
    )


TOP = {"feature": "value", "window_days": 90, "in_top_percent": "5"}


def test_between_cuts_customers_are_compared_with_the_last_limits() -> None:
    rungs = [{"tier": "gold", "promote": TOP, "demote": {"not": {**TOP, "in_top_percent": "7.5"}}}]
    rules = _rules(rungs=rungs, calendar=CALENDAR)
    inside, around = TopKey(Measure.VALUE, 90, 5_000_000), TopKey(Measure.VALUE, 90, 7_500_000)
    assert rules.tops == (inside, around)
    cut = rules.at_cut({inside: 900_000_000, around: 700_000_000})
    assert [_target(cut, "bronze", value) for value in (899, 900)] == [None, "gold"]
    assert [_target(cut, "gold", value) for value in (699, 700)] == ["bronze", None]
    assert _target(rules.at_cut(None), "bronze", 10**6) is None
    nobody = rules.at_cut({inside: None, around: 0})
    assert _target(nobody, "bronze", 10**6) is None


def test_a_lower_bound_below_the_limit_of_a_cut_is_unknown() -> None:
    leaf = InTop(TopKey(Measure.VALUE, 90, 5_000_000), cut=True, limit=900_000_000)
    assert truth(leaf, _worth(899, unpriced=1)) is Truth.UNKNOWN
    assert truth(leaf, _worth(900, unpriced=1)) is Truth.YES


@pytest.mark.parametrize(
    ("calendar", "after", "expected"),
    [
        (Calendar(Every.DAY, 1, 3, 0, "UTC"), "2026-03-02T02:59:00+00:00", "2026-03-02T03:00:00+00:00"),
        (Calendar(Every.DAY, 1, 3, 0, "UTC"), "2026-03-02T03:00:00+00:00", "2026-03-03T03:00:00+00:00"),
        (Calendar(Every.WEEK, 1, 3, 0, "UTC"), "2026-03-02T03:00:00+00:00", "2026-03-09T03:00:00+00:00"),
        (Calendar(Every.MONTH, 28, 0, 30, "UTC"), "2026-02-28T00:30:00+00:00", "2026-03-28T00:30:00+00:00"),
        (Calendar(Every.DAY, 1, 2, 30, "Europe/Berlin"), "2026-03-28T12:00:00+00:00", "2026-03-29T01:30:00+00:00"),
        (Calendar(Every.DAY, 1, 2, 30, "Europe/Berlin"), "2026-10-24T12:00:00+00:00", "2026-10-25T00:30:00+00:00"),
        (Calendar(Every.MONTH, 1, 0, 0, "Pacific/Auckland"), "2026-03-02T00:00:00+00:00", "2026-03-31T11:00:00+00:00"),
    ],
)
def test_a_calendar_comes_round_in_its_own_zone(calendar: Calendar, after: str, expected: str) -> None:
    assert next_run(calendar, datetime.fromisoformat(after)) == datetime.fromisoformat(expected)


@pytest.mark.parametrize(
    "wrong",
    [
        {"by_events": False},
        {"calendar": {**CALENDAR, "zone": "Europe/Atlantis"}},
        {"calendar": {**CALENDAR, "zone": "localtime"}},  # it would be another one on each machine
        {"calendar": {**CALENDAR, "on": 8}},
        {"calendar": {**CALENDAR, "at": "24:00"}},
        {"rungs": [{"tier": "gold", "promote": TOP, "demote": TOP}]},
        {"rungs": [{"tier": "gold", "promote": {**TOP, "in_top_percent": "0"}, "demote": TOP}], "calendar": CALENDAR},
        {"rungs": [{"tier": "gold", "promote": {"score": "x", "above": 1}, "demote": {"score": "x", "below": 1}}]},
        {"scores": {"worth": []}},
        {"scores": {"worth": [{**VALUE, "zero_at": 5, "full_at": 5, "weight": 1}]}},
        {"scores": {"worth": [{"feature": "orders", "zero_at": 5, "full_at": 6, "weight": 1}]}},
        {"scores": {f"s{number}": SCORES["worth"] for number in range(21)}},
        {"fuse": {"moves_max": 0}},
        {"fuse": {"moves_max": 1, "share_percent": "101"}},
        {"automatic_jump_max": 0},
        {"mode": "sometimes"},
        {"downgrade": "never"},
        {"grace_days": -1},
    ],
)
def test_a_rule_set_that_cannot_be_followed_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        _rules(**wrong)


def test_an_approval_is_bound_to_every_part_of_a_document() -> None:
    document = RuleSetDocument.model_validate(DOCUMENT).to_json()
    other = RuleSetDocument.model_validate({**DOCUMENT, "grace_days": 1}).to_json()
    assert content_hash(document) == content_hash(dict(reversed(document.items())))
    assert content_hash(document) != content_hash(other)
