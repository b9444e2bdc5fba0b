"""Waking the re-decision, in whichever process it runs, for those who wait for items and may be served anew."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from services.atp.adapters.customers import REGISTRY_SYSTEM
from services.atp.adapters.waiting_totals import BASIS_AT, totals
from services.chassis.database import Connection, announce

DUE: Final = "due_at_once"  # the subject of the NOTIFY that wakes the work of what is due
MARKED: Final = "position_marked"  # the subject of the NOTIFY that wakes the re-decision
_MARK: Final = f"""
WITH now AS (SELECT {BASIS_AT.format(moment="$2::timestamptz")} AS basis), waiting AS (
    SELECT item_id, array_agg(lead ORDER BY lead) AS leads, array_agg(quantity ORDER BY lead) AS quantities
    FROM ({totals("backorder b WHERE b.item_id = ANY($1::text[])", "(SELECT basis FROM now)")}) AS totals
    GROUP BY item_id
)
UPDATE position p SET version = p.version + 1, marked_at = $2, mark_cause = $3, mark_after = NULL,
    waiting_leads = w.leads, waiting_quantities = w.quantities, waiting_basis = now.basis
FROM waiting w, now WHERE p.item_id = w.item_id
RETURNING p.item_id
"""  # noqa: S608 - made of constants
_OUTDATE: Final = """
UPDATE backorder b SET basis = 0 WHERE (b.promise_id, b.line) IN (
    SELECT o.promise_id, o.line FROM backorder o WHERE o.customer_id = ANY($1::text[])
    UNION SELECT o.promise_id, o.line FROM segment_identifier i
        JOIN backorder o ON o.customer_system = i.system AND o.customer_ref = i.external_id
        WHERE i.customer_id = ANY($1::text[])
    UNION SELECT o.promise_id, o.line FROM backorder o WHERE o.customer_system = $2 AND o.customer_ref = ANY($1::text[])
)
"""
_AWAITED: Final = """
SELECT item_id FROM backorder WHERE customer_id = ANY($1::text[])
UNION SELECT b.item_id FROM segment_identifier i
    JOIN backorder b ON b.customer_system = i.system AND b.customer_ref = i.external_id
    WHERE i.customer_id = ANY($1::text[])
UNION SELECT item_id FROM backorder WHERE customer_system = $2 AND customer_ref = ANY($1::text[])
ORDER BY 1
"""
LOCK_POSITIONS: Final = """
SELECT FROM position WHERE item_id = ANY($1::text[]) ORDER BY item_id, location_id FOR UPDATE
"""
_WAITED_FOR: Final = "SELECT DISTINCT item_id FROM backorder WHERE item_id = ANY($1::text[]) ORDER BY item_id"
TIER_CHANGED: Final = "tier_changed"


async def wake_due(connection: Connection) -> None:
    """Have what is due looked at once this transaction has committed."""
    await announce(connection, DUE)


async def wake_redecision(connection: Connection) -> None:
    """Wake the re-decision once this transaction has committed: it marked positions."""
    await announce(connection, MARKED)


async def mark_waiting(connection: Connection, items: Sequence[str], now: datetime, cause: str) -> None:
    """Let those who wait for items be asked anew, as after freed quantity; their positions are locked."""
    if items and await connection.fetch(_MARK, list(items), now, cause):
        await wake_redecision(connection)


async def mark_items(connection: Connection, item_ids: Sequence[str], now: datetime, cause: str) -> None:
    """Let those who wait for any of these items be asked anew; locks the positions of what is waited for."""
    items = [row["item_id"] for row in await connection.fetch(_WAITED_FOR, list(item_ids))]
    if items:
        await connection.fetch(LOCK_POSITIONS, items)
        await mark_waiting(connection, items, now, cause)


async def items_awaited(connection: Connection, customer_ids: Sequence[str]) -> list[str]:
    """The items for which orders of customers wait."""
    rows = await connection.fetch(_AWAITED, list(customer_ids), REGISTRY_SYSTEM)
    return [row["item_id"] for row in rows]


async def outdate_customers(connection: Connection, customer_ids: Sequence[str]) -> None:
    """Let the places of customers' backorders be set anew, before anybody is served who waits for the same.

    Until then they count ahead of everybody. The positions of what they wait for are locked.
    """
    await connection.execute(_OUTDATE, list(customer_ids), REGISTRY_SYSTEM)


async def mark_customers(connection: Connection, customer_ids: Sequence[str], now: datetime) -> None:
    """Let customers whose tier changed be asked anew, and those who wait for the same; locks the positions."""
    items = await items_awaited(connection, customer_ids)
    if items:
        await connection.fetch(LOCK_POSITIONS, items)
        await outdate_customers(connection, customer_ids)
        await mark_waiting(connection, items, now, TIER_CHANGED)
