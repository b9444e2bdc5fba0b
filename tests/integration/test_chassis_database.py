"""The transaction runner against a real server: whole or not at all, and it says which."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import asyncpg
import pytest

from services.chassis.database import (
    CommitUnknown,
    Connection,
    Database,
    DatabaseUnavailable,
    Retry,
    StillInConflict,
    TransactionSpoiled,
    UnsafeServer,
    announce,
)
from tests.support.database_proxy import Cut, proxied
from tests.support.waiting import until

IMPATIENT = Retry(attempts_max=3, pause_first_seconds=0.001, pause_max_seconds=0.01)
NAME = "runner under test"
COMMIT = b"COMMIT\0"  # and not the one in READ COMMITTED


@pytest.fixture
async def admin(database_url: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    connection = await asyncpg.connect(database_url)
    await connection.execute("DROP SCHEMA IF EXISTS runner CASCADE; CREATE SCHEMA runner")
    await connection.execute("CREATE TABLE runner.counter (name text PRIMARY KEY, value integer NOT NULL)")
    yield connection
    await connection.close()


@pytest.fixture
async def database(database_url: str, admin: object) -> AsyncIterator[Database]:  # noqa: ARG001 - makes the table
    database = await Database.open(database_url, schema="runner", name=NAME, retry=IMPATIENT)
    yield database
    await database.close()


def adding(name: str) -> Callable[[Connection], Awaitable[None]]:
    async def work(connection: Connection) -> None:
        await connection.execute("INSERT INTO counter VALUES ($1, 1)", name)

    return work


async def names(admin: "asyncpg.Connection[asyncpg.Record]") -> list[str]:
    return [row["name"] for row in await admin.fetch("SELECT name FROM runner.counter ORDER BY name")]


async def states(admin: "asyncpg.Connection[asyncpg.Record]") -> set[str]:
    rows = await admin.fetch("SELECT state FROM pg_stat_activity WHERE application_name = $1", NAME)
    return {row["state"] for row in rows}


async def backend(connection: Connection) -> int:
    pid: int = await connection.fetchval("SELECT pg_backend_pid()")
    return pid


async def test_work_commits_and_its_result_comes_back(
    database: Database, admin: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    async def work(connection: Connection) -> str:
        await adding("a")(connection)
        return "done"

    assert await database.run(work, label="test") == "done"
    assert await names(admin) == ["a"]


async def test_an_error_of_the_work_rolls_back_and_passes_through(
    database: Database, admin: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    async def work(connection: Connection) -> None:
        await adding("a")(connection)
        raise LookupError("business")

    with pytest.raises(LookupError):
        await database.run(work, label="test")
    assert await names(admin) == []
    assert await states(admin) == {"idle"}


async def test_savepoints_inside_the_work_are_the_drivers_own(
    database: Database, admin: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    async def work(connection: Connection) -> None:
        await adding("a")(connection)
        with pytest.raises(asyncpg.UniqueViolationError):
            async with connection.transaction():
                await adding("a")(connection)
        await adding("b")(connection)

    await database.run(work, label="test")
    await database.run(adding("c"), label="the connection is as new")
    assert await names(admin) == ["a", "b", "c"]


async def test_a_swallowed_error_is_not_taken_for_a_commit(
    database: Database, admin: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    async def work(connection: Connection) -> None:
        await adding("a")(connection)
        with pytest.raises(asyncpg.UniqueViolationError):
            await adding("a")(connection)

    with pytest.raises(TransactionSpoiled):
        await database.run(work, label="test")
    assert await names(admin) == []


async def test_a_deadlock_is_tried_again_until_both_are_through(
    database: Database, admin: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    await admin.execute("INSERT INTO runner.counter VALUES ('a', 0), ('b', 0)")
    both_hold_one = asyncio.Barrier(2)
    attempts = 0

    async def increment(first: str, second: str) -> None:
        tried = False

        async def work(connection: Connection) -> None:
            nonlocal attempts, tried
            attempts += 1
            await connection.execute("UPDATE counter SET value = value + 1 WHERE name = $1", first)
            if not tried:
                tried = True
                await both_hold_one.wait()
            await connection.execute("UPDATE counter SET value = value + 1 WHERE name = $1", second)

        await database.run(work, label="opposite orders")

    await asyncio.gather(increment("a", "b"), increment("b", "a"))
    assert attempts >= 3  # both may be chosen as victims, where both look at the same time
    assert await admin.fetchval("SELECT array_agg(value) FROM runner.counter") == [2, 2]


async def test_a_lasting_conflict_ends_within_the_attempts(
    database: Database, admin: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    await admin.execute("INSERT INTO runner.counter VALUES ('a', 0)")
    attempts = 0

    async def work(connection: Connection) -> None:
        nonlocal attempts
        attempts += 1
        await connection.execute("SELECT FROM counter WHERE name = 'a' FOR UPDATE NOWAIT")

    async with admin.transaction():
        await admin.execute("SELECT FROM runner.counter WHERE name = 'a' FOR UPDATE")
        with pytest.raises(StillInConflict):
            await database.run(work, label="locked by somebody")
    assert attempts == IMPATIENT.attempts_max


async def test_a_serialization_failure_is_tried_again(
    database: Database, admin: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    attempts = 0

    async def work(connection: Connection) -> None:
        nonlocal attempts
        attempts += 1
        if attempts == 1:
            await connection.execute("DO $$ BEGIN RAISE EXCEPTION 'lost' USING ERRCODE = '40001'; END $$")
        await adding("a")(connection)

    await database.run(work, label="test")
    assert attempts == 2
    assert await names(admin) == ["a"]


async def test_a_backend_that_is_terminated_in_the_middle_is_replaced(
    database: Database, admin: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    pids: list[int] = []

    async def work(connection: Connection) -> None:
        await adding("a")(connection)
        pids.append(await backend(connection))
        if len(pids) == 1:
            await admin.fetchval("SELECT pg_terminate_backend($1, 5000)", pids[0])
        await adding("b")(connection)

    await database.run(work, label="test")
    assert len(set(pids)) == 2
    assert await names(admin) == ["a", "b"]


async def test_a_server_that_stays_away_is_reported_within_the_attempts(database_url: str) -> None:
    async with proxied(database_url) as proxy:
        url = proxy.url
    with pytest.raises(DatabaseUnavailable):
        await Database.open(url, schema="runner", name=NAME, retry=IMPATIENT)


@pytest.mark.parametrize(("where", "stored"), [(Cut.BEFORE_THE_ANSWER, True), (Cut.BEFORE_THE_SERVER, False)])
async def test_a_lost_answer_to_commit_is_unknown_and_can_be_looked_up(
    database_url: str, admin: "asyncpg.Connection[asyncpg.Record]", where: Cut, stored: bool
) -> None:
    async with proxied(database_url) as proxy:
        database = await Database.open(proxy.url, schema="runner", name=NAME, retry=IMPATIENT)
        proxy.cut(COMMIT, where)
        with pytest.raises(CommitUnknown):
            await database.run(adding("a"), label="test")
        # The connection is not reused; a fresh one tells the truth. The server may still be at it: that is why one
        # looks up by taking the lock that the work took, here that of the unique key.
        await admin.execute("INSERT INTO runner.counter VALUES ('a', 2) ON CONFLICT DO NOTHING")
        found = await database.read(lambda c: c.fetchval("SELECT value FROM counter WHERE name = 'a'"))
        assert (found == 1) is stored
        await database.close()


@pytest.mark.parametrize(("text", "expected"), [(b"INSERT INTO counter", DatabaseUnavailable), (COMMIT, CommitUnknown)])
async def test_a_server_that_falls_silent_is_left_after_its_time(
    database_url: str,
    admin: "asyncpg.Connection[asyncpg.Record]",
    monkeypatch: pytest.MonkeyPatch,
    text: bytes,
    expected: type[Exception],
) -> None:
    monkeypatch.setattr("services.chassis.database.COMMAND_MARGIN_SECONDS", 1)
    async with proxied(database_url) as proxy:
        database = await Database.open(proxy.url, schema="runner", name=NAME, retry=IMPATIENT, statement_seconds=1)
        proxy.cut(text, Cut.SILENCE)
        with pytest.raises(expected):
            await database.run(adding("a"), label="test")
        await database.run(adding("b"), label="on a fresh connection")
        await database.close()
    assert "b" in await names(admin)


async def test_a_pool_that_is_all_in_use_refuses_after_its_time(
    database_url: str,
    admin: object,  # noqa: ARG001 - makes the table
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("services.chassis.database.ACQUIRE_TIMEOUT_SECONDS", 0.5)
    inside, leave = asyncio.Event(), asyncio.Event()

    async def occupy(_connection: Connection) -> None:
        inside.set()
        await leave.wait()

    database = await Database.open(database_url, schema="runner", name=NAME, max_size=1, retry=IMPATIENT)
    occupant = asyncio.create_task(database.run(occupy, label="occupy"))
    await inside.wait()
    with pytest.raises(DatabaseUnavailable):
        await database.run(adding("a"), label="test")
    leave.set()
    await occupant
    await database.run(adding("a"), label="test")
    await database.close()


@pytest.mark.parametrize("where", [Cut.BEFORE_THE_SERVER, Cut.BEFORE_THE_ANSWER])
async def test_a_connection_lost_before_commit_is_tried_again(
    database_url: str, admin: "asyncpg.Connection[asyncpg.Record]", where: Cut
) -> None:
    async with proxied(database_url) as proxy:
        database = await Database.open(proxy.url, schema="runner", name=NAME, retry=IMPATIENT)
        proxy.cut(b"INSERT INTO counter", where)
        await database.run(adding("a"), label="test")
        assert proxy.cuts == 1
        assert await names(admin) == ["a"]
        await database.close()


async def test_a_read_whose_end_is_lost_is_just_tried_again(
    database_url: str,
    admin: object,  # noqa: ARG001 - makes the table
) -> None:
    async with proxied(database_url) as proxy:
        database = await Database.open(proxy.url, schema="runner", name=NAME, retry=IMPATIENT)
        proxy.cut(COMMIT, Cut.BEFORE_THE_ANSWER)
        assert await database.read(lambda c: c.fetchval("SELECT 7")) == 7
        await database.close()


async def test_a_cancelled_caller_leaves_at_once_and_the_work_finishes_whole(
    database: Database, admin: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    inside, go_on = asyncio.Event(), asyncio.Event()
    finished = asyncio.Event()

    async def work(connection: Connection) -> None:
        await adding("a")(connection)
        inside.set()
        await go_on.wait()
        await adding("b")(connection)
        finished.set()

    caller = asyncio.create_task(database.run(work, label="client that hangs up"))
    await inside.wait()
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    go_on.set()
    async with asyncio.timeout(60):
        await finished.wait()
    await database.close()
    assert await names(admin) == ["a", "b"]


async def test_callers_cancelled_at_any_moment_leave_no_open_transaction(
    database: Database, admin: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    async def work(connection: Connection) -> int:
        await connection.execute("INSERT INTO counter VALUES (gen_random_uuid()::text, 1)")
        return await backend(connection)

    for steps in range(1, 41):
        caller = asyncio.create_task(database.run(work, label="cancelled"))
        for _ in range(steps):
            await asyncio.sleep(0)
        caller.cancel()
        await asyncio.wait([caller])
    await database.run(work, label="after them")
    async with asyncio.timeout(60):
        while database.running:
            await asyncio.wait(database.running)

    async def all_idle() -> bool:
        return await states(admin) == {"idle"}

    await until(all_idle)
    assert await admin.fetchval("SELECT count(*) FROM runner.counter") == 41


async def test_closing_waits_for_work_and_cuts_off_what_takes_too_long(
    database: Database, admin: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    inside = asyncio.Event()

    async def work(connection: Connection) -> None:
        await adding("a")(connection)
        inside.set()
        await asyncio.Event().wait()

    caller = asyncio.create_task(database.run(work, label="endless"))
    await inside.wait()
    await database.close(deadline_seconds=0.05)
    await asyncio.wait([caller])
    assert caller.cancelled()
    # The server rolls back as soon as it notices; the unique key waits for that.
    await admin.execute("INSERT INTO runner.counter VALUES ('a', 2)")
    with pytest.raises(DatabaseUnavailable):
        await database.run(adding("b"), label="too late")


async def test_reading_takes_one_picture_and_cannot_write(
    database: Database, admin: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    async def look_twice(connection: Connection) -> tuple[int, int]:
        first: int = await connection.fetchval("SELECT count(*) FROM counter")
        await admin.execute("INSERT INTO runner.counter VALUES ('a', 1)")
        second: int = await connection.fetchval("SELECT count(*) FROM counter")
        return first, second

    assert await database.read(look_twice) == (0, 0)
    with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
        await database.read(adding("b"))


async def test_every_connection_has_its_limits_and_its_schema(database: Database) -> None:
    async def settings(connection: Connection) -> dict[str, str]:
        wanted = (
            "lock_timeout",
            "statement_timeout",
            "idle_in_transaction_session_timeout",
            "search_path",
            "synchronous_commit",
            "TimeZone",
            "transaction_isolation",
        )
        return {name: await connection.fetchval("SELECT current_setting($1)", name) for name in wanted}

    assert await database.run(settings, label="test") == {
        "lock_timeout": "5s",
        "statement_timeout": "30s",
        "idle_in_transaction_session_timeout": "15s",
        "search_path": "runner",
        "synchronous_commit": "on",
        "TimeZone": "UTC",
        "transaction_isolation": "read committed",
    }


async def test_a_server_that_loses_commits_is_refused(
    database_url: str, admin: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    name = await admin.fetchval("SELECT current_database()")
    await admin.execute(f'ALTER DATABASE "{name}" SET synchronous_commit = off')
    try:
        with pytest.raises(UnsafeServer, match="synchronous_commit=off"):
            await Database.open(database_url, schema="runner", name=NAME)
        told = await Database.open(database_url, schema="runner", name=NAME, refuse_unsafe=False)
        await told.close()
    finally:
        await admin.execute(f'ALTER DATABASE "{name}" RESET synchronous_commit')


async def test_a_commit_is_announced_after_it_happened_and_a_rollback_is_not(
    database: Database, admin: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    heard: asyncio.Queue[str] = asyncio.Queue()
    await admin.add_listener("news_runner", lambda *_: heard.put_nowait("announced"))

    async def announcing(connection: Connection) -> None:
        await announce(connection, "news")

    async def failing(connection: Connection) -> None:
        await announcing(connection)
        raise LookupError

    with pytest.raises(LookupError):
        await database.run(failing, label="rolled back")
    await database.run(announcing, label="committed")
    async with asyncio.timeout(60):
        await heard.get()
    assert heard.empty()


async def test_an_announcement_on_any_other_connection_is_part_of_its_transaction(
    admin: "asyncpg.Connection[asyncpg.Record]", database_url: str
) -> None:
    heard: asyncio.Queue[str] = asyncio.Queue()
    await admin.add_listener("news_runner", lambda *_: heard.put_nowait("announced"))
    plain = await asyncpg.connect(database_url, server_settings={"search_path": "runner"})
    await announce(plain, "news")
    await plain.close()
    async with asyncio.timeout(60):
        assert await heard.get() == "announced"


async def test_a_listener_hears_and_survives_the_loss_of_its_connection(
    database: Database, admin: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    heard: asyncio.Queue[str] = asyncio.Queue()

    async def next_wake() -> str:
        async with asyncio.timeout(60):
            return await heard.get()

    async with database.listen("news", heard.put_nowait):
        assert await next_wake() == ""
        await admin.execute("NOTIFY news, 'first'")
        assert await next_wake() == "first"
        await admin.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name LIKE $1", f"{NAME}: %"
        )
        assert await next_wake() == ""
        await admin.execute("NOTIFY news, 'second'")
        assert await next_wake() == "second"
