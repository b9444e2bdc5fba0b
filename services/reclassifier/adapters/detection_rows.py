"""Detections in PostgreSQL: one row while a finding stands, however often it is seen."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

import asyncpg
import orjson

from services.chassis.database import Connection
from services.reclassifier.application.detection_ports import DetectionsAsked, StoredDetection
from services.reclassifier.domain.detections import Basis, Detection, Kind

_LOCK: Final = 4_217_309  # any number that no other advisory lock here uses
_SAVE: Final = """
INSERT INTO detection (kind, basis, owner, actor, tier, numbers, limits, sentence, window_from, found_at, seen_at)
SELECT kind, basis, owner, actor, tier, numbers, limits, sentence, $9, $10, $10
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[]::jsonb[], $7::text[]::jsonb[],
    $8::text[]) AS given (kind, basis, owner, actor, tier, numbers, limits, sentence)
ON CONFLICT (kind, basis, owner, actor, tier) WHERE ended_at IS NULL DO UPDATE SET numbers = excluded.numbers,
    limits = excluded.limits, sentence = excluded.sentence, window_from = excluded.window_from,
    seen_at = excluded.seen_at
"""
_END: Final = """
UPDATE detection d SET ended_at = $6 WHERE ended_at IS NULL AND NOT EXISTS (
    SELECT FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[])
        AS f (kind, basis, owner, actor, tier)
    WHERE (f.kind, f.basis, f.owner, f.actor, f.tier) = (d.kind, d.basis, d.owner, d.actor, d.tier))
"""
_PAGE: Final = """
SELECT * FROM detection WHERE position > $1 AND ($2::text IS NULL OR kind = $2) AND ($3::text IS NULL OR owner = $3)
    AND ($4::text IS NULL OR actor = $4) AND ($5::bool IS NULL OR (ended_at IS NULL) = $5)
ORDER BY position LIMIT $6
"""


async def may_look(connection: Connection, now: datetime, every: timedelta) -> bool:
    """Whether it is time to look again and nobody else does; nobody will until the commit."""
    if not await connection.fetchval("SELECT pg_try_advisory_xact_lock($1)", _LOCK):
        return False
    looked_at: datetime | None = await connection.fetchval("SELECT looked_at FROM detection_look")
    return looked_at is None or not looked_at <= now < looked_at + every


async def save_detections(
    connection: Connection, found: Sequence[Detection], window_from: datetime, now: datetime
) -> None:
    """Store what is found now, and that everything else has ended."""
    rows = [
        (
            *one.identity,
            orjson.dumps(dict(one.numbers)).decode(),
            orjson.dumps(dict(one.limits)).decode(),
            one.sentence,
        )
        for one in found
    ]
    columns = [list(column) for column in zip(*rows, strict=True)] if rows else [[]] * 8
    await connection.execute(_END, *columns[:5], now)
    await connection.execute(_SAVE, *columns, window_from, now)
    await connection.execute(
        "INSERT INTO detection_look (looked_at) VALUES ($1)"
        " ON CONFLICT (singleton) DO UPDATE SET looked_at = excluded.looked_at",
        now,
    )


async def standing_by_kind(connection: Connection) -> Mapping[Kind, int]:
    """How many detections of each kind stand."""
    rows = await connection.fetch("SELECT kind, count(*) AS found FROM detection WHERE ended_at IS NULL GROUP BY kind")
    counts = {row["kind"]: row["found"] for row in rows}
    return {kind: counts.get(kind.value, 0) for kind in Kind}


async def page_of_detections(
    connection: Connection, asked: DetectionsAsked, after: int, limit: int
) -> list[StoredDetection]:
    """Detections by position, after the one given."""
    kind = None if asked.kind is None else asked.kind.value
    rows = await connection.fetch(_PAGE, after, kind, asked.owner, asked.user, asked.standing, limit)
    return [_stored(row) for row in rows]


def _stored(row: asyncpg.Record) -> StoredDetection:
    detection = Detection(
        Kind(row["kind"]),
        Basis(row["basis"]),
        row["owner"] or None,
        row["actor"] or None,
        row["tier"] or None,
        tuple(sorted(orjson.loads(row["numbers"]).items())),
        tuple(sorted(orjson.loads(row["limits"]).items())),
        row["sentence"],
    )
    return StoredDetection(
        row["position"], detection, row["window_from"], row["found_at"], row["seen_at"], row["ended_at"]
    )
