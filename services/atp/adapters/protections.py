"""Protections as rows: read for decisions, written by documents, and divided over the positions of their locations.

A line for several locations has a row at each position that it is for (`<document>.<version>.<line>@<location>`). Its
quantity is divided by largest remainder: a position gets what it has given already, and of the rest its share by the
supply that is still free there; again whenever supply changes. So a check stays local to its position.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from services.atp.adapters.items import items as read_items
from services.atp.adapters.positions import PositionStore
from services.atp.application.planning import DocumentHead, ProtectionRow
from services.atp.domain.fair_share import spread
from services.atp.domain.model import Item, Position, PositionKey, Protection, UsageKey
from services.atp.domain.supply_picture import running_supply
from services.chassis.database import Connection
from services.chassis.writes import Writes

_RANK_OF_UNKNOWN_TIER: Final = 1_000_001  # behind all: a protection for a tier that nobody knows restricts nobody
_FOR_DECISIONS: Final = """
SELECT p.protection_id, p.document_id, p.document_version, p.item_id, p.location_id, p.tier,
       CASE WHEN p.unconsumable THEN 0 ELSE coalesce(t.priority_rank, $3) END AS priority_rank, p.start_day, p.end_day,
       p.quantity, p.mode, p.lapse_days, p.carry_stock, p.basis, p.share, p.scope, p.unconsumable, p.strict, p.expected,
       p.effective_from > $2 AS upcoming
FROM unnest($1::text[]) AS k (item_id) JOIN protection p ON p.item_id = k.item_id LEFT JOIN tier t ON t.tier = p.tier
WHERE p.effective_to IS NULL OR $2 < p.effective_to
ORDER BY p.item_id, p.location_id, p.protection_id
"""
_END: Final = """
UPDATE {table} SET effective_to = greatest($3, effective_from)
WHERE document_id = $1 AND document_version < $2 AND (effective_to IS NULL OR effective_to > $3)
"""
_COLUMNS: Final = """protection_id, document_id, document_version, item_id, location_id, tier, start_day, end_day,
    quantity, mode, lapse_days, carry_stock, basis, share, scope, unconsumable, strict, expected, effective_from,
    effective_to"""
_ADD: Final = f"""
INSERT INTO protection ({_COLUMNS})
SELECT a, $1, $2, b, c, d, e, f, g, h, i, j, k, l, 0, m, n, o, $3, NULL
FROM unnest($4::text[], $5::text[], $6::text[], $7::text[], $8::int[], $9::int[], $10::bigint[], $11::text[],
    $12::int[], $13::bool[], $14::text[], $15::bigint[], $16::bool[], $17::bool[], $18::bigint[])
    AS k (a, b, c, d, e, f, g, h, i, j, k, l, m, n, o)
"""  # noqa: S608 - made of constants
_ADD_GROUP: Final = """
INSERT INTO protection_group (document_id, document_version, line, item_id, locations, tier, start_day, end_day,
    quantity, mode, lapse_days, carry_stock, basis, share, unconsumable, strict, expected, effective_from)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)
"""
_GROUPS: Final = """
SELECT * FROM protection_group WHERE item_id = ANY($1::text[]) AND (effective_to IS NULL OR $2 < effective_to)
ORDER BY item_id, document_id, document_version, line
"""
_KEYS: Final = "SELECT item_id, location_id FROM position WHERE item_id = ANY($1::text[]) ORDER BY 1, 2"
_NARROWER: Final = """
SELECT item_id, location_id, tier, scope, start_day, end_day FROM protection
WHERE item_id = ANY($1::text[]) AND effective_from <= $2 AND (effective_to IS NULL OR $2 < effective_to) AND scope < 2
"""
_PUT: Final = f"""
INSERT INTO protection ({_COLUMNS})
SELECT a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t
FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::int[], $8::int[],
    $9::bigint[], $10::text[], $11::int[], $12::bool[], $13::text[], $14::bigint[], $15::smallint[], $16::bool[],
    $17::bool[], $18::bigint[], $19::timestamptz[], $20::timestamptz[])
    AS k (a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t)
ON CONFLICT (protection_id) DO UPDATE SET quantity = excluded.quantity
WHERE protection.quantity <> excluded.quantity
"""  # noqa: S608 - made of constants
_COPIED: Final = (
    "tier",
    "start_day",
    "end_day",
    "quantity",
    "mode",
    "lapse_days",
    "carry_stock",
    "basis",
    "share",
    "scope",
    "unconsumable",
    "strict",
    "expected",
    "effective_from",
    "effective_to",
)


async def protections(
    connection: Connection, item_ids: Sequence[str], at: datetime
) -> dict[PositionKey, tuple[Protection, ...]]:
    """Protections whose document is in effect or will be, by position."""
    found: dict[PositionKey, tuple[Protection, ...]] = {}
    for row in await connection.fetch(_FOR_DECISIONS, item_ids, at, _RANK_OF_UNKNOWN_TIER):
        protection_id, document_id, version, item_id, location_id, *rest = row
        key = PositionKey(item_id, location_id)
        protection = Protection(protection_id, document_id, version, key, *rest)
        found[key] = (*found.get(key, ()), protection)
    return found


async def position_keys(connection: Connection, item_ids: Sequence[str]) -> list[PositionKey]:
    """All positions of items, in order."""
    return [PositionKey(*row) for row in await connection.fetch(_KEYS, list(item_ids))]


async def write_protections(
    connection: Connection, head: DocumentHead, version: int, effective_from: datetime, rows: Sequence[ProtectionRow]
) -> None:
    """Write the rows of a document's version and end those of the former ones.

    Raises:
        asyncpg.ExclusionViolationError: two periods of one tier at one position overlap.
    """
    for table in ("protection", "protection_group"):
        await connection.execute(_END.format(table=table), head.document_id, version, effective_from)
    single = [(number, row) for number, row in enumerate(rows, start=1) if not row.is_group]
    await connection.execute(
        _ADD,
        head.document_id,
        version,
        effective_from,
        [f"{head.document_id}.{version}.{number}" for number, _ in single],
        [row.item_id for _, row in single],
        [row.locations[0] if row.locations else "" for _, row in single],
        *([getattr(row, name) for _, row in single] for name in ("tier", "start_day", "end_day", "quantity", "mode")),
        *([getattr(row, name) for _, row in single] for name in ("lapse_days", "carry_stock", "basis", "share")),
        *([getattr(row, name) for _, row in single] for name in ("unconsumable", "strict", "expected")),
    )
    for number, row in enumerate(rows, start=1):
        if row.is_group:
            await connection.execute(
                _ADD_GROUP,
                head.document_id,
                version,
                number,
                row.item_id,
                None if row.locations is None else list(row.locations),
                *(getattr(row, name) for name in ("tier", "start_day", "end_day", "quantity", "mode", "lapse_days")),
                *(getattr(row, name) for name in ("carry_stock", "basis", "share", "unconsumable", "strict")),
                row.expected,
                effective_from,
            )


async def divide(connection: Connection, item_ids: Sequence[str], at: datetime) -> None:
    """Divide the protections of items over the positions of their locations; the positions are locked by the caller."""
    groups = [dict(row) for row in await connection.fetch(_GROUPS, list(item_ids), at)]
    if not groups:
        return
    items = await read_items(connection, sorted({group["item_id"] for group in groups}))
    store = PositionStore(connection, Writes(connection), locking=False)
    stored = await store.load(await position_keys(connection, list(items)))
    narrower = [dict(row) for row in await connection.fetch(_NARROWER, list(items), at)]
    rows: list[dict[str, Any]] = []
    for group in groups:
        scope = 2 if group["locations"] is None else 1
        keys = [
            key
            for key in sorted(stored)
            if key.item_id == group["item_id"] and (group["locations"] is None or key.location_id in group["locations"])
        ]
        ids = {key: _row_id(group, key) for key in keys}
        counters = {key: UsageKey("protection", ids[key], group["start_day"]) for key in keys}
        usage = await store.usage(list(counters.values())) if counters else {}
        taken = [usage.get(counters[key], 0) for key in keys]
        hidden = [any(_hides(row, group, key, scope) for row in narrower) for key in keys]
        supply = [
            0 if is_hidden else _free(stored[key].position, items[key.item_id], group, at.toordinal())
            for key, is_hidden in zip(keys, hidden, strict=True)
        ]
        quantities = _divided(group["quantity"], taken, supply, hidden)
        for key, quantity in zip(keys, quantities, strict=True):
            given = {"scope": scope, "quantity": quantity if group["basis"] == "quantity" else 0}
            rows.append({**group, **given, "protection_id": ids[key], "location_id": key.location_id})
    if rows:
        names = ("protection_id", "document_id", "document_version", "item_id", "location_id", *_COPIED)
        await connection.execute(_PUT, *([row[name] for row in rows] for name in names))


def _divided(total: int, taken: Sequence[int], supply: Sequence[int], hidden: Sequence[bool]) -> list[int]:
    """`spread` over the positions at which the line counts; the others keep what they gave."""
    open_places = [index for index, is_hidden in enumerate(hidden) if not is_hidden]
    rest = total - sum(given for given, is_hidden in zip(taken, hidden, strict=True) if is_hidden)
    shares = spread(max(0, rest), [taken[index] for index in open_places], [supply[index] for index in open_places])
    quantities = list(taken)
    for index, share in zip(open_places, shares, strict=True):
        quantities[index] = share
    return quantities


def _row_id(group: Mapping[str, Any], key: PositionKey) -> str:
    return f"{group['document_id']}.{group['document_version']}.{group['line']}@{key.location_id}"


def _hides(row: Mapping[str, Any], group: Mapping[str, Any], key: PositionKey, scope: int) -> bool:
    return (
        (row["item_id"], row["location_id"], row["tier"]) == (*key, group["tier"])
        and row["scope"] < scope
        and row["start_day"] <= group["end_day"]
        and group["start_day"] <= row["end_day"]
    )


def _free(position: Position, item: Item, group: Mapping[str, Any], today: int) -> int:
    """The supply of a position that a protection could still keep: free by its end, or due within a future period."""
    start, end = group["start_day"], group["end_day"]
    if start > today and not group["carry_stock"]:
        due = [each for each in position.receipts if start <= each.day <= end]
        return sum(each.confirmed + (each.planned if item.planned_receipts_count else 0) for each in due)
    curve = running_supply(position, item, today)
    levels = [level for day, level in zip(curve.days, curve.available, strict=True) if day <= max(end, today)]
    return max(0, levels[-1])
