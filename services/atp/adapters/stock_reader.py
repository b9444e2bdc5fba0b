"""Stock of an item by location, with everything that its sources said is to come or to go."""

from datetime import date
from typing import Any, Final

import asyncpg

from services.chassis.business_time import business_now
from services.chassis.database import Connection, Database

_POSITIONS: Final = """
SELECT location_id, on_hand, buffer, receipt_days, receipt_assumed FROM position WHERE item_id = $1 ORDER BY location_id
"""
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
_PAST_DUE_DAYS: Final = "SELECT past_due_supply_days FROM item WHERE item_id = $1"


class PostgresStockReader:
    """`StockReader` on PostgreSQL, on one consistent picture."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def stock(self, item_id: str) -> list[dict[str, Any]]:
        """See the port."""

        async def work(connection: Connection) -> list[dict[str, Any]]:
            today = (await business_now(connection)).date().toordinal()
            window = await connection.fetchval(_PAST_DUE_DAYS, item_id)
            found = {row["location_id"]: _position(row) for row in await connection.fetch(_POSITIONS, item_id)}
            for row in await connection.fetch(_STATUSES, item_id):
                found[row["location_id"]]["statuses"][row["status"]] = row["quantity"]
            for row in await connection.fetch(_RECEIPTS, item_id):
                found[row["location_id"]]["receipts"].append(_receipt(row, today, window or 0))
            for row in await connection.fetch(_TRANSFERS, item_id):
                document = _transfer(row)
                for location in (row["from_location"], row["to_location"]):
                    found[location]["transfers"].append(document)
            return list(found.values())

        return await self._database.read(work, label="stock")


def _position(row: asyncpg.Record) -> dict[str, Any]:
    assumed = zip(row["receipt_days"], row["receipt_assumed"], strict=True)
    return {
        "location": row["location_id"],
        "statuses": {"available": row["on_hand"], "quality": 0, "blocked": 0, "damaged": 0},
        "buffer": row["buffer"],
        "receipts": [],
        "assumed_receipts": [{"due": _day(day), "quantity": quantity} for day, quantity in assumed if quantity],
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
