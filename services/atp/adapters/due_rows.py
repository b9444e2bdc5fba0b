"""What is due by date, as rows."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

import orjson

from services.atp.application.ports import Due
from services.chassis.business_time import Phase, business_now, replay_state
from services.chassis.database import Connection, Database

_PUT: Final = """
INSERT INTO due (kind, key, at) SELECT kind, key, at FROM unnest($1::text[], $2::text[], $3::timestamptz[])
    AS k (kind, key, at) ORDER BY kind, key
ON CONFLICT (kind, key) DO UPDATE SET at = excluded.at
"""
_REMOVE: Final = """
DELETE FROM due d USING unnest($1::text[], $2::text[]) AS k (kind, key) WHERE d.kind = k.kind AND d.key = k.key
"""
_NOW: Final = "SELECT kind, key FROM due WHERE at <= $1 ORDER BY at, kind, key LIMIT $2"


class DueStore:
    """The due rows of one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def store(self, planned: Mapping[Due, datetime | None]) -> None:
        """Write those with a time, and take away the others."""
        put = sorted((each.kind, key_text(each.key), at) for each, at in planned.items() if at is not None)
        gone = sorted((each.kind, key_text(each.key)) for each, at in planned.items() if at is None)
        if gone:
            await self._connection.execute(_REMOVE, *(list(column) for column in zip(*gone, strict=True)))
        if put:
            await self._connection.execute(_PUT, *(list(column) for column in zip(*put, strict=True)))


async def due_now(database: Database, limit: int) -> list[Due]:
    """What is due, the oldest first; none in a replay's intake phase."""

    async def look(connection: Connection) -> list[Due]:
        state = await replay_state(connection)
        if state is not None and state.phase is Phase.INTAKE:
            return []
        rows = await connection.fetch(_NOW, await business_now(connection), limit)
        return [Due(row["kind"], tuple(orjson.loads(row["key"]))) for row in rows]

    return await database.read(look, label="due")


def key_text(key: tuple[str, ...]) -> str:
    """A key as it is stored."""
    return orjson.dumps(key).decode()
