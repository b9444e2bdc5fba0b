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
from services.atp.application.deficit_records import AskedReview
from services.atp.application.engine import Engine, Stopped
from services.atp.application.review_deficits import ReviewDeficits
from services.atp.application.side_work import SideWork, is_failure
from services.chassis.database import DatabaseError
from services.chassis.ids import new_id

POSITIONS_AT_ONCE_MAX: Final = 200  # a round
_log = structlog.get_logger(__name__)

AskedReviews = Callable[[int], Awaitable[list[AskedReview]]]
"""Up to so many positions to look at, with why."""


class DeficitWatch(SideWork):
    """The side task."""

    def __init__(self, engine: Engine, asked: AskedReviews, *, poll_seconds: float) -> None:
        super().__init__(engine, "deficits", poll_seconds=poll_seconds)
        self._asked = asked

    async def _round(self) -> bool:
        """One portion of each of the positions; whether any of them came further."""
        try:
            asked = await self._asked(POSITIONS_AT_ONCE_MAX)
            futures = await self._submit([_review(each) for each in asked])
        except (DatabaseError, Stopped) as error:
            _log.warning("deficit_reviews_postponed", cause=repr(error))
            return False
        answers = await asyncio.gather(*futures, return_exceptions=True)
        for (key, _, _), answer in zip(asked, answers, strict=True):
            if is_failure(answer):
                _log.error("deficit_review_failed", item=key.item_id, location=key.location_id, error=repr(answer))
        return any(isinstance(answer, Applied) for answer in answers)


def _review(asked: AskedReview) -> ReviewDeficits:
    reference = str(new_id())
    return ReviewDeficits(asked.key, asked.cause, Origin(reference, reference), asked.request)
