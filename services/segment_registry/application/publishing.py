"""The events of the registry, as their contracts say; built without models, which tests then hold them to."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import orjson

from services.chassis.envelope import Event
from services.chassis.ids import new_id, new_ids
from services.contracts.catalogue import SEGMENT_CHANGED, SEGMENT_CURRENT, TIER_POLICY, EventType
from services.segment_registry.application.ports import Cause
from services.segment_registry.domain.customers import Customer
from services.segment_registry.domain.moves import Move
from services.segment_registry.domain.tiers import Tier

SOURCE: Final = "segment_registry"


def tier_policy(tier: Tier, cause: Cause, at: datetime) -> Event:
    """The tier with its policy."""
    return _event(str(new_id()), TIER_POLICY, (tier.tier, tier.version), tier_document(tier), cause, at)


def events_of(customers: Sequence[Customer], moves: Sequence[Move], cause: Cause, at: datetime) -> list[Event]:
    """The events of a change: the new states of the customers, then those of their moves that take effect by it."""
    told = [move for move in moves if move.takes_effect]
    ids = (str(event_id) for event_id in new_ids(len(customers) + len(told)))
    events = []
    for customer in customers:
        place = (customer.customer_id, customer.sequence)
        events.append(_event(next(ids), SEGMENT_CURRENT, place, current_document(customer, at), cause, at))
    for move in told:
        place = (move.customer_id, move.sequence)
        events.append(_event(next(ids), SEGMENT_CHANGED, place, _changed_document(move), cause, at))
    return events


def tier_document(tier: Tier) -> dict[str, Any]:
    """A tier as the contract `TierDefined` has it."""
    return {
        "tier": tier.tier,
        "version": tier.version,
        "name": tier.name,
        "priority_rank": tier.priority_rank,
        "is_default": tier.is_default,
        "active": tier.active,
        "policy": orjson.Fragment(tier.policy),
    }


def current_document(customer: Customer, at: datetime) -> dict[str, Any]:
    """A customer as the contract `SegmentCurrent` has it."""
    return {
        "customer_id": customer.customer_id,
        "sequence": customer.sequence,
        "status": "active" if customer.merged_into is None else "merged",
        "merged_into": customer.merged_into,
        "identifiers": [{"system": system, "id": id_} for system, id_ in customer.identifiers],
        "assignments": []
        if customer.merged_into is not None
        else [
            {
                "tier": assignment.tier,
                "effective_from": assignment.effective_from,
                "effective_to": assignment.effective_to,
                "sequence": assignment.sequence,
                "reason": assignment.grounds.reason,
                "kind": assignment.kind,
            }
            for assignment in customer.assignments
            if assignment.ends_after(at)
        ],
    }


def _changed_document(move: Move) -> dict[str, Any]:
    return {
        "customer_id": move.customer_id,
        "sequence": move.sequence,
        "from_tier": move.from_tier,
        "to_tier": move.to_tier,
        "effective_from": move.effective_from,
        "effective_to": move.effective_to,
        "reason": move.grounds.reason,
        "author": move.grounds.author,
        "rule": move.grounds.rule,
        "proposal_id": move.grounds.proposal_id,
    }


def _event(  # noqa: PLR0917 - private, called with all of them
    event_id: str, kind: EventType, place: tuple[str, int], document: dict[str, Any], cause: Cause, at: datetime
) -> Event:
    """`place` is the key and its version."""
    key, sequence = place
    return Event(
        id=event_id,
        type=kind.name,
        source=SOURCE,
        topic=kind.topic.name,
        key=key,
        sequence=sequence,
        time=at,
        data=orjson.dumps(document),
        correlation_id=cause.correlation_id,
        causation_id=cause.causation_id,
        traceparent=cause.traceparent,
        dataschema=kind.dataschema,
    )
