"""Working on dead letters, over the log in memory."""

import asyncio
from datetime import timedelta

import pytest

from services.chassis.consumer_metrics import ConsumerMetrics
from services.chassis.dead_letters import DeadLetterFuse, Fuse, Letter, Place, write_letters
from services.chassis.dlq import DeadLetters, DeadLetterWatch, LetterGone, ValueOmitted
from services.chassis.event_log.port import PublishUnknown, Received, Record, TopicSpec
from services.chassis.metrics import new_registry
from tests.support.events import MOMENT
from tests.support.memory_log import MemoryEventLog, MemoryStore
from tests.support.waiting import until

TOPIC = "orders.v1"


def twin_of(topic: str) -> str:
    return f"{topic}.dlq"


def letter(offset: int, *, partition: int = 0, reason: str = "invalid_payload", value: bytes = b"v") -> Letter:
    record = Record(TOPIC, b"key-%d" % offset, value, (("ce_id", b"event-%d" % offset), ("binary", b"\xff\x00")))
    received = Received(record, partition, offset, MOMENT)
    return Letter(received, "atp.orders", reason, "field `lines`", MOMENT + timedelta(seconds=1))


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
async def log(store: MemoryStore) -> MemoryEventLog:
    opened = MemoryEventLog(store)
    await opened.ensure_topics([TopicSpec(TOPIC, partitions=2), TopicSpec(twin_of(TOPIC), partitions=2)])
    return opened


async def write(log: MemoryEventLog, *letters: Letter) -> None:
    producer = await log.producer("test")
    await write_letters(producer, twin_of(TOPIC), letters, deadline_seconds=60)


async def test_a_letter_comes_back_from_the_twin_as_it_was_written(log: MemoryEventLog) -> None:
    await write(log, letter(41, partition=1))
    (waiting,) = await DeadLetters(log, twin_of).waiting(TOPIC)
    assert waiting == letter(41, partition=1)
    assert waiting.place == Place(TOPIC, 1, 41)


async def test_letters_wait_in_the_order_of_their_originals_each_once(log: MemoryEventLog) -> None:
    await write(log, letter(9), letter(3, partition=1), letter(7))
    await write(log, letter(9))  # the consumer crashed before its commit
    waiting = await DeadLetters(log, twin_of).waiting(TOPIC)
    assert [(each.place.partition, each.place.offset) for each in waiting] == [(0, 7), (0, 9), (1, 3)]


async def test_a_replayed_letter_is_back_in_its_topic_with_its_own_headers_and_waits_no_more(
    log: MemoryEventLog, store: MemoryStore
) -> None:
    await write(log, letter(1), letter(2))
    dead_letters = DeadLetters(log, twin_of)

    assert await dead_letters.replay(TOPIC, Place(TOPIC, 0, 2)) == 1

    back = [each.record for partition in range(2) for each in store.records[(TOPIC, partition)]]
    original = letter(2).original.record
    assert [(each.key, each.value, each.headers) for each in back] == [(original.key, original.value, original.headers)]
    assert [each.place.offset for each in await dead_letters.waiting(TOPIC)] == [1]


async def test_all_that_wait_can_be_replayed_at_once(log: MemoryEventLog, store: MemoryStore) -> None:
    await write(log, letter(1), letter(2), letter(3))
    dead_letters = DeadLetters(log, twin_of)
    assert await dead_letters.replay(TOPIC) == 3
    assert await dead_letters.waiting(TOPIC) == []
    assert sum(len(store.records[(TOPIC, partition)]) for partition in range(2)) == 3


async def test_a_letter_that_was_written_again_after_its_closing_waits_again(log: MemoryEventLog) -> None:
    dead_letters = DeadLetters(log, twin_of)
    await write(log, letter(1))
    await dead_letters.discard(letter(1).place)
    assert await dead_letters.waiting(TOPIC) == []
    await write(log, letter(1))
    assert len(await dead_letters.waiting(TOPIC)) == 1


async def test_a_letter_that_does_not_wait_cannot_be_found_replayed_or_discarded(log: MemoryEventLog) -> None:
    dead_letters = DeadLetters(log, twin_of)
    nowhere = Place(TOPIC, 0, 1)
    with pytest.raises(LetterGone):
        await dead_letters.find(nowhere)
    with pytest.raises(LetterGone):
        await dead_letters.replay(TOPIC, nowhere)
    with pytest.raises(LetterGone):
        await dead_letters.discard(nowhere)


async def test_a_replay_that_was_not_confirmed_leaves_the_letter_waiting(
    log: MemoryEventLog, store: MemoryStore
) -> None:
    await write(log, letter(1))
    store.failing_topics[TOPIC] = PublishUnknown("?")
    dead_letters = DeadLetters(log, twin_of)
    with pytest.raises(PublishUnknown):
        await dead_letters.replay(TOPIC)
    assert len(await dead_letters.waiting(TOPIC)) == 1


async def test_a_value_too_large_to_be_set_aside_stays_in_its_topic_and_is_not_replayed(log: MemoryEventLog) -> None:
    await write(log, letter(1), letter(2, value=b"v" * 1_000_001))
    dead_letters = DeadLetters(log, twin_of)

    large = await dead_letters.find(letter(2).place)
    assert large.value_omitted
    assert large.original.record.value is None
    with pytest.raises(ValueOmitted):
        await dead_letters.replay(TOPIC, large.place)
    assert await dead_letters.replay(TOPIC) == 1
    assert [each.place for each in await dead_letters.waiting(TOPIC)] == [large.place]


async def test_the_gauge_counts_what_waits(log: MemoryEventLog) -> None:
    metrics = ConsumerMetrics(new_registry(with_process=False), {"atp.orders": [TOPIC]})
    gauge = metrics.waiting.at(TOPIC)
    watch = DeadLetterWatch(log, [TOPIC], dead_letters=twin_of, metrics=metrics)
    stop = asyncio.Event()
    task = asyncio.create_task(watch.run(stop))

    await write(log, letter(1), letter(2), letter(1))
    await until(lambda: bool(gauge._value.get() == 2))
    await DeadLetters(log, twin_of).discard(letter(1).place)
    await until(lambda: bool(gauge._value.get() == 1))
    stop.set()
    await task


def test_the_fuse_lets_through_so_many_in_its_window_and_then_recovers() -> None:
    fuse = Fuse(records_max=3, window_seconds=60)
    fuse.pass_through([letter(1), letter(2)], now=0.0)
    fuse.pass_through([letter(3)], now=30.0)
    with pytest.raises(DeadLetterFuse, match="invalid_payload"):
        fuse.pass_through([letter(4)], now=59.9)
    fuse.pass_through([letter(5), letter(6)], now=60.0)
    with pytest.raises(DeadLetterFuse):
        fuse.pass_through([letter(7)], now=60.0)
