"""Bookable capacity: never exceeded, kept for those it is kept for, given back whole, and no day is given up for it."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from services.atp.domain.capacity import left_for, limiting_at
from services.atp.domain.model import Binding, Book, LineDecision, Planned, PositionKey, Request
from services.atp.domain.promising import decide, inquire
from services.atp.domain.release import release, ship, split
from services.atp.domain.taking import with_receipts
from tests.support import promise_worlds as worlds
from tests.support.capacity_worlds import CapacityAuditor, limited
from tests.support.promise_auditor import Auditor

plain = worlds.books(protected=False, limited=False)


def _copy(book: Book) -> Book:
    return replace(book, positions=dict(book.positions), usage=dict(book.usage))


def _alone(request: Request, *, split_allowed: bool) -> Request:
    """One line of a tier to which no cost matters as much as being in time."""
    tier = replace(request.tier, split_allowed=split_allowed, lateness_penalty_minor=100_000, backorder_penalty_minor=0)
    return replace(request, tier=tier, ship_complete=False, lines=request.lines[:1])


@given(limited(worlds.books(locations=3, waiting=True)), worlds.order_lists())
def test_every_part_had_room_to_leave_when_it_was_taken(book: Book, orders: list[Request]) -> None:
    stock, leaving = Auditor(_copy(book)), CapacityAuditor(book)
    for request in orders:
        for line in decide(book, request).lines:
            for part in line.planned:
                place = part.key.location_id
                assert part.quantity <= stock.allowed(request, part.key, part.available_day)
                assert part.quantity <= leaving.left(request, place, part.service, part.ship_day)
                stock.take(request, replace(line, planned=(part,)))
                leaving.taken.append((request, part))


@given(limited(plain), worlds.order_lists())
def test_what_is_left_is_what_the_auditor_counts(book: Book, orders: list[Request]) -> None:
    leaving = CapacityAuditor(book)
    for request in orders:
        leaving.taken += [(request, part) for line in decide(book, request).lines for part in line.planned]
    for request in orders:
        for offer in book.offers["*"]:
            for day in range(book.today, book.today + 12):
                found = limiting_at(book, offer.location_id, offer.service)
                lefts = [left_for(each, request.tier, day, book.today, book.usage) for each in found]
                assert max(0, min([10**15, *lefts])) == leaving.left(request, offer.location_id, offer.service, day)


@given(limited(worlds.books(locations=2)), worlds.order_lists(), st.data())
def test_what_is_given_back_is_free_again_and_what_shipped_is_not(
    book: Book, orders: list[Request], data: st.DataObject
) -> None:
    before = dict(book.usage)
    taken: list[Planned] = []
    for request in orders:
        taken += [part for line in decide(book, request).lines for part in line.planned]
    shipped = {key: 0 for key in book.usage if key.kind == "capacity"}
    for part in taken:
        quantity = data.draw(st.integers(0, part.quantity))
        back = part
        if quantity == part.quantity:
            ship(book, part, quantity)
            back = replace(part, quantity=0, postings=())
        elif quantity:
            gone, back = split(part, quantity)
            ship(book, gone, quantity)
        if back.quantity:
            release(book, [back])
        for posting in part.postings:
            if posting.usage.kind == "capacity":
                shipped[posting.usage] += quantity
    assert {key: used for key, used in book.usage.items() if key.kind == "capacity"} == shipped
    assert not any(key.kind == "capacity" for key in before)


@given(limited(worlds.books(locations=1, limited=False, horizon=False)), worlds.order_lists(most=3))
def test_a_line_in_one_part_gets_the_first_day_with_both_goods_and_room(book: Book, orders: list[Request]) -> None:
    offers = {"*": book.offers["*"][:1]}
    book = replace(book, offers=offers, protections={})
    (offer,), stock, leaving = offers["*"], Auditor(_copy(book)), CapacityAuditor(book)
    key = PositionKey("I1", offer.location_id)
    for asked in orders:
        single = _alone(asked, split_allowed=False)
        line = replace(single.lines[0], requested_arrival=book.today, latest_acceptable_arrival=None)
        request = replace(single, lines=(replace(line, minimum_quantity=0),))
        room = {
            day: min(
                stock.allowed(request, key, day),
                leaving.left(request, offer.location_id, offer.service, day + offer.processing_days),
            )
            for day in range(book.today, stock.days[-1] + 60)  # further than three orders can fill a day of each week
        }
        most = min(line.quantity, max(room.values()))
        (answer,) = decide(book, request).lines
        if most <= 0:
            assert not answer.planned
            continue
        first = min(day for day, units in room.items() if units >= most)
        assert [(part.available_day, part.quantity) for part in answer.planned] == [(first, most)]
        stock.take(request, answer)
        leaving.taken += [(request, part) for part in answer.planned]


@given(limited(worlds.books(locations=1, protected=False, limited=False, horizon=False)), worlds.requests(lines_max=1))
def test_a_split_line_uses_every_day_that_may_still_help(book: Book, asked: Request) -> None:
    book = replace(book, offers={"*": book.offers["*"][:1]})
    (offer,), stock, leaving = book.offers["*"], Auditor(_copy(book)), CapacityAuditor(book)
    latest = book.today + 12
    request = _alone(asked, split_allowed=True)
    line = replace(request.lines[0], quantity=40, minimum_quantity=0, latest_acceptable_arrival=latest)
    request = replace(request, lines=(line,))
    key, units = PositionKey("I1", offer.location_id), 0
    for day in range(book.today, latest - offer.processing_days - offer.transit_days + 1):
        ship_day = day + offer.processing_days
        part = min(
            stock.allowed(request, key, day) - units,
            leaving.left(request, offer.location_id, offer.service, ship_day),
            line.quantity - units,
        )
        units += max(0, part)
    (answer,) = decide(book, request).lines
    assert sum(part.quantity for part in answer.planned) == units


def _applied(book: Book, binding: Binding, size: int) -> Book:
    if binding.kind == "capacity":
        raised = {
            place: tuple(
                replace(each, exceptions=_raised(each.exceptions, each.weekdays, binding.day or 0, size))
                if each.capacity_id == binding.reference
                else each
                for each in everyone
            )
            for place, everyone in book.capacities.items()
        }
        return replace(book, capacities=raised)
    key = PositionKey("I1", binding.reference)
    position = book.positions[key]
    if binding.day is None or binding.day <= book.today:
        position = replace(position, on_hand=position.on_hand + size)
    else:
        position = replace(position, receipts=with_receipts(position.receipts, binding.day, confirmed=size))
    return replace(book, positions={**book.positions, key: position})


def _raised(
    exceptions: tuple[tuple[int, int], ...], weekdays: tuple[int, ...], day: int, size: int
) -> tuple[tuple[int, int], ...]:
    by_day = dict(exceptions)
    by_day[day] = by_day.get(day, weekdays[(day + 6) % 7]) + size
    return tuple(sorted(by_day.items()))


def _is_feasible(book: Book, request: Request, before: LineDecision) -> bool:
    after = inquire(book, request).lines[0]
    promised = sum(part.quantity for part in after.planned)
    if before.outcome == "promised_late":
        return after.outcome == "promised"
    if before.outcome == "below_minimum":
        return promised >= min(request.lines[0].minimum_quantity, after.quantity)
    return promised == after.quantity


@given(limited(worlds.books(locations=2, protected=False, limited=False)), worlds.requests(lines_max=1))
def test_the_capacity_that_an_answer_asks_for_helps_and_one_unit_less_does_not(book: Book, asked: Request) -> None:
    request = _alone(asked, split_allowed=asked.tier.split_allowed)
    before = inquire(book, request).lines[0]
    capacities = [binding for binding in before.why if binding.kind == "capacity"]
    others = [binding for binding in before.why if binding.kind == "supply" and binding.needed is not None]
    changes = [[*capacities, each] for each in others[: 1 if capacities else None]] or ([capacities] * bool(capacities))
    for change in changes:
        enough = book
        for binding in change:
            enough = _applied(enough, binding, binding.needed or 0)
        assert _is_feasible(enough, request, before), change
        for less in change:
            short = book
            for binding in change:
                short = _applied(short, binding, (binding.needed or 0) - (binding is less))
            assert not _is_feasible(short, request, before), (change, less)


@given(limited(worlds.books(locations=2)), worlds.requests())
def test_every_answer_beside_capacity_that_is_not_a_plain_promise_says_why(book: Book, asked: Request) -> None:
    for line in inquire(book, replace(asked, ship_complete=False)).lines:
        assert bool(line.why) == (line.outcome != "promised")
        assert all(binding.would_help for binding in line.why)
