"""Stored decisions: by the id of their batch or of a promise that they made."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Final
from uuid import UUID

import asyncpg

from services.atp.application.content import OrderKey
from services.atp.application.documents import load
from services.atp.application.replay_decision import DecisionName, Recorded, Taken
from services.chassis.database import Connection, Database

_IS_BATCH: Final = "SELECT true FROM decision_batch WHERE decision_id = $1"
_DOCUMENTS: Final = """
SELECT document FROM promise WHERE promise_id = $1
UNION ALL SELECT document FROM promise_history WHERE promise_id = $1
"""
_TOOK: Final = "SELECT DISTINCT decision_id, decision_index FROM commitment WHERE promise_id = $1"
_RECORD: Final = """
SELECT decision_id, decided_at, engine_version, digest, input FROM decision_batch WHERE decision_id = $1
"""
_TAKEN: Final = """
SELECT decision_index, line, item_id, location_id, service, quantity, available_day, ship_day, arrival_day, assumed
FROM commitment WHERE decision_id = $1
"""
_FIRST_ANSWER: Final = """
SELECT document FROM (
    SELECT p.revision, p.document FROM order_identity i JOIN promise p USING (promise_id)
    WHERE i.source = $1 AND i.order_id = $2
    UNION ALL
    SELECT h.revision, h.document FROM order_identity i JOIN promise_history h USING (promise_id)
    WHERE i.source = $1 AND i.order_id = $2
) AS revisions WHERE revision = 1
"""


class PostgresDecisionReader:
    """Implements `DecisionReader`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def names(self, identifier: UUID) -> Sequence[DecisionName]:
        """The decisions that an id means, in the order in which they were made (the ids are ordered by time)."""
        if await self._rows(_IS_BATCH, identifier):
            return [DecisionName(identifier)]
        found = {DecisionName(*row) for row in await self._rows(_TOOK, identifier)}
        for (document,) in await self._rows(_DOCUMENTS, identifier):
            batch, _, index = load(document)["decision_id"].partition(".")
            found.add(DecisionName(UUID(batch), int(index)))
        return sorted(found)

    async def record(self, batch: UUID) -> Recorded | None:
        """The record of a batch with its part of the ledger."""
        rows = await self._rows(_RECORD, batch)
        if not rows:
            return None
        taken: dict[int, list[Taken]] = defaultdict(list)
        for index, *columns in await self._rows(_TAKEN, batch):
            taken[index].append(Taken(*columns))
        ((decision_id, decided_at, engine_version, digest, record),) = rows
        return Recorded(decision_id, decided_at, engine_version, digest, record, dict(taken))

    async def first_answer(self, key: OrderKey) -> bytes | None:
        """The document of an order's first revision."""
        rows = await self._rows(_FIRST_ANSWER, *key)
        return rows[0][0] if rows else None

    async def _rows(self, query: str, *arguments: object) -> list[asyncpg.Record]:
        async def read(connection: Connection) -> list[asyncpg.Record]:
            return await connection.fetch(query, *arguments)

        return await self._database.read(read, label="read decision")
