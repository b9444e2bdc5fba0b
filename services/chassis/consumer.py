"""The consumer loop: takes records of a group in batches to a handler, and never loses or skips one silently."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from services.chassis.envelope import Event
from services.chassis.event_log.port import EventLog, Received


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event to handle, and where it was read."""

    event: Event
    received: Received


@dataclass(frozen=True, slots=True)
class Rejected:
    """A delivery that can never be handled: its place in the batch, a stable code, and what a person needs to know."""

    index: int
    code: str
    detail: str


class Handler(Protocol):
    """Applies a batch, in order, and returns the deliveries that can never be handled.

    When it returns, everything else is durably applied. It is called again with events that it has seen (the inbox
    knows them) and with parts of a batch that failed. A rejected event must leave no inbox row behind, or its replay
    from the dead letters would be taken for a duplicate. It raises when it could not do its work.
    """

    async def __call__(self, batch: Sequence[Delivery]) -> Sequence[Rejected]:
        """Apply the batch."""
        ...


class ConsumerRunner:
    """Runs a handler over the topics of a group until it is told to stop."""

    def __init__(
        self,
        log: EventLog,
        group: str,
        topics: Sequence[str],
        handler: Handler,
        *,
        batch_max: int = 500,
        dead_letters: Callable[[str], str],
        metrics: object,
    ) -> None:
        raise NotImplementedError

    async def run(self, stop: asyncio.Event) -> None:
        """Consume until `stop` is set."""
        raise NotImplementedError
