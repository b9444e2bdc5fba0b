"""Say anew under which identifiers other systems know a customer."""

from services.segment_registry.application.change_customers import CustomerUnknown, audit_of_identifiers, store_change
from services.segment_registry.application.ports import Commander, RegistryTransaction
from services.segment_registry.application.publishing import events_of
from services.segment_registry.domain import customers as domain
from services.segment_registry.domain.customers import Customer, Identifier, IdentifiersRefused


async def replace_identifiers(
    transaction: RegistryTransaction, customer_id: str, identifiers: tuple[Identifier, ...], commander: Commander
) -> Customer | IdentifiersRefused | CustomerUnknown:
    """The customer has exactly these identifiers from here on; one that another customer holds is refused."""
    customers = await transaction.lock_customers([customer_id])
    customer = customers.get(customer_id)
    if customer is None:
        return CustomerUnknown()
    owners = await transaction.owners(identifiers)
    now = await transaction.now()
    changed = domain.replace_identifiers(customer, identifiers, owners, now)
    if isinstance(changed, Customer) and changed is not customer:
        audit = [audit_of_identifiers(changed, customer.identifiers, commander.author, "customer.identified")]
        events = events_of([changed], [], commander.cause, now)
        await store_change(transaction, customers, [changed], events, audit, at=now)
    return changed
