"""The two forms that a replay runs on: all in this process, or three processes over the native stack."""

import asyncio
import os
import shutil
import sys
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO, Final

import asyncpg
import httpx

from services.chassis import logs
from services.chassis.event_log.kafka import KafkaEventLog
from services.chassis.event_log.port import EventLog
from services.chassis.event_log.prefixed import with_prefix
from services.chassis.lifecycle import Supervisor
from services.chassis.process import run_process
from services.chassis.settings import LogLevel
from tiercel import topics
from tiercel.commands.keys import new_key
from tiercel.demo.channels import Endpoints, ReplayFailedError
from tiercel.embedded import Running, run_embedded
from tiercel.parts import PARTS, migrate_all

LOOPBACK: Final = "127.0.0.1"
READY_SECONDS_MAX: Final = 60.0
STOP_SECONDS_MAX: Final = 30.0
SCOPES: Final = (
    "atp.configure",
    "atp.promise",
    "atp.read",
    "atp.supply",
    "reclassifier.read",
    "registry.import",
    "registry.read",
    "registry.write",
    "replay.drive",
)


@dataclass(frozen=True, slots=True)
class Ground:
    """What a replay stands on."""

    endpoints: Endpoints
    event_log: EventLog
    database_url: str
    process_ids: tuple[int, ...] = ()


Work = Callable[[Ground], Awaitable[None]]


def run_on_embedded(work: Work, folder: Path) -> int:
    """Start everything in this process, on an empty folder, and do the work; the exit status."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with _log_file(folder / "tiercel.log") as log:
        logs.configure(LogLevel.WARNING, log)
        return run_process(partial(_embedded, work, folder))


async def _embedded(work: Work, folder: Path, supervisor: Supervisor) -> None:
    async def then(running: Running) -> None:
        urls = running.urls
        endpoints = Endpoints(urls["atp"], urls["segment_registry"], urls["reclassifier"], running.api_key)
        try:
            await work(Ground(endpoints, running.event_log, running.database_url))
        finally:
            supervisor.request_stop("the replay is over")

    await run_embedded(supervisor, data=folder, interface=LOOPBACK, port=0, replay=True, then=then)


def run_on_stack(work: Work, folder: Path) -> int:
    """Start the native stack and one process a service on it, with a database and topics of their own; do the work."""
    from tiercel.stack.__main__ import main as stack

    if stack(["up"]) != 0:
        return 1
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    logs.configure(LogLevel.WARNING)
    asyncio.run(_distributed(work, folder, _stack_settings()))
    return 0


async def _distributed(work: Work, folder: Path, settings: dict[str, str]) -> None:
    run = f"demo_{uuid.uuid4().hex[:12]}"
    async with _own_database(settings["TIERCEL_DATABASE_URL"], run) as database_url:
        log = with_prefix(KafkaEventLog(settings["TIERCEL_KAFKA_BOOTSTRAP"], name="demo"), f"{run}.")
        try:
            await log.ensure_topics(topics.specs())
            await migrate_all(database_url)
            key_file = folder / "keys.json"
            key = await new_key(key_file, subject="demo", scopes=list(SCOPES), channels=None)
            environment = os.environ | {
                "TIERCEL_FORM": "distributed",
                "TIERCEL_DATABASE_URL": database_url,
                "TIERCEL_KAFKA_BOOTSTRAP": settings["TIERCEL_KAFKA_BOOTSTRAP"],
                "TIERCEL_KAFKA_TOPIC_PREFIX": f"{run}.",
                "TIERCEL_REDIS_URL": settings["TIERCEL_REDIS_URL"],
                "TIERCEL_API_KEYS_FILE": str(key_file.resolve()),
                "TIERCEL_REPLAY": "true",
                "TIERCEL_LOG_LEVEL": "warning",
            }
            async with _processes(folder, environment, key) as (endpoints, process_ids):
                await work(Ground(endpoints, log, database_url, process_ids))
        finally:
            await log.close()


@asynccontextmanager
async def _own_database(server_url: str, name: str) -> AsyncIterator[str]:
    """A database of the replay's own, dropped at its end."""
    connection = await asyncpg.connect(server_url)
    try:
        await connection.execute(f'CREATE DATABASE "{name}"')
        base, _, _ = server_url.rpartition("/")
        try:
            yield f"{base}/{name}"
        finally:
            await connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    finally:
        await connection.close()


@asynccontextmanager
async def _processes(
    folder: Path, environment: dict[str, str], key: str
) -> AsyncIterator[tuple[Endpoints, tuple[int, ...]]]:
    """One process of each service, ready; stopped by their ids."""
    ports = {part.name: _free_port() for part in PARTS}
    running: dict[str, asyncio.subprocess.Process] = {}
    try:
        for name, port in ports.items():
            with (folder / f"{name}.log").open("wb") as log:
                command = (sys.executable, "-m", f"services.{name}", "--port", str(port))
                running[name] = await asyncio.create_subprocess_exec(*command, env=environment, stdout=log, stderr=log)
        urls = {name: f"http://{LOOPBACK}:{port}" for name, port in ports.items()}
        for name, url in urls.items():
            await _until_ready(name, url, running[name], folder / f"{name}.log")
        endpoints = Endpoints(urls["atp"], urls["segment_registry"], urls["reclassifier"], key)
        yield endpoints, tuple(process.pid for process in running.values())
    finally:
        await asyncio.gather(*(_stop(process) for process in running.values()))


async def _until_ready(name: str, url: str, process: asyncio.subprocess.Process, log: Path) -> None:
    try:
        async with asyncio.timeout(READY_SECONDS_MAX), httpx.AsyncClient() as client:
            while process.returncode is None:
                try:
                    if (await client.get(f"{url}/readyz")).is_success:
                        return
                except httpx.TransportError:
                    pass
                await asyncio.sleep(0.1)
    except TimeoutError:
        pass
    message = f"{name} did not become ready; its log ends with: {(await asyncio.to_thread(log.read_text))[-800:]}"
    raise ReplayFailedError(message)


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    process.terminate()
    try:
        async with asyncio.timeout(STOP_SECONDS_MAX):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


def _stack_settings() -> dict[str, str]:
    from tiercel.stack.layout import open_layout

    lines = (open_layout().root / "env").read_text().splitlines()
    return dict(line.removeprefix("export ").split("=", 1) for line in lines if "=" in line)


def _free_port() -> int:
    import socket

    with socket.socket() as taken:
        taken.bind((LOOPBACK, 0))
        port: int = taken.getsockname()[1]
    return port


@contextmanager
def _log_file(path: Path) -> Iterator[BinaryIO]:
    with path.open("wb", buffering=0) as log:
        yield log
