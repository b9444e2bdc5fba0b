"""The outbox: events that become part of a transaction, and leave for the log after it (see relay.py).

`enqueue` is one statement, whatever the number of events. Rows have the columns of Debezium's event router, so that
Debezium can take the relay's place. Order per key is the order of `position`: a writer must hold a lock on what the key
names (its row, say) from before `enqueue` until the commit, or two writers of a key could swap.
"""

import zlib
from collections.abc import Sequence
from enum import IntEnum
from typing import Final

import orjson

from services.chassis.arrays import numbers, text_array, texts
from services.chassis.database_session import Connection, announce
from services.chassis.envelope import Event, headers_of
from services.chassis.writes import Writes

BUCKETS: Final = 64
CHANNEL: Final = "outbox"

_INSERT: Final = f"""
INSERT INTO outbox (id, aggregatetype, aggregateid, type, payload, headers, key_version, bucket, lane)
SELECT id, topic, key, type, payload, headers, version, bucket, $9
FROM unnest({text_array(1)}::uuid[], {text_array(2)}, {text_array(3)}, {text_array(4)}, $5::bytea[],
            {text_array(6)}::jsonb[], $7::text::bigint[], $8::text::smallint[])
    AS event (id, topic, key, type, payload, headers, version, bucket)
"""  # noqa: S608 - made of constants

PENDING: Final = """
SELECT count(*) FROM (SELECT FROM outbox WHERE published_at IS NULL AND refused IS NULL LIMIT 100000) AS unpublished
"""


class Lane(IntEnum):
    """How urgent: the bulk lane is throttled, and an urgent event never waits behind a million bulk ones."""

    URGENT = 0
    BULK = 1


def bucket_of(key: str) -> int:
    """The bucket of a key: what one relay at a time publishes, in order."""
    return zlib.crc32(key.encode()) % BUCKETS


def channel(schema: str) -> str:
    """The channel on which relays of the service with this schema are woken."""
    return f"{CHANNEL}_{schema}"


async def enqueue(connection: Connection, events: Sequence[Event], lane: Lane = Lane.URGENT) -> None:
    """Add the events, in this order, to the caller's transaction, and wake the relays when it has committed.

    An event without a key has no order; its bucket is that of its id.
    """
    writes = Writes(connection)
    await enqueue_with(writes, connection, events, lane)
    await writes.flush()


async def enqueue_with(
    writes: Writes, connection: Connection, events: Sequence[Event], lane: Lane = Lane.URGENT
) -> None:
    """`enqueue`, as one of the writes of a transaction that go to the server together."""
    if not events:
        return
    writes.add(
        _INSERT,
        (
            texts([event.id for event in events]),
            texts([event.topic for event in events]),
            texts([event.key for event in events]),
            texts([event.type for event in events]),
            [event.data or None for event in events],
            texts([orjson.dumps(headers_of(event)).decode() for event in events]),  # JSON escapes the separators
            numbers([event.sequence for event in events]),
            numbers([bucket_of(event.key if event.key is not None else event.id) for event in events]),
            lane.value,
        ),
    )
    await announce(connection, CHANNEL)


async def pending(connection: Connection) -> int:
    """How many events are not yet published (counted up to a limit): 0 means that the log has all."""
    count: int = await connection.fetchval(PENDING)
    return count
