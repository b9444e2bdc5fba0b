"""Business time: the database's clock, or what a replay stored."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from services.chassis import business_time
from services.chassis.business_time import Phase, ReplayState, ReplayTimeStored
from services.chassis.database import Connection, Database

NOON = datetime(2011, 12, 9, 12, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
async def _clock(chassis_database: Database) -> None:
    await chassis_database.run(business_time.ensure_schema, label="make the clock")
    await chassis_database.run(business_time.clear_replay, label="no replay")


async def test_without_a_replay_it_is_the_databases_clock_and_not_the_transactions_start(
    chassis_database: Database,
) -> None:
    async def twice(connection: Connection) -> list[datetime]:
        start = await connection.fetchval("SELECT now()")
        return [start, await business_time.business_now(connection), await business_time.business_now(connection)]

    start, first, second = await chassis_database.run(twice, label="read twice")
    assert start < first < second
    assert first.utcoffset() == timedelta(0)
    assert await chassis_database.read(business_time.replay_state) is None


async def test_a_replay_moves_it_for_everybody_and_clearing_ends_it(chassis_database: Database) -> None:
    await chassis_database.run(lambda c: business_time.set_replay(c, NOON, Phase.INTAKE, 1), label="move")
    assert await chassis_database.read(business_time.business_now) == NOON
    assert await chassis_database.read(business_time.replay_state) == ReplayState(NOON, Phase.INTAKE, 1)
    later = NOON + timedelta(days=1)
    await chassis_database.run(lambda c: business_time.set_replay(c, later, "settle", 2), label="move")
    assert await chassis_database.read(business_time.replay_state) == ReplayState(later, Phase.SETTLE, 2)
    await chassis_database.run(business_time.clear_replay, label="end")
    assert await chassis_database.read(business_time.replay_state) is None


async def test_a_start_refuses_a_stored_time_unless_it_takes_part_in_the_replay(chassis_database: Database) -> None:
    await chassis_database.read(lambda c: business_time.refuse_stored_time(c, replay_allowed=False))
    await chassis_database.run(lambda c: business_time.set_replay(c, NOON, Phase.INTAKE, 1), label="move")
    await chassis_database.read(lambda c: business_time.refuse_stored_time(c, replay_allowed=True))
    with pytest.raises(ReplayTimeStored, match=r"2011-12-09.*TIERCEL_REPLAY"):
        await chassis_database.read(lambda c: business_time.refuse_stored_time(c, replay_allowed=False))


async def test_services_that_start_together_all_find_the_clock(chassis_database: Database) -> None:
    await chassis_database.run(lambda c: c.execute("DROP SCHEMA business_clock CASCADE"), label="drop")
    await asyncio.gather(*(chassis_database.run(business_time.ensure_schema, label="make the clock") for _ in range(6)))
    assert await chassis_database.read(business_time.replay_state) is None
