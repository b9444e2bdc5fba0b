"""Backorders are served in order of service, from what is free, and nobody loses what he has."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from services.atp.domain.model import Book, OpenBackorder, Request
from services.atp.domain.order_of_service import service_key
from services.atp.domain.promising import decide
from services.atp.domain.redecision import serve
from tests.support import promise_worlds as worlds
from tests.support.promise_auditor import Auditor

START = datetime(2026, 1, 1, tzinfo=UTC)


def _copy(book: Book) -> Book:
    return replace(book, positions=dict(book.positions), usage=dict(book.usage))


@st.composite
def backorders(draw: st.DrawFn, *, plain: bool = False) -> list[OpenBackorder]:
    """The open lines of some orders; `plain`: no minimum and no latest date."""
    found = []
    for number, asked in enumerate(draw(worlds.order_lists())):
        lines = asked.lines
        if plain:
            lines = tuple(replace(line, latest_acceptable_arrival=None, minimum_quantity=0) for line in lines)
        request = replace(asked, lines=lines, ship_complete=asked.ship_complete and not plain)
        at = START + timedelta(hours=draw(st.integers(0, 3)))
        found += [OpenBackorder(f"p{number}", service_key(request, line, at), request, line) for line in lines]
    return found


@given(worlds.books(waiting=True), backorders(), st.data())
def test_the_order_of_the_rows_changes_nothing(book: Book, rows: list[OpenBackorder], data: st.DataObject) -> None:
    other = _copy(book)
    assert serve(book, rows) == serve(other, data.draw(st.permutations(rows)))
    assert book.positions == other.positions


@given(worlds.books(waiting=True), backorders())
def test_what_is_served_was_free(book: Book, rows: list[OpenBackorder]) -> None:
    auditor = Auditor(_copy(book))
    for backorder, line in serve(book, rows):
        for part in line.planned:
            assert part.quantity <= auditor.allowed(backorder.request, part.key, part.available_day, in_turn=True)
            auditor.take(backorder.request, replace(line, planned=(part,)))


@given(worlds.books(locations=1, protected=False, limited=False, horizon=False), backorders(plain=True))
def test_nobody_is_served_while_somebody_ahead_could_have_more(book: Book, rows: list[OpenBackorder]) -> None:
    auditor = Auditor(_copy(book))
    answers = serve(book, rows)
    assert [backorder.service_key for backorder, _ in answers] == sorted(row.service_key for row in rows)
    (key,) = book.positions
    for backorder, line in answers:
        there_is = max(auditor.allowed(backorder.request, key, day, in_turn=True) for day in auditor.days)
        assert sum(part.quantity for part in line.planned) == min(line.quantity, there_is)
        auditor.take(backorder.request, line)


@given(worlds.books(), backorders())
def test_an_order_that_ships_complete_is_served_whole_or_not_at_all(book: Book, rows: list[OpenBackorder]) -> None:
    answers = serve(book, rows)
    for number in dict.fromkeys(backorder.promise_id for backorder, _ in answers):
        lines = [line for backorder, line in answers if backorder.promise_id == number]
        request = next(backorder.request for backorder, _ in answers if backorder.promise_id == number)
        if request.ship_complete:
            assert len(lines) == len(request.lines)
            assert all(not line.backordered for line in lines) or not any(line.planned for line in lines)


@given(worlds.books(), backorders(), st.data())
def test_part_of_an_order_that_ships_complete_is_left_as_it_is(
    book: Book, rows: list[OpenBackorder], data: st.DataObject
) -> None:
    whole = [row for row in rows if row.request.ship_complete and len(row.request.lines) > 1]
    if whole:
        missing = data.draw(st.sampled_from(whole))
        served = [backorder for backorder, _ in serve(book, [row for row in rows if row is not missing])]
        assert all(backorder.promise_id != missing.promise_id for backorder in served)


@given(
    worlds.books(protected=False, horizon=False), worlds.requests(lines_max=1), st.integers(1, 3), st.integers(1, 20)
)
def test_freed_stock_is_kept_for_those_who_wait_ahead(book: Book, asked: Request, rank: int, quantity: int) -> None:
    waiting = {key: replace(each, waiting=((rank, quantity),)) for key, each in book.positions.items()}
    marked = replace(book, positions=waiting)
    before = decide(_copy(book), asked)
    auditor = Auditor(_copy(marked))
    after = decide(marked, asked)
    if rank > asked.tier.priority_rank:
        assert after == before
        return
    for line in after.lines:
        auditor.take(asked, line)
        for part in line.planned:
            if part.available_day < auditor.end(marked.items["I1"]):
                assert auditor.level(part.key, marked.items["I1"], auditor.days[-1]) >= quantity
