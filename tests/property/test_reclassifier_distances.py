"""Distances between tiers: what they name is enough, and a unit less of any one is not."""

from dataclasses import replace
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from services.reclassifier.domain.distances import (
    MAKE_TRUE,
    NOT_TRUE,
    Aim,
    Change,
    changes_to,
    distance_above,
    distance_below,
)
from services.reclassifier.domain.features import Features, Window
from services.reclassifier.domain.leaves import Comparison, Leaf, Truth
from services.reclassifier.domain.measures import Measure
from services.reclassifier.domain.predicates import AllOf, AnyOf, Not, Predicate, truth
from services.reclassifier.domain.rule_set import RuleSet, Rung

DAYS = 90
TODAY = 730_000
# Numbers of a customer that can be set one by one.
FREE = (Measure.ORDERS, Measure.UNITS, Measure.VALUE)


def numbers(orders: int, units: int, value_micros: int) -> Features:
    return Features(TODAY, {DAYS: Window(DAYS, orders, units, value_micros, 0, TODAY - 3)}, TODAY - 3)


features = st.builds(numbers, st.integers(0, 30), st.integers(0, 30), st.integers(0, 30_000_000))


@st.composite
def leaf_of(draw: st.DrawFn, measure: Measure) -> Leaf:
    limit = draw(st.integers(1, 30_000_000 if measure is Measure.VALUE else 30))
    return Leaf(measure, draw(st.sampled_from(Comparison)), limit, DAYS)


@st.composite
def trees(draw: st.DrawFn) -> Predicate:
    """A tree that looks at each number at most once, so that no two of its parts are at odds."""
    parts: list[Predicate] = [
        draw(leaf_of(measure)) for measure in draw(st.lists(st.sampled_from(FREE), min_size=1, max_size=3, unique=True))
    ]
    parts = [Not(part) if draw(st.booleans()) else part for part in parts]
    while len(parts) > 1:
        pair = (parts[0], parts[1])
        parts = [AllOf(pair) if draw(st.booleans()) else AnyOf(pair), *parts[2:]]
    return Not(parts[0]) if draw(st.booleans()) else parts[0]


def units_of(change: Change) -> int:
    assert change.by is not None
    return int(Fraction(change.by) * (1_000_000 if change.feature == Measure.VALUE else 1))


def moved(found: Features, changes: tuple[Change, ...], *, less: str = "") -> Features:
    """The features with the changes made, that of `less` by one unit less."""
    window = found.windows[DAYS]
    for change in changes:
        by = units_of(change) - (change.feature == less)
        by = by if change.direction == "more" else -by
        match change.feature:
            case Measure.ORDERS:
                window = replace(window, orders=window.orders + by)
            case Measure.UNITS:
                window = replace(window, units=window.units + by)
            case _:
                window = replace(window, value_micros=window.value_micros + by)
    return replace(found, windows={DAYS: window})


@given(trees(), features, st.sampled_from((MAKE_TRUE, NOT_TRUE)))
def test_what_a_distance_names_turns_the_condition_and_a_unit_less_does_not(
    predicate: Predicate, found: Features, aim: Aim
) -> None:
    changes = changes_to(predicate, aim, found)
    assert (changes == ()) is aim.met(truth(predicate, found))
    assert aim.met(truth(predicate, moved(found, changes)))
    for change in changes:
        assert not aim.met(truth(predicate, moved(found, changes, less=change.feature)))


@given(trees(), features)
def test_no_set_of_fewer_numbers_would_do(predicate: Predicate, found: Features) -> None:
    changes = changes_to(predicate, MAKE_TRUE, found)
    if len(changes) > 1:
        window = found.windows[DAYS]
        for number in range(-1, 32):
            for other in (
                replace(window, orders=number),
                replace(window, units=number),
                replace(window, value_micros=number * 1_000_000),
            ):
                assert truth(predicate, replace(found, windows={DAYS: other})) is not Truth.YES


def a_rule_set() -> RuleSet:
    lifts = Leaf(Measure.VALUE, Comparison.AT_LEAST, 1_000_000_000, DAYS)
    drops = Leaf(Measure.VALUE, Comparison.BELOW, 600_000_000, DAYS)
    loss = Leaf(Measure.MARGIN, Comparison.BELOW, 0, DAYS)
    few = Leaf(Measure.ORDERS, Comparison.BELOW, 2, DAYS)
    return RuleSet(
        "activity", 1, (Rung("gold", lifts, AnyOf((drops, loss))), Rung("silver", few, few)), "bronze", 0, 14
    )


def test_a_distance_is_said_of_the_tiers_beside_ones_own() -> None:
    worth = numbers(4, 4, 759_990_000)
    above = distance_above(a_rule_set(), "silver", worth)
    below = distance_below(a_rule_set(), "gold", worth)
    assert above is not None
    assert below is not None
    assert (above.tier, above.changes) == ("gold", (Change("value", DAYS, "759.99", "more", "240.01"),))
    assert (below.tier, below.changes) == ("silver", (Change("value", DAYS, "759.99", "less", "159.990001"),))
    assert distance_above(a_rule_set(), "gold", worth) is None
    assert distance_below(a_rule_set(), "bronze", worth) is None


def test_a_number_that_is_a_bound_or_missing_is_no_distance() -> None:
    window = Window(DAYS, 4, 4, 759_000_000, 2, TODAY - 3)
    bound = Features(TODAY, {DAYS: window}, TODAY - 3)
    leaf = Leaf(Measure.VALUE, Comparison.BELOW, 600_000_000, DAYS)
    margin = Leaf(Measure.MARGIN, Comparison.AT_LEAST, 0, DAYS)
    assert changes_to(leaf, MAKE_TRUE, bound) == (Change("value", DAYS, "759.00 or more", "less", None),)
    assert changes_to(margin, MAKE_TRUE, bound) == (Change("margin", DAYS, "unknown", "more", None),)
