"""Kafka that stands still, dies and comes back: nothing hangs, nothing is lost, duplicates are the worst."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from uuid import uuid4

import pytest

from services.chassis.consumer import ConsumerRunner, Delivery, Limits, Rejected
from services.chassis.consumer_metrics import ConsumerMetrics
from services.chassis.event_log import kafka_consumer
from services.chassis.event_log.kafka import KafkaEventLog
from services.chassis.event_log.port import (
    EventLogError,
    GroupConsumer,
    LogReader,
    LogUnavailable,
    Producer,
    PublishUnknown,
    Received,
    Record,
    TopicSpec,
)
from services.chassis.metrics import new_registry
from tests.support.events import event, publish
from tests.support.kafka import OwnBroker, new_topic_name
from tests.support.waiting import until

pytestmark = pytest.mark.kafka

DEADLINE_SECONDS = 3.0  # of a publish that cannot succeed
PATIENCE_SECONDS = 60.0  # for whatever must succeed in the end


@pytest.fixture
def broker(own_broker: OwnBroker, monkeypatch: pytest.MonkeyPatch) -> Iterator[OwnBroker]:
    """The broker of this module, up again after each test."""
    monkeypatch.setattr(kafka_consumer, "PROBE_SECONDS", 0.5)
    yield own_broker
    own_broker.start()


@pytest.fixture
async def log(broker: OwnBroker) -> AsyncIterator[KafkaEventLog]:
    opened = KafkaEventLog(broker.bootstrap, name="test")
    yield opened
    async with asyncio.timeout(PATIENCE_SECONDS):
        await opened.close()


@pytest.fixture
async def topic(log: KafkaEventLog) -> str:
    spec = TopicSpec(new_topic_name(), partitions=2)
    await log.ensure_topics([spec])
    return spec.name


async def publish_until_confirmed(producer: Producer, record: Record) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            try:
                await producer.publish([record], deadline_seconds=DEADLINE_SECONDS)
            except PublishUnknown:
                continue
            return


async def read_all(log: KafkaEventLog, topic: str) -> list[bytes]:
    reader = await log.reader([topic])
    ends = await reader.end_offsets()
    values: list[bytes] = []
    async with asyncio.timeout(PATIENCE_SECONDS):
        while await reader.positions() != ends:
            values += [each.record.value or b"" for each in await reader.poll(100, 1.0)]
    await reader.close()
    return values


async def notices(consumer: GroupConsumer | LogReader) -> None:
    """Poll until the consumer says that the log is away."""

    async def said() -> bool:
        try:
            await consumer.poll(10, 0.1)
        except LogUnavailable:
            return True
        return False

    await until(said, seconds=PATIENCE_SECONDS)


async def test_a_broker_that_stands_still_makes_a_publish_unknown_and_the_producer_goes_on_afterwards(
    broker: OwnBroker, log: KafkaEventLog, topic: str
) -> None:
    producer = await log.producer("test")
    await publish_until_confirmed(producer, Record(topic, b"k", b"before"))

    broker.stand_still()
    async with asyncio.timeout(PATIENCE_SECONDS):
        with pytest.raises(PublishUnknown):
            await producer.publish([Record(topic, b"k", b"during")], deadline_seconds=DEADLINE_SECONDS)
    broker.go_on()
    await publish_until_confirmed(producer, Record(topic, b"k", b"after"))

    values = await read_all(log, topic)
    # What was unknown may have been stored, once, and then before what came later. The others are sent until confirmed.
    assert list(dict.fromkeys(values)) in ([b"before", b"after"], [b"before", b"during", b"after"])
    assert values.count(b"during") <= 1


async def test_a_producer_survives_the_death_of_the_broker(broker: OwnBroker, log: KafkaEventLog, topic: str) -> None:
    producer = await log.producer("test")
    await publish_until_confirmed(producer, Record(topic, b"k", b"before"))
    await asyncio.to_thread(broker.kill)
    with pytest.raises(PublishUnknown):
        await producer.publish([Record(topic, b"k", b"during")], deadline_seconds=DEADLINE_SECONDS)
    await asyncio.to_thread(broker.start)
    await publish_until_confirmed(producer, Record(topic, b"k", b"after"))
    assert {b"before", b"after"} <= set(await read_all(log, topic))


async def test_closing_returns_without_a_broker(broker: OwnBroker, log: KafkaEventLog, topic: str) -> None:
    producer = await log.producer("test")
    await publish_until_confirmed(producer, Record(topic, b"k", b"v"))
    consumer = await log.consumer(f"test.{uuid4().hex}", [topic])
    reader = await log.reader([topic])
    await until(lambda: len(consumer.assigned()) == 2)
    broker.stand_still()
    async with asyncio.timeout(PATIENCE_SECONDS):
        await asyncio.gather(producer.close(), consumer.close(), reader.close())


async def test_a_consumer_notices_the_death_of_the_broker_and_goes_on_at_its_commit_after_its_return(
    broker: OwnBroker, log: KafkaEventLog, topic: str
) -> None:
    group = f"test.{uuid4().hex}"
    producer = await log.producer("test")
    for number in range(10):
        await publish_until_confirmed(producer, Record(topic, b"k", b"%d" % number))
    consumer = await log.consumer(group, [topic])
    received: list[Received] = []
    async with asyncio.timeout(PATIENCE_SECONDS):
        while len(received) < 10:
            received += await consumer.poll(10, 1.0)
    await consumer.commit({received[3].place: received[3].offset + 1})
    reader = await log.reader([topic])
    await reader.poll(10, 1.0)

    await asyncio.to_thread(broker.kill)
    await notices(consumer)
    await notices(reader)
    await consumer.close()
    await asyncio.to_thread(broker.start)

    again = await log.consumer(group, [topic])
    redelivered: list[Received] = []
    async with asyncio.timeout(PATIENCE_SECONDS):
        while len(redelivered) < 6:
            redelivered += await again.poll(10, 1.0)
    assert [each.record.value for each in redelivered] == [b"%d" % number for number in range(4, 10)]


async def test_a_consumer_loop_loses_nothing_when_the_broker_dies_under_it(
    broker: OwnBroker, log: KafkaEventLog, topic: str
) -> None:
    group = f"test.{uuid4().hex}"
    applied: list[str] = []

    async def handle(batch: Sequence[Delivery]) -> Sequence[Rejected]:
        applied.extend(delivery.event.id for delivery in batch)
        return ()

    metrics = ConsumerMetrics(new_registry(with_process=False), {group: [topic]})
    runner = ConsumerRunner(
        log,
        group,
        [topic],
        handle,
        dead_letters=lambda name: f"{name}.dlq",
        metrics=metrics,
        limits=Limits(poll_seconds=0.2),
    )
    stop = asyncio.Event()
    running = asyncio.create_task(runner.run(stop))
    await publish(log, *(event(number, topic=topic) for number in range(50)))
    await until(lambda: len(applied) >= 50, seconds=PATIENCE_SECONDS)

    await asyncio.to_thread(broker.kill)
    await until(lambda: bool(metrics.reopened.at(group)._value.get() >= 1), seconds=PATIENCE_SECONDS)
    await asyncio.to_thread(broker.start)
    await publish(log, *(event(number, topic=topic) for number in range(50, 100)))

    async def nothing_left() -> bool:
        try:
            return await log.group_lag(group, [topic]) == 0
        except EventLogError:
            return False

    await until(nothing_left, seconds=PATIENCE_SECONDS)
    stop.set()
    await running
    assert set(applied) == {f"event-{number}" for number in range(100)}
    for key in range(5):
        firsts = [int(each[6:]) for each in dict.fromkeys(applied) if int(each[6:]) % 5 == key]
        assert firsts == sorted(firsts)


async def test_a_log_without_a_broker_says_so_in_time() -> None:
    log = KafkaEventLog("127.0.0.1:1", name="test")  # nobody listens there
    async with asyncio.timeout(PATIENCE_SECONDS):
        with pytest.raises(LogUnavailable):
            await log.consumer("test", ["orders.v1"])
        with pytest.raises(LogUnavailable):
            await log.ensure_topics([TopicSpec("orders.v1")])
        producer = await log.producer("test")
        with pytest.raises(PublishUnknown):
            await producer.publish([Record("orders.v1", b"k", b"v")], deadline_seconds=DEADLINE_SECONDS)
        await log.close()
