"""Stock of an item by location, with everything that its sources said is to come or to go."""

from datetime import date
from typing import Any, Final

import asyncpg

from services.atp.adapters.items import items
from services.atp.adapters.positions import PositionStore
from services.atp.domain.model import Item, Position, PositionKey
from services.atp.domain.supply_picture import still_assumed
from services.chassis.business_time import business_now
from services.chassis.database import Connection, Database
from services.chassis.writes import Writes

_LOCATIONS: Final = "SELECT location_id FROM position WHERE item_id = $1 ORDER BY location_id"
_STATUSES: Final = "SELECT location_id, status, quantity FROM stock_status WHERE item_id = $1 ORDER BY status"
_RECEIPTS: Final = """
SELECT location_id, source, reference, due_day, quantity, received, certainty FROM scheduled_receipt
WHERE item_id = $1 AND quantity > received ORDER BY due_day, source, reference
"""
_TRANSFERS: Final = """
SELECT source, reference, from_location, to_location, quantity, shipped, received, ship_day, due_day, state
FROM transfer
WHERE item_id = $1 AND version > 0 AND ((state = 'open' AND quantity > least(shipped, received))
    OR (state = 'cancelled' AND shipped > received))
ORDER BY ship_day, source, reference
"""


class PostgresStockReader:
    """`StockReader` on PostgreSQL, on one consistent picture."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def stock(self, item_id: str) -> list[dict[str, Any]]:
        """See the port."""

        async def work(connection: Connection) -> list[dict[str, Any]]:
            today = (await business_now(connection)).date().toordinal()
            item = (await items(connection, [item_id])).get(item_id) or Item(item_id, past_due_supply_days=0)
            keys = [PositionKey(item_id, row["location_id"]) for row in await connection.fetch(_LOCATIONS, item_id)]
            stored = await PositionStore(connection, Writes(connection), locking=False).load(keys)
            found = {key.location_id: _position(stored[key].position, item, today) for key in keys}
            for row in await connection.fetch(_STATUSES, item_id):
                found[row["location_id"]]["statuses"][row["status"]] = row["quantity"]
            for row in await connection.fetch(_RECEIPTS, item_id):
                found[row["location_id"]]["receipts"].append(_receipt(row, today, item.past_due_supply_days))
            for row in await connection.fetch(_TRANSFERS, item_id):
                document = _transfer(row)
                for location in (row["from_location"], row["to_location"]):
                    found[location]["transfers"].append(document)
            return list(found.values())

        return await self._database.read(work, label="stock")


def _position(position: Position, item: Item, today: int) -> dict[str, Any]:
    return {
        "location": position.key.location_id,
        "statuses": {"available": position.on_hand, "quality": 0, "blocked": 0, "damaged": 0},
        "buffer": position.buffer,
        "channel_buffers": [{"channel": name, "buffer": kept} for name, kept in position.channel_buffers],
        "receipts": [],
        "assumed_receipts": [
            {"due": _day(each.day), "quantity": each.quantity, "replaced": each.replaced}
            for each in still_assumed(position, item, today)
        ],
        "transfers": [],
    }


def _receipt(row: asyncpg.Record, today: int, window: int) -> dict[str, Any]:
    return {
        "source": row["source"],
        "reference": row["reference"],
        "due": _day(row["due_day"]),
        "open": row["quantity"] - row["received"],
        "received": row["received"],
        "certainty": row["certainty"],
        "past_due": row["due_day"] < today,
        "too_late_to_count": today - row["due_day"] > window,
    }


def _transfer(row: asyncpg.Record) -> dict[str, Any]:
    said = {name: row[name] for name in ("source", "reference", "from_location", "to_location", "state")}
    moved = {name: row[name] for name in ("quantity", "shipped", "received")}
    return {**said, **moved, "ship_date": _day(row["ship_day"]), "due": _day(row["due_day"])}


def _day(day: int) -> str:
    return date.fromordinal(day).isoformat()
