"""One operating-system process: services on their ports, under one supervisor, until a signal or a death.

exit status 0   stopped by a signal, everything ended in good order
exit status 1   a task died, a service did not start, or something did not close; the log says which
"""

import asyncio
import gc
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from socket import socket
from typing import Final

import structlog
import uvloop

from services.chassis.lifecycle import Service, Stage, Supervisor, TaskDied
from services.chassis.server import serve

# What is alive while an order of a thousand lines is decided, and more: a collection in the middle of it would walk all
# of it for nothing, tens of milliseconds long. What it may leave lying meanwhile is some 20 MB.
COLLECTOR_THRESHOLDS: Final = (100_000, 20, 50)

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Hosted:
    """A built service and the bound socket that it answers on."""

    service: Service
    listener: socket


async def host(supervisor: Supervisor, hosted: Sequence[Hosted]) -> None:
    """Start the services, in the given order, under the supervisor; they are closed in the opposite order."""
    for each in hosted:
        service = each.service
        supervisor.on_close(service.name, service.stop)
        supervisor.on_drain(partial(_turn_readiness_off, service))
        await service.start()
        for task in service.tasks:
            supervisor.spawn(f"{service.name}.{task.name}", task.run, stage=task.stage)
        answer = partial(serve, service.app, each.listener)
        supervisor.spawn(f"{service.name}.http", answer, stage=Stage.SERVER)


def _turn_readiness_off(service: Service) -> None:
    service.app.state.draining = True


async def run_services(
    hosted: Sequence[Hosted],
    *,
    supervisor: Supervisor,
    then: Callable[[], Awaitable[None]] | None = None,
) -> None:
    """Host the services until the supervisor stops. `then` is awaited once all are started.

    Raises TaskDied if a task died, or what a `start` raised, in both cases after everything was closed.
    """
    async with starting(supervisor):
        await host(supervisor, hosted)
    with _what_stays_spared():
        async with starting(supervisor):
            if then is not None:
                await then()
        await supervisor.run_until_stopped()


@contextmanager
def _what_stays_spared() -> Iterator[None]:
    """Keep the cycle collector off what was made by the start, which stays as long as the process.

    It would walk all of it again and again: measured, a quarter of the time of a promise and of its 99th percentile.
    """
    before = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECTOR_THRESHOLDS)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


@asynccontextmanager
async def starting(supervisor: Supervisor) -> AsyncIterator[None]:
    """What is opened inside of the block is closed again if the block fails."""
    try:
        yield
    except BaseException:
        supervisor.request_stop("it did not start")
        await supervisor.run_until_stopped()
        raise


def run_process(main: Callable[[Supervisor], Awaitable[None]], *, drain_seconds: float = 0.0) -> int:
    """Run `main` on uvloop with SIGTERM and SIGINT handled; the exit status."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_supervised(main, drain_seconds))


async def _supervised(main: Callable[[Supervisor], Awaitable[None]], drain_seconds: float) -> int:
    supervisor = Supervisor(drain_seconds=drain_seconds)
    supervisor.stop_on_signals()
    try:
        await main(supervisor)
    except TaskDied as death:
        _log.error("process_failed", reason=str(death))
        return 1
    return 0
