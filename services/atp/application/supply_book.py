"""The working copy of supply in a batch: what sources have said of its positions, and what this batch adds.

Movements, shipments and counts are applied by `services.atp.domain.stock_intake`; here is the memory that they need:
states by position and source, scheduled receipts, references that were seen, and the rows to be written.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from services.atp.application.batch import Batch
from services.atp.application.commands import Origin
from services.atp.application.ports import Session
from services.atp.application.status_book import CountedStatus, Deltas, StatusBook
from services.atp.application.supply_entries import COUNTS, CountedSince, Entry, EntryKind, Reference, StreamKey
from services.atp.domain.model import Position, PositionKey
from services.atp.domain.scheduled_receipts import Scheduled
from services.atp.domain.stock_intake import Count, Intake, Movement, StockState, apply_count, apply_movement
from services.chassis.audit.chain import AuditEntry
from services.contracts import catalogue
from services.contracts.supply import CountCorrected

KEPT: Final = "supply"
NO_DELTAS: Final[Deltas] = {}


@dataclass(slots=True)
class SupplyBook:
    """See the module."""

    states: dict[StreamKey, StockState] = field(default_factory=dict)
    scheduled: dict[Reference, Scheduled] = field(default_factory=dict)
    known: dict[Reference, None] = field(default_factory=dict)
    later: dict[CountedSince, int] = field(default_factory=dict)
    entries: list[Entry] = field(default_factory=list)
    changed_states: dict[StreamKey, StockState] = field(default_factory=dict)
    changed_scheduled: dict[Reference, Scheduled] = field(default_factory=dict)
    statuses: StatusBook = field(default_factory=StatusBook)

    def move(
        self, batch: Batch, name: Reference, kind: EntryKind, movement: Movement, deltas: Deltas = NO_DELTAS
    ) -> Intake | None:
        """Take in a movement; None if it was seen before. The position's on hand is changed, its entry is not made.

        `deltas` is by how much it changes stock that is not available, by status.
        """
        stream = StreamKey(name.position, name.source)
        position = position_of(batch, name.position)
        if name in self.known:
            return None
        before = self.states.get(stream, StockState())
        intake = apply_movement(before, position.on_hand, movement)
        if intake.effect == "duplicate":
            return None
        self.known[name] = None
        self.statuses.move(name, kind, before, movement, deltas)
        self._settle(batch, stream, position, intake)
        return intake

    def count(
        self, batch: Batch, name: Reference, counted: CountedSince, on_hand: int, statuses: Deltas = NO_DELTAS
    ) -> Intake | None:
        """Take in a full count, of other statuses too if they were counted; None if it was seen before."""
        if name in self.known:
            return None
        self.known[name] = None
        position = position_of(batch, name.position)
        later = self.later.get(counted, 0)
        later += sum(entry.quantity for entry in self.entries if counted.leaves_out(entry))
        scheduled = any(receipts.confirmed or receipts.planned for receipts in position.receipts)
        count = Count(on_hand, counted.as_of, counted.cursor, later, nothing_scheduled=not scheduled)
        before = self.states.get(counted.stream, StockState())
        intake = apply_count(before, position.on_hand, count)
        self.statuses.count(name, before, count, counted, statuses)
        self._settle(batch, counted.stream, position, intake)
        return intake

    def enter(self, batch: Batch, entry: Entry, intake: Intake, before: Position, origin: Origin) -> None:
        """Write an entry, and beside it what else changed on hand: a count that took effect, or that lowers meanwhile.

        The changes of all entries of a position add up to its on hand. A correction by a count is published.
        """
        own = entry.quantity if entry.kind not in COUNTS and intake.effect == "applied" else 0
        self.entries.append(replace(entry, on_hand_change=own, outcome=intake.effect))
        rest = intake.on_hand - before.on_hand - own
        if rest:
            self.entries.append(Entry(entry.name, "correction", rest, rest, intake.effect, entry.occurred_at))
        if intake.correction:
            self._publish(batch, entry.name, intake, origin)

    def _publish(self, batch: Batch, name: Reference, intake: Intake, origin: Origin) -> None:
        batch.count("count_correction")
        detail = {"reference": name.reference, "correction": intake.correction, "on_hand": intake.on_hand}
        batch.audited.append(AuditEntry(name.source, "stock.corrected", item_at(name.position), detail))
        payload = CountCorrected(
            source=name.source,
            reference=name.reference,
            sku=name.position.item_id,
            location=name.position.location_id,
            correction=intake.correction,
            on_hand=intake.on_hand,
            corrected_at=batch.now,
        )
        version = batch.book.positions[name.position].version + 1
        data = payload.model_dump_json().encode()
        batch.emit(catalogue.SUPPLY_CORRECTED, name.position.item_id, version, data, origin)

    def reschedule(self, name: Reference, after: Scheduled) -> None:
        """Remember a scheduled receipt as it is now."""
        self.scheduled[name] = self.changed_scheduled[name] = after

    def _settle(self, batch: Batch, stream: StreamKey, position: Position, intake: Intake) -> None:
        self.states[stream] = self.changed_states[stream] = intake.state
        if intake.on_hand != position.on_hand or position.key not in batch.book.positions:
            batch.workbook.put(replace(position, on_hand=intake.on_hand))


def item_at(key: PositionKey) -> str:
    """A position as the audit trail names it."""
    return f"{key.item_id}@{key.location_id}"


def position_of(batch: Batch, key: PositionKey) -> Position:
    """The position in the working copy; an empty one where nothing was ever said of it."""
    return batch.book.positions.get(key) or Position(key, 0, 0)


async def load_supply(
    session: Session,
    batch: Batch,
    *,
    streams: Iterable[StreamKey] = (),
    references: Iterable[Reference] = (),
    scheduled: Iterable[Reference] = (),
    counts: Sequence[CountedSince] = (),
    counted_statuses: Sequence[CountedStatus] = (),
) -> None:
    """Add what is stored to the batch's supply book; the positions must be locked."""
    book: SupplyBook = batch.kept.setdefault(KEPT, SupplyBook())
    records = session.supply
    if asked := [stream for stream in dict.fromkeys(streams) if stream not in book.states]:
        book.states.update(await records.states(asked))
        levels, tracks = await records.statuses(asked)
        book.statuses.levels = {**levels, **book.statuses.levels}
        book.statuses.tracks.update(tracks)
    if named := list(dict.fromkeys(references)):
        book.known.update(dict.fromkeys(await records.known(named)))
    if due := [name for name in dict.fromkeys(scheduled) if name not in book.scheduled]:
        book.scheduled.update(await records.scheduled(due))
    for counted in counts:
        book.later[counted] = await records.later(counted)
    for status in counted_statuses:
        book.statuses.later[status] = await records.later_of_status(status)


async def store_supply(session: Session, batch: Batch) -> None:
    """Write what the batch added; once, whichever handler calls first."""
    book: SupplyBook | None = batch.kept.pop(KEPT, None)
    if book is not None and (book.entries or book.changed_states or book.changed_scheduled):
        await session.supply.store(book.entries, book.changed_states, book.changed_scheduled)
        await session.supply.store_statuses(book.statuses)


def supply_of(batch: Batch) -> SupplyBook:
    """The batch's supply book, as loaded."""
    book: SupplyBook = batch.kept[KEPT]
    return book
