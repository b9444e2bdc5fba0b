"""The life of a process: supervised tasks, and a shutdown in stages with deadlines.

Every long-running thing is a named task with a stage. One that dies, or ends before it was asked to, stops the whole
process with its reason: there is no process that looks healthy and does half of its work.

    running ──request_stop(reason) / a task died──▶ draining ──▶ stage by stage ──▶ closed
                                                      │ readiness answers 503, `drain_seconds` for balancers to see it
                                                      ▼
        SERVER (no new requests, those in flight are answered) ▶ QUEUES (what was accepted is decided and stored)
        ▶ CONSUMERS (offsets committed) ▶ RELAY (outbox sent) ▶ closers, last opened first closed

A stage that does not end within its deadline is cancelled and named in the log; the next stage starts anyway.
"""

import asyncio
import contextlib
import signal
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Any, Final

import structlog
from fastapi import FastAPI

STAGE_DEADLINE_SECONDS: Final = 10.0  # longer than a request may take, shorter than a pod's grace period by half
_log = structlog.get_logger(__name__)
Run = Callable[[asyncio.Event], Awaitable[None]]


class Role(StrEnum):
    """What one process of a service does; the embedded form does all."""

    API = "api"
    CONSUMER = "consumer"
    RELAY = "relay"


ALL_ROLES: Final = frozenset(Role)


class Stage(IntEnum):
    """The order of stopping."""

    SERVER = 0
    QUEUES = 1
    CONSUMERS = 2
    RELAY = 3


@dataclass(frozen=True, slots=True)
class SideTask:
    """A task of a service: runs until the event is set, then ends in good order."""

    name: str
    run: Run
    stage: Stage = Stage.CONSUMERS


@dataclass(frozen=True, slots=True)
class Quiet:
    """Whether a service has nothing left to do; `activity` counts what it ever did and never falls."""

    quiet: bool
    activity: int
    pending: Mapping[str, int] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """As JSON values."""
        return {"quiet": self.quiet, "activity": self.activity, "pending": dict(self.pending)}


@dataclass(slots=True)
class Service:
    """One service as its composition root built it.

    `start` opens what tasks and requests need; `tasks` may be read only after it; `stop` closes it again, after all
    tasks have ended. `ready` names each thing that readiness depends on: False means not ready.
    """

    name: str
    app: FastAPI
    start: Callable[[], Awaitable[None]]
    stop: Callable[[], Awaitable[None]]
    ready: Callable[[], Awaitable[dict[str, str | bool]]]
    quiet: Callable[[], Awaitable[Quiet]]
    tasks: Sequence[SideTask] = ()


class TaskDied(Exception):  # noqa: N818 - says what happened
    """A supervised task failed or ended unasked; `__cause__` says why."""

    def __init__(self, name: str, cause: BaseException | None) -> None:
        self.name = name
        super().__init__(f"{name} died: {cause!r}" if cause else f"{name} ended without being asked to")
        self.__cause__ = cause


class Supervisor:
    """Runs named tasks until one dies or somebody asks to stop; then stops all, stage by stage."""

    def __init__(self, *, drain_seconds: float = 0.0, stage_deadline_seconds: float = STAGE_DEADLINE_SECONDS) -> None:
        """`drain_seconds`: how long to go on serving after readiness turned 503 (balancers poll)."""
        self._drain_seconds = drain_seconds
        self._stage_deadline_seconds = stage_deadline_seconds
        self._tasks: dict[asyncio.Task[None], tuple[str, Stage]] = {}
        self._stage_stops: dict[Stage, asyncio.Event] = {stage: asyncio.Event() for stage in Stage}
        self._closers: list[tuple[str, Callable[[], Awaitable[None]]]] = []
        self._on_drain: list[Callable[[], None]] = []
        self._stop_asked = asyncio.Event()
        self._hurry = asyncio.Event()
        self.reason: str | None = None
        self._death: TaskDied | None = None

    @property
    def stopping(self) -> bool:
        """Whether the end has begun; readiness must be off."""
        return self._stop_asked.is_set()

    def spawn(self, name: str, run: Run, *, stage: Stage = Stage.CONSUMERS) -> None:
        """Start a supervised task; it ends in good order when the event it is given is set."""
        task = asyncio.create_task(self._run(run, self._stage_stops[stage]), name=name)
        self._tasks[task] = (name, stage)
        task.add_done_callback(self._ended)

    def on_drain(self, call: Callable[[], None]) -> None:
        """Call this when the end begins, e.g. to turn readiness off."""
        self._on_drain.append(call)

    def on_close(self, name: str, close: Callable[[], Awaitable[None]]) -> None:
        """Await this after all tasks have ended; the last one registered goes first."""
        self._closers.append((name, close))

    def request_stop(self, reason: str) -> None:
        """Begin the end; the second call makes it quick (everything left is cancelled)."""
        if self._stop_asked.is_set():
            self._hurry.set()
            return
        self.reason = reason
        self._stop_asked.set()

    def stop_on_signals(self) -> None:
        """SIGTERM and SIGINT begin the end; the second one cuts it short."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.request_stop, number.name)

    async def run_until_stopped(self) -> None:
        """Wait for the end, then stop in stages. Raises TaskDied if a task's death was the reason."""
        try:
            await self._stop_asked.wait()
        finally:
            self._stop_asked.set()
            await self._wind_down()
        if self._death is not None:
            raise self._death

    async def _run(self, run: Run, stop: asyncio.Event) -> None:
        await run(stop)

    def _ended(self, task: asyncio.Task[None]) -> None:
        name, stage = self._tasks.pop(task)
        failure = None if task.cancelled() else task.exception()
        if failure is None and (self._stage_stops[stage].is_set() or (task.cancelled() and self.stopping)):
            return
        death = TaskDied(name, failure)
        if self._death is None:
            self._death = death
        if not self.stopping:
            _log.error("task_died", task=name, error=repr(failure), exc_info=failure)
            self.request_stop(str(death))
        else:
            _log.error("task_died_while_stopping", task=name, error=repr(failure))

    async def _wind_down(self) -> None:
        _log.info("stopping", reason=self.reason)
        for call in self._on_drain:
            call()
        if self._drain_seconds > 0 and self._death is None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._hurry.wait(), self._drain_seconds)
        for stage in Stage:
            await self._stop_stage(stage)
        for name, close in reversed(self._closers):
            await self._close(name, close)
        _log.info("stopped", reason=self.reason)

    async def _stop_stage(self, stage: Stage) -> None:
        self._stage_stops[stage].set()
        waiting = [task for task, (_, its_stage) in self._tasks.items() if its_stage is stage]
        if not waiting:
            return
        hurry = asyncio.create_task(self._hurry.wait(), name="hurry")
        everything = asyncio.ensure_future(asyncio.wait(waiting))
        await asyncio.wait(
            [everything, hurry], timeout=self._stage_deadline_seconds, return_when=asyncio.FIRST_COMPLETED
        )
        hurry.cancel()
        late = [task for task in waiting if not task.done()]
        if late:
            _log.error("stage_cut_short", stage=stage.name, tasks=sorted(task.get_name() for task in late))
            for task in late:
                task.cancel()
            await asyncio.wait(late, timeout=1.0)
        everything.cancel()

    async def _close(self, name: str, close: Callable[[], Awaitable[None]]) -> None:
        closing = asyncio.ensure_future(close())
        await asyncio.wait([closing], timeout=self._stage_deadline_seconds)
        if not closing.done():
            closing.cancel()
            _log.error("close_cut_short", name=name)
        elif (error := closing.exception()) is not None:
            _log.error("close_failed", name=name, exc_info=error)
            self._death = self._death or TaskDied(f"closing {name}", error)
