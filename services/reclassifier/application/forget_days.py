"""Forget days of activity, and traces of orders, that no window reaches any more."""

from typing import Final

from services.reclassifier.application.ports import ReclassifierTransaction

DAYS_MAX: Final = 50_000  # rows deleted in one transaction


async def forget_days(transaction: ReclassifierTransaction) -> bool:
    """Delete one portion; whether there is probably more. Age is by business time, so a replay keeps its old orders."""
    now = await transaction.now()
    days = await transaction.forget_days(now.toordinal(), DAYS_MAX)
    return max(days, await transaction.forget_traces(now, DAYS_MAX)) == DAYS_MAX
