"""Runs of backorder processing, in PostgreSQL: begun once whoever asks, taken further under the lock of their row."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import asyncpg
import orjson

from services.atp.adapters.run_variants import RUNS, plan_next, segments_of, version_row
from services.atp.application.content import OrderKey
from services.atp.application.runs import (
    RUNS_KEPT_DAYS,
    Begun,
    KeyTaken,
    Run,
    RunAsked,
    RunsStanding,
    VariantRunning,
    VariantUnknown,
)
from services.atp.domain.model import Day
from services.atp.domain.order_of_service import ServiceKey
from services.atp.domain.run_segments import Givers
from services.chassis import audit
from services.chassis.audit.chain import AuditEntry
from services.chassis.business_time import Phase, business_now, replay_state
from services.chassis.database import Connection, Database, announce
from services.chassis.ids import new_id

SCHEDULE: Final = "schedule"  # who began a run that nobody began
BEGUN_AT_ONCE_MAX: Final = 20  # runs of one transaction; what is due besides follows in the next
_LOCK: Final = """
SELECT r.run_id, r.variant_id, r.version, r.reason, r.day, r.done, r.items, r.place, r.portions, r.figures, v.body
FROM backorder_run r JOIN run_variant_version v ON v.variant_id = r.variant_id AND v.version = r.version
WHERE r.run_id = ANY($1::uuid[]) AND r.state = 'running' ORDER BY r.run_id FOR UPDATE OF r
"""
_ITEMS: Final = """
SELECT DISTINCT item_id FROM backorder WHERE item_id > $1 AND ($2::text[] IS NULL OR item_id = ANY($2))
ORDER BY item_id LIMIT $3
"""
_FALLING: Final = """
SELECT p.source, p.order_id FROM (
    SELECT c.promise_id, min(array_position($2::text[], c.tier)) AS tier_place, max(c.arrival_day) AS arrival_day
    FROM commitment c JOIN promise o ON o.promise_id = c.promise_id
    WHERE c.item_id = ANY($1::text[]) AND c.open > 0 AND c.tier = ANY($2::text[]) AND c.ship_day > $3
        AND ($4::text[] IS NULL OR c.location_id = ANY($4)) AND ($5::text[] IS NULL OR o.channel = ANY($5))
        AND ($6::text[] IS NULL OR o.customer_id = ANY($6))
    GROUP BY c.promise_id ORDER BY 2, 3 DESC, 1 DESC LIMIT $7
) last JOIN promise p ON p.promise_id = last.promise_id
ORDER BY last.tier_place, last.arrival_day DESC, last.promise_id DESC
"""
_CAME: Final = """
UPDATE backorder_run SET done = $2, items = $3, place = $4::jsonb, portions = $5, figures = $6::jsonb,
    came_at = $7::timestamptz,
    state = CASE WHEN $8::boolean THEN 'finished' ELSE 'running' END, ended_at = CASE WHEN $8 THEN $7::timestamptz END
WHERE run_id = $1
"""
_INSERT: Final = """
INSERT INTO backorder_run (run_id, variant_id, version, state, scheduled_for, started_by, reason, request_key,
    started_at, came_at, day)
VALUES ($1, $2, $3, 'running', $4, $5, $6, $7, $8, $8, $9)
"""
_FORGET: Final = "DELETE FROM backorder_run WHERE ended_at < $1"
_LOCK_VARIANT: Final = "SELECT FROM run_variant WHERE variant_id = $1 FOR UPDATE"
_GOING_ON: Final = "SELECT run_id FROM backorder_run WHERE variant_id = $1 AND state = 'running'"
_ASKED_BEFORE: Final = "SELECT run_id, variant_id FROM backorder_run WHERE request_key = $1"
_DUE: Final = """
SELECT variant_id, next_slot FROM run_variant h
WHERE next_slot <= $1
    AND NOT EXISTS (SELECT FROM backorder_run r WHERE r.variant_id = h.variant_id AND r.state = 'running')
ORDER BY variant_id LIMIT $2 FOR UPDATE SKIP LOCKED
"""
_COME: Final = "SELECT EXISTS (SELECT FROM run_variant WHERE next_slot <= $1)"
_RUNNING: Final = "SELECT run_id FROM backorder_run WHERE state = 'running' ORDER BY run_id"
_STATE: Final = "SELECT state FROM backorder_run WHERE run_id = $1 FOR UPDATE"
_END: Final = """
UPDATE backorder_run SET state = $2, ended_at = $3, ended_by = $4, ended_why = $5
WHERE run_id = $1 AND state = 'running'
"""
_SHOWN: Final = """
run_id, variant_id, version, state, scheduled_for, started_by, reason, started_at, came_at, ended_at, ended_by,
ended_why, portions, figures
"""
_ONE: Final = f"SELECT {_SHOWN} FROM backorder_run WHERE run_id = $1"  # noqa: S608 - made of constants
_PAGE: Final = f"""
SELECT {_SHOWN} FROM backorder_run
WHERE ($1::text IS NULL OR variant_id = $1) AND ($2::text[] IS NULL OR state = ANY($2))
    AND ($3::uuid IS NULL OR run_id < $3)
ORDER BY run_id DESC LIMIT $4
"""  # noqa: S608 - made of constants
_STANDING: Final = """
SELECT (SELECT min(next_slot) FROM run_variant) AS slot,
    (SELECT min(came_at) FROM backorder_run WHERE state = 'running') AS came,
    (SELECT count(*) FROM backorder_run WHERE state = 'running') AS running,
    (SELECT count(*) FROM run_variant h CROSS JOIN LATERAL (
        SELECT state FROM backorder_run r WHERE r.variant_id = h.variant_id AND r.state <> 'running'
        ORDER BY r.run_id DESC LIMIT 1
    ) AS last WHERE last.state = 'failed') AS failed
"""


class RunStore:
    """The runs as one transaction of the engine sees them; `locking` is off for reads and rehearsals."""

    def __init__(self, connection: Connection, *, locking: bool) -> None:
        self._connection = connection
        self._lock = _LOCK if locking else _LOCK.replace("FOR UPDATE OF r", "")

    async def lock(self, run_ids: Sequence[UUID]) -> dict[UUID, Run]:
        """See the port."""
        rows = await self._connection.fetch(self._lock, list(run_ids))
        return {row["run_id"]: _run_of(row) for row in rows}

    async def items(self, after: str, named: Sequence[str] | None, limit: int) -> list[str]:
        """See the port."""
        rows = await self._connection.fetch(_ITEMS, after, None if named is None else list(named), limit)
        return [row["item_id"] for row in rows]

    async def falling(self, items: Sequence[str], givers: Givers, today: Day, limit: int) -> list[OrderKey]:
        """See the port."""
        limited = [None if each is None else list(each) for each in givers[1:]]
        rows = await self._connection.fetch(_FALLING, list(items), list(givers.tiers), today, *limited, limit)
        return [OrderKey(*row) for row in rows]

    async def store(self, runs: Sequence[Run], at: datetime) -> None:
        """See the port."""
        for run in runs:
            place = None if run.place is None else orjson.dumps(list(run.place)).decode()
            figures = orjson.dumps(run.figures).decode()
            values = (run.run_id, run.done, list(run.group), place, run.portions, figures, at, run.finished)
            await self._connection.execute(_CAME, *values)


class PostgresRuns:
    """`Runs` over a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def begin(self, asked: RunAsked) -> Begun:
        """See the port."""
        try:
            return await self._database.run(lambda connection: _begin(connection, asked), label="begin a run")
        except asyncpg.UniqueViolationError:
            raise KeyTaken from None

    async def begin_due(self) -> int:
        """See the port."""
        if not await self._database.read(_is_due, label="runs that are due"):
            return 0
        return await self._database.run(_begin_due, label="begin runs that are due")

    async def running(self) -> list[UUID]:
        """See the port."""

        async def work(connection: Connection) -> list[UUID]:
            if await _taking_in(connection):
                return []
            return [row["run_id"] for row in await connection.fetch(_RUNNING)]

        return await self._database.read(work, label="runs")

    async def stop(self, run_id: UUID, author: str, reason: str) -> bool | None:
        """See the port."""

        async def work(connection: Connection) -> bool | None:
            state = await connection.fetchval(_STATE, run_id)
            if state is None:
                return None
            if state != "running":
                return False
            now = await business_now(connection)
            await connection.execute(_END, run_id, "stopped", now, author, reason)
            await audit.append(connection, [AuditEntry(author, "run.stopped", str(run_id), {"reason": reason})], now)
            return True

        return await self._database.run(work, label="stop a run")

    async def fail(self, run_id: UUID, failure: str) -> None:
        """See the port."""

        async def work(connection: Connection) -> None:
            await connection.execute(_END, run_id, "failed", await business_now(connection), "tiercel", failure)

        await self._database.run(work, label="fail a run")

    async def run(self, run_id: UUID) -> dict[str, Any] | None:
        """See the port."""
        row = await self._database.read(lambda connection: connection.fetchrow(_ONE, run_id))
        return None if row is None else _shown(row)

    async def runs(
        self, variant_id: str | None, states: Sequence[str] | None, before: UUID | None, limit: int
    ) -> list[dict[str, Any]]:
        """See the port."""
        asked = None if states is None else list(states)
        rows = await self._database.read(lambda connection: connection.fetch(_PAGE, variant_id, asked, before, limit))
        return [_shown(row) for row in rows]

    async def standing(self) -> RunsStanding:
        """See the port."""

        async def work(connection: Connection) -> RunsStanding:
            now, row = await business_now(connection), await connection.fetchrow(_STANDING)
            assert row is not None  # noqa: S101 - it asks for one row
            return RunsStanding(_late(now, row["slot"]), _late(now, row["came"]), row["failed"], row["running"])

        return await self._database.read(work, label="standing of runs")


async def insert_run(
    connection: Connection, asked: RunAsked, version: int, now: datetime, *, slot: datetime | None = None
) -> UUID:
    """Write a run that begins now."""
    run_id = new_id()
    key = None if asked.key is None else f"{asked.author}/{asked.key}"
    values = (run_id, asked.variant_id, version, slot, asked.author, asked.reason, key, now, now.toordinal())
    await connection.execute(_INSERT, *values)
    return run_id


async def _begin(connection: Connection, asked: RunAsked) -> Begun:
    await connection.execute(_LOCK_VARIANT, asked.variant_id)
    if asked.key is not None:
        before = await connection.fetchrow(_ASKED_BEFORE, f"{asked.author}/{asked.key}")
        if before is not None and before["variant_id"] != asked.variant_id:
            raise KeyTaken
        if before is not None:
            return Begun(before["run_id"], first=False)
    now = await business_now(connection)
    row = await version_row(connection, asked.variant_id, asked.version, now)
    if row is None:
        raise VariantUnknown
    running = await connection.fetchval(_GOING_ON, asked.variant_id)
    if running is not None:
        raise VariantRunning(running)
    run_id = await insert_run(connection, asked, row["version"], now)
    await connection.execute(_FORGET, now - timedelta(days=RUNS_KEPT_DAYS))
    await announce(connection, RUNS)
    detail: dict[str, Any] = {"variant": asked.variant_id, "version": row["version"], "reason": asked.reason}
    await audit.append(connection, [AuditEntry(asked.author, "run.started", str(run_id), detail)], now)
    return Begun(run_id, first=True)


async def _is_due(connection: Connection) -> bool:
    if await _taking_in(connection):
        return False
    come: bool = await connection.fetchval(_COME, await business_now(connection))
    return come


async def _begin_due(connection: Connection) -> int:
    now = await business_now(connection)
    rows = await connection.fetch(_DUE, now, BEGUN_AT_ONCE_MAX)
    entries = []
    for row in rows:
        variant_id, slot = row["variant_id"], row["next_slot"]
        if await connection.fetchval(_GOING_ON, variant_id) is not None:
            continue  # begun by hand a moment ago; the schedule's turn comes after it
        version = await version_row(connection, variant_id, None, slot)
        if version is not None:
            asked = RunAsked(variant_id, version["version"], SCHEDULE, "")
            run_id = await insert_run(connection, asked, version["version"], now, slot=slot)
            detail: dict[str, Any] = {"variant": variant_id, "version": version["version"], "scheduled_for": slot}
            entries.append(AuditEntry(SCHEDULE, "run.started", str(run_id), detail))
        await plan_next(connection, variant_id, now)
    if entries:
        await connection.execute(_FORGET, now - timedelta(days=RUNS_KEPT_DAYS))
        await announce(connection, RUNS)
        await audit.append(connection, entries, now)
    return len(entries)


async def _taking_in(connection: Connection) -> bool:
    state = await replay_state(connection)
    return state is not None and state.phase is Phase.INTAKE


def _run_of(row: asyncpg.Record) -> Run:
    return Run(
        row["run_id"],
        row["variant_id"],
        row["version"],
        row["reason"],
        row["day"],
        segments_of(row["body"]),
        row["done"],
        tuple(row["items"]),
        None if row["place"] is None else ServiceKey(*orjson.loads(row["place"])),
        row["portions"],
        orjson.loads(row["figures"]),
    )


def _late(now: datetime, since: datetime | None) -> float:
    return 0.0 if since is None else max(0.0, (now - since).total_seconds())


def _shown(row: asyncpg.Record) -> dict[str, Any]:
    return {**dict(row), "figures": orjson.loads(row["figures"])}
