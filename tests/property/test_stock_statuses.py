"""Stock by status: receipts into inspection, status changes, returns and counts, in any interleaving, repeated."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from services.atp.application.status_book import CountedStatus, StatusBook, StatusKey
from services.atp.application.supply_entries import CountedSince, Reference, StreamKey
from services.atp.domain.model import PositionKey
from services.atp.domain.stock_intake import Count, Movement, StockState, apply_count, apply_movement

START = datetime(2026, 1, 1, tzinfo=UTC)
POSITION = PositionKey("I1", "L1")
STREAM = StreamKey(POSITION, "wms")
STATUSES = ("available", "quality", "blocked", "damaged")
OTHERS = STATUSES[1:]


@dataclass(frozen=True)
class Moved:
    """A movement as the warehouse sends it: by how much each status changes."""

    sequence: int
    deltas: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Counted:
    """A full count as the warehouse sends it, of available stock and of some other statuses."""

    cursor: int
    number: int
    counts: tuple[tuple[str, int], ...]


Message = Moved | Counted


@st.composite
def histories(draw: st.DrawFn, *, secrets: bool) -> tuple[list[Message], dict[str, int]]:
    """What the warehouse says in the order in which it happened, and the stock in the end by what it said.

    `secrets`: losses that only a count shows. A count speaks of every status, or of available stock only.
    """
    truth = dict.fromkeys(STATUSES, 0)
    messages: list[Message] = []
    sequence = 0
    for step in range(draw(st.integers(1, 8))):
        kind = draw(st.sampled_from(("receive", "change", "count", *(["lose"] * secrets))))
        status, other = draw(st.sampled_from(STATUSES)), draw(st.sampled_from(STATUSES))
        quantity = draw(st.integers(1, 9))
        if kind == "lose":
            truth[status] = max(0, truth[status] - quantity)
        elif kind == "count":
            counted = STATUSES if draw(st.booleans()) or secrets else ("available",)
            messages.append(Counted(sequence, step, tuple((each, truth[each]) for each in counted)))
        elif kind == "receive" or status == other:
            sequence += 1
            truth[status] += quantity
            messages.append(Moved(sequence, ((status, quantity),)))
        else:
            sequence += 1
            truth[status] -= quantity
            truth[other] += quantity
            messages.append(Moved(sequence, ((status, -quantity), (other, quantity))))
    if secrets:
        messages.append(Counted(sequence, 99, tuple(truth.items())))
    return messages, truth


@dataclass
class Receiver:
    """What keeps a position from messages, as the application does."""

    on_hand: int = 0
    state: StockState = field(default_factory=StockState)
    book: StatusBook = field(default_factory=StatusBook)
    seen: list[Message] = field(default_factory=list)

    @property
    def stock(self) -> dict[str, int]:
        levels = {status: self.book.levels.get(StatusKey(POSITION, status), 0) for status in OTHERS}
        return {"available": self.on_hand, **levels}

    def receive(self, message: Message) -> None:
        if message in self.seen:
            return
        name = Reference(POSITION, "wms", str(len(self.seen)))
        before = self.state
        if isinstance(message, Moved):
            deltas = dict(message.deltas)
            movement = Movement(deltas.pop("available", 0), START + timedelta(hours=message.sequence), message.sequence)
            intake = apply_movement(before, self.on_hand, movement)
            assert intake.effect != "duplicate"
            self.book.move(name, "adjustment", before, movement, deltas)
        else:
            counts = dict(message.counts)
            at = START + timedelta(days=1, hours=message.number)
            later = sum(
                dict(each.deltas).get("available", 0)
                for each in self.seen
                if isinstance(each, Moved) and each.sequence > message.cursor
            )
            count = Count(counts.pop("available"), at, message.cursor, later)
            counted = CountedSince(STREAM, message.cursor, at)
            assert CountedStatus(counted, "quality") not in self.book.later
            intake = apply_count(before, self.on_hand, count)
            self.book.count(name, before, count, counted, counts)
        self.state, self.on_hand = intake.state, intake.on_hand
        self.seen.append(message)

    def receive_all(self, messages: Sequence[Message]) -> "Receiver":
        for message in messages:
            self.receive(message)
        return self


@st.composite
def deliveries(draw: st.DrawFn, messages: Sequence[Message]) -> list[Message]:
    """All messages, some of them more than once, in any order."""
    again = draw(st.lists(st.sampled_from(messages), max_size=4)) if messages else []
    return draw(st.permutations([*messages, *again]))


@given(st.data())
def test_any_interleaving_of_truthful_messages_ends_in_the_true_stock_of_every_status(data: st.DataObject) -> None:
    messages, truth = data.draw(histories(secrets=False))
    assert Receiver().receive_all(data.draw(deliveries(messages))).stock == truth


@given(st.data())
def test_with_losses_that_only_counts_show_any_interleaving_ends_in_what_the_last_count_says(
    data: st.DataObject,
) -> None:
    messages, truth = data.draw(histories(secrets=True))
    assert Receiver().receive_all(data.draw(deliveries(messages))).stock == truth


@given(st.data())
def test_the_ledger_of_each_status_adds_up_to_its_stock(data: st.DataObject) -> None:
    messages, _ = data.draw(histories(secrets=True))
    receiver = Receiver().receive_all(data.draw(deliveries(messages)))
    for status in OTHERS:
        ledger = sum(entry.change for entry in receiver.book.entries if entry.status == status)
        assert ledger == receiver.stock[status]
