"""Closings of locations, as rows; each act is one transaction that no decision overlaps (`change_alone`).

What is to be moved away is written down after it, so that decisions do not wait for that; an act that was broken off in
between is answered by nobody, and sent again.
"""

from collections.abc import Sequence
from functools import partial
from typing import Final

from services.atp.adapters.capacities import items_awaited_at
from services.atp.adapters.configuration import change_alone, raise_version
from services.atp.adapters.due_rows import DueStore
from services.atp.adapters.waking import mark_items, wake_due
from services.atp.application.closings import Closed, Closing
from services.atp.application.content import OrderKey
from services.atp.application.move_away import MOVE_AWAY
from services.atp.application.planner_records import Planner
from services.atp.application.ports import Due
from services.atp.application.turn_location import LOCATION
from services.atp.domain.model import Day
from services.chassis import audit
from services.chassis.audit.chain import AuditEntry
from services.chassis.business_time import business_now
from services.chassis.database import Connection, Database

REOPENED: Final = "stop_lifted"  # the cause of what those who waited gain
_KNOWN: Final = "SELECT EXISTS (SELECT FROM location WHERE location_id = $1)"
_CLOSE: Final = """
INSERT INTO location_closing AS old (location_id, through_day, reason, actor, closed_at) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (location_id) DO UPDATE SET through_day = excluded.through_day, reason = excluded.reason,
    actor = excluded.actor, closed_at = excluded.closed_at
WHERE old.through_day IS DISTINCT FROM excluded.through_day OR old.through_day < $6
RETURNING location_id
"""
_REOPEN: Final = (
    "DELETE FROM location_closing WHERE location_id = $1 RETURNING coalesce(through_day >= $2, true) AS shut"
)
_CLOSED: Final = """
SELECT location_id, through_day, reason, actor, closed_at FROM location_closing
WHERE through_day IS NULL OR through_day >= $1 ORDER BY location_id
"""
# The key as `DueStore` writes it, without a blank.
_MOVE: Final = """
WITH there AS (
    SELECT DISTINCT p.source, p.order_id FROM commitment c JOIN promise p ON p.promise_id = c.promise_id
    WHERE c.location_id = $1 AND c.open > 0
), planned AS (
    INSERT INTO due (kind, key, at)
    SELECT $2, '[' || to_json(source) || ',' || to_json(order_id) || ',' || to_json($1::text) || ']', $3
    FROM there ORDER BY 2
    ON CONFLICT (kind, key) DO UPDATE SET at = excluded.at
    RETURNING 1
)
SELECT count(*) FROM planned
"""
_OPEN_THERE: Final = """
SELECT DISTINCT p.source, p.order_id FROM commitment c JOIN promise p ON p.promise_id = c.promise_id
WHERE c.location_id = ANY($1::text[]) AND c.open > 0 ORDER BY p.source, p.order_id
"""


class PostgresClosings:
    """Implements `Closings`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def close(self, location_id: str, planner: Planner, *, move: bool) -> Closed | None:
        """See the port."""

        async def work(connection: Connection) -> Closed | None:
            await change_alone(connection)
            if not await connection.fetchval(_KNOWN, location_id):
                return None
            changed = await close(connection, location_id, planner)
            await DueStore(connection).store({Due(LOCATION, (location_id,)): await business_now(connection)})
            if changed or move:
                detail = {"through_day": planner.through, "move": move}
                await _note(connection, "closed", location_id, planner, detail)
            return Closed(changed)

        done = await self._database.run(work, label="close a location")
        if done is None or not move:
            return done
        return done._replace(moving=await self._database.run(partial(_plan_moves, location_id), label="move away"))

    async def reopen(self, location_id: str, planner: Planner) -> Closed | None:
        """See the port."""

        async def work(connection: Connection) -> Closed | None:
            await change_alone(connection)
            if not await connection.fetchval(_KNOWN, location_id):
                return None
            now = await business_now(connection)
            if not await connection.fetchval(_REOPEN, location_id, now.toordinal()):
                return Closed(changed=False)
            await raise_version(connection)
            await mark_items(connection, await items_awaited_at(connection, [location_id]), now, REOPENED)
            await DueStore(connection).store({Due(LOCATION, (location_id,)): now})
            await _note(connection, "reopened", location_id, planner, {})
            return Closed(changed=True)

        return await self._database.run(work, label="open a location again")

    async def closed(self) -> Sequence[Closing]:
        """See the port."""

        async def work(connection: Connection) -> list[Closing]:
            today = (await business_now(connection)).toordinal()
            return [Closing(*row) for row in await connection.fetch(_CLOSED, today)]

        return await self._database.read(work, label="closings")


async def close(connection: Connection, location_id: str, planner: Planner) -> bool:
    """Write a closing; whether it is another one than before."""
    now = await business_now(connection)
    today: Day = now.toordinal()
    values = (location_id, planner.through, planner.reason, planner.actor, now, today)
    changed = await connection.fetchval(_CLOSE, *values) is not None
    if changed:
        await raise_version(connection)
    return changed


async def _plan_moves(location_id: str, connection: Connection) -> int:
    """Have each order looked at of which something is promised from a location, while others decide; how many."""
    await wake_due(connection)
    planned: int = await connection.fetchval(_MOVE, location_id, MOVE_AWAY, await business_now(connection))
    return planned


async def orders_open_at(connection: Connection, locations: Sequence[str]) -> list[OrderKey]:
    """The orders of which something is promised from locations and has not left."""
    return [OrderKey(*row) for row in await connection.fetch(_OPEN_THERE, list(locations))]


async def _note(
    connection: Connection, kind: str, location_id: str, planner: Planner, detail: dict[str, int | bool | None]
) -> None:
    entry = AuditEntry(planner.actor, f"location.{kind}", location_id, {"reason": planner.reason, **detail})
    await audit.append(connection, [entry], await business_now(connection))
