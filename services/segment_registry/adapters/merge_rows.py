"""Merged customers in PostgreSQL: `customer.merged_into` is now, `customer_merge` is ever."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from services.chassis.database import Connection
from services.segment_registry.adapters.record_rows import load_records
from services.segment_registry.domain.customers import Customer
from services.segment_registry.domain.merging import MERGES_DEEP_MAX
from services.segment_registry.domain.records import CustomerRecord
from services.segment_registry.domain.served_history import MergeSpan

_ROOTS: Final = """
SELECT customer_id AS place, merged_into AS next FROM customer
WHERE customer_id = ANY($1) AND merged_into IS NOT NULL
"""
_BELOW: Final = """
WITH RECURSIVE below AS (
    SELECT customer_id, 1 AS depth FROM customer WHERE merged_into = $1
    UNION ALL SELECT c.customer_id, depth + 1 FROM below JOIN customer c ON c.merged_into = below.customer_id
)
SELECT customer_id, depth FROM below ORDER BY depth, customer_id
"""
_UNDER: Final = """
SELECT merged_into AS place, customer_id AS next FROM customer WHERE merged_into = ANY($1) ORDER BY customer_id
"""


async def roots(connection: Connection, customer_ids: Collection[UUID]) -> dict[UUID, UUID]:
    """The customers by which these are served; one that is not merged is not in the answer."""
    return {start: reached[-1] for start, reached in (await _reached(connection, _ROOTS, customer_ids)).items()}


async def merged_below(connection: Connection, customer_id: str) -> list[tuple[str, int]]:
    """Who is merged into a customer, by how many steps."""
    return [(str(row["customer_id"]), row["depth"]) for row in await connection.fetch(_BELOW, UUID(customer_id))]


async def merges_of(connection: Connection, customer_ids: Collection[UUID]) -> dict[str, list[MergeSpan]]:
    """Every merge that there was of these customers, by customer, ascending."""
    rows = await connection.fetch(
        "SELECT customer_id, merged_into, merged_at, split_at FROM customer_merge WHERE customer_id = ANY($1)"
        " ORDER BY customer_id, merged_at, split_at",
        list(customer_ids),
    )
    found: dict[str, list[MergeSpan]] = {}
    for row in rows:
        span = MergeSpan(str(row["merged_into"]), row["merged_at"], row["split_at"])
        found.setdefault(str(row["customer_id"]), []).append(span)
    return found


async def merged_under(connection: Connection, customer_ids: Collection[UUID]) -> dict[UUID, list[UUID]]:
    """By customer all that were merged into it; one into which none was is left out.

    Step by step, as nearly always there is none: a recursive query is planned for many, and reads all customers.
    """
    return await _reached(connection, _UNDER, customer_ids)


async def _reached(connection: Connection, step: str, starts: Collection[UUID]) -> dict[UUID, list[UUID]]:
    """By start whom a step (from one `place` to the `next`) leads to, again and again, the nearest first."""
    found: dict[UUID, list[UUID]] = {}
    asked = {start: [start] for start in starts}
    for _ in range(MERGES_DEEP_MAX + 1):
        rows = await connection.fetch(step, list(asked)) if asked else []
        following: dict[UUID, list[UUID]] = {}
        for row in rows:
            for start in asked[row["place"]]:
                found.setdefault(start, []).append(row["next"])
                following.setdefault(row["next"], []).append(start)
        asked = following
    return found


async def records_below(connection: Connection, customer_ids: Collection[UUID]) -> dict[str, list[CustomerRecord]]:
    """The golden records of those that were merged into these customers, by these."""
    under = await merged_under(connection, customer_ids)
    records = await load_records(connection, [each for below in under.values() for each in below]) if under else {}
    return {str(root): [records[each] for each in below if each in records] for root, below in under.items()}


async def save_merges(connection: Connection, before: Mapping[str, Customer], after: Sequence[Customer]) -> None:
    """Store into whom customers are merged where that differs."""
    for customer in after:
        former = before.get(customer.customer_id)
        if former is None or former.merged_into == customer.merged_into:
            continue
        await connection.execute(
            "UPDATE customer SET merged_into = $2 WHERE customer_id = $1", customer.customer_id, customer.merged_into
        )
        await connection.execute(
            "UPDATE customer_merge SET split_at = $2 WHERE customer_id = $1 AND split_at IS NULL",
            customer.customer_id,
            customer.changed_at,
        )
        if customer.merged_into is not None:
            await connection.execute(
                "INSERT INTO customer_merge (customer_id, merged_into, merged_at) VALUES ($1, $2, $3)",
                customer.customer_id,
                customer.merged_into,
                customer.changed_at,
            )


async def merged_as_known(connection: Connection, customer_id: str, at: datetime, known_at: datetime) -> str | None:
    """Into whom a customer was merged at a moment, as far as it was known at another; None if into nobody."""
    found = await connection.fetchval(
        "SELECT merged_into FROM customer_merge, least($2::timestamptz, $3::timestamptz) AS told"
        " WHERE customer_id = $1 AND merged_at <= told AND (split_at IS NULL OR split_at > told)",
        UUID(customer_id),
        at,
        known_at,
    )
    return None if found is None else str(found)
