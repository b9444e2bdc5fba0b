"""A table kept up to date from topics that every process reads whole, with the offsets stored beside it."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from services.chassis.consumer import Delivery
from services.chassis.event_log.port import EventLog


class ProjectionRunner:
    """Applies the events of whole topics to tables, offsets in the same transaction."""

    def __init__(
        self,
        log: EventLog,
        topics: Sequence[str],
        database: Any,
        apply: Callable[[Any, Sequence[Delivery]], Awaitable[None]],
        *,
        name: str,
        metrics: object,
        heartbeat_type: str | None = None,
    ) -> None:
        raise NotImplementedError

    async def catch_up(self) -> None:
        """Return when everything that was in the topics at the call is applied."""
        raise NotImplementedError

    async def run(self, stop: asyncio.Event) -> None:
        """Follow the topics until `stop` is set."""
        raise NotImplementedError
