"""The distributed form on the native stack: a process a service, with a database and topics of their own.

For the demo, the bench and end-to-end tests. Everything that it starts is stopped by its process id; the database is
dropped at the end, and topics have a prefix that is used once.
"""

import asyncio
import os
import socket
import sys
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import asyncpg
import httpx

from services.chassis.event_log.kafka import KafkaEventLog
from services.chassis.event_log.port import EventLog
from services.chassis.event_log.prefixed import with_prefix
from services.chassis.signing_keys import make_key, public_half
from tiercel import topics
from tiercel.commands.keys import new_key
from tiercel.parts import ASKED_BY_THE_REGISTRY, ATP, PARTS, RECLASSIFIER, migrate_all
from tiercel.stack.layout import StackError, open_layout

LOOPBACK: Final = "127.0.0.1"
READY_SECONDS_MAX: Final = 60.0
READY_POLL_SECONDS: Final = 0.1
STOP_SECONDS_MAX: Final = 30.0
ALL_SCOPES: Final = (
    "atp.configure",
    "atp.cut_over",
    "atp.release",
    "atp.plan",
    "atp.preview",
    "atp.promise",
    "atp.read",
    "atp.supply",
    "metrics.read",
    "reclassifier.read",
    "reclassifier.write",
    "reclassifier.approve",
    "registry.import",
    "registry.read",
    "registry.write",
    "replay.drive",
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A process to start: a service, its roles (none: all), settings of its own, and what runs its module.

    A `launcher` is what the interpreter is given in front of the module's name in place of `-m`.
    """

    service: str
    roles: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    launcher: tuple[str, ...] = ()

    @property
    def answers(self) -> bool:
        """Whether it has the API."""
        return not self.roles or "api" in self.roles


EVERYTHING: Final = tuple(Wanted(part.name) for part in PARTS)


@dataclass(slots=True)
class Running:
    """A process that runs, and where it answers."""

    wanted: Wanted
    url: str
    process: asyncio.subprocess.Process
    log: Path


@dataclass(slots=True)
class Deployment:
    """What is up. `urls` has the first process of each service that answers requests."""

    folder: Path
    database_url: str
    event_log: EventLog
    api_key: str
    environment: dict[str, str]
    processes: list[Running] = field(default_factory=list)

    @property
    def urls(self) -> dict[str, str]:
        """Where each service answers."""
        found: dict[str, str] = {}
        for running in self.processes:
            if running.wanted.answers:
                found.setdefault(running.wanted.service, running.url)
        return found

    async def start(self, wanted: Wanted, port: int | None = None) -> Running:
        """Start one process, on a free port if none is given, and wait until it is ready."""
        port = port or _free_port()
        log = self.folder / f"{wanted.service}-{port}.log"
        roles = [argument for role in wanted.roles for argument in ("--role", role)]
        launched = (*(wanted.launcher or ("-m",)), f"services.{wanted.service}")
        command = (sys.executable, *launched, "--port", str(port), *roles)
        environment = self.environment | dict(wanted.environment)
        with log.open("ab") as file:
            process = await asyncio.create_subprocess_exec(*command, env=environment, stdout=file, stderr=file)
        running = Running(wanted, f"http://{LOOPBACK}:{port}", process, log)
        self.processes.append(running)
        await _until_ready(running)
        return running

    async def kill_and_restart(self, running: Running) -> Running:
        """End a process without a warning (SIGKILL) and start its like on the same port."""
        self.processes.remove(running)
        running.process.kill()
        await running.process.wait()
        return await self.start(running.wanted, int(running.url.rpartition(":")[2]))

    async def stop(self, running: Running) -> None:
        """Stop one process in good order, by force if that takes too long."""
        self.processes.remove(running)
        await _stop(running.process)


def stack_settings() -> dict[str, str]:
    """The settings that point to the servers of the native stack, which must be up."""
    file = open_layout().root / "env"
    if not file.exists():
        raise StackError("the native stack is not up: make stack-up")
    lines = file.read_text().splitlines()
    return dict(line.removeprefix("export ").split("=", 1) for line in lines if "=" in line)


@asynccontextmanager
async def deployed(
    folder: Path, wanted: Sequence[Wanted] = EVERYTHING, *, replay: bool = False
) -> AsyncIterator[Deployment]:
    """Start the processes on the native stack, ready, and end all of it with the block."""
    settings = stack_settings()
    run = f"run_{uuid.uuid4().hex[:12]}"
    async with own_database(settings["TIERCEL_DATABASE_URL"], run) as database_url:
        log = with_prefix(KafkaEventLog(settings["TIERCEL_KAFKA_BOOTSTRAP"], name="deployment"), f"{run}.")
        key_file = folder / "keys.json"
        try:
            await log.ensure_topics(topics.specs())
            await migrate_all(database_url)
            audit_key = folder / "audit.key"
            await asyncio.to_thread(make_key, audit_key)
            proposal_key = folder / "proposal.key"
            await asyncio.to_thread(make_key, proposal_key)
            key = await new_key(key_file, subject="deployment", scopes=list(ALL_SCOPES), channels=None)
            environment = os.environ | {
                "TIERCEL_FORM": "distributed",
                "TIERCEL_DATABASE_URL": database_url,
                "TIERCEL_KAFKA_BOOTSTRAP": settings["TIERCEL_KAFKA_BOOTSTRAP"],
                "TIERCEL_KAFKA_TOPIC_PREFIX": f"{run}.",
                "TIERCEL_REDIS_URL": settings["TIERCEL_REDIS_URL"],
                "TIERCEL_API_KEYS_FILE": str(await asyncio.to_thread(key_file.resolve)),
                "TIERCEL_AUDIT_KEY_FILE": str(await asyncio.to_thread(audit_key.resolve)),
                "TIERCEL_RECLASSIFIER_PROPOSAL_KEY_FILE": str(await asyncio.to_thread(proposal_key.resolve)),
                "TIERCEL_REGISTRY_PROPOSAL_KEYS_FILE": str(await asyncio.to_thread(public_half(proposal_key).resolve)),
                "TIERCEL_REPLAY": str(replay).lower(),
                "TIERCEL_LOG_LEVEL": "warning",
            }
            asking = await new_key(
                key_file, subject="segment_registry", scopes=list(ASKED_BY_THE_REGISTRY), channels=None
            )
            ports = {each.service: _free_port() for each in wanted if each.answers}
            deployment = Deployment(folder, database_url, log, key, environment | _asked(ports, asking))
            try:
                for each in wanted:
                    await deployment.start(each, ports.pop(each.service, None) if each.answers else None)
                yield deployment
            finally:
                await asyncio.gather(*(_stop(running.process) for running in deployment.processes))
        finally:
            await log.close()


def _asked(ports: Mapping[str, int], key: str) -> dict[str, str]:
    """The settings by which the registry asks those services that answer."""
    found: dict[str, str] = {}
    for name in (ATP.name, RECLASSIFIER.name):
        if name in ports:
            found[f"TIERCEL_REGISTRY_{name.upper()}_URL"] = f"http://{LOOPBACK}:{ports[name]}"
            found[f"TIERCEL_REGISTRY_{name.upper()}_KEY"] = key
    return found


@asynccontextmanager
async def own_database(server_url: str, name: str) -> AsyncIterator[str]:
    """A database of its own on a server, dropped at the end."""
    base, _, _ = server_url.rpartition("/")
    connection = await asyncpg.connect(server_url)
    try:
        await connection.execute(f'CREATE DATABASE "{name}"')
    finally:
        await connection.close()
    try:
        yield f"{base}/{name}"
    finally:
        connection = await asyncpg.connect(server_url)
        try:
            await connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
        finally:
            await connection.close()


async def _until_ready(running: Running) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(READY_SECONDS_MAX), httpx.AsyncClient() as client:
            while running.process.returncode is None:
                with suppress(httpx.TransportError):
                    if (await client.get(f"{running.url}/readyz")).is_success:
                        return
                await asyncio.sleep(READY_POLL_SECONDS)
    tail = (await asyncio.to_thread(running.log.read_text))[-800:]
    message = f"{running.wanted.service} did not become ready; its log ends with: {tail}"
    raise StackError(message)


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


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind((LOOPBACK, 0))
        port: int = taken.getsockname()[1]
    return port
