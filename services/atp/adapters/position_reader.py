"""Positions as they stand, in pages, each on one database snapshot, without a lock."""

from collections.abc import Sequence
from typing import Any, Final

import asyncpg

from services.atp.adapters.items import items
from services.atp.adapters.positions import PositionStore
from services.atp.application.read_positions import Hindrance, StandingPosition
from services.atp.domain.model import Item, PositionKey
from services.atp.domain.standing import Standing, standing
from services.chassis.business_time import business_now
from services.chassis.database import Connection, Database
from services.chassis.writes import Writes

_KEYS: Final = """
SELECT p.item_id, p.location_id, i.item_id IS NOT NULL AS item_known, l.location_id IS NOT NULL AS location_known,
    EXISTS (SELECT FROM movement m WHERE m.item_id = p.item_id AND m.location_id = p.location_id) AS counted,
    EXISTS (SELECT FROM deficit_review r WHERE r.item_id = p.item_id AND r.location_id = p.location_id) AS pending
FROM position p LEFT JOIN item i ON i.item_id = p.item_id LEFT JOIN location l ON l.location_id = p.location_id
WHERE (p.item_id, p.location_id) > ($1, $2) AND ($3::text IS NULL OR p.item_id = $3)
ORDER BY p.item_id, p.location_id LIMIT $4
"""
_FIRST: Final = PositionKey("", "")


class PostgresPositionReader:
    """`PositionReader` on PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def positions(self, item_id: str | None, after: PositionKey | None, limit: int) -> Sequence[StandingPosition]:
        """See the port."""

        async def work(connection: Connection) -> list[StandingPosition]:
            today = (await business_now(connection)).date().toordinal()
            rows: list[Any] = await connection.fetch(_KEYS, *(after or _FIRST), item_id, limit)
            keys = [PositionKey(row["item_id"], row["location_id"]) for row in rows]
            if not keys:
                return []
            known = await items(connection, sorted({key.item_id for key in keys}))
            stored = await PositionStore(connection, Writes(connection), locking=False).load(keys)
            found = []
            for key, row in zip(keys, rows, strict=True):
                stands = standing(stored[key].position, known.get(key.item_id) or Item(key.item_id), today)
                found.append(StandingPosition(key, stands, _hindrances(row, stands)))
            return found

        return await self._database.read(work, label="positions")


def _hindrances(row: asyncpg.Record, stands: Standing) -> tuple[Hindrance, ...]:
    named: dict[Hindrance, bool] = {
        "item_unknown": not row["item_known"],
        "location_unknown": not row["location_known"],
        "not_counted": stands.committed > 0 and not row["counted"],
        "review_pending": row["pending"],
    }
    return tuple(name for name, holds in named.items() if holds)
