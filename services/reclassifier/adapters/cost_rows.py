"""What orders cost and what customers cost by day, in PostgreSQL. One transaction at a time."""

from collections.abc import Collection, Mapping, Sequence
from decimal import Decimal
from typing import Final

import asyncpg
import orjson

from services.chassis.database import Connection
from services.reclassifier.adapters.ownership_rows import rows_of_owner
from services.reclassifier.application.ports import OwnersMonth
from services.reclassifier.domain.costs import Costs, OrderCost, OwnedCost
from services.reclassifier.domain.orders import Day, OrderKey, OwnedDay, Reference

_LOCK: Final = 4_217_305  # any number that no other advisory lock here uses
_SAVE: Final = """
INSERT INTO order_cost (source, order_id, sequence, customer_id, reference_system, reference_id, owner, days)
SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::text[], $8::jsonb[])
ON CONFLICT (source, order_id) DO UPDATE SET sequence = excluded.sequence, customer_id = excluded.customer_id,
    reference_system = excluded.reference_system, reference_id = excluded.reference_id, owner = excluded.owner,
    days = excluded.days
"""
_SUMS: Final = (
    "to_serve_nanos = stored.to_serve_nanos + excluded.to_serve_nanos,"
    " goods_nanos = stored.goods_nanos + excluded.goods_nanos, missing = stored.missing + excluded.missing,"
    " told = stored.told + excluded.told"
)
_ADD: Final = f"""
INSERT INTO cost_day AS stored (owner, day, to_serve_nanos, goods_nanos, missing, told)
SELECT * FROM unnest($1::text[], $2::int[], $3::numeric[], $4::numeric[], $5::bigint[], $6::bigint[])
    AS added (owner, day)
ORDER BY owner COLLATE "C", day
ON CONFLICT (owner, day) DO UPDATE SET {_SUMS}
"""  # noqa: S608 - constants
_MOVE: Final = f"""
WITH moved AS (
    DELETE FROM cost_day d USING unnest($1::text[], $2::text[]) AS move (old_owner, new_owner)
    WHERE d.owner = move.old_owner RETURNING move.new_owner, d.*
)
INSERT INTO cost_day AS stored (owner, day, to_serve_nanos, goods_nanos, missing, told)
SELECT new_owner, day, sum(to_serve_nanos), sum(goods_nanos), sum(missing), sum(told)
FROM moved GROUP BY new_owner, day ORDER BY new_owner COLLATE "C", day
ON CONFLICT (owner, day) DO UPDATE SET {_SUMS}
"""  # noqa: S608 - constants
_WINDOWS: Final = """
SELECT owner, length, sum(to_serve_nanos), sum(goods_nanos), sum(missing)::bigint, sum(told)::bigint, min(day)
FROM cost_day JOIN unnest($3::int[]) length ON day > $2 - length AND day <= $2
WHERE owner = ANY($1) AND told > 0 GROUP BY owner, length
"""
_NUMBERS: Final = (
    "sum(value), sum(returned), sum(to_serve), sum(goods), sum(missing)::bigint FROM ("
    " SELECT owner, value_micros AS value, 0 AS returned, 0 AS to_serve, 0 AS goods, 0 AS missing FROM activity_day"
    " WHERE day BETWEEN $1 AND $2"
    " UNION ALL SELECT owner, 0, returned_value_micros, 0, 0, 0 FROM outcome_day WHERE day BETWEEN $1 AND $2"
    " UNION ALL SELECT owner, 0, 0, to_serve_nanos, goods_nanos, missing FROM cost_day WHERE day BETWEEN $1 AND $2"
    ") told"
)
_BY_OWNER: Final = f"SELECT owner, {_NUMBERS} WHERE owner > $3 GROUP BY owner ORDER BY owner LIMIT $4"
_TOTALS: Final = f"SELECT starts_with(owner, 'c:') AS known, {_NUMBERS} GROUP BY known"


async def lock_costs(connection: Connection, keys: Collection[OrderKey]) -> dict[OrderKey, OwnedCost]:
    """Those of these orders whose cost is stored; until the commit nobody else stores any."""
    await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
    rows = await connection.fetch(
        "SELECT c.* FROM order_cost c JOIN unnest($1::text[], $2::text[]) AS wanted (source, order_id)"
        " USING (source, order_id)",
        [key.source for key in keys],
        [key.order_id for key in keys],
    )
    return {one.cost.key: one for one in map(_owned, rows)}


async def load_costs_of(connection: Connection, owner: str, after: OrderKey | None, limit: int) -> list[OwnedCost]:
    """Costs of an owner's orders, of others than itself by what they say, in the order of their keys, after one."""
    rows = await rows_of_owner(connection, "order_cost", owner, after, limit)
    return [_owned(row) for row in rows]


async def save_costs(connection: Connection, costs: Sequence[OwnedCost]) -> None:
    """Store what orders cost now."""
    rows = [
        (
            *one.cost.key,
            one.cost.sequence,
            one.cost.customer_id,
            *one.cost.reference,
            one.owner,
            orjson.dumps([[day, *(str(part) for part in parts)] for day, parts in one.cost.days]).decode(),
        )
        for one in costs
    ]
    await connection.execute(_SAVE, *(list(column) for column in zip(*rows, strict=True)))


async def add_costs(connection: Connection, changes: Mapping[OwnedDay, Costs]) -> None:
    """Add to days, ascending by owner and day."""
    if not changes:
        return
    rows = [
        (*key, Decimal(one.to_serve_nanos), Decimal(one.goods_nanos), one.missing, one.days)
        for key, one in changes.items()
    ]
    await connection.execute(_ADD, *(list(column) for column in zip(*rows, strict=True)))


async def move_costs(connection: Connection, moves: Mapping[str, str]) -> None:
    """Let costs count under another owner."""
    await connection.execute(
        "UPDATE order_cost SET owner = move.new_owner"
        " FROM unnest($1::text[], $2::text[]) AS move (old_owner, new_owner) WHERE order_cost.owner = move.old_owner",
        list(moves),
        list(moves.values()),
    )
    await connection.execute(_MOVE, list(moves), list(moves.values()))


async def load_costs(
    connection: Connection, owners: Sequence[str], today: Day, lengths: Sequence[int]
) -> dict[tuple[str, int], tuple[Costs, Day]]:
    """The sums by owner and window with their first day; what has none is left out."""
    rows = await connection.fetch(_WINDOWS, list(owners), today, list(lengths))
    return {
        (owner, length): (Costs(int(to_serve), int(goods), missing, told), first)
        for owner, length, to_serve, goods, missing, told, first in rows
    }


async def load_next_days(connection: Connection, owners: Sequence[str], today: Day) -> dict[str, Day]:
    """The earliest day to come with a cost of each of these owners that has one."""
    rows = await connection.fetch(
        "SELECT owner, min(day) FROM cost_day WHERE owner = ANY($1) AND day > $2 AND told > 0 GROUP BY owner",
        list(owners),
        today,
    )
    return {row[0]: row[1] for row in rows}


async def load_month(connection: Connection, first: Day, last: Day, after: str, limit: int) -> list[OwnersMonth]:
    """What each owner brought and cost from one day to another, by owner after the one given."""
    rows = await connection.fetch(_BY_OWNER, first, last, after, limit)
    return [OwnersMonth(row[0], *(int(part) for part in tuple(row)[1:])) for row in rows]


async def load_month_totals(connection: Connection, first: Day, last: Day) -> dict[bool, OwnersMonth]:
    """The same in sum: True for customers of the registry, False for whom nobody has resolved yet."""
    rows = await connection.fetch(_TOTALS, first, last)
    return {row[0]: OwnersMonth("", *(int(part) for part in tuple(row)[1:])) for row in rows}


async def forget_costs(connection: Connection, before: Day, limit: int) -> int:
    """Delete days before one; how many (at most `limit`)."""
    status: str = await connection.execute(
        "DELETE FROM cost_day WHERE ctid IN (SELECT ctid FROM cost_day WHERE day < $1 LIMIT $2)", before, limit
    )
    return int(status.rpartition(" ")[2])


def _owned(row: asyncpg.Record) -> OwnedCost:
    days = tuple((day, Costs(*(int(part) for part in parts))) for day, *parts in orjson.loads(row["days"]))
    cost = OrderCost(
        OrderKey(row["source"], row["order_id"]),
        row["sequence"],
        row["customer_id"],
        Reference(row["reference_system"], row["reference_id"]),
        days,
    )
    return OwnedCost(cost, row["owner"])
