"""Tier histories in PostgreSQL: an assignment is a row; one that is altered is closed and opened anew."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import asyncpg
import orjson

from services.chassis.database import Connection
from services.segment_registry.domain.customers import Customer
from services.segment_registry.domain.timeline import Assignment, Evidence, Grounds, Kind

_COLUMNS: Final = (
    "customer_id",
    "sequence",
    "tier",
    "kind",
    "effective_from",
    "effective_to",
    "reason",
    "author",
    "rule",
    "rule_version",
    "proposal_id",
    "evidence",
    "recorded_at",
)


async def load_assignments(
    connection: Connection, customer_ids: Sequence[UUID], ended_after: datetime | None
) -> dict[UUID, list[Assignment]]:
    """The tier histories as known now: what ends after the moment given, or all for None."""
    rows = await connection.fetch(
        "SELECT customer_id, sequence, tier, kind, effective_from, effective_to, reason, author, rule, rule_version,"
        " proposal_id, evidence FROM assignment"
        " WHERE customer_id = ANY($1) AND superseded_at IS NULL"
        " AND ($2::timestamptz IS NULL OR effective_to IS NULL OR effective_to > $2)"
        " ORDER BY customer_id, effective_from, kind, sequence",
        customer_ids,
        ended_after,
    )
    assignments: dict[UUID, list[Assignment]] = defaultdict(list)
    for row in rows:
        assignments[row["customer_id"]].append(_assignment(row))
    return assignments


async def load_as_known(connection: Connection, customer_id: UUID, known_at: datetime) -> list[Assignment]:
    """A whole tier history as it was known at a moment."""
    rows = await connection.fetch(
        "SELECT sequence, tier, kind, effective_from, effective_to, reason, author, rule, rule_version,"
        " proposal_id, evidence FROM assignment"
        " WHERE customer_id = $1 AND recorded_at <= $2 AND (superseded_at IS NULL OR superseded_at > $2)"
        " ORDER BY effective_from, kind, sequence",
        customer_id,
        known_at,
    )
    return [_assignment(row) for row in rows]


async def close_assignments(connection: Connection, closed: Sequence[tuple[Customer, Assignment]]) -> None:
    """From the change of their customer on they are no longer known so."""
    if closed:
        await connection.execute(
            "UPDATE assignment SET superseded_at = closed.at"
            " FROM unnest($1::uuid[], $2::bigint[], $3::timestamptz[]) AS closed (customer_id, sequence, at)"
            " WHERE assignment.customer_id = closed.customer_id AND assignment.sequence = closed.sequence"
            " AND superseded_at IS NULL",
            [customer.customer_id for customer, _ in closed],
            [assignment.sequence for _, assignment in closed],
            [customer.changed_at for customer, _ in closed],
        )


async def open_assignments(connection: Connection, opened: Sequence[tuple[Customer, Assignment]]) -> None:
    """From the change of their customer on they are known."""
    if opened:
        await connection.copy_records_to_table(
            "assignment",
            columns=list(_COLUMNS),
            records=[_values(customer, assignment) for customer, assignment in opened],
        )


def evidence_json(evidence: Sequence[Evidence]) -> str:
    """Evidence as stored."""
    return orjson.dumps([{"name": one.name, "value": one.value, "limit": one.limit} for one in evidence]).decode()


def evidence_from(stored: str | None) -> tuple[Evidence, ...]:
    """Evidence as stored by `evidence_json`."""
    return tuple(Evidence(**one) for one in orjson.loads(stored)) if stored else ()


def _assignment(row: asyncpg.Record) -> Assignment:
    grounds = Grounds(
        row["reason"],
        row["author"],
        row["rule"],
        row["rule_version"],
        row["proposal_id"],
        evidence_from(row["evidence"]),
    )
    return Assignment(
        row["sequence"], row["tier"], Kind(row["kind"]), row["effective_from"], row["effective_to"], grounds
    )


def _values(customer: Customer, assignment: Assignment) -> tuple[Any, ...]:
    grounds = assignment.grounds
    return (
        customer.customer_id,
        assignment.sequence,
        assignment.tier,
        assignment.kind,
        assignment.effective_from,
        assignment.effective_to,
        grounds.reason,
        grounds.author,
        grounds.rule,
        grounds.rule_version,
        grounds.proposal_id,
        evidence_json(grounds.evidence) if grounds.evidence else None,
        customer.changed_at,
    )
