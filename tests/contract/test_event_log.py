"""What every event log keeps, whichever one is behind the port: Kafka, PostgreSQL, and the one in memory for tests."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import uuid4

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from services.chassis.event_log.kafka import KafkaEventLog
from services.chassis.event_log.port import (
    EventLog,
    GroupConsumer,
    LogReader,
    LogUnavailable,
    OwnershipLost,
    PublishRefused,
    PublishUnknown,
    Received,
    Record,
    TopicSpec,
)
from services.chassis.event_log.postgres import PostgresEventLog
from services.chassis.event_log.prefixed import with_prefix
from tests.support.kafka import new_topic_name
from tests.support.memory_log import MemoryEventLog, MemoryStore
from tests.support.waiting import until

DEADLINE_SECONDS = 60.0


@dataclass(frozen=True)
class World:
    """One kind of event log: opens logs over the same store, and compacts a topic now."""

    open: Callable[[], Awaitable[EventLog]]
    compact: Callable[[EventLog, str], Awaitable[None]]


@pytest.fixture(params=["memory", "prefixed", "postgres", pytest.param("kafka", marks=pytest.mark.kafka)])
def world(request: pytest.FixtureRequest) -> World:
    match request.param:
        case "kafka":
            return _kafka(request.getfixturevalue("kafka_bootstrap"))
        case "postgres":
            return _postgres(request.getfixturevalue("database_url"))
        case "prefixed":
            return _prefixed(_memory(), "one.")
        case _:
            return _memory()


@pytest.fixture
async def log(world: World) -> AsyncIterator[EventLog]:
    opened = await world.open()
    yield opened
    await opened.close()


@pytest.fixture
async def topic(log: EventLog) -> str:
    spec = TopicSpec(new_topic_name(), partitions=3)
    await log.ensure_topics([spec])
    return spec.name


@pytest.fixture
async def compacted_topic(log: EventLog) -> str:
    spec = TopicSpec(new_topic_name(), partitions=1, compacted=True)
    await log.ensure_topics([spec])
    return spec.name


@pytest.fixture
def group() -> str:
    return f"test.{uuid4().hex}"


async def test_a_record_arrives_as_it_was_published(log: EventLog, topic: str, group: str) -> None:
    sent = Record(topic, "Zoë".encode(), b"\x00\xff", (("ce_id", b"1"), ("binary", bytes(range(256))), ("ce_id", b"")))
    await publish(log, [sent])

    async with member(log, group, topic) as consumer:
        (got,) = await take(consumer, 1)

    assert (got.record.key, got.record.value, got.record.headers) == (sent.key, sent.value, sent.headers)
    assert got.record.topic == topic
    assert got.record.partition == got.partition
    assert got.at.tzinfo is not None


async def test_records_of_a_key_are_read_in_the_order_in_which_they_were_published(
    log: EventLog, topic: str, group: str
) -> None:
    for start in range(0, 300, 100):
        await publish(log, [Record(topic, f"key-{n % 7}".encode(), str(n).encode()) for n in range(start, start + 100)])

    async with member(log, group, topic) as consumer:
        received = await take(consumer, 300, at_most=17)

    for key in {each.record.key for each in received}:
        numbers = [int(each.record.value or b"") for each in received if each.record.key == key]
        assert numbers == sorted(numbers)
    assert sorted(int(each.record.value or b"") for each in received) == list(range(300))


async def test_records_of_a_key_share_a_partition_and_offsets_grow_by_one(
    log: EventLog, topic: str, group: str
) -> None:
    await publish(log, [Record(topic, f"key-{n % 20}".encode(), b"") for n in range(100)])

    async with member(log, group, topic) as consumer:
        received = await take(consumer, 100)

    assert len({(each.record.key, each.partition) for each in received}) == 20
    for partition in range(3):
        offsets = [each.offset for each in received if each.partition == partition]
        assert offsets == list(range(len(offsets)))


async def test_concurrent_publishers_lose_nothing_and_keep_their_own_order(
    log: EventLog, topic: str, group: str
) -> None:
    async def publish_mine(who: int) -> None:
        producer = await log.producer(f"producer-{who}")
        for n in range(20):
            records = [Record(topic, f"{who}-{key}".encode(), str(n).encode()) for key in range(5)]
            await producer.publish(records, deadline_seconds=DEADLINE_SECONDS)

    await asyncio.gather(*(publish_mine(who) for who in range(4)))

    async with member(log, group, topic) as consumer:
        received = await take(consumer, 400)
    for key in {each.record.key for each in received}:
        assert [int(each.record.value or b"") for each in received if each.record.key == key] == list(range(20))


async def test_a_record_can_name_its_partition(log: EventLog, topic: str, group: str) -> None:
    await publish(log, [Record(topic, b"heartbeat", b"", partition=partition) for partition in range(3)])

    async with member(log, group, topic) as consumer:
        assert sorted(each.partition for each in await take(consumer, 3)) == [0, 1, 2]


async def test_records_without_a_key_reach_a_topic_that_is_not_compacted(log: EventLog, topic: str, group: str) -> None:
    await publish(log, [Record(topic, None, b"x")] * 30)

    async with member(log, group, topic) as consumer:
        assert len(await take(consumer, 30)) == 30


async def test_what_is_published_wakes_a_poll_that_waits(log: EventLog, topic: str, group: str) -> None:
    async with member(log, group, topic) as consumer:
        await joined(consumer, 3)
        waiting = asyncio.create_task(consumer.poll(10, DEADLINE_SECONDS))
        await publish(log, [Record(topic, b"k", b"v")])

        async with asyncio.timeout(DEADLINE_SECONDS / 2):
            assert [each.record.value for each in await waiting] == [b"v"]


async def test_what_may_be_held_back_comes_all_the_same_and_in_order(log: EventLog, topic: str, group: str) -> None:
    consumer = await log.consumer(group, [topic], gather_seconds=0.2)
    try:
        await joined(consumer, 3)
        for start in range(0, 60, 20):
            await publish(
                log, [Record(topic, f"key-{n % 7}".encode(), str(n).encode()) for n in range(start, start + 20)]
            )
        received = await take(consumer, 60)
    finally:
        await consumer.close()

    for key in {each.record.key for each in received}:
        numbers = [int(each.record.value or b"") for each in received if each.record.key == key]
        assert numbers == sorted(numbers)
    assert sorted(int(each.record.value or b"") for each in received) == list(range(60))


async def test_a_poll_without_records_ends_with_its_time(log: EventLog, topic: str, group: str) -> None:
    async with member(log, group, topic) as consumer, asyncio.timeout(DEADLINE_SECONDS):
        assert await consumer.poll(10, 0.05) == []


async def test_a_group_goes_on_behind_what_it_committed(world: World, log: EventLog, topic: str, group: str) -> None:
    await publish(log, [Record(topic, b"k", str(n).encode()) for n in range(10)])
    async with member(log, group, topic) as consumer:
        first = await take(consumer, 4, at_most=4)
        await consumer.commit({first[-1].place: first[-1].offset + 1})
    await log.close()

    again = await world.open()
    async with member(again, group, topic) as consumer:
        assert [each.record.value for each in await take(consumer, 6)] == [str(n).encode() for n in range(4, 10)]
    await again.close()


async def test_what_was_read_and_not_committed_is_delivered_again(
    world: World, log: EventLog, topic: str, group: str
) -> None:
    await publish(log, [Record(topic, b"k", str(n).encode()) for n in range(5)])
    async with member(log, group, topic) as consumer:
        assert len(await take(consumer, 5)) == 5
    await log.close()

    again = await world.open()
    async with member(again, group, topic) as consumer:
        assert len(await take(consumer, 5)) == 5
    await again.close()


async def test_a_new_group_starts_at_the_oldest_record(log: EventLog, topic: str) -> None:
    await publish(log, [Record(topic, b"k", b"v")])
    for _ in range(2):
        async with member(log, f"test.{uuid4().hex}", topic) as consumer:
            assert len(await take(consumer, 1)) == 1


async def test_two_members_divide_the_partitions_and_one_takes_over(log: EventLog, topic: str, group: str) -> None:
    async with member(log, group, topic) as stays:
        await joined(stays, 3)
        async with member(log, group, topic) as leaves:
            await joined_together(stays, leaves, 3)
            assert stays.assigned().isdisjoint(leaves.assigned())
            assert leaves.assigned()

        await joined(stays, 3)
        await publish(log, [Record(topic, None, b"v", partition=partition) for partition in range(3)])
        assert len(await take(stays, 3)) == 3


async def test_a_partition_that_was_given_away_cannot_be_committed(log: EventLog, topic: str, group: str) -> None:
    await publish(log, [Record(topic, None, b"v", partition=partition) for partition in range(3)])
    async with member(log, group, topic) as first:
        received = await take(first, 3)
        async with member(log, group, topic) as second:
            await joined_together(first, second, 3)
            with pytest.raises(OwnershipLost):
                await first.commit({each.place: each.offset + 1 for each in received})

            redelivered = await take(second, len(second.assigned()))
            assert {each.place for each in redelivered} == second.assigned()


async def test_nothing_comes_from_a_paused_partition_until_it_is_resumed(log: EventLog, topic: str, group: str) -> None:
    async with member(log, group, topic) as consumer:
        await joined(consumer, 3)
        consumer.pause([(topic, 0)])
        await publish(log, [Record(topic, None, b"v", partition=partition) for partition in range(3)])
        assert {each.partition for each in await take(consumer, 2)} == {1, 2}
        assert await consumer.poll(10, 0.5) == []

        consumer.resume([(topic, 0)])
        assert [each.partition for each in await take(consumer, 1)] == [0]


async def test_a_pause_holds_when_the_group_is_divided_anew(log: EventLog, topic: str, group: str) -> None:
    async with member(log, group, topic) as stays:
        await joined(stays, 3)
        stays.pause([(topic, partition) for partition in range(3)])
        await publish(log, [Record(topic, None, b"v", partition=partition) for partition in range(3)])
        async with member(log, group, topic) as leaves:
            await joined_together(stays, leaves, 3)
        await joined(stays, 3)

        assert await stays.poll(10, 0.5) == []
        stays.resume([(topic, partition) for partition in range(3)])
        assert len(await take(stays, 3)) == 3


async def test_lag_counts_what_is_not_committed(log: EventLog, topic: str, group: str) -> None:
    await publish(log, [Record(topic, b"k", b"v")] * 8)
    assert await log.group_lag(group, [topic]) == 8

    async with member(log, group, topic) as consumer:
        received = await take(consumer, 8)
        await consumer.commit({received[4].place: received[4].offset + 1})
        assert sum((await consumer.lag()).values()) == 3
        assert await log.group_lag(group, [topic]) == 3


async def test_a_reader_has_no_group_and_starts_at_the_oldest_record(log: EventLog, topic: str) -> None:
    await publish(log, [Record(topic, str(n).encode(), str(n).encode()) for n in range(10)])
    for _ in range(2):
        reader = await log.reader([topic])
        assert sum((await reader.end_offsets()).values()) == 10
        assert len(await take(reader, 10)) == 10
        assert await reader.positions() == await reader.end_offsets()
        await reader.close()


async def test_a_reader_goes_on_at_the_offsets_that_it_is_given(log: EventLog, topic: str) -> None:
    await publish(log, [Record(topic, b"k", str(n).encode()) for n in range(10)])
    reader = await log.reader([topic])
    received = await take(reader, 10)
    await reader.close()

    again = await log.reader([topic])
    await again.seek({received[6].place: received[6].offset + 1})
    assert [each.record.value for each in await take(again, 3)] == [b"7", b"8", b"9"]
    await again.close()


async def test_a_reader_whose_offset_is_past_the_end_starts_at_the_oldest_record(log: EventLog, topic: str) -> None:
    await publish(log, [Record(topic, b"k", b"v", partition=0)] * 3)
    reader = await log.reader([topic])
    await reader.seek({(topic, 0): 1_000})
    assert len(await take(reader, 3)) == 3
    await reader.close()


async def test_compaction_keeps_the_newest_record_of_each_key(
    world: World, log: EventLog, compacted_topic: str
) -> None:
    for version in range(5):
        await publish(
            log, [Record(compacted_topic, f"key-{key}".encode(), f"{key}.{version}".encode()) for key in range(50)]
        )
    await world.compact(log, compacted_topic)

    async with asyncio.timeout(DEADLINE_SECONDS * 2):
        while True:
            reader = await log.reader([compacted_topic])
            received = await until_the_end(reader)
            await reader.close()
            newest = {each.record.key: each.record.value for each in received}
            assert all(newest[f"key-{key}".encode()] == f"{key}.4".encode() for key in range(50))
            if len(received) < 250:
                break


async def test_a_compacted_topic_refuses_a_record_without_a_key(log: EventLog, compacted_topic: str) -> None:
    with pytest.raises(PublishRefused) as refused:
        await publish(log, [Record(compacted_topic, b"k", b"v"), Record(compacted_topic, None, b"v")])
    assert (refused.value.index, refused.value.reason) == (1, "key_missing")


async def test_a_tombstone_is_delivered_as_a_record_without_a_value(log: EventLog, compacted_topic: str) -> None:
    await publish(log, [Record(compacted_topic, b"k", b"v"), Record(compacted_topic, b"k", None)])
    reader = await log.reader([compacted_topic])
    assert [each.record.value for each in await take(reader, 2)] == [b"v", None]
    await reader.close()


async def test_a_record_that_is_too_large_is_refused_and_the_producer_goes_on(
    log: EventLog, topic: str, group: str
) -> None:
    producer = await log.producer("large")
    records = [Record(topic, b"k", b"v"), Record(topic, b"k", b"v" * 2_000_000)]
    with pytest.raises(PublishRefused) as refused:
        await producer.publish(records, deadline_seconds=DEADLINE_SECONDS)
    assert (refused.value.index, refused.value.reason) == (1, "record_too_large")

    await producer.publish([Record(topic, b"k", b"v" * 900_000)], deadline_seconds=DEADLINE_SECONDS)
    async with member(log, group, topic) as consumer:
        assert max([len(each.record.value or b"") for each in await take(consumer, 1)]) <= 900_000


async def test_a_record_that_was_published_twice_is_read_twice(log: EventLog, topic: str, group: str) -> None:
    record = Record(topic, b"k", b"v", (("ce_id", b"the same"),))
    await publish(log, [record])
    await publish(log, [record])

    async with member(log, group, topic) as consumer:
        received = await take(consumer, 2)
    assert [each.record.headers for each in received] == [record.headers] * 2
    assert received[0].offset != received[1].offset


async def test_a_topic_that_does_not_exist_is_said_so_before_the_deadline(log: EventLog, group: str) -> None:
    with pytest.raises(LogUnavailable):
        await log.consumer(group, ["test.nowhere"])
    with pytest.raises(LogUnavailable):
        await log.reader(["test.nowhere"])
    with pytest.raises(LogUnavailable):
        await log.partitions("test.nowhere")
    producer = await log.producer("nowhere")
    with pytest.raises(PublishUnknown):
        await producer.publish([Record("test.nowhere", b"k", b"v")], deadline_seconds=0.5)


async def test_making_a_topic_again_changes_nothing(log: EventLog, topic: str) -> None:
    await log.ensure_topics([TopicSpec(topic, partitions=9)])
    assert await log.partitions(topic) == 3


async def publish(log: EventLog, records: Sequence[Record]) -> None:
    producer = await log.producer("test")
    try:
        await producer.publish(records, deadline_seconds=DEADLINE_SECONDS)
    finally:
        await producer.close()


@asynccontextmanager
async def member(log: EventLog, group: str, topic: str) -> AsyncIterator[GroupConsumer]:
    consumer = await log.consumer(group, [topic])
    try:
        yield consumer
    finally:
        await consumer.close()


async def take(reader: GroupConsumer | LogReader, count: int, at_most: int = 500) -> list[Received]:
    """Poll until so many records came."""
    received: list[Received] = []
    async with asyncio.timeout(DEADLINE_SECONDS):
        while len(received) < count:
            received += await reader.poll(min(at_most, count - len(received)), 1.0)
    return received


async def until_the_end(reader: LogReader) -> list[Received]:
    ends = await reader.end_offsets()
    received: list[Received] = []
    async with asyncio.timeout(DEADLINE_SECONDS):
        while await reader.positions() != ends:
            received += await reader.poll(500, 0.5)
    return received


async def joined(consumer: GroupConsumer, partitions: int) -> None:
    """Wait until a lone member has all partitions."""
    async with asyncio.timeout(DEADLINE_SECONDS):
        while len(consumer.assigned()) < partitions:
            assert await consumer.poll(1, 0.05) == []


async def joined_together(first: GroupConsumer, second: GroupConsumer, partitions: int) -> None:
    """Wait until two members share the partitions, by looking only: nothing is polled away."""

    def shared() -> bool:
        mine, others = first.assigned(), second.assigned()
        return bool(mine and others) and mine.isdisjoint(others) and len(mine | others) == partitions

    await until(shared)


def _prefixed(world: World, prefix: str) -> World:
    async def open_log() -> EventLog:
        return with_prefix(await world.open(), prefix)

    async def compact(log: EventLog, topic: str) -> None:
        await world.compact(log, prefix + topic)

    return World(open_log, compact)


def _memory() -> World:
    store = MemoryStore()

    async def open_log() -> EventLog:
        return MemoryEventLog(store)

    async def compact(_log: EventLog, _topic: str) -> None:
        store.compact()

    return World(open_log, compact)


def _postgres(url: str) -> World:
    async def open_log() -> EventLog:
        return await PostgresEventLog.open(url, maintain=False)

    async def compact(log: EventLog, _topic: str) -> None:
        assert isinstance(log, PostgresEventLog)
        await log.maintain(compact_after_records=1)

    return World(open_log, compact)


def _kafka(bootstrap: str) -> World:
    async def open_log() -> EventLog:
        return KafkaEventLog(bootstrap, name="test")

    async def compact(log: EventLog, topic: str) -> None:
        """Let the cleaner work within seconds; it leaves the newest segment alone, so there must be a newer one."""
        admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
        await admin.start()
        settings = {"segment.ms": "100", "min.cleanable.dirty.ratio": "0.01", "cleanup.policy": "compact"}
        await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, configs=settings)])
        await admin.close()
        producer = await log.producer("roll")
        for n in range(20):
            await asyncio.sleep(0.05)  # the age of a segment is the broker's to measure
            await producer.publish([Record(topic, b"roll", str(n).encode())], deadline_seconds=DEADLINE_SECONDS)

    return World(open_log, compact)
