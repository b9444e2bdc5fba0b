"""The working copy of transfers in a batch: documents, and what moved under them.

A transfer is guarded by its own row, locked after all positions; where it leaves from and where it goes to is found out
before, without a lock, and checked under it.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from services.atp.application.batch import Again, Batch, Needs
from services.atp.application.ports import Session
from services.atp.application.supply_entries import TransferKey
from services.atp.domain.model import Position, PositionKey
from services.atp.domain.transfers import Transfer, at_destination, at_source

KEPT: Final = "transfers"


@dataclass(slots=True)
class TransferBook:
    """See the module."""

    transfers: dict[TransferKey, Transfer] = field(default_factory=dict)
    changed: dict[TransferKey, Transfer] = field(default_factory=dict)

    def put(self, batch: Batch, key: TransferKey, after: Transfer) -> None:
        """Remember a transfer as it is now, and let the positions that it has or had to do with follow."""
        before = self.transfers.get(key, Transfer())
        self.transfers[key] = self.changed[key] = after
        touched: dict[PositionKey, None] = {}
        for transfer in (before, after):
            for location in (transfer.from_location, transfer.to_location):
                if location:
                    touched[PositionKey(key.item_id, location)] = None
        for position_key in touched:
            position = batch.book.positions.get(position_key) or Position(position_key, 0, 0)
            changed = at_destination(at_source(position, before, after), before, after)
            batch.workbook.put(changed)
            if _total(changed) > _total(position):
                batch.free(position_key, "supply_changed")
            batch.review(position_key, "supply_cut")


async def find_transfers(session: Session, keys: Iterable[TransferKey], needs: Needs) -> None:
    """Need the positions of transfers that are known; read without a lock."""
    asked = sorted(dict.fromkeys(keys))
    found = await session.supply.transfers(asked, lock=False) if asked else {}
    book: TransferBook = needs.kept.setdefault(KEPT, TransferBook())
    for key in asked:
        transfer = book.transfers[key] = found.get(key, Transfer())
        for location in (transfer.from_location, transfer.to_location):
            if location:
                needs.positions[PositionKey(key.item_id, location)] = None
                needs.freed_items[key.item_id] = None


async def load_transfers(session: Session, batch: Batch, keys: Iterable[TransferKey]) -> None:
    """The transfers again, locked. Raises Again where one has come to have to do with other positions."""
    asked = sorted(dict.fromkeys(keys))
    if not asked:
        return
    book: TransferBook = batch.kept[KEPT]
    for key, transfer in (await session.supply.transfers(asked, lock=True)).items():
        seen = book.transfers[key]
        if (seen.from_location, seen.to_location) != (transfer.from_location, transfer.to_location):
            raise Again
        book.transfers[key] = transfer


async def store_transfers(session: Session, batch: Batch) -> None:
    """Write what changed; once, whichever handler calls first."""
    book: TransferBook | None = batch.kept.pop(KEPT, None)
    if book is not None and book.changed:
        await session.supply.store_transfers(book.changed)


def _total(position: Position) -> int:
    """What there is in the end: it grows where a commitment goes or a receipt comes."""
    coming = sum(receipts.confirmed for receipts in position.receipts)
    return position.on_hand + coming - sum(quantity for _, quantity in position.commitments)


def transfers_of(batch: Batch) -> TransferBook:
    """The batch's transfer book, as loaded."""
    book: TransferBook = batch.kept[KEPT]
    return book
