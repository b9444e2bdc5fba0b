"""The change that an answer says would help does help when it is applied, and one unit or one day less does not."""

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import date

from hypothesis import given
from hypothesis import strategies as st

from services.atp.domain.model import Binding, Book, LineDecision, PositionKey, Request
from services.atp.domain.promising import inquire
from services.atp.domain.taking import with_receipts
from tests.support import promise_worlds as worlds


def asked_alone(request: Request) -> Request:
    """One line of a tier to which no cost matters as much as being in time."""
    tier = replace(request.tier, lateness_penalty_minor=100_000, backorder_penalty_minor=0)
    return replace(request, tier=tier, ship_complete=False, lines=request.lines[:1])


def _answer(book: Book, request: Request) -> LineDecision:
    return inquire(book, request).lines[0]


def is_feasible(book: Book, request: Request, before: LineDecision) -> bool:
    """Whether a line now gets what it did not get before."""
    after = _answer(book, request)
    promised = sum(part.quantity for part in after.planned)
    if before.outcome == "promised_late":
        return after.outcome == "promised"
    if before.outcome == "below_minimum":
        return promised >= min(request.lines[0].minimum_quantity, after.quantity)
    return promised == after.quantity


def _with_supply(book: Book, location: str, day: int | None, quantity: int) -> Book:
    key = PositionKey("I1", location)
    position = book.positions[key]
    if day is None or day <= book.today:
        position = replace(position, on_hand=position.on_hand + quantity)
    else:
        position = replace(position, receipts=with_receipts(position.receipts, day, confirmed=quantity))
    return replace(book, positions={**book.positions, key: position})


def _lowered(book: Book, protection_id: str, quantity: int) -> Book:
    return replace(
        book,
        protections={
            key: tuple(
                replace(each, quantity=each.quantity - quantity) if each.protection_id == protection_id else each
                for each in everyone
            )
            for key, everyone in book.protections.items()
        },
    )


def _raised(book: Book, quota_id: str, quantity: int) -> Book:
    return replace(
        book,
        quotas=tuple(
            replace(each, quantity=each.quantity + quantity) if each.quota_id == quota_id else each
            for each in book.quotas
        ),
    )


def _held_back_less(book: Book, key: PositionKey, quantity: int) -> Book:
    position = book.positions[key]
    ((channel, kept),) = position.channel_buffers
    less = replace(position, channel_buffers=((channel, kept - quantity),))
    return replace(book, positions={**book.positions, key: less})


def _applied(book: Book, binding: Binding, needed: int) -> Book:
    match binding.kind:
        case "supply":
            return _with_supply(book, binding.reference, binding.day, needed)
        case "protection":
            return _lowered(book, binding.reference, needed)
        case "buffer":
            return _held_back_less(book, PositionKey("I1", binding.reference), needed)
        case "quota":
            return _raised(book, binding.reference, needed)
    return book


def _changes(why: Sequence[Binding]) -> list[list[Binding]]:
    """Each change for itself: supply or a protection, together with the quotas that bind as well."""
    quotas = [binding for binding in why if binding.kind == "quota"]
    others = [binding for binding in why if binding.kind in {"supply", "protection", "buffer"}]
    if quotas and not others:
        return [quotas]
    return [[*quotas, binding] for binding in others if binding.needed is not None]


def _shifted(request: Request, name: str, day: int) -> Request:
    """The request with the one date changed that an answer named."""
    line = request.lines[0]
    if name == "requested":
        return replace(request, lines=(replace(line, requested_arrival=day),))
    return replace(request, lines=(replace(line, latest_acceptable_arrival=day),))


def check_quantities(book: Book, request: Request) -> None:
    """Apply every change that an answer names, and every change that is one unit smaller."""
    before = _answer(book, request)
    for change in _changes(before.why):
        enough = book
        for binding in change:
            enough = _applied(enough, binding, binding.needed or 0)
        assert is_feasible(enough, request, before), change
        for less in change:
            short = book
            for binding in change:
                short = _applied(short, binding, (binding.needed or 0) - (binding is less))
            assert not is_feasible(short, request, before), (change, less)


@given(worlds.books(locations=1, limited=False, waiting=True), worlds.requests(lines_max=1))
def test_a_change_of_supply_or_protection_helps_at_one_location(book: Book, asked: Request) -> None:
    check_quantities(book, asked_alone(asked))


@given(worlds.books(locations=3, limited=False), worlds.requests(lines_max=1))
def test_a_change_of_supply_or_protection_helps_at_several_locations(book: Book, asked: Request) -> None:
    check_quantities(book, asked_alone(asked))


@given(worlds.books(locations=2), worlds.requests(lines_max=1))
def test_a_change_of_supply_and_quotas_together_helps(book: Book, asked: Request) -> None:
    check_quantities(book, asked_alone(asked))


@given(worlds.books(), worlds.requests(lines_max=1))
def test_the_date_named_is_the_first_that_helps(book: Book, asked: Request) -> None:
    request = asked_alone(asked)
    before = _answer(book, request)
    for binding in before.why:
        named = re.search(r"a (requested|latest acceptable) arrival of (\d{4}-\d\d-\d\d)", binding.would_help)
        if named:
            day = date.fromisoformat(named.group(2)).toordinal()
            assert is_feasible(book, _shifted(request, named.group(1), day), before)
            assert not is_feasible(book, _shifted(request, named.group(1), day - 1), before)


@given(worlds.books(waiting=True), worlds.requests(lines_max=1))
def test_every_answer_that_is_not_a_plain_promise_says_why(book: Book, asked: Request) -> None:
    answer = _answer(book, asked)
    assert bool(answer.why) == (answer.outcome != "promised")
    assert all(binding.would_help for binding in answer.why)
    assert all(binding.allowed is None or binding.allowed >= 0 for binding in answer.why)


@given(worlds.books(locations=3), worlds.requests(lines_max=1), st.data())
def test_a_stop_is_named_exactly_where_lifting_it_helps(book: Book, asked: Request, data: st.DataObject) -> None:
    keys = data.draw(st.lists(st.sampled_from(sorted(book.positions)), unique=True, min_size=1))
    stops = {key: replace(book.positions[key], stopped_through=book.today + 3) for key in keys}
    stopped, request = replace(book, positions={**book.positions, **stops}), asked_alone(asked)
    before = _answer(stopped, request)
    if before.outcome in {"promised", "stopped"}:
        return
    named = {binding.reference for binding in before.why if binding.kind == "stop"}
    for key in keys:
        lifted = replace(stopped, positions={**stopped.positions, key: book.positions[key]})
        assert is_feasible(lifted, request, before) == (key.location_id in named)
