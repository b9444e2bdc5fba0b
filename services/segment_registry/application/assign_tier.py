"""Put customers into tiers, now or from a date on."""

from collections.abc import Sequence

from services.chassis.outbox import Lane
from services.segment_registry.application.change_customers import CustomerUnknown, audit_of_move
from services.segment_registry.application.ports import Cause, RegistryTransaction, TierLock
from services.segment_registry.application.publishing import events_of
from services.segment_registry.application.settle_effects import settle_effects
from services.segment_registry.domain.change_rules import ChangeRules, month_of
from services.segment_registry.domain.customers import Customer
from services.segment_registry.domain.moves import BudgetRefusal, Moved, MoveRefused, MoveRequest, move
from services.segment_registry.domain.second_person import SecondPersonNeeded, needs_of_move
from services.segment_registry.domain.timeline import Kind, Unchanged

Outcome = Moved | Unchanged | MoveRefused | CustomerUnknown | SecondPersonNeeded


async def assign_tier(
    transaction: RegistryTransaction, customer_id: str, request: MoveRequest, cause: Cause
) -> Outcome:
    """Move a customer by one person's decision, as far as the rules of change let one person decide."""
    [(_, outcome)] = await move_customers(transaction, [(customer_id, request)], cause, approved=False)
    return outcome


async def move_customers(
    transaction: RegistryTransaction, wanted: Sequence[tuple[str, MoveRequest]], cause: Cause, *, approved: bool
) -> list[tuple[str, Outcome]]:
    """Move customers in this order, all of them or none: the outcomes end with the first one that cannot be moved.

    A move that was `approved` asks no second person and may go past the budget of overrides.
    """
    tiers = await transaction.lock_tiers(TierLock.SHARED)
    customers = await transaction.lock_customers(list(dict.fromkeys(each for each, _ in wanted)), ended_too=True)
    now = await transaction.now()
    rules = await transaction.change_rules()
    settled = await settle_effects(transaction, customers, tiers, cause, now)
    working = dict(settled.customers)
    outcomes: list[tuple[str, Outcome]] = []
    for customer_id, request in wanted:
        outcome: Outcome = CustomerUnknown()
        if customer_id in working:
            customer = working[customer_id]
            outcome = move(customer, tiers, request, now)
            if isinstance(outcome, Moved) and not approved:
                needs = needs_of_move(rules, customer, outcome.customer, tiers, now)
                outcome = SecondPersonNeeded(needs) if needs else outcome
        outcomes.append((customer_id, outcome))
        if not isinstance(outcome, Moved | Unchanged):
            break
        if isinstance(outcome, Moved):
            working[customer_id] = outcome.customer
    if outcomes and isinstance(outcomes[-1][1], Moved | Unchanged):
        outcomes = await _within_budget(transaction, wanted, outcomes, rules, approved=approved)
    moved = [outcome for _, outcome in outcomes if isinstance(outcome, Moved)]
    audit = list(settled.audit)
    if moved and isinstance(outcomes[-1][1], Moved | Unchanged):
        after = _last(moved)
        await transaction.save_customers(settled.customers, after, now)
        await transaction.publish(events_of(after, [each.move for each in moved], cause, now), Lane.URGENT)
        audit += [audit_of_move(each.move, f"tier.{each.assignment.kind}") for each in moved]
    await transaction.append_audit(audit, now)
    return outcomes


async def _within_budget(
    transaction: RegistryTransaction,
    wanted: Sequence[tuple[str, MoveRequest]],
    outcomes: list[tuple[str, Outcome]],
    rules: ChangeRules,
    *,
    approved: bool,
) -> list[tuple[str, Outcome]]:
    """Count the overrides, in the order of their tiers; the outcomes end with a refusal where a budget is spent."""
    month = month_of(await transaction.now())
    counted = [
        (request.tier, customer_id)
        for (customer_id, request), (_, outcome) in zip(wanted, outcomes, strict=True)
        if isinstance(outcome, Moved) and request.kind is Kind.OVERRIDE
    ]
    for tier, customer_id in sorted(counted):
        budget = None if approved else rules.override_budgets.get(tier)
        if not await transaction.count_override(tier, month, budget):
            return [(customer_id, MoveRefused(BudgetRefusal.OVERRIDE_BUDGET_SPENT))]
    return outcomes


def _last(moved: Sequence[Moved]) -> list[Customer]:
    """Each moved customer as it is in the end."""
    return list({each.customer.customer_id: each.customer for each in moved}.values())
