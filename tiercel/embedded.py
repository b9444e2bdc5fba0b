"""The all-in-one form: a private PostgreSQL, the event log in it, and the three services in this process.

For a laptop, a demonstration and tests, never for production: one process, one machine, no replica of anything. What it
answered is durable all the same: a crash of the process, or of the machine, loses no promise.

    sockets bound ─▶ PostgreSQL up ─▶ event log, topics ─▶ migrations ─▶ services started ─▶ ready ─▶ `then`
    a stop, or a death, at any point: whatever was opened is closed in the opposite order
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from socket import socket
from typing import Final

from services.chassis.auth import SCOPE_WILDCARD, ApiKeys, Authenticator, MintedKeys, mint
from services.chassis.clocks import SystemClock
from services.chassis.embedded_postgres import EmbeddedPostgres
from services.chassis.event_log.port import EventLog
from services.chassis.event_log.postgres import PostgresEventLog
from services.chassis.lifecycle import ALL_ROLES, Service, Supervisor
from services.chassis.process import Hosted, run_services, starting
from services.chassis.server import listen
from services.chassis.settings import Form, load
from services.chassis.signing_keys import ensure_key, public_half
from tiercel import reaching, topics
from tiercel.failures import NotReady
from tiercel.parts import ASKED_BY_THE_REGISTRY, ATP, PARTS, RECLASSIFIER, SEGMENT_REGISTRY, Part, migrate_all

READY_SECONDS_MAX: Final = 60.0  # after a crash, projections may have much to catch up with
READY_POLL_SECONDS: Final = 0.05
STARTED_IN_ORDER: Final = (SEGMENT_REGISTRY, RECLASSIFIER, ATP)  # the ATP reads tiers that the registry publishes


@dataclass(frozen=True, slots=True)
class Running:
    """What is up: the address of each service, a key that opens all of them, and what lies below."""

    urls: Mapping[str, str]
    api_key: str
    database_url: str
    event_log: EventLog


async def run_embedded(
    supervisor: Supervisor,
    *,
    data: Path,
    interface: str,
    port: int,
    replay: bool = False,
    settings: Mapping[str, object] | None = None,
    claimed: Callable[[], None] | None = None,
    then: Callable[[Running], Awaitable[None]],
) -> None:
    """Start everything, await `then` once all three services are ready, and run until the supervisor stops.

    `claimed` is called as soon as the data folder is known to be nobody else's.
    The services listen on `port` and the two after it; 0 takes three free ones. `settings` are such of the services,
    by name, that differ from those of the environment.

    Raises:
        PortInUse, EmbeddedPostgresError, ReplayTimeStored, NotReady: nothing is left running.
        TaskDied: something of it died while it ran; everything was closed.
    """
    listeners = {part.name: listen(interface, port + number if port else 0) for number, part in enumerate(PARTS)}
    async with starting(supervisor):
        database_url = await _claim(supervisor, data)
        if claimed is not None:
            claimed()
        await asyncio.to_thread(_ensure_keys, data)
        given = {"replay": replay, **(settings or {})}
        running, services = await _open(supervisor, listeners, interface, database_url, data, settings=given)
    hosted = [Hosted(services[part.name], listeners[part.name]) for part in STARTED_IN_ORDER]

    async def go_on() -> None:
        if await _all_ready(supervisor, services):
            await then(running)

    await run_services(hosted, supervisor=supervisor, then=go_on)


async def _claim(supervisor: Supervisor, data: Path) -> str:
    """Start PostgreSQL on the folder, which one process can do; its address."""
    postgres = EmbeddedPostgres()
    supervisor.on_close("PostgreSQL", partial(asyncio.to_thread, postgres.stop))
    database_url = await asyncio.to_thread(postgres.start, reaching.postgres_folder(data))
    reaching.note_running(data, database_url)
    supervisor.on_close("note", partial(asyncio.to_thread, reaching.forget_running, data))
    return database_url


def _ensure_keys(data: Path) -> None:
    for key in (reaching.audit_key(data), reaching.proposal_key(data)):
        ensure_key(key)


async def _open(
    supervisor: Supervisor,
    listeners: Mapping[str, socket],
    interface: str,
    database_url: str,
    data: Path,
    *,
    settings: Mapping[str, object],
) -> tuple[Running, dict[str, Service]]:
    event_log = await PostgresEventLog.open(database_url)
    supervisor.on_close("event log", event_log.close)
    await event_log.ensure_topics(topics.specs())
    await migrate_all(database_url)
    key, hashed = mint([SCOPE_WILDCARD], subject="embedded")
    asking, hashed_asking = mint(ASKED_BY_THE_REGISTRY, subject="segment_registry")
    urls = {name: f"http://{interface}:{listener.getsockname()[1]}" for name, listener in listeners.items()}
    asked = {f"registry_{part.name}_url": urls[part.name] for part in (ATP, RECLASSIFIER)}
    asked |= {f"registry_{part.name}_key": asking for part in (ATP, RECLASSIFIER)}
    audit = {"audit_key_file": reaching.audit_key(data), "audit_anchor_folder": reaching.audit_anchors(data)}
    proposals = reaching.proposal_key(data)
    proofs = {"reclassifier_proposal_key_file": proposals, "registry_proposal_keys_file": public_half(proposals)}
    wall = SystemClock()
    authenticator = Authenticator(wall=wall, api_keys=ApiKeys([MintedKeys([hashed, hashed_asking])], wall=wall))
    services = {
        part.name: await part.program.build(
            load(
                part.program.settings,
                form=Form.EMBEDDED,
                redis_url=None,
                **audit,
                **_those_of(part, {**asked, **proofs, **settings}),
            ),
            database_url=database_url,
            event_log=event_log,
            authenticator=authenticator,
            roles=ALL_ROLES,
        )
        for part in PARTS
    }
    return Running(urls, key, database_url, event_log), services


def _those_of(part: Part, settings: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in settings.items() if name in part.program.settings.model_fields}


async def _all_ready(supervisor: Supervisor, services: Mapping[str, Service]) -> bool:
    """Whether all became ready; not if the end began before."""
    missing: list[str] = []
    try:
        async with asyncio.timeout(READY_SECONDS_MAX):
            while not supervisor.stopping:
                missing = [
                    f"{name}: {what}"
                    for name, service in services.items()
                    for what, there in (await service.ready()).items()
                    if there is False
                ]
                if not missing:
                    return True
                await asyncio.sleep(READY_POLL_SECONDS)
    except TimeoutError:
        raise NotReady(f"not ready after {READY_SECONDS_MAX:.0f} s: {', '.join(missing)}") from None
    return False
