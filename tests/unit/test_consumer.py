"""The consumer loop over the log in memory: nothing lost, nothing skipped silently, poison set aside."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

import asyncpg
import pytest

from services.chassis.consumer import ConsumerRunner, ConsumerStalled, Delivery, Limits, Rejected
from services.chassis.consumer_metrics import ConsumerMetrics
from services.chassis.database import CommitUnknown, DatabaseUnavailable, Retry
from services.chassis.dead_letters import DeadLetterFuse, Letter, from_record
from services.chassis.event_log.port import LogUnavailable, PublishUnknown, Record, TopicSpec
from services.chassis.isolation import Patience
from services.chassis.metrics import new_registry
from tests.support.events import event, malformed, publish
from tests.support.memory_log import MemoryEventLog, MemoryStore
from tests.support.waiting import until

TOPIC = "orders.v1"
TWIN = "orders.v1.dlq"
GROUP = "test.orders"
QUICK = Retry(attempts_max=3, pause_first_seconds=0.001, pause_max_seconds=0.01)
LIMITS = Limits(
    poll_seconds=0.02,
    reopen=QUICK,
    stopped_partition_seconds=0.01,
    lag_seconds=0.0,
    fuse_records=20,
    patience=Patience(retry=QUICK),
)


class Recorder:
    """A handler that remembers what it applied; `fail` decides by event id what goes wrong."""

    def __init__(self) -> None:
        self.applied: list[str] = []
        self.batches: list[list[str]] = []
        self.fail: Callable[[Sequence[str]], Awaitable[Sequence[Rejected]] | None] = lambda _: None

    async def __call__(self, batch: Sequence[Delivery]) -> Sequence[Rejected]:
        ids = [delivery.event.id for delivery in batch]
        self.batches.append(ids)
        failure = self.fail(ids)
        rejected = () if failure is None else await failure
        refused = {each.index for each in rejected}
        self.applied += [each for index, each in enumerate(ids) if index not in refused]
        return rejected


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
async def log(store: MemoryStore) -> MemoryEventLog:
    opened = MemoryEventLog(store)
    await opened.ensure_topics([TopicSpec(TOPIC, partitions=4), TopicSpec(TWIN, partitions=1)])
    return opened


@pytest.fixture
def metrics() -> ConsumerMetrics:
    return ConsumerMetrics(new_registry(with_process=False), {GROUP: [TOPIC]}, reasons=["unknown_event_type"])


def runner(log: MemoryEventLog, handler: Recorder, metrics: ConsumerMetrics, limits: Limits = LIMITS) -> ConsumerRunner:
    return ConsumerRunner(
        log, GROUP, [TOPIC], handler, dead_letters=lambda topic: f"{topic}.dlq", metrics=metrics, limits=limits
    )


@asynccontextmanager
async def running(consumer: ConsumerRunner) -> AsyncIterator[None]:
    stop = asyncio.Event()
    task = asyncio.create_task(consumer.run(stop))
    try:
        yield
    finally:
        stop.set()
        async with asyncio.timeout(60):
            await task


async def consumed(log: MemoryEventLog) -> None:
    """Wait until the group has committed everything."""

    async def nothing_left() -> bool:
        return await log.group_lag(GROUP, [TOPIC]) == 0

    await until(nothing_left)


async def letters(store: MemoryStore) -> list[Letter]:
    found = [from_record(received) for received in store.records[(TWIN, 0)]]
    return [letter for letter in found if letter is not None]


async def test_every_event_is_applied_and_committed_in_the_order_of_its_key(
    log: MemoryEventLog, metrics: ConsumerMetrics
) -> None:
    await publish(log, *(event(number) for number in range(50)))
    handler = Recorder()
    async with running(consumer := runner(log, handler, metrics)):
        await consumed(log)

    assert len(handler.applied) == 50
    for key in range(5):
        mine = [each for each in handler.applied if _number(each) % 5 == key]
        assert mine == [f"event-{number}" for number in range(key, 50, 5)]
    assert consumer.activity == 50


async def test_nothing_is_committed_before_the_handler_returns(log: MemoryEventLog, metrics: ConsumerMetrics) -> None:
    await publish(log, event(1))
    entered, leave = asyncio.Event(), asyncio.Event()

    async def wait() -> Sequence[Rejected]:
        entered.set()
        await leave.wait()
        return ()

    handler = Recorder()
    handler.fail = lambda _: wait()
    async with running(runner(log, handler, metrics)):
        await entered.wait()
        assert await log.group_lag(GROUP, [TOPIC]) == 1
        leave.set()
        await consumed(log)


async def test_a_record_that_is_no_event_goes_to_the_twin_as_it_was(
    log: MemoryEventLog, store: MemoryStore, metrics: ConsumerMetrics
) -> None:
    await publish(log, event(1, key="key-2"), malformed(2), event(3, key="key-2"))
    handler = Recorder()
    async with running(runner(log, handler, metrics)):
        await consumed(log)

    assert handler.applied == ["event-1", "event-3"]
    (letter,) = await letters(store)
    original = malformed(2)
    assert (letter.reason, letter.group) == ("attribute_missing", GROUP)
    assert (letter.original.record.key, letter.original.record.value) == (original.key, original.value)
    assert letter.original.record.headers == original.headers
    assert store.records[(TOPIC, letter.place.partition)][letter.place.offset].record.value == original.value


async def test_what_the_handler_rejects_goes_to_the_twin_with_its_code(
    log: MemoryEventLog, store: MemoryStore, metrics: ConsumerMetrics
) -> None:
    await publish(log, *(event(number) for number in range(10)))

    async def reject(ids: Sequence[str]) -> Sequence[Rejected]:
        return [Rejected(index, "unknown_event_type", "x") for index, each in enumerate(ids) if each == "event-4"]

    handler = Recorder()
    handler.fail = reject
    async with running(runner(log, handler, metrics)):
        await consumed(log)

    assert sorted(handler.applied) == sorted(f"event-{number}" for number in range(10) if number != 4)
    assert [letter.reason for letter in await letters(store)] == ["unknown_event_type"]
    assert metrics.dead_letters.at(TOPIC, "unknown_event_type")._value.get() == 1


async def test_one_poison_event_of_a_batch_is_isolated_and_the_others_are_applied_once_in_order(
    log: MemoryEventLog, store: MemoryStore, metrics: ConsumerMetrics
) -> None:
    await publish(log, *(event(number, key="one") for number in range(33)))

    async def choke(ids: Sequence[str]) -> Sequence[Rejected]:
        if "event-13" in ids:
            raise asyncpg.CheckViolationError("a constraint")
        return ()

    handler = Recorder()
    handler.fail = choke
    async with running(runner(log, handler, metrics)):
        await consumed(log)

    assert handler.applied == [f"event-{number}" for number in range(33) if number != 13]
    (letter,) = await letters(store)
    assert (letter.reason, letter.detail, letter.original.offset) == ("handler_failed", "CheckViolationError", 13)


@pytest.mark.parametrize("failure", [DatabaseUnavailable("away"), CommitUnknown("?"), OSError(), TimeoutError()])
async def test_a_failure_of_the_surroundings_is_waited_out_and_no_event_is_blamed(
    log: MemoryEventLog, store: MemoryStore, metrics: ConsumerMetrics, failure: Exception
) -> None:
    await publish(log, *(event(number, key="one") for number in range(4)))
    left = iter(range(12))  # more failures than a batch has attempts

    async def recover(_: Sequence[str]) -> Sequence[Rejected]:
        if next(left, None) is not None:
            raise failure
        return ()

    handler = Recorder()
    handler.fail = recover
    async with running(runner(log, handler, metrics)):
        await consumed(log)

    assert handler.applied == [f"event-{number}" for number in range(4)]
    assert {len(batch) for batch in handler.batches} == {4}
    assert await letters(store) == []


async def test_a_batch_that_cannot_be_applied_is_given_back_when_the_consumer_stops(
    log: MemoryEventLog, metrics: ConsumerMetrics
) -> None:
    await publish(log, event(1))
    tried = asyncio.Event()

    async def away() -> Sequence[Rejected]:
        tried.set()
        raise DatabaseUnavailable("away")

    handler = Recorder()
    handler.fail = lambda _: away()
    async with running(runner(log, handler, metrics)):
        await tried.wait()
    assert await log.group_lag(GROUP, [TOPIC]) == 1


async def test_a_twin_that_takes_nothing_stops_its_partition_and_no_other(
    log: MemoryEventLog, store: MemoryStore, metrics: ConsumerMetrics
) -> None:
    store.failing_topics[TWIN] = PublishUnknown("down")
    poison = malformed(2)
    await publish(log, *(event(number) for number in range(40)), poison)
    handler = Recorder()

    def applied_elsewhere() -> int:
        return sum(not _beside(store, poison, number) for number in map(_number, handler.applied))

    async with running(runner(log, handler, metrics)):
        await until(lambda: len(handler.applied) == 40)
        await publish(log, *(event(number) for number in range(40, 80)))
        await until(lambda: applied_elsewhere() == sum(not _beside(store, poison, number) for number in range(80)))
        assert len(handler.applied) < 80
        assert metrics.stopped_partitions.at(GROUP)._value.get() == 1

        store.failing_topics.clear()
        await consumed(log)

    assert len(await letters(store)) == 1
    assert sorted(map(_number, handler.applied)) == list(range(80))
    assert metrics.stopped_partitions.at(GROUP)._value.get() == 0


async def test_too_many_letters_stop_the_consumer_and_divert_nothing_more(
    log: MemoryEventLog, store: MemoryStore, metrics: ConsumerMetrics
) -> None:
    await publish(log, *(malformed(number) for number in range(21)))
    with pytest.raises(DeadLetterFuse):
        async with asyncio.timeout(60):
            await runner(log, Recorder(), metrics).run(asyncio.Event())
    assert await letters(store) == []
    assert await log.group_lag(GROUP, [TOPIC]) == 21


async def test_a_flood_that_says_nothing_of_the_consumer_is_set_aside_and_stops_nothing(
    log: MemoryEventLog, store: MemoryStore, metrics: ConsumerMetrics
) -> None:
    async def forged(ids: Sequence[str]) -> Sequence[Rejected]:
        return [Rejected(index, "unknown_event_type", "") for index in range(len(ids) - ("event-99" in ids))]

    await publish(log, *(event(number) for number in range(100)))
    handler = Recorder()
    handler.fail = forged
    flooded = ConsumerRunner(
        log,
        GROUP,
        [TOPIC],
        handler,
        dead_letters=lambda topic: f"{topic}.dlq",
        metrics=metrics,
        limits=LIMITS,
        foreign=["unknown_event_type"],
    )
    async with running(flooded):
        await consumed(log)
    assert len(handler.applied) == 1
    assert len(await letters(store)) == 99


async def test_a_log_that_goes_away_is_opened_again_and_nothing_is_lost(
    log: MemoryEventLog, store: MemoryStore, metrics: ConsumerMetrics
) -> None:
    handler = Recorder()
    async with running(runner(log, handler, metrics)):
        await publish(log, event(1))
        await consumed(log)
        store.failing = LogUnavailable("gone")
        await until(lambda: bool(metrics.reopened.at(GROUP)._value.get() >= 3))
        store.failing = None
        await publish(log, event(2))
        await consumed(log)
    assert handler.applied == ["event-1", "event-2"]


async def test_a_loop_without_progress_ends_the_process(log: MemoryEventLog, metrics: ConsumerMetrics) -> None:
    await publish(log, event(1))

    async def hang() -> Sequence[Rejected]:
        await asyncio.Event().wait()
        return ()

    handler = Recorder()
    handler.fail = lambda _: hang()
    limits = Limits(poll_seconds=0.02, stall_seconds=0.2, patience=Patience(retry=QUICK))
    with pytest.raises(ConsumerStalled):
        async with asyncio.timeout(60):
            await runner(log, handler, metrics, limits).run(asyncio.Event())
    assert await log.group_lag(GROUP, [TOPIC]) == 1


async def test_a_handler_that_hangs_once_is_called_again(log: MemoryEventLog, metrics: ConsumerMetrics) -> None:
    await publish(log, event(1))
    hung = asyncio.Event()

    async def hang_once() -> Sequence[Rejected]:
        if not hung.is_set():
            hung.set()
            await asyncio.Event().wait()
        return ()

    handler = Recorder()
    handler.fail = lambda _: hang_once()
    limits = Limits(poll_seconds=0.02, patience=Patience(handler_seconds=0.05, retry=QUICK))
    async with running(runner(log, handler, metrics, limits)):
        await consumed(log)
    assert handler.applied == ["event-1"]


async def test_the_lag_is_measured_by_topic(log: MemoryEventLog, metrics: ConsumerMetrics) -> None:
    await publish(log, *(event(number) for number in range(7)))
    async with running(runner(log, Recorder(), metrics)):
        await consumed(log)
        await until(lambda: bool(metrics.lag.at(GROUP, TOPIC)._value.get() == 0))
    assert metrics.applied.at(GROUP, TOPIC)._value.get() == 7


def _number(event_id: str) -> int:
    return int(event_id.removeprefix("event-"))


def _beside(store: MemoryStore, poison: Record, number: int) -> bool:
    """Whether the event with this number is in the partition of the poison record."""
    places = {each.record.key: place for place, records in store.records.items() for each in records}
    return places[f"key-{number % 5}".encode()] == places[poison.key]
