"""Groups in Kafka: a named member comes back without a rebalance, and a member that dies is replaced."""

import asyncio
import multiprocessing
from collections.abc import AsyncIterator
from multiprocessing.connection import Connection as Pipe
from uuid import uuid4

import pytest

from services.chassis.event_log.kafka import KafkaEventLog
from services.chassis.event_log.port import Received, Record, TopicSpec
from tests.support.kafka import new_topic_name
from tests.support.waiting import until

pytestmark = pytest.mark.kafka

PATIENCE_SECONDS = 60.0


@pytest.fixture
async def log(kafka_bootstrap: str) -> AsyncIterator[KafkaEventLog]:
    opened = KafkaEventLog(kafka_bootstrap, name="test")
    yield opened
    await opened.close()


@pytest.fixture
async def topic(log: KafkaEventLog) -> str:
    spec = TopicSpec(new_topic_name(), partitions=4)
    await log.ensure_topics([spec])
    return spec.name


async def test_a_named_member_that_restarts_gets_its_partitions_back_and_nobody_else_is_disturbed(
    log: KafkaEventLog, topic: str
) -> None:
    group = f"test.{uuid4().hex}"
    first = await log.consumer(group, [topic], "a")
    second = await log.consumer(group, [topic], "b")
    await until(lambda: len(first.assigned()) == len(second.assigned()) == 2, seconds=PATIENCE_SECONDS)
    before = first.assigned()
    undisturbed = second._client._subscription.subscription.assignment

    await first.close()
    again = await log.consumer(group, [topic], "a")
    await until(lambda: again.assigned() == before, seconds=PATIENCE_SECONDS)

    assert second._client._subscription.subscription.assignment is undisturbed


async def test_the_partitions_of_a_killed_process_go_to_another_at_the_committed_offsets(
    kafka_bootstrap: str, log: KafkaEventLog, topic: str
) -> None:
    group = f"test.{uuid4().hex}"
    producer = await log.producer("test")
    await producer.publish([Record(topic, b"k", b"%d" % n) for n in range(6)], deadline_seconds=PATIENCE_SECONDS)

    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_consume, args=(kafka_bootstrap, group, topic, there))
    process.start()
    try:
        assert await asyncio.to_thread(here.poll, PATIENCE_SECONDS)
        assert here.recv() == "committed 3, read 6"
    finally:
        process.kill()
        await asyncio.to_thread(process.join)

    consumer = await log.consumer(group, [topic])
    received: list[Received] = []
    async with asyncio.timeout(PATIENCE_SECONDS):
        while len(received) < 3:
            received += await consumer.poll(10, 1.0)
    assert [each.record.value for each in received] == [b"3", b"4", b"5"]


def _consume(bootstrap: str, group: str, topic: str, pipe: "Pipe[str, None]") -> None:
    """Read six, commit three of them, say so, and wait to be killed."""

    async def consume() -> None:
        log = KafkaEventLog(bootstrap, name="test")
        consumer = await log.consumer(group, [topic])
        received: list[Received] = []
        while len(received) < 6:
            received += await consumer.poll(10, 1.0)
        await consumer.commit({received[2].place: received[2].offset + 1})
        pipe.send(f"committed 3, read {len(received)}")
        await asyncio.Event().wait()

    asyncio.run(consume())
