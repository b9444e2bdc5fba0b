"""A real PostgreSQL for tests: the embedded one, or the server of TIERCEL_TEST_DATABASE_URL.

The user of a given server must be allowed to create databases.

`database_url` is a fresh, empty database per test module; tests of a module that need separation use schemas.
"""

import asyncio
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import asyncpg
import pytest

from services.chassis.embedded_postgres import EmbeddedPostgres


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
