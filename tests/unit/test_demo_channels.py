"""The ways of a replay into the event log, over a log in memory."""

from datetime import UTC, datetime

from services.contracts import topics
from tests.support.memory_log import MemoryEventLog, MemoryStore
from tiercel.demo.channels import LogChannel, Outgoing
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


def _placed(order_id: str, partition: int | None) -> Outgoing:
    return Outgoing("order.placed.v2", topics.ORDERS.name, order_id, f"order/{order_id}", {}, partition)
