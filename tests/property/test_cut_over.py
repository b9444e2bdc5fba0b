"""Taking over open orders, against a ledger of its own: what is committed, consumed, waits and goes short."""

from collections import Counter
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from services.atp.domain.cut_over import PromisedElsewhere, days_of, take_over
from services.atp.domain.model import (
    Book,
    Calendar,
    Item,
    Offer,
    Position,
    PositionKey,
    Protection,
    Quota,
    Request,
    RequestLine,
    Tier,
    UsageKey,
)
from services.atp.domain.promising import decide
from services.atp.domain.release import divide, release
from services.atp.domain.shipping_days import is_timed, ship_day
from services.atp.domain.supply_picture import UNLIMITED, running_supply
from services.atp.domain.taking import Given, Lane

TODAY = 739_000
GOLD, BRONZE = Tier("gold", 1, 1), Tier("bronze", 3, 1)
KEYS = (PositionKey("tea", "L1"), PositionKey("tea", "L2"))
HORIZON = 12
ROAD = Offer("L1", "road", "road", 1, 1, 2, 500, 5)


@st.composite
def givens(draw: st.DrawFn) -> Given:
    quantity = draw(st.integers(1, 9))
    day = TODAY + draw(st.integers(-3, 20))
    return Given(
        draw(st.sampled_from(KEYS)), "road", quantity, draw(st.integers(0, quantity)), day, day + 1, day + 3, 10
    )


@st.composite
def open_orders(draw: st.DrawFn, number: int) -> PromisedElsewhere:
    parts = tuple(draw(st.lists(givens(), max_size=3)))
    promised = sum(each.quantity for each in parts)
    line = RequestLine("1", "tea", promised + draw(st.integers(0 if promised else 1, 4)))
    tier = draw(st.sampled_from((GOLD, BRONZE)))
    request = Request("legacy", f"o{number}", tier, "*", "default", TODAY - 9, ship_complete=False, lines=(line,))
    return PromisedElsewhere(request, (parts,))


@st.composite
def worlds(draw: st.DrawFn) -> tuple[Book, list[PromisedElsewhere]]:
    policy = draw(st.sampled_from((None, HORIZON)))
    protections = {
        key: (Protection(f"p@{key.location_id}", "p", 1, key, "gold", 1, TODAY, TODAY + 5, 3),) for key in KEYS
    }
    book = Book(
        today=TODAY,
        items={"tea": Item("tea", checking_horizon_days=policy)},
        positions={key: Position(key, 1, draw(st.integers(0, 15))) for key in KEYS},
        offers={"*": (ROAD,)},
        protections=protections,
        quotas=(Quota("q", "q", 1, TODAY, TODAY + 9, 4, item_id="tea"),),
    )
    orders = [draw(open_orders(number)) for number in range(draw(st.integers(1, 5)))]
    return book, orders


def copy(book: Book) -> Book:
    return replace(book, positions=dict(book.positions), usage=dict(book.usage), backlog=dict(book.backlog))


@given(worlds())
def test_commitments_and_consumption_are_what_was_promised_and_nothing_is_refused(
    world: tuple[Book, list[PromisedElsewhere]],
) -> None:
    book, orders = world
    owed: Counter[tuple[PositionKey, int]] = Counter()
    assumed: Counter[tuple[PositionKey, int]] = Counter()
    consumed: Counter[UsageKey] = Counter()
    horizon = book.items["tea"].checking_horizon_days
    for order in orders:
        decision = take_over(book, order)
        [line], [parts] = decision.lines, order.given
        assert [(each.quantity, each.available_day, each.ship_day, each.arrival_day) for each in line.planned] == [
            (each.quantity, each.available_day, each.ship_day, each.arrival_day) for each in parts
        ]
        assert line.backordered == line.quantity - sum(each.quantity for each in parts)
        for each in parts:
            owed[each.key, each.available_day] += each.quantity - each.shipped
            if horizon is not None and each.available_day >= TODAY + horizon:
                assumed[each.key, each.available_day] += each.quantity - each.shipped
            if order.request.tier is GOLD and TODAY <= each.available_day <= TODAY + 5:
                consumed[UsageKey("protection", f"p@{each.key.location_id}", TODAY)] += each.quantity
            if TODAY <= each.available_day <= TODAY + 9:
                consumed[UsageKey("quota", "q", TODAY)] += each.quantity
    for key in KEYS:
        position = book.positions[key]
        assert dict(position.commitments) == {day: units for (at, day), units in owed.items() if at == key and units}
        assert {each.day: each.assumed for each in position.receipts} == {
            day: units for (at, day), units in assumed.items() if at == key and units
        }
    assert {key: units for key, units in book.usage.items() if units} == dict(consumed)


@given(worlds())
def test_giving_back_all_that_has_not_shipped_leaves_the_book_as_if_only_that_had_shipped(
    world: tuple[Book, list[PromisedElsewhere]],
) -> None:
    book, orders = world
    before = copy(book)
    shipped: Counter[UsageKey] = Counter()
    for order in orders:
        decision = take_over(book, order)
        for planned, part in zip(decision.lines[0].planned, order.given[0], strict=True):
            gone, left = divide(planned, part.shipped)
            release(book, [left])
            for posting in gone.postings:
                shipped[posting.usage] += posting.quantity
    assert {key: replace(each, version=0) for key, each in book.positions.items()} == {
        key: replace(each, version=0) for key, each in before.positions.items()
    }
    assert {key: units for key, units in book.usage.items() if units} == {
        key: units for key, units in shipped.items() if units
    }


@given(worlds(), st.integers(1, 12))
def test_a_new_order_is_never_given_what_open_orders_need(
    world: tuple[Book, list[PromisedElsewhere]], quantity: int
) -> None:
    book, orders = world
    for order in orders:
        take_over(book, order)
    levels = {key: running_supply(book.positions[key], book.items["tea"], TODAY) for key in KEYS}
    wanted = (RequestLine("1", "tea", quantity),)
    decide(book, Request("shop", "new", BRONZE, "*", "default", TODAY, ship_complete=False, lines=wanted))
    for key, before in levels.items():
        after = running_supply(book.positions[key], book.items["tea"], TODAY)
        end = UNLIMITED if before.horizon is None else before.horizon
        for day, level in zip(after.days, after.available, strict=True):
            was = [each for start, each in zip(before.days, before.available, strict=True) if start <= day][-1]
            assert day >= end or level >= min(was, 0)


DAYS = st.one_of(st.none(), st.integers(TODAY - 20, TODAY + 40))
CALENDARS = st.one_of(
    st.none(),
    st.tuples(*[st.booleans()] * 7).filter(any).map(Calendar),
)


@given(DAYS, DAYS, st.integers(0, 3), st.integers(0, 4), CALENDARS, CALENDARS)
def test_the_days_that_were_promised_stand_and_goods_are_there_in_time(  # noqa: PLR0917 - what a lane says
    ship: int | None,
    arrival: int | None,
    processing: int,
    transit: int,
    working: Calendar | None,
    pick_up: Calendar | None,
) -> None:
    offer = replace(ROAD, processing_days=processing, transit_days=transit, working=working, pick_up=pick_up)
    lane = Lane(offer, KEYS[0], processing + transit, is_timed(offer))
    days = days_of(lane, processing, ship, arrival)
    if ship is None and arrival is None:
        assert days is None
        return
    assert days is not None
    assert ship in (None, days.ship)
    assert arrival in (None, days.arrival)
    assert days.available + processing <= days.ship
    assert ship_day(offer, days.available) <= days.ship  # ready by then, by the lane's own calendars
    if arrival is None:
        assert days.arrival == days.ship + transit
    if ship is None:
        assert days.ship + transit <= days.arrival
    assert days_of(None, processing, ship, arrival) == (
        None if None in (ship, arrival) else (ship - processing, ship, arrival)  # type: ignore[operator]
    )
