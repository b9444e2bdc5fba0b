"""Transfers: versions of the document and what moves under it, in any order, end in the same two positions.

The auditor keeps everything that was said and works the positions out from the whole of it, each time anew.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from hypothesis import given
from hypothesis import strategies as st

from services.atp.domain.model import Position, PositionKey
from services.atp.domain.transfers import Transfer, at_destination, at_source, move, state

LOCATIONS = ("A", "B", "C")
Message = Transfer | int


@st.composite
def documents(draw: st.DrawFn, version: int) -> Transfer:
    start = draw(st.integers(10, 14))
    source, target = draw(st.permutations(LOCATIONS))[:2]
    kind = draw(st.sampled_from(("open", "open", "cancelled", "closed")))
    return Transfer(version, source, target, draw(st.integers(1, 9)), start, start + 2, kind)  # type: ignore[arg-type]


@st.composite
def conversations(draw: st.DrawFn) -> list[Message]:
    """Versions of one transfer, and quantities that left (negative) or arrived."""
    versions = [draw(documents(version)) for version in range(1, draw(st.integers(1, 4)) + 1)]
    moved = draw(st.lists(st.integers(-5, 5).filter(bool), max_size=4))
    return draw(st.permutations([*versions, *moved]))


@dataclass
class Keeper:
    """What keeps the positions, step by step."""

    transfer: Transfer = field(default_factory=Transfer)
    positions: dict[str, Position] = field(
        default_factory=lambda: {name: Position(PositionKey("I1", name), 1, 20) for name in LOCATIONS}
    )

    def hear(self, message: Message) -> None:
        before = self.transfer
        self.transfer = move(before, message) if isinstance(message, int) else state(before, message)
        for name, position in self.positions.items():
            self.positions[name] = at_destination(at_source(position, before, self.transfer), before, self.transfer)


def _audit(messages: Sequence[Message], name: str) -> tuple[tuple[tuple[int, int], ...], tuple[tuple[int, int], ...]]:
    """What is committed and what is due at a location, by day, by the newest version and all that moved."""
    said = [message for message in messages if isinstance(message, Transfer)]
    if not said:
        return (), ()
    newest = max(said, key=lambda each: each.version)
    left = -sum(message for message in messages if isinstance(message, int) and message < 0)
    came = sum(message for message in messages if isinstance(message, int) and message > 0)
    leaving = newest.quantity - left if newest.state == "open" else 0
    coming = {"open": max(newest.quantity, left), "cancelled": left, "closed": 0}[newest.state] - came
    committed = ((newest.ship_day, leaving),) if newest.from_location == name and leaving > 0 else ()
    due = ((newest.due_day, coming),) if newest.to_location == name and coming > 0 else ()
    return committed, due


@given(conversations(), st.data())
def test_after_every_message_the_positions_are_as_all_that_was_said_says(
    messages: list[Message], data: st.DataObject
) -> None:
    keeper, heard = Keeper(), list[Message]()
    for message in messages:
        repeated = [each for each in heard if isinstance(each, Transfer)]
        for again in data.draw(st.lists(st.sampled_from(repeated), max_size=1)) if repeated else ():
            keeper.hear(again)
        heard.append(message)
        keeper.hear(message)
        for name in LOCATIONS:
            position = keeper.positions[name]
            due = tuple((receipts.day, receipts.confirmed) for receipts in position.receipts)
            assert (position.commitments, due) == _audit(heard, name)


@given(conversations(), st.data())
def test_any_order_ends_in_the_same_positions(messages: list[Message], data: st.DataObject) -> None:
    first, second = Keeper(), Keeper()
    for message in messages:
        first.hear(message)
    for message in data.draw(st.permutations(messages)):
        second.hear(message)
    assert first.positions == second.positions


@given(st.integers(1, 9), st.lists(st.integers(1, 4), max_size=3), st.booleans())
def test_what_was_sent_is_never_shown_at_both_ends(quantity: int, sent: list[int], cancelled: bool) -> None:
    """Stock at the source, less what is committed, and what is due at the other end make up what there was."""
    document = Transfer(1, "A", "B", quantity, 10, 12)
    keeper = Keeper()
    keeper.hear(document)
    left = 0
    for units in sent:
        keeper.hear(-units)
        left += units
        source = keeper.positions["A"]
        keeper.positions["A"] = replace(source, on_hand=source.on_hand - units)
    if cancelled:
        keeper.hear(replace(document, version=2, state="cancelled"))
    source, target = keeper.positions["A"], keeper.positions["B"]
    free = source.on_hand - sum(units for _, units in source.commitments)
    due = sum(receipts.confirmed for receipts in target.receipts)
    assert free + due == 20
    assert due == (left if cancelled else max(quantity, left))
