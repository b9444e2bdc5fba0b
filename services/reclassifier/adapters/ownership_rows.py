"""What counts under an owner whom it does not name itself, in any of the tables that say whose something is."""

from collections.abc import Sequence
from typing import Final

import asyncpg

from services.chassis.database import Connection

# The tables with an owner, each with the columns of its key.
_KEYS: Final = {
    "recorded_order": "source, order_id",
    "order_cost": "source, order_id",
    "feedback": "source, reference",
}
# By a merge, or by a name of another system.
_OF_OTHERS: Final = "(customer_id IS NULL OR t.owner <> 'c:' || customer_id)"
# Found by the owner: in the order of the keys everybody's would be read.
_OF_OWNER: Final = {
    table: f"""
WITH own AS MATERIALIZED (
    SELECT * FROM {table} t WHERE owner = $1 AND {_OF_OTHERS} AND ($2::text IS NULL OR ({key}) > ($2, $3))
) SELECT * FROM own ORDER BY {key} LIMIT $4
"""  # noqa: S608 - constants
    for table, key in _KEYS.items()
}
_COUNTING_OTHERS: Final = f"""
SELECT wanted.owner FROM unnest($1::text[]) AS wanted (owner)
WHERE {" OR ".join(f"EXISTS (SELECT FROM {table} t WHERE t.owner = wanted.owner AND {_OF_OTHERS})" for table in _KEYS)}
ORDER BY wanted.owner COLLATE "C"
"""  # noqa: S608 - constants


async def counting_others(connection: Connection, owners: Sequence[str]) -> list[str]:
    """Those of these owners under whom something counts that does not name them itself, ascending."""
    rows = await connection.fetch(_COUNTING_OTHERS, list(owners)) if owners else []
    return [row["owner"] for row in rows]


async def rows_of_owner(
    connection: Connection, table: str, owner: str, after: tuple[str, str] | None, limit: int
) -> list[asyncpg.Record]:
    """Rows of a table that count under an owner and do not name it, in the order of their keys, after one."""
    return await connection.fetch(_OF_OWNER[table], owner, *(after or (None, None)), limit)
