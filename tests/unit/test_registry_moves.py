"""Moving customers between tiers: by a person, by ending an assignment, by a rule's proposal."""

from datetime import datetime

import pytest

from services.segment_registry.domain.customers import served_tier
from services.segment_registry.domain.moves import Move, Moved, MoveRefused, MoveRequest, TierUnusable, end, move
from services.segment_registry.domain.proposals import ProposalRefusal, judge
from services.segment_registry.domain.timeline import (
    HORIZON,
    PLANNED_MAX,
    Grounds,
    Kind,
    TimelineRefusal,
    Unchanged,
    difference,
)
from tests.support.registry import CUSTOMER, DAY, NOON, TIERS, a_customer, a_proposal, moved, wish


def test_a_move_ends_the_former_assignment_and_tells_from_where_to_where() -> None:
    silver = moved(a_customer(), wish("silver"), NOON - DAY)
    outcome = move(silver, TIERS, wish("gold"), NOON)
    assert isinstance(outcome, Moved)
    assert outcome.move == Move(CUSTOMER, 3, "silver", "gold", NOON, None, Grounds("because", "ann"))
    assert [(a.tier, a.sequence, a.effective_from, a.effective_to) for a in outcome.customer.assignments] == [
        ("silver", 2, NOON - DAY, NOON),
        ("gold", 3, NOON, None),
    ]
    assert (outcome.customer.sequence, outcome.customer.timeline_sequence) == (3, 3)


def test_the_same_tier_again_changes_nothing() -> None:
    gold = moved(a_customer(), wish("gold"), NOON - DAY)
    assert move(gold, TIERS, wish("gold", reason="again"), NOON) == Unchanged(gold.assignments[0])
    assert move(gold, TIERS, wish("gold", end=NOON + DAY), NOON) == Unchanged(gold.assignments[0])


def test_the_same_tier_beyond_its_end_is_a_change() -> None:
    gold = moved(a_customer(), wish("gold", end=NOON + DAY), NOON - DAY)
    longer = moved(gold, wish("gold"))
    assert served_tier(longer, TIERS, NOON + 2 * DAY).tier == "gold"


def test_an_open_move_lasts_until_the_planned_one() -> None:
    planned = moved(a_customer(), wish("gold", start=NOON + DAY))
    now = moved(planned, wish("silver"))
    assert [(a.tier, a.effective_to) for a in now.assignments] == [("silver", NOON + DAY), ("gold", None)]


def test_a_move_at_the_very_moment_of_the_former_one_replaces_it() -> None:
    gold = moved(moved(a_customer(), wish("silver")), wish("gold"))
    assert [a.tier for a in gold.assignments] == ["gold"]


def test_an_override_lies_above_and_ends_by_itself() -> None:
    gold = moved(a_customer(), wish("gold"), NOON - DAY)
    over = moved(gold, wish("silver", kind=Kind.OVERRIDE, end=NOON + DAY))
    assert served_tier(over, TIERS, NOON).tier == "silver"
    assert served_tier(over, TIERS, NOON + DAY).tier == "gold"


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (wish("copper"), TierUnusable.UNKNOWN_TIER),
        (wish("closed"), TierUnusable.INACTIVE_TIER),
        (wish("gold", kind=Kind.OVERRIDE, end=NOON + DAY, reason=" "), TimelineRefusal.REASON_MISSING),
        (wish("gold", kind=Kind.OVERRIDE), TimelineRefusal.END_MISSING),
        (wish("gold", start=NOON, end=NOON), TimelineRefusal.END_BEFORE_START),
        (wish("gold", start=NOON, end=NOON - DAY), TimelineRefusal.END_BEFORE_START),
        (wish("gold", end=NOON - DAY), TimelineRefusal.END_BEFORE_START),
        (wish("gold", start=NOON + HORIZON + DAY), TimelineRefusal.OUT_OF_RANGE),
        (wish("gold", start=NOON - HORIZON - DAY), TimelineRefusal.OUT_OF_RANGE),
        (wish("gold", end=NOON + HORIZON + DAY), TimelineRefusal.OUT_OF_RANGE),
        (wish("gold", end=NOON + DAY), TimelineRefusal.OVERLAP),  # it would split what is in force
        (wish("gold", start=NOON - 2 * DAY, end=NOON + DAY), TimelineRefusal.OVERLAP),
    ],
)
def test_what_is_refused(request_: MoveRequest, reason: TimelineRefusal | TierUnusable) -> None:
    customer = moved(a_customer(), wish("silver"), NOON - DAY)
    outcome = move(customer, TIERS, request_, NOON)
    assert isinstance(outcome, MoveRefused)
    assert outcome.reason is reason


def test_an_overlap_names_the_assignment_in_the_way() -> None:
    customer = moved(a_customer(), wish("silver"), NOON - DAY)
    assert move(customer, TIERS, wish("gold", end=NOON + DAY), NOON) == MoveRefused(
        TimelineRefusal.OVERLAP, customer.assignments[0]
    )


def test_only_so_much_can_be_planned() -> None:
    customer = a_customer()
    tiers = ("gold", "silver")
    for day in range(PLANNED_MAX):
        customer = moved(customer, wish(tiers[day % 2], start=NOON + day * DAY))
    assert move(customer, TIERS, wish("gold", start=NOON + 400 * DAY), NOON) == MoveRefused(
        TimelineRefusal.TOO_MANY_PLANNED
    )


def test_ending_falls_back_to_what_lies_below() -> None:
    gold = moved(a_customer(), wish("gold"), NOON - DAY)
    over = moved(gold, wish("silver", kind=Kind.OVERRIDE, end=NOON + DAY), NOON)
    outcome = end(over, TIERS, 3, Grounds("was a mistake", "bob"), NOON + DAY / 2)
    assert isinstance(outcome, Moved)
    assert (outcome.move.from_tier, outcome.move.to_tier) == ("silver", "gold")
    assert outcome.customer.assignments[1].effective_to == NOON + DAY / 2
    assert outcome.customer.sequence == 4


def test_ending_the_only_assignment_falls_back_to_the_default_tier() -> None:
    gold = moved(a_customer(), wish("gold"), NOON - DAY)
    outcome = end(gold, TIERS, 2, Grounds("left", "bob"), NOON)
    assert isinstance(outcome, Moved)
    assert outcome.move.to_tier == "standard"
    assert end(outcome.customer, TIERS, 2, Grounds("left", "bob"), NOON + DAY) == Unchanged(
        outcome.customer.assignments[0]
    )


def test_a_planned_assignment_is_withdrawn_without_a_trace_in_the_history() -> None:
    planned = moved(a_customer(), wish("gold", start=NOON + DAY))
    outcome = end(planned, TIERS, 2, Grounds("not any more", "bob"), NOON)
    assert isinstance(outcome, Moved)
    assert outcome.customer.assignments == ()
    assert outcome.move.effective_from == NOON + DAY


def test_an_assignment_that_is_not_there_cannot_be_ended() -> None:
    assert end(a_customer(), TIERS, 9, Grounds("?", "bob"), NOON) == MoveRefused(TimelineRefusal.UNKNOWN_ASSIGNMENT)


def test_only_what_differs_is_stored() -> None:
    silver = moved(a_customer(), wish("silver"), NOON - DAY)
    gold = moved(silver, wish("gold"))
    closed, opened = difference(silver.assignments, gold.assignments)
    assert closed == silver.assignments
    assert opened == gold.assignments


def test_a_proposal_moves_the_customer_with_rule_and_numbers() -> None:
    silver = moved(a_customer(), wish("silver"), NOON - DAY)
    outcome = judge(a_proposal(silver, "silver", "gold"), silver, TIERS, NOON)
    assert isinstance(outcome, Moved)
    grounds = outcome.customer.assignments[-1].grounds
    assert (grounds.rule, grounds.rule_version, grounds.proposal_id, grounds.author) == (
        "revenue",
        7,
        "p-1",
        "reclassifier",
    )
    assert grounds.evidence[0].value == "12000"


def test_a_proposal_for_a_customer_in_no_tier_comes_from_the_default_one() -> None:
    customer = a_customer()
    assert isinstance(judge(a_proposal(customer, "standard", "gold"), customer, TIERS, NOON), Moved)


def test_a_proposal_may_be_based_on_any_sequence_since_the_last_move() -> None:
    silver = moved(a_customer(), wish("silver"), NOON - DAY)
    for based_on in (1, 2, 3):
        outcome = judge(a_proposal(silver, "silver", "gold", based_on=based_on), silver, TIERS, NOON)
        assert (outcome is ProposalRefusal.STALE) == (based_on != silver.sequence)


def refused(from_tier: str, to_tier: str, *, now: datetime = NOON) -> object:
    silver = moved(a_customer(), wish("silver"), NOON - DAY)
    return judge(a_proposal(silver, from_tier, to_tier), silver, TIERS, now)


def test_why_proposals_are_refused() -> None:
    assert judge(a_proposal(None, "silver", "gold"), None, TIERS, NOON) is ProposalRefusal.UNKNOWN_CUSTOMER
    assert refused("gold", "silver") is ProposalRefusal.NOT_IN_FROM_TIER
    assert refused("silver", "copper") is ProposalRefusal.UNKNOWN_TIER
    assert refused("silver", "closed") is ProposalRefusal.INACTIVE_TIER
    assert refused("silver", "silver") is ProposalRefusal.ALREADY_THERE


def test_a_persons_override_is_not_undone_by_a_rule() -> None:
    silver = moved(a_customer(), wish("silver"), NOON - DAY)
    over = moved(silver, wish("gold", kind=Kind.OVERRIDE, end=NOON + DAY))
    proposal = a_proposal(over, "gold", "silver")
    assert judge(proposal, over, TIERS, NOON) is ProposalRefusal.OVERRIDE_IN_FORCE
    assert judge(a_proposal(over, "silver", "gold"), over, TIERS, NOON + DAY) is not ProposalRefusal.OVERRIDE_IN_FORCE
