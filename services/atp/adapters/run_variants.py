"""Variants of backorder processing, in PostgreSQL: versions that replace each other from their effective dates on."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, time
from typing import Any, Final

import asyncpg
import orjson

from services.atp.application.planning import Values, VersionMoved
from services.atp.application.run_variants import (
    VARIANTS_MAX,
    VERSIONS_READ_MAX,
    Schedule,
    TooManyVariants,
    VariantDraft,
    VariantVersion,
    next_slot,
)
from services.atp.domain.run_segments import Segment
from services.chassis import audit
from services.chassis.audit.chain import AuditEntry
from services.chassis.business_time import business_now
from services.chassis.database import Connection, Database, announce

RUNS: Final = "runs"  # the subject of the NOTIFY that wakes whoever takes runs further
WEEKDAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_LOCK_ALL: Final = "LOCK TABLE run_variant IN SHARE ROW EXCLUSIVE MODE"
_COUNT: Final = "SELECT count(*) FROM run_variant WHERE variant_id <> $1"
_LATEST: Final = "SELECT version FROM run_variant WHERE variant_id = $1 FOR UPDATE"
_PUT: Final = """
INSERT INTO run_variant (variant_id, version) VALUES ($1, $2)
ON CONFLICT (variant_id) DO UPDATE SET version = excluded.version
"""
_ADD: Final = """
INSERT INTO run_variant_version (variant_id, version, effective_from, author, body) VALUES ($1, $2, $3, $4, $5)
"""
_END_OTHERS: Final = """
UPDATE run_variant_version SET effective_to = $3
WHERE variant_id = $1 AND version < $2 AND (effective_to IS NULL OR effective_to > $3)
"""
_PLAN: Final = "UPDATE run_variant SET next_slot = $2 WHERE variant_id = $1"
_COME: Final = "SELECT next_slot FROM run_variant WHERE variant_id = $1 AND next_slot <= $2"
_VERSIONS: Final = """
SELECT variant_id, version, effective_from, effective_to, author, recorded_at, body FROM run_variant_version
WHERE variant_id = $1 AND ($2::bigint IS NULL OR version < $2) ORDER BY version DESC LIMIT $3
"""
_ONE: Final = """
SELECT v.variant_id, v.version, v.effective_from, v.effective_to, v.author, v.recorded_at, v.body, h.next_slot
FROM run_variant_version v JOIN run_variant h ON h.variant_id = v.variant_id
WHERE v.variant_id = $1 AND CASE WHEN $2::bigint IS NULL
    THEN v.effective_from <= $3 AND (v.effective_to IS NULL OR v.effective_to > $3) ELSE v.version = $2 END
"""
_HEADS: Final = "SELECT variant_id, version, next_slot FROM run_variant WHERE variant_id > $1 ORDER BY 1 LIMIT $2"


class PostgresRunVariants:
    """`RunVariants` over a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def store(self, draft: VariantDraft) -> tuple[int, datetime | None]:
        """See the port."""
        return await self._database.run(lambda connection: _store(connection, draft), label="run variant")

    async def version(self, variant_id: str, version: int | None, at: datetime | None) -> Values | None:
        """See the port."""

        async def work(connection: Connection) -> Values | None:
            row = await version_row(connection, variant_id, version, at or await business_now(connection))
            return None if row is None else {**_shown(row), "next_run": row["next_slot"]}

        return await self._database.read(work)

    async def versions(self, variant_id: str, before: int | None, limit: int) -> list[dict[str, Any]]:
        """See the port."""
        rows = await self._database.read(lambda connection: connection.fetch(_VERSIONS, variant_id, before, limit))
        return [_shown(row) for row in rows]

    async def variants(self, after: str, limit: int) -> list[dict[str, Any]]:
        """See the port."""
        rows = await self._database.read(lambda connection: connection.fetch(_HEADS, after, limit))
        return [
            {"variant_id": row["variant_id"], "version": row["version"], "next_run": row["next_slot"]} for row in rows
        ]


async def version_row(
    connection: Connection, variant_id: str, version: int | None, at: datetime
) -> asyncpg.Record | None:
    """A version; without a number the one in effect at a time."""
    return await connection.fetchrow(_ONE, variant_id, version, at)


async def versions_of(connection: Connection, variant_id: str) -> list[VariantVersion]:
    """The newest versions of a variant, the newest first."""
    rows = await connection.fetch(_VERSIONS, variant_id, None, VERSIONS_READ_MAX)
    return [
        VariantVersion(
            row["version"],
            segments_of(row["body"]),
            _schedule_of(orjson.loads(row["body"])["schedule"]),
            row["effective_from"].astimezone(UTC),
            None if row["effective_to"] is None else row["effective_to"].astimezone(UTC),
        )
        for row in rows
    ]


async def plan_next(connection: Connection, variant_id: str, after: datetime) -> datetime | None:
    """Let a variant, whose row is locked, be run next at the first moment of its schedules after another one."""
    slot = next_slot(await versions_of(connection, variant_id), after)
    await connection.execute(_PLAN, variant_id, slot)
    return slot


def segments_of(body: str | bytes) -> tuple[Segment, ...]:
    """The segments of a stored version."""
    given: Sequence[Mapping[str, Any]] = orjson.loads(body)["segments"]
    return tuple(
        Segment(
            each["strategy"],
            tiers=tuple(each["tiers"]),
            items=tuple(each["skus"]),
            locations=tuple(each["locations"]),
            zones=tuple(each["zones"]),
            channels=tuple(each["channels"]),
            customers=tuple(each["customers"]),
            wanted_from=each["wanted_from_days"],
            wanted_through=each["wanted_through_days"],
        )
        for each in given
    )


def _schedule_of(given: Mapping[str, Any] | None) -> Schedule | None:
    if given is None:
        return None
    weekdays = tuple(sorted(WEEKDAYS.index(each) + 1 for each in given["days"]))
    return Schedule(weekdays, tuple(time.fromisoformat(each) for each in given["times"]), given["time_zone"])


async def _store(connection: Connection, draft: VariantDraft) -> tuple[int, datetime | None]:
    await connection.execute(_LOCK_ALL)  # planners are few, and a new variant has no row to lock
    latest: int = await connection.fetchval(_LATEST, draft.variant_id) or 0
    if draft.base is not None and draft.base != latest:
        raise VersionMoved(latest)
    if not latest and await connection.fetchval(_COUNT, draft.variant_id) >= VARIANTS_MAX:
        raise TooManyVariants
    now = await business_now(connection)
    effective_from = draft.effective_from or now
    version = latest + 1
    await connection.execute(_PUT, draft.variant_id, version)
    await connection.execute(_ADD, draft.variant_id, version, effective_from, draft.author, draft.body.decode())
    await connection.execute(_END_OTHERS, draft.variant_id, version, effective_from)
    slot: datetime | None = await connection.fetchval(_COME, draft.variant_id, now)
    if slot is None:  # else that moment is still to be run, by the version that was in effect then
        slot = await plan_next(connection, draft.variant_id, now)
    await announce(connection, RUNS)
    detail: dict[str, Any] = {"version": version, "effective_from": effective_from}
    entry = AuditEntry(draft.author, "run_variant.changed", draft.variant_id, detail)
    await audit.append(connection, [entry], now)
    return version, slot


def _shown(row: asyncpg.Record) -> dict[str, Any]:
    names = ("variant_id", "version", "effective_from", "effective_to", "author", "recorded_at")
    return {**orjson.loads(row["body"]), **{name: row[name] for name in names}}
