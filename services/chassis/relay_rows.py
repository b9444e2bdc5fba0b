"""What the relay reads from the outbox and writes to it: rows of the buckets that it has leased."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

import asyncpg
import orjson

from services.chassis.database_session import Connection
from services.chassis.event_log.port import Record
from services.chassis.outbox import Lane

BATCH_BYTES_MAX: Final = 16_000_000  # payloads of one batch: what a relay holds in memory, a few times over
BACKLOG_COUNTED_MAX: Final = 10_000  # rows; a backlog beyond is "at least that many"
REWIND_TIMEOUT_SECONDS: Final = 300  # it may read a day's partition; it happens when a process was stopped and went on

# What is read under load, when no bulk row waits: rows stream past the sum of their bytes and are never copied. Whether
# bulk rows do wait is looked up once a batch, by the same statement, so that both are of one moment. It looks for the
# oldest one, by the index: asked for any, the planner reads the table from its beginning, past all that is published.
_URGENT_ALONE: Final = """
SELECT position, created_on, bucket, lane, aggregatetype, aggregateid, payload, headers,
    (SELECT position FROM outbox WHERE lane = 1 AND published_at IS NULL AND refused IS NULL
     ORDER BY position LIMIT 1) IS NOT NULL AS bulk_waits
FROM (
    SELECT *, sum(coalesce(octet_length(payload), 0)) OVER (ORDER BY position) AS bytes FROM (
        SELECT position, created_on, bucket, lane, aggregatetype, aggregateid, payload, headers FROM outbox
        WHERE lane = 0 AND published_at IS NULL AND refused IS NULL AND bucket = ANY($1::smallint[])
        ORDER BY position LIMIT $2
    ) first
) summed
WHERE bytes - coalesce(octet_length(payload), 0) < $3
ORDER BY position
"""

# For every key of an urgent row, the rows of that key that wait in the bulk lane before it come along: order holds
# across the lanes. OFFSET 0 keeps the look-up per key, and it is worded so that the index of keys alone serves it (see
# tables.OUTBOX_V2): a planner that takes the backlog for small, because there was none when it last counted, would else
# read a million bulk rows for ten keys.
_URGENT: Final = """
WITH urgent AS MATERIALIZED (
    SELECT *, sum(coalesce(octet_length(payload), 0)) OVER (ORDER BY position) AS bytes FROM (
        SELECT position, created_on, bucket, lane, aggregatetype, aggregateid, payload, headers FROM outbox
        WHERE lane = 0 AND published_at IS NULL AND refused IS NULL AND bucket = ANY($1::smallint[])
        ORDER BY position LIMIT $2
    ) first
),
fitting AS MATERIALIZED (
    SELECT position, created_on, bucket, lane, aggregatetype, aggregateid, payload, headers FROM urgent
    WHERE bytes - coalesce(octet_length(payload), 0) < $3
),
last AS (
    SELECT aggregatetype, aggregateid, max(position) AS position FROM fitting
    WHERE aggregateid IS NOT NULL
    GROUP BY aggregatetype, aggregateid
)
SELECT * FROM fitting
UNION ALL
SELECT earlier.* FROM last CROSS JOIN LATERAL (
    SELECT position, created_on, bucket, lane, aggregatetype, aggregateid, payload, headers FROM outbox
    WHERE lane = 1 AND num_nulls(published_at) = 1 AND refused IS NULL
      AND aggregateid = last.aggregateid AND aggregatetype = last.aggregatetype AND position < last.position
    OFFSET 0
) earlier
ORDER BY position
"""

# No bulk row overtakes an urgent one: only those older than the oldest urgent row that waits.
_BULK: Final = """
SELECT position, created_on, bucket, lane, aggregatetype, aggregateid, payload, headers FROM (
    SELECT *, sum(coalesce(octet_length(payload), 0)) OVER (ORDER BY position) AS bytes FROM (
        SELECT position, created_on, bucket, lane, aggregatetype, aggregateid, payload, headers FROM outbox
        WHERE lane = 1 AND published_at IS NULL AND refused IS NULL AND bucket = ANY($1::smallint[])
          AND position < coalesce((
              SELECT min(position) FROM outbox
              WHERE lane = 0 AND published_at IS NULL AND refused IS NULL AND bucket = ANY($1::smallint[])
          ), 9223372036854775807)
        ORDER BY position LIMIT $2
    ) first
) summed
WHERE bytes - coalesce(octet_length(payload), 0) < $3
ORDER BY position
"""

_OLDEST: Final = """
SELECT oldest.position FROM unnest($1::smallint[]) AS asked (lane) CROSS JOIN LATERAL (
    SELECT position FROM outbox WHERE outbox.lane = asked.lane AND published_at IS NULL AND refused IS NULL
    ORDER BY position LIMIT 1
) oldest
"""

# A mark that a crash of the server loses means that the row is published again, which consumers expect anyway: the
# commit need not wait for the disk, where it would queue with the promises.
_QUICK_COMMIT: Final = "SET LOCAL synchronous_commit = off"
# Each row is looked up by itself, and updated where it was found. Asked for all positions at once, a planner that takes
# the backlog for small reads the lane from its beginning.
_MARK: Final = """
UPDATE outbox SET published_at = clock_timestamp()
WHERE created_on = $1 AND refused IS NULL AND ctid = ANY (ARRAY(
    SELECT found.ctid FROM unnest($3::bigint[]) AS marked (position) CROSS JOIN LATERAL (
        SELECT ctid FROM outbox
        WHERE created_on = $1 AND lane = $2 AND position = marked.position AND published_at IS NULL AND refused IS NULL
        OFFSET 0
    ) found
))
"""
_REFUSE: Final = "UPDATE outbox SET refused = $4 WHERE created_on = $1 AND lane = $2 AND position = $3"

_ASK_REWIND: Final = """
INSERT INTO outbox_rewind (bucket, aggregatetype, aggregateid, from_position, created_on)
SELECT * FROM unnest($1::smallint[], $2::text[], $3::text[], $4::bigint[], $5::date[])
"""
_REWIND: Final = """
WITH asked AS (DELETE FROM outbox_rewind WHERE bucket = ANY($1::smallint[]) RETURNING *),
keys AS (
    SELECT aggregatetype, aggregateid, min(from_position) AS position, min(created_on) AS day
    FROM asked GROUP BY aggregatetype, aggregateid
)
UPDATE outbox SET published_at = NULL FROM keys
WHERE outbox.aggregatetype = keys.aggregatetype AND outbox.aggregateid = keys.aggregateid
  AND outbox.position >= keys.position AND outbox.created_on >= keys.day AND outbox.published_at IS NOT NULL
"""


@dataclass(frozen=True, slots=True)
class Row:
    """One unpublished row, and the record that it becomes."""

    position: int
    created_on: date
    bucket: int
    lane: Lane
    topic: str
    key: str | None
    record: Record


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits in a lane: rows (counted up to a limit) and since when the oldest does."""

    rows: int
    oldest_at: datetime | None


async def urgent_rows(connection: Connection, buckets: Collection[int], limit: int) -> list[Row]:
    """The oldest urgent rows, with what waits in the bulk lane before them for the same keys, in order of position.

    It needs a transaction that sees one state of the database from beginning to end.
    """
    rows = await connection.fetch(_URGENT_ALONE, list(buckets), limit, BATCH_BYTES_MAX)
    if rows and rows[0]["bulk_waits"]:
        rows = await connection.fetch(_URGENT, list(buckets), limit, BATCH_BYTES_MAX)
    return [_row(row) for row in rows]


async def bulk_rows(connection: Connection, buckets: Collection[int], limit: int) -> list[Row]:
    """The oldest bulk rows that no waiting urgent row precedes, in order of position."""
    return [_row(row) for row in await connection.fetch(_BULK, list(buckets), limit, BATCH_BYTES_MAX)]


async def mark_published(connection: Connection, rows: Iterable[Row]) -> None:
    """Mark the rows as published; rows that are marked already stay as they are."""
    positions: dict[tuple[date, Lane], list[int]] = defaultdict(list)
    for row in rows:
        positions[row.created_on, row.lane].append(row.position)
    if positions:
        await connection.execute(_QUICK_COMMIT)
    for (day, lane), marked in positions.items():
        await connection.execute(_MARK, day, lane.value, marked)


async def refuse(connection: Connection, row: Row, reason: str) -> None:
    """Set a row aside that the log will never take; the rows after it go on."""
    await connection.execute(_REFUSE, row.created_on, row.lane.value, row.position, reason)


async def ask_for_rewind(connection: Connection, rows: Sequence[Row]) -> None:
    """Ask whoever owns the buckets to publish the keys of these rows again, from these rows on."""
    first: dict[tuple[str, str], Row] = {}
    for row in rows:
        if row.key is not None:
            first.setdefault((row.topic, row.key), row)
    await connection.execute("SET LOCAL synchronous_commit TO DEFAULT")  # unlike a mark, this must not be lost
    await connection.execute(
        _ASK_REWIND,
        [row.bucket for row in first.values()],
        [topic for topic, _ in first],
        [key for _, key in first],
        [row.position for row in first.values()],
        [row.created_on for row in first.values()],
    )


async def rewind_is_asked(connection: Connection) -> bool:
    """Whether anybody asked for a rewind of anything; almost never."""
    asked: bool = await connection.fetchval("SELECT EXISTS (SELECT FROM outbox_rewind)")
    return asked


async def rewind(connection: Connection, buckets: Collection[int]) -> int:
    """Make the rows unpublished that were asked for; their number."""
    await connection.execute(f"SET LOCAL statement_timeout = '{REWIND_TIMEOUT_SECONDS}s'")
    status = await connection.execute(_REWIND, list(buckets), timeout=REWIND_TIMEOUT_SECONDS)
    return int(status.split()[-1])


async def backlog(connection: Connection, lane: Lane) -> Backlog:
    """What waits in a lane, over all buckets."""
    row = await connection.fetchrow(
        "SELECT count(*) AS rows, min(created_at) AS oldest_at FROM (SELECT created_at FROM outbox"
        " WHERE lane = $1 AND published_at IS NULL AND refused IS NULL ORDER BY position LIMIT $2) oldest",
        lane.value,
        BACKLOG_COUNTED_MAX,
    )
    return Backlog(0, None) if row is None else Backlog(row["rows"], row["oldest_at"])


async def all_published(connection: Connection, lanes: Collection[Lane]) -> bool:
    """Whether nothing waits in these lanes, in any bucket."""
    oldest = await connection.fetch(_OLDEST, [lane.value for lane in lanes])
    return not oldest


def _row(row: asyncpg.Record) -> Row:
    key: str | None = row["aggregateid"]
    headers: dict[str, str] = orjson.loads(row["headers"])
    record = Record(
        topic=row["aggregatetype"],
        key=None if key is None else key.encode(),
        value=row["payload"],
        headers=tuple([(name, value.encode()) for name, value in headers.items()]),
    )
    return Row(row["position"], row["created_on"], row["bucket"], Lane(row["lane"]), row["aggregatetype"], key, record)
