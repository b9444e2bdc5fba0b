"""Knows when the services have nothing left to do.

All is quiet when two rounds over the three services find each of them quiet and none of them busy in between: what one
round could have missed (an event on its way from one service to the next) the second one sees as activity.
"""

import asyncio
from datetime import datetime
from typing import Any, Final

from tiercel.demo.channels import ReplayFailedError, ServiceClients

SETTLE_SECONDS_MAX: Final = 300.0
PAUSE_SECONDS_FIRST: Final = 0.01
PAUSE_SECONDS_MAX: Final = 0.05
SERVICES: Final = ("atp", "segment_registry", "reclassifier")


async def set_time(clients: ServiceClients, at: datetime, phase: str, step: int) -> None:
    """Move the business time of all services and set the phase of the step."""
    body = {"at": at.isoformat(), "phase": phase, "step": step}
    await clients.call("atp", "PUT", "/internal/replay", body)


async def settled(clients: ServiceClients) -> None:
    """Return when all is quiet; `ReplayFailedError` with what is pending if that takes too long."""
    pause, before = PAUSE_SECONDS_FIRST, None
    last: list[dict[str, Any]] = []
    try:
        async with asyncio.timeout(SETTLE_SECONDS_MAX):
            while True:
                last = await _round(clients)
                now = tuple(found["activity"] for found in last) if last[-1]["quiet"] else None
                if now is not None and now == before:
                    return
                if now is None:
                    await asyncio.sleep(pause)
                    pause = min(PAUSE_SECONDS_MAX, pause * 1.5)
                before = now
    except TimeoutError:
        message = f"the services did not settle in {SETTLE_SECONDS_MAX:.0f} s; pending: {last}"
        raise ReplayFailedError(message) from None


async def _round(clients: ServiceClients) -> list[dict[str, Any]]:
    """Ask one service after the other, up to the first that is not quiet."""
    found: list[dict[str, Any]] = []
    for name in SERVICES:
        found.append(await clients.call(name, "GET", "/internal/quiet"))
        if not found[-1]["quiet"]:
            break
    return found
