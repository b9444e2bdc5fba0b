"""Whether a rule's proposal to move a customer may still be applied.

    received --> applied | refused (with the reason)     once, by `judge`
    received --> waiting --> applied | refused           a replay collects first and applies between its steps

A proposal was made from what its author knew; it is applied only if nothing of the customer's tier history has changed
since, never against an override in force, which is a person's decision, and never below the tier that a contract in
force promises.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from services.segment_registry.domain import moves
from services.segment_registry.domain.change_rules import NO_RULES, ChangeRules
from services.segment_registry.domain.customers import Customer, moment_for, served_tier
from services.segment_registry.domain.moves import Moved, MoveRefusal, MoveRefused, MoveRequest, TierUnusable
from services.segment_registry.domain.records import CustomerRecord, below_contract
from services.segment_registry.domain.second_person import needs_of_move
from services.segment_registry.domain.tiers import Tier
from services.segment_registry.domain.timeline import Evidence, Grounds, Kind, Unchanged


@dataclass(frozen=True, slots=True)
class Proposal:
    """A rule says that a customer belongs in another tier; `author` is the service that says so."""

    proposal_id: str
    customer_id: str
    from_tier: str
    to_tier: str
    rule: str
    rule_version: int
    based_on_sequence: int
    as_of: datetime
    reason: str
    author: str
    evidence: tuple[Evidence, ...]


class ProposalRefusal(StrEnum):
    """Why a proposal was not applied; where several apply, the first in this order is given."""

    UNKNOWN_CUSTOMER = "unknown_customer"
    MERGED_CUSTOMER = "merged_customer"
    OVERRIDE_IN_FORCE = "override_in_force"
    STALE = "stale"
    NOT_IN_FROM_TIER = "not_in_from_tier"
    BELOW_CONTRACT = "below_contract"
    APPROVAL_REQUIRED = "approval_required"
    UNKNOWN_TIER = "unknown_tier"
    INACTIVE_TIER = "inactive_tier"
    ALREADY_THERE = "already_there"
    NOT_POSSIBLE = "not_possible"


_REFUSALS: Mapping[MoveRefusal, ProposalRefusal] = {
    TierUnusable.UNKNOWN_TIER: ProposalRefusal.UNKNOWN_TIER,
    TierUnusable.INACTIVE_TIER: ProposalRefusal.INACTIVE_TIER,
}


def judge(
    proposal: Proposal,
    customer: Customer | None,
    tiers: Mapping[str, Tier],
    now: datetime,
    rules: ChangeRules = NO_RULES,
    *,
    merged: Sequence[CustomerRecord] = (),
) -> Moved | ProposalRefusal:
    """Apply a proposal to a customer as it is now, or say why not; `merged` are the records of those merged into it.

    A merge ends no contract: no automatic move goes below one of theirs either.
    One that needs a second person by the rules of change is refused so: it becomes a change request.
    """
    if customer is None:
        return ProposalRefusal.UNKNOWN_CUSTOMER
    refusal = _outdated(proposal, customer, tiers, moment_for(customer, now), merged)
    if refusal is not None:
        return refusal
    match moves.move(customer, tiers, request_of(proposal), now):
        case Moved() as moved:
            asked = needs_of_move(rules, customer, moved.customer, tiers, moment_for(customer, now))
            return ProposalRefusal.APPROVAL_REQUIRED if asked else moved
        case Unchanged():
            return ProposalRefusal.ALREADY_THERE
        case MoveRefused(reason):
            return _REFUSALS.get(reason, ProposalRefusal.NOT_POSSIBLE)


def _outdated(
    proposal: Proposal, customer: Customer, tiers: Mapping[str, Tier], at: datetime, merged: Sequence[CustomerRecord]
) -> ProposalRefusal | None:
    if customer.merged_into is not None:
        return ProposalRefusal.MERGED_CUSTOMER
    served = served_tier(customer, tiers, at)
    if served.by is not None and served.by.kind is Kind.OVERRIDE:
        return ProposalRefusal.OVERRIDE_IN_FORCE
    if not customer.timeline_sequence <= proposal.based_on_sequence <= customer.sequence:
        return ProposalRefusal.STALE
    if served.tier != proposal.from_tier:
        return ProposalRefusal.NOT_IN_FROM_TIER
    if below_contract((customer.record, *merged), proposal.to_tier, tiers, at):
        return ProposalRefusal.BELOW_CONTRACT
    return None


def request_of(proposal: Proposal) -> MoveRequest:
    """The wish that a proposal is."""
    grounds = Grounds(
        reason=proposal.reason,
        author=proposal.author,
        rule=proposal.rule,
        rule_version=proposal.rule_version,
        proposal_id=proposal.proposal_id,
        evidence=proposal.evidence,
    )
    return MoveRequest(proposal.to_tier, Kind.ASSIGNED, None, None, grounds)
