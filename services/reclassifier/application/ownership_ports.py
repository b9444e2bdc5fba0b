"""What a use case needs to count again under whom something counts; part of `ports.ReclassifierTransaction`."""

from typing import Protocol

from services.reclassifier.domain.costs import OwnedCost
from services.reclassifier.domain.feedback import FeedbackKey, HeardFeedback
from services.reclassifier.domain.orders import Counted, OrderKey


class OwnershipTransaction(Protocol):
    """Reads of everything that counts under one owner, ascending by key, after a key, up to a limit."""

    async def orders_of(self, owner: str, after: OrderKey | None, limit: int) -> list[Counted]:
        """Its orders."""
        ...

    async def costs_of(self, owner: str, after: OrderKey | None, limit: int) -> list[OwnedCost]:
        """The costs of its orders."""
        ...

    async def feedback_of(self, owner: str, after: FeedbackKey | None, limit: int) -> list[HeardFeedback]:
        """What it said."""
        ...
