"""Look at customers: one, by an identifier, page by page, and their tier at any moment."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from services.segment_registry.application.ports import (
    Distances,
    FeedPlace,
    ReclassifierUnavailable,
    RegistryReader,
    Transactions,
)
from services.segment_registry.domain.customers import OWN_SYSTEM, Customer, Identifier, ServedTier, served_tier
from services.segment_registry.domain.merging import MERGES_DEEP_MAX
from services.segment_registry.domain.served_history import MergeSpan, history_of_spans, served_spans
from services.segment_registry.domain.tier_explanation import Explanation, explain, with_distance
from services.segment_registry.domain.tiers import Tier
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
    return CustomerView(customer, await _served(reader, customer, moment), moment)


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
    root = found
    for _ in range(MERGES_DEEP_MAX):
        merged_into = await reader.merged_as_known(root.customer_id, moment, known)
        following = None if merged_into is None else await reader.customer_as_known(merged_into, known)
        if following is None:
            break
        root = following
    by = in_force(root.assignments, moment)
    served = ServedTier(by.tier if by else await reader.default_tier_at(min(moment, known)), by)
    return KnownView(customer_id, found.sequence, found.assignments, served, moment, known)


async def explain_tier(
    transactions: Transactions, customer_id: str, at: datetime | None, distances: Distances | None
) -> Explanation | None:
    """Why a customer is in its tier at a moment (None: now), a merged one as whom it is served; None if unknown.

    How far it is from other tiers is known of now alone; the reclassifier is asked after the read has ended.
    """

    async def look(reader: RegistryReader) -> tuple[Explanation, dict[str, Tier]] | None:
        now = await reader.now()
        moment = at or now
        customer = await _as_served(reader, customer_id, moment)
        if customer is None:
            return None
        tiers = await reader.tiers()
        default = await reader.default_tier_at(min(moment, now))
        of_time = {name: replace(tier, is_default=name == default) for name, tier in tiers.items()}
        merged = (await reader.records_below([customer.customer_id])).get(customer.customer_id, [])
        return explain(customer, of_time, moment, now, merged), tiers

    seen = await transactions.read(look)
    if seen is None:
        return None
    explanation, tiers = seen
    if at is not None:
        return replace(explanation, distance_missing="distances are known of now alone")
    if distances is None:
        return replace(explanation, distance_missing="no address of the reclassifier is configured")
    try:
        found = await distances.of_customer(explanation.customer_id)
    except ReclassifierUnavailable as error:
        return replace(explanation, distance_missing=str(error))
    return with_distance(explanation, found, tiers)


async def _as_served(reader: RegistryReader, customer_id: str, at: datetime) -> Customer | None:
    """The customer as whom this one is served at a moment, with the history that counted for it; None if unknown."""
    merges: dict[str, list[MergeSpan]] = {}
    asked = [customer_id]
    while asked:
        found = await reader.merges_of(asked)
        merges |= {each: found.get(each, []) for each in asked}
        into = dict.fromkeys(span.merged_into for spans in found.values() for span in spans)
        asked = [each for each in into if each not in merges]
    customers = await reader.customers(list(merges), ended_too=True)
    if customer_id not in customers:
        return None
    spans = served_spans(customer_id, merges)
    histories = {each.customer_id: each.assignments for each in customers.values()}
    [root] = [customers[span.customer_id] for span in spans if span.covers(at)]
    return replace(root, assignments=history_of_spans(spans, histories))


async def page_of_changed(
    reader: RegistryReader, after: FeedPlace | None, limit: int
) -> tuple[list[CustomerView], FeedPlace | None, bool]:
    """Customers in the order of their last change, the place to go on after, and whether there are more now."""
    now = await reader.now()
    tiers = await reader.tiers()
    found = await reader.page_of_changed(after, limit + 1)
    page = found[:limit]
    views = [CustomerView(each, await _served(reader, each, now, tiers), now) for _, each in page]
    return views, page[-1][0] if page else after, len(found) > limit


async def _served(
    reader: RegistryReader, customer: Customer, at: datetime, tiers: Mapping[str, Tier] | None = None
) -> ServedTier:
    """The tier of a customer; of one that was merged, that of the customer as which it is served."""
    known = tiers or await reader.tiers()
    root = None if customer.merged_into is None else await reader.root_of(customer.customer_id)
    if root is not None:
        customer = (await reader.customers([root], ended_too=True))[root]
    return served_tier(customer, known, at)


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
    page = [CustomerView(each, await _served(reader, each, now, tiers), now) for each in found[:limit]]
    return page, page[-1].customer.customer_id if len(found) > limit else None
