"""Feedback in PostgreSQL: one row a piece. One transaction at a time: a CRM sends few."""

from collections.abc import Collection, Mapping, Sequence
from typing import Final

import asyncpg

from services.chassis.database import Connection
from services.reclassifier.adapters.ownership_rows import rows_of_owner
from services.reclassifier.domain.feedback import Feedback, FeedbackKey, FeedbackKind, HeardFeedback
from services.reclassifier.domain.orders import Reference

_LOCK: Final = 4_217_304  # any number that no other advisory lock here uses
_SAVE: Final = """
INSERT INTO feedback (source, reference, version, customer_id, reference_system, reference_id, owner, day, kind, score,
    withdrawn)
SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::text[], $8::int[],
    $9::text[], $10::int[], $11::bool[])
ON CONFLICT (source, reference) DO UPDATE SET version = excluded.version, customer_id = excluded.customer_id,
    reference_system = excluded.reference_system, reference_id = excluded.reference_id, owner = excluded.owner,
    day = excluded.day, kind = excluded.kind, score = excluded.score, withdrawn = excluded.withdrawn
"""
_MOVE: Final = """
UPDATE feedback SET owner = move.new_owner FROM unnest($1::text[], $2::text[]) AS move (old_owner, new_owner)
WHERE feedback.owner = move.old_owner
"""


async def lock_feedback(connection: Connection, keys: Collection[FeedbackKey]) -> dict[FeedbackKey, HeardFeedback]:
    """Those of these pieces that are stored; until the commit nobody else stores any."""
    await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
    rows = await connection.fetch(
        "SELECT f.* FROM feedback f JOIN unnest($1::text[], $2::text[]) AS wanted (source, reference)"
        " USING (source, reference)",
        [key.source for key in keys],
        [key.reference for key in keys],
    )
    return {heard.feedback.key: heard for heard in map(_heard, rows)}


async def load_feedback_of(
    connection: Connection, owner: str, after: FeedbackKey | None, limit: int
) -> list[HeardFeedback]:
    """Pieces of an owner, of others than itself by what they say, in the order of their keys, after one."""
    rows = await rows_of_owner(connection, "feedback", owner, after, limit)
    return [_heard(row) for row in rows]


async def save_feedback(connection: Connection, heard: Sequence[HeardFeedback]) -> None:
    """Store pieces as they are now."""
    if not heard:
        return
    rows = [
        (
            *one.feedback.key,
            one.feedback.version,
            one.feedback.customer_id,
            *one.feedback.said_by,
            one.owner,
            one.feedback.day,
            one.feedback.kind.value,
            one.feedback.score,
            one.feedback.withdrawn,
        )
        for one in heard
    ]
    await connection.execute(_SAVE, *(list(column) for column in zip(*rows, strict=True)))


async def move_feedback(connection: Connection, moves: Mapping[str, str]) -> None:
    """Let pieces count under another owner."""
    await connection.execute(_MOVE, list(moves), list(moves.values()))


def _heard(row: asyncpg.Record) -> HeardFeedback:
    feedback = Feedback(
        FeedbackKey(row["source"], row["reference"]),
        row["version"],
        row["customer_id"],
        Reference(row["reference_system"], row["reference_id"]),
        row["day"],
        FeedbackKind(row["kind"]),
        row["score"],
        row["withdrawn"],
    )
    return HeardFeedback(feedback, row["owner"])
