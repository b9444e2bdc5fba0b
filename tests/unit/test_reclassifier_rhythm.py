import pytest

from services.reclassifier.domain.demand import DemandProfile, Ratio
from services.reclassifier.domain.features import Features, Window
from services.reclassifier.domain.leaves import Comparison, HasProfile, Leaf, Truth, leaf_turns
from services.reclassifier.domain.measures import Measure, Prior, expected_value, measured, shown
from services.reclassifier.domain.orders import Outcomes
from services.reclassifier.domain.predicates import truth
from services.reclassifier.domain.rhythm import OrderDay, Rhythm, rhythm_of

TODAY = 740_000
YEAR = 364


def _weekly(units: list[int], *, value: int = 100) -> list[OrderDay]:
    """One order day a week, the last of them today; weeks with 0 units have none."""
    weeks = len(units)
    days = [OrderDay(TODAY - 7 * (weeks - 1 - week), each, value) for week, each in enumerate(units)]
    return [day for day in days if day.units]


def _profile(periods: int, active: int, units: int, squared: int) -> DemandProfile | None:
    return Rhythm(active, 0, 0, periods, active, units, squared, 0, None).profile


@pytest.mark.parametrize(
    ("units", "profile"),
    [
        ([10, 11, 9, 10, 10, 10], DemandProfile.SMOOTH),
        ([10, 0, 0, 11, 0, 9, 0, 10], DemandProfile.INTERMITTENT),
        ([1, 40, 2, 1, 60, 1], DemandProfile.ERRATIC),
        ([1, 0, 0, 40, 0, 0, 0, 2], DemandProfile.LUMPY),
        ([5], None),
        ([], None),
    ],
)
def test_demand_is_even_or_not_in_time_and_in_size(units: list[int], profile: DemandProfile | None) -> None:
    assert rhythm_of(_weekly(units), TODAY, YEAR).profile is profile


def test_the_cuts_belong_to_the_rarer_and_the_more_uneven_side() -> None:
    even = {"units": 200, "squared": 400}
    assert _profile(131, 100, **even) is DemandProfile.SMOOTH
    assert _profile(132, 100, **even) is DemandProfile.INTERMITTENT
    assert _profile(2, 2, units=20, squared=298) is DemandProfile.ERRATIC  # 3 and 17: CV² is exactly 0.49
    assert _profile(2, 2, units=200, squared=29_797) is DemandProfile.SMOOTH


def test_weeks_before_the_first_order_are_no_weeks_without_demand() -> None:
    young = rhythm_of(_weekly([10, 10, 10]), TODAY, YEAR)
    assert young.interval == Ratio(3, 3)
    old = rhythm_of([OrderDay(TODAY - 700, 1, 1), *_weekly([10, 10, 10])], TODAY, YEAR)
    assert old.interval == Ratio(52, 3)


def test_silence_is_measured_by_the_customers_own_intervals() -> None:
    days = [OrderDay(TODAY - back, 1, 1) for back in (60, 50, 30, 25)]
    assert rhythm_of(days, TODAY - 10, YEAR).lapse_risk == Ratio(2, 3)  # 10 and 5 are shorter than 15, 20 is not
    assert rhythm_of(days, TODAY, YEAR).lapse_risk == Ratio(3, 3)
    assert rhythm_of(days[1:], TODAY, YEAR).lapse_risk is None


def test_the_trend_compares_the_halves_of_a_window_through_which_the_customer_was_known() -> None:
    days = [OrderDay(TODAY - back, 1, value) for back, value in ((90, 7), (60, 100), (50, 100), (20, 300))]
    assert rhythm_of(days, TODAY, 90).trend == Ratio(300 - 200, 200)
    assert rhythm_of(days[1:], TODAY, 90).trend is None
    assert rhythm_of(days, TODAY, 20).trend is None


def test_a_day_to_come_counts_when_it_comes() -> None:
    assert rhythm_of([OrderDay(TODAY + 1, 5, 5)], TODAY, YEAR) == Rhythm(0, 0, 0, 0, 0, 0, 0, 0, None)


def test_own_orders_take_over_from_what_is_expected_of_new_customers() -> None:
    prior = Prior(value_micros=300, window_days=90, weight=3, own_data_from_orders=5)
    own = [expected_value(Window(90, orders, orders, 600), prior) for orders in (0, 1, 4, 5)]
    assert own == [Ratio(900, 3), Ratio(1500, 4), Ratio(3300, 7), Ratio(600, 1)]


def test_what_was_not_computed_or_cannot_be_told_is_unknown() -> None:
    window = Window(90, orders=0, outcomes=Outcomes())
    features = Features(TODAY, {90: window})
    for measure in (Measure.RETURN_SHARE, Measure.ORDER_VALUE, Measure.LAPSE_RISK, Measure.TREND, Measure.REPEAT_SHARE):
        assert truth(Leaf(measure, Comparison.AT_LEAST, 0, 90), features) is Truth.UNKNOWN
    assert truth(HasProfile((DemandProfile.SMOOTH,), 90), features) is Truth.UNKNOWN
    assert measured(Measure.EXPECTED_VALUE, 90, features) is None


def test_a_share_is_compared_exactly() -> None:
    window = Window(90, orders=3, units=3, first_day=TODAY - 5, outcomes=Outcomes(returned_units=1))
    features = Features(TODAY, {90: window})
    limits = {33_333_333: Truth.YES, 33_333_334: Truth.NO}
    for limit, expected in limits.items():
        assert truth(Leaf(Measure.RETURN_SHARE, Comparison.AT_LEAST, limit, 90), features) is expected


def test_a_profile_is_looked_at_each_day_while_there_is_any_demand() -> None:
    leaf = HasProfile((DemandProfile.SMOOTH,), 90)
    assert leaf_turns(leaf, Features(TODAY, {90: Window(90, 1, 1, 1, 0, TODAY - 5)})) == TODAY + 1
    assert leaf_turns(leaf, Features(TODAY, {90: Window(90)})) is None


@pytest.mark.parametrize(
    ("measure", "ratio", "text"),
    [
        (Measure.TREND, Ratio(-100_000_000, 3), "-33.333333"),
        (Measure.ORDERS, Ratio(4, 1), "4"),
        (Measure.ORDER_VALUE, Ratio(2_500_000, 1), "2.50"),
    ],
)
def test_numbers_are_shown_in_their_written_unit(measure: Measure, ratio: Ratio, text: str) -> None:
    assert shown(measure, ratio) == text
