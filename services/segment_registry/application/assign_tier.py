"""Put a customer into a tier, now or from a date on."""

from services.segment_registry.application.change_customers import CustomerUnknown, audit_of_move, store_change
from services.segment_registry.application.ports import Cause, RegistryTransaction, TierLock
from services.segment_registry.application.publishing import events_of
from services.segment_registry.application.settle_effects import settle_effects
from services.segment_registry.domain.change_rules import month_of
from services.segment_registry.domain.moves import BudgetRefusal, Moved, MoveRefused, MoveRequest, move
from services.segment_registry.domain.timeline import Kind, Unchanged


async def assign_tier(
    transaction: RegistryTransaction, customer_id: str, request: MoveRequest, cause: Cause
) -> Moved | Unchanged | MoveRefused | CustomerUnknown:
    """Move a customer by a person's decision; an override counts against the budget of its tier and month."""
    tiers = await transaction.lock_tiers(TierLock.SHARED)
    customers = await transaction.lock_customers([customer_id], ended_too=True)
    if customer_id not in customers:
        return CustomerUnknown()
    now = await transaction.now()
    settled = await settle_effects(transaction, customers, tiers, cause, now)
    decision = move(settled.customers[customer_id], tiers, request, now)
    if isinstance(decision, Moved) and request.kind is Kind.OVERRIDE:
        budget = (await transaction.change_rules()).override_budgets.get(request.tier)
        if not await transaction.count_override(request.tier, month_of(now), budget):
            decision = MoveRefused(BudgetRefusal.OVERRIDE_BUDGET_SPENT)
    if isinstance(decision, Moved):
        events = events_of([decision.customer], [decision.move], cause, now)
        audit = [*settled.audit, audit_of_move(decision.move, f"tier.{request.kind}")]
        await store_change(transaction, settled.customers, [decision.customer], events, audit, at=now)
    else:
        await transaction.append_audit(settled.audit, now)
    return decision
