"""Work that waits for a time: looked for again and again, sooner when somebody wakes it."""

import asyncio
from abc import ABC, abstractmethod
from contextlib import suppress

import structlog

from services.chassis.database import DatabaseError

_log = structlog.get_logger(__name__)


class Rounds(ABC):
    """One round after another; a database that is away is asked again in the next one."""

    def __init__(self, *, poll_seconds: float) -> None:
        self._poll_seconds = poll_seconds
        self._woken = asyncio.Event()

    @abstractmethod
    async def settle(self) -> None:
        """Do what is there to be done now."""

    def wake(self, _payload: str = "") -> None:
        """Look soon: the replay has moved."""
        self._woken.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Look again and again until `stop` is set."""
        name = type(self).__name__
        stopping = asyncio.create_task(stop.wait(), name=f"{name}: stop")
        stopping.add_done_callback(lambda _: self._woken.set())
        try:
            while not stop.is_set():
                await self._round(name)
        finally:
            stopping.cancel()

    async def _round(self, name: str) -> None:
        self._woken.clear()
        try:
            await self.settle()
        except DatabaseError as error:
            _log.warning("left_for_next_round", work=name, cause=repr(error))
        with suppress(TimeoutError):
            async with asyncio.timeout(self._poll_seconds):
                await self._woken.wait()
