"""The relay against a real outbox: nothing lost, nothing swapped, nothing urgent kept waiting."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from services.chassis import relay_rows
from services.chassis.database import Connection, Database
from services.chassis.event_log.port import PublishRefused, PublishUnknown, Record
from services.chassis.outbox import BUCKETS, Lane, enqueue, pending
from services.chassis.relay import Beacon, Relay
from services.chassis.relay_rows import Row
from tests.support.relay import QUICK, HeldUpProducer, Shelf, event_id, events, new_relay, put, running

KEYS = [f"order-{number}" for number in range(7)]
ROWS_LOOKED_AT_MAX = 200
ROWS_LOOKED_AT = """
SELECT sum(coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0)) FROM pg_stat_xact_user_tables
WHERE schemaname = current_schema() AND relname LIKE 'outbox%'
"""
CROWD_OF_ROWS = """
INSERT INTO outbox (id, aggregatetype, aggregateid, type, payload, headers, key_version, bucket, lane, published_at)
SELECT gen_random_uuid(), 'promises.v1', 'crowd-' || n, 'promise.changed.v1', '', '{}', 1, n % 64, $2::smallint,
    $3::timestamptz
FROM generate_series(1, $1::int) n
"""


def freeze(relay: Relay) -> asyncio.Event:
    """Keep a relay from renewing its leases, as if its process were stopped, until the event is set."""
    going_on = asyncio.Event()
    refresh = relay._leases.refresh

    async def wait_and_refresh() -> None:
        await going_on.wait()
        await refresh()

    relay._leases.refresh = wait_and_refresh  # type: ignore[method-assign]
    return going_on


async def unpublished(database: Database) -> int:
    return await database.read(pending)


async def test_committed_events_reach_the_log_as_they_were_and_in_order(chassis_database: Database) -> None:
    sent = events(["a", "b", "a", None, "b"], data=b'{"n":1}')
    shelf = Shelf()
    async with running(new_relay(chassis_database, HeldUpProducer(shelf))):
        await put(chassis_database, sent)
        await shelf.until(lambda records: len(records) >= 5)
    assert shelf.ids() == [event.id for event in sent]
    assert shelf.records[0].value == b'{"n":1}'
    assert dict(shelf.records[0].headers)["ce_type"] == b"promise.changed.v1"
    assert shelf.records[3].key is None
    assert await unpublished(chassis_database) == 0


async def test_what_was_rolled_back_is_never_published(chassis_database: Database) -> None:
    async def failing(connection: Connection) -> None:
        await enqueue(connection, events(["a"]))
        raise LookupError

    shelf = Shelf()
    async with running(new_relay(chassis_database, HeldUpProducer(shelf))):
        with pytest.raises(LookupError):
            await chassis_database.run(failing, label="rolled back")
        last = await put(chassis_database, events(["a"]))
        await shelf.until(lambda records: len(records) >= 1)
    assert shelf.ids() == last


async def test_a_transaction_that_commits_late_is_not_skipped(chassis_database: Database) -> None:
    early, late = events(["a"]), events(["b"])
    first_is_in, commit = asyncio.Event(), asyncio.Event()

    async def slow(connection: Connection) -> None:
        await enqueue(connection, early)
        first_is_in.set()
        await commit.wait()

    shelf = Shelf()
    async with running(new_relay(chassis_database, HeldUpProducer(shelf))):
        slow_one = asyncio.create_task(chassis_database.run(slow, label="slow"))
        await first_is_in.wait()
        await put(chassis_database, late)
        await shelf.until(lambda records: len(records) == 1)
        commit.set()
        await slow_one
        await shelf.until(lambda records: len(records) == 2)
    assert shelf.ids() == [late[0].id, early[0].id]


async def test_a_call_without_an_answer_is_repeated_with_the_same_rows(chassis_database: Database) -> None:
    shelf = Shelf()
    producer = HeldUpProducer(shelf)
    producer.lost_answers = 2
    sent = await put(chassis_database, events(["a", "a", "b"]))
    async with running(new_relay(chassis_database, producer)):
        await shelf.until(lambda records: len(records) >= 9)
    assert shelf.ids() == sent * 3
    assert await unpublished(chassis_database) == 0


async def test_a_producer_that_hangs_is_left_at_the_deadline(chassis_database: Database) -> None:
    shelf = Shelf()
    producer = HeldUpProducer(shelf)
    producer.gate.clear()
    sent = await put(chassis_database, events(["a", "b"]))
    async with running(new_relay(chassis_database, producer, settings=replace(QUICK, publish_deadline_seconds=0.05))):
        async with asyncio.timeout(60):
            while len(producer.calls) < 3:
                producer.called.clear()
                await producer.called.wait()
        producer.gate.set()
        await shelf.until(lambda records: len(records) >= 2)
    assert shelf.first_ids() == sent


async def test_one_topic_that_fails_does_not_hold_up_the_others(chassis_database: Database) -> None:
    class HalfDown(HeldUpProducer):
        async def publish(self, records: list[Record], *, deadline_seconds: float) -> None:  # type: ignore[override]
            if any(record.topic == "down.v1" for record in records):
                raise PublishUnknown("its leader is gone")
            await super().publish(records, deadline_seconds=deadline_seconds)

    shelf = Shelf()
    await put(chassis_database, events(["a"], topic="down.v1"))
    up = await put(chassis_database, events(["a", "b"], topic="up.v1"))
    async with running(new_relay(chassis_database, HalfDown(shelf))):
        await shelf.until(lambda records: len(records) >= 2)
        more = await put(chassis_database, events(["c"], topic="up.v1"))
        await shelf.until(lambda records: len(records) >= 3)
    assert shelf.ids() == up + more
    assert await unpublished(chassis_database) == 1


async def test_a_row_that_the_log_never_takes_is_set_aside_with_its_reason(chassis_database: Database) -> None:
    shelf, registry = Shelf(), CollectorRegistry()
    producer = HeldUpProducer(shelf)
    producer.errors.append(PublishRefused(1, "record_too_large", "10 MB"))
    sent = await put(chassis_database, events(["a", "a", "a"]))
    async with running(new_relay(chassis_database, producer, registry=registry)):
        await shelf.until(lambda records: len(records) >= 2)
    assert shelf.ids() == [sent[0], sent[2]]
    refused = await chassis_database.read(
        lambda c: c.fetch("SELECT id::text, refused FROM outbox WHERE refused IS NOT NULL")
    )
    assert [tuple(row) for row in refused] == [(sent[1], "record_too_large: 10 MB")]
    assert registry.get_sample_value("tiercel_outbox_failures_total", {"kind": "refused"}) == 1


async def test_an_urgent_event_overtakes_a_long_bulk_backlog(chassis_database: Database) -> None:
    shelf = Shelf()
    bulk = await put(chassis_database, events([f"customer-{n}" for n in range(2_000)]), Lane.BULK)
    settings = replace(QUICK, bulk_batch_rows=50, bulk_rows_per_second=1_000.0)
    async with running(new_relay(chassis_database, HeldUpProducer(shelf), settings=settings)) as stop:
        await shelf.until(lambda records: len(records) >= 50)
        urgent = await put(chassis_database, events(["somebody else"]))
        await shelf.until(lambda records: urgent[0] in {event_id(record) for record in records})
        stop.set()
    assert shelf.ids().index(urgent[0]) < 1_000
    assert [each for each in shelf.ids() if each != urgent[0]] == bulk[: len(shelf.records) - 1]


@pytest.mark.parametrize("counted_when", ["nothing waits", "all wait"])
async def test_a_batch_reads_as_little_of_a_long_backlog_as_of_a_short_one(
    chassis_database: Database, counted_when: str
) -> None:
    async def fill(connection: Connection) -> None:
        await connection.execute(CROWD_OF_ROWS, 20_000, Lane.URGENT.value, datetime.now(UTC))
        if counted_when == "nothing waits":
            await connection.execute("ANALYZE outbox")
        await connection.execute(CROWD_OF_ROWS, 20_000, Lane.BULK.value, None)
        if counted_when == "all wait":
            await connection.execute("ANALYZE outbox")

    async def read(connection: Connection) -> tuple[list[Row], list[int]]:
        buckets = range(BUCKETS)
        urgent, for_urgent = await looked_at(connection, relay_rows.urgent_rows(connection, buckets, 50))
        _, for_bulk = await looked_at(connection, relay_rows.bulk_rows(connection, buckets, 50))
        _, for_lanes = await looked_at(connection, relay_rows.all_published(connection, list(Lane)))
        return urgent, [for_urgent, for_bulk, for_lanes]

    async def mark(connection: Connection) -> int:
        return (await looked_at(connection, relay_rows.mark_published(connection, urgent)))[1]

    await chassis_database.run(fill, label="fill")
    await put(chassis_database, events(["crowd-7"]))
    urgent, looked = await chassis_database.read(read, by_key=True)
    looked.append(await chassis_database.run(mark, label="mark", by_key=True))
    assert [row.key for row in urgent] == ["crowd-7", "crowd-7"]
    assert await unpublished(chassis_database) == 19_999
    assert max(looked) < ROWS_LOOKED_AT_MAX


async def looked_at(connection: Connection, work: Awaitable[Any]) -> tuple[Any, int]:
    """What the work returned, and how many rows of the outbox it looked at."""
    before = await connection.fetchval(ROWS_LOOKED_AT)
    done = await work
    return done, await connection.fetchval(ROWS_LOOKED_AT) - before


async def test_bulk_batches_are_small_while_urgent_events_come(chassis_database: Database) -> None:
    shelf = Shelf()
    producer = HeldUpProducer(shelf)
    await put(chassis_database, events([f"customer-{n}" for n in range(500)]), Lane.BULK)
    settings = replace(QUICK, bulk_batch_rows=40, bulk_rows_per_second=100_000.0)
    async with running(new_relay(chassis_database, producer, settings=settings)) as stop:
        await shelf.until(lambda records: len(records) >= 40)
        (urgent,) = await put(chassis_database, events(["somebody else"]))
        await shelf.until(lambda records: urgent in {event_id(record) for record in records})
        seen = len(producer.calls)
        await shelf.until(lambda records: len(records) >= 501)
        stop.set()
    sizes = [len(call) for call in producer.calls]
    assert max(sizes[:seen]) == 40
    assert max(sizes[seen:]) == 10


async def test_an_urgent_event_takes_the_older_bulk_events_of_its_key_along(chassis_database: Database) -> None:
    shelf = Shelf()
    keys = [f"customer-{n % 500}" for n in range(1_000)]
    bulk = await put(chassis_database, events(keys), Lane.BULK)
    urgent = await put(chassis_database, events(["customer-499"]))
    settings = replace(QUICK, bulk_batch_rows=10, bulk_rows_per_second=100.0)
    async with running(new_relay(chassis_database, HeldUpProducer(shelf), settings=settings)) as stop:
        await shelf.until(lambda records: urgent[0] in {event_id(record) for record in records})
        stop.set()
    assert shelf.ids("customer-499") == [bulk[499], bulk[999], *urgent]


async def test_a_bulk_event_does_not_overtake_an_older_urgent_one(chassis_database: Database) -> None:
    shelf = Shelf()
    producer = HeldUpProducer(shelf)
    producer.errors += [PublishUnknown("once"), PublishUnknown("twice")]
    urgent = await put(chassis_database, events(["a"] * 3))
    bulk = await put(chassis_database, events(["a"] * 3), Lane.BULK)
    settings = replace(QUICK, batch_rows=1)
    async with running(new_relay(chassis_database, producer, settings=settings)):
        await shelf.until(lambda records: len(records) >= 6)
    assert shelf.ids() == urgent + bulk


async def test_two_relays_share_the_work_without_swapping_or_losing(chassis_database: Database) -> None:
    shelf = Shelf()
    sent: dict[str, list[str]] = defaultdict(list)
    relays = [new_relay(chassis_database, HeldUpProducer(shelf), name=name) for name in ("one", "two", "three")]
    async with running(*relays):
        for batch in range(30):
            added = events([KEYS[(batch + step) % len(KEYS)] for step in range(20)])
            for event in added:
                sent[str(event.key)].append(event.id)
            await put(chassis_database, added)
        await shelf.until(lambda records: len({event_id(record) for record in records}) == 600)
    for key in KEYS:
        assert shelf.first_ids(key) == sent[key]
    assert await unpublished(chassis_database) == 0


async def test_a_relay_that_was_stopped_in_a_call_cannot_leave_an_old_record_last(chassis_database: Database) -> None:
    """The zombie: it is stopped while publishing, loses its leases, goes on, and its old records land late."""
    shelf = Shelf()
    zombie_producer = HeldUpProducer(shelf, wire=True)
    zombie_producer.gate.clear()
    zombie = new_relay(chassis_database, zombie_producer, name="zombie")
    old = await put(chassis_database, events(["a", "b", "a"]))
    async with running(zombie):
        async with asyncio.timeout(60):
            await zombie_producer.called.wait()
        going_on = freeze(zombie)
        await chassis_database.run(
            lambda c: c.execute("UPDATE lease SET expires_at = '-infinity'"), label="its time is over"
        )
        async with running(new_relay(chassis_database, HeldUpProducer(shelf), name="heir")):
            new = await put(chassis_database, events(["a"]))
            await shelf.until(lambda records: len({event_id(record) for record in records}) == 4)
            assert shelf.first_ids("a") == [old[0], old[2], *new]
            going_on.set()
            zombie_producer.gate.set()
            async with asyncio.timeout(60):
                await zombie_producer.delivered.wait()
            await shelf.until(lambda _: shelf.ids("a")[-1] == new[0] and shelf.ids("b").count(old[1]) >= 3)
    assert shelf.first_ids("a") == [old[0], old[2], *new]
    assert shelf.ids("a")[-1] == new[0]
    assert await unpublished(chassis_database) == 0


async def test_the_rows_of_a_relay_that_vanished_are_published_by_another(chassis_database: Database) -> None:
    shelf = Shelf()
    stuck = HeldUpProducer(shelf)
    stuck.gate.clear()
    sent = await put(chassis_database, events(KEYS))
    vanishing = asyncio.create_task(new_relay(chassis_database, stuck, name="vanishing").run(asyncio.Event()))
    async with asyncio.timeout(60):
        await stuck.called.wait()
    vanishing.cancel()
    await asyncio.wait([vanishing])
    async with running(new_relay(chassis_database, HeldUpProducer(shelf), name="heir")):
        await shelf.until(lambda records: len(records) >= len(KEYS))
    assert shelf.ids() == sent


async def test_stopping_publishes_what_is_there_and_returns_the_leases(chassis_database: Database) -> None:
    shelf = Shelf()
    async with running(new_relay(chassis_database, HeldUpProducer(shelf))):
        await put(chassis_database, events(["warm up"]))
        await shelf.until(lambda records: len(records) == 1)
        await put(chassis_database, events(KEYS * 10))
    assert len(shelf.records) == 71
    owned = await chassis_database.read(lambda c: c.fetchval("SELECT count(*) FROM lease WHERE owner <> ''"))
    assert owned == 0


async def test_the_beacon_shines_only_while_nothing_waits(chassis_database: Database) -> None:
    shelf = Shelf()
    producer = HeldUpProducer(shelf)
    moments: list[datetime] = []

    def records(as_of: datetime) -> list[Record]:
        moments.append(as_of)
        return [Record("heartbeats.v1", None, b"{}", (("ce_id", b"beat"),))]

    beacon = Beacon(records, interval_seconds=0.01)
    started = datetime.now(UTC)
    async with running(new_relay(chassis_database, producer, beacon=beacon)):
        await shelf.until(lambda stored: len(stored) >= 3)
        assert started <= moments[0] <= datetime.now(UTC)
        await put(chassis_database, events(["bulk"]), Lane.BULK)  # bulk changes may be late, urgent ones may not
        await shelf.until(lambda stored: len(stored) >= 6)
        producer.errors += [PublishUnknown("down")] * 5
        sent = await put(chassis_database, events(["urgent"]))
        await shelf.until(lambda _: sent[0] in shelf.ids())
        urgent = [index for index, call in enumerate(producer.calls) if call[0].key == b"urgent"]
        assert len(urgent) >= 3
        assert urgent == list(range(urgent[0], urgent[0] + len(urgent)))


async def test_what_waits_is_measured_by_lane(chassis_database: Database) -> None:
    shelf, registry = Shelf(), CollectorRegistry()
    producer = HeldUpProducer(shelf)
    producer.gate.clear()
    await put(chassis_database, events(["a", "b"]))
    await put(chassis_database, events(["c"]), Lane.BULK)

    def value(name: str, **labels: str) -> float:
        return registry.get_sample_value(name, labels) or 0.0

    async with running(new_relay(chassis_database, producer, registry=registry)):
        async with asyncio.timeout(60):
            await producer.called.wait()
            while not value("tiercel_outbox_oldest_age_seconds", lane="bulk"):
                producer.called.clear()
                await producer.called.wait()
        assert value("tiercel_outbox_pending", lane="urgent") == 2
        assert value("tiercel_outbox_pending", lane="bulk") == 1
        assert value("tiercel_outbox_leased_buckets") == 64
        producer.gate.set()
        await shelf.until(lambda _: len(shelf.first_ids()) == 3)
    assert value("tiercel_outbox_published_total", lane="urgent") == 2
    assert value("tiercel_outbox_published_total", lane="bulk") == 1
