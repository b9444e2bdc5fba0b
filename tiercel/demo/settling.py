"""Knows when the services have nothing left to do.

Each service answers as soon as it is quiet. All is quiet when two rounds find every service quiet and none of them busy
in between: at the moment between the rounds nothing was open anywhere, nor on its way from one service to the next,
which would have been unread in the log at the second look, or seen as activity there.

A starved machine is slow, and no failure: the wait ends only when nothing changes for too long.
"""

import asyncio
import time
from datetime import datetime
from typing import Any, Final

from tiercel.demo.channels import ReplayFailedError, ServiceClients

STUCK_SECONDS_MAX: Final = 600.0  # without any change of what is pending
WAIT_SECONDS: Final = 0.5  # for which a service may hold its answer back: below what its log calls slow
SERVICES: Final = ("atp", "segment_registry", "reclassifier")


async def set_time(clients: ServiceClients, at: datetime, phase: str, step: int) -> None:
    """Move the business time of all services and set the phase of the step."""
    body = {"at": at.isoformat(), "phase": phase, "step": step}
    await clients.call("atp", "PUT", "/internal/replay", body)


async def settled(clients: ServiceClients) -> None:
    """Return when all is quiet; `ReplayFailedError` with what is pending if nothing moves any more."""
    before: list[dict[str, Any]] = []
    moved_at = time.monotonic()
    while True:
        found = await _round(clients)
        if found != before:
            moved_at = time.monotonic()
        elif all(each["quiet"] for each in found):
            return
        elif time.monotonic() - moved_at > STUCK_SECONDS_MAX:
            message = f"the services did not settle, nothing moved for {STUCK_SECONDS_MAX:.0f} s; pending: {found}"
            raise ReplayFailedError(message)
        before = found


async def _round(clients: ServiceClients) -> list[dict[str, Any]]:
    path = f"/internal/quiet?wait_seconds={WAIT_SECONDS}"
    busiest, *others = SERVICES
    found: list[dict[str, Any]] = [await clients.call(busiest, "GET", path)]
    if found[0]["quiet"]:  # before, the others would be asked in vain
        found += await asyncio.gather(*(clients.call(name, "GET", path) for name in others))
    return found
