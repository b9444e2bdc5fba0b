"""When variants of backorder processing are run, and which strategy their segments give a line."""

from datetime import UTC, datetime, time, timedelta
from itertools import pairwise

import pytest

from services.atp.application.run_variants import Schedule, VariantVersion, in_effect, next_slot
from services.atp.domain.run_segments import RunLine, Segment, asked_items, givers, strategy_of

DAILY = (1, 2, 3, 4, 5, 6, 7)
TODAY = 739_000
LINE = RunLine("gold", "TEA", "EU", "web", "C-1", TODAY + 3, ("DC",))


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def moments(schedule: Schedule, after: str, count: int) -> list[str]:
    """The next moments of a schedule, each after the one before."""
    found, moment = [], at(after)
    for _ in range(count):
        moment = schedule.next(moment)
        found.append(moment.isoformat(timespec="minutes").removesuffix("+00:00"))
    return found


def test_a_schedule_comes_round_on_its_days_at_the_local_time() -> None:
    schedule = Schedule((1, 5), (time(6), time(22, 30)), "America/New_York")
    assert moments(schedule, "2026-01-01T00:00", 5) == [  # a Thursday
        "2026-01-02T11:00",
        "2026-01-03T03:30",
        "2026-01-05T11:00",
        "2026-01-06T03:30",
        "2026-01-09T11:00",
    ]


def test_a_time_that_the_clock_leaps_over_is_run_once_when_it_has_leapt() -> None:
    schedule = Schedule(DAILY, (time(2, 30),), "Europe/Berlin")
    assert moments(schedule, "2026-03-28T00:00", 3) == ["2026-03-28T01:30", "2026-03-29T01:00", "2026-03-30T00:30"]


def test_a_time_that_is_there_twice_is_run_once_the_first_time() -> None:
    schedule = Schedule(DAILY, (time(2, 30),), "Europe/Berlin")
    assert moments(schedule, "2026-10-24T12:00", 2) == ["2026-10-25T00:30", "2026-10-26T01:30"]


def test_the_next_moment_is_strictly_after() -> None:
    schedule = Schedule(DAILY, (time(3),), "UTC")
    assert schedule.next(at("2026-01-01T03:00")) == at("2026-01-02T03:00")
    assert schedule.next(at("2026-01-01T02:59:59")) == at("2026-01-01T03:00")


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Pacific/Pago_Pago", "Asia/Kathmandu", "Africa/Casablanca"])
def test_each_local_day_of_a_year_is_run_once_wherever_it_is(zone: str) -> None:
    schedule = Schedule(DAILY, (time(0, 15),), zone)
    moment, found = at("2026-01-01T00:00"), []
    while moment < at("2027-01-01T00:00"):
        moment = schedule.next(moment)
        found.append(moment)
    gaps = [later - sooner for sooner, later in pairwise(found)]
    assert timedelta(hours=22) < min(gaps) <= max(gaps) < timedelta(hours=26)
    assert len(found) in {365, 366}


def version(number: int, begins: str, ends: str | None, hour: int | None) -> VariantVersion:
    schedule = None if hour is None else Schedule(DAILY, (time(hour),), "UTC")
    return VariantVersion(number, (), schedule, at(begins), None if ends is None else at(ends))


def test_the_next_run_is_by_the_version_that_is_in_effect_then() -> None:
    versions = [
        version(3, "2026-01-05T00:00", None, None),
        version(2, "2026-01-03T12:00", "2026-01-05T00:00", 4),
        version(1, "2026-01-01T00:00", "2026-01-03T12:00", 20),
    ]
    found, moment = [], at("2026-01-01T00:00")
    while (slot := next_slot(versions, moment)) is not None:
        found.append(slot.isoformat(timespec="minutes")[8:16])
        moment = slot
    assert found == ["01T20:00", "02T20:00", "04T04:00"]
    assert [in_effect(versions, at(f"2026-01-0{day}T00:00")) for day in (2, 4, 5)] == versions[::-1]


def test_a_version_that_begins_at_a_moment_of_its_schedule_is_run_then() -> None:
    assert next_slot([version(1, "2026-01-03T04:00", None, 4)], at("2026-01-01T00:00")) == at("2026-01-03T04:00")


@pytest.mark.parametrize(
    "segment",
    [
        Segment("win"),
        Segment("win", tiers=("gold",), items=("TEA",), locations=("DC", "X"), zones=("EU",)),
        Segment("win", channels=("web",), customers=("C-1",), wanted_from=3, wanted_through=3),
    ],
)
def test_a_line_that_all_filters_let_through_is_of_a_segment(segment: Segment) -> None:
    assert strategy_of([segment], LINE, TODAY) == "win"


@pytest.mark.parametrize(
    "segment",
    [
        Segment("win", tiers=("silver",)),
        Segment("win", items=("TEA-1",)),
        Segment("win", locations=("X",)),
        Segment("win", zones=("US",)),
        Segment("win", channels=("shop",)),
        Segment("win", customers=("C-2",)),
        Segment("win", wanted_from=4),
        Segment("win", wanted_through=2),
        Segment("win", tiers=("gold",), zones=("US",)),
    ],
)
def test_a_line_that_one_filter_keeps_out_is_of_the_next_segment_or_not_touched(segment: Segment) -> None:
    assert strategy_of([segment], LINE, TODAY) == "skip"
    assert strategy_of([segment, Segment("lose"), Segment("gain")], LINE, TODAY) == "lose"


def test_items_are_looked_up_by_name_only_where_all_who_may_gain_are_of_named_ones() -> None:
    assert asked_items([Segment("win", items=("B", "A")), Segment("lose", items=("C",)), Segment("fill")]) == (
        "A",
        "B",
        "C",
    )
    assert asked_items([Segment("win", items=("B",)), Segment("gain")]) is None


def test_those_who_may_fall_are_looked_up_the_last_asked_first() -> None:
    segments = [
        Segment("win", tiers=("gold",)),
        Segment("redistribute", channels=("web",)),
        Segment("lose", ("silver",)),
    ]
    found = givers(segments, ("gold", "silver", "bronze"))
    assert found.tiers == ("silver", "bronze", "gold")
    assert (found.locations, found.channels, found.customers) == (None, None, None)
    only = givers([Segment("lose", channels=("web",), customers=("C",))], ("gold", "bronze"))
    assert (only.tiers, only.channels, only.customers) == (("bronze", "gold"), ("web",), ("C",))
    assert givers([Segment("win")], ("gold",)).tiers == ()
