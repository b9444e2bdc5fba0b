"""Put a customer into a tier, now or from a date on."""

from services.segment_registry.application.change_customers import CustomerUnknown, audit_of_move, store_change
from services.segment_registry.application.ports import Cause, RegistryTransaction, TierLock
from services.segment_registry.application.publishing import events_of
from services.segment_registry.domain.moves import Moved, MoveRefused, MoveRequest, move
from services.segment_registry.domain.timeline import Unchanged


async def assign_tier(
    transaction: RegistryTransaction, customer_id: str, request: MoveRequest, cause: Cause
) -> Moved | Unchanged | MoveRefused | CustomerUnknown:
    """Move a customer by a person's decision."""
    tiers = await transaction.lock_tiers(TierLock.SHARED)
    customers = await transaction.lock_customers([customer_id], ended_too=True)
    customer = customers.get(customer_id)
    if customer is None:
        return CustomerUnknown()
    now = await transaction.now()
    decision = move(customer, tiers, request, now)
    if isinstance(decision, Moved):
        events = events_of([decision.customer], [decision.move], cause, now)
        audit = [audit_of_move(decision.move, f"tier.{request.kind}")]
        await store_change(transaction, customers, [decision.customer], events, audit, at=now)
    return decision
