"""Movements, shipments and counts in any interleaving, more than once, end in one position and never show too much.

A warehouse runs its true history: receipts against purchase orders, shipments against commitments, adjustments, losses
and finds that nobody reported, and full counts. Its messages are then delivered shuffled and repeated.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Literal

from hypothesis import given
from hypothesis import strategies as st

from services.atp.domain.model import Position, PositionKey
from services.atp.domain.scheduled_receipts import Scheduled, receive, restate, schedule
from services.atp.domain.stock_intake import Count, Intake, Movement, StockState, apply_count, apply_movement

START = datetime(2026, 1, 1, tzinfo=UTC)
Kind = Literal["receipt", "shipment", "adjustment"]


@dataclass(frozen=True)
class Moved:
    """A movement as the warehouse sends it; `order` is the index of its purchase order or commitment."""

    sequence: int
    at: datetime
    kind: Kind
    quantity: int
    order: int


@dataclass(frozen=True)
class Counted:
    """A full count as the warehouse sends it."""

    cursor: int
    at: datetime
    on_hand: int


Message = Moved | Counted


@dataclass
class History:
    """What truly happened."""

    opening: int
    scheduled: list[int]
    committed: list[int]
    messages: list[Message] = field(default_factory=list)
    on_hand: int = 0

    @property
    def counts(self) -> list[Counted]:
        return [message for message in self.messages if isinstance(message, Counted)]

    @property
    def movements(self) -> list[Moved]:
        return [message for message in self.messages if isinstance(message, Moved)]


@st.composite
def histories(draw: st.DrawFn, *, secrets: bool, adjustments: bool, scheduled: bool = True) -> History:
    """A history; `secrets`: losses and finds that only a count shows."""
    history = History(
        draw(st.integers(0, 30)),
        draw(st.lists(st.integers(1, 20), max_size=3)) if scheduled else [],
        draw(st.lists(st.integers(1, 10), max_size=3)),
    )
    to_come = {"receipt": list(history.scheduled), "shipment": list(history.committed)}
    history.on_hand = history.opening
    sequence = 0
    kinds = ["receipt", "shipment", "count"] + ["adjustment"] * adjustments + ["secret"] * secrets
    for step in range(draw(st.integers(1, 9))):
        at = START + timedelta(hours=step)
        kind = draw(st.sampled_from(kinds))
        if kind == "count":
            history.messages.append(Counted(sequence, at, history.on_hand))
            continue
        if kind == "secret":
            history.on_hand += draw(st.integers(-5, 5))
            continue
        moved = _moved(draw, kind, to_come, sequence + 1, at)
        if moved is not None:
            sequence += 1
            history.on_hand += moved.quantity
            history.messages.append(moved)
    return history


def _moved(draw: st.DrawFn, kind: str, to_come: dict[str, list[int]], sequence: int, at: datetime) -> Moved | None:
    if kind == "adjustment":
        return Moved(sequence, at, "adjustment", draw(st.integers(-5, 5)), 0)
    orders = to_come[kind]
    open_orders = [order for order, quantity in enumerate(orders) if quantity]
    if not open_orders:
        return None
    order = draw(st.sampled_from(open_orders))
    quantity = draw(st.integers(1, orders[order]))
    orders[order] -= quantity
    if kind == "receipt":
        return Moved(sequence, at, "receipt", quantity, order)
    return Moved(sequence, at, "shipment", -quantity, order)


@dataclass
class Receiver:
    """What keeps a position from messages, as the application does: duplicates by reference are dropped first."""

    on_hand: int
    due: list[int]
    owed: list[int]
    state: StockState = field(default_factory=StockState)
    seen: list[Message] = field(default_factory=list)

    @property
    def shown(self) -> int:
        """What could be promised in the end."""
        return self.on_hand + sum(self.due) - sum(self.owed)

    def receive(self, message: Message) -> None:
        if message in self.seen:
            return
        intake = self._moved(message) if isinstance(message, Moved) else self._counted(message)
        self.seen.append(message)
        self.state, self.on_hand = intake.state, intake.on_hand

    def _moved(self, moved: Moved) -> Intake:
        intake = apply_movement(self.state, self.on_hand, Movement(moved.quantity, moved.at, moved.sequence))
        if intake.effect in {"applied", "included"}:
            orders = self.due if moved.kind == "receipt" else self.owed
            if moved.kind != "adjustment":
                orders[moved.order] -= abs(moved.quantity)
        return intake

    def _counted(self, counted: Counted) -> Intake:
        later = sum(m.quantity for m in self.seen if isinstance(m, Moved) and m.sequence > counted.cursor)
        return apply_count(
            self.state,
            self.on_hand,
            Count(counted.on_hand, counted.at, counted.cursor, later, nothing_scheduled=not any(self.due)),
        )


def _receiver(history: History) -> Receiver:
    return Receiver(history.opening, list(history.scheduled), list(history.committed))


@st.composite
def deliveries(draw: st.DrawFn, history: History) -> list[Message]:
    """All messages at least once, in any order."""
    repeated = draw(st.lists(st.sampled_from(history.messages), max_size=4)) if history.messages else []
    return draw(st.permutations([*history.messages, *repeated]))


def _in_the_end(history: History) -> int:
    """On hand by the newest count and what came after it, or by the movements alone."""
    if not history.counts:
        return history.opening + sum(moved.quantity for moved in history.movements)
    newest = history.counts[-1]
    return newest.on_hand + sum(moved.quantity for moved in history.movements if moved.sequence > newest.cursor)


@given(st.data(), st.booleans())
def test_every_interleaving_ends_in_the_same_position(data: st.DataObject, scheduled: bool) -> None:
    history = data.draw(histories(secrets=True, adjustments=True, scheduled=scheduled))
    receiver = _receiver(history)
    for message in data.draw(deliveries(history)):
        receiver.receive(message)
    assert receiver.on_hand == _in_the_end(history)
    assert receiver.state.waiting is None
    for kind, orders in (("receipt", history.scheduled), ("shipment", history.committed)):
        left = list(orders)
        for moved in history.movements:
            if moved.kind == kind:
                left[moved.order] -= abs(moved.quantity)
        assert (receiver.due if kind == "receipt" else receiver.owed) == left


@given(st.data())
def test_where_nothing_was_lost_no_interleaving_shows_more_than_there_is(data: st.DataObject) -> None:
    history = data.draw(histories(secrets=False, adjustments=False))
    receiver = _receiver(history)
    there_is = receiver.shown
    for message in data.draw(deliveries(history)):
        receiver.receive(message)
        assert receiver.shown <= there_is
    assert receiver.shown == there_is


@given(st.data())
def test_a_count_whose_movements_have_not_all_come_only_lowers(data: st.DataObject) -> None:
    history = data.draw(histories(secrets=True, adjustments=True))
    receiver = _receiver(history)
    for message in data.draw(deliveries(history)):
        receiver.receive(message)
        assert all(receiver.on_hand <= bound for bound in _bounds(receiver, history))


def _bounds(receiver: Receiver, history: History) -> Sequence[int]:
    """What the newest count that has arrived allows, and what all counts in effect and the movements allow."""
    moved = [message for message in receiver.seen if isinstance(message, Moved)]
    counts = [message for message in receiver.seen if isinstance(message, Counted)]
    by_counts = {
        count: count.on_hand + sum(each.quantity for each in moved if each.sequence > count.cursor) for count in counts
    }
    arrived = [each.sequence for each in moved]
    whole = [by_counts[count] for count in counts if all(n in arrived for n in range(1, count.cursor + 1))]
    opening = [by_counts[count] for count in counts if count.cursor == receiver.state.floor > 0]
    without = history.opening + sum(each.quantity for each in moved)
    bounds = [max([without, *whole, *opening])]
    if counts:
        bounds.append(by_counts[max(counts, key=lambda count: (count.cursor, count.at))])
    return bounds


@given(st.data())
def test_once_all_that_it_includes_has_arrived_the_newest_count_is_exact(data: st.DataObject) -> None:
    history = data.draw(histories(secrets=True, adjustments=True))
    receiver = _receiver(history)
    for message in data.draw(deliveries(history)):
        receiver.receive(message)
        counts = [each for each in receiver.seen if isinstance(each, Counted)]
        moved = [each for each in receiver.seen if isinstance(each, Moved)]
        if counts:
            newest = max(counts, key=lambda count: (count.cursor, count.at))
            if {each.sequence for each in moved} >= set(range(1, newest.cursor + 1)):
                later = sum(each.quantity for each in moved if each.sequence > newest.cursor)
                assert receiver.on_hand == newest.on_hand + later


@given(st.lists(st.integers(1, 12), min_size=1), st.data())
def test_a_sequence_counts_once_whatever_the_caller_dropped(sequences: list[int], data: st.DataObject) -> None:
    state, on_hand = StockState(), 0
    for sequence in [*sequences, *data.draw(st.permutations(sequences))]:
        intake = apply_movement(state, on_hand, Movement(10, START, sequence))
        state, on_hand = intake.state, intake.on_hand
    assert on_hand == 10 * len(dict.fromkeys(sequences))


@st.composite
def receipt_events(draw: st.DrawFn) -> list[tuple[str, int, int]]:
    """("schedule", version, quantity) in any order and more than once, ("receive", 0, quantity) once each."""
    versions = [("schedule", version, draw(st.integers(0, 20))) for version in range(1, draw(st.integers(2, 4)))]
    received = [("receive", 0, draw(st.integers(1, 9))) for _ in range(draw(st.integers(0, 3)))]
    return draw(st.permutations([*versions, *received, *versions[:1]]))


@given(receipt_events(), st.sampled_from(("confirmed", "planned")))
def test_a_scheduled_receipt_is_open_for_what_has_not_come(
    events: list[tuple[str, int, int]], certainty: Literal["confirmed", "planned"]
) -> None:
    scheduled, position = Scheduled(), Position(PositionKey("I1", "L0"), 1, 0)
    for kind, version, quantity in events:
        before = scheduled
        if kind == "schedule":
            scheduled = schedule(before, version, quantity, 700_000 + version, certainty)
        else:
            scheduled = receive(before, quantity)
        position = restate(position, before, scheduled)
    newest = max((event for event in events if event[0] == "schedule"), key=lambda event: event[1])
    still_open = max(0, newest[2] - sum(quantity for kind, _, quantity in events if kind == "receive"))
    due = [(each.day, each.confirmed, each.planned) for each in position.receipts]
    amounts = (still_open, 0) if certainty == "confirmed" else (0, still_open)
    assert due == ([(700_000 + newest[1], *amounts)] if still_open else [])
