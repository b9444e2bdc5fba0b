"""Rows of the supply ledger and of what the warehouse did, and the names that sources give to what they say."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, NamedTuple
from uuid import UUID

from services.atp.application.content import OrderKey
from services.atp.domain.model import PositionKey

EntryKind = Literal[
    "receipt",
    "adjustment",
    "issue",
    "shipment",
    "status_change",
    "transfer_shipped",
    "transfer_received",
    "short_pick",
    "return",
    "snapshot",
    "correction",
]
COUNTS: Final[tuple[EntryKind, ...]] = ("snapshot", "correction")  # all others are movements


class StreamKey(NamedTuple):
    """A source's movements of one position."""

    position: PositionKey
    source: str


class Reference(NamedTuple):
    """A source's name for one thing it said of a position: a movement, a count or a scheduled receipt."""

    position: PositionKey
    source: str
    reference: str


class TransferKey(NamedTuple):
    """A source's name for a transfer of an item; the total order of locks."""

    item_id: str
    source: str
    reference: str


@dataclass(frozen=True, slots=True)
class Entry:
    """A row of the supply ledger. `quantity` is what the source said of available stock (a snapshot: the count)."""

    name: Reference
    kind: EntryKind
    quantity: int
    on_hand_change: int
    outcome: str
    occurred_at: datetime
    sequence: int | None = None
    receipt_reference: str | None = None


class CountedSince(NamedTuple):
    """Which movements a count does not include; see `stock_intake.Count.later`."""

    stream: StreamKey
    cursor: int | None
    as_of: datetime

    def leaves_out(self, entry: Entry) -> bool:
        """Whether an entry is a movement of the position that the count does not include."""
        if entry.kind in COUNTS or entry.name.position != self.stream.position:
            return False
        if self.cursor is not None and entry.sequence is not None and entry.name.source == self.stream.source:
            return entry.sequence > self.cursor
        return entry.occurred_at > self.as_of


@dataclass(frozen=True, slots=True)
class FulfilmentEntry:
    """A row of what the warehouse did."""

    key: OrderKey
    kind: str
    source: str
    reference: str
    promise_id: UUID | None
    line: str
    quantity: int
    outcome: str
    occurred_at: datetime
    carrier: str | None = None
    actual_cost_minor: int | None = None
