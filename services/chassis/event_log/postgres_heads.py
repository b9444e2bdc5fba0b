"""How far each partition goes, known in memory, so that nobody asks the database whether there is something to read.

What this process publishes is known at once. What another process publishes (a command line tool that replays dead
letters) is seen by one look at the database a few times a second, for all consumers together. NOTIFY would be faster
there and slower everywhere else: transactions that notify commit one after the other.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import structlog

from services.chassis.event_log.port import LogUnavailable, TopicPartition

LOOK_SECONDS: Final = 0.25

_log = structlog.get_logger(__name__)


class Heads:
    """The next offset of each partition, and who waits for more; `look` reads them from the database."""

    def __init__(self, look: Callable[[], Awaitable[Mapping[TopicPartition, int]]]) -> None:
        self._look = look
        self._heads: dict[TopicPartition, int] = {}
        self._waiting: set[asyncio.Future[None]] = set()
        self._failure: LogUnavailable | None = None
        self._watcher: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Look once, then keep looking."""
        self._heads.update(await self._look())
        self._watcher = asyncio.create_task(self._watch(), name="event log: watch for other processes")

    async def stop(self) -> None:
        """Look no more."""
        if self._watcher is not None:
            self._watcher.cancel()
            await asyncio.wait([self._watcher])
            self._watcher = None

    def advance(self, heads: Mapping[TopicPartition, int]) -> None:
        """Partitions go this far now: wake those who wait."""
        grown = {place: offset for place, offset in heads.items() if offset > self._heads.get(place, 0)}
        if not grown:
            return
        self._heads.update(grown)
        for waiter in self._waiting:
            if not waiter.done():
                waiter.set_result(None)

    def behind(self, positions: Mapping[TopicPartition, int]) -> list[TopicPartition]:
        """The partitions with something to read at these positions (also those where the position cannot be).

        Raises:
            LogUnavailable: the database does not answer.
        """
        if self._failure is not None:
            raise self._failure
        return [place for place, position in positions.items() if self._heads.get(place, 0) != position]

    async def changed(self, timeout_seconds: float) -> None:
        """Wait until any partition grew, or the time is over."""
        waiter = asyncio.get_running_loop().create_future()
        self._waiting.add(waiter)
        try:
            await asyncio.wait([waiter], timeout=timeout_seconds)
        finally:
            self._waiting.discard(waiter)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                heads = await self._look()
            except LogUnavailable as error:
                if self._failure is None:
                    _log.warning("event_log_unavailable", cause=repr(error))
                self._failure = error
            else:
                self._failure = None
                self.advance(heads)
