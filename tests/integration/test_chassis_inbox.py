"""The inbox: of all who ask, one is first."""

import asyncio
from uuid import uuid4

import pytest

from services.chassis import inbox
from services.chassis.database import Connection, Database
from services.chassis.inbox import first_seen
from tests.support.postgres import SOMEBODY_WAITS
from tests.support.waiting import until


async def see(database: Database, consumer: str, *events: str) -> set[str]:
    return await database.run(lambda connection: first_seen(connection, consumer, events), label="see")


async def test_an_event_is_first_seen_once_per_consumer(chassis_database: Database) -> None:
    assert await see(chassis_database, "orders", "1", "2", "1") == {"1", "2"}
    assert await see(chassis_database, "orders", "2", "3") == {"3"}
    assert await see(chassis_database, "supply", "2", "3") == {"2", "3"}
    assert await see(chassis_database, "orders") == set()


async def test_ids_may_be_uuids(chassis_database: Database) -> None:
    event = uuid4()
    assert await chassis_database.run(lambda c: first_seen(c, "orders", [event]), label="see") == {str(event)}


async def test_what_was_rolled_back_was_not_seen(chassis_database: Database) -> None:
    async def failing(connection: Connection) -> None:
        assert await first_seen(connection, "orders", ["1"]) == {"1"}
        raise LookupError

    with pytest.raises(LookupError):
        await chassis_database.run(failing, label="see and fail")
    assert await see(chassis_database, "orders", "1") == {"1"}


async def test_of_two_at_the_same_time_one_waits_and_is_second(chassis_database: Database) -> None:
    first_has_it, commit = asyncio.Event(), asyncio.Event()

    async def slow(connection: Connection) -> set[str]:
        seen = await first_seen(connection, "orders", ["1", "2"])
        first_has_it.set()
        await commit.wait()
        return seen

    first = asyncio.create_task(chassis_database.run(slow, label="first"))
    await first_has_it.wait()
    second = asyncio.create_task(see(chassis_database, "orders", "2", "3"))
    await until_somebody_waits(chassis_database)
    commit.set()
    assert await first == {"1", "2"}
    assert await second == {"3"}


@pytest.mark.parametrize("first_day", ["today", "yesterday"])
async def test_two_on_both_sides_of_midnight_meet_too(chassis_database: Database, first_day: str) -> None:
    """In the hour after midnight both days are written; here as if it were that hour now, with one old transaction."""
    old, new = asyncio.Event(), asyncio.Event()

    async def before_midnight(connection: Connection) -> str:
        return await connection.execute(
            "INSERT INTO inbox VALUES ('orders', '1', (clock_timestamp() AT TIME ZONE 'UTC')::date - $1::integer)",
            0 if first_day == "today" else 1,
        )

    async def slow(connection: Connection) -> None:
        await before_midnight(connection)
        old.set()
        await new.wait()

    first = asyncio.create_task(chassis_database.run(slow, label="before midnight"))
    await old.wait()
    second = asyncio.create_task(
        chassis_database.run(lambda c: first_seen_in_the_first_hour(c, "orders", ["1", "2"]), label="after midnight")
    )
    await until_somebody_waits(chassis_database)
    new.set()
    await first
    assert await second == {"2"}


async def test_what_was_seen_long_ago_is_not_read_again(chassis_database: Database) -> None:
    """By any plan: one that compares with all that was ever seen gets slower with every event."""
    await see(chassis_database, "orders", *(f"old-{number}" for number in range(5_000)))

    async def read_by(connection: Connection) -> int:
        await first_seen(connection, "orders", [f"new-{number}" for number in range(50)])
        read: int = await connection.fetchval(
            "SELECT sum(idx_tup_fetch + seq_tup_read) FROM pg_stat_xact_user_tables WHERE relname ^@ 'inbox'"
        )
        return read

    assert await chassis_database.run(read_by, label="see", by_key=True) < 500


async def first_seen_in_the_first_hour(connection: Connection, consumer: str, events: list[str]) -> set[str]:
    """`first_seen` with its hour stretched to a day, so that it is always the first hour."""
    statement = inbox._FIRST_SEEN.replace("interval '1 hour'", "interval '1 day'")
    return {row["event_id"] for row in await connection.fetch(statement, consumer, events)}


async def until_somebody_waits(database: Database) -> None:
    await until(lambda: database.read(lambda c: c.fetchval(SOMEBODY_WAITS)))
