"""Stock that is not available, by status: the same intake as on hand has, under the same sequences and cursors.

Each status that was ever moved or counted at a position has a track per source: its own count in effect or in waiting,
over the sequences that have arrived, which it shares with on hand. So any interleaving ends in the same quantities.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import NamedTuple

from services.atp.application.supply_entries import CountedSince, Reference, StreamKey
from services.atp.domain.model import PositionKey
from services.atp.domain.stock_intake import Count, Intake, Movement, StockState, apply_count, apply_movement

Deltas = Mapping[str, int]  # status -> by how much it changes


class StatusKey(NamedTuple):
    """A status at a position."""

    position: PositionKey
    status: str


class TrackKey(NamedTuple):
    """What one source has said of a status at a position."""

    stream: StreamKey
    status: str


class CountedStatus(NamedTuple):
    """A count of a status, and which movements it does not include."""

    since: CountedSince
    status: str


@dataclass(frozen=True, slots=True)
class StatusEntry:
    """A row of the ledger of a status. `quantity` as the source said it (a snapshot: the count)."""

    name: Reference
    status: str
    kind: str
    quantity: int
    change: int
    outcome: str
    occurred_at: datetime
    sequence: int | None = None


@dataclass(slots=True)
class StatusBook:
    """The working copy of a batch."""

    levels: dict[StatusKey, int] = field(default_factory=dict)
    tracks: dict[TrackKey, StockState] = field(default_factory=dict)
    later: dict[CountedStatus, int] = field(default_factory=dict)
    entries: list[StatusEntry] = field(default_factory=list)
    changed_levels: dict[StatusKey, int] = field(default_factory=dict)
    changed_tracks: dict[TrackKey, StockState] = field(default_factory=dict)

    def move(self, name: Reference, kind: str, before: StockState, movement: Movement, deltas: Deltas) -> None:
        """Take in a movement that is new; `before` is the state of on hand before it."""
        stream = StreamKey(name.position, name.source)
        for status in self._statuses(stream, deltas):
            key, track = StatusKey(name.position, status), TrackKey(stream, status)
            quantity, level = deltas.get(status, 0), self.levels.get(key, 0)
            state = self.tracks.get(track) or _heard(before)
            intake = apply_movement(state, level, replace(movement, quantity=quantity))
            own = quantity if intake.effect == "applied" else 0
            if quantity or intake.on_hand != level:
                entry = (intake.effect, movement.occurred_at, movement.sequence)
                self.entries.append(StatusEntry(name, status, kind, quantity, own, *entry))
            self._settle(name, key, track, intake, level + own)

    def count(self, name: Reference, before: StockState, count: Count, counted: CountedSince, counts: Deltas) -> None:
        """Take in the statuses of a count that is new; `count` is that of on hand."""
        for status, quantity in counts.items():
            key, track = StatusKey(name.position, status), TrackKey(counted.stream, status)
            later = self.later.get(CountedStatus(counted, status), 0)
            later += sum(entry.quantity for entry in self.entries if _leaves_out(counted, status, entry))
            state, level = self.tracks.get(track) or _heard(before), self.levels.get(key, 0)
            intake = apply_count(state, level, replace(count, on_hand=quantity, later=later))
            entry = (intake.effect, counted.as_of, counted.cursor)
            self.entries.append(StatusEntry(name, status, "snapshot", quantity, 0, *entry))
            self._settle(name, key, track, intake, level)

    def _settle(self, name: Reference, key: StatusKey, track: TrackKey, intake: Intake, known: int) -> None:
        if intake.on_hand != known:
            entry = self.entries[-1]
            change = intake.on_hand - known
            correction = StatusEntry(name, key.status, "correction", change, change, intake.effect, entry.occurred_at)
            self.entries.append(correction)
        self.tracks[track] = self.changed_tracks[track] = intake.state
        self.levels[key] = self.changed_levels[key] = intake.on_hand

    def _statuses(self, stream: StreamKey, deltas: Deltas) -> Iterable[str]:
        known = {track.status: None for track in self.tracks if track.stream == stream}
        return sorted({**known, **dict.fromkeys(deltas)})


def _heard(before: StockState) -> StockState:
    """The state of a status that this source never spoke of: the sequences that have arrived, and no count."""
    return StockState(before.floor, before.through, before.beyond)


def _leaves_out(counted: CountedSince, status: str, entry: StatusEntry) -> bool:
    if entry.kind in ("snapshot", "correction") or entry.status != status:
        return False
    if entry.name.position != counted.stream.position:
        return False
    if counted.cursor is not None and entry.sequence is not None and entry.name.source == counted.stream.source:
        return entry.sequence > counted.cursor
    return entry.occurred_at > counted.as_of
