"""Ship and arrival days with calendars and cut-offs, against a walk from day to day."""

from dataclasses import replace
from datetime import date

from hypothesis import given
from hypothesis import strategies as st

from services.atp.domain.model import (
    Book,
    Calendar,
    Day,
    Item,
    Offer,
    Position,
    PositionKey,
    Receipts,
    Request,
    RequestLine,
)
from services.atp.domain.promising import inquire
from services.atp.domain.shipping_days import is_open, is_timed
from services.atp.domain.taking import Lane
from tests.support import promise_worlds as worlds

TODAY = worlds.TODAY
near = st.integers(TODAY - 10, TODAY + 40)
calendars = st.builds(
    lambda flags, closed, opened: Calendar(tuple(flags), tuple(sorted(closed)), tuple(sorted(opened))),
    st.lists(st.booleans(), min_size=7, max_size=7).filter(any),
    st.sets(near, max_size=5),
    st.sets(near, max_size=3),
)
offers = st.builds(
    lambda processing, transit, working, pick_up, not_before: Offer(
        "L0", "S0", "road", 1, processing, transit, 0, 0, 0, working, pick_up, not_before
    ),
    st.integers(0, 3),
    st.integers(0, 3),
    st.one_of(st.none(), calendars),
    st.one_of(st.none(), calendars),
    st.sampled_from((0, TODAY, TODAY + 1, TODAY + 3)),
)


def _walked(offer: Offer, available: Day) -> Day | None:
    """The ship day by going through the days one by one; None if it is too far away."""
    begins, left = max(available, offer.not_before), offer.processing_days
    for day in range(begins, begins + 200):
        working = _open(offer.working, day)
        if working and left:
            left -= 1
        elif working and _open(offer.pick_up, day):
            return day
    return None


def _open(calendar: Calendar | None, day: Day) -> bool:
    """By the name of the weekday, not by the arithmetic of ordinals."""
    if calendar is None:
        return True
    by_name = dict(zip(("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"), calendar.weekdays, strict=True))
    if by_name[date.fromordinal(day).strftime("%a")]:
        return day not in calendar.closed
    return day in calendar.opened


def _lane(offer: Offer) -> Lane:
    return Lane(offer, PositionKey("I1", "L0"), offer.processing_days + offer.transit_days, is_timed(offer))


@given(offers, st.integers(TODAY, TODAY + 20))
def test_goods_ship_when_a_walk_through_the_calendar_says(offer: Offer, available: Day) -> None:
    walked = _walked(offer, available)
    if walked is not None:
        assert _lane(offer).ship_day(available) == walked
        assert _lane(offer).arrival(available) == walked + offer.transit_days
    else:
        assert _lane(offer).ship_day(available) >= available + 200


@given(offers, st.integers(TODAY, TODAY + 30))
def test_the_latest_day_is_the_last_one_that_still_arrives(offer: Offer, arrival: Day) -> None:
    lane = _lane(offer)
    latest = lane.latest(arrival)
    counted = [day for day in range(TODAY, arrival + 1) if lane.arrival(day) <= arrival]
    assert (latest == counted[-1]) if counted else (latest < TODAY)
    ships = lane.ship_day(TODAY)
    alike = [day for day in range(TODAY, ships + 1) if lane.ship_day(day) == ships]
    assert lane.latest_alike(TODAY) == alike[-1] == lane.latest_for(ships)


@given(calendars)
def test_the_first_ordinal_was_a_monday(calendar: Calendar) -> None:
    plain = calendar._replace(closed=(), opened=())
    assert [is_open(plain, day) for day in range(1, 8)] == list(plain.weekdays)


@given(offers, st.integers(0, 12), st.integers(0, 10))
def test_a_promise_ships_on_open_days_and_no_later_than_it_could(offer: Offer, on_hand: int, due_in: int) -> None:
    key = PositionKey("I1", "L0")
    receipts = (Receipts(TODAY + due_in + 1, 5),)
    book = Book(TODAY, {"I1": Item("I1")}, {key: Position(key, 1, on_hand, 0, receipts)}, {"*": (offer,)})
    tier = replace(worlds.TIERS[0], split_allowed=False, lateness_penalty_minor=100_000)
    lines = (RequestLine("1", "I1", 5, TODAY),)
    line = inquire(book, Request("erp", "o", tier, "GB", "web", TODAY, ship_complete=False, lines=lines)).lines[0]
    planned = line.planned[0]
    soonest = TODAY if on_hand >= 5 else TODAY + due_in + 1
    assert planned.ship_day == _lane(offer).ship_day(soonest)
    assert planned.arrival_day == planned.ship_day + offer.transit_days
    assert is_open(offer.working, planned.ship_day) or planned.ship_day >= TODAY + 200
    assert is_open(offer.pick_up, planned.ship_day) or planned.ship_day >= TODAY + 200
    assert planned.available_day >= soonest
