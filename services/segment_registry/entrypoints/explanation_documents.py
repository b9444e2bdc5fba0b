"""The explanation of a tier as it is answered."""

from dataclasses import asdict
from typing import Any, Literal

from services.contracts.payload import Code, Identifier, Moment, Payload, Version
from services.segment_registry.domain.tier_distances import FoundDistances
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


class NumberChangeDocument(Payload):
    """One number as it is, and by how much more or less it would turn; `by` null: that cannot be said in a number."""

    feature: str
    window_days: int | None
    value: str
    direction: Literal["more", "less", "other"]
    by: str | None


class TierDistanceDocument(Payload):
    """What together would have to change until the rules ask for a tier; empty: they do already."""

    tier: Code
    changes: tuple[NumberChangeDocument, ...]


class DistanceDocument(Payload):
    """How far the numbers are from the tiers beside the customer's own, by the rule set in force at `as_of`."""

    as_of: Moment
    rule: Code | None
    rule_version: Version | None
    above: TierDistanceDocument | None
    below: TierDistanceDocument | None


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
    distance: DistanceDocument | None
    distance_missing: str | None
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
        "distance": None if explanation.distance is None else _distance(explanation.distance),
        "distance_missing": explanation.distance_missing,
        "sentences": list(explanation.sentences),
    }


def _distance(found: FoundDistances) -> dict[str, Any]:
    return {
        "as_of": found.as_of,
        "rule": found.rule,
        "rule_version": found.rule_version,
        "above": None if found.above is None else asdict(found.above),
        "below": None if found.below is None else asdict(found.below),
    }


def _neighbour(tier: Tier | None) -> dict[str, Any] | None:
    return None if tier is None else {"tier": tier.tier, "name": tier.name, "priority_rank": tier.priority_rank}
