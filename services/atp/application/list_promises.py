"""Lists of promises, the newest first, and of what needs somebody's attention."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple, Protocol
from uuid import UUID

from services.atp.domain.model import Day

SCANNED_MAX: Final = 20_000  # promises looked at for one page; some 100 ms
EXCEPTION_KINDS: Final = (
    "deficit",
    "at_risk",
    "past_due",
    "expiring_hold",
    "ageing_backorder",
    "overbooked",
    "unmet",
    "set_aside",
)


@dataclass(frozen=True, slots=True)
class PromisesAsked:
    """Which promises are asked for; None asks for all. `channels` are those that the caller may see.

    `customer` is (system, id); "tiercel" is the registry's own id. Days are those of arrival, as promised.
    """

    source: str | None = None
    order_id: str | None = None
    customer: tuple[str, str] | None = None
    item_id: str | None = None
    states: Sequence[str] | None = None
    tier: str | None = None
    arrival_from: Day | None = None
    arrival_to: Day | None = None
    channels: Sequence[str] | None = None


@dataclass(frozen=True, slots=True)
class PromisePage:
    """The documents, and where the next page begins; None: there is none. A page may be short, or empty."""

    documents: Sequence[bytes]
    after: UUID | None


class ExceptionPlace(NamedTuple):
    """The place of an exception in the list: best tier first, then by criticality, kind, day and what makes it total.

    `criticality_rank` 1 is vital, 4 what nobody has told.
    """

    priority_rank: int
    criticality_rank: int
    kind: int
    day: Day
    promise_id: UUID
    line: str
    part: int


@dataclass(frozen=True, slots=True)
class ExceptionFound:
    """Something that needs attention. `day` is what it is measured by: see the routes' documents."""

    place: ExceptionPlace
    kind: str
    tier: str
    source: str | None
    order_id: str | None
    item_id: str | None
    location_id: str | None
    quantity: int | None
    day: Day
    at: datetime | None
    cause: str | None
    criticality: str | None


@dataclass(frozen=True, slots=True)
class ExceptionsAsked:
    """Which exceptions are asked for, as of a day; ages and windows in days and hours."""

    kinds: Sequence[str]
    tier: str | None
    item_id: str | None
    hold_hours: int
    backorder_days: int
    channels: Sequence[str] | None = None


class PromiseLists(Protocol):
    """What the routes ask."""

    async def page(self, asked: PromisesAsked, after: UUID | None, limit: int) -> PromisePage:
        """Promises, the newest first, older than one."""
        ...

    async def exceptions(
        self, asked: ExceptionsAsked, after: ExceptionPlace | None, limit: int
    ) -> list[ExceptionFound]:
        """Exceptions in their order, after a place."""
        ...
