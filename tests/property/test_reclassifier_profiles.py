"""The demand profiles that are published, against an oracle that reckons with fractions from all orders, every day."""

from datetime import UTC, datetime, timedelta
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from services.reclassifier.domain.demand import Demand, DemandProfile, Profiled, look_at
from services.reclassifier.domain.rhythm import OrderDay, rhythm_of

START = datetime(2026, 1, 5, 12, tzinfo=UTC)
WINDOW = 364
NAMES = {(False, False): "smooth", (True, False): "intermittent", (False, True): "erratic", (True, True): "lumpy"}


def numbers(orders: list[tuple[int, int]], today: int) -> tuple[int, Fraction, Fraction]:
    """Weeks with demand, weeks per week with demand, and the squared coefficient of variation of their demand."""
    weeks: dict[int, int] = {}
    for day, units in orders:
        if today - WINDOW < day <= today:
            weeks[(today - day) // 7] = weeks.get((today - day) // 7, 0) + units
    count = len(weeks)
    if count < 2:
        return count, Fraction(0), Fraction(0)
    age = (today - min(day for day, _ in orders if day <= today)) // 7 + 1
    mean = Fraction(sum(weeks.values()), count)
    variance = sum(((units - mean) * (units - mean) for units in weeks.values()), Fraction(0)) / count
    return count, Fraction(min(age, WINDOW // 7), count), variance / (mean * mean)


def told(orders: list[tuple[int, int]], today: int, former: str | None) -> str | None:
    """The profile after `former`: whoever is on one side of a limit leaves it a tenth beyond."""
    count, interval, variation = numbers(orders, today)
    if count < (3 if former is None else 2):
        return None
    sides = dict.fromkeys(("rare", "uneven"), Fraction(1))
    if former is not None:
        sides["rare"] = Fraction(9, 10) if former in {"intermittent", "lumpy"} else Fraction(11, 10)
        sides["uneven"] = Fraction(9, 10) if former in {"erratic", "lumpy"} else Fraction(11, 10)
    rare = interval >= Fraction(132, 100) * sides["rare"]
    return NAMES[rare, variation >= Fraction(49, 100) * sides["uneven"]]


def demand(orders: list[tuple[int, int]], today: int) -> Demand:
    days: dict[int, int] = {}
    for day, units in orders:
        days[day] = days.get(day, 0) + units
    return rhythm_of([OrderDay(day, days[day], 0) for day in sorted(days)], today, WINDOW).demand


gaps = st.sampled_from((0, 1, 3, 5, 7, 7, 7, 9, 14, 21, 40))
histories = st.lists(st.tuples(gaps, st.sampled_from((1, 2, 2, 3, 10, 60))), min_size=1, max_size=40)


@given(histories, st.integers(0, 500))
def test_what_is_published_is_what_the_oracle_tells_and_stands_for_a_week(
    history: list[tuple[int, int]], afterwards: int
) -> None:
    orders: list[tuple[int, int]] = []
    day = 1_000
    for gap, units in history:
        day += gap
        orders.append((day, units))
    published: list[Profiled] = []
    said: tuple[str | None, int] = (None, 0)
    due: datetime | None = None
    for today in range(1_000, day + afterwards + 1):
        now = START + timedelta(days=today)
        known = [each for each in orders if each[0] <= today]
        if not any(each[0] == today for each in orders) and (due is None or now < due):
            continue
        look = look_at(demand(known, today), published[-1] if published else None, now)
        due = look.again_at
        wanted = told(known, today, said[0])
        held = said[0] is not None and wanted is not None and today < said[1] + 7
        if wanted == said[0] or held:
            assert look.changed is None
            continue
        assert look.changed is not None
        assert (look.changed.profile, look.changed.since) == (wanted, now)
        published.append(look.changed)
        said = wanted, today
    assert [each.sequence for each in published] == list(range(1, len(published) + 1))
    assert due is None or said[0] is not None, "nobody without a profile is looked at for nothing"


demands = st.lists(st.integers(1, 50), min_size=2, max_size=12).flatmap(
    lambda units: st.builds(
        Demand,
        st.integers(len(units), 52),
        st.just(len(units)),
        st.just(sum(units)),
        st.just(sum(each * each for each in units)),
    )
)


@given(demands, st.sampled_from((*DemandProfile, None)))
def test_a_profile_that_was_taken_on_stands_while_the_numbers_do(found: Demand, former: DemandProfile | None) -> None:
    settled = found.settled(former)
    if settled is not None:
        assert found.settled(settled) is settled
    if found.active_periods >= 3:
        assert found.settled(None) is found.profile
        if found.profile is former:
            assert settled is former
