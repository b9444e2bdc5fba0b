"""What side tasks of the engine share: rounds of work, one after another while there is any, then rest until woken.

Whoever wakes one may do it from anywhere in the process; the poll makes sure that a lost wake-up only delays.
"""

import asyncio
from collections.abc import Sequence

from services.atp.application.commands import Command, Outcome
from services.atp.application.engine import Engine
from services.atp.application.ports import CommitLost, Unavailable
from services.atp.application.queues import Lane


class SideWork:
    """A side task; a subclass says in `_round` what is done."""

    def __init__(self, engine: Engine, name: str, *, poll_seconds: float) -> None:
        self._engine = engine
        self._name = name
        self._poll_seconds = poll_seconds
        self._woken = asyncio.Event()

    def wake(self, _payload: str = "") -> None:
        """Look for work soon."""
        self._woken.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set."""
        stopping = asyncio.create_task(stop.wait(), name=f"{self._name}: stop")
        stopping.add_done_callback(lambda _: self._woken.set())
        try:
            while not stop.is_set():
                self._woken.clear()
                if not await self._round():
                    await self._rest()
        finally:
            stopping.cancel()

    async def _round(self) -> bool:
        """Do some work; whether there may be more to do at once."""
        raise NotImplementedError

    async def _submit(self, commands: Sequence[Command]) -> "list[asyncio.Future[Outcome]]":
        """Submit commands in turn with new requests. Raises Stopped."""
        return [await self._engine.submit_in_turn(Lane.REDECIDE, command) for command in commands]

    async def _rest(self) -> None:
        try:
            async with asyncio.timeout(self._poll_seconds):
                await self._woken.wait()
        except TimeoutError:
            return


def is_failure(answer: object) -> bool:
    """Whether an answer is an error that another round does not mend by itself."""
    return isinstance(answer, Exception) and not isinstance(answer, Unavailable | CommitLost)
