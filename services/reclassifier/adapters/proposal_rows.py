"""Proposals in PostgreSQL, in the order in which they were committed."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

import asyncpg
import orjson

from services.chassis.database import Connection
from services.reclassifier.application.ports import Proposal, ProposalState
from services.reclassifier.domain.classification import Held
from services.reclassifier.domain.leaves import Finding

_POSITION_LOCK: Final = 4_217_302  # any number that no other advisory lock here uses
_COLUMNS: Final = (
    "position, proposal_id, customer_id, from_tier, to_tier, rule_set_id, rule_version, as_of, expires_at,"
    " based_on_sequence, reason, evidence, state, run_id, held_by, decided_by, decision_reason"
)
_INSERT: Final = """
INSERT INTO proposal (proposal_id, customer_id, from_tier, to_tier, rule_set_id, rule_version, as_of, expires_at,
    based_on_sequence, reason, evidence, state, run_id, held_by, published_at)
SELECT proposal_id, customer_id, from_tier, to_tier, rule_set_id, rule_version, as_of, expires_at,
    based_on_sequence, reason, evidence::jsonb, state, run_id, held_by, CASE state WHEN 'open' THEN as_of END
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::timestamptz[],
    $8::timestamptz[], $9::bigint[], $10::text[], $11::text[], $12::text[], $13::bigint[],
    $14::text[]) WITH ORDINALITY
    AS given (proposal_id, customer_id, from_tier, to_tier, rule_set_id, rule_version, as_of, expires_at,
              based_on_sequence, reason, evidence, state, run_id, held_by, place)
ORDER BY place
"""
# Looked up one by one: a plan made for them all while there were few proposals reads every proposal, many times over,
# when a run has made tens of thousands.
OPEN: Final = f"""
SELECT own.* FROM unnest($1::text[]) AS wanted (customer_id) CROSS JOIN LATERAL (
    SELECT {_COLUMNS} FROM proposal
    WHERE proposal.customer_id = wanted.customer_id AND state IN ('shadow', 'awaiting', 'open')
    ORDER BY position FOR NO KEY UPDATE
) own
"""  # noqa: S608 - constants
_END: Final = """
UPDATE proposal SET state = given.state, ended_at = $3
FROM unnest($1::uuid[], $2::text[]) AS given (proposal_id, state) WHERE proposal.proposal_id = given.proposal_id
"""
_AWAITING: Final = f"""
SELECT {_COLUMNS} FROM proposal WHERE proposal_id = $1 OR (run_id = $2 AND state = 'awaiting')
ORDER BY position LIMIT $3
"""  # noqa: S608 - constants
_AWAITING_CUSTOMERS: Final = f"""
SELECT FROM customer WHERE owner IN (SELECT 'c:' || customer_id FROM ({_AWAITING}) awaiting)
"""  # noqa: S608 - constants


async def lock_open_proposals(connection: Connection, customer_ids: Collection[str]) -> dict[str, list[Proposal]]:
    """Those of these customers that have not ended, by customer, locked."""
    rows = await connection.fetch(OPEN, list(customer_ids))
    found: dict[str, list[Proposal]] = defaultdict(list)
    for row in rows:
        found[row["customer_id"]].append(_proposal(row))
    return dict(found)


async def add_proposals(connection: Connection, proposals: Sequence[Proposal]) -> None:
    """Store new ones. One transaction at a time, so that a reader who follows the positions misses none."""
    if not proposals:
        return
    await connection.execute("SELECT pg_advisory_xact_lock($1)", _POSITION_LOCK)
    await connection.execute(
        _INSERT,
        [UUID(one.proposal_id) for one in proposals],
        [one.customer_id for one in proposals],
        [one.from_tier for one in proposals],
        [one.to_tier for one in proposals],
        [one.rule_set_id for one in proposals],
        [one.rule_version for one in proposals],
        [one.as_of for one in proposals],
        [one.expires_at for one in proposals],
        [one.based_on_sequence for one in proposals],
        [one.reason for one in proposals],
        [orjson.dumps([_finding_document(each) for each in one.evidence]).decode() for one in proposals],
        [one.state.value for one in proposals],
        [one.run_id for one in proposals],
        [one.held_by and one.held_by.value for one in proposals],
    )


async def end_proposals(connection: Connection, ended: Sequence[tuple[str, ProposalState]], at: datetime) -> None:
    """Store what became of proposals that this transaction holds."""
    if ended:
        ids = [UUID(proposal_id) for proposal_id, _ in ended]
        await connection.execute(_END, ids, [state.value for _, state in ended], at)


async def page_of_proposals(
    connection: Connection, after: int, limit: int, *, state: ProposalState | None, run_id: int | None
) -> list[Proposal]:
    """Those after a position, in order."""
    rows = await connection.fetch(
        f"SELECT {_COLUMNS} FROM proposal WHERE position > $1 AND ($3::text IS NULL OR state = $3)"  # noqa: S608
        " AND ($4::bigint IS NULL OR run_id = $4) ORDER BY position LIMIT $2",
        after,
        limit,
        None if state is None else state.value,
        run_id,
    )
    return [_proposal(row) for row in rows]


async def lock_awaiting(
    connection: Connection, proposal_id: str | None, run_id: int | None, limit: int
) -> list[Proposal]:
    """The proposal in whatever state, or the first of a run that await somebody; their customers are locked first."""
    wanted = (None if proposal_id is None else UUID(proposal_id), run_id, limit)
    await connection.execute(f"{_AWAITING_CUSTOMERS} ORDER BY owner FOR NO KEY UPDATE", *wanted)
    rows = await connection.fetch(f"{_AWAITING} FOR NO KEY UPDATE", *wanted)
    return [_proposal(row) for row in rows]


async def decide_proposals(connection: Connection, decided: Sequence[Proposal], at: datetime) -> None:
    """Store what a person decided."""
    await connection.execute(
        "UPDATE proposal SET state = given.state, decided_by = given.decided_by,"
        " decision_reason = given.decision_reason,"
        " published_at = CASE given.state WHEN 'open' THEN $5::timestamptz END,"
        " ended_at = CASE given.state WHEN 'open' THEN NULL ELSE $5::timestamptz END"
        " FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[])"
        " AS given (proposal_id, state, decided_by, decision_reason) WHERE proposal.proposal_id = given.proposal_id",
        [UUID(one.proposal_id) for one in decided],
        [one.state.value for one in decided],
        [one.decided_by for one in decided],
        [one.decision_reason for one in decided],
        at,
    )


async def failed_at(connection: Connection, customer_ids: Collection[str], rule_set_id: str) -> dict[str, datetime]:
    """When a proposal for these customers last came to nothing."""
    rows = await connection.fetch(
        "SELECT customer_id, max(ended_at) AS at FROM proposal WHERE customer_id = ANY($1) AND rule_set_id = $2"
        " AND state IN ('overtaken', 'expired', 'rejected') GROUP BY customer_id",
        list(customer_ids),
        rule_set_id,
    )
    return {row["customer_id"]: row["at"] for row in rows}


async def automatic_moves_since(connection: Connection, rule_set_id: str, since: datetime) -> int:
    """Moves made without a person; until the commit nobody else makes any."""
    await connection.execute("SELECT pg_advisory_xact_lock($1)", _POSITION_LOCK)
    count: int = await connection.fetchval(
        "SELECT count(*) FROM proposal WHERE rule_set_id = $1 AND published_at > $2 AND held_by IS NULL",
        rule_set_id,
        since,
    )
    return count


def _finding_document(finding: Finding) -> dict[str, str]:
    return {"name": finding.name, "value": finding.value, "limit": finding.limit}


def _finding(document: Mapping[str, str]) -> Finding:
    return Finding(document["name"], document["value"], document["limit"])


def _proposal(row: asyncpg.Record) -> Proposal:
    return Proposal(
        proposal_id=str(row["proposal_id"]),
        customer_id=row["customer_id"],
        from_tier=row["from_tier"],
        to_tier=row["to_tier"],
        rule_set_id=row["rule_set_id"],
        rule_version=row["rule_version"],
        as_of=row["as_of"],
        expires_at=row["expires_at"],
        based_on_sequence=row["based_on_sequence"],
        reason=row["reason"],
        evidence=tuple(_finding(document) for document in orjson.loads(row["evidence"])),
        state=ProposalState(row["state"]),
        position=row["position"],
        run_id=row["run_id"],
        held_by=None if row["held_by"] is None else Held(row["held_by"]),
        decided_by=row["decided_by"],
        decision_reason=row["decision_reason"],
    )
