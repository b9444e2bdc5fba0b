"""Amending an order: which of its two ways it takes."""

from dataclasses import replace

import pytest

from services.atp.domain.amending import Held, amend, given_back
from services.atp.domain.model import (
    Book,
    Item,
    LineDecision,
    Offer,
    Planned,
    Position,
    PositionKey,
    Request,
    RequestLine,
    Tier,
)
from services.atp.domain.promising import decide
from services.atp.domain.release import divide, release

TODAY = 740_000
ITEM = Item("I1")
TIER = Tier("only", 1, 1, lead_time_days=9)


def offer(location: str, transit_days: int, rank: int = 1) -> Offer:
    return Offer(location, "road", "road", rank, 0, transit_days, 500, 0)


def a_book(**on_hand: int) -> Book:
    """Stock by location: NEAR is a day away, FAR six."""
    return Book(
        TODAY,
        {"I1": ITEM},
        {PositionKey("I1", name): Position(PositionKey("I1", name), 1, quantity) for name, quantity in on_hand.items()},
        {"*": (offer("NEAR", 1), offer("FAR", 6, 2))},
    )


def wanting(
    quantity: int, *, wanted: int = TODAY + 9, ship_complete: bool = False, latest: int | None = None
) -> Request:
    line = RequestLine("1", "I1", quantity, wanted, latest)
    return Request("shop", "o", TIER, "*", "web", TODAY, ship_complete, (line,))


def holding(book: Book, quantity: int) -> list[Held]:
    """An order that holds what it was promised on the book."""
    (line,) = decide(book, wanting(quantity)).lines
    return [Held("1", number, part) for number, part in enumerate(line.planned, start=1)]


def test_what_an_order_has_stays_and_only_the_rest_is_decided() -> None:
    book = a_book(NEAR=0, FAR=9)
    held = holding(book, 4)
    change = amend(book, wanting(7), held)
    assert change is not None
    assert change.kept == (4,)
    assert change.asked is not None
    assert [line.quantity for line in change.asked.lines] == [3]
    assert given_back(held, change) == []


def test_less_is_cut_off_what_would_arrive_last_and_nothing_is_decided() -> None:
    book = a_book(NEAR=2, FAR=9)
    held = holding(book, 5)
    change = amend(book, wanting(3), held)
    assert change is not None
    assert sum(change.kept) == 3
    assert change.asked is None
    assert sum(part.quantity for part in given_back(held, change)) == 2


def test_a_plan_that_is_less_late_is_taken() -> None:
    book = a_book(NEAR=0, FAR=5)
    held = holding(book, 5)
    key = PositionKey("I1", "NEAR")
    book.positions[key] = replace(book.positions[key], on_hand=5)
    change = amend(book, wanting(5, wanted=TODAY + 2), held)
    assert change is not None
    assert change.kept == (0,)
    unmoved = amend(book, wanting(5), held)
    assert unmoved is not None
    assert (unmoved.kept, unmoved.asked) == ((5,), None)


def test_a_new_plan_that_is_asked_for_is_made_unless_the_line_is_pinned() -> None:
    book = a_book(NEAR=0, FAR=5)
    held = holding(book, 5)
    asked = amend(book, wanting(5), held, replan=True)
    pinned = amend(book, wanting(5), held, replan=True, pinned=("1",))
    assert asked is not None
    assert asked.kept == (0,)
    assert pinned is not None
    assert (pinned.kept, pinned.asked) == ((5,), None)


def test_a_part_that_would_arrive_too_late_now_does_not_stay() -> None:
    book = a_book(NEAR=0, FAR=5)
    change = amend(book, wanting(5, wanted=TODAY, latest=TODAY + 3), holding(book, 5))
    assert change is not None
    assert change.kept == (0,)


@pytest.mark.parametrize(("on_hand", "possible"), [(6, False), (8, True)])
def test_an_order_that_ships_complete_is_whole_or_stays_as_it_was(on_hand: int, possible: bool) -> None:
    book = a_book(NEAR=on_hand)
    held = holding(book, 5)
    change = amend(book, wanting(8, ship_complete=True), held)
    assert (change is not None) == possible
    assert amend(book, wanting(8, ship_complete=True), held, replan=True) is not None


def test_whatever_is_chosen_the_book_stays_as_it_is() -> None:
    book = a_book(NEAR=3, FAR=5)
    held = holding(book, 5)
    before = (dict(book.positions), dict(book.usage))
    amend(book, wanting(8), held)
    assert (book.positions, book.usage) == before


def test_a_part_is_divided_at_every_quantity_without_loss() -> None:
    (part,) = [each.planned for each in holding(a_book(NEAR=7), 7)]
    for quantity in range(8):
        first, rest = divide(part, quantity)
        assert (first.quantity, rest.quantity) == (quantity, 7 - quantity)
        assert first.cost_minor + rest.cost_minor == part.cost_minor
    book = a_book(NEAR=7)
    decide(book, wanting(7))
    release(book, [each for each in divide(part, 3) if each.quantity])
    assert book.positions[part.key].commitments == ()


def _stopped(book: Book, location: str, through: int) -> Book:
    key = PositionKey("I1", location)
    return replace(book, positions={**book.positions, key: replace(book.positions[key], stopped_through=through)})


def _line(book: Book, quantity: int) -> LineDecision:
    (line,) = decide(book, wanting(quantity)).lines
    return line


def test_a_stopped_position_gives_nothing_through_its_last_day() -> None:
    stopped = _line(_stopped(a_book(NEAR=5), "NEAR", TODAY), 2)
    assert (stopped.outcome, stopped.backordered, [each.kind for each in stopped.why]) == ("stopped", 2, ["stop"])
    assert _line(_stopped(a_book(NEAR=5), "NEAR", TODAY - 1), 2).outcome == "promised"


def test_a_line_that_another_location_serves_in_part_says_what_is_stopped() -> None:
    line = _line(_stopped(a_book(NEAR=5, FAR=2), "NEAR", 10**7), 3)
    parts: tuple[Planned, ...] = line.planned
    assert [(part.key.location_id, part.quantity) for part in parts] == [("FAR", 2)]
    stop = line.why[-1]
    assert (stop.kind, stop.reference, stop.day) == ("stop", "NEAR", None)


def test_a_request_for_a_location_is_served_from_there_or_not_at_all() -> None:
    book = a_book(NEAR=5, FAR=2)
    (line,) = decide(book, replace(wanting(3), location_id="FAR")).lines
    assert [(part.key.location_id, part.quantity) for part in line.planned] == [("FAR", 2)]
