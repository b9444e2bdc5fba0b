"""The two forms that a replay runs on: all in this process, or a process a service over the native stack."""

import asyncio
import shutil
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from services.chassis import logs
from services.chassis.event_log.port import EventLog
from services.chassis.lifecycle import Supervisor
from services.chassis.process import run_process
from services.chassis.settings import LogLevel
from tiercel.demo.channels import Endpoints
from tiercel.embedded import Running, run_embedded

LOOPBACK: Final = "127.0.0.1"
SIGNAL_POLL_SECONDS: Final = 0.1


@dataclass(frozen=True, slots=True)
class Ground:
    """What a replay stands on; `process_ids` are processes besides this one."""

    endpoints: Endpoints
    event_log: EventLog
    database_url: str
    process_ids: tuple[int, ...] = ()
    kill_atp: Callable[[], Awaitable[None]] | None = None  # ends its process without a warning and starts it again


Work = Callable[[Ground], Awaitable[None]]


def run_on_embedded(work: Work, folder: Path, settings: Mapping[str, object] | None = None) -> int:
    """Start everything in this process, on an empty folder, and do the work; the exit status.

    `settings` are such of the services, by name, that differ from those of the environment.
    """
    _empty(folder)
    with (folder / "tiercel.log").open("wb", buffering=0) as log, logs.configured(LogLevel.WARNING, log):
        return run_process(partial(_embedded, work, folder, settings or {}))


async def _embedded(work: Work, folder: Path, settings: Mapping[str, object], supervisor: Supervisor) -> None:
    async def then(running: Running) -> None:
        endpoints = _endpoints(running.urls, running.api_key)
        working = asyncio.ensure_future(work(Ground(endpoints, running.event_log, running.database_url)))
        watching = asyncio.create_task(_stopped(supervisor), name="signals")
        try:
            await asyncio.wait([working, watching], return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                await working
        finally:
            for task in (working, watching):
                task.cancel()
            await asyncio.wait([working, watching])
            supervisor.request_stop("the replay is over")

    await run_embedded(supervisor, data=folder, interface=LOOPBACK, port=0, replay=True, settings=settings, then=then)


async def _stopped(supervisor: Supervisor) -> None:
    """Return when a signal, or a death, stops the process."""
    while not supervisor.stopping:  # noqa: ASYNC110 - the supervisor has no event to wait for
        await asyncio.sleep(SIGNAL_POLL_SECONDS)


def run_on_stack(work: Work, folder: Path) -> int:
    """Start the native stack if it is not up, and the services on it; do the work. The stack stays up."""
    from tiercel.stack.__main__ import main as stack

    if stack(["up"]) != 0:
        return 1
    _empty(folder)
    with logs.configured(LogLevel.WARNING, sys.stderr.buffer):
        asyncio.run(_on_stack(work, folder))
    return 0


async def _on_stack(work: Work, folder: Path) -> None:
    from tiercel.stack.deployment import deployed

    async with deployed(folder, replay=True) as deployment:
        endpoints = _endpoints(deployment.urls, deployment.api_key)
        process_ids = tuple(running.process.pid for running in deployment.processes)

        async def kill_atp() -> None:
            atp = next(running for running in deployment.processes if running.wanted.service == "atp")
            await deployment.kill_and_restart(atp)

        await work(Ground(endpoints, deployment.event_log, deployment.database_url, process_ids, kill_atp))


def _endpoints(urls: Mapping[str, str], api_key: str) -> Endpoints:
    return Endpoints(urls["atp"], urls["segment_registry"], urls["reclassifier"], api_key)


def _empty(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
