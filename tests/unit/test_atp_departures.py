"""When goods must have left, and until when orders are taken, by the clock of a location and also when it is set."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from services.atp.application.cut_offs import first_day
from services.atp.application.departures import MIDNIGHT, moment, routing_of, ship_by
from services.atp.application.ports import Clock
from services.atp.domain.model import Planned, PositionKey, Tier

SPRING, AUTUMN = date(2026, 3, 29), date(2026, 10, 25)  # Central European clocks are set
GOLD = Tier("gold", 1, 7, packaging="gift-box", handling=("fragile", "cold"))


@pytest.mark.parametrize(
    ("zone", "day", "at", "utc"),
    [
        ("Europe/Berlin", date(2026, 7, 1), time(15, 0), "2026-07-01T13:00"),
        ("Europe/Berlin", date(2026, 1, 7), time(15, 0), "2026-01-07T14:00"),
        ("Europe/Berlin", SPRING, time(2, 30), "2026-03-29T01:00"),  # there is none: when the clock jumps
        ("Europe/Berlin", SPRING, time(3, 0), "2026-03-29T01:00"),
        ("Europe/Berlin", AUTUMN, time(2, 30), "2026-10-25T00:30"),  # there are two: the first
        ("Europe/Berlin", AUTUMN, time(3, 0), "2026-10-25T02:00"),
        ("Asia/Kolkata", date(2026, 3, 5), time(17, 0), "2026-03-05T11:30"),  # half an hour off
        ("Asia/Kathmandu", date(2026, 3, 5), time(17, 0), "2026-03-05T11:15"),
        ("Australia/Lord_Howe", date(2026, 10, 4), time(2, 15), "2026-10-03T15:30"),  # its clock jumps by half an hour
        ("Australia/Lord_Howe", date(2026, 4, 5), time(1, 45), "2026-04-04T14:45"),
        ("Pacific/Apia", date(2011, 12, 30), time(12, 0), "2011-12-30T10:00"),  # a day that there was not
    ],
)
def test_a_time_of_day_is_one_moment_also_where_it_is_missing_or_there_twice(
    zone: str, day: date, at: time, utc: str
) -> None:
    assert moment(zone, day.toordinal(), at) == datetime.fromisoformat(utc).replace(tzinfo=UTC)


def test_moments_of_a_day_never_run_backwards() -> None:
    for zone in ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "Africa/Casablanca"):
        for day in range(date(2026, 1, 1).toordinal(), date(2027, 1, 1).toordinal()):
            told = [moment(zone, day, time(hour, minute)) for hour in range(5) for minute in (0, 30)]
            assert told == sorted(told), (zone, day)


def test_a_cut_off_that_has_passed_never_comes_back_when_the_clock_is_set_back() -> None:
    clock, day = Clock("Europe/Berlin", time(2, 30)), AUTUMN.toordinal()
    minutes = [datetime(2026, 10, 24, 23, 0, tzinfo=UTC) + timedelta(minutes=each) for each in range(180)]
    found = [first_day(clock, now) for now in minutes]
    assert found == sorted(found)
    assert first_day(clock, datetime(2026, 10, 25, 0, 30, tzinfo=UTC)) == day  # half past two for the first time
    assert first_day(clock, datetime(2026, 10, 25, 1, 15, tzinfo=UTC)) == day + 1  # a quarter past two, once more


def test_a_cut_off_in_the_missing_hour_is_when_the_clock_jumps_over_it() -> None:
    clock, day = Clock("Europe/Berlin", time(2, 30)), SPRING.toordinal()
    jump = datetime(2026, 3, 29, 1, 0, tzinfo=UTC)
    assert first_day(clock, jump) == day
    assert first_day(clock, jump + timedelta(seconds=1)) == day + 1


def test_goods_leave_by_the_pick_up_else_the_cut_off_else_the_end_of_the_day() -> None:
    day = date(2026, 7, 1).toordinal()
    berlin = ZoneInfo("Europe/Berlin")
    for clock, local in (
        (Clock("Europe/Berlin", time(14, 0), time(16, 30)), datetime(2026, 7, 1, 16, 30, tzinfo=berlin)),
        (Clock("Europe/Berlin", time(14, 0)), datetime(2026, 7, 1, 14, 0, tzinfo=berlin)),
        (Clock("Europe/Berlin", None), datetime(2026, 7, 2, 0, 0, tzinfo=berlin)),
        (MIDNIGHT, datetime(2026, 7, 2, 0, 0, tzinfo=UTC)),
    ):
        assert ship_by(clock, day) == local


def test_a_tier_without_a_pick_priority_is_picked_by_its_rank_and_what_no_lane_carries_has_no_routing() -> None:
    day = date(2026, 7, 1).toordinal()
    planned = Planned(PositionKey("I", "DC"), "dhl", 3, day, day, day + 1, 0, carrier_class="express")
    told = routing_of({("DC", "dhl"): Clock("UTC", time(16, 0))}, planned, GOLD)
    assert told == {
        "carrier_class": "express",
        "ship_by": datetime(2026, 7, 1, 16, 0, tzinfo=UTC),
        "pick_priority": 1,
        "packaging": "gift-box",
        "handling": ("fragile", "cold"),
    }
    own = routing_of({}, planned, Tier("silver", 2, 1, pick_priority=9))
    assert own is not None
    assert (own["pick_priority"], own["packaging"], own["handling"]) == (9, None, ())
    assert routing_of({}, Planned(PositionKey("I", "DC"), "dhl", 3, day, day, day, 0), GOLD) is None
