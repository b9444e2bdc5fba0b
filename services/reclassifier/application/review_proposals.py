"""A person decides on moves that are not made by themselves: one of them, or those of a run, a portion at a time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from services.chassis.audit.chain import AuditEntry
from services.reclassifier.application.ports import Proposal, ProposalState, ReclassifierTransaction
from services.reclassifier.application.publishing import proposal_event
from services.reclassifier.domain.persons import person

PORTION_MAX: Final = 500  # decided in one transaction: some 50 ms


class ReviewRefusal(StrEnum):
    """Why a proposal was not decided, in the order in which it is looked at."""

    UNKNOWN = "unknown"
    NOT_AWAITING = "not_awaiting"
    EXPIRED = "expired"
    OWN_WORK = "own_work"


@dataclass(frozen=True, slots=True)
class Review:
    """What somebody says of proposals; the reason is required, an approval is not by who wrote the rules."""

    approve: bool
    reviewer: str
    reason: str


async def review_proposal(
    transaction: ReclassifierTransaction, proposal_id: str, review: Review
) -> Proposal | ReviewRefusal:
    """Decide on one proposal. An attempt that is refused is an entry of the audit trail."""
    found = await transaction.lock_awaiting(proposal_id=proposal_id)
    if not found:
        return ReviewRefusal.UNKNOWN
    [outcome] = await _decide(transaction, found, review)
    if isinstance(outcome, ReviewRefusal):
        detail = {"proposal_id": proposal_id, "approve": review.approve, "refusal": outcome}
        await _record_refusal(transaction, found[0].customer_id, review, detail)
    return outcome


async def review_run(
    transaction: ReclassifierTransaction, run_id: int, review: Review
) -> list[Proposal | ReviewRefusal]:
    """Decide on the first portion of what awaits somebody in a run; empty when nothing does.

    An approval by who wrote the rules is one entry of the audit trail, however many moves it was for.
    """
    found = await transaction.lock_awaiting(run_id=run_id, limit=PORTION_MAX)
    outcomes = await _decide(transaction, found, review) if found else []
    own = outcomes.count(ReviewRefusal.OWN_WORK)
    if own:
        detail = {"proposals": own, "refusal": ReviewRefusal.OWN_WORK}
        await _record_refusal(transaction, f"run {run_id}", review, detail)
    return outcomes


async def _record_refusal(
    transaction: ReclassifierTransaction, subject: str, review: Review, detail: Mapping[str, object]
) -> None:
    entry = AuditEntry(review.reviewer, "proposal.review_refused", subject, detail)
    await transaction.append_audit([entry], await transaction.now())


async def _decide(
    transaction: ReclassifierTransaction, found: Sequence[Proposal], review: Review
) -> list[Proposal | ReviewRefusal]:
    now = await transaction.now()
    own = await _own_work(transaction, found, review)
    outcomes: list[Proposal | ReviewRefusal] = []
    for proposal in found:
        if proposal.state is not ProposalState.AWAITING:
            outcomes.append(ReviewRefusal.NOT_AWAITING)
        elif proposal.expires_at <= now:
            outcomes.append(ReviewRefusal.EXPIRED)
        elif (proposal.rule_set_id, proposal.rule_version) in own:
            outcomes.append(ReviewRefusal.OWN_WORK)
        else:
            state = ProposalState.OPEN if review.approve else ProposalState.REJECTED
            outcomes.append(replace(proposal, state=state, decided_by=review.reviewer, decision_reason=review.reason))
    late = [proposal.proposal_id for proposal, one in zip(found, outcomes, strict=True) if one is ReviewRefusal.EXPIRED]
    await transaction.end_proposals([(proposal_id, ProposalState.EXPIRED) for proposal_id in late], now)
    decided = [one for one in outcomes if isinstance(one, Proposal)]
    if decided:
        numbers = await transaction.decide_proposals(decided, now)
        published = [one for one in decided if one.state is ProposalState.OPEN]
        await transaction.propose([proposal_event(one, numbers[one.customer_id], None, now) for one in published])
        await transaction.count_activity()
        await transaction.append_audit([_entry(one) for one in decided], now)
    return outcomes


async def _own_work(
    transaction: ReclassifierTransaction, found: Sequence[Proposal], review: Review
) -> dict[tuple[str, int], None]:
    """Versions of rule sets whose proposals this person may not approve: those that he wrote."""
    own: dict[tuple[str, int], None] = {}
    if not review.approve:
        return own
    for rule_set_id, version in sorted({(one.rule_set_id, one.rule_version) for one in found}):
        stored = await transaction.rule_set(rule_set_id, version)
        if stored is not None and person(stored.author) == person(review.reviewer):
            own[rule_set_id, version] = None
    return own


def _entry(proposal: Proposal) -> AuditEntry:
    detail = {
        "proposal_id": proposal.proposal_id,
        "from_tier": proposal.from_tier,
        "to_tier": proposal.to_tier,
        "rule": proposal.rule_set_id,
        "rule_version": proposal.rule_version,
        "reason": proposal.decision_reason,
    }
    action = "proposal.approved" if proposal.state is ProposalState.OPEN else "proposal.rejected"
    assert proposal.decided_by is not None  # noqa: S101 - it was just decided
    return AuditEntry(proposal.decided_by, action, proposal.customer_id, detail)
