"""Small instances, tried by brute force: every day, every order, every unit. No code of the engine counts here."""

from collections import Counter
from dataclasses import replace
from itertools import permutations

from hypothesis import given
from hypothesis import strategies as st

from services.atp.domain.model import (
    Book,
    Offer,
    Position,
    PositionKey,
    Protection,
    Quota,
    Receipts,
    Request,
    RequestLine,
)
from services.atp.domain.promising import decide
from tests.support import promise_worlds as worlds
from tests.support.promise_auditor import Auditor

TODAY = worlds.TODAY


def _copy(book: Book) -> Book:
    return replace(book, positions=dict(book.positions), usage=dict(book.usage))


def _one_place(book: Book, *, lag: tuple[int, int] = (0, 0)) -> Book:
    """The same book with one way to travel, that costs nothing."""
    (key,) = book.positions
    return replace(book, offers={"*": (Offer(key.location_id, "S", "road", 1, *lag, 0, 0),)})


def _whole(request: Request) -> Request:
    """One line, wanted at once, whole or not at all, however late."""
    tier = replace(request.tier, split_allowed=False, as_soon_as_possible=True, lateness_penalty_minor=10)
    line = replace(
        request.lines[0],
        requested_arrival=TODAY,
        latest_acceptable_arrival=None,
        minimum_quantity=request.lines[0].quantity,
    )
    return replace(request, tier=tier, lines=(line,), ship_complete=True)


@given(worlds.books(locations=1, waiting=True), worlds.order_lists(most=5), st.integers(0, 2), st.integers(0, 2))
def test_a_whole_line_gets_the_earliest_day_on_which_it_is_allowed(
    book: Book, orders: list[Request], processing: int, transit: int
) -> None:
    book = _one_place(book, lag=(processing, transit))
    auditor = Auditor(_copy(book))
    (key,) = book.positions
    for request in map(_whole, orders):
        quantity = request.lines[0].quantity
        feasible = [day for day in auditor.days if auditor.allowed(request, key, day) >= quantity]
        (line,) = decide(book, request).lines
        if feasible:
            assert [(part.available_day, part.quantity) for part in line.planned] == [(feasible[0], quantity)]
            assert line.planned[0].arrival_day == feasible[0] + processing + transit
        else:
            assert line.planned == ()
        auditor.take(request, line)


@given(worlds.books(locations=1, waiting=True), worlds.requests(lines_max=1), st.integers(0, 20))
def test_a_line_that_must_be_early_gets_the_most_that_any_day_until_then_allows(
    book: Book, request: Request, patience: int
) -> None:
    book = replace(_one_place(book), quotas=())
    auditor = Auditor(_copy(book))
    (key,) = book.positions
    line = replace(
        request.lines[0], latest_acceptable_arrival=TODAY + patience, requested_arrival=TODAY, minimum_quantity=0
    )
    asked = replace(request, tier=replace(request.tier, split_allowed=False), lines=(line,), ship_complete=False)
    most = max(auditor.allowed(asked, key, day) for day in auditor.days if day <= TODAY + patience)
    (answer,) = decide(book, asked).lines
    assert sum(part.quantity for part in answer.planned) == min(line.quantity, most)


@given(worlds.books(locations=1, protected=False, limited=False, horizon=False), worlds.order_lists(most=4))
def test_lines_of_one_order_and_orders_of_one_batch_never_have_more_together_than_there_is(
    book: Book, orders: list[Request]
) -> None:
    auditor = Auditor(_copy(book))
    (key,) = book.positions
    item = book.items["I1"]
    before = {day: auditor.level(key, item, day) for day in auditor.days}
    taken: Counter[int] = Counter()
    for request in orders:
        for line in decide(book, request).lines:
            taken.update({part.available_day: part.quantity for part in line.planned})
    for day, level in before.items():
        until = sum(quantity for available, quantity in taken.items() if available <= day)
        assert until <= max(0, level)


@given(st.lists(worlds.books(locations=1), min_size=2, max_size=3), st.data())
def test_orders_that_share_nothing_get_the_same_in_any_order(worlds_apart: list[Book], data: st.DataObject) -> None:
    keys = [PositionKey(f"I{number}", f"L{number}") for number in range(len(worlds_apart))]
    orders = [_on(data.draw(worlds.requests(number=number, lines_max=2)), key) for number, key in enumerate(keys)]
    answers = []
    for order in permutations(range(len(keys))):
        book = _joined(worlds_apart, keys)
        found = {place: decide(book, orders[place]) for place in order}
        answers.append(([found[place] for place in range(len(keys))], book.positions, dict(book.usage)))
    assert all(each == answers[0] for each in answers)


def _joined(apart: list[Book], keys: list[PositionKey]) -> Book:
    """Several books of one item each as one, without quotas: they would be shared."""
    items, positions, protections = {}, {}, {}
    offers: list[Offer] = []
    for book, key in zip(apart, keys, strict=True):
        (old,) = book.positions
        items[key.item_id] = replace(book.items["I1"], item_id=key.item_id)
        positions[key] = replace(book.positions[old], key=key)
        protections[key] = tuple(
            replace(each, key=key, protection_id=f"{key}-{each.protection_id}")
            for each in book.protections.get(old, ())
        )
        offers += [replace(each, location_id=key.location_id) for each in book.offers["*"]]
    return Book(TODAY, items, positions, {"*": tuple(offers)}, protections)


def _on(request: Request, key: PositionKey) -> Request:
    return replace(request, lines=tuple(replace(line, item_id=key.item_id) for line in request.lines))


@given(
    st.integers(0, 9),
    st.lists(st.integers(0, 5), min_size=4, max_size=4),
    st.lists(st.tuples(st.sampled_from((0, 1, 2)), st.integers(1, 4), st.integers(0, 3)), max_size=5),
    st.sampled_from(("prioritised", "core")),
    st.lists(st.integers(0, 5), min_size=2, max_size=2),
)
def test_two_periods_of_a_tier_are_honoured_unit_by_unit(
    on_hand: int, due: list[int], asked: list[tuple[int, int, int]], mode: str, kept: list[int]
) -> None:
    """Four days, a period of the best tier for the first two and one for the last two, and every unit followed."""
    key = PositionKey("I1", "L0")
    receipts = tuple(Receipts(TODAY + day, units) for day, units in enumerate(due) if day and units)
    periods = [(TODAY, TODAY + 1), (TODAY + 2, TODAY + 3)]
    protections = tuple(
        Protection(f"p{place}", "d", 1, key, "gold", 1, start, end, units, "core" if mode == "core" else "prioritised")
        for place, ((start, end), units) in enumerate(zip(periods, kept, strict=True))
    )
    quota = Quota("q", "d", 1, TODAY, TODAY + 3, 6, tier="bronze")
    book = Book(
        TODAY,
        {"I1": worlds.ITEM},
        {key: Position(key, 1, on_hand, receipts=receipts)},
        {"*": (Offer("L0", "S", "road", 1, 0, 0, 0, 0),)},
        {key: protections},
        (quota,),
    )
    gold_by_period, bronze, by_day = [0, 0], 0, Counter[int]()
    for number, (tier, quantity, day) in enumerate(asked):
        request = Request(
            "s",
            f"o{number}",
            worlds.TIERS[tier],
            "GB",
            "web",
            TODAY,
            ship_complete=False,
            lines=(replace(_line(quantity), requested_arrival=TODAY + day, latest_acceptable_arrival=TODAY + day),),
        )
        for part in decide(book, request).lines[0].planned:
            place = part.available_day - TODAY
            by_day[place] += part.quantity
            gold_by_period[place // 2] += part.quantity if tier == 0 else 0
            bronze += part.quantity if tier == 2 else 0
            free = [on_hand + sum(due[1 : d + 1]) - sum(q for p, q in by_day.items() if p <= d) for d in range(4)]
            assert min(free) >= 0
            now_kept = max(0, kept[0] - gold_by_period[0])
            later_kept = max(0, min(kept[1], sum(due[2:4])) - gold_by_period[1])
            if tier > 0:
                assert free[3] >= min(now_kept + later_kept, free[3] + part.quantity)
            elif mode == "core":
                assert free[3] >= min((later_kept, now_kept)[place // 2], free[3] + part.quantity)
    assert bronze <= quota.quantity


def _line(quantity: int) -> RequestLine:
    return RequestLine("1", "I1", quantity)
