"""Look at customers: one, by an identifier, page by page, and their tier at any moment."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from services.segment_registry.application.ports import RegistryReader
from services.segment_registry.domain.customers import OWN_SYSTEM, Customer, Identifier, ServedTier, served_tier

PAGE_MAX: Final = 500  # customers of one page; a page is one read and one answer


@dataclass(frozen=True, slots=True)
class CustomerView:
    """A customer, and the tier that counts at `at`."""

    customer: Customer
    served: ServedTier
    at: datetime


async def customer_at(reader: RegistryReader, customer_id: str, at: datetime | None) -> CustomerView | None:
    """A customer with its whole tier history and its tier at a moment (None: now); None if it is unknown.

    The default tier of a customer that was in none is today's default.
    """
    customer = (await reader.customers([customer_id], ended_too=True)).get(customer_id)
    if customer is None:
        return None
    moment = at or await reader.now()
    return CustomerView(customer, served_tier(customer, await reader.tiers(), moment), moment)


async def resolve_identifier(reader: RegistryReader, identifier: Identifier) -> CustomerView | None:
    """The customer that another system knows so, or the registry itself (system `tiercel`)."""
    if identifier.system == OWN_SYSTEM:
        return await customer_at(reader, identifier.id, None)
    owner = (await reader.owners([identifier])).get(identifier)
    return None if owner is None else await customer_at(reader, owner, None)


async def page_of_customers(
    reader: RegistryReader, after: str | None, limit: int
) -> tuple[list[CustomerView], str | None]:
    """Customers by id, after the one given, at most `limit`, and where to go on (None: that was the last page).

    One that is made while somebody pages may be missed.
    """
    now = await reader.now()
    tiers = await reader.tiers()
    found = await reader.page_of_customers(after, limit + 1)
    page = [CustomerView(customer, served_tier(customer, tiers, now), now) for customer in found[:limit]]
    return page, page[-1].customer.customer_id if len(found) > limit else None
