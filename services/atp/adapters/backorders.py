"""Backorders in order of service, read by their index."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from services.atp.adapters.orders import BACKORDER_COLUMNS, backorder_of
from services.atp.adapters.positions import mark_of
from services.atp.application.orders import Backorder
from services.atp.application.ports import Mark, MarkedItem, Place
from services.atp.domain.model import PositionKey
from services.atp.domain.order_of_service import ServiceKey
from services.chassis.database import Connection

_MARKS: Final = """
SELECT p.item_id, p.location_id, p.marked_at, p.mark_cause, p.mark_after
FROM unnest($1::text[]) AS k (item_id) JOIN position p ON p.item_id = k.item_id
WHERE p.marked_at IS NOT NULL ORDER BY p.item_id, p.location_id
"""
_ASKED: Final = """
unnest($1::text[], $2::int[], $3::int[], $4::text[], $5::text[], $6::text[], $7::text[], $8::int[])
    AS k (item_id, priority_rank, requested_day, ordered_at, source, order_id, line, rows)
"""
_AFTER: Final = """
b.item_id = k.item_id AND (b.priority_rank, b.requested_day, b.ordered_at, b.source, b.order_id, b.line)
    > (k.priority_rank, k.requested_day, k.ordered_at, k.source, k.order_id, k.line)
"""
_IN_ORDER: Final = "b.item_id, b.priority_rank, b.requested_day, b.ordered_at, b.source, b.order_id, b.line"
_NEXT: Final = f"""
SELECT {BACKORDER_COLUMNS} FROM {_ASKED}
CROSS JOIN LATERAL (SELECT * FROM backorder b WHERE {_AFTER} ORDER BY {_IN_ORDER} LIMIT k.rows) b
ORDER BY {_IN_ORDER}
"""  # noqa: S608 - made of constants
_WAITING_AFTER: Final = f"""
SELECT b.item_id, b.priority_rank, sum(b.quantity)::bigint
FROM {_ASKED} JOIN backorder b ON {_AFTER} GROUP BY b.item_id, b.priority_rank
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
_FIRST: Final = ServiceKey(-1, -1, "", "", "", "")  # before all places


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

    async def waiting_after(self, places: Mapping[str, Place]) -> dict[str, dict[int, int]]:
        """By item, the quantity by priority rank of the backorders after a place in the order of service."""
        found: dict[str, dict[int, int]] = {item: {} for item in places}
        for item_id, rank, quantity in await self._connection.fetch(_WAITING_AFTER, *_columns(places)):
            found[item_id][rank] = quantity
        return found


def _columns(places: Mapping[str, Place]) -> list[list[Any]]:
    keys = [place.after or _FIRST for place in places.values()]
    after = [[key[index] for key in keys] for index in range(len(_FIRST))]
    return [list(places), *after, [place.lines for place in places.values()]]


async def marked_items(connection: Connection, limit: int, lines: int) -> list[MarkedItem]:
    """Items with a marked position, the one marked first before others; their backorders counted up to `lines`."""
    return [MarkedItem(*row) for row in await connection.fetch(_MARKED_ITEMS, limit, lines)]
