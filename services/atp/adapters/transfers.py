"""Transfers between locations, as rows."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from services.atp.application.supply_entries import TransferKey
from services.atp.domain.model import PositionKey
from services.atp.domain.transfers import Transfer
from services.chassis.database import Connection

_MAKE: Final = """
INSERT INTO transfer (item_id, source, reference)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[]) ORDER BY 1, 2, 3 ON CONFLICT DO NOTHING
"""
_LOAD: Final = """
SELECT t.item_id, t.source, t.reference, t.version, t.from_location, t.to_location, t.quantity, t.ship_day, t.due_day,
    t.state, t.shipped, t.received
FROM unnest($1::text[], $2::text[], $3::text[]) AS k (item_id, source, reference)
JOIN transfer t USING (item_id, source, reference) ORDER BY t.item_id, t.source, t.reference
"""
_STORE: Final = """
UPDATE transfer t SET version = k.version, from_location = k.from_location, to_location = k.to_location,
    quantity = k.quantity, ship_day = k.ship_day, due_day = k.due_day, state = k.state, shipped = k.shipped,
    received = k.received
FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::text[], $6::text[], $7::bigint[], $8::int[],
    $9::int[], $10::text[], $11::bigint[], $12::bigint[])
    AS k (item_id, source, reference, version, from_location, to_location, quantity, ship_day, due_day, state, shipped,
        received)
WHERE t.item_id = k.item_id AND t.source = k.source AND t.reference = k.reference
"""
_LEAVING: Final = """
SELECT t.item_id, t.from_location, t.source, t.reference, t.ship_day, t.quantity - t.shipped AS to_ship
FROM unnest($1::text[], $2::text[]) AS k (item_id, location_id)
JOIN transfer t ON t.item_id = k.item_id AND t.from_location = k.location_id
WHERE t.state = 'open' AND t.quantity > t.shipped
"""


async def load(connection: Connection, keys: Sequence[TransferKey], *, lock: bool) -> dict[TransferKey, Transfer]:
    """The transfers that are known; `lock`: made where they are not, and locked in key order."""
    columns = [list(column) for column in zip(*keys, strict=True)]
    if lock:
        await connection.execute(_MAKE, *columns)
    rows = await connection.fetch(_LOAD + (" FOR UPDATE OF t" if lock else ""), *columns)
    return {TransferKey(*row[:3]): Transfer(*row[3:]) for row in map(tuple, rows)}


async def store(connection: Connection, changed: Mapping[TransferKey, Transfer]) -> None:
    """Write transfers, which are locked."""
    rows: list[tuple[Any, ...]] = [
        (
            *key,
            each.version,
            each.from_location,
            each.to_location,
            each.quantity,
            each.ship_day,
            each.due_day,
            each.state,
            each.shipped,
            each.received,
        )
        for key, each in changed.items()
    ]
    await connection.execute(_STORE, *(list(column) for column in zip(*rows, strict=True)))


async def leaving(connection: Connection, keys: Sequence[PositionKey]) -> dict[PositionKey, list[tuple[str, int, int]]]:
    """What transfers have still to take from positions: (name, ship day, quantity)."""
    items, locations = zip(*keys, strict=True)
    found: dict[PositionKey, list[tuple[str, int, int]]] = {}
    for row in await connection.fetch(_LEAVING, items, locations):
        entry = (f"{row['source']}/{row['reference']}", row["ship_day"], row["to_ship"])
        found.setdefault(PositionKey(row["item_id"], row["from_location"]), []).append(entry)
    return found
