"""Planners' acts and stopped positions, as rows."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

import asyncpg
import orjson

from services.atp.application.planner_records import ActionsAsked, Planner, PlannerAction, StoppedPosition
from services.atp.domain.model import PositionKey
from services.chassis.database import Connection, Database

_STORE: Final = """
INSERT INTO planner_action (action_id, kind, actor, acted_at, reason, through_day, promise_id, item_id, location_id,
                            details)
SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::timestamptz[], $5::text[], $6::int[], $7::uuid[],
                     $8::text[], $9::text[], $10::jsonb[])
"""
_ACTIONS: Final = """
SELECT action_id, kind, actor, acted_at, reason, through_day, promise_id, item_id, location_id, details
FROM planner_action
WHERE ($1::uuid IS NULL OR action_id < $1) AND ($2::uuid IS NULL OR promise_id = $2)
    AND ($3::text IS NULL OR item_id = $3) AND ($4::text IS NULL OR actor = $4)
ORDER BY action_id DESC LIMIT $5
"""
_STOPS: Final = """
SELECT p.item_id, p.location_id, p.stopped_through, a.reason, a.actor, a.acted_at
FROM position p CROSS JOIN LATERAL (
    SELECT reason, actor, acted_at FROM planner_action a
    WHERE a.kind = 'stop' AND a.item_id = p.item_id AND a.location_id = p.location_id ORDER BY action_id DESC LIMIT 1
) a
WHERE p.stopped_through IS NOT NULL AND (p.item_id, p.location_id) > ($1, $2)
ORDER BY p.item_id, p.location_id LIMIT $3
"""


class PlannerStore:
    """Planners' acts in one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def store(self, actions: Sequence[PlannerAction]) -> None:
        """Write acts."""
        rows = [
            (
                each.action_id,
                each.kind,
                each.planner.actor,
                each.at,
                each.planner.reason,
                each.planner.through,
                each.promise_id,
                None if each.position is None else each.position.item_id,
                None if each.position is None else each.position.location_id,
                orjson.dumps(each.details).decode(),
            )
            for each in actions
        ]
        await self._connection.execute(_STORE, *(list(column) for column in zip(*rows, strict=True)))


class PostgresPlanningReader:
    """Implements `PlanningReader`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def actions(self, asked: ActionsAsked, after: UUID | None, limit: int) -> list[PlannerAction]:
        """Acts, the newest first."""

        async def read(connection: Connection) -> list[asyncpg.Record]:
            return await connection.fetch(_ACTIONS, after, asked.promise_id, asked.item_id, asked.actor, limit)

        return [_action(row) for row in await self._database.read(read, label="planner actions")]

    async def stops(self, after: PositionKey, limit: int) -> list[StoppedPosition]:
        """Stopped positions, by item and location."""

        async def read(connection: Connection) -> list[asyncpg.Record]:
            return await connection.fetch(_STOPS, *after, limit)

        return [
            StoppedPosition(PositionKey(row[0], row[1]), *row[2:])
            for row in await self._database.read(read, label="stops")
        ]


def _action(row: asyncpg.Record) -> PlannerAction:
    position = None if row["item_id"] is None else PositionKey(row["item_id"], row["location_id"])
    planner = Planner(row["actor"], row["reason"], row["through_day"])
    details = orjson.loads(row["details"])
    return PlannerAction(row["action_id"], row["kind"], planner, row["acted_at"], row["promise_id"], position, details)
