"""Boundaries of tier histories that are still to be told, in PostgreSQL.

A boundary is written with the assignment that it belongs to, and leaves when it was told. It stays when the assignment
is altered: a boundary that is none any more changes nothing.
"""

from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

from services.chassis.database import Connection
from services.segment_registry.domain.customers import Customer
from services.segment_registry.domain.timeline import Assignment, boundaries


async def plan_effects(connection: Connection, opened: Sequence[tuple[Customer, Assignment]]) -> None:
    """Remember the boundaries of new assignments that lie after the change that made them."""
    ahead = [
        (customer.customer_id, moment)
        for customer, assignment in opened
        for moment in boundaries([assignment])
        if moment > customer.changed_at
    ]
    if ahead:
        await connection.execute(
            "INSERT INTO assignment_due (customer_id, at) SELECT * FROM unnest($1::uuid[], $2::timestamptz[])"
            " ON CONFLICT DO NOTHING",
            [customer_id for customer_id, _ in ahead],
            [moment for _, moment in ahead],
        )


async def due_customers(connection: Connection, now: datetime, limit: int) -> list[str]:
    """Who has boundaries behind it, the longest waiting first."""
    rows = await connection.fetch(
        "SELECT customer_id, min(at) AS since FROM"
        " (SELECT customer_id, at FROM assignment_due WHERE at <= $1 ORDER BY at, customer_id LIMIT $2) AS passed"
        " GROUP BY customer_id ORDER BY since, customer_id",
        now,
        limit,
    )
    return [str(row["customer_id"]) for row in rows]


async def due_effects(
    connection: Connection, customer_ids: Collection[str], now: datetime
) -> dict[str, list[datetime]]:
    """The boundaries of these customers up to now, ascending."""
    rows = await connection.fetch(
        "SELECT customer_id, at FROM assignment_due WHERE customer_id = ANY($1) AND at <= $2 ORDER BY customer_id, at",
        [UUID(customer_id) for customer_id in customer_ids],
        now,
    )
    found: dict[str, list[datetime]] = defaultdict(list)
    for row in rows:
        found[str(row["customer_id"])].append(row["at"])
    return dict(found)


async def forget_effects(connection: Connection, customer_ids: Collection[str], now: datetime) -> None:
    """They were told."""
    await connection.execute(
        "DELETE FROM assignment_due WHERE customer_id = ANY($1) AND at <= $2",
        [UUID(customer_id) for customer_id in customer_ids],
        now,
    )


async def effects_waiting(connection: Connection, now: datetime) -> int:
    """How many customers have a boundary behind them that was not told."""
    waiting: int = await connection.fetchval(
        "SELECT count(DISTINCT customer_id) FROM assignment_due WHERE at <= $1", now
    )
    return waiting
