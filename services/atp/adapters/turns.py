"""When something changes for those who wait by date alone: what is kept or limited of an item, and customers' tiers."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final

import asyncpg

from services.atp.adapters.due_rows import DueStore, key_text
from services.atp.adapters.waking import items_awaited, mark_items
from services.atp.application.ports import Due
from services.atp.application.turn_dates import ASSIGNMENT, EVERY_ITEM, ITEMS_AT_ONCE_MAX, TURN
from services.chassis.database import Connection

# The first moments of days are those of UTC, as in decisions.
_MOMENT: Final = "((DATE '0001-01-01' + (day - 1))::timestamp AT TIME ZONE 'UTC')"
# Of a protection: a period begins; it has lapsed, or is over; each day, where it is re-sized by what is expected.
_PROTECTIONS: Final = f"""
SELECT item_id, effective_from, effective_to, {_MOMENT} AS at
FROM (SELECT item_id, start_day, end_day, lapse_days, expected, effective_from, effective_to FROM protection
    WHERE item_id = ANY($1::text[])
    UNION ALL SELECT item_id, start_day, end_day, lapse_days, expected, effective_from, effective_to
    FROM protection_group WHERE item_id = ANY($1::text[])) AS p
CROSS JOIN LATERAL (VALUES (start_day), (end_day - lapse_days + 1), (end_day + 1),
    (CASE WHEN expected IS NOT NULL AND $3 BETWEEN start_day AND end_day THEN $3 + 1 END)) AS days (day)
"""  # noqa: S608 - made of constants
_QUOTAS: Final = f"""
SELECT coalesce(item_id, '{EVERY_ITEM}'), effective_from, effective_to, {_MOMENT}
FROM quota CROSS JOIN LATERAL (VALUES (start_day), (end_day + 1)) AS days (day)
"""  # noqa: S608 - made of constants
_HIERARCHIES: Final = f"""
SELECT item_id, effective_from, effective_to, {_MOMENT}
FROM hierarchy CROSS JOIN LATERAL (
    SELECT (period ->> 0)::int AS day FROM jsonb_array_elements(periods) AS period
    UNION ALL SELECT (period ->> 1)::int + 1 FROM jsonb_array_elements(periods) AS period
) AS days
"""  # noqa: S608 - made of constants
_ROUTING: Final = f"""
SELECT '{EVERY_ITEM}', effective_from, effective_to, effective_from FROM routing_document
"""  # noqa: S608 - made of constants
_NEXT: Final = f"""
SELECT asked.item_id, min(moment) AS at
FROM unnest($1::text[]) AS asked (item_id)
LEFT JOIN ({_PROTECTIONS} UNION ALL {_QUOTAS} UNION ALL {_HIERARCHIES} UNION ALL {_ROUTING}) AS dated
    ON dated.item_id = asked.item_id AND (dated.effective_to IS NULL OR dated.effective_to > $2)
LEFT JOIN LATERAL (VALUES (dated.at), (dated.effective_from), (dated.effective_to)) AS moments (moment)
    ON moments.moment > $2
GROUP BY asked.item_id
"""  # noqa: S608 - made of constants
_NEXT_OF_CUSTOMER: Final = """
SELECT s.customer_id, min(moment::timestamptz) AS at
FROM segment s, jsonb_array_elements(s.assignments) AS a,
    LATERAL (VALUES (a ->> 'effective_from'), (a ->> 'effective_to')) AS moments (moment)
WHERE s.customer_id = ANY($1::text[]) AND moment::timestamptz > $2 GROUP BY s.customer_id
"""
_AWAITED_AT: Final = """
SELECT p.item_id FROM position p WHERE p.location_id = $1 AND p.item_id > $2
    AND EXISTS (SELECT FROM backorder b WHERE b.item_id = p.item_id)
ORDER BY p.item_id LIMIT $3
"""
_LOCK: Final = "SELECT FROM due WHERE kind = $1 AND key = $2 FOR UPDATE"
_WAITING: Final = """
SELECT DISTINCT item_id FROM backorder WHERE item_id > $1 ORDER BY item_id LIMIT $2
"""


class TurnStore:
    """The dates as one transaction sees them."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def lock(self, kind: str, name: str) -> None:
        """Wait for whoever writes the due row of an item or customer, so that what follows sees what he wrote."""
        await self._connection.fetch(_LOCK, kind, key_text((name,)))

    async def next_of_items(self, item_ids: Sequence[str], at: datetime) -> dict[str, datetime | None]:
        """By item the next moment after a time at which what is kept or limited of it changes."""
        return await next_of_items(self._connection, item_ids, at)

    async def next_of_customers(self, customer_ids: Sequence[str], at: datetime) -> dict[str, datetime | None]:
        """By customer the next moment after a time at which its tier may change; None for one without."""
        rows = await self._connection.fetch(_NEXT_OF_CUSTOMER, list(customer_ids), at)
        return {**dict.fromkeys(customer_ids), **_by_name(rows)}

    async def waiting_items(self, after: str, limit: int) -> list[str]:
        """Items for which orders wait, in order of their ids."""
        return [row["item_id"] for row in await self._connection.fetch(_WAITING, after, limit)]

    async def items_awaited_at(self, location_id: str, after: str, limit: int) -> list[str]:
        """Items for which orders wait and that have a position at a location, in order of their ids."""
        return [row["item_id"] for row in await self._connection.fetch(_AWAITED_AT, location_id, after, limit)]

    async def items_awaited(self, customer_id: str) -> list[str]:
        """The items for which orders of a customer wait."""
        return await items_awaited(self._connection, [customer_id])


async def next_of_items(connection: Connection, item_ids: Sequence[str], at: datetime) -> dict[str, datetime | None]:
    """See `TurnStore`."""
    return _by_name(await connection.fetch(_NEXT, list(item_ids), at, at.toordinal()))


async def plan_items(connection: Connection, item_ids: Iterable[str], at: datetime) -> None:
    """Let items of which a document changed be looked at when their dates come."""
    found = await next_of_items(connection, sorted({*item_ids, EVERY_ITEM}), at)
    await DueStore(connection).store({Due(TURN, (item,)): moment for item, moment in found.items()})


async def mark_all_waiting(connection: Connection, now: datetime, cause: str) -> None:
    """Let all who wait be asked anew; locks the positions of the first items, the others follow as what is due.

    Nobody who comes meanwhile takes what they wait for at the first `ITEMS_AT_ONCE_MAX` items; at others he may, for
    the moment until they are marked too.
    """
    items = [row["item_id"] for row in await connection.fetch(_WAITING, "", ITEMS_AT_ONCE_MAX + 1)]
    await mark_items(connection, items[:ITEMS_AT_ONCE_MAX], now, cause)
    if len(items) > ITEMS_AT_ONCE_MAX:
        await DueStore(connection).store({Due(TURN, (EVERY_ITEM, items[ITEMS_AT_ONCE_MAX - 1])): now})


async def plan_customers(connection: Connection, customer_ids: Sequence[str], at: datetime) -> None:
    """Let customers of whom the registry told something be looked at when an assignment begins or ends."""
    rows = await connection.fetch(_NEXT_OF_CUSTOMER, list(customer_ids), at)
    await DueStore(connection).store({Due(ASSIGNMENT, (row["customer_id"],)): row["at"] for row in rows})


def _by_name(rows: Sequence[asyncpg.Record]) -> dict[str, datetime | None]:
    return {row[0]: row["at"] for row in rows}
