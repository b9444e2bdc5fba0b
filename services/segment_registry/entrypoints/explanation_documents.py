"""The explanation of a tier as it is answered."""

from typing import Any

from services.contracts.payload import Code, Identifier, Moment, Payload, Version
from services.segment_registry.domain.tier_explanation import Explanation
from services.segment_registry.domain.tiers import Tier
from services.segment_registry.entrypoints.documents import Basis, basis_of


class NumberDocument(Payload):
    """One number of the rule beside its limit; `above_limit` is their difference (null: no numbers)."""

    name: Code
    value: str
    limit: str
    above_limit: str | None


class NeighbourDocument(Payload):
    """A tier beside the customer's own."""

    tier: Code
    name: str
    priority_rank: int


class NextChangeDocument(Payload):
    """The earliest planned change of the tier."""

    at: Moment
    tier: Code


class ExplanationDocument(Payload):
    """Why a customer is in its tier. `sentences` may be read to the customer; all else is for colleagues."""

    customer_id: Identifier
    at: Moment
    tier: Code
    name: str
    priority_rank: int
    basis: Basis
    since: Moment | None
    decided_by: Identifier | None
    reason: str | None
    rule: Code | None
    rule_version: Version | None
    proposal_id: Identifier | None
    numbers: tuple[NumberDocument, ...]
    tier_above: NeighbourDocument | None
    tier_below: NeighbourDocument | None
    next_change: NextChangeDocument | None
    sentences: tuple[str, ...]


def explanation_value(explanation: Explanation) -> dict[str, Any]:
    """An `ExplanationDocument`."""
    by = explanation.by
    coming = explanation.next_change
    return {
        "customer_id": explanation.customer_id,
        "at": explanation.at,
        "tier": explanation.tier.tier,
        "name": explanation.tier.name,
        "priority_rank": explanation.tier.priority_rank,
        "basis": basis_of(by),
        "since": explanation.since,
        "decided_by": by.grounds.author if by else None,
        "reason": by.grounds.reason if by else None,
        "rule": by.grounds.rule if by else None,
        "rule_version": by.grounds.rule_version if by else None,
        "proposal_id": by.grounds.proposal_id if by else None,
        "numbers": [
            {
                "name": each.name,
                "value": each.value,
                "limit": each.limit,
                "above_limit": None if each.above_limit is None else format(each.above_limit, "f"),
            }
            for each in explanation.distances
        ],
        "tier_above": _neighbour(explanation.tier_above),
        "tier_below": _neighbour(explanation.tier_below),
        "next_change": None if coming is None else {"at": coming.at, "tier": coming.tier},
        "sentences": list(explanation.sentences),
    }


def _neighbour(tier: Tier | None) -> dict[str, Any] | None:
    return None if tier is None else {"tier": tier.tier, "name": tier.name, "priority_rank": tier.priority_rank}
