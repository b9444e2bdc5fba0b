"""Make a customer known by its identifiers in other systems, or find the one that they mean."""

from dataclasses import dataclass

from services.chassis.ids import new_id
from services.segment_registry.application.change_customers import audit_of_identifiers, store_change
from services.segment_registry.application.ports import Commander, RegistryTransaction
from services.segment_registry.application.publishing import events_of
from services.segment_registry.domain.customers import (
    Customer,
    Identifier,
    IdentifiersRefused,
    add_identifiers,
    new_customer,
    resolve,
)


@dataclass(frozen=True, slots=True)
class Registered:
    """The customer that these identifiers mean."""

    customer: Customer
    created: bool


async def register_customer(
    transaction: RegistryTransaction, identifiers: tuple[Identifier, ...], commander: Commander
) -> Registered | IdentifiersRefused:
    """Identifiers that mean one customer are all its own from here on; unknown ones make a new customer."""
    owners, customers = await transaction.lock_owners(identifiers)
    now = await transaction.now()
    found = resolve(identifiers, owners)
    if isinstance(found, IdentifiersRefused):
        return found
    if found is None:
        customer: Customer | IdentifiersRefused = new_customer(str(new_id()), identifiers, now)
        former: tuple[Identifier, ...] = ()
    else:
        new = tuple(each for each in identifiers if each not in owners)
        customer = add_identifiers(customers[found], new, now)
        former = customers[found].identifiers
    if isinstance(customer, IdentifiersRefused):
        return customer
    if found is None or customer is not customers[found]:
        action = "customer.registered" if found is None else "customer.identified"
        audit = [audit_of_identifiers(customer, former, commander.author, action)]
        events = events_of([customer], [], commander.cause, now)
        await store_change(transaction, customers, [customer], events, audit, at=now)
    return Registered(customer, created=found is None)
