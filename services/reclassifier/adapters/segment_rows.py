"""The registry's customers as published, in PostgreSQL: the projection of segments.current."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import asyncpg
import orjson

from services.chassis.database import Connection
from services.reclassifier.adapters.order_rows import load_owners
from services.reclassifier.application.ports import Segment
from services.reclassifier.domain.orders import Reference, customer_of_owner, owner_of_customer, owner_of_reference
from services.reclassifier.domain.standing import Assigned

_UPSERT: Final = """
INSERT INTO segment AS stored (customer_id, sequence, status, merged_into, assignments)
SELECT * FROM unnest($1::text[], $2::bigint[], $3::text[], $4::text[], $5::text[]::jsonb[])
    AS given (customer_id, sequence, status, merged_into, assignments)
ORDER BY customer_id COLLATE "C"
ON CONFLICT (customer_id) DO UPDATE SET sequence = excluded.sequence, status = excluded.status,
    merged_into = excluded.merged_into, assignments = excluded.assignments
WHERE stored.sequence < excluded.sequence
RETURNING customer_id
"""
# Looked up one by one: a plan made while the table was small reads all of it for each batch of an import.
DROP_IDENTIFIERS: Final = """
DELETE FROM segment_identifier stored WHERE ctid = ANY(ARRAY(
    SELECT own.place FROM unnest($1::text[]) AS changed (customer_id) CROSS JOIN LATERAL (
        SELECT held.ctid AS place FROM segment_identifier held WHERE held.customer_id = changed.customer_id OFFSET 0
    ) own
)) AND NOT EXISTS (
    SELECT FROM unnest($2::text[], $3::text[], $4::text[]) AS kept (system, id, customer_id)
    WHERE (kept.system, kept.id, kept.customer_id) = (stored.system, stored.id, stored.customer_id)
) RETURNING customer_id
"""
_ADD_IDENTIFIERS: Final = """
INSERT INTO segment_identifier (system, id, customer_id)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[]) AS held (system, id, customer_id)
ORDER BY system COLLATE "C", id COLLATE "C", customer_id COLLATE "C"
ON CONFLICT DO NOTHING RETURNING system, id, customer_id
"""


async def apply_segments(
    connection: Connection, segments: Sequence[Segment]
) -> tuple[list[Segment], list[tuple[str, str]], list[str]]:
    """Store what is newer; returns it, which owners' orders count under which others now, and whose orders may."""
    roots = await _roots_of_merged(connection, segments)
    rows = await connection.fetch(
        _UPSERT,
        [one.customer_id for one in segments],
        [one.sequence for one in segments],
        [one.status for one in segments],
        [one.merged_into for one in segments],
        [orjson.dumps([_assignment_document(each) for each in one.assignments]).decode() for one in segments],
    )
    newer = {row["customer_id"] for row in rows}
    applied = [one for one in segments if one.customer_id in newer]
    taken = {one.customer_id: one.merged_into for one in applied if one.merged_into is not None}
    moves = {owner_of_customer(old): new for old, new in taken.items()}
    resolved, losers = await _replace_identifiers(connection, applied)
    moves |= resolved
    disputed = {*losers, *(root for one, (into, root) in roots.items() if one in newer and into != taken.get(one))}
    owners, _ = await load_owners(connection, {*moves.values(), *disputed}, [])  # the end of each chain of merges
    whose = sorted({owner for one in disputed for owner in (owner_of_customer(one), owners[one])})
    return applied, [(old, owners[new]) for old, new in moves.items()], whose


async def _roots_of_merged(connection: Connection, segments: Sequence[Segment]) -> dict[str, tuple[str, str]]:
    """Of those that are merged as yet, into whom, and the customer at the end of the chain."""
    rows = await connection.fetch(
        "SELECT customer_id, merged_into FROM segment WHERE customer_id = ANY($1) AND merged_into IS NOT NULL",
        [one.customer_id for one in segments],
    )
    if not rows:
        return {}
    owners, _ = await load_owners(connection, [row["customer_id"] for row in rows], [])
    roots = {one: customer_of_owner(owner) or one for one, owner in owners.items()}
    return {row["customer_id"]: (row["merged_into"], roots[row["customer_id"]]) for row in rows}


async def _replace_identifiers(connection: Connection, applied: Sequence[Segment]) -> tuple[dict[str, str], set[str]]:
    """Store who has which identifiers; the customers of the owners that new ones resolve, and those that lost any."""
    if not applied:
        return {}, set()
    held = [(*reference, one.customer_id) for one in applied for reference in one.identifiers]
    columns = [list(column) for column in zip(*held, strict=True)] if held else [[], [], []]
    dropped = await connection.fetch(DROP_IDENTIFIERS, [one.customer_id for one in applied], *columns)
    added = await connection.fetch(_ADD_IDENTIFIERS, *columns)
    resolved = {owner_of_reference(Reference(row["system"], row["id"])): row["customer_id"] for row in added}
    return resolved, {row["customer_id"] for row in dropped}


async def load_segments(connection: Connection, customer_ids: Collection[str]) -> dict[str, Segment]:
    """Those of these customers that were published, without their identifiers."""
    rows = await connection.fetch("SELECT * FROM segment WHERE customer_id = ANY($1)", list(customer_ids))
    return {row["customer_id"]: _segment(row) for row in rows}


def _segment(row: asyncpg.Record) -> Segment:
    return Segment(
        row["customer_id"],
        row["sequence"],
        row["status"],
        row["merged_into"],
        (),
        tuple(_assigned(document) for document in orjson.loads(row["assignments"])),
    )


def _assignment_document(one: Assigned) -> dict[str, Any]:
    return {
        "tier": one.tier,
        "effective_from": one.effective_from,
        "effective_to": one.effective_to,
        "sequence": one.sequence,
        "is_override": one.is_override,
    }


def _assigned(document: Mapping[str, Any]) -> Assigned:
    ends = document["effective_to"]
    return Assigned(
        document["tier"],
        datetime.fromisoformat(document["effective_from"]),
        None if ends is None else datetime.fromisoformat(ends),
        document["sequence"],
        document["is_override"],
    )
