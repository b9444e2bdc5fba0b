"""Protections and quotas as versioned documents.

A new version of a document replaces the former one from its effective date on. Counters start at what the ledger says:
what a tier had committed and shipped in a period counts as consumed, also if it was promised before the protection was
made. That is the one time when the ledger is summed, and it happens here, under a lock that no decision waits for long.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import orjson

from services.atp.adapters.configuration import raise_version
from services.atp.application.planning import AllocationKind, DocumentHead, ProtectionRow, QuotaRow
from services.chassis.business_time import business_now
from services.chassis.database import Connection

_LATEST: Final = """
SELECT version FROM allocation_document WHERE document_id = $1 ORDER BY version DESC LIMIT 1
"""
_ADD_DOCUMENT: Final = """
INSERT INTO allocation_document (document_id, version, kind, effective_from, author, body)
VALUES ($1, $2, $3, $4, $5, $6)
"""
_END_DOCUMENTS: Final = """
UPDATE allocation_document SET effective_to = $3
WHERE document_id = $1 AND version < $2 AND (effective_to IS NULL OR effective_to > $3)
"""
_END_PROTECTIONS: Final = """
UPDATE protection SET effective_to = greatest($3, effective_from)
WHERE document_id = $1 AND document_version < $2 AND (effective_to IS NULL OR effective_to > $3)
"""
_END_QUOTAS: Final = """
UPDATE quota SET effective_to = greatest($3, effective_from)
WHERE document_id = $1 AND document_version < $2 AND (effective_to IS NULL OR effective_to > $3)
"""
_ADD_PROTECTIONS: Final = """
INSERT INTO protection (protection_id, document_id, document_version, item_id, location_id, tier, start_day, end_day,
    quantity, mode, lapse_days, carry_stock, effective_from)
SELECT a, $1, $2, b, c, d, e, f, g, h, i, j, $3
FROM unnest($4::text[], $5::text[], $6::text[], $7::text[], $8::int[], $9::int[], $10::bigint[], $11::text[],
    $12::int[], $13::bool[]) AS k (a, b, c, d, e, f, g, h, i, j)
"""
_ADD_QUOTAS: Final = """
INSERT INTO quota (quota_id, document_id, document_version, start_day, end_day, quantity, tier, item_id, zone, channel,
    effective_from)
SELECT a, $1, $2, b, c, d, e, f, g, h, $3
FROM unnest($4::text[], $5::int[], $6::int[], $7::bigint[], $8::text[], $9::text[], $10::text[], $11::text[])
    AS k (a, b, c, d, e, f, g, h)
"""
_LOCK_POSITIONS: Final = """
SELECT p.item_id FROM unnest($1::text[], $2::text[]) AS k (item_id, location_id)
JOIN position p USING (item_id, location_id) ORDER BY p.item_id, p.location_id FOR UPDATE OF p
"""
_LOCK_QUOTA_COUNTERS: Final = "LOCK TABLE usage IN EXCLUSIVE MODE"
_PROTECTION_CONSUMED: Final = """
SELECT r.protection_id AS limit_id, r.start_day, c.promise_id, c.line, c.part, c.open + c.shipped AS quantity
FROM protection r JOIN commitment c ON c.item_id = r.item_id AND c.location_id = r.location_id AND c.tier = r.tier
    AND c.available_day BETWEEN r.start_day AND r.end_day AND c.open + c.shipped > 0
WHERE r.document_id = $1 AND r.document_version = $2
"""
# Zone and channel of an order are in its promise.
_QUOTA_CONSUMED: Final = """
SELECT r.quota_id AS limit_id, r.start_day, c.promise_id, c.line, c.part, c.open + c.shipped AS quantity
FROM quota r JOIN commitment c ON (r.item_id IS NULL OR c.item_id = r.item_id) AND (r.tier IS NULL OR c.tier = r.tier)
    AND c.available_day BETWEEN r.start_day AND r.end_day AND c.open + c.shipped > 0
JOIN promise p ON p.promise_id = c.promise_id AND (r.channel IS NULL OR p.channel = r.channel)
    AND (r.zone IS NULL OR convert_from(p.document, 'UTF8')::jsonb ->> 'zone' = r.zone)
WHERE r.document_id = $1 AND r.document_version = $2
"""
_POST: Final = """
UPDATE commitment c SET postings = coalesce(c.postings, '[]'::jsonb) || k.posting
FROM unnest($1::uuid[], $2::text[], $3::int[], $4::jsonb[]) AS k (promise_id, line, part, posting)
WHERE c.promise_id = k.promise_id AND c.line = k.line AND c.part = k.part
"""
_ADD_USAGE: Final = """
INSERT INTO usage (kind, limit_id, period_start, consumed)
SELECT $1, k.limit_id, k.period_start, k.consumed
FROM unnest($2::text[], $3::int[], $4::bigint[]) AS k (limit_id, period_start, consumed)
ON CONFLICT (kind, limit_id, period_start) DO UPDATE SET consumed = excluded.consumed
"""
_DOCUMENT: Final = """
SELECT document_id, version, kind, effective_from, effective_to, author, body FROM allocation_document
WHERE document_id = $1 AND kind = $2 ORDER BY version DESC LIMIT 1
"""
_CONSUMED: Final = "SELECT limit_id, consumed FROM usage WHERE kind = $1 AND limit_id = ANY($2::text[])"


async def store_protections(connection: Connection, head: DocumentHead, rows: Sequence[ProtectionRow]) -> int:
    """Write the next version of a protection document; its version.

    Raises:
        asyncpg.ExclusionViolationError: two periods of one tier at one position overlap.
    """
    places = sorted({(row.item_id, row.location_id) for row in rows})
    await connection.fetch(_LOCK_POSITIONS, [item for item, _ in places], [place for _, place in places])
    effective_from = head.effective_from or await business_now(connection)
    version = await _next_version(connection, head, "protection", effective_from)
    await connection.execute(_END_PROTECTIONS, head.document_id, version, effective_from)
    await connection.execute(
        _ADD_PROTECTIONS,
        head.document_id,
        version,
        effective_from,
        [f"{head.document_id}.{version}.{number}" for number in range(1, len(rows) + 1)],
        [row.item_id for row in rows],
        [row.location_id for row in rows],
        [row.tier for row in rows],
        [row.start_day for row in rows],
        [row.end_day for row in rows],
        [row.quantity for row in rows],
        [row.mode for row in rows],
        [row.lapse_days for row in rows],
        [row.carry_stock for row in rows],
    )
    await _count_consumed(connection, "protection", _PROTECTION_CONSUMED, head.document_id, version)
    await raise_version(connection)
    return version


async def store_quotas(connection: Connection, head: DocumentHead, rows: Sequence[QuotaRow]) -> int:
    """Write the next version of a quota document; its version. Decisions under quotas wait for it."""
    await connection.execute(_LOCK_QUOTA_COUNTERS)
    effective_from = head.effective_from or await business_now(connection)
    version = await _next_version(connection, head, "quota", effective_from)
    await connection.execute(_END_QUOTAS, head.document_id, version, effective_from)
    await connection.execute(
        _ADD_QUOTAS,
        head.document_id,
        version,
        effective_from,
        [f"{head.document_id}.{version}.{number}" for number in range(1, len(rows) + 1)],
        [row.start_day for row in rows],
        [row.end_day for row in rows],
        [row.quantity for row in rows],
        [row.tier for row in rows],
        [row.item_id for row in rows],
        [row.zone for row in rows],
        [row.channel for row in rows],
    )
    await _count_consumed(connection, "quota", _QUOTA_CONSUMED, head.document_id, version)
    await raise_version(connection)
    return version


async def read_document(connection: Connection, document_id: str, kind: AllocationKind) -> dict[str, Any] | None:
    """The newest version of a document, with what each of its lines has given so far."""
    row = await connection.fetchrow(_DOCUMENT, document_id, kind)
    if row is None:
        return None
    body: dict[str, Any] = orjson.loads(row["body"])
    names = [f"{document_id}.{row['version']}.{number}" for number in range(1, len(body["lines"]) + 1)]
    used = {one["limit_id"]: one["consumed"] for one in await connection.fetch(_CONSUMED, kind, names)}
    lines = [line | {"consumed": used.get(name, 0)} for name, line in zip(names, body["lines"], strict=True)]
    return {
        "document_id": document_id,
        "version": row["version"],
        "effective_from": row["effective_from"],
        "effective_to": row["effective_to"],
        "author": row["author"],
        "lines": lines,
    }


async def _next_version(
    connection: Connection, head: DocumentHead, kind: AllocationKind, effective_from: datetime
) -> int:
    former = await connection.fetchval(_LATEST, head.document_id)
    version: int = (former or 0) + 1
    body = head.body.decode()
    await connection.execute(_ADD_DOCUMENT, head.document_id, version, kind, effective_from, head.author, body)
    await connection.execute(_END_DOCUMENTS, head.document_id, version, effective_from)
    return version


async def _count_consumed(
    connection: Connection, kind: AllocationKind, query: str, document_id: str, version: int
) -> None:
    """Give the new counters what the ledger says, and the commitments the postings that a cancel gives back."""
    rows = await connection.fetch(query, document_id, version)
    consumed: dict[tuple[str, int], int] = {}
    for row in rows:
        key = (row["limit_id"], row["start_day"])
        consumed[key] = consumed.get(key, 0) + row["quantity"]
    if not consumed:
        return
    postings = [orjson.dumps([[kind, row["limit_id"], row["start_day"], row["quantity"]]]).decode() for row in rows]
    keys = [[row[name] for row in rows] for name in ("promise_id", "line", "part")]
    await connection.execute(_POST, *keys, postings)
    ordered = sorted(consumed)
    await connection.execute(
        _ADD_USAGE, kind, [name for name, _ in ordered], [day for _, day in ordered], [consumed[key] for key in ordered]
    )
