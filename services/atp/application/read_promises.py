"""Reading promises: as they are, as they were, and the record of their decisions. They are as fresh as the database."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from services.atp.application.content import OrderKey
from services.atp.application.documents import iso
from services.atp.domain.model import Day
from services.contracts.risks import RiskCause


@dataclass(frozen=True, slots=True)
class StoredPromise:
    """A promise as stored: its order, its channel (who may see it), and the bytes that were answered.

    `taken_over`: another system gave it, and its open order was taken over.
    """

    promise_id: UUID
    key: OrderKey
    channel: str
    revision: int
    document: bytes
    taken_over: bool = False


@dataclass(frozen=True, slots=True)
class FormerRevision:
    """A revision that was replaced, by what and when."""

    revision: int
    cause: str
    replaced_at: datetime
    document: bytes


@dataclass(frozen=True, slots=True)
class StoredDecision:
    """The record of the batch that decided a promise, and the decision's place in it."""

    decision_id: UUID
    index: int
    decided_at: datetime
    engine_version: str
    digest: bytes
    input: bytes


@dataclass(frozen=True, slots=True)
class UncoveredPart:
    """What supply does not cover of a part of a promise now, and since when; days as ordinals."""

    line: str
    part: int
    location_id: str
    promised: int
    quantity: int
    available_day: Day
    covered_day: Day | None
    cause: RiskCause
    since: datetime

    def document(self) -> dict[str, Any]:
        """As plain values, days as YYYY-MM-DD."""
        return {
            "line": self.line,
            "part": self.part,
            "location": self.location_id,
            "promised": self.promised,
            "quantity": self.quantity,
            "available_on": iso(self.available_day),
            "covered_on": None if self.covered_day is None else iso(self.covered_day),
            "cause": self.cause,
            "since": self.since,
        }


class PromiseReader(Protocol):
    """What the routes ask."""

    async def by_id(self, promise_id: UUID) -> StoredPromise | None:
        """A promise by its id."""
        ...

    async def by_order(self, key: OrderKey) -> StoredPromise | None:
        """A promise by its order."""
        ...

    async def history(self, promise_id: UUID) -> Sequence[FormerRevision]:
        """The former revisions, oldest first."""
        ...

    async def uncovered(self, promise_id: UUID) -> Sequence[UncoveredPart]:
        """What supply does not cover of a promise now."""
        ...

    async def decision(self, promise_id: UUID) -> StoredDecision | None:
        """The record of the decision that made the current answer; None if nothing was decided, or it is archived."""
        ...
