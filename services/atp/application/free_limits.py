"""Asking those who wait for other items, after a command gave a limit of several items something back."""

from services.atp.application.batch import Batch
from services.atp.application.due import plan_due
from services.atp.application.turn_dates import EVERY_ITEM, TURN


def settle_limits(batch: Batch) -> None:
    """Mark the positions of all who wait, as far as they are loaded; see `services.atp.application.sharing`."""
    freed, sharing = batch.freed_limits, batch.sharing
    batch.freed_limits = {}
    if sharing is None or not any(usage in sharing.limits for usage in freed):
        return
    waiting = dict.fromkeys(sharing.items)
    for key in sorted(batch.book.positions):
        if key.item_id in waiting:
            batch.free(key, "stock_freed")
    if sharing.more:
        plan_due(batch, TURN, (EVERY_ITEM, sharing.items[-1]), batch.now)
