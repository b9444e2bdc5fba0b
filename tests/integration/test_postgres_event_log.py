"""What is true of the event log in PostgreSQL beyond the contract: processes, crashes, retention."""

import asyncio
import multiprocessing
import signal
from collections.abc import AsyncIterator
from multiprocessing.connection import Connection as Pipe
from uuid import uuid4

import asyncpg
import pytest

from services.chassis.event_log import postgres_groups
from services.chassis.event_log.port import (
    EventLog,
    GroupInUse,
    LogUnavailable,
    PublishUnknown,
    Received,
    Record,
    TopicSpec,
)
from services.chassis.event_log.postgres import PostgresEventLog
from tests.support.database_proxy import Cut, proxied
from tests.support.waiting import until

DEADLINE_SECONDS = 60.0


@pytest.fixture
async def log(database_url: str) -> AsyncIterator[PostgresEventLog]:
    opened = await PostgresEventLog.open(database_url, maintain=False)
    yield opened
    await opened.close()


@pytest.fixture
async def topic(log: PostgresEventLog) -> str:
    spec = TopicSpec(f"test.{uuid4().hex}", partitions=2)
    await log.ensure_topics([spec])
    return spec.name


@pytest.fixture
async def administration(database_url: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()


async def publish(log: EventLog, topic: str, *values: bytes) -> None:
    producer = await log.producer("test")
    await producer.publish([Record(topic, b"k", value) for value in values], deadline_seconds=DEADLINE_SECONDS)


async def read(log: EventLog, group: str, topic: str, count: int) -> list[Received]:
    consumer = await log.consumer(group, [topic])
    received: list[Received] = []
    async with asyncio.timeout(DEADLINE_SECONDS):
        while len(received) < count:
            received += await consumer.poll(100, 1.0)
    await consumer.close()
    return received


async def test_several_processes_may_open_a_log_at_once(database_url: str) -> None:
    logs = await asyncio.gather(*(PostgresEventLog.open(database_url) for _ in range(4)))
    for each in logs:
        await each.close()


async def test_a_group_belongs_to_one_process(
    database_url: str, log: PostgresEventLog, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    group = f"test.{uuid4().hex}"
    consumer = await log.consumer(group, [topic])
    other = await PostgresEventLog.open(database_url, maintain=False)
    with monkeypatch.context() as impatient:
        impatient.setattr(postgres_groups, "LOCK_SECONDS", 0.5)
        with pytest.raises(GroupInUse):
            await other.consumer(group, [topic])

    await consumer.close()
    await (await other.consumer(group, [topic])).close()
    await other.close()


async def test_what_another_process_publishes_is_seen(database_url: str, log: PostgresEventLog, topic: str) -> None:
    consumer = await log.consumer(f"test.{uuid4().hex}", [topic])
    waiting = asyncio.create_task(consumer.poll(10, DEADLINE_SECONDS))
    other = await PostgresEventLog.open(database_url, maintain=False)
    await publish(other, topic, b"from outside")
    await other.close()
    async with asyncio.timeout(DEADLINE_SECONDS / 2):
        assert [each.record.value for each in await waiting] == [b"from outside"]


async def test_who_loses_the_lock_of_the_group_stops_consuming_and_can_come_back(
    log: PostgresEventLog, topic: str, administration: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    group = f"test.{uuid4().hex}"
    await publish(log, topic, b"1")
    consumer = await log.consumer(group, [topic])
    assert len(await consumer.poll(10, DEADLINE_SECONDS)) == 1

    await administration.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE application_name = 'event log: groups' AND datname = current_database()"
    )

    async def lost() -> bool:
        try:
            await consumer.poll(1, 0.01)
        except LogUnavailable:
            return True
        return False

    await until(lost)
    with pytest.raises(LogUnavailable):
        await consumer.commit({(topic, 0): 1})
    await consumer.close()
    assert len(await read(log, group, topic, 1)) == 1, "it was not committed, so it comes again"


async def test_a_process_that_is_killed_between_its_work_and_its_commit_gets_its_records_again(
    database_url: str, log: PostgresEventLog, topic: str
) -> None:
    group = f"test.{uuid4().hex}"
    await publish(log, topic, *(b"%d" % number for number in range(6)))
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_consume, args=(database_url, group, topic, there))
    process.start()
    try:
        assert await asyncio.to_thread(here.poll, DEADLINE_SECONDS)
        assert here.recv() == "committed 3, read 6"
    finally:
        process.kill()
        await asyncio.to_thread(process.join)
    assert process.exitcode == -signal.SIGKILL

    received = await read(log, group, topic, 3)
    assert [each.record.value for each in received] == [b"3", b"4", b"5"]


async def test_offsets_have_no_gaps_however_many_publish_and_die(
    log: PostgresEventLog, topic: str, administration: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    async def publish_and_sometimes_give_up(number: int) -> None:
        producer = await log.producer("test")
        records = [Record(topic, b"%d" % (number + each), b"v") for each in range(7)]
        deadline = 0.002 if number % 3 == 0 else DEADLINE_SECONDS
        try:
            await producer.publish(records, deadline_seconds=deadline)
        except PublishUnknown:
            assert deadline < DEADLINE_SECONDS

    await asyncio.gather(*(publish_and_sometimes_give_up(number) for number in range(60)))
    await log.run(lambda connection: connection.execute("SELECT"), "wait for what was given up")

    async def settled() -> bool:
        return not await administration.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state = 'active' "
            "AND pid <> pg_backend_pid()"
        )

    await until(settled)
    rows = await administration.fetch(
        """
        SELECT p.partition, p.next_offset, count(r.record_offset) AS records, max(r.record_offset) AS last
          FROM event_log.partition p JOIN event_log.record r USING (topic, partition)
         WHERE topic = $1 GROUP BY 1, 2
        """,
        topic,
    )
    assert rows
    for row in rows:
        assert row["records"] == row["next_offset"] == row["last"] + 1


async def test_a_publish_whose_commit_was_not_answered_is_unknown_and_may_be_stored(
    database_url: str, log: PostgresEventLog, topic: str
) -> None:
    async with proxied(database_url) as proxy:
        behind = await PostgresEventLog.open(proxy.url, maintain=False)
        producer = await behind.producer("test")
        await behind._heads.stop()  # its looks commit too, and the cut is for the publisher
        proxy.cut(b"COMMIT\0", Cut.BEFORE_THE_ANSWER)
        with pytest.raises(PublishUnknown):
            await producer.publish([Record(topic, b"k", b"v")], deadline_seconds=DEADLINE_SECONDS)
        await behind.close()
    assert len(await read(log, f"test.{uuid4().hex}", topic, 1)) == 1


async def test_records_are_forgotten_by_age_and_readers_go_on_at_the_oldest_that_is_left(
    log: PostgresEventLog, topic: str, administration: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    group = f"test.{uuid4().hex}"
    await publish(log, topic, *(b"%d" % number for number in range(10)))
    await administration.execute(
        "UPDATE event_log.record SET at = at - interval '8 days' WHERE topic = $1 AND record_offset < 6", topic
    )
    await log.maintain()

    assert await log.group_lag(group, [topic]) == 4
    assert [each.record.value for each in await read(log, group, topic, 4)] == [b"6", b"7", b"8", b"9"]


async def test_a_tombstone_is_forgotten_after_a_day_and_the_end_of_the_partition_stays(
    log: PostgresEventLog, administration: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    topic = f"test.{uuid4().hex}"
    await log.ensure_topics([TopicSpec(topic, partitions=1, compacted=True)])
    producer = await log.producer("test")
    for key in (b"a", b"b"):
        for value in (b"v", None):
            await producer.publish([Record(topic, key, value)], deadline_seconds=DEADLINE_SECONDS)
    await log.maintain(compact_after_records=1)
    kept = "SELECT array_agg(record_offset ORDER BY record_offset) FROM event_log.record WHERE topic = $1"
    assert await administration.fetchval(kept, topic) == [1, 3]

    await administration.execute("UPDATE event_log.record SET at = at - interval '2 days' WHERE topic = $1", topic)
    await producer.publish([Record(topic, b"c", b"v")], deadline_seconds=DEADLINE_SECONDS)
    await log.maintain(compact_after_records=1)
    assert await administration.fetchval(kept, topic) == [4]


def _consume(database_url: str, group: str, topic: str, pipe: "Pipe[str, None]") -> None:
    """Read six, commit three of them, say so, and wait to be killed."""

    async def consume() -> None:
        log = await PostgresEventLog.open(database_url, maintain=False)
        consumer = await log.consumer(group, [topic])
        received: list[Received] = []
        while len(received) < 6:
            received += await consumer.poll(10, 1.0)
        await consumer.commit({received[2].place: received[2].offset + 1})
        pipe.send(f"committed 3, read {len(received)}")
        await asyncio.Event().wait()

    asyncio.run(consume())
