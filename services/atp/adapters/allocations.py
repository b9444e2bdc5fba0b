"""Protections, quotas, hierarchies and capacities as versioned documents.

A new version of a document replaces the former one from its effective date on. Counters start at what the ledger says:
what a tier had committed and shipped in a period counts as consumed, also if it was promised before the protection was
made. That is the one time when the ledger is summed, and it happens here, under a lock that no decision waits for long.
A version that is not in effect yet counts what is taken from the day on which it was written.

Backorders of the items concerned are decided again: their positions are marked, as after any other freed quantity.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, cast

import orjson

from services.atp.adapters.allocation_figures import line_figures, with_figures
from services.atp.adapters.capacities import (
    count_booked,
    counted_names,
    items_awaited_at,
    locations_of,
    write_capacities,
)
from services.atp.adapters.ceilings import count_ledger, share_out, write_hierarchy, write_quotas
from services.atp.adapters.configuration import raise_version
from services.atp.adapters.due_rows import DueStore
from services.atp.adapters.protections import COUNTS_FROM, divide, write_protections
from services.atp.adapters.turns import plan_items
from services.atp.adapters.waking import LOCK_POSITIONS, mark_waiting
from services.atp.application.planning import (
    AllocationKind,
    CapacityRow,
    DocumentHead,
    Draft,
    HierarchyRow,
    Names,
    OtherKind,
    VersionMoved,
)
from services.atp.application.ports import Due
from services.atp.application.turn_location import LOCATION
from services.atp.domain.model import Hierarchy, Quota, UsageKey
from services.chassis.business_time import business_now
from services.chassis.database import Connection

CAUSE: Final = "allocation_changed"
FREED: Final = "stock_freed"  # of the cut-over: what is free may be had by those who wait
_LATEST: Final = """
SELECT version, kind FROM allocation_document WHERE document_id = $1 ORDER BY version DESC LIMIT 1
"""
_ADD_DOCUMENT: Final = """
INSERT INTO allocation_document (document_id, version, kind, effective_from, author, body)
VALUES ($1, $2, $3, $4, $5, $6)
"""
_END_DOCUMENTS: Final = """
UPDATE allocation_document SET effective_to = $3
WHERE document_id = $1 AND version < $2 AND (effective_to IS NULL OR effective_to > $3)
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
_SHIPPED: Final = f"""
INSERT INTO usage (kind, limit_id, period_start, consumed)
SELECT 'shipped', p.protection_id, p.start_day, sum(-m.quantity)::bigint
FROM protection p JOIN movement m ON m.item_id = p.item_id AND m.location_id = p.location_id AND m.kind = 'shipment'
    AND (m.occurred_at AT TIME ZONE 'UTC')::date - DATE '0001-01-01' + 1 BETWEEN {COUNTS_FROM} AND p.end_day
WHERE p.document_id = $1 AND p.document_version = $2 AND (p.basis <> 'quantity' OR p.scope > 0) GROUP BY 2, 3
ON CONFLICT (kind, limit_id, period_start) DO UPDATE SET consumed = excluded.consumed
"""  # noqa: S608 - made of constants
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
_ITEMS_WAITING: Final = "SELECT DISTINCT item_id FROM backorder ORDER BY item_id"
_DOCUMENT: Final = """
SELECT document_id, version, kind, effective_from, effective_to, author, recorded_at, body FROM allocation_document
WHERE document_id = $1 AND kind = $2 AND ($3::bigint IS NULL OR version = $3)
    AND ($4::timestamptz IS NULL OR (effective_from <= $4 AND (effective_to IS NULL OR $4 < effective_to)))
ORDER BY version DESC LIMIT 1
"""
_HEAD: Final = "document_id, kind, version, effective_from, effective_to, author, recorded_at"
_STATE: Final = """
CASE WHEN effective_to <= greatest(effective_from, {now}) THEN 'past' WHEN effective_from > {now} THEN 'upcoming'
    ELSE 'in_effect' END AS state
"""
_VERSIONS: Final = f"""
SELECT {_HEAD}, {_STATE.format(now="$3")} FROM allocation_document
WHERE document_id = $1 AND kind = $2 AND ($4::bigint IS NULL OR version < $4) ORDER BY version DESC LIMIT $5
"""  # noqa: S608 - made of constants
_DOCUMENTS: Final = f"""
SELECT {_HEAD}, {_STATE.format(now="$1")} FROM allocation_document
WHERE document_id IN (SELECT DISTINCT document_id FROM allocation_document WHERE document_id > $2
        ORDER BY document_id LIMIT $3)
    AND ($4::timestamptz IS NULL OR (effective_from <= $4 AND (effective_to IS NULL OR $4 < effective_to)))
ORDER BY document_id, version
"""  # noqa: S608 - made of constants
_NAMES: Final = "SELECT DISTINCT document_id FROM allocation_document WHERE document_id > $1 ORDER BY 1 LIMIT $2"
_CONSUMED: Final = """
SELECT limit_id, period_start, consumed FROM usage WHERE kind = $1 AND starts_with(limit_id, $2) AND consumed <> 0
"""
_ITEMS_OF: Final = """
SELECT item_id FROM protection WHERE document_id = $1 UNION SELECT item_id FROM protection_group WHERE document_id = $1
UNION SELECT item_id FROM quota WHERE document_id = $1 UNION SELECT item_id FROM hierarchy WHERE document_id = $1
"""
_UNKNOWN: Final = """
SELECT name FROM unnest($1::text[]) AS asked (name) WHERE NOT EXISTS (SELECT FROM {table} WHERE {column} = name)
"""


async def store(connection: Connection, draft: Draft) -> int:
    """Write the next version of a document; its version. Decisions under quotas and hierarchies wait for it.

    Of a capacity no decision may be under way that does not know it: the caller changes the configuration alone.

    Raises:
        VersionMoved, OtherKind: nothing was written.
        asyncpg.ExclusionViolationError: two periods of one tier at one position overlap, or two hierarchies of an item,
            or two documents say how much a capacity is.
    """
    if draft.kind in {"quota", "hierarchy"}:
        await connection.execute(_LOCK_COUNTERS)
    items = await items_concerned(connection, draft)
    if items is not None:
        await connection.fetch(LOCK_POSITIONS, items)
    now = await business_now(connection)
    effective_from = draft.head.effective_from or now
    version = await _next_version(connection, draft, effective_from)
    written = _Written(draft.head, version, effective_from, now, items or [])
    match draft.kind:
        case "protection":
            await _write_protections(connection, written, draft.rows)
        case "quota":
            quotas = await write_quotas(connection, draft.head, version, effective_from, cast("Any", draft.rows))
            await _count(connection, quotas, (), now)
        case "hierarchy":
            (row,) = cast("tuple[HierarchyRow]", draft.rows)
            hierarchy = await write_hierarchy(connection, draft.head, version, effective_from, row)
            await _count(connection, (), (hierarchy,), now)
            await share_out(connection, items or [], now)
        case "capacity":
            await _write_capacities(connection, written, draft.capacities())
    if items is None:
        items = [row["item_id"] for row in await connection.fetch(_ITEMS_WAITING)]
        await connection.fetch(LOCK_POSITIONS, items)
    await mark_waiting(connection, items, now, CAUSE)
    await plan_items(connection, written.items, now)
    await raise_version(connection)
    return version


@dataclass(frozen=True, slots=True)
class _Written:
    """A version that is being written; `items` are those concerned."""

    head: DocumentHead
    version: int
    effective_from: datetime
    now: datetime
    items: Sequence[str]


async def _write_protections(connection: Connection, written: _Written, rows: Sequence[Any]) -> None:
    head, version, now = written.head, written.version, written.now
    await write_protections(connection, head, version, written.effective_from, rows)
    await divide(connection, written.items, now)
    await _count_consumed(connection, head.document_id, version, now)
    await connection.execute(_SHIPPED, head.document_id, version)
    await divide(connection, written.items, now)  # once more, now that it is known what each position has given


async def _write_capacities(connection: Connection, written: _Written, rows: Sequence[CapacityRow]) -> None:
    head, now = written.head, written.now
    locations = await locations_of(connection, head.document_id, rows, now)
    known = await counted_names(connection, now)
    await write_capacities(connection, head, written.version, written.effective_from, rows)
    await count_booked(connection, rows, known, now.toordinal())
    await DueStore(connection).store({Due(LOCATION, (location,)): now for location in locations})


async def serve_waiting(connection: Connection) -> int:
    """Mark all positions of items of which something waits, so that it is offered what is free; how many items."""
    items = [row["item_id"] for row in await connection.fetch(_ITEMS_WAITING)]
    await connection.fetch(LOCK_POSITIONS, items)
    await mark_waiting(connection, items, await business_now(connection), FREED)
    return len(items)


async def read_document(
    connection: Connection, document_id: str, kind: AllocationKind, version: int | None, at: datetime | None
) -> dict[str, Any] | None:
    """A version of a document, by default the newest, or the one in effect at a time, with what each line has given."""
    row = await connection.fetchrow(_DOCUMENT, document_id, kind, version, at)
    if row is None:
        return None
    body: dict[str, Any] = orjson.loads(row["body"])
    head = {name: value for name, value in row.items() if name not in {"kind", "body"}}
    if kind == "capacity":
        return {**head, **body}
    usage_kind = "node" if kind == "hierarchy" else kind
    prefix = f"{document_id}.{row['version']}"
    end = "/" if kind == "hierarchy" else "."
    used: dict[tuple[str, int], int] = {}
    for one in await connection.fetch(_CONSUMED, usage_kind, prefix + end):
        name = one["limit_id"].removeprefix(prefix + end)
        place = (name if kind == "hierarchy" else name.partition("@")[0], one["period_start"])
        used[place] = used.get(place, 0) + one["consumed"]
    shown = with_consumed(kind, body, used)
    if kind == "protection":
        now = await business_now(connection)
        items = sorted({line["sku"] for line in body["lines"]})
        found = await line_figures(connection, document_id, row["version"], items, now)
        counts = row["effective_to"] is None or row["effective_to"] > max(now, row["effective_from"])
        shown["lines"] = with_figures(shown["lines"], found, counts=counts)
    return {**head, **shown}


async def read_versions(
    connection: Connection, document_id: str, kind: AllocationKind, before: int | None, limit: int
) -> list[dict[str, Any]]:
    """The heads of a document's versions, the newest first."""
    now = await business_now(connection)
    return [dict(row) for row in await connection.fetch(_VERSIONS, document_id, kind, now, before, limit)]


async def read_documents(
    connection: Connection, at: datetime | None, after: str, limit: int
) -> tuple[list[dict[str, Any]], str | None]:
    """The heads of all versions of documents after an id, and the last id where more may follow."""
    names = [row["document_id"] for row in await connection.fetch(_NAMES, after, limit)]
    rows = await connection.fetch(_DOCUMENTS, await business_now(connection), after, limit, at)
    return [dict(row) for row in rows], names[-1] if len(names) == limit else None


async def unknown_names(connection: Connection, names: Names) -> Names:
    """Those of the names that nobody knows."""
    columns = (("item", "item_id"), ("location", "location_id"), ("tier", "tier"))
    found = []
    for asked, (table, column) in zip(names, columns, strict=True):
        rows = await connection.fetch(_UNKNOWN.format(table=table, column=column), list(asked))
        found.append(tuple(row["name"] for row in rows))
    return Names(*found)


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


async def items_concerned(connection: Connection, draft: Draft) -> list[str] | None:
    """The items of a document's lines, old and new; of capacities those that wait there; None: all items."""
    if draft.kind == "capacity":
        now = await business_now(connection)
        places = await locations_of(connection, draft.head.document_id, draft.capacities(), now)
        return await items_awaited_at(connection, places)
    old = [row["item_id"] for row in await connection.fetch(_ITEMS_OF, draft.head.document_id)]
    concerned = [*draft.named_items(), *old]
    return None if None in concerned else sorted({item for item in concerned if item is not None})


async def _next_version(connection: Connection, draft: Draft, effective_from: datetime) -> int:
    head = draft.head
    former = await connection.fetchrow(_LATEST, head.document_id)
    current: int = 0 if former is None else former["version"]
    if former is not None and former["kind"] != draft.kind:
        raise OtherKind
    if head.base is not None and head.base != current:
        raise VersionMoved(current)
    if head.version is not None and head.version <= current:
        raise VersionMoved(current)
    version = current + 1 if head.version is None else head.version
    body = head.body.decode()
    await connection.execute(_ADD_DOCUMENT, head.document_id, version, draft.kind, effective_from, head.author, body)
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
