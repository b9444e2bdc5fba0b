"""Relays as processes that the system stops, continues and kills."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from prometheus_client import CollectorRegistry

from services.chassis.clocks import SystemClock
from services.chassis.database import Connection, Database
from services.chassis.outbox import pending
from services.chassis.relay import Relay
from services.chassis.relay_metrics import RelayMetrics
from tests.support.relay import DEADLINE_SECONDS, events, put, running
from tests.support.relay_process import SETTINGS, SHELF, TableProducer


@asynccontextmanager
async def process_holding_a_call(
    database: Database, lease_seconds: int = 2
) -> AsyncIterator[asyncio.subprocess.Process]:
    """A relay process that has begun to publish what is in the outbox, and waits for its permit."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.support.relay_process",
        database.url,
        database.schema,
        str(lease_seconds),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(DEADLINE_SECONDS):
            assert await process.stdout.readline() == b"publishing\n"
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@dataclass(frozen=True)
class Seen:
    """The shelf in order, and what is not finished."""

    writers: list[str]
    keys: list[str]
    ids: list[str]
    unfinished: int

    def ids_of(self, key: str) -> list[str]:
        return [event for event, of in zip(self.ids, self.keys, strict=True) if of == key]


async def look(connection: Connection) -> Seen:
    rows = await connection.fetch("SELECT writer, key, event_id FROM shelf ORDER BY number")
    rewinds = await connection.fetchval("SELECT count(*) FROM outbox_rewind")
    writers, keys, ids = ([row[name] for row in rows] for name in ("writer", "key", "event_id"))
    return Seen(writers, keys, ids, rewinds + await pending(connection))


async def until(database: Database, enough: Callable[[Seen], bool]) -> Seen:
    changed = asyncio.Event()
    async with (
        asyncio.timeout(DEADLINE_SECONDS),
        database.listen(f"changed_{database.schema}", lambda _: changed.set()),
    ):
        while not enough(seen := await database.read(look)):
            await changed.wait()
            changed.clear()
        return seen


def new_heir(database: Database) -> Relay:
    producer = TableProducer(database.url, database.schema, "heir")
    metrics = RelayMetrics(CollectorRegistry())
    patient = replace(SETTINGS, lease_seconds=60.0, publish_deadline_seconds=20.0)  # it publishes nothing twice
    return Relay(database, producer, wall=SystemClock(), name="heir", metrics=metrics, settings=patient)


async def make_shelf(database: Database) -> None:
    await database.run(lambda c: c.execute(SHELF), label="make the shelf")


async def test_a_process_stopped_in_a_call_and_continued_later_swaps_and_loses_nothing(
    chassis_database: Database,
) -> None:
    await make_shelf(chassis_database)
    old = await put(chassis_database, events(["a", "b"]))
    async with process_holding_a_call(chassis_database) as process:
        process.send_signal(signal.SIGSTOP)
        assert process.stdin is not None
        process.stdin.write(b"go\n" * 100)
        async with running(new_heir(chassis_database)):
            new = await put(chassis_database, events(["a"]))
            await until(chassis_database, lambda seen: len(set(seen.ids)) == 3)
            process.send_signal(signal.SIGCONT)
            # It finds out that it was overtaken, and asks for the keys of its call to be published again.
            await until(chassis_database, lambda seen: seen.ids.count(old[1]) >= 2)
            process.terminate()
            async with asyncio.timeout(DEADLINE_SECONDS):
                assert await process.wait() == 0
            seen = await until(chassis_database, lambda seen: seen.unfinished == 0)
    assert list(dict.fromkeys(seen.ids_of("a"))) == [old[0], *new]
    assert seen.ids_of("a")[-1] == new[0]


async def test_a_killed_process_is_replaced_before_its_leases_run_out(chassis_database: Database) -> None:
    await make_shelf(chassis_database)
    sent = await put(chassis_database, events(["a", "b", "a"]))
    async with process_holding_a_call(chassis_database, lease_seconds=600) as process:
        process.kill()
        await process.wait()
    async with running(new_heir(chassis_database)):
        seen = await until(chassis_database, lambda seen: len(seen.ids) >= 3)
    assert seen.ids == sent
    assert set(seen.writers) == {"heir"}
