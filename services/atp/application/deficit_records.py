"""What is open at a position and who goes short there, as it is read and stored."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

from services.atp.application.content import OrderKey
from services.atp.domain.model import Day, Position, PositionKey
from services.contracts.risks import RiskCause

ANY_REQUEST: Final = 0  # whichever there is: where nobody else asks


class AskedReview(NamedTuple):
    """A position to look at. `request` is another number once it has been asked for again."""

    key: PositionKey
    cause: RiskCause
    request: int


@dataclass(frozen=True, slots=True)
class PartKey:
    """A part of a line of a promise."""

    promise_id: UUID
    line: str
    part: int

    @property
    def place(self) -> tuple[UUID, str, int]:
        """What it is sorted by."""
        return self.promise_id, self.line, self.part


@dataclass(frozen=True, slots=True)
class OpenPart:
    """What is committed at a position and not shipped.

    `requested` is the day as text, which sorts as days do; it is empty where only the stored deficit is known.
    `assumed`: it was promised beyond the checking horizon.
    """

    name: PartKey
    order: OrderKey
    customer_id: str | None
    tier: str
    requested: str
    ordered_at: datetime
    promised: int
    open: int
    available_day: Day
    ship_day: Day
    arrival_day: Day
    assumed: bool = False


@dataclass(frozen=True, slots=True)
class StoredDeficit:
    """A deficit as it is listed; `since` is when the part was first found short, `cause` what brought it about."""

    part: OpenPart
    key: PositionKey
    quantity: int
    covered_on: Day | None
    cause: RiskCause
    since: datetime

    def differs(self, other: "StoredDeficit | None") -> bool:
        """Whether subscribers have to be told."""
        return other is None or (self.quantity, self.covered_on) != (other.quantity, other.covered_on)


@dataclass(frozen=True, slots=True)
class Look:
    """A position with all that is open there, and the deficits that are stored."""

    position: Position
    open: Sequence[OpenPart]
    transfers: Sequence[tuple[str, Day, int]]
    stored: Mapping[PartKey, StoredDeficit]
