"""Work what is due by date, portion after portion, in turn with new requests; then look again from time to time.

Several processes may do it at once: a command that finds its row moved or gone does nothing. In a replay's intake phase
nothing is worked; it waits for the settle phase.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import structlog

from services.atp.application.commands import Command, Origin
from services.atp.application.engine import Engine, Stopped
from services.atp.application.ports import CommitLost, Due, Unavailable
from services.atp.application.side_work import SideWork
from services.chassis.database import DatabaseError
from services.chassis.ids import new_id

PORTION_ROWS_MAX: Final = 200  # as many as a portion of a re-decision: more would hold the locks for too long
_log = structlog.get_logger(__name__)

DueNow = Callable[[int], Awaitable[list[Due]]]
"""Up to so many matters whose time has come, the oldest first; none in the intake phase of a replay."""
Maker = Callable[[tuple[str, ...], Origin], Command]
"""The command for a matter, by its key."""


class DueWork(SideWork):
    """The side task. `makers` has the command of each kind."""

    def __init__(self, engine: Engine, due_now: DueNow, makers: Mapping[str, Maker], *, poll_seconds: float) -> None:
        super().__init__(engine, "due", poll_seconds=poll_seconds)
        self._due_now = due_now
        self._makers = makers

    async def _round(self) -> bool:
        """Work one portion; whether there may be more to do at once."""
        try:
            due = await self._due_now(PORTION_ROWS_MAX)
            known = [each for each in due if each.kind in self._makers]
            futures = await self._submit([self._command(each) for each in known])
        except (DatabaseError, Stopped) as error:
            _log.warning("due_work_postponed", cause=repr(error))
            return False
        answers = await asyncio.gather(*futures, return_exceptions=True)
        failed = [each for each in answers if isinstance(each, BaseException)]
        for failure in failed:
            if not isinstance(failure, Unavailable | CommitLost):
                _log.error("due_work_failed", error=repr(failure))  # the engine logged its trace
        return len(known) == PORTION_ROWS_MAX and not failed

    def _command(self, due: Due) -> Command:
        cause = str(new_id())
        return self._makers[due.kind](due.key, Origin(cause, cause))
