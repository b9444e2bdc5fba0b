"""Leases: every number has one owner, whoever comes, goes, hangs or crashes."""

from collections.abc import AsyncIterator

import pytest

from services.chassis.database import Connection, Database
from services.chassis.leases import Leases
from tests.support.clocks import SteppedClock

COUNT = 10


@pytest.fixture
async def clock() -> SteppedClock:
    return SteppedClock()


class House:
    """The members of one group, made on demand and taken apart at the end."""

    def __init__(self, database: Database, clock: SteppedClock) -> None:
        self.database = database
        self.clock = clock
        self.members: list[Leases] = []

    def member(self, name: str) -> Leases:
        leases = Leases(
            self.database.url,
            self.database.schema,
            self.clock,
            group="thing",
            count=COUNT,
            name=name,
            ttl_seconds=600.0,
        )
        self.members.append(leases)
        return leases

    async def time_is_over(self, leases: Leases) -> None:
        async def work(connection: Connection) -> None:
            await connection.execute(
                "UPDATE lease SET expires_at = '-infinity' WHERE owner = $1 OR resource LIKE '%' || $1", leases.owner
            )

        await self.database.run(work, label="expire")


@pytest.fixture
async def house(chassis_database: Database, clock: SteppedClock) -> AsyncIterator[House]:
    house = House(chassis_database, clock)
    yield house
    for member in house.members:
        await member.release()


async def test_one_alone_owns_everything(house: House) -> None:
    one = house.member("one")
    await one.refresh()
    await one.refresh()
    assert sorted(one.held) == list(range(COUNT))


async def test_a_newcomer_gets_its_share_once_the_owner_let_go(house: House) -> None:
    one, two = house.member("one"), house.member("two")
    await one.refresh()
    await two.refresh()
    assert not two.held
    await one.refresh()
    assert len(one.held) == COUNT  # still: it may be in the middle of something
    one.let_go()
    await one.refresh()
    await two.refresh()
    assert (len(one.held), len(two.held)) == (5, 5)
    assert sorted([*one.held, *two.held]) == list(range(COUNT))


async def test_who_leaves_in_good_order_frees_its_share_at_once(house: House) -> None:
    one, two = house.member("one"), house.member("two")
    await one.refresh()
    await one.release()
    await two.refresh()
    assert sorted(two.held) == list(range(COUNT))


async def test_a_crash_frees_the_share_before_its_time_is_over(house: House) -> None:
    one, two = house.member("one"), house.member("two")
    await one.refresh()
    fences = dict(one.held)
    await house.database.run(
        lambda c: c.fetch(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = $1",
            f"leases of {one.owner}",
        ),
        label="its process died",
    )
    assert one.safe_seconds() == 0
    await two.refresh()
    assert sorted(two.held) == list(range(COUNT))
    assert all(two.held[number] > fences[number] for number in range(COUNT))


async def test_who_hangs_loses_its_share_when_its_time_is_over_and_can_tell(house: House) -> None:
    one, two = house.member("one"), house.member("two")
    await one.refresh()
    before = dict(one.held)
    await house.time_is_over(one)
    await two.refresh()
    assert sorted(two.held) == list(range(COUNT))
    assert await house.database.read(lambda c: one.still_held(c, before)) == set()
    assert await house.database.read(lambda c: two.still_held(c, two.held)) == set(range(COUNT))
    await one.refresh()
    assert not one.held


async def test_safety_is_counted_from_before_the_question(house: House, clock: SteppedClock) -> None:
    one = house.member("one")
    assert one.safe_seconds() == 0
    await one.refresh()
    assert one.safe_seconds() == 600
    clock.advance(599)
    assert one.safe_seconds() == 1
    clock.advance(2)
    assert one.safe_seconds() == 0
