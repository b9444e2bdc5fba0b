"""Backorders in order of service, read by their index."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from services.atp.adapters.orders import BACKORDER_COLUMNS, backorder_of
from services.atp.adapters.positions import mark_of
from services.atp.adapters.waiting_totals import totals
from services.atp.adapters.waking import outdate_customers
from services.atp.application.content import OrderKey
from services.atp.application.orders import Backorder
from services.atp.application.waiting_lines import Mark, MarkedItem, Place
from services.atp.domain.leads import EXPEDITED, add_waiting
from services.atp.domain.model import Day, PositionKey
from services.atp.domain.order_of_service import ServiceKey
from services.chassis.database import Connection

_MARKS: Final = """
SELECT p.item_id, p.location_id, p.marked_at, p.mark_cause, p.mark_after
FROM unnest($1::text[]) AS k (item_id) JOIN position p ON p.item_id = k.item_id
WHERE p.marked_at IS NOT NULL ORDER BY p.item_id, p.location_id
"""
_ASKED: Final = """
unnest($1::text[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::int[])
    AS k (item_id, lead, further, source, order_id, line, rows)
"""
_AFTER: Final = """
b.item_id = k.item_id AND (b.lead, b.further, b.source, b.order_id, b.line)
    > (k.lead, k.further, k.source, k.order_id, k.line)
"""
_IN_ORDER: Final = "b.lead, b.further, b.source, b.order_id, b.line"
_NEXT: Final = f"""
SELECT {BACKORDER_COLUMNS} FROM {_ASKED}
CROSS JOIN LATERAL (SELECT * FROM backorder b WHERE {_AFTER} ORDER BY b.item_id, {_IN_ORDER} LIMIT k.rows) b
ORDER BY {_IN_ORDER}
"""  # noqa: S608 - made of constants
_WAITING_AFTER: Final = totals(f"{_ASKED} JOIN backorder b ON {_AFTER}", "$8::bigint")
_OUTDATED: Final = f"""
SELECT {BACKORDER_COLUMNS} FROM unnest($1::text[]) AS k (item_id)
CROSS JOIN LATERAL (
    SELECT * FROM backorder b WHERE b.item_id = k.item_id AND b.basis < $2 ORDER BY b.basis LIMIT $3
) b LIMIT $3
"""  # noqa: S608 - made of constants
_MARKED_ITEMS: Final = """
SELECT m.item_id, waiting.lines
FROM (
    SELECT item_id FROM position WHERE marked_at IS NOT NULL GROUP BY item_id ORDER BY min(marked_at), item_id LIMIT $1
) m
CROSS JOIN LATERAL (
    SELECT count(*) AS lines FROM (SELECT FROM backorder b WHERE b.item_id = m.item_id LIMIT $2) first_lines
) waiting
"""
_FIRST: Final = ServiceKey(EXPEDITED - 1, "", "", "", "")  # before all places


_FALLING: Final = """
SELECT p.source, p.order_id FROM (
    SELECT c.promise_id, min(array_position($2::text[], c.tier)) AS tier_place, max(c.arrival_day) AS arrival_day
    FROM commitment c
    WHERE c.item_id = ANY($1::text[]) AND c.open > 0 AND c.tier = ANY($2::text[]) AND c.ship_day > $3
    GROUP BY c.promise_id ORDER BY 2, 3 DESC, 1 DESC LIMIT $4
) last JOIN promise p ON p.promise_id = last.promise_id
ORDER BY last.tier_place, last.arrival_day DESC, last.promise_id DESC
"""
_LATE: Final = "SELECT DISTINCT item_id FROM backorder WHERE late AND item_id = ANY($1::text[]) ORDER BY 1"


class BackorderStore:
    """The backorders as one transaction sees them; nothing is locked here."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def marks(self, items: Sequence[str]) -> dict[PositionKey, Mark]:
        """The items' positions with freed quantity."""
        found: dict[PositionKey, Mark] = {}
        for row in await self._connection.fetch(_MARKS, list(items)):
            mark = mark_of(row)
            if mark is not None:
                found[PositionKey(row["item_id"], row["location_id"])] = mark
        return found

    async def next(self, places: Mapping[str, Place]) -> dict[str, list[Backorder]]:
        """By item, the next backorders after a place in the order of service."""
        found: dict[str, list[Backorder]] = {item: [] for item in places}
        for row in await self._connection.fetch(_NEXT, *_columns(places)):
            found[row["item_id"]].append(backorder_of(row))
        return found

    async def waiting_after(self, places: Mapping[str, Place], basis: int) -> dict[str, dict[int, int]]:
        """By item, the quantity by lead of the backorders after a place in the order of service."""
        found: dict[str, dict[int, int]] = {item: {} for item in places}
        for item_id, lead, quantity in await self._connection.fetch(_WAITING_AFTER, *_columns(places), basis):
            add_waiting(found[item_id], lead, quantity)
        return found

    async def outdated(self, items: Sequence[str], basis: int, limit: int) -> list[Backorder]:
        """Backorders of items whose keys are of a former basis."""
        return [backorder_of(row) for row in await self._connection.fetch(_OUTDATED, list(items), basis, limit)]

    async def falling(self, items: Sequence[str], tiers: Sequence[str], today: Day, limit: int) -> list[OrderKey]:
        """Orders with open parts of items that were decided by tiers and ship after today."""
        rows = await self._connection.fetch(_FALLING, list(items), list(tiers), today, limit)
        return [OrderKey(*row) for row in rows]

    async def late(self, items: Sequence[str]) -> list[str]:
        """The items of which something is promised late."""
        return [row["item_id"] for row in await self._connection.fetch(_LATE, list(items))]

    async def outdate(self, customer_ids: Sequence[str]) -> None:
        """Let the keys of customers' backorders be set anew; the positions of what they wait for are locked."""
        await outdate_customers(self._connection, customer_ids)


def _columns(places: Mapping[str, Place]) -> list[list[Any]]:
    keys = [place.after or _FIRST for place in places.values()]
    after = [[key[index] for key in keys] for index in range(len(_FIRST))]
    return [list(places), *after, [place.lines for place in places.values()]]


async def marked_items(connection: Connection, limit: int, lines: int) -> list[MarkedItem]:
    """Items with a marked position, the one marked first before others; their backorders counted up to `lines`."""
    return [MarkedItem(*row) for row in await connection.fetch(_MARKED_ITEMS, limit, lines)]
