"""Merge a duplicate into the customer that it is, and split it off again."""

from services.chassis.audit.chain import AuditEntry
from services.segment_registry.application.change_customers import CustomerUnknown, audit_of_move, store_change
from services.segment_registry.application.ports import Commander, LostRace, RegistryTransaction, TierLock
from services.segment_registry.application.publishing import events_of
from services.segment_registry.application.settle_effects import Settled, settle_effects
from services.segment_registry.domain import merging
from services.segment_registry.domain.customers import Customer
from services.segment_registry.domain.merging import MergeDone, MergeRefusal, MergeRefused
from services.segment_registry.domain.second_person import SecondPersonNeeded, needs_of_merge
from services.segment_registry.domain.timeline import Grounds

Outcome = MergeDone | MergeRefused | CustomerUnknown | SecondPersonNeeded


async def merge_customers(
    transaction: RegistryTransaction,
    duplicate: str,
    into: str,
    reason: str,
    commander: Commander,
    *,
    approved: bool = False,
) -> Outcome:
    """From here on the duplicate is served as the other customer, under all its identifiers."""
    tiers = await transaction.lock_tiers(TierLock.SHARED)
    customers = await transaction.lock_customers([duplicate, into], ended_too=True)
    if duplicate not in customers or into not in customers:
        return CustomerUnknown()
    now = await transaction.now()
    settled = await settle_effects(transaction, customers, tiers, commander.cause, now)
    height = max((depth for _, depth in await transaction.merged_below(duplicate)), default=0)
    grounds = Grounds(reason, commander.author)
    found = settled.customers
    decision = merging.merge(found[duplicate], found[into], height, tiers, grounds, now)
    served = found[duplicate], found[into]
    return await _store(transaction, settled, decision, served, commander, approved=approved)


async def split_customer(
    transaction: RegistryTransaction, duplicate: str, reason: str, commander: Commander, *, approved: bool = False
) -> Outcome:
    """From here on the customer stands for itself again, as it was kept."""
    tiers = await transaction.lock_tiers(TierLock.SHARED)
    root = await transaction.root_of(duplicate)
    customers = await transaction.lock_customers([duplicate, root or duplicate], ended_too=True)
    if root != await transaction.root_of(duplicate):
        raise LostRace("the customer was merged or split meanwhile")
    if duplicate not in customers:
        return CustomerUnknown()
    if root is None or customers[duplicate].merged_into is None:
        return MergeRefused(MergeRefusal.NOT_MERGED)
    now = await transaction.now()
    settled = await settle_effects(transaction, customers, tiers, commander.cause, now)
    found = settled.customers
    grounds = Grounds(reason, commander.author)
    decision = merging.split(found[duplicate], found[root], tiers, grounds, now)
    served = found[root], found[duplicate]
    return await _store(transaction, settled, decision, served, commander, approved=approved)


async def _store(
    transaction: RegistryTransaction,
    settled: Settled,
    decision: MergeDone | MergeRefused,
    served: tuple[Customer, Customer],
    commander: Commander,
    *,
    approved: bool,
) -> Outcome:
    now = await transaction.now()
    if isinstance(decision, MergeDone) and not approved:
        former = settled.customers[decision.customer.customer_id]
        tiers, rules = await transaction.tiers(), await transaction.change_rules()
        needs = needs_of_merge(rules, former, served, tiers, now)
        if needs:
            await transaction.append_audit(settled.audit, now)
            return SecondPersonNeeded(needs)
    if not isinstance(decision, MergeDone):
        await transaction.append_audit(settled.audit, now)
        return decision
    customer, notices = decision.customer, [] if decision.move is None else [decision.move]
    former = settled.customers[customer.customer_id]
    action = "customer.split" if customer.merged_into is None else "customer.merged"
    detail = {"sequence": customer.sequence, "from": former.merged_into, "into": customer.merged_into}
    audit = [*settled.audit, AuditEntry(commander.author, action, customer.customer_id, detail)]
    audit += [audit_of_move(each, f"tier.{action.partition('.')[2]}") for each in notices]
    events = events_of([customer], notices, commander.cause, now)
    await store_change(transaction, settled.customers, [customer], events, audit, at=now)
    return decision
