"""The ports of ownership over PostgreSQL: what counts under one owner, a portion at a time by its key."""
# ruff: noqa: D102 -- each method is documented by the port that it implements

from collections.abc import Sequence

from services.chassis.database import Connection
from services.reclassifier.adapters import cost_rows, feedback_rows, order_rows, ownership_rows
from services.reclassifier.domain.costs import OwnedCost
from services.reclassifier.domain.feedback import FeedbackKey, HeardFeedback
from services.reclassifier.domain.orders import Counted, OrderKey


class PostgresOwnership:
    """What a use case may do for ownership within a transaction; each method does what the port says."""

    _connection: Connection

    async def counting_others(self, owners: Sequence[str]) -> list[str]:
        return await ownership_rows.counting_others(self._connection, owners)

    async def orders_of(self, owner: str, after: OrderKey | None, limit: int) -> list[Counted]:
        return await order_rows.load_orders_of(self._connection, owner, after, limit)

    async def costs_of(self, owner: str, after: OrderKey | None, limit: int) -> list[OwnedCost]:
        return await cost_rows.load_costs_of(self._connection, owner, after, limit)

    async def feedback_of(self, owner: str, after: FeedbackKey | None, limit: int) -> list[HeardFeedback]:
        return await feedback_rows.load_feedback_of(self._connection, owner, after, limit)
