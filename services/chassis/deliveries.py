"""What a consumer is given, what it answers, and which failures say nothing about what it was given."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from services.chassis.database import CommitUnknown, DatabaseUnavailable, StillInConflict
from services.chassis.envelope import Event
from services.chassis.event_log.port import EventLogError, Received


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


def is_operational(error: BaseException) -> bool:
    """Whether a failure is the surroundings' (a server is away, a time is over) and no event's.

    A commit whose answer was lost counts too: the batch is applied again, and the inbox knows whether it was.
    """
    operational = (DatabaseUnavailable, StillInConflict, CommitUnknown, EventLogError, OSError, TimeoutError)
    return isinstance(error, operational)
