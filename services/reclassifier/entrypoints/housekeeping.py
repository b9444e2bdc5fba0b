"""The task that forgets what no rule can look at any more."""

import asyncio
from typing import Final

import structlog

from services.chassis.database import DatabaseError
from services.reclassifier.application.forget_days import forget_days
from services.reclassifier.application.ports import Transactions

INTERVAL_SECONDS: Final = 3_600.0

_log = structlog.get_logger(__name__)


async def keep_house(transactions: Transactions, stop: asyncio.Event) -> None:
    """Forget at once and then every hour, until `stop` is set."""
    while not stop.is_set():
        try:
            while await transactions.run(forget_days, label="forget days") and not stop.is_set():
                pass
        except DatabaseError as error:
            _log.warning("days_left_for_next_round", cause=repr(error))
        try:
            async with asyncio.timeout(INTERVAL_SECONDS):
                await stop.wait()
        except TimeoutError:
            continue
