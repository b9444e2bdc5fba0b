"""Supply records in PostgreSQL: how far each source has told, scheduled receipts, movements and fulfilments.

Duplicates by reference are found by a look-up under the lock of the position (or of the order, for deliveries), which
is why the partitioned ledgers need no unique index.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import asyncpg
import orjson

from services.atp.adapters import stock_status, transfers
from services.atp.adapters.stock_states import state_of
from services.atp.application.content import OrderKey
from services.atp.application.status_book import CountedStatus, StatusBook, StatusKey, TrackKey
from services.atp.application.supply_entries import (
    CountedSince,
    Entry,
    FulfilmentEntry,
    Reference,
    StreamKey,
    TransferKey,
)
from services.atp.domain.model import PositionKey
from services.atp.domain.scheduled_receipts import Scheduled
from services.atp.domain.stock_intake import StockState
from services.atp.domain.transfers import Transfer
from services.chassis.database import Connection

_STATES = """
SELECT item_id, location_id, source, state FROM stock_state
JOIN unnest($1::text[], $2::text[], $3::text[]) AS asked (item_id, location_id, source)
USING (item_id, location_id, source)
"""
_KNOWN = """
SELECT DISTINCT item_id, location_id, source, reference FROM movement
JOIN unnest($1::text[], $2::text[], $3::text[], $4::text[]) AS asked (item_id, location_id, source, reference)
USING (item_id, location_id, source, reference)
"""
_SCHEDULED = """
SELECT item_id, location_id, source, reference, version, quantity, due_day, certainty, received FROM scheduled_receipt
JOIN unnest($1::text[], $2::text[], $3::text[], $4::text[]) AS asked (item_id, location_id, source, reference)
USING (item_id, location_id, source, reference)
"""
_LATER = """
SELECT coalesce(sum(quantity), 0)::bigint FROM movement
WHERE item_id = $1 AND location_id = $2 AND kind NOT IN ('snapshot', 'correction')
AND CASE WHEN $4::bigint IS NOT NULL AND sequence IS NOT NULL AND source = $3
    THEN sequence > $4 ELSE occurred_at > $5 END
"""
_INSERT_ENTRIES = """
INSERT INTO movement (item_id, location_id, source, reference, kind, quantity, on_hand_change, outcome, occurred_at,
    sequence, receipt_reference)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::bigint[], $8::text[],
    $9::timestamptz[], $10::bigint[], $11::text[])
"""
_UPSERT_STATES = """
INSERT INTO stock_state (item_id, location_id, source, state)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::jsonb[])
ON CONFLICT (item_id, location_id, source) DO UPDATE SET state = excluded.state
"""
_UPSERT_SCHEDULED = """
INSERT INTO scheduled_receipt (item_id, location_id, source, reference, version, quantity, due_day, certainty, received)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::bigint[], $7::int[], $8::text[],
    $9::bigint[])
ON CONFLICT (item_id, location_id, source, reference) DO UPDATE SET version = excluded.version,
    quantity = excluded.quantity, due_day = excluded.due_day, certainty = excluded.certainty,
    received = excluded.received
"""
_KNOWN_DELIVERIES = """
SELECT DISTINCT order_source, order_id, source, reference FROM fulfilment
JOIN unnest($1::text[], $2::text[], $3::text[], $4::text[]) AS asked (order_source, order_id, source, reference)
USING (order_source, order_id, source, reference) WHERE kind = 'delivered'
"""
_INSERT_FULFILMENTS = """
INSERT INTO fulfilment (source, reference, kind, promise_id, order_source, order_id, line, quantity, outcome,
    occurred_at, carrier, actual_cost_minor)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::uuid[], $5::text[], $6::text[], $7::text[], $8::bigint[],
    $9::text[], $10::timestamptz[], $11::text[], $12::bigint[])
"""


class PostgresSupply:
    """`SupplyRecords` over one connection, inside its transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def states(self, streams: Sequence[StreamKey]) -> dict[StreamKey, StockState]:
        """See the port."""
        asked = _columns([(*stream.position, stream.source) for stream in streams], 3)
        rows = await self._connection.fetch(_STATES, *asked)
        return {
            StreamKey(PositionKey(row["item_id"], row["location_id"]), row["source"]): state_of(row["state"])
            for row in rows
        }

    async def known(self, names: Sequence[Reference]) -> list[Reference]:
        """See the port."""
        rows = await self._connection.fetch(_KNOWN, *_references(names))
        return [_reference(row) for row in rows]

    async def scheduled(self, names: Sequence[Reference]) -> dict[Reference, Scheduled]:
        """See the port."""
        rows = await self._connection.fetch(_SCHEDULED, *_references(names))
        return {
            _reference(row): Scheduled(
                row["version"], row["quantity"], row["due_day"], row["certainty"], row["received"]
            )
            for row in rows
        }

    async def later(self, counted: CountedSince) -> int:
        """See the port."""
        position, source = counted.stream
        total: int = await self._connection.fetchval(_LATER, *position, source, counted.cursor, counted.as_of)
        return total

    async def store(
        self,
        entries: Sequence[Entry],
        states: Mapping[StreamKey, StockState],
        scheduled: Mapping[Reference, Scheduled],
    ) -> None:
        """See the port."""
        if entries:
            await self._connection.execute(_INSERT_ENTRIES, *_columns([_entry_row(entry) for entry in entries], 11))
        if states:
            rows = [(*key.position, key.source, orjson.dumps(asdict(state)).decode()) for key, state in states.items()]
            await self._connection.execute(_UPSERT_STATES, *_columns(rows, 4))
        if scheduled:
            due = [
                (
                    *name.position,
                    name.source,
                    name.reference,
                    one.version,
                    one.quantity,
                    one.due,
                    one.certainty,
                    one.received,
                )
                for name, one in scheduled.items()
            ]
            await self._connection.execute(_UPSERT_SCHEDULED, *_columns(due, 9))

    async def statuses(self, streams: Sequence[StreamKey]) -> tuple[dict[StatusKey, int], dict[TrackKey, StockState]]:
        """See the port."""
        return await stock_status.statuses(self._connection, streams)

    async def later_of_status(self, counted: CountedStatus) -> int:
        """See the port."""
        return await stock_status.later(self._connection, counted)

    async def store_statuses(self, book: StatusBook) -> None:
        """See the port."""
        await stock_status.store(self._connection, book)

    async def transfers(self, keys: Sequence[TransferKey], *, lock: bool) -> dict[TransferKey, Transfer]:
        """See the port."""
        return await transfers.load(self._connection, keys, lock=lock)

    async def store_transfers(self, changed: Mapping[TransferKey, Transfer]) -> None:
        """See the port."""
        await transfers.store(self._connection, changed)

    async def known_deliveries(self, names: Sequence[tuple[OrderKey, str, str]]) -> list[tuple[OrderKey, str, str]]:
        """See the port."""
        asked = _columns([(*key, source, reference) for key, source, reference in names], 4)
        rows = await self._connection.fetch(_KNOWN_DELIVERIES, *asked)
        return [(OrderKey(row["order_source"], row["order_id"]), row["source"], row["reference"]) for row in rows]

    async def store_fulfilments(self, entries: Sequence[FulfilmentEntry]) -> None:
        """See the port."""
        rows = [
            (
                entry.source,
                entry.reference,
                entry.kind,
                entry.promise_id,
                *entry.key,
                entry.line,
                entry.quantity,
                entry.outcome,
                entry.occurred_at,
                entry.carrier,
                entry.actual_cost_minor,
            )
            for entry in entries
        ]
        await self._connection.execute(_INSERT_FULFILMENTS, *_columns(rows, 12))


def _entry_row(entry: Entry) -> tuple[Any, ...]:
    return (
        *entry.name.position,
        entry.name.source,
        entry.name.reference,
        entry.kind,
        entry.quantity,
        entry.on_hand_change,
        entry.outcome,
        entry.occurred_at,
        entry.sequence,
        entry.receipt_reference,
    )


def _references(names: Sequence[Reference]) -> list[list[Any]]:
    return _columns([(*name.position, name.source, name.reference) for name in names], 4)


def _reference(row: asyncpg.Record) -> Reference:
    return Reference(PositionKey(row["item_id"], row["location_id"]), row["source"], row["reference"])


def _columns(rows: Sequence[tuple[Any, ...]], width: int) -> list[list[Any]]:
    """Rows as columns, for `unnest`; no rows are `width` empty columns."""
    return [list(column) for column in zip(*rows, strict=True)] if rows else [[] for _ in range(width)]
