"""Projections: the table and the offsets behind it move together, whoever dies and however many keep them."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

import asyncpg
import orjson
import pytest

from services.chassis.consumer_metrics import ConsumerMetrics
from services.chassis.database import Connection, Database, Retry
from services.chassis.deliveries import Delivery
from services.chassis.envelope import to_record
from services.chassis.event_log.port import LogUnavailable, TopicSpec
from services.chassis.isolation import Patience
from services.chassis.metrics import new_registry
from services.chassis.projection import Heartbeats, Limits, ProjectionRunner, ProjectionStalled
from tests.support.clocks import SteppedClock
from tests.support.events import MOMENT, event, malformed, publish
from tests.support.memory_log import MemoryEventLog, MemoryStore
from tests.support.waiting import until

TOPIC = "segments.current.v1"
NAME = "tiers"
HEARTBEAT = "segment.heartbeat.v1"
QUICK = Retry(attempts_max=2, pause_first_seconds=0.001, pause_max_seconds=0.01)
LIMITS = Limits(poll_seconds=0.02, reopen=QUICK, patience=Patience(retry=QUICK))

pytestmark = pytest.mark.usefixtures("table")


@pytest.fixture
async def table(chassis_database: Database) -> None:
    await chassis_database.run(
        lambda c: c.execute("CREATE TABLE tier (key text PRIMARY KEY, number bigint, times integer)"), label="table"
    )


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
async def log(store: MemoryStore) -> MemoryEventLog:
    opened = MemoryEventLog(store)
    await opened.ensure_topics([TopicSpec(TOPIC, partitions=3, compacted=True)])
    return opened


@pytest.fixture
def metrics() -> ConsumerMetrics:
    return ConsumerMetrics(new_registry(with_process=False), {NAME: [TOPIC]})


async def upsert(connection: Connection, batch: Sequence[Delivery]) -> None:
    """Keep the newest number of each key, and count how often a key was touched."""
    for delivery in batch:
        if orjson.loads(delivery.event.data)["number"] == 13:
            raise asyncpg.CheckViolationError("13 is not allowed")
        await connection.execute(
            """
            INSERT INTO tier VALUES ($1, $2, 1) ON CONFLICT (key)
            DO UPDATE SET number = excluded.number, times = tier.times + 1 WHERE tier.number < excluded.number
            """,
            delivery.event.key,
            delivery.event.sequence,
        )


async def stored(database: Database) -> dict[str, int]:
    rows = await database.read(lambda connection: connection.fetch("SELECT key, number FROM tier"))
    return {row["key"]: row["number"] for row in rows}


async def touched(database: Database) -> int:
    total: int = await database.read(lambda connection: connection.fetchval("SELECT sum(times)::int FROM tier"))
    return total


Make = Callable[..., ProjectionRunner]


@pytest.fixture
def make(log: MemoryEventLog, chassis_database: Database, metrics: ConsumerMetrics) -> Make:
    def made(*, limits: Limits = LIMITS, **more: object) -> ProjectionRunner:
        return ProjectionRunner(
            log,
            [TOPIC],
            chassis_database,
            upsert,
            name=NAME,
            metrics=metrics,
            limits=limits,
            **more,  # type: ignore[arg-type]
        )

    return made


@asynccontextmanager
async def running(projection: ProjectionRunner) -> AsyncIterator[None]:
    stop = asyncio.Event()
    task = asyncio.create_task(projection.run(stop))
    try:
        yield
    finally:
        stop.set()
        async with asyncio.timeout(60):
            await task


async def test_catching_up_applies_all_that_was_there(
    log: MemoryEventLog, chassis_database: Database, make: Make
) -> None:
    await publish(log, *(event(number, topic=TOPIC) for number in range(1, 13)))
    projection = make()
    await projection.catch_up()
    assert projection.caught_up
    assert await stored(chassis_database) == {"key-0": 10, "key-1": 11, "key-2": 12, "key-3": 8, "key-4": 9}


async def test_a_topic_without_records_is_caught_up_with_at_once(make: Make) -> None:
    projection = make()
    async with asyncio.timeout(60):
        await projection.catch_up()
    assert projection.caught_up


async def test_it_follows_what_comes_later(log: MemoryEventLog, chassis_database: Database, make: Make) -> None:
    projection = make()
    async with running(projection):
        await until(lambda: projection.caught_up)
        await publish(log, event(1, topic=TOPIC))
        await until(lambda: projection.activity == 1)
        assert await stored(chassis_database) == {"key-1": 1}
        assert await projection.lag() == 0


async def test_a_restart_goes_on_behind_what_is_stored(
    log: MemoryEventLog, chassis_database: Database, make: Make
) -> None:
    await publish(log, *(event(number, topic=TOPIC) for number in range(1, 6)))
    await make().catch_up()
    await publish(log, *(event(number, topic=TOPIC) for number in range(6, 11)))
    again = make()
    await again.catch_up()
    assert again.activity == 5
    assert await touched(chassis_database) == 10


async def test_processes_that_keep_the_same_projection_apply_each_event_once(
    log: MemoryEventLog, chassis_database: Database, make: Make
) -> None:
    first, second = make(), make()
    async with running(first), running(second):
        for start in range(1, 200, 20):
            numbers = [number for number in range(start, start + 20) if number != 13]
            await publish(log, *(event(number, topic=TOPIC) for number in numbers))
        await until(lambda: first.activity == second.activity == 199)
    assert await touched(chassis_database) == 199


async def test_an_event_that_cannot_be_applied_is_skipped_and_the_former_value_stays(
    log: MemoryEventLog, chassis_database: Database, make: Make, metrics: ConsumerMetrics
) -> None:
    await publish(log, *(event(number, topic=TOPIC, key="one") for number in (11, 12, 13)))
    await make().catch_up()
    assert await stored(chassis_database) == {"one": 12}
    assert metrics.skipped.at(TOPIC, "handler_failed")._value.get() == 1
    await publish(log, event(14, topic=TOPIC, key="one"))
    await make().catch_up()
    assert await stored(chassis_database) == {"one": 14}


async def test_a_record_that_is_no_event_is_counted_and_skipped(
    log: MemoryEventLog, chassis_database: Database, make: Make, metrics: ConsumerMetrics
) -> None:
    await publish(log, malformed(1, topic=TOPIC), event(1, topic=TOPIC), malformed(2, topic=TOPIC))
    await make().catch_up()
    assert await stored(chassis_database) == {"key-1": 1}
    assert metrics.skipped.at(TOPIC, "attribute_missing")._value.get() == 2


async def test_the_age_is_that_of_the_partition_that_was_silent_longest(log: MemoryEventLog, make: Make) -> None:
    clock = SteppedClock(at=MOMENT)
    projection = make(heartbeats=Heartbeats(HEARTBEAT, TOPIC), wall=clock)
    assert projection.heartbeat_age_seconds() == float("inf")

    await beat(log, 0, 1)
    await projection.catch_up()
    assert projection.heartbeat_age_seconds() == float("inf"), "partition 2 was never heard"

    await beat(log, 2)
    await projection.catch_up()
    clock.advance(7)
    assert projection.heartbeat_age_seconds() == 7


async def test_heartbeats_are_not_given_to_the_table(
    log: MemoryEventLog, chassis_database: Database, make: Make
) -> None:
    projection = make(heartbeats=Heartbeats(HEARTBEAT, TOPIC))
    await beat(log, 0, 1, 2)
    await projection.catch_up()
    assert projection.activity == 0
    assert await stored(chassis_database) == {}


async def test_every_process_hears_the_heartbeats_also_those_that_another_one_has_applied(
    log: MemoryEventLog, make: Make
) -> None:
    clock = SteppedClock(at=MOMENT)
    first, second = (make(heartbeats=Heartbeats(HEARTBEAT, TOPIC, applied=True), wall=clock) for _ in range(2))
    async with running(first), running(second):
        await until(lambda: first.caught_up and second.caught_up)
        await beat(log, 0, 1, 2)
        await until(lambda: first.heartbeat_age_seconds() == second.heartbeat_age_seconds() == 0)


async def test_a_log_that_goes_away_is_followed_again(
    log: MemoryEventLog, store: MemoryStore, chassis_database: Database, make: Make, metrics: ConsumerMetrics
) -> None:
    projection = make()
    async with running(projection):
        await until(lambda: projection.caught_up)
        store.failing = LogUnavailable("gone")
        await until(lambda: bool(metrics.reopened.at(NAME)._value.get() >= 2))
        store.failing = None
        await publish(log, event(1, topic=TOPIC))
        await until(lambda: projection.activity == 1)
    assert await stored(chassis_database) == {"key-1": 1}


async def test_a_projection_that_cannot_follow_ends_the_process(store: MemoryStore, make: Make) -> None:
    store.failing = LogUnavailable("gone")
    with pytest.raises(ProjectionStalled):
        async with asyncio.timeout(60):
            await make(limits=Limits(stall_seconds=0.2, reopen=QUICK)).run(asyncio.Event())


async def beat(log: MemoryEventLog, *partitions: int) -> None:
    """A heartbeat at MOMENT in each of these partitions."""
    for partition in partitions:
        heartbeat = event(partition, topic=TOPIC, key=f"heartbeat-{partition}", kind=HEARTBEAT)
        await publish(log, replace(to_record(heartbeat), partition=partition))
