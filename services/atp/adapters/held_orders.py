"""Orders that validation holds, and who released them. A partial index holds those that still wait."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

import orjson

from services.atp.application.validation_records import HeldPage, Release
from services.chassis.database import Connection, Database

_PAGE: Final = """
SELECT promise_id, document FROM promise
WHERE state = 'awaiting_release' AND ($1::uuid IS NULL OR promise_id > $1)
    AND ($3::text[] IS NULL OR channel = ANY ($3))
    AND ($4::text IS NULL OR convert_from(document, 'UTF8')::jsonb #>> '{served_as,tier}' = $4)
ORDER BY promise_id LIMIT $2
"""
_STORE: Final = """
INSERT INTO validation_release (promise_id, decision_id, author, reason, released_at, waived)
VALUES ($1, $2, $3, $4, $5, $6)
"""
_RELEASES: Final = """
SELECT promise_id, decision_id, author, reason, released_at, waived FROM validation_release
WHERE promise_id = $1 ORDER BY decision_id
"""


class PostgresHeldOrders:
    """`HeldOrders` over a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(
        self, after: UUID | None, limit: int, *, channels: Sequence[str] | None, tier: str | None
    ) -> HeldPage:
        """See the port."""

        async def read(connection: Connection) -> HeldPage:
            rows = await connection.fetch(_PAGE, after, limit, channels, tier)
            return HeldPage([row["document"] for row in rows], rows[-1]["promise_id"] if len(rows) == limit else None)

        return await self._database.read(read, label="held orders")

    async def releases(self, promise_id: UUID) -> list[Release]:
        """See the port."""

        async def read(connection: Connection) -> list[Release]:
            rows = await connection.fetch(_RELEASES, promise_id)
            return [Release._make((*row[:-1], tuple(orjson.loads(row["waived"])))) for row in rows]

        return await self._database.read(read, label="releases")


async def store_releases(connection: Connection, releases: Sequence[Release]) -> None:
    """Keep who released held orders."""
    for each in releases:
        await connection.execute(_STORE, *each[:-1], orjson.dumps(each.waived).decode())
