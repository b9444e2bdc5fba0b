"""Begin runs whose moment has come and take those that go on further, portion after portion, in turn with new requests.

Several processes may do it at once: a run is begun once, and portions of one wait for each other's lock. A run of which
a portion fails time and again, also with the fewest lines, has failed: it is ended, and what it did stays.
"""

import asyncio
from collections.abc import Callable
from typing import Final
from uuid import UUID

import structlog

from services.atp.application.commands import BackordersServed, Origin
from services.atp.application.continue_run import ContinueRun
from services.atp.application.engine import Engine, Stopped
from services.atp.application.redecide import PORTION_LINES_MAX, PORTION_LINES_MIN, next_portion
from services.atp.application.runs import Runs, RunsStanding
from services.atp.application.side_work import SideWork, is_failure
from services.chassis.database import DatabaseError
from services.chassis.ids import new_id

FAILURES_MAX: Final = 3  # of one run in a row; all but the first with the fewest lines
_log = structlog.get_logger(__name__)


class RunWork(SideWork):
    """The side task. `show` is told after each round how runs stand."""

    def __init__(
        self, engine: Engine, runs: Runs, show: Callable[[RunsStanding], None], *, poll_seconds: float
    ) -> None:
        super().__init__(engine, "runs", poll_seconds=poll_seconds)
        self._runs = runs
        self._show = show
        self._portion = PORTION_LINES_MAX
        self._failures: dict[UUID, int] = {}

    async def _round(self) -> bool:
        """One portion of every run; whether there may be more to do at once."""
        try:
            begun = await self._runs.begin_due()
            running = await self._runs.running()
            self._failures = {run_id: self._failures.get(run_id, 0) for run_id in running}
            futures = await self._submit([self._command(run_id) for run_id in running])
            answers = await asyncio.gather(*futures, return_exceptions=True)
            for run_id, answer in zip(running, answers, strict=True):
                await self._note(run_id, answer)
            self._show(await self._runs.standing())
        except (DatabaseError, Stopped) as error:
            _log.warning("runs_postponed", cause=repr(error))
            return False
        came = [each for each in answers if isinstance(each, BackordersServed)]
        return begun > 0 or any(each.finished or each.considered for each in came) or any(map(is_failure, answers))

    def _command(self, run_id: UUID) -> ContinueRun:
        cause = str(new_id())
        lines = PORTION_LINES_MIN if self._failures[run_id] else self._portion
        return ContinueRun(run_id, Origin(cause, cause), lines)

    async def _note(self, run_id: UUID, answer: object) -> None:
        if isinstance(answer, BackordersServed):
            self._failures[run_id] = 0
            self._portion = next_portion(self._portion, answer)
        elif is_failure(answer):
            self._failures[run_id] += 1
            _log.error("run_portion_failed", run_id=str(run_id))  # the engine logged its trace
            if self._failures[run_id] >= FAILURES_MAX:
                await self._runs.fail(run_id, type(answer).__name__)
