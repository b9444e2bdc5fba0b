"""Protections, quotas and hierarchies as versioned documents.

A new version of a document replaces the former one from its effective date on. Counters start at what the ledger says:
what a tier had committed and shipped in a period counts as consumed, also if it was promised before the protection was
made. That is the one time when the ledger is summed, and it happens here, under a lock that no decision waits for long.
A version that is not in effect yet counts what is taken from the day on which it was written.

Backorders of the items concerned are decided again: their positions are marked, as after any other freed quantity.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import orjson

from services.atp.adapters.ceilings import count_ledger, share_out, write_hierarchy, write_quotas
from services.atp.adapters.configuration import raise_version
from services.atp.adapters.protections import divide, write_protections
from services.atp.adapters.waking import wake_redecision
from services.atp.application.planning import AllocationKind, DocumentHead, HierarchyRow, ProtectionRow, QuotaRow
from services.atp.domain.model import Hierarchy, Quota, UsageKey
from services.chassis.business_time import business_now
from services.chassis.database import Connection

CAUSE: Final = "allocation_changed"
FREED: Final = "stock_freed"  # of the cut-over: what is free may be had by those who wait
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
_LOCK_POSITIONS: Final = """
SELECT FROM position WHERE item_id = ANY($1::text[]) ORDER BY item_id, location_id FOR UPDATE
"""
_LOCK_COUNTERS: Final = "LOCK TABLE usage IN EXCLUSIVE MODE"
_PROTECTION_CONSUMED: Final = """
SELECT r.protection_id AS limit_id, r.start_day, c.promise_id, c.line, c.part, c.open + c.shipped AS quantity
FROM protection r JOIN commitment c ON c.item_id = r.item_id AND c.location_id = r.location_id AND c.tier = r.tier
    AND c.available_day BETWEEN r.start_day AND r.end_day AND c.open + c.shipped > 0
WHERE r.document_id = $1 AND r.document_version = $2 AND NOT r.unconsumable AND NOT EXISTS (
    SELECT FROM protection n WHERE n.item_id = r.item_id AND n.location_id = r.location_id AND n.tier = r.tier
        AND n.scope < r.scope AND n.start_day <= r.end_day AND r.start_day <= n.end_day
        AND n.effective_from <= $3 AND (n.effective_to IS NULL OR n.effective_to > $3)
)
"""
# Gross supply is not lowered by shipments: what left in the period is added to what is on hand.
_SHIPPED: Final = """
INSERT INTO usage (kind, limit_id, period_start, consumed)
SELECT 'shipped', r.protection_id, r.start_day, sum(-m.quantity)::bigint
FROM protection r JOIN movement m ON m.item_id = r.item_id AND m.location_id = r.location_id AND m.kind = 'shipment'
    AND (m.occurred_at AT TIME ZONE 'UTC')::date - DATE '0001-01-01' + 1 BETWEEN r.start_day AND r.end_day
WHERE r.document_id = $1 AND r.document_version = $2 AND r.basis <> 'quantity' GROUP BY 2, 3
ON CONFLICT (kind, limit_id, period_start) DO UPDATE SET consumed = excluded.consumed
"""
_POST: Final = """
UPDATE commitment c SET postings = coalesce(c.postings, '[]'::jsonb) || k.posting
FROM unnest($1::uuid[], $2::text[], $3::int[], $4::jsonb[]) AS k (promise_id, line, part, posting)
WHERE c.promise_id = k.promise_id AND c.line = k.line AND c.part = k.part
"""
_ADD_USAGE: Final = """
INSERT INTO usage (kind, limit_id, period_start, consumed)
SELECT * FROM unnest($1::text[], $2::text[], $3::int[], $4::bigint[])
ON CONFLICT (kind, limit_id, period_start) DO UPDATE SET consumed = excluded.consumed
"""
_ITEMS_WAITING: Final = """
SELECT DISTINCT b.item_id FROM backorder b WHERE $1::text[] IS NULL OR b.item_id = ANY($1) ORDER BY b.item_id
"""
_MARK: Final = """
WITH waiting AS (
    SELECT item_id, array_agg(priority_rank ORDER BY priority_rank) AS ranks,
        array_agg(quantity ORDER BY priority_rank) AS quantities
    FROM (
        SELECT item_id, priority_rank, sum(quantity)::bigint AS quantity FROM backorder
        WHERE item_id = ANY($1::text[]) GROUP BY item_id, priority_rank
    ) AS totals GROUP BY item_id
)
UPDATE position p SET version = p.version + 1, marked_at = $2, mark_cause = $3, mark_after = NULL,
    waiting_ranks = w.ranks, waiting_quantities = w.quantities
FROM waiting w WHERE p.item_id = w.item_id
RETURNING p.item_id
"""
_DOCUMENT: Final = """
SELECT document_id, version, kind, effective_from, effective_to, author, body FROM allocation_document
WHERE document_id = $1 AND kind = $2 AND ($3::bigint IS NULL OR version = $3) ORDER BY version DESC LIMIT 1
"""
_DOCUMENTS: Final = """
SELECT document_id, kind, version, effective_from, effective_to, author, recorded_at FROM allocation_document
ORDER BY document_id, version
"""
_CONSUMED: Final = """
SELECT limit_id, period_start, consumed FROM usage WHERE kind = $1 AND starts_with(limit_id, $2) AND consumed <> 0
"""
_ITEMS_OF: Final = """
SELECT item_id FROM protection WHERE document_id = $1 UNION SELECT item_id FROM protection_group WHERE document_id = $1
UNION SELECT item_id FROM quota WHERE document_id = $1 UNION SELECT item_id FROM hierarchy WHERE document_id = $1
"""


async def store_protections(connection: Connection, head: DocumentHead, rows: Sequence[ProtectionRow]) -> int:
    """Write the next version of a protection document; its version.

    Raises:
        asyncpg.ExclusionViolationError: two periods of one tier at one position overlap.
    """
    items = await _items_concerned(connection, head, [row.item_id for row in rows]) or []
    await connection.fetch(_LOCK_POSITIONS, items)
    now = await business_now(connection)
    effective_from = head.effective_from or now
    version = await _next_version(connection, head, "protection", effective_from)
    await write_protections(connection, head, version, effective_from, rows)
    await divide(connection, items, now)
    await _count_consumed(connection, head.document_id, version, now)
    await connection.execute(_SHIPPED, head.document_id, version)
    await divide(connection, items, now)  # once more, now that it is known what each position has given
    await _mark(connection, items, now)
    await raise_version(connection)
    return version


async def store_quotas(connection: Connection, head: DocumentHead, rows: Sequence[QuotaRow]) -> int:
    """Write the next version of a quota document; its version. Decisions under quotas wait for it."""
    await connection.execute(_LOCK_COUNTERS)
    items = await _items_concerned(connection, head, [row.item_id for row in rows])
    now = await business_now(connection)
    effective_from = head.effective_from or now
    version = await _next_version(connection, head, "quota", effective_from)
    quotas = await write_quotas(connection, head, version, effective_from, rows)
    await _count(connection, quotas, (), now)
    await _lock_and_mark(connection, items, now)
    await raise_version(connection)
    return version


async def store_hierarchy(connection: Connection, head: DocumentHead, row: HierarchyRow) -> int:
    """Write the next version of a hierarchy document; its version. Decisions under quotas wait for it.

    Raises:
        asyncpg.ExclusionViolationError: another document has a hierarchy of the item.
    """
    await connection.execute(_LOCK_COUNTERS)
    items = await _items_concerned(connection, head, [row.item_id]) or []
    await connection.fetch(_LOCK_POSITIONS, items)
    now = await business_now(connection)
    effective_from = head.effective_from or now
    version = await _next_version(connection, head, "hierarchy", effective_from)
    hierarchy = await write_hierarchy(connection, head, version, effective_from, row)
    await _count(connection, (), (hierarchy,), now)
    await share_out(connection, items, now)
    await _mark(connection, items, now)
    await raise_version(connection)
    return version


async def serve_waiting(connection: Connection) -> int:
    """Mark all positions of items of which something waits, so that it is offered what is free; how many items."""
    return await _lock_and_mark(connection, None, await business_now(connection), FREED)


async def read_document(
    connection: Connection, document_id: str, kind: AllocationKind, version: int | None
) -> dict[str, Any] | None:
    """A version of a document (None: the newest), with what each of its lines has given so far."""
    row = await connection.fetchrow(_DOCUMENT, document_id, kind, version)
    if row is None:
        return None
    usage_kind = "node" if kind == "hierarchy" else kind
    prefix = f"{document_id}.{row['version']}"
    end = "/" if kind == "hierarchy" else "."
    used: dict[tuple[str, int], int] = {}
    for one in await connection.fetch(_CONSUMED, usage_kind, prefix + end):
        name = one["limit_id"].removeprefix(prefix + end)
        place = (name if kind == "hierarchy" else name.partition("@")[0], one["period_start"])
        used[place] = used.get(place, 0) + one["consumed"]
    body: dict[str, Any] = orjson.loads(row["body"])
    head = {name: row[name] for name in ("document_id", "version", "effective_from", "effective_to", "author")}
    return {**head, **with_consumed(kind, body, used)}


async def read_documents(connection: Connection) -> list[dict[str, Any]]:
    """The versions of all documents."""
    return [dict(row) for row in await connection.fetch(_DOCUMENTS)]


def with_consumed(kind: AllocationKind, body: Mapping[str, Any], used: Mapping[tuple[str, int], int]) -> dict[str, Any]:
    """A document's body with what each line, or node and period, has given. `used` is by name and period start."""
    if kind == "hierarchy":
        starts = [day_of(period["start"]) for period in body["periods"]]
        nodes = [
            {**node, "consumed": [used.get((node["node"], start), 0) for start in starts]} for node in body["nodes"]
        ]
        return {**body, "nodes": nodes}
    series = [line.get("series", number) for number, line in enumerate(body["lines"], start=1)]
    lines = [
        {**line, "consumed": used.get((str(name), day_of(line["start"])), 0)}
        for name, line in zip(series, body["lines"], strict=True)
    ]
    for line in lines:
        line.pop("series", None)
    return {**body, "lines": lines}


def day_of(text: str) -> int:
    """A day of a stored document."""
    return datetime.fromisoformat(text).toordinal()


async def _items_concerned(connection: Connection, head: DocumentHead, named: Sequence[str | None]) -> list[str] | None:
    """The items of a document's lines, old and new; None: all items."""
    old = [row["item_id"] for row in await connection.fetch(_ITEMS_OF, head.document_id)]
    concerned = [*named, *old]
    return None if None in concerned else sorted({item for item in concerned if item is not None})


async def _next_version(
    connection: Connection, head: DocumentHead, kind: AllocationKind, effective_from: datetime
) -> int:
    former = await connection.fetchval(_LATEST, head.document_id)
    version: int = (former or 0) + 1
    body = head.body.decode()
    await connection.execute(_ADD_DOCUMENT, head.document_id, version, kind, effective_from, head.author, body)
    await connection.execute(_END_DOCUMENTS, head.document_id, version, effective_from)
    return version


async def _count_consumed(connection: Connection, document_id: str, version: int, now: datetime) -> None:
    """Give the new counters what the ledger says, and the commitments the postings that a cancel gives back."""
    rows = await connection.fetch(_PROTECTION_CONSUMED, document_id, version, now)
    consumed: dict[UsageKey, int] = {}
    for row in rows:
        key = UsageKey("protection", row["limit_id"], row["start_day"])
        consumed[key] = consumed.get(key, 0) + row["quantity"]
    postings = [
        orjson.dumps([["protection", row["limit_id"], row["start_day"], row["quantity"], "own"]]).decode()
        for row in rows
    ]
    await connection.execute(_POST, *([row[name] for row in rows] for name in ("promise_id", "line", "part")), postings)
    await _add_usage(connection, consumed)


async def _count(
    connection: Connection, quotas: Sequence[Quota], hierarchies: Sequence[Hierarchy], now: datetime
) -> None:
    await _add_usage(connection, await count_ledger(connection, quotas, hierarchies, now.toordinal()))


async def _add_usage(connection: Connection, consumed: Mapping[UsageKey, int]) -> None:
    ordered = sorted(consumed)
    columns = [[key[index] for key in ordered] for index in range(3)]
    await connection.execute(_ADD_USAGE, *columns, [consumed[key] for key in ordered])


async def _lock_and_mark(connection: Connection, items: Sequence[str] | None, now: datetime, cause: str = CAUSE) -> int:
    waiting = [row["item_id"] for row in await connection.fetch(_ITEMS_WAITING, items)]
    await connection.fetch(_LOCK_POSITIONS, waiting)
    await _mark(connection, waiting, now, cause)
    return len(waiting)


async def _mark(connection: Connection, items: Sequence[str], now: datetime, cause: str = CAUSE) -> None:
    """Let the backorders of items be decided again; their positions are locked."""
    if await connection.fetch(_MARK, list(items), now, cause):
        await wake_redecision(connection)
