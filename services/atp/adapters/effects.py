"""What was applied, counted from the ledger: for whoever sent events and wants to know that each took effect once."""

from dataclasses import dataclass
from typing import Final

from services.chassis.database import Connection, Database

_MOVEMENTS: Final = """
SELECT count(*) AS rows, count(DISTINCT (item_id, location_id, source, reference)) AS names FROM movement
WHERE kind NOT IN ('snapshot', 'correction')
"""
_SNAPSHOTS: Final = """
SELECT count(DISTINCT (item_id, location_id, source, reference)) FROM movement WHERE kind = 'snapshot'
"""
_DELIVERIES: Final = """
SELECT count(*) AS rows, count(DISTINCT (order_source, order_id, source, reference)) AS names FROM fulfilment
WHERE kind = 'delivered'
"""
_RETURNS: Final = """
SELECT count(*) AS rows, count(DISTINCT (order_source, order_id, source, reference)) AS names FROM fulfilment
WHERE kind = 'returned' AND outcome = 'applied'
"""
_RECEIPTS: Final = "SELECT count(*) FROM scheduled_receipt WHERE version > 0"
_ORDERS: Final = "SELECT count(*) FROM order_identity WHERE state = 'answered'"
_PROMISES: Final = "SELECT promise_id FROM promise"
_ON_HAND: Final = "SELECT item_id, location_id, on_hand FROM position"


@dataclass(frozen=True, slots=True)
class Effects:
    """Things that took effect; `repeated` counts effects beyond the first of one name, and is 0."""

    orders: int
    movements: int
    snapshots: int
    receipts: int
    deliveries: int
    returns: int
    repeated: int
    promise_ids: frozenset[str]
    on_hand: dict[tuple[str, str], int]


async def count_effects(database: Database) -> Effects:
    """Count everything, on one consistent picture."""

    async def work(connection: Connection) -> Effects:
        moved, moves = await connection.fetchrow(_MOVEMENTS) or (0, 0)
        delivered, deliveries = await connection.fetchrow(_DELIVERIES) or (0, 0)
        returned, returns = await connection.fetchrow(_RETURNS) or (0, 0)
        orders = await connection.fetchval(_ORDERS)
        promises = [row["promise_id"] for row in await connection.fetch(_PROMISES)]
        return Effects(
            orders=orders,
            movements=moves,
            snapshots=await connection.fetchval(_SNAPSHOTS),
            receipts=await connection.fetchval(_RECEIPTS),
            deliveries=deliveries,
            returns=returns,
            repeated=moved - moves + delivered - deliveries + returned - returns + abs(len(promises) - orders),
            promise_ids=frozenset(map(str, promises)),
            on_hand={(row["item_id"], row["location_id"]): row["on_hand"] for row in await connection.fetch(_ON_HAND)},
        )

    return await database.read(work)
