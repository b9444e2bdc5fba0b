"""Change requests in PostgreSQL."""

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

import asyncpg

from services.chassis.database import Connection
from services.segment_registry.application.ports import BothHands
from services.segment_registry.domain.change_requests import Approval, ChangeRequest, RequestState

_COLUMNS: Final = (
    "request_id, kind, content, reason, authors, proposed_at, expires_at, state, approver, approved_sha256,"
    " approved_at, approval_expires_at, closed_by, closed_at, closing_reason, revision"
)
_SAVE: Final = f"""
INSERT INTO change_request ({_COLUMNS})
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
ON CONFLICT (request_id) DO UPDATE SET kind = excluded.kind, content = excluded.content, reason = excluded.reason,
    authors = excluded.authors, expires_at = excluded.expires_at, revision = excluded.revision,
    state = excluded.state, approver = excluded.approver,
    approved_sha256 = excluded.approved_sha256, approved_at = excluded.approved_at,
    approval_expires_at = excluded.approval_expires_at, closed_by = excluded.closed_by,
    closed_at = excluded.closed_at, closing_reason = excluded.closing_reason
"""  # noqa: S608 - the columns are a constant
# Whose keys together may propose and approve, and who did both with one kind of change.
_KEYS: Final = """
SELECT subject, array_agg(DISTINCT scope ORDER BY scope) AS scopes FROM api_key, unnest(scopes) AS scope
WHERE revoked_at IS NULL AND (expires_at IS NULL OR expires_at > clock_timestamp()) GROUP BY subject ORDER BY subject
"""
_ACTED: Final = """
SELECT person, kind, count(*) FILTER (WHERE proposed) AS proposed, count(*) FILTER (WHERE NOT proposed) AS approved
FROM (
    SELECT unnest(authors) AS person, kind, true AS proposed FROM change_request
    UNION ALL SELECT approver, kind, false FROM change_request WHERE approver IS NOT NULL
) AS acts
GROUP BY person, kind HAVING bool_or(proposed) AND NOT bool_and(proposed) ORDER BY person, kind
"""


async def load_request(connection: Connection, request_id: str, *, lock: bool = False) -> ChangeRequest | None:
    """One request, held as it is with `lock`; None if there is none."""
    try:
        wanted = UUID(request_id)
    except ValueError:
        return None
    suffix = " FOR UPDATE" if lock else ""
    row = await connection.fetchrow(
        f"SELECT {_COLUMNS} FROM change_request WHERE request_id = $1{suffix}",  # noqa: S608 - constants
        wanted,
    )
    return None if row is None else _request(row)


async def page_of_requests(
    connection: Connection, state: RequestState | None, after: str | None, limit: int
) -> list[ChangeRequest]:
    """Requests by id, which is by time, after the one given."""
    rows = await connection.fetch(
        f"SELECT {_COLUMNS} FROM change_request WHERE ($1::text IS NULL OR state = $1) AND request_id > $2"  # noqa: S608
        " ORDER BY request_id LIMIT $3",
        state,
        UUID(int=0) if after is None else UUID(after),
        limit,
    )
    return [_request(row) for row in rows]


async def drafts(connection: Connection) -> int:
    """How many requests are drafts."""
    count: int = await connection.fetchval("SELECT count(*) FROM change_request WHERE state = 'draft'")
    return count


async def requests_of_tier(connection: Connection, tier: str, limit: int) -> list[ChangeRequest]:
    """What is not closed about the definition of a tier, the oldest first."""
    rows = await connection.fetch(
        f"SELECT {_COLUMNS} FROM change_request WHERE state IN ('draft', 'open', 'approved')"  # noqa: S608 - a constant
        " AND kind IN ('tier', 'tier_plan_withdrawal') AND content::jsonb ->> 'tier' = $1"
        " ORDER BY request_id LIMIT $2",
        tier,
        limit,
    )
    return [_request(row) for row in rows]


async def save_requests(connection: Connection, requests: Sequence[ChangeRequest]) -> None:
    """Store requests as they are now."""
    await connection.executemany(_SAVE, [_values(request) for request in requests])


async def both_hands(connection: Connection, propose: Sequence[str], approve: Sequence[str]) -> BothHands:
    """Who may propose and approve by the keys of the table, and who has done both."""
    keys = [
        (row["subject"], tuple(row["scopes"]))
        for row in await connection.fetch(_KEYS)
        if any(scope in row["scopes"] for scope in propose) and any(scope in row["scopes"] for scope in approve)
    ]
    acted = [(row["person"], row["kind"], row["proposed"], row["approved"]) for row in await connection.fetch(_ACTED)]
    return BothHands(tuple(keys), tuple(acted))


def _request(row: asyncpg.Record) -> ChangeRequest:
    approval = None
    if row["approver"] is not None:
        approval = Approval(row["approver"], row["approved_sha256"], row["approved_at"], row["approval_expires_at"])
    return ChangeRequest(
        str(row["request_id"]),
        row["kind"],
        row["content"],
        row["reason"],
        tuple(row["authors"]),
        row["proposed_at"],
        row["expires_at"],
        RequestState(row["state"]),
        approval,
        row["closed_by"],
        row["closed_at"],
        row["closing_reason"],
        row["revision"],
    )


def _values(request: ChangeRequest) -> tuple[Any, ...]:
    approval = request.approval
    return (
        UUID(request.request_id),
        request.kind,
        request.content,
        request.reason,
        list(request.authors),
        request.proposed_at,
        request.expires_at,
        request.state,
        None if approval is None else approval.approver,
        None if approval is None else approval.content_sha256,
        None if approval is None else approval.at,
        None if approval is None else approval.expires_at,
        request.closed_by,
        request.closed_at,
        request.closing_reason,
        request.revision,
    )
