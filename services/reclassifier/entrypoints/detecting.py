"""The task that looks for customers served beside their tier and for ways around the rules."""

import asyncio
from datetime import timedelta
from time import perf_counter
from typing import Final

import structlog

from services.chassis.database import DatabaseError
from services.reclassifier.application.detect import Look, detect
from services.reclassifier.application.ports import Transactions
from services.reclassifier.domain.detections import Limits
from services.reclassifier.metrics import ReclassifierMetrics

POLL_SECONDS: Final = 30.0  # how often it is asked whether it is time; a look that is due is never urgent

_log = structlog.get_logger(__name__)


class Detecting:
    """Looks whenever `every` has passed since anybody looked, by business time."""

    def __init__(
        self,
        transactions: Transactions,
        metrics: ReclassifierMetrics,
        limits: Limits,
        every: timedelta,
        *,
        poll_seconds: float = POLL_SECONDS,
    ) -> None:
        self._transactions = transactions
        self._metrics = metrics
        self._limits = limits
        self._every = every
        self._poll_seconds = poll_seconds

    async def run(self, stop: asyncio.Event) -> None:
        """Look until `stop` is set; a database that is away is asked again."""
        while not stop.is_set():
            try:
                await self.look()
            except DatabaseError as error:
                _log.warning("detection_left_for_next_round", cause=repr(error))
            try:
                async with asyncio.timeout(self._poll_seconds):
                    await stop.wait()
            except TimeoutError:
                continue

    async def look(self) -> Look | None:
        """Look if it is time, and show how much stands, whoever looked last."""
        began = perf_counter()
        look = await self._transactions.run(
            lambda transaction: detect(transaction, self._limits, self._every), label="detect"
        )
        if look is not None:
            self._metrics.detection_seconds.observe(perf_counter() - began)
        standing = await self._transactions.read(lambda reader: reader.standing_detections())
        for kind, count in standing.items():
            self._metrics.detections.at(kind.value).set(count)
        return look
