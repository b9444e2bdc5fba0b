"""Backorders in order of service, read by their index."""

from typing import Final

from services.atp.adapters.orders import BACKORDER_COLUMNS, backorder_of
from services.atp.adapters.positions import mark_of
from services.atp.application.orders import Backorder
from services.atp.application.ports import Mark
from services.atp.domain.model import PositionKey
from services.atp.domain.order_of_service import ServiceKey
from services.chassis.database import Connection

_MARKS: Final = """
SELECT item_id, location_id, marked_at, mark_cause, mark_after FROM position
WHERE item_id = $1 AND marked_at IS NOT NULL ORDER BY location_id
"""
_PLACE: Final = "(b.priority_rank, b.requested_day, b.ordered_at, b.source, b.order_id, b.line)"
_AFTER: Final = f"b.item_id = $1 AND {_PLACE} > ($2::int, $3::int, $4::text, $5::text, $6::text, $7::text)"
_NEXT: Final = f"""
SELECT {BACKORDER_COLUMNS} FROM backorder b WHERE {_AFTER}
ORDER BY b.item_id, b.priority_rank, b.requested_day, b.ordered_at, b.source, b.order_id, b.line LIMIT $8
"""  # noqa: S608 - made of constants
_WAITING_AFTER: Final = f"""
SELECT b.priority_rank, sum(b.quantity)::bigint FROM backorder b WHERE {_AFTER} GROUP BY b.priority_rank
"""  # noqa: S608 - made of constants
_MARKED_ITEMS: Final = """
SELECT item_id FROM position WHERE marked_at IS NOT NULL GROUP BY item_id ORDER BY min(marked_at), item_id LIMIT $1
"""
_MARKED: Final = "SELECT count(*) FROM position WHERE marked_at IS NOT NULL"
_FIRST: Final = ServiceKey(-1, -1, "", "", "", "")  # before all places


class BackorderStore:
    """The backorders as one transaction sees them; nothing is locked here."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def marks(self, item_id: str) -> dict[PositionKey, Mark]:
        """The item's positions with freed quantity."""
        found: dict[PositionKey, Mark] = {}
        for row in await self._connection.fetch(_MARKS, item_id):
            mark = mark_of(row)
            if mark is not None:
                found[PositionKey(row["item_id"], row["location_id"])] = mark
        return found

    async def next(self, item_id: str, after: ServiceKey | None, limit: int) -> list[Backorder]:
        """The next backorders of an item after a place in the order of service."""
        rows = await self._connection.fetch(_NEXT, item_id, *(after or _FIRST), limit)
        return [backorder_of(row) for row in rows]

    async def waiting_after(self, item_id: str, after: ServiceKey | None) -> dict[int, int]:
        """Quantity by priority rank of the item's backorders after a place in the order of service."""
        rows = await self._connection.fetch(_WAITING_AFTER, item_id, *(after or _FIRST))
        return {row[0]: row[1] for row in rows}


async def marked_items(connection: Connection, limit: int) -> list[str]:
    """Items with a marked position, the one marked first before others."""
    return [row[0] for row in await connection.fetch(_MARKED_ITEMS, limit)]


async def marked_positions(connection: Connection) -> int:
    """How many positions have freed quantity that is not offered to all backorders yet."""
    count: int = await connection.fetchval(_MARKED)
    return count
