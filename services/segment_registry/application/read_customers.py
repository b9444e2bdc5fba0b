"""Look at customers: one, by an identifier, page by page, and their tier at any moment."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from services.segment_registry.application.ports import FeedPlace, RegistryReader
from services.segment_registry.domain.customers import OWN_SYSTEM, Customer, Identifier, ServedTier, served_tier
from services.segment_registry.domain.tier_explanation import Explanation, explain
from services.segment_registry.domain.timeline import Assignment, in_force

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


@dataclass(frozen=True, slots=True)
class KnownView:
    """A tier history as known at `known_at`, and the tier that counted by it at `at`."""

    customer_id: str
    sequence: int
    assignments: tuple[Assignment, ...]
    served: ServedTier
    at: datetime
    known_at: datetime


async def customer_as_known(
    reader: RegistryReader, customer_id: str, at: datetime | None, known_at: datetime | None
) -> KnownView | None:
    """What was true at `at` as far as it was known at `known_at` (None: now, both); None for an unknown customer.

    Of a moment after `known_at` it is what was planned then. In no assignment a customer was in what was the default
    tier at the earlier of the two moments.
    """
    now = await reader.now()
    moment, known = at or now, min(known_at or now, now)
    found = await reader.customer_as_known(customer_id, known)
    if found is None:
        return None
    by = in_force(found.assignments, moment)
    served = ServedTier(by.tier if by else await reader.default_tier_at(min(moment, known)), by)
    return KnownView(customer_id, found.sequence, found.assignments, served, moment, known)


async def explain_tier(reader: RegistryReader, customer_id: str, at: datetime | None) -> Explanation | None:
    """Why a customer is in its tier at a moment (None: now); None for an unknown customer."""
    customer = (await reader.customers([customer_id], ended_too=True)).get(customer_id)
    if customer is None:
        return None
    return explain(customer, await reader.tiers(), at or await reader.now())


async def page_of_changed(
    reader: RegistryReader, after: FeedPlace | None, limit: int
) -> tuple[list[CustomerView], FeedPlace | None, bool]:
    """Customers in the order of their last change, the place to go on after, and whether there are more now."""
    now = await reader.now()
    tiers = await reader.tiers()
    found = await reader.page_of_changed(after, limit + 1)
    page = found[:limit]
    views = [CustomerView(customer, served_tier(customer, tiers, now), now) for _, customer in page]
    return views, page[-1][0] if page else after, len(found) > limit


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
