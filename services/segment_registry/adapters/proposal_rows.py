"""Proposals in PostgreSQL: each once, with what became of it."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, Final

import asyncpg

from services.chassis.database import Connection
from services.segment_registry.adapters.assignment_rows import evidence_from, evidence_json
from services.segment_registry.application.ports import Cause, LostRace, ProposalVerdict
from services.segment_registry.domain.proposals import Proposal

_COLUMNS: Final = (
    "proposal_id",
    "customer_id",
    "from_tier",
    "to_tier",
    "rule",
    "rule_version",
    "based_on_sequence",
    "as_of",
    "reason",
    "evidence",
    "author",
    "correlation_id",
    "causation_id",
    "traceparent",
    "received_at",
    "state",
    "refusal",
    "decided_at",
    "assignment_sequence",
)


async def proposals_known(connection: Connection, proposal_ids: Collection[str]) -> set[str]:
    """Which of these were received before."""
    rows = await connection.fetch("SELECT proposal_id FROM proposal WHERE proposal_id = ANY($1)", list(proposal_ids))
    return {row["proposal_id"] for row in rows}


async def proposals_waiting(connection: Connection) -> int:
    """How many wait."""
    waiting: int = await connection.fetchval("SELECT count(*) FROM proposal WHERE state = 'waiting'")
    return waiting


async def lock_waiting_proposals(connection: Connection, limit: int) -> list[ProposalVerdict]:
    """Waiting ones in the order of their arrival, locked."""
    rows = await connection.fetch(
        "SELECT proposal_id, customer_id, from_tier, to_tier, rule, rule_version, based_on_sequence, as_of, reason,"
        " evidence, author, correlation_id, causation_id, traceparent FROM proposal"
        " WHERE state = 'waiting' ORDER BY position LIMIT $1 FOR UPDATE",
        limit,
    )
    return [_verdict(row) for row in rows]


async def save_proposals(connection: Connection, verdicts: Sequence[ProposalVerdict], at: datetime) -> None:
    """Store what became of them; one that waited keeps its row and its place."""
    settled = await _settle(connection, [verdict for verdict in verdicts if verdict.waited], at)
    new = [verdict for verdict in verdicts if verdict.proposal.proposal_id not in settled]
    try:
        await connection.copy_records_to_table(
            "proposal", columns=list(_COLUMNS), records=[_values(verdict, at) for verdict in new]
        )
    except asyncpg.UniqueViolationError as error:
        raise LostRace("a proposal was received twice") from error


async def _settle(connection: Connection, verdicts: Sequence[ProposalVerdict], at: datetime) -> set[str]:
    if not verdicts:
        return set()
    rows = await connection.fetch(
        "UPDATE proposal SET state = verdict.state, refusal = verdict.refusal, decided_at = $5,"
        " assignment_sequence = verdict.assignment_sequence"
        " FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[])"
        " AS verdict (proposal_id, state, refusal, assignment_sequence)"
        " WHERE proposal.proposal_id = verdict.proposal_id AND proposal.state = 'waiting'"
        " RETURNING proposal.proposal_id",
        [verdict.proposal.proposal_id for verdict in verdicts],
        [verdict.state for verdict in verdicts],
        [verdict.refusal for verdict in verdicts],
        [verdict.assignment_sequence for verdict in verdicts],
        at,
    )
    return {row["proposal_id"] for row in rows}


def _values(verdict: ProposalVerdict, at: datetime) -> tuple[Any, ...]:
    proposal, cause = verdict.proposal, verdict.cause
    return (
        proposal.proposal_id,
        proposal.customer_id,
        proposal.from_tier,
        proposal.to_tier,
        proposal.rule,
        proposal.rule_version,
        proposal.based_on_sequence,
        proposal.as_of,
        proposal.reason,
        evidence_json(proposal.evidence),
        proposal.author,
        cause.correlation_id,
        cause.causation_id,
        cause.traceparent,
        at,
        verdict.state,
        verdict.refusal,
        None if verdict.state == "waiting" else at,
        verdict.assignment_sequence,
    )


def _verdict(row: asyncpg.Record) -> ProposalVerdict:
    proposal = Proposal(
        proposal_id=row["proposal_id"],
        customer_id=row["customer_id"],
        from_tier=row["from_tier"],
        to_tier=row["to_tier"],
        rule=row["rule"],
        rule_version=row["rule_version"],
        based_on_sequence=row["based_on_sequence"],
        as_of=row["as_of"],
        reason=row["reason"],
        author=row["author"],
        evidence=evidence_from(row["evidence"]),
    )
    cause = Cause(row["correlation_id"], row["causation_id"], row["traceparent"])
    return ProposalVerdict(proposal, cause, waited=True)
