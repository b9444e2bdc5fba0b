"""Whether there is anything left to do: what the driver of a replay waits for."""

from dataclasses import dataclass
from typing import Final

from services.reclassifier.application.ports import ReclassifierReader

COUNTED_MAX: Final = 10_000  # beyond that the exact number says no more


@dataclass(frozen=True, slots=True)
class Backlog:
    """What is left to do as far as the database knows, and a count of everything ever done."""

    activity: int
    customers_due: int
    looks_due: int
    events_unpublished: int


async def backlog(reader: ReclassifierReader) -> Backlog:
    """Customers that wait for a replay to settle are no backlog while it collects."""
    waiting = (0, 0)
    if not await reader.collecting():
        waiting = await reader.customers_due(COUNTED_MAX), await reader.looks_due(COUNTED_MAX)
    return Backlog(await reader.activity(), *waiting, await reader.events_unpublished())
