"""Rehearsing changes: the code that really makes them runs on copies, in a transaction that is rolled back.

Inside of `Database.rehearse`, `shadow` puts an empty temporary table before each table that the code may write, with
the same columns, defaults, constraints and indexes, fills it with the rows that matter, and then makes the transaction
READ ONLY. From then on every statement of that code finds the copies under the usual names; what is not shadowed is
read as it is. The server itself refuses a write to anything but the copies, no row of a real table is locked, and
whatever others commit meanwhile is not seen.

Not for sequences and not for triggers: copies have none, and a default that draws from a real sequence is refused.
"""

from collections.abc import Mapping
from typing import Any, Final

from services.chassis.database_session import Connection

_FIRST: Final = 'SET LOCAL search_path = pg_temp, "{schema}"'
_COPY: Final = 'CREATE TEMPORARY TABLE "{table}" (LIKE "{schema}"."{table}" INCLUDING ALL) ON COMMIT DROP'
_FILL: Final = 'INSERT INTO pg_temp."{table}" SELECT o.* FROM "{schema}"."{table}" o WHERE {condition}'
_ANALYZE: Final = 'ANALYZE pg_temp."{table}"'
_NO_MORE_WRITES: Final = "SET TRANSACTION READ ONLY"


async def shadow(
    connection: Connection, schema: str, conditions: Mapping[str, str | None], arguments: Mapping[str, Any]
) -> None:
    """Put copies before tables: with the rows (`o`) that a condition names, of which `{name}` is an argument.

    None: with no row. Conditions are written in code; only arguments may come from elsewhere.
    """
    await connection.execute(_FIRST.format(schema=schema))
    for table in conditions:
        await connection.execute(_COPY.format(schema=schema, table=table))
    for table, condition in conditions.items():
        if condition is None:
            continue
        used = [name for name in arguments if "{" + name + "}" in condition]
        placed = condition.format_map({name: f"${number}" for number, name in enumerate(used, start=1)})
        statement = _FILL.format(schema=schema, table=table, condition=placed)
        await connection.execute(statement, *(arguments[name] for name in used))
        await connection.execute(_ANALYZE.format(table=table))
    await connection.execute(_NO_MORE_WRITES)
