"""What every change of customers stores together: their rows, the events, the audit trail."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from services.chassis.audit.chain import AuditEntry
from services.chassis.envelope import Event
from services.chassis.outbox import Lane
from services.segment_registry.application.ports import RegistryTransaction
from services.segment_registry.domain.customers import Customer, Identifier
from services.segment_registry.domain.moves import Move


@dataclass(frozen=True, slots=True)
class CustomerUnknown:
    """No such customer; nothing was altered."""


async def store_change(
    transaction: RegistryTransaction,
    before: Mapping[str, Customer],
    after: Sequence[Customer],
    events: Sequence[Event],
    audit: Sequence[AuditEntry],
    *,
    at: datetime,
    lane: Lane = Lane.URGENT,
) -> None:
    """Store customers that are new or changed since `before`, and tell of it."""
    await transaction.save_customers(before, after, at)
    await transaction.publish(events, lane)
    await transaction.append_audit(audit, at)


def audit_of_move(move: Move, action: str) -> AuditEntry:
    """The audit entry of one move."""
    detail = {
        "sequence": move.sequence,
        "from_tier": move.from_tier,
        "to_tier": move.to_tier,
        "effective_from": move.effective_from,
        "effective_to": move.effective_to,
        "reason": move.grounds.reason,
        "rule": move.grounds.rule,
        "rule_version": move.grounds.rule_version,
        "proposal_id": move.grounds.proposal_id,
    }
    return AuditEntry(move.grounds.author, action, move.customer_id, detail)


def audit_of_identifiers(customer: Customer, former: Sequence[Identifier], author: str, action: str) -> AuditEntry:
    """The audit entry of a change of identifiers."""
    detail = {
        "sequence": customer.sequence,
        "identifiers": [list(identifier) for identifier in customer.identifiers],
        "former_identifiers": [list(identifier) for identifier in former],
    }
    return AuditEntry(author, action, customer.customer_id, detail)
