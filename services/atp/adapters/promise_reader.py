"""Promises for the routes that read, each on one database snapshot, without a lock."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

import asyncpg

from services.atp.application.content import OrderKey
from services.atp.application.read_promises import FormerRevision, StoredDecision, StoredPromise, UncoveredPart
from services.chassis.database import Connection, Database

_BY_ID: Final = """
SELECT promise_id, source, order_id, channel, revision, document, cut_over IS NOT NULL
FROM promise WHERE promise_id = $1
"""
_BY_ORDER: Final = """
SELECT p.promise_id, p.source, p.order_id, p.channel, p.revision, p.document, p.cut_over IS NOT NULL
FROM order_identity i JOIN promise p ON p.promise_id = i.promise_id
WHERE i.source = $1 AND i.order_id = $2
"""
_HISTORY: Final = """
SELECT revision, cause, replaced_at, document FROM promise_history WHERE promise_id = $1 ORDER BY revision
"""
_UNCOVERED: Final = """
SELECT line, part, location_id, promised, quantity, available_day, covered_day, cause, since
FROM deficit WHERE promise_id = $1 ORDER BY line, part
"""
_DECISION: Final = """
SELECT d.decision_id, p.decision_index, d.decided_at, d.engine_version, d.digest, d.input
FROM promise p JOIN decision_batch d ON d.decision_id = p.decision_id
WHERE p.promise_id = $1
"""


class PostgresPromiseReader:
    """Implements `PromiseReader`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def by_id(self, promise_id: UUID) -> StoredPromise | None:
        """A promise by its id."""
        return _stored(await self._row(_BY_ID, promise_id))

    async def by_order(self, key: OrderKey) -> StoredPromise | None:
        """A promise by its order."""
        return _stored(await self._row(_BY_ORDER, *key))

    async def history(self, promise_id: UUID) -> Sequence[FormerRevision]:
        """The former revisions, oldest first."""

        async def read(connection: Connection) -> list[asyncpg.Record]:
            return await connection.fetch(_HISTORY, promise_id)

        return [FormerRevision(*row) for row in await self._database.read(read, label="promise history")]

    async def uncovered(self, promise_id: UUID) -> Sequence[UncoveredPart]:
        """What supply does not cover of a promise now."""

        async def read(connection: Connection) -> list[asyncpg.Record]:
            return await connection.fetch(_UNCOVERED, promise_id)

        return [UncoveredPart(*row) for row in await self._database.read(read, label="uncovered parts")]

    async def decision(self, promise_id: UUID) -> StoredDecision | None:
        """The record of the decision that made the current answer."""
        row = await self._row(_DECISION, promise_id)
        return None if row is None else StoredDecision(*row)

    async def _row(self, query: str, *arguments: object) -> asyncpg.Record | None:
        async def read(connection: Connection) -> asyncpg.Record | None:
            row: asyncpg.Record | None = await connection.fetchrow(query, *arguments)
            return row

        return await self._database.read(read, label="read promise")


def _stored(row: asyncpg.Record | None) -> StoredPromise | None:
    if row is None:
        return None
    promise_id, source, order_id, channel, revision, document, taken_over = row
    return StoredPromise(promise_id, OrderKey(source, order_id), channel, revision, document, taken_over)
