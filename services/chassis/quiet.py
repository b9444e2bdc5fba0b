"""Whether a service has nothing left to do, told as soon as that is so, instead of asked for again and again.

A look costs some reads of the database and questions to the event log. So whoever waits is woken by what was done in
this process (`Stir`), and looks again from time to time for what other processes of the service did.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Query

from services.chassis.auth import Principal, require
from services.chassis.lifecycle import Quiet

REPLAY_SCOPE: Final = "replay.drive"
WAIT_SECONDS_MAX: Final = 5.0  # half of a request's deadline: the look at the end needs some time too
LOOK_SECONDS: Final = 0.25  # between looks that nothing in this process asked for
GAP_SECONDS: Final = 0.002  # after a look: what is done in the meantime is seen by one more

Look = Callable[[], Awaitable[Quiet]]
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
