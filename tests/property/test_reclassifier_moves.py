"""However a customer's numbers swing, it changes its tier at most once per dwell, and never falls within its grace."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Final

from hypothesis import example, given
from hypothesis import strategies as st

from services.reclassifier.application.rule_set_document import RuleSetDocument
from services.reclassifier.domain.classification import Memory, judge
from services.reclassifier.domain.features import features_of
from services.reclassifier.domain.orders import Activity
from services.reclassifier.domain.rule_set import RuleSet
from services.reclassifier.domain.standing import Standing

START: Final = datetime(2026, 1, 1, tzinfo=UTC)
VALUE: Final = {"feature": "value", "window_days": 7}


def _rules(dwell: int, grace: int, downgrade: str) -> RuleSet:
    rungs = [
        {"tier": "gold", "promote": {**VALUE, "at_least": 20}, "demote": {**VALUE, "below": 18}},
        {"tier": "silver", "promote": {**VALUE, "at_least": 8}, "demote": {**VALUE, "below": 8}},
    ]
    document = {"rungs": rungs, "floor": "bronze", "minimum_dwell_days": dwell, "grace_days": grace}
    return RuleSetDocument.model_validate({**document, "downgrade": downgrade}).to_domain("swing", 1)


def _history(rules: RuleSet, values: list[int]) -> list[tuple[datetime, str, str]]:
    """The moves of a customer that orders for these values, one a day, judged every day."""
    days = {START.toordinal() + day: Activity(1, 1, value * 1_000_000) for day, value in enumerate(values) if value}
    standing, memory = Standing("bronze", START, overridden=False, until=None), Memory()
    moves = []
    for day in range(len(values) + 20):
        now = START + timedelta(days=day)
        known = {at: activity for at, activity in days.items() if at <= now.toordinal()}
        judgement = judge(rules, standing, features_of(known, now.toordinal(), rules.windows), now, memory)
        memory = Memory(judgement.falling_since)
        if judgement.move is not None:
            moves.append((now, judgement.move.from_tier, judgement.move.to_tier))
            standing = Standing(judgement.move.to_tier, now, overridden=False, until=None)
    return moves


@given(
    st.lists(st.sampled_from([0, 0, 0, 5, 9, 21, 40]), min_size=1, max_size=90),
    st.integers(0, 30),
    st.integers(0, 14),
    st.sampled_from(["one_step", "to_numbers"]),
)
@example([40, 0, 0, 9], 0, 5, "one_step")  # out of gold on day 12; out of silver only since day 10
def test_a_customer_at_the_border_moves_at_most_once_per_dwell(
    values: list[int], dwell: int, grace: int, downgrade: str
) -> None:
    rules = _rules(dwell, grace, downgrade)
    moves = _history(rules, values)
    for (before, _, _), (after, _, _) in pairwise([(START, "", ""), *moves]):
        assert after - before >= timedelta(days=dwell)
    for at, from_tier, to_tier in moves:
        steps = rules.tiers.index(to_tier) - rules.tiers.index(from_tier)
        if steps <= 0:
            continue
        assert downgrade == "to_numbers" or steps == 1
        limit = 18 if from_tier == "gold" else 8
        for back in range(min(grace, (at - START).days) + 1):
            day = (at - START).days - back
            assert sum(values[max(0, day - 6) : day + 1]) < limit
