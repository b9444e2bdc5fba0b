"""A relay in a process of its own, for tests that stop or kill it.

`python -m tests.support.relay_process URL SCHEMA LEASE_SECONDS`. Its log is the table `shelf` in the same schema. Each
call to publish prints "publishing", waits for a line on standard input, and then stores the records in order.
"""

import asyncio
import signal
import sys
from collections.abc import Sequence
from dataclasses import replace

import asyncpg
from prometheus_client import CollectorRegistry

from services.chassis.clocks import SystemClock
from services.chassis.database import Database
from services.chassis.event_log.port import PublishUnknown, Record
from services.chassis.relay import Relay, RelaySettings
from services.chassis.relay_metrics import RelayMetrics
from tests.support.relay import event_id

SETTINGS = RelaySettings(publish_deadline_seconds=0.5, lease_seconds=2.0, refresh_seconds=0.2, poll_seconds=0.1)
SHELF = """
CREATE TABLE shelf (number bigserial PRIMARY KEY, writer text, key text, event_id text);
CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN PERFORM pg_notify('changed_' || TG_TABLE_SCHEMA, ''); RETURN NULL; END $$;
CREATE TRIGGER tell AFTER INSERT ON shelf FOR EACH STATEMENT EXECUTE FUNCTION tell();
CREATE TRIGGER tell AFTER UPDATE ON outbox FOR EACH STATEMENT EXECUTE FUNCTION tell();
CREATE TRIGGER tell AFTER DELETE ON outbox_rewind FOR EACH STATEMENT EXECUTE FUNCTION tell();
"""
"""The table, and a NOTIFY whenever something happens that a test may wait for."""


class TableProducer:
    """Stores in the table `shelf`; a permit is needed for each call when `permits` are given."""

    def __init__(self, url: str, schema: str, writer: str, permits: asyncio.StreamReader | None = None) -> None:
        self._url = url
        self._schema = schema
        self._writer = writer
        self._permits = permits

    async def publish(self, records: Sequence[Record], *, deadline_seconds: float) -> None:
        try:
            async with asyncio.timeout(deadline_seconds):
                await self._store(records)
        except TimeoutError as error:
            raise PublishUnknown("too late") from error

    async def close(self) -> None:
        pass

    async def _store(self, records: Sequence[Record]) -> None:
        connection = await asyncpg.connect(self._url)
        try:
            if self._permits is not None:
                sys.stdout.write("publishing\n")
                sys.stdout.flush()
                await self._permits.readline()
            await connection.executemany(
                f"INSERT INTO {self._schema}.shelf (writer, key, event_id) VALUES ($1, $2, $3)",
                [(self._writer, (record.key or b"").decode(), event_id(record)) for record in records],
            )
        finally:
            connection.terminate()


async def main(url: str, schema: str, lease_seconds: float) -> None:
    loop = asyncio.get_running_loop()
    permits = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(permits), sys.stdin)
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    database = await Database.open(url, schema=schema, name="relay process")
    producer = TableProducer(url, schema, "process", permits)
    metrics = RelayMetrics(CollectorRegistry())
    settings = replace(SETTINGS, lease_seconds=lease_seconds)
    await Relay(database, producer, wall=SystemClock(), name="process", metrics=metrics, settings=settings).run(stop)
    await database.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], float(sys.argv[3])))
