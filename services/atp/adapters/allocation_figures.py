"""What allocations are worth today, worked out from rows by the functions that decide.

Two uses: the lines of one protection document, as planners read it, and totals by tier for metrics. Totals are worked
out a portion of items at a time and of so many protections at most; past them the totals are of a part, and the
log says so.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

import structlog

from services.atp.adapters.items import items as read_items
from services.atp.adapters.positions import PositionStore
from services.atp.adapters.protections import protections as read_protections
from services.atp.application.limits import counters_of
from services.atp.application.service_levels import Running
from services.atp.domain.model import Item, Position, PositionKey, Protection
from services.atp.domain.protection_figures import Figures, figures
from services.chassis.database import Connection
from services.chassis.writes import Writes

_log = structlog.get_logger(__name__)
ITEMS_AT_ONCE: Final = 200
PROTECTIONS_MAX: Final = 20_000  # of one reading of all: a second or two of processor time
_ITEMS: Final = """
SELECT item_id, count(*) AS rows FROM protection
WHERE end_day >= $1 AND effective_from <= $2 AND (effective_to IS NULL OR effective_to > $2)
GROUP BY item_id ORDER BY item_id
"""
_CEILINGS: Final = """
SELECT coalesce(q.tier, '*') AS tier, 'quota' AS kind, q.quantity AS allowed, coalesce(u.consumed, 0) AS used
FROM quota q LEFT JOIN usage u ON u.kind = 'quota' AND u.limit_id = q.quota_id AND u.period_start = q.start_day
WHERE $1 BETWEEN q.start_day AND q.end_day
    AND q.effective_from <= $2 AND (q.effective_to IS NULL OR q.effective_to > $2)
UNION ALL
SELECT CASE WHEN n.node ->> 'attribute' = 'tier' THEN n.node ->> 'value' ELSE '*' END, 'hierarchy',
    coalesce((h.shares -> (n.node ->> 'name') ->> (p.number::int - 1))::bigint,
        (n.node -> 'quantities' ->> (p.number::int - 1))::bigint),
    coalesce(u.consumed, 0)
FROM hierarchy h
CROSS JOIN LATERAL jsonb_array_elements(h.nodes) AS n (node)
CROSS JOIN LATERAL jsonb_array_elements(h.periods) WITH ORDINALITY AS p (span, number)
LEFT JOIN usage u ON u.kind = 'node' AND u.limit_id = h.hierarchy_id || '/' || (n.node ->> 'name')
    AND u.period_start = (p.span ->> 0)::int
WHERE $1 BETWEEN (p.span ->> 0)::int AND (p.span ->> 1)::int
    AND h.effective_from <= $2 AND (h.effective_to IS NULL OR h.effective_to > $2)
"""
# Of open commitments: what has shipped is borrowed no more.
_BORROWED: Final = """
SELECT c.tier, sum(least(c.open, (posting ->> 3)::bigint))::bigint AS units
FROM hierarchy h JOIN commitment c ON c.item_id = h.item_id AND c.open > 0
CROSS JOIN LATERAL jsonb_array_elements(c.postings) AS taken (posting)
WHERE h.effective_from <= $1 AND (h.effective_to IS NULL OR h.effective_to > $1)
    AND posting ->> 4 = 'borrowed' AND starts_with(posting ->> 1, h.hierarchy_id || '/') GROUP BY c.tier
"""


async def line_figures(
    connection: Connection, document_id: str, version: int, items: Sequence[str], now: datetime
) -> dict[int, Figures]:
    """By line of a protection document's version, over its positions; as if this version were the one in effect."""
    found: dict[int, Figures] = {}
    prefix = f"{document_id}.{version}."
    as_if = {
        key: tuple(
            replace(each, upcoming=False) if each.protection_id.startswith(prefix) else each
            for each in everyone
            if each.document_id != document_id or each.document_version == version
        )
        for key, everyone in (await read_protections(connection, items, now)).items()
    }
    for protection, worth in await _at(connection, as_if, now):
        if protection.protection_id.startswith(prefix):
            line = int(protection.protection_id.removeprefix(prefix).partition("@")[0])
            found[line] = _added(found.get(line), worth)
    return found


async def running(connection: Connection, now: datetime) -> list[Running]:
    """Protections, quotas and hierarchies by tier, of the periods that contain today; see `Running`."""
    today = now.date().toordinal()
    units: dict[tuple[str, str], dict[str, int]] = {}
    portion: list[str] = []
    counted = left_out = 0
    for row in [*await connection.fetch(_ITEMS, today, now), None]:
        if row is not None and counted + row["rows"] <= PROTECTIONS_MAX:
            portion.append(row["item_id"])
            counted += row["rows"]
        elif row is not None:
            left_out += row["rows"]
        if portion and (row is None or len(portion) == ITEMS_AT_ONCE):
            await _add_protections(connection, units, portion, now)
            portion = []
    if left_out:
        _log.warning("allocation_figures_of_a_part", counted=counted, left_out=left_out)
    for row in await connection.fetch(_CEILINGS, today, now):
        used = min(row["used"], row["allowed"])
        left = {"limit": row["allowed"], "used": used, "left": row["allowed"] - used}
        _add(units, row["tier"], row["kind"], left)
    for row in await connection.fetch(_BORROWED, now):
        _add(units, row["tier"], "hierarchy", {"borrowed": row["units"]})
    return [Running(tier, kind, units[tier, kind]) for tier, kind in sorted(units)]


async def _add_protections(
    connection: Connection, units: dict[tuple[str, str], dict[str, int]], items: Sequence[str], now: datetime
) -> None:
    today = now.date().toordinal()
    for protection, worth in await _at(connection, await read_protections(connection, items, now), now):
        if protection.upcoming or protection.end < today:
            continue
        own = {"uncovered": worth.uncovered}
        if protection.start <= today:
            used = min(worth.consumed, worth.protected)
            own |= {"protected": worth.protected, "used": used, "lapsed": worth.lapsed, "left": worth.remaining}
        _add(units, protection.tier, "protection", own)


async def _at(
    connection: Connection, by_position: dict[PositionKey, tuple[Protection, ...]], now: datetime
) -> list[tuple[Protection, Figures]]:
    """The figures of protections by position; a position of which nothing was ever said has nothing."""
    keys = sorted(by_position)
    if not keys:
        return []
    store = PositionStore(connection, Writes(connection), locking=False)
    stored = await store.load(keys)
    items = await read_items(connection, sorted({key.item_id for key in keys}))
    today = now.date().toordinal()
    counters = sorted({counter for own in by_position.values() for each in own for counter in counters_of(each, today)})
    usage = await store.usage(counters) if counters else {}
    found: list[tuple[Protection, Figures]] = []
    for key in keys:
        position = stored[key].position if key in stored else Position(key, 0, 0)
        item = items.get(key.item_id, Item(key.item_id))
        found += figures(by_position[key], position, item, today, usage)
    return found


def _added(one: Figures | None, other: Figures) -> Figures:
    return other if one is None else Figures(*(a + b for a, b in zip(one, other, strict=True)))


def _add(units: dict[tuple[str, str], dict[str, int]], tier: str, kind: str, own: dict[str, int]) -> None:
    total = units.setdefault((tier, kind), {})
    for state, quantity in own.items():
        total[state] = total.get(state, 0) + quantity


def _shown(line: dict[str, Any], worth: Figures | None) -> dict[str, Any]:
    """A line of a protection document with its figures; None: this version keeps nothing any more."""
    if worth is None:
        return {**line, "remaining": None, "lapsed": None, "uncovered_qty": None}
    return {**line, "remaining": worth.remaining, "lapsed": worth.lapsed, "uncovered_qty": worth.uncovered}


def with_figures(lines: Iterable[dict[str, Any]], found: dict[int, Figures], *, counts: bool) -> list[dict[str, Any]]:
    """The lines of a document with their figures; `counts`: the version is, or will be, in effect.

    Of a number over locations, what no position has is covered by nothing.
    """
    lines_shown = []
    for number, line in enumerate(lines, start=1):
        worth = found.get(number)
        if counts and worth is None:
            worth = Figures(line["protected_qty"] or 0, 0, 0, 0, line["protected_qty"] or 0)
        lines_shown.append(_shown(line, worth if counts else None))
    return lines_shown
