"""A real PostgreSQL for tests: the embedded one, or the server of TIERCEL_TEST_DATABASE_URL.

The user of a given server must be allowed to create databases.

`database_url` is a fresh, empty database per test module. `chassis_database` is an open `Database` over a fresh schema
in it, with all tables of the plumbing.
"""

import asyncio
import itertools
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import asyncpg
import orjson
import pytest

from services.chassis import database, database_listener, leases, migrations, partitions, tables
from services.chassis.database import Connection, Database
from services.chassis.embedded_postgres import EmbeddedPostgres

CONNECT_SECONDS_MAX = 60.0
SOMEBODY_WAITS = (
    "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock')"
)
"""Whether a connection to this database waits for another one."""

_SCHEMAS = itertools.count(1)


@pytest.fixture(scope="session", autouse=True)
def _patience_with_a_busy_server() -> Iterator[None]:
    """A connection may take its time on a busy machine: how long a service has for it is not what tests prove."""
    with pytest.MonkeyPatch.context() as patient:
        for module in (database, database_listener, leases, migrations):
            patient.setattr(module, "CONNECT_TIMEOUT_SECONDS", CONNECT_SECONDS_MAX)
        patient.setattr(database, "ACQUIRE_TIMEOUT_SECONDS", CONNECT_SECONDS_MAX)
        yield


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The address of a server, with the name of its maintenance database."""
    given = os.environ.get("TIERCEL_TEST_DATABASE_URL")
    if given:
        yield given
        return
    folder = Path(tempfile.mkdtemp(prefix="tiercel-test-"))
    server = EmbeddedPostgres()
    try:
        yield server.start(folder)
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def database_url(postgres_server: str) -> Iterator[str]:
    """The address of a database that is empty at the start of the module and dropped after it."""
    name = f"test_{uuid4().hex}"
    _administer(postgres_server, f'CREATE DATABASE "{name}" TEMPLATE template0')
    try:
        yield with_database(postgres_server, name)
    finally:
        _administer(postgres_server, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


@pytest.fixture
async def chassis_database(database_url: str) -> AsyncIterator[Database]:
    """A service's database without a service: the tables of the plumbing, with the partitions of today."""
    schema = f"chassis_{next(_SCHEMAS)}"
    await create_chassis_schema(database_url, schema)
    opened = await Database.open(database_url, schema=schema, name=f"test of {schema}")
    yield opened
    await opened.close()


async def create_chassis_schema(url: str, schema: str) -> None:
    """Make the schema with what a service's first migration takes from the chassis."""
    connection = await asyncpg.connect(url)
    try:
        async with connection.transaction():
            await connection.execute(f"CREATE SCHEMA {schema}; SET LOCAL search_path = {schema}")
            for script in (
                tables.OUTBOX_V1,
                tables.OUTBOX_V2,
                tables.INBOX_V1,
                tables.IDEMPOTENCY_V1,
                tables.LEASE_V1,
                tables.PROJECTION_V1,
                tables.API_KEY_V1,
            ):
                await connection.execute(script)
            await partitions.maintain(connection, datetime.now(UTC).date())
    finally:
        await connection.close()


async def blocks_read(connection: Connection, statement: str, *values: object) -> int:
    """How many blocks (8 kB) a statement looks at: what it costs among many rows, whatever the machine is doing."""
    plan = await connection.fetchval(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}", *values)
    top = orjson.loads(plan)[0]["Plan"]
    return int(top["Shared Hit Blocks"] + top["Shared Read Blocks"])


def with_database(url: str, name: str) -> str:
    """The same server, another database."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


def _administer(url: str, statement: str) -> None:
    async def execute() -> None:
        connection = await asyncpg.connect(url)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    asyncio.run(execute())
