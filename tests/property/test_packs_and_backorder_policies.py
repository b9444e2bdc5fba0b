"""Packs and backorder policies, counted anew: every part is whole packs, and no more waits than may."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from services.atp.domain.model import (
    Backordering,
    Book,
    Item,
    LineDecision,
    Offer,
    Position,
    PositionKey,
    Request,
    RequestLine,
)
from services.atp.domain.promising import decide, inquire
from services.atp.domain.routing_rules import Alternative
from tests.property.test_promise_explanations import asked_alone, check_quantities
from tests.support import promise_worlds as worlds

packs = st.integers(1, 5)
backorderings = st.one_of(
    st.sampled_from((Backordering(), Backordering("none"), Backordering("discontinued"))),
    st.builds(lambda day: Backordering("until", worlds.TODAY + day), st.integers(-2, 2)),
    st.builds(lambda limit: Backordering("limited", None, limit), st.integers(0, 20)),
)


def _with_item(book: Book, **fields: object) -> Book:
    return replace(book, items={"I1": replace(book.items["I1"], **fields)})  # type: ignore[arg-type]


def _promised(line: LineDecision) -> int:
    return sum(part.quantity for part in line.planned)


@given(worlds.books(waiting=True), worlds.order_lists(), packs, backorderings, st.integers(0, 10))
def test_parts_are_whole_packs_and_no_more_waits_than_may(
    book: Book, orders: list[Request], pack: int, rule: Backordering, waiting: int
) -> None:
    book = _with_item(book, pack_size=pack, backorders=rule)
    if rule.policy == "limited":
        book.backlog["I1"] = waiting
    for request in orders:
        before = book.backlog.get("I1", 0)
        lines = decide(book, request).lines
        assert all(part.quantity % pack == 0 for line in lines for part in line.planned)
        waits = sum(line.backordered for line in lines)
        assert all(_promised(line) + line.backordered <= line.quantity for line in lines)
        match rule.policy:
            case "none" | "discontinued":
                assert waits == 0
            case "until":
                assert waits == 0 or (rule.until or 0) >= worlds.TODAY
            case "limited":
                assert before + waits <= max(rule.limit or 0, before)
                assert book.backlog["I1"] == before + waits
            case "open" if not request.ship_complete:
                whole = [line.quantity - line.quantity % pack for line in lines if line.outcome != "below_pack"]
                assert sum(_promised(line) + line.backordered for line in lines) == sum(whole)
            case _:
                pass


@given(worlds.books(), worlds.requests(), packs)
def test_without_splits_as_many_packs_are_promised_as_the_units_there_make(
    book: Book, request: Request, pack: int
) -> None:
    request = replace(request, ship_complete=False, lines=request.lines[:1])
    line = replace(request.lines[0], quantity=request.lines[0].quantity * pack, minimum_quantity=0)
    request = replace(request, tier=replace(request.tier, split_allowed=False), lines=(line,))
    got = inquire(_with_item(book, pack_size=pack), request).lines[0]
    unpacked = inquire(book, request).lines[0]
    assert _promised(got) == _promised(unpacked) - _promised(unpacked) % pack


@given(worlds.books(), worlds.requests(lines_max=3), backorderings)
def test_an_order_that_ships_complete_waits_whole_or_not_at_all(
    book: Book, request: Request, rule: Backordering
) -> None:
    book = _with_item(book, backorders=rule)
    if rule.policy == "limited":
        book.backlog["I1"] = 0
    lines = decide(book, replace(request, ship_complete=True)).lines
    waiting, promised = sum(line.backordered for line in lines), sum(map(_promised, lines))
    assert sum((waiting, promised)) in {0, sum(line.quantity for line in lines)}
    assert not (waiting and promised)


@given(worlds.books(locations=3, limited=False), worlds.requests(lines_max=1), packs)
def test_the_smallest_change_of_supply_counts_in_units_not_in_packs(book: Book, asked: Request, pack: int) -> None:
    line = asked.lines[0]
    whole = replace(line, quantity=line.quantity * pack, minimum_quantity=line.minimum_quantity * pack)
    check_quantities(_with_item(book, pack_size=pack), asked_alone(replace(asked, lines=(whole,))))


def test_an_unknown_unit_and_less_than_a_pack_are_refused_and_say_what_would_do() -> None:
    item = Item("I1", units=(("case", 12),), pack_size=6)
    book = _stocked(item, on_hand=100)
    line = decide(book, _asked(5, unit="pallet")).lines[0]
    assert (line.outcome, line.why[0].would_help) == ("unknown_unit", "a quantity in each or case")
    line = decide(book, _asked(5)).lines[0]
    assert (line.outcome, line.why[0].would_help) == (
        "below_pack",
        "a quantity of 6, which is a multiple of the pack of 6",
    )
    line = decide(book, _asked(14)).lines[0]
    assert (line.outcome, _promised(line), line.backordered) == ("partly_promised", 12, 0)
    assert line.why[0].would_help == "a quantity of 12, which is a multiple of the pack of 6"


def test_a_short_line_names_its_substitutes_and_takes_nothing_of_them() -> None:
    item = Item("I1", substitutes=("I2", "I3"), backorders=Backordering("none"))
    book = _stocked(item, on_hand=4)
    key = PositionKey("I2", "L1")
    book = replace(
        book,
        items={**book.items, "I2": Item("I2", pack_size=2), "I3": Item("I3", active=False)},
        positions={**book.positions, key: Position(key, 1, 50)},
    )
    line = decide(book, _asked(9)).lines[0]
    assert (line.outcome, _promised(line), line.backordered) == ("partly_promised", 4, 0)
    assert line.alternatives == (Alternative("I2", 4, worlds.TODAY + 1, replaces=4),)
    assert book.positions[key].commitments == ()


def _stocked(item: Item, *, on_hand: int) -> Book:
    key = PositionKey(item.item_id, "L1")
    offer = Offer("L1", "road", "road", 1, 0, 1, 0, 0)
    return Book(worlds.TODAY, {item.item_id: item}, {key: Position(key, 1, on_hand)}, {"*": (offer,)})


def _asked(quantity: int, *, unit: str | None = None) -> Request:
    lines = (RequestLine("1", "I1", quantity, unit=unit),)
    return Request("erp", "o1", worlds.TIERS[0], "GB", "web", worlds.TODAY, ship_complete=False, lines=lines)
