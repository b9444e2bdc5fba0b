"""End an assignment before its time, or withdraw one that is only planned."""

from services.segment_registry.application.change_customers import CustomerUnknown, audit_of_move, store_change
from services.segment_registry.application.ports import Cause, RegistryTransaction, TierLock
from services.segment_registry.application.publishing import events_of
from services.segment_registry.application.settle_effects import settle_effects
from services.segment_registry.domain import moves
from services.segment_registry.domain.moves import Moved, MoveRefused
from services.segment_registry.domain.second_person import Need, SecondPersonNeeded, needs_of_move
from services.segment_registry.domain.timeline import Grounds, Unchanged


async def end_assignment(
    transaction: RegistryTransaction,
    customer_id: str,
    sequence: int,
    grounds: Grounds,
    cause: Cause,
    *,
    approved: bool = False,
) -> Moved | Unchanged | MoveRefused | CustomerUnknown | SecondPersonNeeded:
    """From here on what lies below it counts: another assignment, or the default tier."""
    tiers = await transaction.lock_tiers(TierLock.SHARED)
    customers = await transaction.lock_customers([customer_id], ended_too=True)
    if customer_id not in customers:
        return CustomerUnknown()
    now = await transaction.now()
    settled = await settle_effects(transaction, customers, tiers, cause, now)
    customer = settled.customers[customer_id]
    decision = moves.end(customer, tiers, sequence, grounds, now)
    needs: tuple[Need, ...] = ()
    if isinstance(decision, Moved) and not approved:
        needs = needs_of_move(await transaction.change_rules(), customer, decision.customer, tiers, now)
    if isinstance(decision, Moved) and not needs:
        events = events_of([decision.customer], [decision.move], cause, now)
        audit = [*settled.audit, audit_of_move(decision.move, "tier.ended")]
        await store_change(transaction, settled.customers, [decision.customer], events, audit, at=now)
        return decision
    await transaction.append_audit(settled.audit, now)
    return SecondPersonNeeded(needs) if needs else decision
