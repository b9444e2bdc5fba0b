"""Move goods between two locations by one document: committed where they ship, due where they arrive."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from services.atp.application.batch import Batch, Handler, Needs
from services.atp.application.commands import Applied, Origin, Outcome, Remembered
from services.atp.application.ports import Session
from services.atp.application.routing import in_stock
from services.atp.application.supply_entries import TransferKey
from services.atp.application.transfer_book import (
    find_transfers,
    load_transfers,
    store_transfers,
    transfers_of,
)
from services.atp.domain.model import PositionKey
from services.atp.domain.transfers import Transfer, state


@dataclass(frozen=True, slots=True)
class TransferStock:
    """A transfer document at a version."""

    key: TransferKey
    transfer: Transfer
    origin: Origin
    remembered: Remembered | None = None
    lines: int = 1


class Transferring(Handler[TransferStock]):
    """Decides `TransferStock`.

    A transfer is a fact that its source tells, no request: where it commits more than there is, promises are at risk.
    """

    def needs(self, command: TransferStock, needs: Needs) -> None:
        """Both positions, and those who wait for the item."""
        needs.freed_items[command.key.item_id] = None
        for location in (command.transfer.from_location, command.transfer.to_location):
            needs.positions[PositionKey(command.key.item_id, location)] = None

    async def discover(self, session: Session, commands: Sequence[TransferStock], needs: Needs) -> None:
        """The positions that earlier versions had to do with."""
        await find_transfers(session, [each.key for each in commands], needs)

    async def load(self, session: Session, batch: Batch, commands: Sequence[TransferStock]) -> None:
        """The transfers as known."""
        await load_transfers(session, batch, [each.key for each in commands])

    def decide(self, batch: Batch, command: TransferStock) -> Outcome:
        """An older version changes nothing."""
        book = transfers_of(batch)
        before = book.transfers.get(command.key, Transfer())
        said = command.transfer
        due = in_stock(batch.configuration.dock_to_stock, said.to_location, said.due_day)
        after = state(before, replace(said, due_day=due))
        if after is before:
            return Applied("older" if command.transfer.version < before.version else "repeated")
        book.put(batch, command.key, after)
        return Applied("applied")

    async def store(self, session: Session, batch: Batch) -> None:
        """The transfers."""
        await store_transfers(session, batch)
