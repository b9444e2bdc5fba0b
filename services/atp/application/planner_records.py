"""What is kept of planners' acts, and how it is read."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple, Protocol
from uuid import UUID

from services.atp.domain.model import Day, PositionKey


@dataclass(frozen=True, slots=True)
class Planner:
    """Who acts and why. `through`: the last day on which it holds; None for what is done once."""

    actor: str
    reason: str
    through: Day | None = None


class PlannerAction(NamedTuple):
    """An act as it is kept. `details` are JSON values."""

    action_id: UUID
    kind: str
    planner: Planner
    at: datetime
    promise_id: UUID | None
    position: PositionKey | None
    details: dict[str, Any]


@dataclass(frozen=True, slots=True)
class ActionsAsked:
    """Which acts are asked for; None asks for all."""

    promise_id: UUID | None = None
    item_id: str | None = None
    actor: str | None = None


class StoppedPosition(NamedTuple):
    """A position that no promise is made from, through a day; by whom, when and why."""

    key: PositionKey
    through: Day
    reason: str
    actor: str
    at: datetime


class PlanningReader(Protocol):
    """What the routes ask."""

    async def actions(self, asked: ActionsAsked, after: UUID | None, limit: int) -> list[PlannerAction]:
        """Acts, the newest first, older than one."""
        ...

    async def stops(self, after: PositionKey, limit: int) -> list[StoppedPosition]:
        """Stopped positions, by item and location, after one."""
        ...
