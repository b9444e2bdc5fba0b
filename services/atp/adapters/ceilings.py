"""Quotas, hierarchies and regions as rows: read under the version of the configuration, written by documents.

The counters of a new version start at what the ledger says, each commitment taken as a decision would have taken it,
oldest promise first. A hierarchy in shortage has its quantities divided again whenever the supply of its item changes.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import orjson

from services.atp.adapters.items import items as read_items
from services.atp.adapters.positions import PositionStore
from services.atp.adapters.protections import position_keys
from services.atp.application.planning import DocumentHead, HierarchyRow, QuotaRow
from services.atp.application.ports import EffectiveHierarchy, EffectiveQuota
from services.atp.domain.ceilings import Ceiling, ceilings_for, node_key, portions
from services.atp.domain.fair_share import rationed
from services.atp.domain.model import Book, Hierarchy, Item, Node, Posting, Quota, Request, Tier, UsageKey
from services.atp.domain.supply_picture import Curve, running_supply
from services.chassis.database import Connection
from services.chassis.writes import Writes

_QUOTAS: Final = """
SELECT quota_id, document_id, document_version, start_day, end_day, quantity, tier, item_id, zone, channel,
       region, customer_id, item_group, backward, forward, effective_from, effective_to
FROM quota ORDER BY quota_id, start_day
"""
_HIERARCHIES: Final = """
SELECT hierarchy_id, document_id, document_version, item_id, periods, nodes, pool, shares, effective_from, effective_to
FROM hierarchy ORDER BY hierarchy_id
"""
_REGIONS: Final = "SELECT zone, region FROM region ORDER BY zone"
_SHARED_ITEMS: Final = """
SELECT item_id FROM protection_group UNION SELECT item_id FROM hierarchy WHERE fair_share ORDER BY item_id
"""
_END: Final = """
UPDATE {table} SET effective_to = greatest($3, effective_from)
WHERE document_id = $1 AND document_version < $2 AND (effective_to IS NULL OR effective_to > $3)
"""
_ADD_QUOTAS: Final = """
INSERT INTO quota (quota_id, document_id, document_version, start_day, end_day, quantity, tier, item_id, zone, channel,
    region, customer_id, item_group, backward, forward, effective_from)
SELECT a, $1, $2, b, c, d, e, f, g, h, i, j, k, l, m, $3
FROM unnest($4::text[], $5::int[], $6::int[], $7::bigint[], $8::text[], $9::text[], $10::text[], $11::text[],
    $12::text[], $13::text[], $14::text[], $15::int[], $16::int[]) AS k (a, b, c, d, e, f, g, h, i, j, k, l, m)
"""
_ADD_HIERARCHY: Final = """
INSERT INTO hierarchy (hierarchy_id, document_id, document_version, item_id, pool, fair_share, periods, nodes,
    effective_from)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
"""
# Zone and channel of an order are in its promise.
_LEDGER: Final = """
SELECT c.promise_id, c.line, c.part, c.item_id, c.available_day, c.open + c.shipped AS quantity, c.tier, p.channel,
       p.customer_id, convert_from(p.document, 'UTF8')::jsonb ->> 'zone' AS zone
FROM commitment c JOIN promise p ON p.promise_id = c.promise_id
WHERE c.available_day BETWEEN $1 AND $2 AND c.open + c.shipped > 0 AND ($3::text[] IS NULL OR c.item_id = ANY($3))
ORDER BY c.promise_id, c.line, c.part
"""
_POST: Final = """
UPDATE commitment c SET postings = coalesce(c.postings, '[]'::jsonb) || k.posting
FROM unnest($1::uuid[], $2::text[], $3::int[], $4::jsonb[]) AS k (promise_id, line, part, posting)
WHERE c.promise_id = k.promise_id AND c.line = k.line AND c.part = k.part
"""
_FAIR: Final = """
SELECT hierarchy_id, document_id, document_version, item_id, periods, nodes, pool, shares
FROM hierarchy WHERE fair_share AND item_id = ANY($1::text[]) AND (effective_to IS NULL OR $2 < effective_to)
ORDER BY hierarchy_id
"""
_SHARE: Final = "UPDATE hierarchy SET shares = $2 WHERE hierarchy_id = $1"


async def read_quotas(connection: Connection) -> tuple[EffectiveQuota, ...]:
    """All quotas."""
    return tuple(
        EffectiveQuota(Quota(*quota), effective_from, effective_to)
        for *quota, effective_from, effective_to in await connection.fetch(_QUOTAS)
    )


async def read_hierarchies(connection: Connection) -> tuple[EffectiveHierarchy, ...]:
    """All hierarchies, with what they have in shortage."""
    return tuple(
        EffectiveHierarchy(_hierarchy(dict(row)), row["effective_from"], row["effective_to"])
        for row in await connection.fetch(_HIERARCHIES)
    )


async def read_regions(connection: Connection) -> dict[str, str]:
    """The region of each zone that has one."""
    return {row["zone"]: row["region"] for row in await connection.fetch(_REGIONS)}


async def read_shared_items(connection: Connection) -> dict[str, None]:
    """The items of which something is divided again when their supply changes."""
    return dict.fromkeys(row["item_id"] for row in await connection.fetch(_SHARED_ITEMS))


async def write_quotas(
    connection: Connection, head: DocumentHead, version: int, effective_from: datetime, rows: Sequence[QuotaRow]
) -> list[Quota]:
    """Write the rows of a document's version and end those of the former ones; the quotas."""
    await connection.execute(_END.format(table="quota"), head.document_id, version, effective_from)
    names = [f"{head.document_id}.{version}.{row.series}" for row in rows]
    columns = ("start_day", "end_day", "quantity", "tier", "item_id", "zone", "channel", "region", "customer_id")
    more = ("item_group", "backward", "forward")
    values = [[getattr(row, column) for row in rows] for column in (*columns, *more)]
    await connection.execute(_ADD_QUOTAS, head.document_id, version, effective_from, names, *values)
    return [
        Quota(name, head.document_id, version, *(getattr(row, column) for column in (*columns, *more)))
        for name, row in zip(names, rows, strict=True)
    ]


async def write_hierarchy(
    connection: Connection, head: DocumentHead, version: int, effective_from: datetime, row: HierarchyRow
) -> Hierarchy:
    """Write a document's version and end the former ones; the hierarchy.

    Raises:
        asyncpg.ExclusionViolationError: another document has a hierarchy of the item.
    """
    await connection.execute(_END.format(table="hierarchy"), head.document_id, version, effective_from)
    name = f"{head.document_id}.{version}"
    await connection.execute(
        _ADD_HIERARCHY,
        name,
        head.document_id,
        version,
        row.item_id,
        row.pool,
        row.fair_share,
        orjson.dumps(row.periods).decode(),
        orjson.dumps(row.nodes).decode(),
        effective_from,
    )
    return Hierarchy(name, head.document_id, version, row.item_id, row.periods, row.nodes, row.pool)


async def count_ledger(
    connection: Connection, quotas: Sequence[Quota], hierarchies: Sequence[Hierarchy], today: int
) -> dict[UsageKey, int]:
    """What has been taken of new quotas and hierarchies, posted to the commitments as well."""
    periods = [(each.start, each.end) for each in quotas] + [span for each in hierarchies for span in each.periods]
    if not periods:
        return {}
    named = [each.item_id for each in quotas] + [each.item_id for each in hierarchies]
    wanted = None if None in named else sorted({item for item in named if item is not None})
    rows = await connection.fetch(_LEDGER, min(periods)[0], max(end for _, end in periods), wanted)
    items = await read_items(connection, sorted({row["item_id"] for row in rows})) if rows else {}
    regions = await read_regions(connection)
    book = Book(today, items, {}, {}, quotas=tuple(quotas), hierarchies=tuple(hierarchies), regions=regions)
    posted = list(_taken(book, [dict(row) for row in rows]))
    columns = [[row[name] for row, _ in posted] for name in ("promise_id", "line", "part")]
    await connection.execute(_POST, *columns, [_postings(postings) for _, postings in posted])
    return book.usage


def _taken(book: Book, rows: Iterable[Mapping[str, Any]]) -> Iterable[tuple[Mapping[str, Any], list[Posting]]]:
    known: dict[tuple[object, ...], list[Ceiling]] = {}
    for row in rows:
        item = book.items.get(row["item_id"], Item(row["item_id"]))
        name = (item.item_id, row["tier"], row["zone"], row["channel"], row["customer_id"])
        if name not in known:
            tier = Tier(row["tier"], priority_rank=1, policy_version=1)
            asked = Request("", "", tier, row["zone"], row["channel"], book.today, ship_complete=False, lines=())
            request = Request(**{**_fields(asked), "customer_id": row["customer_id"]})
            known[name] = ceilings_for(book, request, item)
        postings: list[Posting] = []
        for ceiling in known[name]:
            for posting in portions(ceiling, book.usage, row["available_day"], row["quantity"]):
                book.usage[posting.usage] = book.usage.get(posting.usage, 0) + posting.quantity
                postings.append(posting)
        if postings:
            yield row, postings


def _fields(request: Request) -> dict[str, Any]:
    return {name: getattr(request, name) for name in Request.__slots__}


def _postings(postings: Iterable[Posting]) -> str:
    return orjson.dumps([(*each.usage, each.quantity, each.taken) for each in postings]).decode()


async def share_out(connection: Connection, item_ids: Sequence[str], at: datetime) -> bool:
    """Divide the quantities of hierarchies by fair share where there is too little for all; whether any changed."""
    rows = await connection.fetch(_FAIR, list(item_ids), at)
    if not rows:
        return False
    items = await read_items(connection, sorted({row["item_id"] for row in rows}))
    store = PositionStore(connection, Writes(connection), locking=False)
    changed = False
    for row in rows:
        hierarchy = _hierarchy({**dict(row), "shares": None})
        item = items.get(row["item_id"])
        if item is None:
            continue
        stored = await store.load(await position_keys(connection, [item.item_id]))
        curves = [running_supply(each.position, item, at.toordinal()) for each in stored.values()]
        free = [sum(_free_by(curve, max(end, at.toordinal())) for curve in curves) for _, end in hierarchy.periods]
        shares = await _shares(store, hierarchy, free, at.toordinal())
        before = None if row["shares"] is None else orjson.loads(row["shares"])
        if shares != before:
            await connection.execute(_SHARE, hierarchy.hierarchy_id, orjson.dumps(shares).decode())
            changed = True
    return changed


def _free_by(curve: Curve, day: int) -> int:
    return max(0, [level for start, level in zip(curve.days, curve.available, strict=True) if start <= day][-1])


async def _shares(store: PositionStore, hierarchy: Hierarchy, free: Sequence[int], today: int) -> dict[str, list[int]]:
    """By node and period its fair share of what is there: what was taken, and what is free."""
    shares: dict[str, list[int]] = {node.name: list(node.quantities) for node in hierarchy.nodes}
    spoken_for = 0
    for index, (start, end) in enumerate(hierarchy.periods):
        if end < today:
            continue
        keys = [node_key(hierarchy, node, start) for node in hierarchy.nodes]
        usage = await store.usage(sorted(keys))
        taken = [usage.get(key, 0) for key in keys]
        wanted = [node.quantities[index] for node in hierarchy.nodes]
        given = rationed(wanted, taken, max(0, free[index] - spoken_for))
        for node, share, used in zip(hierarchy.nodes, given, taken, strict=True):
            shares[node.name][index] = share
            spoken_for += max(0, share - used)
    return shares


def _hierarchy(row: Mapping[str, Any]) -> Hierarchy:
    shares = {} if row["shares"] is None else orjson.loads(row["shares"])
    nodes = []
    for fields in orjson.loads(row["nodes"]):
        quantities = tuple(shares.get(fields["name"], fields["quantities"]))
        nodes.append(Node(**{**fields, "quantities": quantities}))
    return Hierarchy(
        row["hierarchy_id"],
        row["document_id"],
        row["document_version"],
        row["item_id"],
        tuple((start, end) for start, end in orjson.loads(row["periods"])),
        tuple(nodes),
        row["pool"],
    )
