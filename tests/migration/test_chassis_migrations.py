"""The migration runner: fresh, again, several at once, and one that fails."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
from sqlalchemy.exc import DBAPIError

from services.chassis import migrations
from services.chassis.migrations import MigrationLockBusy, migrate

FIRST = """
from services.chassis.migrations import execute_script
from services.chassis import tables
revision, down_revision = "0001", None
def upgrade():
    execute_script(tables.OUTBOX_V1)
    execute_script("CREATE TABLE thing (id integer); INSERT INTO thing VALUES (1); INSERT INTO thing VALUES (2);")
"""
SECOND = """
from alembic import op
revision, down_revision = "0002", "0001"
def upgrade():
    op.execute("ALTER TABLE thing ADD COLUMN name text")
    with op.get_context().autocommit_block():
        op.execute("CREATE INDEX CONCURRENTLY thing_name ON thing (name)")
"""
BROKEN = """
from services.chassis.migrations import execute_script
revision, down_revision = "0003", "0002"
def upgrade():
    execute_script("CREATE TABLE half_made (id integer); SELECT 1 / 0;")
"""


@pytest.fixture
async def connection(database_url: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.execute("DROP SCHEMA IF EXISTS moving CASCADE")
    await connection.close()


def scripts(folder: Path, *texts: str) -> Path:
    """A folder of migrations, in a path with a blank and a percent sign, which configuration files may take amiss."""
    location = folder / "a service 100%"
    (location / "versions").mkdir(parents=True, exist_ok=True)
    for number, text in enumerate(texts, start=1):
        (location / "versions" / f"{number:04}_step.py").write_text(text)
    return location


async def state(connection: "asyncpg.Connection[asyncpg.Record]") -> tuple[str, int]:
    version: str = await connection.fetchval("SELECT version_num FROM moving.alembic_version")
    rows: int = await connection.fetchval("SELECT count(*) FROM moving.thing")
    return version, rows


async def test_a_fresh_database_gets_everything_in_its_own_schema(
    database_url: str, connection: "asyncpg.Connection[asyncpg.Record]", tmp_path: Path
) -> None:
    await migrate(database_url, schema="moving", script_location=scripts(tmp_path, FIRST, SECOND))
    assert await state(connection) == ("0002", 2)
    assert await connection.fetchval("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == 0


async def test_what_is_written_first_lands_in_the_partition_of_its_day(
    database_url: str, connection: "asyncpg.Connection[asyncpg.Record]", tmp_path: Path
) -> None:
    await migrate(database_url, schema="moving", script_location=scripts(tmp_path, FIRST))
    await connection.execute(
        "INSERT INTO moving.outbox (id, aggregatetype, type, headers, key_version, bucket, lane)"
        " VALUES (gen_random_uuid(), 'promises.v1', 'promise.changed.v1', '{}', 1, 0, 0)"
    )
    where = await connection.fetchval("SELECT tableoid::regclass::text FROM moving.outbox")
    assert where != "moving.outbox_default"


async def test_a_second_run_changes_nothing(
    database_url: str, connection: "asyncpg.Connection[asyncpg.Record]", tmp_path: Path
) -> None:
    location = scripts(tmp_path, FIRST, SECOND)
    await migrate(database_url, schema="moving", script_location=location)
    await migrate(database_url, schema="moving", script_location=location)
    assert await state(connection) == ("0002", 2)


async def test_an_older_schema_is_brought_forward_with_its_data(
    database_url: str, connection: "asyncpg.Connection[asyncpg.Record]", tmp_path: Path
) -> None:
    await migrate(database_url, schema="moving", script_location=scripts(tmp_path, FIRST))
    await connection.execute("INSERT INTO moving.thing VALUES (3)")
    await migrate(database_url, schema="moving", script_location=scripts(tmp_path, FIRST, SECOND))
    assert await state(connection) == ("0002", 3)


async def test_replicas_that_start_together_migrate_once(
    database_url: str, connection: "asyncpg.Connection[asyncpg.Record]", tmp_path: Path
) -> None:
    location = scripts(tmp_path, FIRST, SECOND)
    await asyncio.gather(*(migrate(database_url, schema="moving", script_location=location) for _ in range(4)))
    assert await state(connection) == ("0002", 2)


async def test_a_migration_that_fails_leaves_the_version_before_it(
    database_url: str, connection: "asyncpg.Connection[asyncpg.Record]", tmp_path: Path
) -> None:
    with pytest.raises((DBAPIError, asyncpg.DivisionByZeroError)):
        await migrate(database_url, schema="moving", script_location=scripts(tmp_path, FIRST, SECOND, BROKEN))
    assert await state(connection) == ("0002", 2)
    assert await connection.fetchval("SELECT to_regclass('moving.half_made')") is None
    (tmp_path / "a service 100%" / "versions" / "0003_step.py").unlink()
    await migrate(database_url, schema="moving", script_location=scripts(tmp_path, FIRST, SECOND))
    assert await state(connection) == ("0002", 2)


async def test_a_lock_that_never_comes_free_is_reported(
    database_url: str,
    connection: "asyncpg.Connection[asyncpg.Record]",
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(migrations, "LOCK_DEADLINE_SECONDS", 0.05)
    async with migrations._only_one(database_url, "moving"):
        with pytest.raises(MigrationLockBusy, match="moving"):
            await migrate(database_url, schema="moving", script_location=scripts(tmp_path, FIRST))
    await migrate(database_url, schema="moving", script_location=scripts(tmp_path, FIRST))
    assert await state(connection) == ("0001", 2)
