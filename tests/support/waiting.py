"""Waiting in a test for something that has no event to wait for, with a deadline."""

import asyncio
from collections.abc import Awaitable, Callable

DEADLINE_SECONDS = 120.0
LOOK_SECONDS = 0.002


async def until(holds: Callable[[], bool | Awaitable[bool]], *, seconds: float = DEADLINE_SECONDS) -> None:
    """Return as soon as the condition holds; TimeoutError if it does not in time."""
    async with asyncio.timeout(seconds):
        while True:
            outcome = holds()
            if outcome if isinstance(outcome, bool) else await outcome:
                return
            await asyncio.sleep(LOOK_SECONDS)
