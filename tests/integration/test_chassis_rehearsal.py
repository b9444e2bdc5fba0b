"""Rehearsals on a real PostgreSQL: code runs on copies under the usual names, and nothing of it stays."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from services.chassis.database import Connection, Database
from services.chassis.rehearsal import shadow

SCHEMA = "rehearsed"


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    connection = await asyncpg.connect(database_url)
    await connection.execute(f"""
        DROP SCHEMA IF EXISTS {SCHEMA} CASCADE;
        CREATE SCHEMA {SCHEMA};
        CREATE TABLE {SCHEMA}.stock (item text PRIMARY KEY, quantity int NOT NULL CHECK (quantity >= 0));
        CREATE TABLE {SCHEMA}.note (text text NOT NULL);
        INSERT INTO {SCHEMA}.stock VALUES ('tea', 5), ('salt', 7);
    """)
    await connection.close()
    opened = await Database.open(database_url, schema=SCHEMA, name="rehearsal")
    yield opened
    await opened.close()


async def levels(connection: Connection) -> dict[str, int]:
    return {row["item"]: row["quantity"] for row in await connection.fetch("SELECT item, quantity FROM stock")}


async def take_all(connection: Connection) -> dict[str, int]:
    """As a service would: lock, change, add, and read again."""
    await connection.fetch("SELECT FROM stock FOR UPDATE")
    await connection.execute("LOCK TABLE stock IN EXCLUSIVE MODE")
    await connection.execute("UPDATE stock SET quantity = 0")
    await connection.execute("INSERT INTO stock VALUES ('tea', 1) ON CONFLICT (item) DO UPDATE SET quantity = 9")
    return await levels(connection)


async def test_code_finds_the_copies_and_the_tables_stay_as_they_are(database: Database) -> None:
    async def work(connection: Connection) -> dict[str, int]:
        await shadow(connection, SCHEMA, {"stock": "o.item = ANY({items}::text[])"}, {"items": ["tea"]})
        return await take_all(connection)

    assert await database.rehearse(work, label="test") == {"tea": 9}
    assert await database.read(levels) == {"tea": 5, "salt": 7}
    assert await database.rehearse(work, label="test") == {"tea": 9}  # on the same connection once more


async def test_the_server_refuses_to_write_what_is_not_copied(database: Database) -> None:
    async def work(connection: Connection) -> None:
        await shadow(connection, SCHEMA, {"stock": None}, {})
        await connection.execute("INSERT INTO note VALUES ('written')")

    with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
        await database.rehearse(work, label="test")
    assert await database.read(levels) == {"tea": 5, "salt": 7}


async def test_constraints_hold_on_copies_too(database: Database) -> None:
    async def work(connection: Connection) -> None:
        await shadow(connection, SCHEMA, {"stock": "true"}, {})
        await connection.execute("UPDATE stock SET quantity = -1")

    with pytest.raises(asyncpg.CheckViolationError):
        await database.rehearse(work, label="test")


async def test_nobody_waits_for_a_rehearsal_and_it_sees_what_it_began_with(database: Database) -> None:
    async def change(connection: Connection) -> None:
        await connection.execute("SET LOCAL lock_timeout = '1s'")
        await connection.execute("UPDATE stock SET quantity = 100")
        await connection.execute("INSERT INTO note VALUES ('meanwhile')")

    async def work(connection: Connection) -> tuple[dict[str, int], int]:
        await shadow(connection, SCHEMA, {"stock": "true"}, {})
        await connection.fetch("SELECT FROM stock FOR UPDATE")
        await database.run(change, label="change")
        return await levels(connection), await connection.fetchval("SELECT count(*) FROM note")

    assert await database.rehearse(work, label="test") == ({"tea": 5, "salt": 7}, 0)
    assert await database.read(levels) == {"tea": 100, "salt": 100}
