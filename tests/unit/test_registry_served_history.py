"""As whom a customer is served, and what is said of it: merges, splits, other times, decisions for the default tier."""

from dataclasses import replace
from datetime import timedelta

from services.segment_registry.domain import moves
from services.segment_registry.domain.moves import Moved
from services.segment_registry.domain.served_history import MergeSpan, ServedSpan, history_of_spans, served_spans
from services.segment_registry.domain.tier_explanation import explain
from services.segment_registry.domain.timeline import Grounds
from tests.support.registry import DAY, NOON, TIERS, a_customer, moved, wish

HOUR = timedelta(hours=1)


def test_a_merge_inside_a_merge_is_followed_at_its_time() -> None:
    merges = {
        "a": [MergeSpan("b", NOON, NOON + 4 * HOUR), MergeSpan("c", NOON + 6 * HOUR, None)],
        "b": [MergeSpan("c", NOON - HOUR, NOON + HOUR), MergeSpan("d", NOON + 3 * HOUR, None)],
    }
    assert served_spans("a", merges) == (
        ServedSpan("a", None, NOON),
        ServedSpan("c", NOON, NOON + HOUR),
        ServedSpan("b", NOON + HOUR, NOON + 3 * HOUR),
        ServedSpan("d", NOON + 3 * HOUR, NOON + 4 * HOUR),
        ServedSpan("a", NOON + 4 * HOUR, NOON + 6 * HOUR),
        ServedSpan("c", NOON + 6 * HOUR, None),
    )


def test_a_merge_that_was_split_off_at_once_is_none() -> None:
    assert served_spans("a", {"a": [MergeSpan("b", NOON, NOON)]}) == (ServedSpan("a", None, None),)


def test_an_assignment_counts_as_far_as_its_customer_serves() -> None:
    [gold] = moved(a_customer(), wish("gold"), NOON - DAY).assignments
    spans = served_spans("a", {"a": [MergeSpan("b", NOON, NOON + HOUR)]})
    found = history_of_spans(spans, {"b": [gold]})
    assert [(each.tier, each.effective_from, each.effective_to) for each in found] == [("gold", NOON, NOON + HOUR)]
    assert history_of_spans(spans, {"a": [replace(gold, effective_from=NOON, effective_to=NOON + HOUR)]}) == ()


def test_a_customer_that_was_never_elsewhere_is_in_the_default_tier_since_it_was_decided() -> None:
    decided = moved(a_customer(), wish("standard"))
    assert explain(decided, TIERS, NOON + HOUR, NOON + HOUR).since == NOON
    assert explain(a_customer(), TIERS, NOON, NOON).since is None


def test_a_decision_for_the_default_tier_does_not_make_somebody_arrive_again() -> None:
    customer = moved(a_customer(), wish("gold"))
    ended = moves.end(customer, TIERS, customer.assignments[0].sequence, Grounds("out", "ann"), NOON + HOUR)
    assert isinstance(ended, Moved)
    decided = moved(ended.customer, wish("standard"), NOON + 2 * HOUR)
    assert explain(decided, TIERS, NOON + 3 * HOUR, NOON + 3 * HOUR).since == NOON + HOUR


def test_another_time_is_told_as_another_time() -> None:
    customer = moved(moved(a_customer(), wish("gold")), wish("silver", start=NOON + 10 * DAY))
    now = NOON + 5 * DAY
    past, present, future = (explain(customer, TIERS, at, now).sentences for at in (NOON + DAY, now, NOON + 20 * DAY))
    assert past[0] == "On 2 June 2025 you were served as Gold since 1 June 2025."
    assert present[0] == "You are served as Gold since 1 June 2025."
    assert past[-1] == present[-1] == "On 11 June 2025 you move down to Silver, as planned."
    assert future[0] == "On 21 June 2025 you will be served as Silver, as things are planned now."
    later = explain(customer, TIERS, NOON + DAY, NOON + 30 * DAY).sentences
    assert later[-1] == "On 11 June 2025 you moved down to Silver."
