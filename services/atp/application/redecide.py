"""Re-decision: whenever quantity was freed, those who wait are served, by portions, in turn with new orders.

It is woken by the transactions that mark positions, in whichever process, and looks again from time to time. All items
that are marked are served together, in one order of service, in rounds until nothing is marked: what a round frees is
marked for the next. Several processes may do it at once: portions of one item wait for each other's locks, and a late
one finds nothing to do. In a replay's intake phase nothing is served; the marks stay until the settle phase.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import structlog

from services.atp.application.commands import BackordersServed, Origin, ServeBackorders
from services.atp.application.engine import Engine, Stopped
from services.atp.application.side_work import SideWork, is_failure
from services.atp.application.waiting_lines import MarkedItem
from services.chassis.database import DatabaseError
from services.chassis.ids import new_id

PORTION_LINES_MAX: Final = 200  # more would hold the locks for longer than a new order should wait
PORTION_LINES_MIN: Final = 10  # less would be more looking than serving
PORTION_SECONDS_MAX: Final = 0.020  # of deciding under locks; a portion that took longer is followed by a smaller one
ITEMS_AT_ONCE_MAX: Final = 200  # of one round; the next lines of each are read, to find the first of all
_log = structlog.get_logger(__name__)

MarkedItems = Callable[[int, int], Awaitable[list[MarkedItem]]]
"""Up to so many items, oldest mark first, lines counted up to so many; none in the intake phase of a replay."""


class Redecision(SideWork):
    """The side task."""

    def __init__(self, engine: Engine, marked_items: MarkedItems, *, poll_seconds: float) -> None:
        super().__init__(engine, "redecision", poll_seconds=poll_seconds)
        self._marked_items = marked_items
        self._portion = PORTION_LINES_MAX
        self._apart = False  # each item alone: together they failed, and one that fails must not hold up the others

    async def _round(self) -> bool:
        """One portion over the items marked first; whether it came further."""
        try:
            items = await self._marked_items(ITEMS_AT_ONCE_MAX, self._portion)
            groups = [[item] for item in items] if self._apart else [items] if items else []
            futures = await self._submit([portion_of(group, self._portion) for group in groups])
        except (DatabaseError, Stopped) as error:
            _log.warning("redecision_postponed", cause=repr(error))
            return False
        answers = await asyncio.gather(*futures, return_exceptions=True)
        failed = [group for group, answer in zip(groups, answers, strict=True) if is_failure(answer)]
        for group in failed:
            _log.error("redecision_failed", items=[item.item_id for item in group])  # the engine logged its trace
        retried, self._apart = bool(failed) and not self._apart, bool(failed)
        served = [answer for answer in answers if isinstance(answer, BackordersServed)]
        for answer in served:
            self._portion = next_portion(self._portion, answer)
        return retried or any(answer.finished or answer.considered > 0 or answer.reranked for answer in served)


def portion_of(items: Sequence[MarkedItem], lines: int) -> ServeBackorders:
    """The command for the next portion over marked items."""
    cause = str(new_id())
    waiting = min(lines, sum(item.lines for item in items))
    return ServeBackorders(tuple(item.item_id for item in items), Origin(cause, cause), lines, max(1, waiting))


def next_portion(lines: int, answer: BackordersServed) -> int:
    """How many lines the next portion has, so that none decides for longer than `PORTION_SECONDS_MAX` under locks."""
    if answer.seconds > PORTION_SECONDS_MAX:
        return max(PORTION_LINES_MIN, lines // 2)
    if answer.considered == lines and answer.seconds < PORTION_SECONDS_MAX / 2:
        return min(PORTION_LINES_MAX, lines * 2)
    return lines
