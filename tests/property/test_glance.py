"""A glance says what an order would be told: by its earliest arrival it is promised whole, a day earlier it is not."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from services.atp.domain.glance import glance
from services.atp.domain.model import Backordering, Book, Day, Request
from services.atp.domain.promising import inquire
from tests.property.test_shipping_days import calendars
from tests.support import promise_worlds as worlds
from tests.support.promise_auditor import Auditor


@st.composite
def questions(draw: st.DrawFn) -> Request:
    """One line without dates; the tier prices and splits as it may."""
    asked = draw(worlds.requests(lines_max=1))
    line = replace(asked.lines[0], requested_arrival=None, latest_acceptable_arrival=None, minimum_quantity=0)
    return replace(asked, ship_complete=False, lines=(line,))


@st.composite
def books(draw: st.DrawFn, *, limited: bool = True) -> Book:
    """A book whose lanes have calendars and cut-offs as they may, of an item sold in packs that may wait or not."""
    book = draw(worlds.books(waiting=True, limited=limited))
    policies = st.sampled_from((Backordering(), Backordering("none"), Backordering("discontinued")))
    item = replace(book.items["I1"], pack_size=draw(st.sampled_from((1, 1, 3))), backorders=draw(policies))
    timed = st.one_of(st.none(), calendars)
    offers = tuple(
        replace(offer, working=draw(timed), pick_up=draw(timed), not_before=draw(st.sampled_from((0, book.today + 1))))
        for offer in book.offers["*"]
    )
    return replace(book, items={"I1": item}, offers={"*": offers})


def _promised_by(book: Book, request: Request, day: Day) -> bool:
    line = replace(request.lines[0], latest_acceptable_arrival=day)
    answer = inquire(book, replace(request, lines=(line,))).lines[0]
    return sum(part.quantity for part in answer.planned) == line.quantity


@given(books(), questions())
def test_an_order_by_the_earliest_arrival_is_promised_and_one_a_day_earlier_is_not(
    book: Book, request: Request
) -> None:
    seen = glance(book, request)
    if seen.earliest_arrival is None:
        answer = inquire(book, request).lines[0]
        assert seen.outcome == answer.outcome
        assert sum(part.quantity for part in answer.planned) < answer.quantity
        return
    assert seen.outcome == "promised"
    assert _promised_by(book, request, seen.earliest_arrival)
    assert not _promised_by(book, request, seen.earliest_arrival - 1)


@given(worlds.books(waiting=True, limited=False, locations=3), questions(), st.integers(1, 3))
def test_stock_and_restock_are_what_an_auditor_counts_day_by_day(book: Book, asked: Request, quantity: int) -> None:
    request = replace(asked, lines=(replace(asked.lines[0], quantity=quantity),))
    auditor, seen = Auditor(book), glance(book, request)
    keys = sorted(book.positions)

    def at_once(day: Day) -> int:
        rooms = [max(auditor.allowed(request, key, each) for each in range(book.today, day + 1)) for key in keys]
        return sum(rooms) if request.tier.split_allowed else max(rooms)

    first = next((day for day in auditor.days if at_once(day) >= quantity), None)
    assert seen.in_stock == (first == book.today)
    if first is not None and first > book.today:
        assert seen.restock_day == first


@given(worlds.books(), questions())
def test_a_glance_takes_nothing(book: Book, request: Request) -> None:
    positions, usage = dict(book.positions), dict(book.usage)
    glance(book, request)
    assert (book.positions, book.usage) == (positions, usage)
