"""When whom to judge, in PostgreSQL: one row per owner of orders, locked in ascending order of the owner."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

import asyncpg

from services.chassis.database import Connection
from services.reclassifier.application.ports import Cause, Claimed, Evaluated

_BUSINESS_NOW: Final = "coalesce((SELECT at FROM business_clock.replay), clock_timestamp())"

# DO UPDATE also where the row is due already: it waits for, or keeps out, an evaluation that has not seen this news.
_MAKE_DUE: Final = """
INSERT INTO customer (owner, due_at, correlation_id, causation_id, traceparent)
SELECT owner, '-infinity', correlation_id, causation_id, traceparent
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[])
    AS due (owner, correlation_id, causation_id, traceparent)
ORDER BY owner COLLATE "C"
ON CONFLICT (owner) DO UPDATE SET due_at = '-infinity', correlation_id = excluded.correlation_id,
    causation_id = excluded.causation_id, traceparent = excluded.traceparent
"""
_MAKE_KNOWN_DUE: Final = """
WITH known AS MATERIALIZED (
    SELECT c.owner, due.correlation_id, due.causation_id, due.traceparent
    FROM customer c JOIN unnest($1::text[], $2::text[], $3::text[], $4::text[])
        AS due (owner, correlation_id, causation_id, traceparent) USING (owner)
    ORDER BY owner FOR NO KEY UPDATE OF c
)
UPDATE customer c SET due_at = '-infinity', correlation_id = known.correlation_id,
    causation_id = known.causation_id, traceparent = known.traceparent
FROM known WHERE c.owner = known.owner
"""
_CLAIM: Final = f"""
SELECT owner, proposals, correlation_id, causation_id, traceparent FROM customer
WHERE due_at <= {_BUSINESS_NOW} AND due_at < 'infinity'
ORDER BY due_at, owner LIMIT $1 FOR NO KEY UPDATE SKIP LOCKED
"""  # noqa: S608 - constants
_SAVE: Final = """
UPDATE customer c SET due_at = coalesce(again_at, 'infinity'), proposals = given.proposals,
    correlation_id = NULL, causation_id = NULL, traceparent = NULL
FROM unnest($1::text[], $2::timestamptz[], $3::bigint[]) AS given (owner, again_at, proposals)
WHERE c.owner = given.owner
"""
_COUNT_DUE: Final = f"""
SELECT (SELECT count(*) FROM (
    SELECT FROM customer WHERE due_at <= {_BUSINESS_NOW} AND due_at < 'infinity' LIMIT $1) due)
    + (SELECT count(*) FROM sweep)
"""  # noqa: S608 - constants
_SWEEP: Final = """
WITH position AS MATERIALIZED (SELECT after_owner FROM sweep FOR UPDATE SKIP LOCKED),
portion AS MATERIALIZED (
    SELECT owner FROM customer WHERE owner > (SELECT after_owner FROM position)
    ORDER BY owner LIMIT $1 FOR NO KEY UPDATE
),
made_due AS (UPDATE customer c SET due_at = '-infinity' FROM portion WHERE c.owner = portion.owner),
moved AS (UPDATE sweep SET after_owner = (SELECT max(owner) FROM portion) WHERE EXISTS (SELECT FROM portion)),
ended AS (DELETE FROM sweep WHERE EXISTS (SELECT FROM position) AND NOT EXISTS (SELECT FROM portion))
SELECT count(*) FROM portion
"""


async def make_due(connection: Connection, causes: Mapping[str, Cause | None], *, known_only: bool) -> None:
    """Have these owners judged as soon as possible."""
    if not causes:
        return
    found = list(causes.values())
    await connection.execute(
        _MAKE_KNOWN_DUE if known_only else _MAKE_DUE,
        list(causes),
        [one and one.correlation_id for one in found],
        [one and one.causation_id for one in found],
        [one and one.traceparent for one in found],
    )


async def claim_due(connection: Connection, limit: int) -> list[Claimed]:
    """Owners that are due, earliest first; what others hold is left to them."""
    return [_claimed(row) for row in await connection.fetch(_CLAIM, limit)]


async def save_evaluations(connection: Connection, evaluated: Sequence[Evaluated]) -> None:
    """Store when to look again at owners that this transaction holds."""
    if not evaluated:
        return
    again: list[datetime | None] = [one.again_at for one in evaluated]
    await connection.execute(_SAVE, [one.owner for one in evaluated], again, [one.proposals for one in evaluated])


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


async def start_sweep(connection: Connection) -> None:
    """Begin at the first owner."""
    await connection.execute(
        "INSERT INTO sweep (after_owner) VALUES ('') ON CONFLICT (singleton) DO UPDATE SET after_owner = ''"
    )


async def continue_sweep(connection: Connection, limit: int) -> int:
    """Make the next owners due; 0 when there is no sweep, or it has ended, or another transaction is at it."""
    swept: int = await connection.fetchval(_SWEEP, limit)
    return swept


def _claimed(row: asyncpg.Record) -> Claimed:
    cause = None
    if row["correlation_id"] is not None:
        cause = Cause(row["correlation_id"], row["causation_id"], row["traceparent"])
    return Claimed(row["owner"], row["proposals"], cause)
