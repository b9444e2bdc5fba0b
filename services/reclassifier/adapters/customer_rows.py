"""When whom to judge, in PostgreSQL: one row per owner of orders, and per customer that a run has come to.

Rows are locked in ascending order of the owner.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

import asyncpg

from services.chassis.arrays import text_array, texts
from services.chassis.database import Connection
from services.reclassifier.application.ports import Cause, Claimed, Evaluated

# Asked for once a statement: compared with each row, a time that moves on is no end for the search in an index.
_BUSINESS_NOW: Final = "(SELECT coalesce((SELECT at FROM business_clock.replay), clock_timestamp()))"

# DO UPDATE also where the row is due already: it waits for, or keeps out, an evaluation that has not seen this news.
_MAKE_DUE: Final = f"""
INSERT INTO customer (owner, due_at, profile_at, correlation_id, causation_id, traceparent)
SELECT owner, '-infinity', '-infinity', correlation_id, causation_id, traceparent
FROM unnest({text_array(1)}, {text_array(2)}, {text_array(3)}, {text_array(4)})
    AS due (owner, correlation_id, causation_id, traceparent)
ORDER BY owner COLLATE "C"
ON CONFLICT (owner) DO UPDATE SET due_at = '-infinity', profile_at = '-infinity',
    correlation_id = excluded.correlation_id, causation_id = excluded.causation_id, traceparent = excluded.traceparent
"""  # noqa: S608 - constants
_MAKE_KNOWN_DUE: Final = f"""
WITH known AS MATERIALIZED (
    SELECT c.owner, due.correlation_id, due.causation_id, due.traceparent
    FROM customer c JOIN unnest({text_array(1)}, {text_array(2)}, {text_array(3)}, {text_array(4)})
        AS due (owner, correlation_id, causation_id, traceparent) USING (owner)
    ORDER BY owner FOR NO KEY UPDATE OF c
)
UPDATE customer c SET due_at = '-infinity', correlation_id = known.correlation_id,
    causation_id = known.causation_id, traceparent = known.traceparent
FROM known WHERE c.owner = known.owner
"""  # noqa: S608 - constants
CLAIM: Final = f"""
SELECT owner, proposals, correlation_id, causation_id, traceparent, run_id, falling_since FROM customer
WHERE due_at <= {_BUSINESS_NOW} AND due_at < 'infinity'
ORDER BY due_at, owner LIMIT {{limit}} FOR NO KEY UPDATE SKIP LOCKED
"""  # noqa: S608 - constants; the planner has to know the limit, or it reads and sorts everybody
# Most of the customers that a run looks at stay as they are, and so do their rows.
_SAVE: Final = """
UPDATE customer c SET due_at = coalesce(again_at, 'infinity'), proposals = given.proposals,
    falling_since = given.falling_since, run_id = NULL, correlation_id = NULL, causation_id = NULL, traceparent = NULL
FROM unnest($1::text[], $2::timestamptz[], $3::bigint[], $4::timestamptz[])
    AS given (owner, again_at, proposals, falling_since)
WHERE c.owner = given.owner
    AND (c.due_at, c.proposals, c.falling_since, c.run_id, c.correlation_id)
        IS DISTINCT FROM (coalesce(again_at, 'infinity'), given.proposals, given.falling_since, NULL, NULL)
"""
CLAIM_LOOKS: Final = f"""
SELECT owner FROM customer WHERE profile_at <= {_BUSINESS_NOW} AND profile_at < 'infinity'
ORDER BY profile_at, owner LIMIT {{limit}} FOR NO KEY UPDATE SKIP LOCKED
"""  # noqa: S608 - constants
_SAVE_LOOKS: Final = """
UPDATE customer c SET profile_at = coalesce(again_at, 'infinity')
FROM unnest($1::text[], $2::timestamptz[]) AS given (owner, again_at) WHERE c.owner = given.owner
"""
_COUNT_LOOKS: Final = f"""
SELECT count(*) FROM (
    SELECT FROM customer WHERE profile_at <= {_BUSINESS_NOW} AND profile_at < 'infinity' LIMIT $1) due
"""  # noqa: S608 - constants
_COUNT_DUE: Final = f"""
SELECT (SELECT count(*) FROM (
    SELECT FROM customer WHERE due_at <= {_BUSINESS_NOW} AND due_at < 'infinity' LIMIT $1) due)
    + (SELECT count(*) FROM sweep)
"""  # noqa: S608 - constants


async def make_due(connection: Connection, causes: Mapping[str, Cause | None], *, known_only: bool) -> None:
    """Have these owners judged as soon as possible."""
    if not causes:
        return
    found = list(causes.values())
    await connection.execute(
        _MAKE_KNOWN_DUE if known_only else _MAKE_DUE,
        texts(list(causes)),
        texts([None if one is None else one.correlation_id for one in found]),
        texts([None if one is None else one.causation_id for one in found]),
        texts([None if one is None else one.traceparent for one in found]),
    )


async def claim_due(connection: Connection, limit: int) -> list[Claimed]:
    """Owners that are due, earliest first; what others hold is left to them."""
    return [claimed_in(row) for row in await connection.fetch(CLAIM.format(limit=limit))]


async def save_evaluations(connection: Connection, evaluated: Sequence[Evaluated]) -> None:
    """Store when to look again at owners that this transaction holds."""
    if not evaluated:
        return
    again: list[datetime | None] = [one.again_at for one in evaluated]
    falling = [one.falling_since for one in evaluated]
    await connection.execute(
        _SAVE, [one.owner for one in evaluated], again, [one.proposals for one in evaluated], falling
    )


async def claim_looks(connection: Connection, limit: int) -> list[str]:
    """Owners whose demand is to be looked at, the longest waiting first; what others hold is left to them."""
    return [row["owner"] for row in await connection.fetch(CLAIM_LOOKS.format(limit=limit))]


async def save_looks(connection: Connection, again: Mapping[str, datetime | None]) -> None:
    """Store when to look again at owners that this transaction holds."""
    await connection.execute(_SAVE_LOOKS, list(again), list(again.values()))


async def count_looks(connection: Connection, limit: int) -> int:
    """How many are to be looked at now."""
    due: int = await connection.fetchval(_COUNT_LOOKS, limit)
    return due


async def count_due(connection: Connection, limit: int) -> int:
    """How many are due now, a sweep counted as one more."""
    due: int = await connection.fetchval(_COUNT_DUE, limit)
    return due


async def forget_owners(connection: Connection, owners: Sequence[str]) -> None:
    """Remove owners whose orders count elsewhere now."""
    await connection.execute(
        "DELETE FROM customer WHERE owner IN"
        " (SELECT owner FROM customer WHERE owner = ANY($1) ORDER BY owner FOR UPDATE)",
        list(owners),
    )


async def count_published(connection: Connection, owners: Sequence[str]) -> dict[str, int]:
    """Count one more published proposal of each of these owners; how many there are."""
    rows = await connection.fetch(
        "WITH held AS MATERIALIZED (SELECT owner FROM customer WHERE owner = ANY($1) ORDER BY owner FOR NO KEY UPDATE)"
        " UPDATE customer c SET proposals = proposals + 1 FROM held WHERE c.owner = held.owner"
        " RETURNING c.owner, c.proposals",
        list(owners),
    )
    return {row["owner"]: row["proposals"] for row in rows}


def claimed_in(row: asyncpg.Record) -> Claimed:
    """An owner that was claimed."""
    cause = None
    if row["correlation_id"] is not None:
        cause = Cause(row["correlation_id"], row["causation_id"], row["traceparent"])
    return Claimed(row["owner"], row["proposals"], cause, row["run_id"], row["falling_since"])
