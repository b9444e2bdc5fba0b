"""Applying a batch of which one event may be poison.

    apply ──ok──▶ done
      │ the surroundings failed: wait and again, until it works or the consumer is stopped
      │ the batch failed: again a few times, then
      ├─ one event ──▶ rejected, code `handler_failed`
      └─ several ──▶ the first half, then the second half, each as above

Halves go one after the other, so what follows a poison event of the same key is applied after it was set aside.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import structlog

from services.chassis.database import Retry
from services.chassis.deliveries import Delivery, Rejected, is_operational

HANDLER_FAILED: Final = "handler_failed"

_log = structlog.get_logger(__name__)


class Interrupted(Exception):  # noqa: N818 - says what happened
    """The consumer was asked to stop while a batch could not be applied; nothing of it may be committed."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long one call may take, how often a batch is tried before it is halved, and how long to wait between."""

    handler_seconds: float = 60.0  # above the database's own time-outs, which come with better errors
    retry: Retry = field(default_factory=lambda: Retry(attempts_max=3, pause_first_seconds=0.1, pause_max_seconds=5.0))


class Isolation:
    """Applies batches through a handler."""

    def __init__(
        self,
        handler: Callable[[Sequence[Delivery]], Awaitable[Sequence[Rejected]]],
        stop: asyncio.Event,
        *,
        name: str,
        patience: Patience,
        retried: Callable[[], None],
    ) -> None:
        """`retried` is called before each further attempt."""
        self._handler = handler
        self._stop = stop
        self._name = name
        self._patience = patience
        self._retried = retried

    async def apply(self, batch: Sequence[Delivery]) -> list[Rejected]:
        """Apply the batch; what can never be applied is returned, with its index in this batch.

        Raises:
            Interrupted: `stop` was set before it could be applied.
        """
        attempt, failed = 0, 0
        while True:
            attempt += 1
            try:
                async with asyncio.timeout(self._patience.handler_seconds):
                    return list(await self._handler(batch))
            except Exception as error:  # noqa: BLE001 - the edge: whatever a handler raises is decided here
                failed += not is_operational(error)
                self._report(error, batch, attempt)
                if failed >= self._patience.retry.attempts_max:
                    return await self._halve(batch, error)
            await self._pause(attempt)

    async def _halve(self, batch: Sequence[Delivery], error: Exception) -> list[Rejected]:
        if len(batch) == 1:
            received = batch[0].received
            place = {"topic": received.record.topic, "partition": received.partition, "offset": received.offset}
            _log.error("event_failed", consumer=self._name, **place, exc_info=error)
            # Only the name: an error's text may hold the payload.
            return [Rejected(0, HANDLER_FAILED, type(error).__name__)]
        middle = len(batch) // 2
        first = await self.apply(batch[:middle])
        second = await self.apply(batch[middle:])
        return first + [replace(rejected, index=rejected.index + middle) for rejected in second]

    async def _pause(self, attempt: int) -> None:
        self._retried()
        try:
            async with asyncio.timeout(self._patience.retry.pause_seconds(attempt)):
                await self._stop.wait()
        except TimeoutError:
            return
        raise Interrupted

    def _report(self, error: Exception, batch: Sequence[Delivery], attempt: int) -> None:
        first = batch[0].received
        _log.warning(
            "batch_failed",
            consumer=self._name,
            attempt=attempt,
            events=len(batch),
            topic=first.record.topic,
            partition=first.partition,
            offset=first.offset,
            error=repr(error),
        )
