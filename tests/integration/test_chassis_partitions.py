"""Partitions by day: made ahead, dropped by age, and a net for the days in between."""

import asyncio
from datetime import UTC, date, datetime, timedelta

import asyncpg

from services.chassis.clocks import SystemClock
from services.chassis.database import Connection, Database
from services.chassis.partitions import CHASSIS_TABLES, DAYS_AHEAD, DailyTable, keep_partitions, maintain
from tests.support.clocks import SteppedClock
from tests.support.postgres import SOMEBODY_WAITS
from tests.support.relay import events, put

OUTBOX, INBOX, IDEMPOTENCY = CHASSIS_TABLES
DAY = date(2031, 5, 1)


async def run(database: Database, today: date) -> None:
    await database.run(lambda connection: maintain(connection, today), label="maintain")


async def partitions_of(database: Database, table: DailyTable) -> list[str]:
    rows = await database.read(
        lambda c: c.fetch(
            "SELECT relname FROM pg_class"
            " WHERE relnamespace = current_schema()::regnamespace AND relispartition AND relname ~ $1 ORDER BY 1",
            f"^{table.name}_[0-9]{{8}}$",
        )
    )
    return [row["relname"].removeprefix(f"{table.name}_") for row in rows]


async def see(database: Database, day: date, event: str) -> None:
    await database.run(lambda c: c.execute("INSERT INTO inbox VALUES ('c', $1, $2)", event, day), label="see")


async def inbox_in(database: Database) -> dict[str, str]:
    rows = await database.read(lambda c: c.fetch("SELECT event_id, tableoid::regclass::text AS place FROM inbox"))
    return {row["event_id"]: row["place"].rpartition(".")[2] for row in rows}


async def test_today_and_the_days_ahead_have_a_partition_each(chassis_database: Database) -> None:
    await run(chassis_database, DAY)
    await run(chassis_database, DAY)
    for table in CHASSIS_TABLES:
        made = await partitions_of(chassis_database, table)
        assert made[-DAYS_AHEAD - 1 :] == [f"{DAY + timedelta(days=n):%Y%m%d}" for n in range(DAYS_AHEAD + 1)]


async def test_events_of_today_go_to_the_partition_of_today(chassis_database: Database) -> None:
    await put(chassis_database, events(["a"]))
    place = await chassis_database.read(lambda c: c.fetchval("SELECT tableoid::regclass::text FROM outbox"))
    assert place == f"outbox_{datetime.now(UTC):%Y%m%d}"


async def test_days_past_their_age_are_taken_off_and_dropped_a_round_later(chassis_database: Database) -> None:
    await run(chassis_database, DAY)
    await see(chassis_database, DAY, "old")
    await run(chassis_database, DAY + timedelta(days=INBOX.keep_days))
    assert f"{DAY:%Y%m%d}" in await partitions_of(chassis_database, INBOX)
    await run(chassis_database, DAY + timedelta(days=INBOX.keep_days + 1))
    assert f"{DAY:%Y%m%d}" not in await partitions_of(chassis_database, INBOX)
    assert await inbox_in(chassis_database) == {}
    await run(chassis_database, DAY + timedelta(days=INBOX.keep_days + 1))
    gone = await chassis_database.read(lambda c: c.fetchval("SELECT to_regclass($1) IS NULL", f"inbox_{DAY:%Y%m%d}"))
    assert gone


async def test_an_outbox_day_with_unpublished_events_is_kept(chassis_database: Database) -> None:
    today = datetime.now(UTC).date()
    later = today + timedelta(days=OUTBOX.keep_days + 1)
    await put(chassis_database, events(["a"]))
    await run(chassis_database, later)
    assert f"{today:%Y%m%d}" in await partitions_of(chassis_database, OUTBOX)
    await chassis_database.run(lambda c: c.execute("UPDATE outbox SET published_at = created_at"), label="publish")
    await run(chassis_database, later)
    assert f"{today:%Y%m%d}" not in await partitions_of(chassis_database, OUTBOX)


async def test_without_maintenance_rows_fall_into_the_net_and_are_cleared_by_age(chassis_database: Database) -> None:
    await see(chassis_database, DAY, "early")
    assert await inbox_in(chassis_database) == {"early": "inbox_default"}
    await run(chassis_database, DAY)
    await see(chassis_database, DAY, "the day that began in the net stays in it")
    await see(chassis_database, DAY + timedelta(days=1), "the next one does not")
    assert await inbox_in(chassis_database) == {
        "early": "inbox_default",
        "the day that began in the net stays in it": "inbox_default",
        "the next one does not": f"inbox_{DAY + timedelta(days=1):%Y%m%d}",
    }
    await run(chassis_database, DAY + timedelta(days=INBOX.keep_days + 1))
    assert list(await inbox_in(chassis_database)) == ["the next one does not"]


async def test_tables_that_a_service_does_not_have_are_skipped(chassis_database: Database) -> None:
    nowhere = DailyTable("nowhere", "day", keep_days=1)
    await chassis_database.run(lambda connection: maintain(connection, DAY, [nowhere]), label="maintain")


async def test_a_replica_leaves_the_work_to_another_that_is_at_it(chassis_database: Database) -> None:
    async def both(connection: Connection) -> None:
        await maintain(connection, DAY)
        await run(chassis_database, DAY + timedelta(days=300))

    await chassis_database.run(both, label="maintain")
    assert f"{DAY + timedelta(days=300):%Y%m%d}" not in await partitions_of(chassis_database, INBOX)


async def test_writers_are_not_kept_waiting_for_a_table_that_somebody_holds(chassis_database: Database) -> None:
    """A reader holds the table; maintenance gives up after its lock time-out, and the round after it succeeds."""
    reader = await asyncpg.connect(chassis_database.url)
    stop = asyncio.Event()
    wall = SteppedClock(at=datetime(2031, 5, 1, tzinfo=UTC))
    transaction = reader.transaction()
    await transaction.start()
    await reader.execute(f"SELECT FROM {chassis_database.schema}.outbox_default")
    keeper = asyncio.create_task(keep_partitions(chassis_database, stop, wall))
    async with asyncio.timeout(60):
        while not await reader.fetchval(SOMEBODY_WAITS):
            await put(chassis_database, [])
        await put(chassis_database, events(["writers get through"]))
    await transaction.rollback()
    await reader.close()
    stop.set()
    await keeper
    await run(chassis_database, wall.now().date())
    assert f"{DAY:%Y%m%d}" in await partitions_of(chassis_database, OUTBOX)


async def test_the_periodic_task_works_at_once_and_ends_when_asked(chassis_database: Database) -> None:
    stop = asyncio.Event()
    keeper = asyncio.create_task(keep_partitions(chassis_database, stop, SystemClock()))
    stop.set()
    async with asyncio.timeout(60):
        await keeper
