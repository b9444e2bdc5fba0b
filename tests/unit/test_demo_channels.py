"""The ways of a replay into the event log, over a log in memory."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from services.chassis.event_log.port import LogUnavailable, Record
from services.contracts import topics
from tests.support.memory_log import MemoryEventLog, MemoryReader, MemoryStore
from tiercel.demo.channels import LogChannel, Outgoing, ReplayFailedError
from tiercel.topics import specs

AT = datetime(2026, 1, 5, tzinfo=UTC)
ORDER_IDS = [f"O-{number}" for number in range(40)]


async def test_orders_that_share_a_partition_are_read_in_the_order_in_which_they_were_sent() -> None:
    log = MemoryEventLog(MemoryStore())
    await log.ensure_topics(specs())
    partition = topics.ORDERS.partitions - 1
    async with LogChannel(log, lambda _: None) as channel:
        await channel.send([_placed(order_id, partition) for order_id in ORDER_IDS], AT)
    received = await (await log.reader([topics.ORDERS.name])).poll(1_000, 1.0)
    assert {each.partition for each in received} == {partition}
    assert [each.record.key for each in received] == [order_id.encode() for order_id in ORDER_IDS]


async def test_other_events_go_where_their_key_puts_them() -> None:
    log = MemoryEventLog(MemoryStore())
    await log.ensure_topics(specs())
    async with LogChannel(log, lambda _: None) as channel:
        await channel.send([_placed(order_id, None) for order_id in ORDER_IDS], AT)
    received = await (await log.reader([topics.ORDERS.name])).poll(1_000, 1.0)
    assert len({each.partition for each in received}) > 1


async def test_what_is_read_and_written_goes_on_after_the_log_was_away() -> None:
    log = CountingLog(MemoryStore())
    await log.ensure_topics(specs())
    async with LogChannel(log, lambda _: None) as channel:
        await channel.send([_at_risk("O-1")], AT)
        await channel.caught_up()
        log.store.failing = LogUnavailable("the broker is away")
        sending = asyncio.create_task(channel.send([_at_risk("O-2")], AT))
        asking = asyncio.create_task(channel.caught_up())
        async with asyncio.timeout(10):
            await log.asked_again.wait()
        assert not sending.done()
        log.store.failing = None
        await sending
        await asking
        await channel.send([_at_risk("O-3")], AT)
        await channel.caught_up()
        assert (channel.answers.records, channel.answers.seen_events) == (3, 3)


async def test_what_ended_the_reading_is_said() -> None:
    log = MemoryEventLog(MemoryStore())
    await log.ensure_topics(specs())
    async with LogChannel(log, lambda _: None) as channel:
        producer = await log.producer("somebody")
        await producer.publish([Record(topics.PROMISES.name, b"O-1", b"{}", ())], deadline_seconds=1.0)
        with pytest.raises(ReplayFailedError, match=r"promises\.v1 ended: .*holds a record that is no event"):
            await channel.answered(["O-1"])


class CountingLog(MemoryEventLog):
    """A log that knows whether another reader was asked for."""

    def __init__(self, store: MemoryStore) -> None:
        super().__init__(store)
        self.readers = 0
        self.asked_again = asyncio.Event()

    async def reader(self, topics: Sequence[str]) -> MemoryReader:
        self.readers += 1
        if self.readers > 1:
            self.asked_again.set()
        return await super().reader(topics)


def _at_risk(order_id: str) -> Outgoing:
    return Outgoing("promise.at_risk.v1", topics.PROMISES.name, order_id, f"risk/{order_id}", {})


def _placed(order_id: str, partition: int | None) -> Outgoing:
    return Outgoing("order.placed.v2", topics.ORDERS.name, order_id, f"order/{order_id}", {}, partition)
