"""Whether a service has nothing left to do, told as soon as that is so, instead of asked for again and again.

A look costs some reads of the database and questions to the event log. So whoever waits is woken by what was done in
this process (`Stir`), and looks again from time to time for what other processes of the service did.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Query

from services.chassis.auth import Principal, require
from services.chassis.event_log.port import EventLogError
from services.chassis.lifecycle import Quiet

REPLAY_SCOPE: Final = "replay.drive"
WAIT_SECONDS_MAX: Final = 5.0  # half of a request's deadline: the look at the end needs some time too
LOOK_SECONDS: Final = 0.25  # between looks that nothing in this process asked for
GAP_SECONDS: Final = 0.002  # after a look: what is done in the meantime is seen by one more

Look = Callable[[], Awaitable[Quiet]]
Left = Callable[[], Awaitable[tuple[int, dict[str, int]]]]
Unread = Callable[[], Awaitable[Mapping[str, int]]]
Driver = Annotated[Principal, Depends(require(REPLAY_SCOPE))]
Wait = Annotated[
    float,
    Query(ge=0, le=WAIT_SECONDS_MAX, description="answer as soon as all is quiet, or else after so many seconds"),
]


class Stir:
    """Tells those who wait that something was done in this process; `tell` costs nothing while nobody does."""

    def __init__(self) -> None:
        self._waiting: set[asyncio.Future[None]] = set()

    def tell(self) -> None:
        """Something was done: a commit, a batch of events taken or sent."""
        for waiting in self._waiting:
            if not waiting.done():
                waiting.set_result(None)

    def coming(self) -> "asyncio.Future[None]":
        """Done with the next `tell`."""
        waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.add(waiting)
        waiting.add_done_callback(self._waiting.discard)
        return waiting


async def look_twice(left: Left, unread: Unread) -> Quiet:
    """One look at a service: `left` tells its activity and what its tables have left, `unread` what the log has.

    The log is asked last, since that takes longest; what was read of it meanwhile shows in a second look at the tables.
    A log that cannot be reached is something left: nobody can say that there is nothing.
    """
    activity, pending = await left()
    if any(pending.values()):
        return Quiet(quiet=False, activity=activity, pending=pending)
    try:
        waiting = await unread()
    except EventLogError:
        return Quiet(quiet=False, activity=activity, pending={"log_unreachable": 1})
    activity, pending = await left()
    pending = {**pending, **waiting}
    return Quiet(quiet=not any(pending.values()), activity=activity, pending=pending)


async def when_quiet(look: Look, stir: Stir, seconds: float) -> Quiet:
    """The first look that finds all quiet, or the last one before so many seconds are over."""
    clock = asyncio.get_running_loop().time
    end = clock() + seconds
    while True:
        stirred = stir.coming()  # before the look, so that nothing done during it is missed
        try:
            found = await look()
            left = end - clock()
            if found.quiet or left <= 0:
                return found
            await asyncio.wait([stirred], timeout=min(LOOK_SECONDS, left))
        finally:
            stirred.cancel()
        await asyncio.sleep(GAP_SECONDS)


def quiet_route(look: Look, stir: Stir) -> APIRouter:
    """The route that the driver of a replay asks."""
    router = APIRouter(tags=["internal"])

    @router.get("/internal/quiet", summary="Whether nothing is left to do, for the driver of a replay")
    async def get_quiet(_: Driver, wait_seconds: Wait = 0.0) -> dict[str, Any]:
        return (await when_quiet(look, stir, wait_seconds)).document()

    return router
