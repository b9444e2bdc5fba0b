"""Waking the re-decision, in whichever process it runs."""

from typing import Final

from services.chassis.database import Connection, announce

MARKED: Final = "position_marked"  # the subject of the NOTIFY that wakes the re-decision


async def wake_redecision(connection: Connection) -> None:
    """Wake the re-decision once this transaction has committed: it marked positions."""
    await announce(connection, MARKED)
