"""Stock that is not available, by status, as rows: quantities, how far each source has told, and their ledger."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Final

import orjson

from services.atp.adapters.stock_states import state_of
from services.atp.application.status_book import CountedStatus, StatusBook, StatusKey, TrackKey
from services.atp.application.supply_entries import StreamKey
from services.atp.domain.model import PositionKey
from services.atp.domain.stock_intake import StockState
from services.chassis.database import Connection

_STATUSES: Final = """
SELECT s.item_id, s.location_id, s.status, s.quantity, t.source, t.state
FROM (SELECT DISTINCT item_id, location_id FROM unnest($1::text[], $2::text[]) AS k (item_id, location_id)) AS asked
JOIN stock_status s USING (item_id, location_id)
LEFT JOIN stock_status_state t USING (item_id, location_id, status)
"""
_LATER: Final = """
SELECT coalesce(sum(quantity), 0)::bigint FROM status_movement
WHERE item_id = $1 AND location_id = $2 AND status = $6 AND kind NOT IN ('snapshot', 'correction')
AND CASE WHEN $4::bigint IS NOT NULL AND sequence IS NOT NULL AND source = $3
    THEN sequence > $4 ELSE occurred_at > $5 END
"""
_INSERT_ENTRIES: Final = """
INSERT INTO status_movement (item_id, location_id, source, reference, status, kind, quantity, change, outcome,
    occurred_at, sequence)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bigint[], $8::bigint[],
    $9::text[], $10::timestamptz[], $11::bigint[])
"""
_UPSERT_LEVELS: Final = """
INSERT INTO stock_status (item_id, location_id, status, quantity)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[])
ON CONFLICT (item_id, location_id, status) DO UPDATE SET quantity = excluded.quantity
"""
_UPSERT_TRACKS: Final = """
INSERT INTO stock_status_state (item_id, location_id, source, status, state)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::jsonb[])
ON CONFLICT (item_id, location_id, source, status) DO UPDATE SET state = excluded.state
"""


async def statuses(
    connection: Connection, streams: Sequence[StreamKey]
) -> tuple[dict[StatusKey, int], dict[TrackKey, StockState]]:
    """Stock of the streams' positions that is not available, and what each source has said of it."""
    positions = [stream.position for stream in streams]
    asked = [each.item_id for each in positions], [each.location_id for each in positions]
    levels: dict[StatusKey, int] = {}
    tracks: dict[TrackKey, StockState] = {}
    for row in await connection.fetch(_STATUSES, *asked):
        position = PositionKey(row["item_id"], row["location_id"])
        levels[StatusKey(position, row["status"])] = row["quantity"]
        if row["source"] is not None:
            tracks[TrackKey(StreamKey(position, row["source"]), row["status"])] = state_of(row["state"])
    return levels, tracks


async def later(connection: Connection, counted: CountedStatus) -> int:
    """The sum of recorded movements of a status that a count does not include."""
    position, source = counted.since.stream
    since = counted.since
    total: int = await connection.fetchval(_LATER, *position, source, since.cursor, since.as_of, counted.status)
    return total


async def store(connection: Connection, book: StatusBook) -> None:
    """Write what a batch changed."""
    if book.entries:
        rows: list[tuple[Any, ...]] = [
            (
                *each.name.position,
                each.name.source,
                each.name.reference,
                each.status,
                each.kind,
                each.quantity,
                each.change,
                each.outcome,
                each.occurred_at,
                each.sequence,
            )
            for each in book.entries
        ]
        await connection.execute(_INSERT_ENTRIES, *_columns(rows))
    if book.changed_levels:
        levels = [(*key.position, key.status, quantity) for key, quantity in book.changed_levels.items()]
        await connection.execute(_UPSERT_LEVELS, *_columns(levels))
    if book.changed_tracks:
        tracks = [
            (*key.stream.position, key.stream.source, key.status, orjson.dumps(asdict(state)).decode())
            for key, state in book.changed_tracks.items()
        ]
        await connection.execute(_UPSERT_TRACKS, *_columns(tracks))


def _columns(rows: Sequence[tuple[Any, ...]]) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)]
