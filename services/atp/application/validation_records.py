"""What is kept of orders that validation held, and how they are listed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, Protocol
from uuid import UUID


class Release(NamedTuple):
    """A release as it is kept; `waived` are the checks that failed and hold no more."""

    promise_id: UUID
    decision_id: UUID
    author: str
    reason: str
    released_at: datetime
    waived: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class HeldPage:
    """Promises that await their release, the oldest first, as they were answered; `last` is where the page ends."""

    documents: Sequence[bytes]
    last: UUID | None


class HeldOrders(Protocol):
    """Reads held orders, on one database snapshot."""

    async def page(
        self, after: UUID | None, limit: int, *, channels: Sequence[str] | None, tier: str | None
    ) -> HeldPage:
        """A page after a promise; None for channels or tier means all."""
        ...

    async def releases(self, promise_id: UUID) -> list[Release]:
        """Who released a promise, oldest first."""
        ...
