"""The way of a command to a deployment: the distributed one of the settings, or the embedded one of a data folder."""

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import asyncpg

from services.chassis.command_line import open_event_log
from services.chassis.embedded_postgres import EmbeddedPostgres
from services.chassis.event_log.port import EventLog
from services.chassis.event_log.postgres import PostgresEventLog
from services.chassis.settings import ChassisSettings, Form, load
from tiercel.cli import DATA

CONNECT_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True)
class Reached:
    """A deployment: where its truth and its transport are."""

    database_url: str
    event_log: EventLog


def postgres_folder(data: Path) -> Path:
    """Where the embedded form keeps its PostgreSQL."""
    return data / "postgres"


def audit_key(data: Path) -> Path:
    """Where the embedded form keeps the key that signs anchors of its audit trails."""
    return data / "audit.key"


def proposal_key(data: Path) -> Path:
    """Where the embedded form keeps the key that proves proposals of tiers; its public half is beside it."""
    return data / "proposal.key"


def audit_anchors(data: Path) -> Path:
    """Where the embedded form keeps these anchors: beside its database, not in it."""
    return data / "audit-anchors"


def note_running(data: Path, database_url: str) -> None:
    """Leave word for other commands of how to reach the PostgreSQL that runs here."""
    file = _note(data)
    file.touch(mode=0o600)
    file.write_text(json.dumps({"database_url": database_url}))


def forget_running(data: Path) -> None:
    """Take the word back."""
    _note(data).unlink(missing_ok=True)


@asynccontextmanager
async def reach(data: Path | None) -> AsyncIterator[Reached]:
    """The deployment of the settings, or with `data` the embedded one of that folder, whether it runs or not.

    Raises:
        EmbeddedPostgresError, EventLogError, OSError: it cannot be reached.
    """
    async with AsyncExitStack() as stack:
        if data is None:
            settings = load(ChassisSettings)
            if settings.form is Form.DISTRIBUTED:
                log = open_event_log(settings, name="tiercel")
                stack.push_async_callback(log.close)
                yield Reached(str(settings.database_url), log)
                return
        url = await stack.enter_async_context(_embedded_database(data or DATA))
        embedded_log = await PostgresEventLog.open(url, maintain=False)
        stack.push_async_callback(embedded_log.close)
        yield Reached(url, embedded_log)


@asynccontextmanager
async def _embedded_database(data: Path) -> AsyncIterator[str]:
    running = await _running(data)
    if running is not None:
        yield running
        return
    if not postgres_folder(data).exists():
        raise FileNotFoundError(f"{data} holds no data of the embedded form; give --data, or TIERCEL_FORM=distributed")
    postgres = EmbeddedPostgres()
    try:
        yield postgres.start(postgres_folder(data))
    finally:
        postgres.stop()


async def _running(data: Path) -> str | None:
    """The address of the PostgreSQL of a process that runs on this folder; None if none does."""
    file = _note(data)
    if not file.exists():
        return None
    url: str = json.loads(file.read_text())["database_url"]
    try:
        await (await asyncpg.connect(url, timeout=CONNECT_SECONDS)).close()
    except (OSError, asyncpg.PostgresError):
        return None  # left by a process that was killed
    return url


def _note(data: Path) -> Path:
    return data / "running.json"
