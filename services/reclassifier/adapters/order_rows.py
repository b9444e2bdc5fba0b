"""Recorded orders in PostgreSQL: one row each, locked in ascending order of the key."""

from collections.abc import Collection, Mapping, Sequence
from typing import Final

import asyncpg

from services.chassis.arrays import flags, numbers, text_array, texts
from services.chassis.database import Connection
from services.reclassifier.adapters.ownership_rows import rows_of_owner
from services.reclassifier.domain.orders import (
    Counted,
    Demand,
    OrderKey,
    OrderState,
    Punctuality,
    Reference,
    owner_of_customer,
    owner_of_reference,
)

_OWNERSHIP_LOCK: Final = 4_217_301  # any number that no other advisory lock here uses

_LOCK_ORDERS: Final = """
SELECT o.* FROM recorded_order o JOIN unnest($1::text[], $2::text[]) AS wanted (source, order_id)
    USING (source, order_id)
ORDER BY source, order_id FOR NO KEY UPDATE OF o
"""
_GIVEN: Final = (
    f"{text_array(1)}, {text_array(2)}, $3::text::bigint[], {text_array(4)}, {text_array(5)}, {text_array(6)},"
    f" {text_array(7)}, $8::text::int[], $9::text::bool[], $10::text::bigint[], $11::text::numeric[],"
    " $12::text::int[], $13::text::bigint[], $14::text::numeric[], $15::text::int[]"
)
_PLAIN: Final = f"""
unnest({_GIVEN})
    AS given (source, order_id, sequence, customer_id, reference_system, reference_id, owner, ordered_on, cancelled,
              ordered_units, ordered_value_micros, ordered_unpriced_lines,
              shipped_units, shipped_value_micros, shipped_unpriced_lines)
"""
_WHOLE: Final = f"""
unnest({_GIVEN}, $16::text::bigint[], $17::text::numeric[], $18::text::int[], $19::text::smallint[])
    AS given (source, order_id, sequence, customer_id, reference_system, reference_id, owner, ordered_on, cancelled,
              ordered_units, ordered_value_micros, ordered_unpriced_lines,
              shipped_units, shipped_value_micros, shipped_unpriced_lines,
              returned_units, returned_value_micros, returned_unpriced_lines, punctuality)
"""
_INSERT_PLAIN: Final = f"""
INSERT INTO recorded_order SELECT * FROM {_PLAIN}
ORDER BY source COLLATE "C", order_id COLLATE "C"
ON CONFLICT DO NOTHING RETURNING source, order_id
"""  # noqa: S608 - constants
_INSERT_WHOLE: Final = f"""
INSERT INTO recorded_order SELECT * FROM {_WHOLE}
ORDER BY source COLLATE "C", order_id COLLATE "C"
ON CONFLICT DO NOTHING RETURNING source, order_id
"""  # noqa: S608 - constants
_UPDATE: Final = f"""
UPDATE recorded_order o SET sequence = given.sequence, customer_id = given.customer_id,
    reference_system = given.reference_system, reference_id = given.reference_id, owner = given.owner,
    ordered_on = given.ordered_on, cancelled = given.cancelled, ordered_units = given.ordered_units,
    ordered_value_micros = given.ordered_value_micros, ordered_unpriced_lines = given.ordered_unpriced_lines,
    shipped_units = given.shipped_units, shipped_value_micros = given.shipped_value_micros,
    shipped_unpriced_lines = given.shipped_unpriced_lines, returned_units = given.returned_units,
    returned_value_micros = given.returned_value_micros, returned_unpriced_lines = given.returned_unpriced_lines,
    punctuality = given.punctuality
FROM {_WHOLE} WHERE o.source = given.source AND o.order_id = given.order_id
"""  # noqa: S608 - constants

# A merged customer's owner is the end of its chain; a circle, which the registry never publishes, ends at its limit.
_OWNERS_OF_CUSTOMERS: Final = """
WITH RECURSIVE chain AS (
    SELECT wanted COLLATE "C" AS customer_id, wanted COLLATE "C" AS owned_by, 0 AS hops FROM unnest($1::text[]) wanted
    UNION ALL
    SELECT chain.customer_id, segment.merged_into, hops + 1
    FROM chain JOIN segment ON segment.customer_id = chain.owned_by
    WHERE segment.merged_into IS NOT NULL AND hops < 20
)
SELECT DISTINCT ON (customer_id) customer_id, owned_by FROM chain ORDER BY customer_id, hops DESC
"""
_CUSTOMERS_OF_REFERENCES: Final = """
SELECT system, id, min(customer_id) AS customer_id
FROM segment_identifier JOIN unnest($1::text[], $2::text[]) AS wanted (system, id) USING (system, id)
GROUP BY system, id
"""


async def hold_ownership(connection: Connection, *, changing: bool) -> None:
    """Shared by those who count orders under owners, exclusive for who changes owners."""
    function = "pg_advisory_xact_lock" if changing else "pg_advisory_xact_lock_shared"
    await connection.execute(f"SELECT {function}($1)", _OWNERSHIP_LOCK)


async def load_owners(
    connection: Connection, customer_ids: Collection[str], references: Collection[Reference]
) -> tuple[dict[str, str], dict[Reference, str]]:
    """Under whom the orders of these customers and references count."""
    found = await _customers_of_references(connection, references) if references else {}
    wanted = sorted({*customer_ids, *found.values()})
    owned_by: dict[str, str] = {}
    if wanted:
        rows = await connection.fetch(_OWNERS_OF_CUSTOMERS, wanted)
        owned_by = {row["customer_id"]: owner_of_customer(row["owned_by"]) for row in rows}
    by_reference = {
        reference: owned_by[found[reference]] if reference in found else owner_of_reference(reference)
        for reference in references
    }
    return {customer_id: owned_by[customer_id] for customer_id in customer_ids}, by_reference


async def _customers_of_references(connection: Connection, references: Collection[Reference]) -> dict[Reference, str]:
    rows = await connection.fetch(
        _CUSTOMERS_OF_REFERENCES, [one.system for one in references], [one.id for one in references]
    )
    return {Reference(row["system"], row["id"]): row["customer_id"] for row in rows}


async def lock_orders(connection: Connection, keys: Collection[OrderKey]) -> dict[OrderKey, Counted]:
    """Those of these orders that are stored, locked."""
    rows = await connection.fetch(_LOCK_ORDERS, [key.source for key in keys], [key.order_id for key in keys])
    return {counted.state.key: counted for counted in map(_counted, rows)}


async def save_orders(connection: Connection, new: Sequence[Counted], changed: Sequence[Counted]) -> set[OrderKey]:
    """Insert and update; the keys of new ones that were there already."""
    stored: set[OrderKey] = set()
    told = [counted for counted in new if _has_outcome(counted.state)]
    untold = new if not told else [counted for counted in new if not _has_outcome(counted.state)]
    for orders, statement in ((untold, _INSERT_PLAIN), (told, _INSERT_WHOLE)):
        if orders:
            rows = await connection.fetch(statement, *_columns(orders, whole=orders is told))
            stored.update(OrderKey(row["source"], row["order_id"]) for row in rows)
    if changed:
        await connection.execute(_UPDATE, *_columns(changed, whole=True))
    return {counted.state.key for counted in new} - stored


async def load_orders_of(connection: Connection, owner: str, after: OrderKey | None, limit: int) -> list[Counted]:
    """Orders of an owner, of others than itself by what they say, in the order of their keys, after one."""
    rows = await rows_of_owner(connection, "recorded_order", owner, after, limit)
    return [_counted(row) for row in rows]


async def reassign_orders(connection: Connection, moves: Mapping[str, str]) -> None:
    """Let the orders of the first owner of each pair count under the second."""
    await connection.execute(
        "WITH locked AS MATERIALIZED (SELECT source, order_id, moved.new_owner FROM recorded_order o"
        " JOIN unnest($1::text[], $2::text[]) AS moved (old_owner, new_owner) ON o.owner = moved.old_owner"
        " ORDER BY source, order_id FOR NO KEY UPDATE OF o)"
        " UPDATE recorded_order o SET owner = locked.new_owner FROM locked"
        " WHERE o.source = locked.source AND o.order_id = locked.order_id",
        list(moves),
        list(moves.values()),
    )


def _has_outcome(state: OrderState) -> bool:
    return state.returned.units > 0 or state.punctuality is not Punctuality.UNTOLD


def _columns(orders: Sequence[Counted], *, whole: bool) -> list[str]:
    states = [counted.state for counted in orders]
    demands = [[state.ordered for state in states], [state.shipped for state in states]]
    if whole:
        demands.append([state.returned for state in states])
    return [
        texts([state.key.source for state in states]),
        texts([state.key.order_id for state in states]),
        numbers([state.sequence for state in states]),
        texts([state.customer_id for state in states]),
        texts([state.reference.system for state in states]),
        texts([state.reference.id for state in states]),
        texts([counted.owner for counted in orders]),
        numbers([state.ordered_on for state in states]),
        flags([state.cancelled for state in states]),
        *(numbers(column) for each in demands for column in zip(*each, strict=True)),
        *([numbers([state.punctuality.value for state in states])] if whole else []),
    ]


def _counted(row: asyncpg.Record) -> Counted:
    state = OrderState(
        key=OrderKey(row["source"], row["order_id"]),
        sequence=row["sequence"],
        customer_id=row["customer_id"],
        reference=Reference(row["reference_system"], row["reference_id"]),
        ordered_on=row["ordered_on"],
        cancelled=row["cancelled"],
        ordered=Demand(row["ordered_units"], int(row["ordered_value_micros"]), row["ordered_unpriced_lines"]),
        shipped=Demand(row["shipped_units"], int(row["shipped_value_micros"]), row["shipped_unpriced_lines"]),
        returned=Demand(row["returned_units"], int(row["returned_value_micros"]), row["returned_unpriced_lines"]),
        punctuality=Punctuality(row["punctuality"]),
    )
    return Counted(state, row["owner"])


async def owner_of(connection: Connection, customer_id: str) -> str:
    """Under whom one customer's orders count."""
    owners, _ = await load_owners(connection, [customer_id], [])
    return owners[customer_id]
