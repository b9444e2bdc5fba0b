"""Positions, their marks and the counters of limits, as rows.

Every command that changes a position comes through here: `load` locks the rows in key order, `store` writes them whole.
Arrays travel as text, because arrays of arrays of different lengths have no type in PostgreSQL.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

import asyncpg
import orjson

from services.atp.adapters.waiting_totals import totals
from services.atp.application.ports import StoredPosition
from services.atp.application.waiting_lines import Mark
from services.atp.domain.leads import add_waiting
from services.atp.domain.model import Position, PositionKey, Receipts, UsageKey
from services.atp.domain.order_of_service import ServiceKey
from services.atp.domain.service_rule import SetAside
from services.chassis.arrays import numbers, numbers_or_none, text_array, texts
from services.chassis.database import Connection
from services.chassis.writes import Writes

_POSITIONS: Final = f"""
SELECT p.item_id, p.location_id, p.version, p.on_hand, p.buffer,
       p.receipt_days, p.receipt_confirmed, p.receipt_planned, p.receipt_assumed,
       p.commit_days, p.commit_quantities, p.waiting_leads, p.waiting_quantities,
       p.marked_at, p.mark_cause, p.mark_after, p.stopped_through, p.channel_buffers, p.waiting_basis, p.set_aside
FROM unnest({text_array(1)}, {text_array(2)}) AS k (item_id, location_id)
JOIN position p ON p.item_id = k.item_id AND p.location_id = k.location_id
ORDER BY p.item_id, p.location_id
"""  # noqa: S608 - made of constants


def _with_time(positions: str) -> str:
    """The business time beside the rows, read once and after all of them: the count needs each, and so each lock."""
    return f"""
WITH found AS MATERIALIZED ({positions}),
clock AS MATERIALIZED (
    SELECT coalesce((SELECT at FROM business_clock.replay), clock_timestamp()) AS now
    FROM (SELECT count(*) AS number FROM found) AS whole WHERE number >= 0
)
SELECT found.*, clock.now FROM found CROSS JOIN clock
"""  # noqa: S608 - made of constants


_LOAD: Final = _with_time(_POSITIONS)
_LOCK: Final = _with_time(_POSITIONS + " FOR UPDATE OF p")

_COLUMNS: Final = f"""
    unnest({text_array(1)}, {text_array(2)}, $3::text::bigint[], $4::text::bigint[], {text_array(5)}, {text_array(6)},
           {text_array(7)}, {text_array(8)}, {text_array(9)}, {text_array(10)}, {text_array(11)}, {text_array(12)},
           {text_array(13)}::timestamptz[], {text_array(14)}, {text_array(15)}::jsonb[], $16::text::int[],
           {text_array(17)}::jsonb[], $18::text::bigint[], {text_array(19)}::jsonb[])
    AS k (item_id, location_id, on_hand, buffer, receipt_days, receipt_confirmed, receipt_planned, receipt_assumed,
          commit_days, commit_quantities, waiting_leads, waiting_quantities, marked_at, mark_cause, mark_after,
          stopped_through, channel_buffers, waiting_basis, set_aside)
"""
_UPDATE: Final = f"""
UPDATE position p SET
    version = p.version + 1, on_hand = k.on_hand, buffer = k.buffer,
    receipt_days = k.receipt_days::int[], receipt_confirmed = k.receipt_confirmed::bigint[],
    receipt_planned = k.receipt_planned::bigint[], receipt_assumed = k.receipt_assumed::bigint[],
    commit_days = k.commit_days::int[], commit_quantities = k.commit_quantities::bigint[],
    waiting_leads = k.waiting_leads::bigint[], waiting_quantities = k.waiting_quantities::bigint[],
    marked_at = k.marked_at, mark_cause = k.mark_cause, mark_after = k.mark_after,
    stopped_through = k.stopped_through, channel_buffers = k.channel_buffers, waiting_basis = k.waiting_basis,
    set_aside = k.set_aside
FROM {_COLUMNS}
WHERE p.item_id = k.item_id AND p.location_id = k.location_id
"""  # noqa: S608 - made of constants
_INSERT: Final = f"""
INSERT INTO position (item_id, location_id, on_hand, buffer, receipt_days, receipt_confirmed, receipt_planned,
    receipt_assumed, commit_days, commit_quantities, waiting_leads, waiting_quantities,
    marked_at, mark_cause, mark_after, stopped_through, channel_buffers, waiting_basis, set_aside)
SELECT item_id, location_id, on_hand, buffer, receipt_days::int[], receipt_confirmed::bigint[],
    receipt_planned::bigint[], receipt_assumed::bigint[], commit_days::int[], commit_quantities::bigint[],
    waiting_leads::bigint[], waiting_quantities::bigint[], marked_at, mark_cause, mark_after,
    stopped_through, channel_buffers, waiting_basis, set_aside
FROM {_COLUMNS}
"""  # noqa: S608 - made of constants

_MAKE_USAGE: Final = """
INSERT INTO usage (kind, limit_id, period_start)
SELECT kind, limit_id, period_start FROM unnest($1::text[], $2::text[], $3::int[]) AS k (kind, limit_id, period_start)
ORDER BY 1, 2, 3
ON CONFLICT DO NOTHING
"""
_USAGE: Final = """
SELECT u.kind, u.limit_id, u.period_start, u.consumed
FROM unnest($1::text[], $2::text[], $3::int[]) AS k (kind, limit_id, period_start)
JOIN usage u ON u.kind = k.kind AND u.limit_id = k.limit_id AND u.period_start = k.period_start
ORDER BY u.kind, u.limit_id, u.period_start
"""
_STORE_USAGE: Final = """
INSERT INTO usage (kind, limit_id, period_start, consumed)
SELECT kind, limit_id, period_start, consumed
FROM unnest($1::text[], $2::text[], $3::int[], $4::bigint[]) AS k (kind, limit_id, period_start, consumed)
ORDER BY 1, 2, 3
ON CONFLICT (kind, limit_id, period_start) DO UPDATE SET consumed = excluded.consumed
"""
_WAITING: Final = totals("unnest($1::text[]) AS k (item_id) JOIN backorder b ON b.item_id = k.item_id", "$2::bigint")

_BACKLOG: Final = """
SELECT b.item_id, sum(b.quantity)::bigint FROM backorder b WHERE b.item_id = ANY($1::text[]) AND NOT b.late
GROUP BY b.item_id
"""


class PositionStore:
    """The positions of one transaction; `locking` is off for reads."""

    def __init__(self, connection: Connection, writes: Writes, *, locking: bool) -> None:
        self._connection = connection
        self._writes = writes
        self._load = _LOCK if locking else _LOAD
        self._locking = locking
        self.loaded_at: datetime | None = None
        """The business time right after the last `load`, once one has found something."""

    async def load(self, keys: Sequence[PositionKey]) -> dict[PositionKey, StoredPosition]:
        """The positions that exist, locked in key order if this session locks. `keys` must be sorted and unique."""
        if not keys:
            return {}
        rows = await self._connection.fetch(self._load, *map(texts, zip(*keys, strict=True)))
        if rows:
            self.loaded_at = rows[0]["now"].astimezone(UTC)
        stored = [_position(row) for row in rows]
        return {each.position.key: each for each in stored}

    async def lock_usage(self, keys: Sequence[UsageKey]) -> None:
        """Make missing counters and lock all, in key order."""
        if self._locking:
            columns = [list(column) for column in zip(*keys, strict=True)]
            await self._connection.execute(_MAKE_USAGE, *columns)
            await self._connection.fetch(_USAGE + " FOR UPDATE OF u", *columns)

    async def usage(self, keys: Sequence[UsageKey]) -> dict[UsageKey, int]:
        """What was consumed of these limits; one without a counter is left out."""
        rows = await self._connection.fetch(_USAGE, *(list(column) for column in zip(*keys, strict=True)))
        return {UsageKey(row[0], row[1], row[2]): row[3] for row in rows}

    async def waiting(self, items: Sequence[str], basis: int) -> dict[str, dict[int, int]]:
        """Open backorders by item: quantity by lead."""
        waiting: dict[str, dict[int, int]] = {}
        for item_id, lead, quantity in await self._connection.fetch(_WAITING, list(items), basis):
            add_waiting(waiting.setdefault(item_id, {}), lead, quantity)
        return waiting

    async def backlog(self, items: Sequence[str]) -> dict[str, int]:
        """The open rests by item, in all; what is promised late does not wait."""
        rows = await self._connection.fetch(_BACKLOG, list(items))
        return {item_id: quantity for item_id, quantity in rows}  # noqa: C416 - a row is no pair for a type checker

    async def store(self, changed: Sequence[StoredPosition], usage: Mapping[UsageKey, int]) -> None:
        """Add positions and counters to the writes; a position of version 0 is new."""
        made = [each for each in changed if each.position.version == 0]
        kept = [each for each in changed if each.position.version > 0] if made else changed
        if kept:
            self._writes.add(_UPDATE, _columns(kept))
        if made:
            self._writes.add(_INSERT, _columns(made))
        if usage:
            columns = [list(column) for column in zip(*usage, strict=True)]
            self._writes.add(_STORE_USAGE, (*columns, list(usage.values())))


def mark_of(row: asyncpg.Record) -> Mark | None:
    """The mark in a row of positions."""
    if row["marked_at"] is None:
        return None
    after = row["mark_after"]
    return Mark(row["marked_at"], row["mark_cause"], None if after is None else ServiceKey(*orjson.loads(after)))


def _position(row: asyncpg.Record) -> StoredPosition:
    position = Position(
        key=PositionKey(row["item_id"], row["location_id"]),
        version=row["version"],
        on_hand=row["on_hand"],
        buffer=row["buffer"],
        receipts=tuple(
            map(
                Receipts,
                row["receipt_days"],
                row["receipt_confirmed"],
                row["receipt_planned"],
                row["receipt_assumed"],
            )
        ),
        commitments=tuple(zip(row["commit_days"], row["commit_quantities"], strict=True)),
        waiting=tuple(zip(row["waiting_leads"], row["waiting_quantities"], strict=True)),
        stopped_through=row["stopped_through"],
        channel_buffers=() if row["channel_buffers"] is None else _buffers(row["channel_buffers"]),
        waiting_basis=row["waiting_basis"],
        set_aside=() if row["set_aside"] is None else _set_aside(row["set_aside"]),
    )
    return StoredPosition(position, mark_of(row))


def _buffers(stored: str) -> tuple[tuple[str, int], ...]:
    return tuple((channel, quantity) for channel, quantity in orjson.loads(stored))


def _set_aside(stored: str) -> tuple[SetAside, ...]:
    return tuple(
        SetAside((lead, further, source, order_id, line), basis, through, tuple((day, units) for day, units in steps))
        for (lead, further, source, order_id, line), basis, through, steps in orjson.loads(stored)
    )


def _columns(stored: Sequence[StoredPosition]) -> list[str]:
    positions = [each.position for each in stored]
    marks = [each.mark for each in stored]
    after = [None if mark is None else mark.after for mark in marks]
    channels = [each.channel_buffers for each in positions]
    return [
        texts([each.key.item_id for each in positions]),
        texts([each.key.location_id for each in positions]),
        numbers([each.on_hand for each in positions]),
        numbers([each.buffer for each in positions]),
        texts([numbers([receipts.day for receipts in each.receipts]) for each in positions]),
        texts([numbers([receipts.confirmed for receipts in each.receipts]) for each in positions]),
        texts([numbers([receipts.planned for receipts in each.receipts]) for each in positions]),
        texts([numbers([receipts.assumed for receipts in each.receipts]) for each in positions]),
        texts([numbers([day for day, _ in each.commitments]) for each in positions]),
        texts([numbers([quantity for _, quantity in each.commitments]) for each in positions]),
        texts([numbers([lead for lead, _ in each.waiting]) for each in positions]),
        texts([numbers([quantity for _, quantity in each.waiting]) for each in positions]),
        texts([None if mark is None else mark.at.isoformat() for mark in marks]),
        texts([None if mark is None else mark.cause for mark in marks]),
        texts([None if each is None else orjson.dumps(tuple(each)).decode() for each in after]),
        numbers_or_none([each.stopped_through for each in positions]),
        texts([orjson.dumps(each).decode() if each else None for each in channels]),
        numbers([each.waiting_basis for each in positions]),
        texts([orjson.dumps(each.set_aside, default=tuple).decode() if each.set_aside else None for each in positions]),
    ]
