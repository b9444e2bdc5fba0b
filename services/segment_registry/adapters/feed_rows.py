"""Who changed when, in the order of the commits: one row for each customer, moved forward with each change."""

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from services.chassis.database import Connection
from services.segment_registry.adapters.customer_rows import load_customers
from services.segment_registry.adapters.merge_rows import merged_under
from services.segment_registry.application.ports import FeedPlace
from services.segment_registry.domain.customers import Customer


async def list_changed(connection: Connection, customer_ids: Collection[str]) -> None:
    """Put these customers at the end, and those that are served as they are: the tier of a merged one changes with it.

    The head of the audit trail is held: its position is this transaction's.
    """
    changed = dict.fromkeys(UUID(customer_id) for customer_id in customer_ids)
    for below in (await merged_under(connection, list(changed))).values():
        changed |= dict.fromkeys(below)
    await connection.execute(
        "INSERT INTO customer_change (customer_id, position)"
        " SELECT changed, position FROM unnest($1::uuid[]) AS changed, audit_head"
        " ON CONFLICT (customer_id) DO UPDATE SET position = excluded.position",
        list(changed),
    )


async def page_of_changed(
    connection: Connection, after: FeedPlace | None, limit: int, at: datetime
) -> list[tuple[FeedPlace, Customer]]:
    """Customers after a place, with their assignments that end after the moment given."""
    rows = await connection.fetch(
        "SELECT position, customer_id FROM customer_change WHERE (position, customer_id) > ($1, $2::uuid)"
        " ORDER BY position, customer_id LIMIT $3",
        -1 if after is None else after.position,
        UUID(int=0) if after is None else UUID(after.customer_id),
        limit,
    )
    customers = await load_customers(connection, [str(row["customer_id"]) for row in rows], at)
    places = [FeedPlace(row["position"], str(row["customer_id"])) for row in rows]
    return [(place, customers[place.customer_id]) for place in places]
