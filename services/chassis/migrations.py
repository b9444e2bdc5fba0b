"""Brings the schema of one service to the newest version.

Guarantees: safe when several replicas start at once (one migrates, the others wait and find nothing to do); a migration
that fails leaves the schema at the version before it. Each migration is one transaction, unless it asks for an
`autocommit_block` (CREATE INDEX CONCURRENTLY). Only forward: a rollback is a new migration.

A service's first migration is `execute_script(tables.OUTBOX_V1)` and so on, and its own tables.
"""

import asyncio
import time
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, cast

import asyncpg
from alembic import command, op
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection as SyncConnection
from sqlalchemy.engine import AdaptedConnection
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from services.chassis.database_session import Connection
from services.chassis.partitions import maintain

LOCK_DEADLINE_SECONDS: Final = 300.0  # how long another replica may take to migrate
LOCK_POLL_SECONDS: Final = 0.1
CONNECT_TIMEOUT_SECONDS: Final = 5.0
DDL_LOCK_TIMEOUT_SECONDS: Final = 30  # waits for readers of the table, while writers queue up behind it

_ENVIRONMENT: Final = Path(__file__).with_name("alembic_environment")
_LOCK_CLASS: Final = 4_217_002  # sets these advisory locks apart from all others


class MigrationLockBusy(Exception):  # noqa: N818 - says what happened
    """Another process held the lock for the schema longer than any migration should take."""


async def migrate(url: str, *, schema: str, script_location: Path) -> None:
    """Create `schema` if it is missing and run what is new in `script_location`/versions in it.

    The partitions of today and the days ahead are there when it returns: what is written in the first minute would
    else land in the default partitions, and keep that day there.

    Raises:
        MigrationLockBusy: another process is at it and does not come to an end.
        OSError, asyncpg.PostgresError: no connection, or no right to do it.
        sqlalchemy.exc.DBAPIError: a migration failed; the schema is at the version before it.
    """
    async with _only_one(url, schema) as connection:
        await connection.execute(f'CREATE SCHEMA IF NOT EXISTS "{schema}"')
        await _upgrade(url, schema, script_location)
        await connection.execute(f'SET search_path = "{schema}"')
        async with connection.transaction():
            today = await connection.fetchval("SELECT (clock_timestamp() AT TIME ZONE 'UTC')::date")
            await maintain(connection, today)


def execute_script(sql: str) -> None:
    """For migrations: run SQL text of several statements, such as those of `tables.py`, in the migration's transaction.

    `op.execute` prepares what it is given, and PostgreSQL prepares one statement at a time.
    """
    op.execute("SELECT")  # the adapter opens the transaction with the first statement that it sees itself
    connection = cast("AdaptedConnection", op.get_bind().connection.dbapi_connection)
    connection.run_async(lambda driver: driver.execute(sql))


def newest_version(script_location: Path) -> str:
    """The version that `migrate` brings a schema to."""
    scripts = ScriptDirectory(str(_ENVIRONMENT), version_locations=[str(script_location / "versions")])
    head = scripts.get_current_head()
    if head is None:
        raise ValueError(f"{script_location} holds no migrations")
    return head


async def stored_version(connection: Connection, schema: str) -> str | None:
    """The version that the schema is at; None if it was never migrated."""
    table = f'"{schema}".alembic_version'
    if await connection.fetchval("SELECT to_regclass($1)", table) is None:
        return None
    version: str | None = await connection.fetchval(f"SELECT version_num FROM {table}")  # noqa: S608 - a constant
    return version


async def _upgrade(url: str, schema: str, script_location: Path) -> None:
    async def connect(*_args: object, **_kwargs: object) -> "asyncpg.Connection[asyncpg.Record]":
        settings = {
            "application_name": f"{schema}: migrations",
            "search_path": schema,
            "timezone": "UTC",
            "lock_timeout": f"{DDL_LOCK_TIMEOUT_SECONDS}s",
        }
        return await asyncpg.connect(url, timeout=CONNECT_TIMEOUT_SECONDS, server_settings=settings)

    def upgrade(connection: SyncConnection) -> None:
        config = Config()
        config.set_main_option("path_separator", "newline")  # a blank in the path is part of it
        config.set_main_option("script_location", _escaped(_ENVIRONMENT))
        config.set_main_option("version_locations", _escaped(script_location / "versions"))
        config.attributes.update(connection=connection, schema=schema)
        command.upgrade(config, "head")

    # The driver's own address parsing: it knows sockets, and every option that the services' connections know.
    engine = create_async_engine("postgresql+asyncpg://", async_creator=connect, poolclass=NullPool)
    try:
        async with engine.connect() as connection:
            await connection.run_sync(upgrade)
            await connection.commit()
    finally:
        await engine.dispose()


@asynccontextmanager
async def _only_one(url: str, schema: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """Hold the schema's advisory lock.

    It is polled for: a session that waits in `pg_advisory_lock` holds a snapshot, and CREATE INDEX CONCURRENTLY of the
    one that migrates would wait for that snapshot.
    """
    connection = await asyncpg.connect(url, timeout=CONNECT_TIMEOUT_SECONDS)
    try:
        await _take_lock(connection, schema)
        yield connection
    finally:
        connection.terminate()  # which frees the lock


async def _take_lock(connection: "asyncpg.Connection[asyncpg.Record]", schema: str) -> None:
    key = zlib.crc32(schema.encode()) - 2**31  # the lock takes two signed 32-bit numbers
    deadline = time.monotonic() + LOCK_DEADLINE_SECONDS
    while not await connection.fetchval("SELECT pg_try_advisory_lock($1, $2)", _LOCK_CLASS, key):
        if time.monotonic() > deadline:
            raise MigrationLockBusy(f"schema {schema}: waited {LOCK_DEADLINE_SECONDS} s for another migration")
        await asyncio.sleep(LOCK_POLL_SECONDS)


def _escaped(path: Path) -> str:
    """ConfigParser takes a percent sign for an interpolation."""
    return str(path).replace("%", "%%")
