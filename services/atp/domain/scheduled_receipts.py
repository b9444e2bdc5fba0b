"""What is due in, by reference, and how it enters a position.

The highest version of a scheduled receipt counts. What was received against it counts whenever it came, also before
the receipt itself was known: goods that are on hand are never due a second time.
"""

from dataclasses import dataclass, replace
from typing import Literal

from services.atp.domain.model import Day, Position
from services.atp.domain.taking import with_receipts

Certainty = Literal["confirmed", "planned"]


@dataclass(frozen=True, slots=True)
class Scheduled:
    """One scheduled receipt as known; version 0: only goods received against it are known."""

    version: int = 0
    quantity: int = 0
    due: Day = 0
    certainty: Certainty = "confirmed"
    received: int = 0

    @property
    def open(self) -> int:
        """What is still to come."""
        return max(0, self.quantity - self.received)


def schedule(before: Scheduled, version: int, quantity: int, due: Day, certainty: Certainty) -> Scheduled:
    """The receipt at a version; an older version changes nothing. Quantity 0 withdraws it."""
    if version <= before.version:
        return before
    return Scheduled(version, quantity, due, certainty, before.received)


def receive(before: Scheduled, quantity: int) -> Scheduled:
    """The receipt after goods came in against it (negative: they were taken back out)."""
    return replace(before, received=before.received + quantity)


def restate(position: Position, before: Scheduled, after: Scheduled) -> Position:
    """The position with a scheduled receipt as it is after, in place of what it was before."""
    receipts = position.receipts
    for scheduled, sign in ((before, -1), (after, 1)):
        quantity = sign * scheduled.open
        if quantity and scheduled.certainty == "planned":
            receipts = with_receipts(receipts, scheduled.due, planned=quantity)
        elif quantity:
            receipts = with_receipts(receipts, scheduled.due, confirmed=quantity)
    return replace(position, receipts=receipts)
