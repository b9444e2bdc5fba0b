"""Supply as it is told: movements, full counts, scheduled receipts and buffers, each once, in any order.

Whatever makes more available marks the position, so that those who wait are asked before others are served.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, Literal

from services.atp.application.batch import Batch, Handler, Needs
from services.atp.application.commands import Applied, Origin, Outcome, Remembered
from services.atp.application.ports import Session
from services.atp.application.routing import in_stock
from services.atp.application.status_book import CountedStatus
from services.atp.application.supply_book import item_at, load_supply, position_of, store_supply, supply_of
from services.atp.application.supply_entries import CountedSince, Entry, Reference, StreamKey, TransferKey
from services.atp.application.transfer_book import (
    find_transfers,
    load_transfers,
    store_transfers,
    transfers_of,
)
from services.atp.domain.model import Day, Position, PositionKey
from services.atp.domain.scheduled_receipts import Certainty, Scheduled, receive, restate, schedule
from services.atp.domain.stock_intake import Movement
from services.atp.domain.transfers import Transfer, move
from services.chassis.audit.chain import AuditEntry

MoveKind = Literal["receipt", "adjustment", "issue", "status_change", "transfer_shipped", "transfer_received"]
AVAILABLE: Final = "available"
CHANNELS_MAX: Final = 100  # channels from which stock of one position is held back; they are read with every decision


@dataclass(frozen=True, slots=True)
class MoveStock:
    """Stock of a status changes; a `status_change` moves it to another one."""

    name: Reference
    kind: MoveKind
    quantity: int
    occurred_at: datetime
    sequence: int | None
    receipt: Reference | None
    origin: Origin
    status: str = AVAILABLE
    to_status: str | None = None
    transfer: TransferKey | None = None
    remembered: Remembered | None = None
    lines: int = 1

    def deltas(self) -> dict[str, int]:
        """By how much it changes the stock of each status."""
        if self.to_status is None:
            return {self.status: self.quantity}
        return {self.status: -self.quantity, self.to_status: self.quantity}


@dataclass(frozen=True, slots=True)
class CountStock:
    """A full count of a position."""

    name: Reference
    on_hand: int
    as_of: datetime
    cursor: int | None
    origin: Origin
    statuses: tuple[tuple[str, int], ...] = ()
    remembered: Remembered | None = None
    lines: int = 1

    @property
    def counted(self) -> CountedSince:
        """Which movements it does not include."""
        return CountedSince(StreamKey(self.name.position, self.name.source), self.cursor, self.as_of)


@dataclass(frozen=True, slots=True)
class ScheduleReceipt:
    """What is due at the dock under a reference, at a version; quantity 0 withdraws it."""

    name: Reference
    version: int
    quantity: int
    due: Day
    certainty: Certainty
    origin: Origin
    remembered: Remembered | None = None
    lines: int = 1


@dataclass(frozen=True, slots=True)
class SetBuffer:
    """Safety stock of a position, never offered; with a channel, what is never offered to that one besides it."""

    key: PositionKey
    buffer: int
    origin: Origin
    channel: str | None = None
    remembered: Remembered | None = None
    lines: int = 1


def _need(key: PositionKey, needs: Needs) -> None:
    needs.positions[key] = None
    needs.freed_items[key.item_id] = None


class Moving(Handler[MoveStock]):
    """Decides `MoveStock`."""

    def needs(self, command: MoveStock, needs: Needs) -> None:
        """The position and those who wait for its item."""
        _need(command.name.position, needs)

    async def discover(self, session: Session, commands: Sequence[MoveStock], needs: Needs) -> None:
        """The other position of a transfer."""
        await find_transfers(session, _transfers(commands), needs)

    async def load(self, session: Session, batch: Batch, commands: Sequence[MoveStock]) -> None:
        """What the source has said so far, and the scheduled receipts and transfers that goods moved under."""
        await load_supply(
            session,
            batch,
            streams=[StreamKey(each.name.position, each.name.source) for each in commands],
            references=[each.name for each in commands],
            scheduled=[each.receipt for each in commands if each.receipt is not None],
        )
        await load_transfers(session, batch, _transfers(commands))

    def decide(self, batch: Batch, command: MoveStock) -> Outcome:
        """A movement that was seen before changes nothing."""
        supply, key = supply_of(batch), command.name.position
        before = position_of(batch, key)
        deltas = command.deltas()
        available = deltas.pop(AVAILABLE, 0)
        movement = Movement(available, command.occurred_at, command.sequence)
        intake = supply.move(batch, command.name, command.kind, movement, deltas)
        if intake is None:
            return Applied("repeated")
        receipt = None if command.receipt is None else command.receipt.reference
        entry = Entry(command.name, command.kind, available, 0, "", command.occurred_at, command.sequence, receipt)
        supply.enter(batch, entry, intake, before, command.origin)
        if command.kind == "adjustment":
            detail = {"reference": command.name.reference, "quantity": command.quantity, "status": command.status}
            batch.audited.append(AuditEntry(command.name.source, "stock.adjusted", item_at(key), detail))
        if command.receipt is not None:
            due = supply.scheduled.get(command.receipt, Scheduled())
            received = receive(due, command.quantity)
            supply.reschedule(command.receipt, received)
            batch.workbook.put(restate(batch.book.positions[key], due, received))
        if command.transfer is not None:
            transfers = transfers_of(batch)
            known = transfers.transfers.get(command.transfer, Transfer())
            transfers.put(batch, command.transfer, move(known, command.quantity))
        if batch.book.positions[key].on_hand > before.on_hand:
            batch.free(key, "supply_arrived")
        batch.review(key, "supply_cut")
        return Applied(intake.effect)

    async def store(self, session: Session, batch: Batch) -> None:
        """The supply ledger, and the transfers."""
        await store_supply(session, batch)
        await store_transfers(session, batch)


def _transfers(commands: Sequence[MoveStock]) -> list[TransferKey]:
    return [each.transfer for each in commands if each.transfer is not None]


class Counting(Handler[CountStock]):
    """Decides `CountStock`."""

    def needs(self, command: CountStock, needs: Needs) -> None:
        """The position and those who wait for its item."""
        _need(command.name.position, needs)

    async def load(self, session: Session, batch: Batch, commands: Sequence[CountStock]) -> None:
        """What the source has said so far, and the movements that each count leaves out."""
        await load_supply(
            session,
            batch,
            streams=[each.counted.stream for each in commands],
            references=[each.name for each in commands],
            counts=[each.counted for each in commands],
            counted_statuses=[CountedStatus(each.counted, status) for each in commands for status, _ in each.statuses],
        )

    def decide(self, batch: Batch, command: CountStock) -> Outcome:
        """A count that was seen before, or that is older than the one in effect, changes nothing."""
        supply, key = supply_of(batch), command.name.position
        before = position_of(batch, key)
        intake = supply.count(batch, command.name, command.counted, command.on_hand, dict(command.statuses))
        if intake is None:
            return Applied("repeated")
        entry = Entry(command.name, "snapshot", command.on_hand, 0, "", command.as_of, command.cursor)
        supply.enter(batch, entry, intake, before, command.origin)
        if intake.on_hand > before.on_hand:
            batch.free(key, "supply_changed")
        batch.review(key, "supply_cut")
        return Applied(intake.effect)

    async def store(self, session: Session, batch: Batch) -> None:
        """The supply ledger."""
        await store_supply(session, batch)


class Scheduling(Handler[ScheduleReceipt]):
    """Decides `ScheduleReceipt`."""

    def needs(self, command: ScheduleReceipt, needs: Needs) -> None:
        """The position and those who wait for its item."""
        _need(command.name.position, needs)

    async def load(self, session: Session, batch: Batch, commands: Sequence[ScheduleReceipt]) -> None:
        """The receipts as known."""
        await load_supply(session, batch, scheduled=[each.name for each in commands])

    def decide(self, batch: Batch, command: ScheduleReceipt) -> Outcome:
        """An older version changes nothing."""
        supply, key = supply_of(batch), command.name.position
        known = supply.scheduled.get(command.name, Scheduled())
        due = in_stock(batch.configuration.dock_to_stock, key.location_id, command.due)
        after = schedule(known, command.version, command.quantity, due, command.certainty)
        if after is known:
            return Applied("older" if command.version < known.version else "repeated")
        supply.reschedule(command.name, after)
        position = position_of(batch, key)
        changed = restate(position, known, after)
        batch.workbook.put(changed)
        if _adds(known, after):
            batch.free(key, "supply_changed")
        batch.review(key, "receipt_late")
        return Applied("applied")

    async def store(self, session: Session, batch: Batch) -> None:
        """The scheduled receipts."""
        await store_supply(session, batch)


class Buffering(Handler[SetBuffer]):
    """Decides `SetBuffer`."""

    def needs(self, command: SetBuffer, needs: Needs) -> None:
        """The position and those who wait for its item."""
        _need(command.key, needs)

    def decide(self, batch: Batch, command: SetBuffer) -> Outcome:
        """A lower buffer frees what it kept."""
        before: Position = position_of(batch, command.key)
        kept = before.buffer if command.channel is None else before.kept_from(command.channel)
        if kept == command.buffer and command.key in batch.book.positions:
            return Applied("repeated")
        after = replace(before, buffer=command.buffer) if command.channel is None else _held_back(before, command)
        if len(after.channel_buffers) > CHANNELS_MAX:
            return Applied("too_many_channels")
        batch.workbook.put(after)
        if command.buffer < kept:
            batch.free(command.key, "supply_changed")
        batch.review(command.key, "supply_cut")
        return Applied("applied")


def _held_back(position: Position, command: SetBuffer) -> Position:
    buffers = {**dict(position.channel_buffers), str(command.channel): command.buffer}
    return replace(position, channel_buffers=tuple(sorted((name, kept) for name, kept in buffers.items() if kept)))


def _adds(before: Scheduled, after: Scheduled) -> bool:
    """Whether a new version can let anybody have more, or sooner."""
    if after.open == 0:
        return False
    return after.open > before.open or after.due < before.due or after.certainty != before.certainty
