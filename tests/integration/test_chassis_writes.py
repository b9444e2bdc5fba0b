"""Writes that go together: one statement for many, each with parameters of its own, all or nothing."""

import asyncpg
import pytest

from services.chassis.database import Connection, Database
from services.chassis.writes import Writes

TABLES = "CREATE TABLE IF NOT EXISTS fruit (name text PRIMARY KEY, pieces int); TRUNCATE fruit"
PUT = "INSERT INTO fruit (name, pieces) VALUES ($1, $2)"
CHANGE = "UPDATE fruit SET pieces = pieces + $2 WHERE name = $1"
CLEAR = "DELETE FROM fruit WHERE name = $1"


@pytest.fixture
async def database(chassis_database: Database) -> Database:
    async def make(connection: Connection) -> None:
        await connection.execute(TABLES)
        await connection.execute("INSERT INTO fruit VALUES ('plum', 1), ('fig', 2)")

    await chassis_database.run(make, label="make the table")
    return chassis_database


async def _write(database: Database, *statements: tuple[str, tuple[object, ...]]) -> None:
    async def work(connection: Connection) -> None:
        writes = Writes(connection)
        for statement, parameters in statements:
            writes.add(statement, parameters)
        await writes.flush()

    await database.run(work, label="write")


async def _fruit(database: Database) -> dict[str, int]:
    async def read(connection: Connection) -> dict[str, int]:
        return {row["name"]: row["pieces"] for row in await connection.fetch("SELECT name, pieces FROM fruit")}

    return await database.read(read)


async def test_each_statement_keeps_its_own_parameters(database: Database) -> None:
    await _write(database, (PUT, ("pear", 7)), (CHANGE, ("plum", 4)), (CLEAR, ("fig",)), (PUT, ("lime", 3)))

    assert await _fruit(database) == {"pear": 7, "plum": 5, "lime": 3}


async def test_one_statement_goes_as_it_is(database: Database) -> None:
    await _write(database, (CHANGE, ("fig", 40)))

    assert await _fruit(database) == {"plum": 1, "fig": 42}


async def test_nothing_added_sends_nothing(database: Database) -> None:
    await _write(database)

    assert await _fruit(database) == {"plum": 1, "fig": 2}


async def test_what_was_sent_is_not_sent_again(database: Database) -> None:
    async def work(connection: Connection) -> None:
        writes = Writes(connection)
        writes.add(CHANGE, ("fig", 1))
        await writes.flush()
        await writes.flush()

    await database.run(work, label="write")

    assert (await _fruit(database))["fig"] == 3


async def test_a_row_that_is_there_fails_all_of_them(database: Database) -> None:
    with pytest.raises(asyncpg.UniqueViolationError):
        await _write(database, (CHANGE, ("fig", 1)), (PUT, ("plum", 9)))

    assert await _fruit(database) == {"plum": 1, "fig": 2}
