"""Protections as rows: read for decisions, written by documents, and divided over the positions of their locations.

A line for several locations has a row at each position that it is for (`<document>.<version>.<line>@<location>`). Its
quantity, and what is expected of it, are divided as `services.atp.domain.dividing` says, again whenever supply changes.
So a check stays local to its position.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from services.atp.adapters.items import items as read_items
from services.atp.adapters.positions import PositionStore
from services.atp.application.limits import counters_of
from services.atp.application.planning import DocumentHead, ProtectionRow
from services.atp.domain.dividing import divided
from services.atp.domain.model import PositionKey, Protection
from services.atp.domain.protected_supply import Stand
from services.chassis.database import Connection
from services.chassis.writes import Writes

_RANK_OF_UNKNOWN_TIER: Final = 1_000_001  # behind all: a protection for a tier that nobody knows restricts nobody
COUNTS_FROM: Final = """
CASE WHEN p.carry_stock THEN least(p.start_day, (p.effective_from AT TIME ZONE 'UTC')::date - DATE '0001-01-01' + 1)
    ELSE p.start_day END
"""
_FOR_DECISIONS: Final = f"""
SELECT p.protection_id, p.document_id, p.document_version, p.item_id, p.location_id, p.tier,
       CASE WHEN p.unconsumable THEN 0 ELSE coalesce(t.priority_rank, $3) END AS priority_rank, p.start_day, p.end_day,
       p.quantity, p.mode, p.lapse_days, p.carry_stock, p.basis, p.share, p.scope, p.unconsumable, p.strict, p.expected,
       p.effective_from > $2 AS upcoming, 0 AS lowered_by, {COUNTS_FROM} AS counts_from
FROM unnest($1::text[]) AS k (item_id) JOIN protection p ON p.item_id = k.item_id LEFT JOIN tier t ON t.tier = p.tier
WHERE p.effective_to IS NULL OR $2 < p.effective_to
ORDER BY p.item_id, p.location_id, p.protection_id
"""  # noqa: S608 - made of constants
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
_GROUPS: Final = f"""
SELECT p.*, {COUNTS_FROM} AS counts_from,
    CASE WHEN p.unconsumable THEN 0 ELSE coalesce(t.priority_rank, $3) END AS priority_rank,
    CASE WHEN p.locations IS NULL THEN 2 ELSE 1 END AS scope, p.effective_from > $2 AS upcoming
FROM protection_group p LEFT JOIN tier t ON t.tier = p.tier
WHERE p.item_id = ANY($1::text[]) AND (p.effective_to IS NULL OR $2 < p.effective_to)
ORDER BY p.item_id, priority_rank, scope, p.start_day, p.document_id, p.document_version, p.line
"""  # noqa: S608 - made of constants
_KEYS: Final = "SELECT item_id, location_id FROM position WHERE item_id = ANY($1::text[]) ORDER BY 1, 2"
_PUT: Final = f"""
INSERT INTO protection ({_COLUMNS})
SELECT a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t
FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::int[], $8::int[],
    $9::bigint[], $10::text[], $11::int[], $12::bool[], $13::text[], $14::bigint[], $15::smallint[], $16::bool[],
    $17::bool[], $18::bigint[], $19::timestamptz[], $20::timestamptz[])
    AS k (a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t)
ON CONFLICT (protection_id) DO UPDATE SET quantity = excluded.quantity, expected = excluded.expected
WHERE (protection.quantity, protection.expected) IS DISTINCT FROM (excluded.quantity, excluded.expected)
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


_OF_ROW: Final = ("protection_id", "quantity", "expected", "scope")


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
    groups = [dict(row) for row in await connection.fetch(_GROUPS, list(item_ids), at, _RANK_OF_UNKNOWN_TIER)]
    if not groups:
        return
    found = await _scene(connection, groups, at)
    rows = [row for group in groups for row in _rows(found, group)]
    if rows:
        names = ("protection_id", "document_id", "document_version", "item_id", "location_id", *_COPIED)
        await connection.execute(_PUT, *([row[name] for row in rows] for name in names))


@dataclass(frozen=True, slots=True)
class _Scene:
    """The positions of items with all that is kept there; rows of groups as far as they have been divided."""

    stands: Mapping[PositionKey, Stand]
    kept: dict[PositionKey, tuple[Protection, ...]]


async def _scene(connection: Connection, groups: Sequence[Mapping[str, Any]], at: datetime) -> _Scene:
    items = await read_items(connection, sorted({group["item_id"] for group in groups}))
    store = PositionStore(connection, Writes(connection), locking=False)
    stored = await store.load(await position_keys(connection, list(items)))
    before = await protections(connection, list(items), at)
    counters = {key: None for own in before.values() for each in own for key in counters_of(each, at.toordinal())}
    usage = await store.usage(sorted(counters)) if counters else {}
    stands = {
        key: Stand(each.position, items[key.item_id], at.toordinal(), usage) for key, each in sorted(stored.items())
    }
    return _Scene(stands, {key: tuple(each for each in before.get(key, ()) if not each.scope) for key in stands})


def _rows(scene: _Scene, group: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The rows of a group, which are added to what is kept."""
    keys = [
        key
        for key in scene.stands
        if key.item_id == group["item_id"] and (group["locations"] is None or key.location_id in group["locations"])
    ]
    rows = divided({key: _row(group, key) for key in keys}, scene.kept, scene.stands)
    for key in keys:
        scene.kept[key] = (*scene.kept[key], rows[key])
    return [
        {**group, **{name: getattr(row, name) for name in _OF_ROW}, "location_id": key.location_id}
        for key, row in rows.items()
    ]


def _row(group: Mapping[str, Any], key: PositionKey) -> Protection:
    """A group at a position, as if it had all of its quantity there."""
    names = ("document_id", "document_version", "tier", "priority_rank", "quantity", "mode", "lapse_days")
    more = ("carry_stock", "basis", "share", "scope", "unconsumable", "strict", "expected", "upcoming", "counts_from")
    return Protection(
        f"{group['document_id']}.{group['document_version']}.{group['line']}@{key.location_id}",
        key=key,
        start=group["start_day"],
        end=group["end_day"],
        **{name: group[name] for name in (*names, *more)},
    )
