"""The whole service over a real PostgreSQL and the event log in it: from a record of an order to a proposal."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta

import asyncpg
import pytest

from services.chassis import business_time
from services.chassis.business_time import ReplayTimeStored
from services.chassis.envelope import from_record, to_record
from services.chassis.event_log.port import TopicSpec
from services.chassis.event_log.postgres import PostgresEventLog
from services.chassis.lifecycle import ALL_ROLES, Role, Service
from services.chassis.settings import Form
from services.chassis.signing_keys import UnusableKey
from services.contracts.catalogue import ORDER_RECORDED, SEGMENT_CURRENT, TIER_POLICY, EventType, decode
from services.contracts.segments import SegmentProposed
from services.contracts.topics import ALL, SEGMENTS_PROPOSALS, dead_letters
from services.reclassifier.bootstrap import build
from services.reclassifier.settings import ReclassifierSettings
from tests.support.http import Credentials
from tests.support.reclassifier_service import NOON, delivery, empty_schema, record, segment
from tests.support.waiting import until

GROWN = [{"line": "1", "sku": "A", "quantity": 1_000, "unit_price": "2"}]


@pytest.fixture
async def log(database_url: str) -> AsyncIterator[PostgresEventLog]:
    await empty_schema(database_url)
    opened = await PostgresEventLog.open(database_url, maintain=False)
    specs = [TopicSpec(topic.name, topic.partitions) for topic in ALL]
    await opened.ensure_topics([*specs, *(TopicSpec(dead_letters(one.name), 1) for one in specs)])
    yield opened
    await opened.close()


def _settings(**changed: object) -> ReclassifierSettings:
    return ReclassifierSettings.model_validate({"form": Form.EMBEDDED, "replay": True, **changed})


async def _set_time(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    await business_time.set_replay(connection, NOON, "settle", 1)
    await connection.close()


@asynccontextmanager
async def _running(
    database_url: str, log: PostgresEventLog, roles: frozenset[Role] = ALL_ROLES
) -> AsyncIterator[Service]:
    service = await build(
        _settings(),
        database_url=database_url,
        event_log=log,
        authenticator=Credentials().authenticator(),
        roles=roles,
    )
    await service.start()
    stop = asyncio.Event()
    tasks = [asyncio.ensure_future(task.run(stop)) for task in service.tasks]
    try:
        yield service
    finally:
        stop.set()
        await asyncio.gather(*tasks)
        await service.stop()


async def _publish(log: PostgresEventLog, kind: EventType, *payloads: tuple[str, object]) -> None:
    producer = await log.producer("test")
    records = [
        to_record(delivery(kind, payload, key=key, name=f"{kind.stem} {number}").event)
        for number, (key, payload) in enumerate(payloads)
    ]
    await producer.publish(records, deadline_seconds=60)
    await producer.close()


async def _proposals(log: PostgresEventLog, count: int) -> Sequence[SegmentProposed]:
    reader = await log.reader([SEGMENTS_PROPOSALS.name])
    found: list[SegmentProposed] = []
    async with asyncio.timeout(60):
        while len(found) < count:
            for received in await reader.poll(100, 0.05):
                event = from_record(received)
                payload = decode(event.type, event.data, topic=event.topic)
                assert isinstance(payload, SegmentProposed)
                assert event.key == payload.customer_id
                found.append(payload)
    await reader.close()
    return found


async def _is_quiet(service: Service) -> bool:
    return (await service.quiet()).quiet


async def test_a_record_becomes_a_proposal_once_also_over_a_restart(database_url: str, log: PostgresEventLog) -> None:
    records = [("c1", record(order, lines=GROWN, sequence=sequence)) for sequence in (1, 2, 1) for order in "12"]
    async with _running(database_url, log) as service:
        await _set_time(database_url)
        await _publish(log, SEGMENT_CURRENT, ("c1", segment()))
        await _publish(log, ORDER_RECORDED, *records)
        (proposed,) = await _proposals(log, 1)
        assert (proposed.customer_id, proposed.from_tier, proposed.to_tier) == ("c1", "bronze", "silver")
        await until(lambda: _is_quiet(service))
        activity = (await service.quiet()).activity
    async with _running(database_url, log) as service:
        await _publish(log, ORDER_RECORDED, *records)
        await until(lambda: _is_quiet(service))
        assert (await service.quiet()).activity >= activity
        assert await _proposals(log, 1) == [proposed]
        reader = await log.reader([SEGMENTS_PROPOSALS.name])
        assert sum((await reader.end_offsets()).values()) == 1
        await reader.close()


async def test_the_service_follows_tiers_and_looks_by_itself_an_hour_later(
    database_url: str, log: PostgresEventLog
) -> None:
    tier = {"tier": "bronze", "version": 1, "name": "Bronze", "priority_rank": 3, "is_default": True}
    big = [{"line": "1", "sku": "A", "quantity": 90, "unit_price": "2"}]
    await _publish(log, TIER_POLICY, ("bronze", {**tier, "policy": {"validation": {"order_quantity_max": 100}}}))
    await _publish(log, ORDER_RECORDED, *(("c1", record(f"{number}", lines=big)) for number in range(4)))
    await _set_time(database_url)
    async with _running(database_url, log) as service:
        await until(lambda: _is_quiet(service))
    connection = await asyncpg.connect(database_url)
    await connection.execute("DELETE FROM reclassifier.detection")  # of a look that came behind the orders
    await business_time.set_replay(connection, NOON + timedelta(hours=1), "settle", 2)

    async def found() -> bool:
        kinds = await connection.fetch("SELECT kind, owner FROM reclassifier.detection WHERE ended_at IS NULL")
        return [tuple(row) for row in kinds] == [("split_orders", "c:c1")]

    async with _running(database_url, log):
        await until(found)
    await connection.close()


async def test_a_process_without_the_consumer_knows_that_not_all_is_done(
    database_url: str, log: PostgresEventLog
) -> None:
    await _set_time(database_url)
    async with _running(database_url, log) as service:
        await until(lambda: _is_quiet(service))
    async with _running(database_url, log, frozenset({Role.API})) as service:
        await until(lambda: _is_quiet(service))
        await _publish(log, ORDER_RECORDED, ("c1", record("1")))
        quiet = await service.quiet()
        assert (quiet.quiet, quiet.pending["orders_unread"]) == (False, 1)


async def test_a_service_is_ready_when_it_has_read_the_segments(database_url: str, log: PostgresEventLog) -> None:
    await _publish(log, SEGMENT_CURRENT, *((f"c{number}", segment(f"c{number}")) for number in range(50)))
    async with _running(database_url, log) as service:

        async def ready() -> bool:
            return all((await service.ready()).values())

        await until(ready)
        connection = await asyncpg.connect(database_url)
        assert await connection.fetchval("SELECT count(*) FROM reclassifier.segment") == 50
        await connection.close()


async def test_a_start_refuses_a_replay_time_that_it_was_not_told_of(database_url: str, log: PostgresEventLog) -> None:
    await _set_time(database_url)
    service = await build(
        _settings(replay=False),
        database_url=database_url,
        event_log=log,
        authenticator=Credentials().authenticator(),
        roles=ALL_ROLES,
    )
    with pytest.raises(ReplayTimeStored):
        await service.start()
    await service.stop()


@pytest.mark.parametrize("role", [Role.API, Role.CONSUMER])
async def test_nobody_proposes_without_a_key_to_prove_it_with(
    database_url: str, log: PostgresEventLog, role: Role
) -> None:
    service = await build(
        _settings(reclassifier_proposal_key_file=None),
        database_url=database_url,
        event_log=log,
        authenticator=Credentials().authenticator(),
        roles=frozenset({role}),
    )
    with pytest.raises(UnusableKey, match="TIERCEL_RECLASSIFIER_PROPOSAL_KEY_FILE"):
        await service.start()
    await service.stop()


async def test_the_first_rule_set_is_the_shipped_one_and_stays(database_url: str, log: PostgresEventLog) -> None:
    for _ in range(2):
        async with _running(database_url, log):
            connection = await asyncpg.connect(database_url)
            rows = await connection.fetch("SELECT rule_set_id, version, author FROM reclassifier.rule_set")
            await connection.close()
            assert [tuple(row) for row in rows] == [("activity", 1, "shipped")]
