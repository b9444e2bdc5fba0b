"""What was planned takes effect: in a command before its own decision, and by itself when its time has come."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from services.chassis.audit.chain import AuditEntry
from services.chassis.ids import new_id
from services.chassis.outbox import Lane
from services.segment_registry.application.change_customers import audit_of_move
from services.segment_registry.application.ports import Cause, RegistryTransaction, TierLock
from services.segment_registry.application.publishing import events_of
from services.segment_registry.domain.customers import Customer
from services.segment_registry.domain.moves import Move
from services.segment_registry.domain.taking_effect import take_effect
from services.segment_registry.domain.tiers import Tier

EFFECTS_MAX: Final = 200  # customers of one transaction: some 50 ms of locks, so that commands get in between


@dataclass(frozen=True, slots=True)
class Settled:
    """Customers as they are once all that is due has taken effect, and what the audit trail is still to be told."""

    customers: dict[str, Customer]
    audit: list[AuditEntry]
    moves: tuple[Move, ...]


async def settle_effects(
    transaction: RegistryTransaction,
    customers: Mapping[str, Customer],
    tiers: Mapping[str, Tier],
    cause: Cause,
    now: datetime,
) -> Settled:
    """Tell what took effect of these customers, which are locked, so that a later move follows in the chain.

    Stored at once, but for the audit entries: their lock is the last one, so the caller appends them in any case.
    """
    due = await transaction.due_effects(list(customers), now)
    if not due:
        return Settled(dict(customers), [], ())
    whole = await transaction.customers(list(due), ended_too=True)
    settled = dict(customers)
    notices: list[Move] = []
    for customer_id, moments in due.items():
        effect = take_effect(whole[customer_id], tiers, moments, now)
        if effect is not None:
            after = effect.customer
            settled[customer_id] = replace(customers[customer_id], sequence=after.sequence, changed_at=after.changed_at)
            notices += effect.moves
    await transaction.forget_effects(list(due), now)
    changed = [customer for customer_id, customer in settled.items() if customer is not customers[customer_id]]
    if changed:
        await transaction.save_customers(customers, changed, now)
        await transaction.publish(events_of(changed, notices, cause, now), Lane.URGENT)
    audit = [audit_of_move(notice, "tier.took_effect") for notice in notices]
    return Settled(settled, audit, tuple(notices))


async def settle_due(transaction: RegistryTransaction) -> Sequence[Move] | None:
    """Let what is due take effect, for some customers; None when there is nothing left to do.

    While a replay collects nothing takes effect: its step has not come to that half.
    """
    if await transaction.collecting():
        return None
    due = await transaction.due_customers(await transaction.now(), EFFECTS_MAX)
    if not due:
        return None
    tiers = await transaction.lock_tiers(TierLock.SHARED)
    customers = await transaction.lock_customers(due, ended_too=True)
    now = await transaction.now()
    start = str(new_id())
    settled = await settle_effects(transaction, customers, tiers, Cause(start, start), now)
    await transaction.append_audit(settled.audit, now)
    return settled.moves
