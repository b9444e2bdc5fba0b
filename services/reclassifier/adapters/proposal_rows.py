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
from services.reclassifier.domain.predicates import Finding

_POSITION_LOCK: Final = 4_217_302  # any number that no other advisory lock here uses
_COLUMNS: Final = (
    "position, proposal_id, customer_id, from_tier, to_tier, rule_set_id, rule_version, as_of, expires_at,"
    " based_on_sequence, reason, evidence, state"
)
_INSERT: Final = """
INSERT INTO proposal (proposal_id, customer_id, from_tier, to_tier, rule_set_id, rule_version, as_of, expires_at,
    based_on_sequence, reason, evidence, state)
SELECT proposal_id, customer_id, from_tier, to_tier, rule_set_id, rule_version, as_of, expires_at,
    based_on_sequence, reason, evidence::jsonb, 'open'
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::timestamptz[],
    $8::timestamptz[], $9::bigint[], $10::text[], $11::text[]) WITH ORDINALITY
    AS given (proposal_id, customer_id, from_tier, to_tier, rule_set_id, rule_version, as_of, expires_at,
              based_on_sequence, reason, evidence, place)
ORDER BY place
"""
_END: Final = """
UPDATE proposal SET state = given.state, ended_at = $3
FROM unnest($1::uuid[], $2::text[]) AS given (proposal_id, state) WHERE proposal.proposal_id = given.proposal_id
"""


async def lock_open_proposals(connection: Connection, customer_ids: Collection[str]) -> dict[str, list[Proposal]]:
    """The open ones of these customers by customer, locked."""
    rows = await connection.fetch(
        f"SELECT {_COLUMNS} FROM proposal WHERE customer_id = ANY($1) AND state = 'open'"  # noqa: S608
        " ORDER BY position FOR NO KEY UPDATE",
        list(customer_ids),
    )
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
    )


async def end_proposals(connection: Connection, ended: Sequence[tuple[str, ProposalState]], at: datetime) -> None:
    """Store what became of proposals that this transaction holds."""
    if ended:
        ids = [UUID(proposal_id) for proposal_id, _ in ended]
        await connection.execute(_END, ids, [state.value for _, state in ended], at)


async def page_of_proposals(connection: Connection, after: int, limit: int) -> list[Proposal]:
    """Those after a position, in order."""
    rows = await connection.fetch(
        f"SELECT {_COLUMNS} FROM proposal WHERE position > $1 ORDER BY position LIMIT $2",  # noqa: S608
        after,
        limit,
    )
    return [_proposal(row) for row in rows]


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
    )
