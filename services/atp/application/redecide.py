"""Re-decision: whenever quantity was freed, the item's backorders are served, by portions, in turn with new orders.

It is woken by the transactions that mark positions, in whichever process, and looks again from time to time. Several
processes may do it at once: portions of one item wait for each other's locks, and a late one finds nothing to do. In a
replay's intake phase nothing is served; the marks stay until the settle phase.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from services.atp.application.commands import BackordersServed, Origin, ServeBackorders
from services.atp.application.engine import Engine, Stopped
from services.atp.application.ports import MarkedItem
from services.atp.application.side_work import SideWork, is_failure
from services.chassis.database import DatabaseError
from services.chassis.ids import new_id

PORTION_LINES_MAX: Final = 200  # more would hold the locks for longer than a new order should wait
ITEMS_AT_ONCE_MAX: Final = 500  # a round; small portions share transactions
_log = structlog.get_logger(__name__)

MarkedItems = Callable[[int, int], Awaitable[list[MarkedItem]]]
"""Up to so many items, oldest mark first, lines counted up to so many; none in the intake phase of a replay."""


class Redecision(SideWork):
    """The side task."""

    def __init__(self, engine: Engine, marked_items: MarkedItems, *, poll_seconds: float) -> None:
        super().__init__(engine, "redecision", poll_seconds=poll_seconds)
        self._marked_items = marked_items

    async def _round(self) -> bool:
        """One portion of each of the items marked first; whether any of them came further."""
        try:
            items = await self._marked_items(ITEMS_AT_ONCE_MAX, PORTION_LINES_MAX)
            futures = await self._submit([_portion(item) for item in items])
        except (DatabaseError, Stopped) as error:
            _log.warning("redecision_postponed", cause=repr(error))
            return False
        answers = await asyncio.gather(*futures, return_exceptions=True)
        for item, answer in zip(items, answers, strict=True):
            if is_failure(answer):
                _log.error("redecision_failed", item=item.item_id, error=repr(answer))  # the engine logged its trace
        return any(isinstance(answer, BackordersServed) and _went_on(answer) for answer in answers)


def _portion(item: MarkedItem) -> ServeBackorders:
    cause = str(new_id())
    return ServeBackorders(item.item_id, Origin(cause, cause), PORTION_LINES_MAX, max(1, item.lines))


def _went_on(answer: BackordersServed) -> bool:
    return answer.finished or answer.considered > 0 or answer.reranked
