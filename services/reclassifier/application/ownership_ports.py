"""What a use case needs to count again under whom something counts; part of `ports.ReclassifierTransaction`."""

from collections.abc import Sequence
from typing import Protocol

from services.reclassifier.domain.costs import OwnedCost
from services.reclassifier.domain.feedback import FeedbackKey, HeardFeedback
from services.reclassifier.domain.orders import Counted, OrderKey


class OwnershipTransaction(Protocol):
    """Reads of what counts under an owner whom it does not name itself: by a merge, or by a name of another system.

    Each ascending by key, after a key, up to a limit.
    """

    async def counting_others(self, owners: Sequence[str]) -> list[str]:
        """Those of these owners that have any such orders, costs or feedback, ascending."""
        ...

    async def orders_of(self, owner: str, after: OrderKey | None, limit: int) -> list[Counted]:
        """Such orders."""
        ...

    async def costs_of(self, owner: str, after: OrderKey | None, limit: int) -> list[OwnedCost]:
        """Costs of such orders."""
        ...

    async def feedback_of(self, owner: str, after: FeedbackKey | None, limit: int) -> list[HeardFeedback]:
        """What was said so."""
        ...
