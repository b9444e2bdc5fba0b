"""Reading promises: as they are, as they were, and the record of their decisions. They are as fresh as the database."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from services.atp.application.content import OrderKey


@dataclass(frozen=True, slots=True)
class StoredPromise:
    """A promise as stored: its order, its channel (who may see it), and the bytes that were answered."""

    promise_id: UUID
    key: OrderKey
    channel: str
    revision: int
    document: bytes


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

    async def decision(self, promise_id: UUID) -> StoredDecision | None:
        """The record of the decision that made the current answer; None if nothing was decided, or it is archived."""
        ...
