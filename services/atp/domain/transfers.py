"""A transfer between two locations as one document: a commitment where it ships, a receipt where it arrives.

    open ──┬──▶ cancelled   what has not shipped stays; what is on the way still arrives
           └──▶ closed      nothing more ships, and nothing more arrives

The highest version counts. What was shipped and received under it counts whenever it came, also before the document
itself was known.
"""

from dataclasses import dataclass, replace
from typing import Literal

from services.atp.domain.model import Day, Position
from services.atp.domain.taking import with_commitment, with_receipts

TransferState = Literal["open", "cancelled", "closed"]


@dataclass(frozen=True, slots=True)
class Transfer:
    """One transfer as known; version 0: only what moved under it is known. Days are of the two locations."""

    version: int = 0
    from_location: str = ""
    to_location: str = ""
    quantity: int = 0
    ship_day: Day = 0
    due_day: Day = 0
    state: TransferState = "open"
    shipped: int = 0
    received: int = 0

    @property
    def to_ship(self) -> int:
        """What is committed where it ships."""
        return max(0, self.quantity - self.shipped) if self.state == "open" else 0

    @property
    def to_come(self) -> int:
        """What is due where it arrives."""
        if not self.version or self.state == "closed":
            return 0
        coming = max(self.quantity, self.shipped) if self.state == "open" else self.shipped
        return max(0, coming - self.received)


def state(before: Transfer, after: Transfer) -> Transfer:
    """The transfer as a document says, with what has moved; an older version changes nothing."""
    if after.version <= before.version:
        return before
    return replace(after, shipped=before.shipped, received=before.received)


def move(before: Transfer, quantity: int) -> Transfer:
    """The transfer after goods left (negative) or arrived (positive)."""
    if quantity < 0:
        return replace(before, shipped=before.shipped - quantity)
    return replace(before, received=before.received + quantity)


def at_source(position: Position, before: Transfer, after: Transfer) -> Position:
    """The position that it leaves from, with the commitment as it is after, in place of what it was before."""
    location = position.key.location_id
    for transfer, sign in ((before, -1), (after, 1)):
        if transfer.from_location == location and transfer.to_ship:
            position = with_commitment(position, transfer.ship_day, sign * transfer.to_ship)
    return position


def at_destination(position: Position, before: Transfer, after: Transfer) -> Position:
    """The position that it comes to, with the receipt as it is after, in place of what it was before."""
    location, receipts = position.key.location_id, position.receipts
    for transfer, sign in ((before, -1), (after, 1)):
        if transfer.to_location == location and transfer.to_come:
            receipts = with_receipts(receipts, transfer.due_day, confirmed=sign * transfer.to_come)
    return replace(position, receipts=receipts)
