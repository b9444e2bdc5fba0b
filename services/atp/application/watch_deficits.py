"""Looks at positions where somebody may go short, one after another, as they are asked for.

It is woken by the transactions that ask, in whichever process, and looks again from time to time, which is also how the
start of a day is noticed. Several processes may do it at once: they wait for each other's locks, and a late one finds
nothing to do.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from services.atp.application.commands import Applied, Origin
from services.atp.application.engine import Engine, Stopped
from services.atp.application.ports import CommitLost, Unavailable
from services.atp.application.queues import Lane
from services.atp.application.review_deficits import ReviewDeficits
from services.atp.domain.model import PositionKey
from services.chassis.database import DatabaseError
from services.chassis.ids import new_id
from services.contracts.risks import RiskCause

POSITIONS_AT_ONCE_MAX: Final = 200  # a round
_log = structlog.get_logger(__name__)

AskedReviews = Callable[[int], Awaitable[list[tuple[PositionKey, RiskCause]]]]
"""Up to so many positions to look at, with why."""


class DeficitWatch:
    """The side task. `wake` may be called from anywhere in the process."""

    def __init__(self, engine: Engine, asked: AskedReviews, *, poll_seconds: float) -> None:
        self._engine = engine
        self._asked = asked
        self._poll_seconds = poll_seconds
        self._woken = asyncio.Event()

    def wake(self, _payload: str = "") -> None:
        """Look for positions soon."""
        self._woken.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Review until `stop` is set."""
        stopping = asyncio.create_task(stop.wait(), name="deficits: stop")
        stopping.add_done_callback(lambda _: self._woken.set())
        try:
            while not stop.is_set():
                self._woken.clear()
                if not await self._round():
                    await self._rest()
        finally:
            stopping.cancel()

    async def _round(self) -> bool:
        """One portion of each of the positions; whether any of them came further."""
        try:
            asked = await self._asked(POSITIONS_AT_ONCE_MAX)
            futures = [await self._engine.submit_in_turn(Lane.REDECIDE, _review(key, cause)) for key, cause in asked]
        except (DatabaseError, Stopped) as error:
            _log.warning("deficit_reviews_postponed", cause=repr(error))
            return False
        answers = await asyncio.gather(*futures, return_exceptions=True)
        for (key, _), answer in zip(asked, answers, strict=True):
            if isinstance(answer, Exception) and not isinstance(answer, Unavailable | CommitLost):
                _log.error("deficit_review_failed", item=key.item_id, location=key.location_id, error=repr(answer))
        return any(isinstance(answer, Applied) for answer in answers)

    async def _rest(self) -> None:
        try:
            async with asyncio.timeout(self._poll_seconds):
                await self._woken.wait()
        except TimeoutError:
            return


def _review(key: PositionKey, cause: RiskCause) -> ReviewDeficits:
    reference = str(new_id())
    return ReviewDeficits(key, cause, Origin(reference, reference))
