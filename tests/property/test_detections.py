"""Detection finds everything that was planted and hardly names anybody else, whatever the order of what it looks at."""

from collections.abc import Callable, Sequence
from fractions import Fraction
from math import comb
from random import Random
from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.detection import named_in, wrongly_named
from bench.detection_peak import peak_world
from bench.detection_sums import TERMS, found_in, sums_of
from bench.detection_world import World, world
from services.reclassifier.domain.detections import SHARES_PER_ONE, Limits, rarer_than
from services.reclassifier.domain.service_received import (
    PEERS_WEIGHT,
    Expected,
    Fared,
    Received,
    expected_to_fail,
    served_beside_their_tier,
    usual_share,
)
from services.reclassifier.domain.splits import Sized, split_around_limits, split_around_quotas
from services.reclassifier.domain.workarounds import (
    Entered,
    UsersActs,
    entered_under_anothers_id,
    too_many_overrides,
)

T = TypeVar("T")
LIMITS = Limits()


@pytest.mark.parametrize("seed", range(1_000, 1_012))
@pytest.mark.parametrize("make", [world, peak_world])
def test_all_planted_cases_are_found_with_under_five_percent_false_alarms(
    make: Callable[[int], World], seed: int
) -> None:
    made = make(seed)
    found = found_in(made, LIMITS)
    assert made.planted <= named_in(found)
    false = wrongly_named(made, found)
    assert len(false) * 20 < len(made.innocents)
    assert len({name for _, name in false} & made.lookalikes) * 20 < len(made.lookalikes)
    assert len(false) * 20 < len(found)


@given(st.integers(0, 60), st.integers(0, 60), st.integers(0, 300), st.integers(0, 300), st.sampled_from((20, 10_000)))
def test_rare_is_what_the_binomial_distribution_says(
    good: int, bad: int, others: int, missed: int, one_in: int
) -> None:
    trials = good + bad
    chance = Fraction(others + 1, others + missed + 2)
    said = rarer_than(one_in, good, trials, others, others + missed)
    if said:
        assert _tail(good, trials, chance) * one_in < 1
    elif (higher := chance + Fraction(1, SHARES_PER_ONE)) <= 1:
        assert _tail(good, trials, higher) * one_in >= 1


def _tail(hits: int, trials: int, chance: Fraction) -> Fraction:
    return sum(
        (comb(trials, count) * chance**count * (1 - chance) ** (trials - count) for count in range(hits, trials + 1)),
        Fraction(),
    )


@given(st.integers(0, 10**6))
def test_the_order_of_what_is_looked_at_changes_nothing(seed: int) -> None:
    draw = Random(seed)

    def mixed(rows: Sequence[T]) -> list[T]:
        return draw.sample(rows, len(rows))

    sums = _SUMS
    received, totals = mixed(sums.received), mixed(sums.totals)
    found = [
        *served_beside_their_tier(received, totals, TERMS, LIMITS),
        *too_many_overrides(mixed(sums.acts), LIMITS),
        *entered_under_anothers_id(mixed(sums.entered), TERMS, LIMITS),
        *split_around_limits(mixed(sums.sized), TERMS, LIMITS),
        *split_around_quotas(mixed(sums.sized), LIMITS),
    ]
    assert sorted(found, key=lambda one: one.identity) == _FOUND


_MADE = world(77)
_SUMS = sums_of(_MADE)
_FOUND = found_in(_MADE, LIMITS)


def _as_the_others(own: Received, rest: Received) -> Received:
    """Expected to fare as the rest, who ordered on the same days, to the same zones and as much."""
    short, late = (
        trials * usual_share(whole - good, whole)
        for trials, good, whole in (
            (own.orders, rest.in_full, rest.orders),
            (own.delivered, rest.on_time, rest.delivered),
        )
    )
    return own._replace(short_expected=Expected(short, short), late_expected=Expected(late, late))


def _kinds(own: Received, rest: Received, *more: Received, limits: Limits = LIMITS) -> list[str]:
    orders, in_full, delivered, on_time = (mine + theirs for mine, theirs in zip(own[2:6], rest[2:6], strict=True))
    total = Received("", own.tier, orders, in_full, delivered, on_time)
    mine = _as_the_others(own, rest)
    return [one.kind.value for one in served_beside_their_tier([mine], [total, *more], TERMS, limits)]


def test_a_customer_that_fares_far_worse_than_its_tier_is_under_served_from_enough_orders_on() -> None:
    rest = Received("", "bronze", 500, 450, 0, 0)
    assert _kinds(Received("c:1", "bronze", 40, 10, 0, 0), rest) == ["under_served"]
    assert _kinds(Received("c:1", "bronze", 19, 0, 0, 0), rest) == []
    assert _kinds(Received("c:1", "bronze", 40, 33, 0, 0), rest) == []


def test_who_gets_what_the_tier_promises_is_not_under_served() -> None:
    own, rest = Received("c:1", "gold", 2_000, 1_900, 0, 0), Received("", "gold", 9_000, 9_000, 0, 0)
    gap = Limits(service_gap_percent=5)
    assert _kinds(own, rest, limits=gap) == []
    assert _kinds(own._replace(in_full=1_880), rest, limits=gap) == ["under_served"]


def test_over_served_is_who_fares_like_the_tier_above_and_nobody_in_the_best_one() -> None:
    rest, above = Received("", "bronze", 500, 300, 0, 0), Received("", "silver", 300, 270, 0, 0)
    assert _kinds(Received("c:1", "bronze", 80, 78, 0, 0), rest, above) == ["over_served"]
    assert _kinds(Received("c:1", "bronze", 80, 71, 0, 0), rest, above) == []
    assert _kinds(Received("c:1", "bronze", 80, 78, 0, 0), rest) == []
    assert _kinds(Received("c:1", "gold", 80, 80, 0, 0), Received("", "gold", 500, 300, 0, 0), above) == []


def test_a_user_is_compared_with_the_others_who_override_and_alone_with_nobody() -> None:
    many, others = UsersActs("a", 30, 30), [UsersActs("b", 4, 4), UsersActs("c", 10, 9)]
    assert [one.user for one in too_many_overrides([many, *others], LIMITS)] == ["a"]
    assert list(too_many_overrides([many, others[0]], LIMITS)) == []
    assert list(too_many_overrides([UsersActs("a", 20, 20), *others], LIMITS)) == []


def test_a_zone_that_says_nothing_accuses_nobody() -> None:
    def found(zone: str) -> list[str | None]:
        rows = [
            Entered("u", "c:own", zone, "bronze", 20),
            Entered("u", "c:used", zone, "gold", 3),
            Entered("v", "c:used", "far", "gold", 30),
        ]
        return [one.user for one in entered_under_anothers_id(rows, TERMS, LIMITS)]

    assert found("near") == ["u"]
    assert found("*") == []


@given(
    st.integers(1, 9_999),
    st.lists(
        st.tuples(st.integers(0, 500), st.integers(0, 500), st.integers(1, 9_999)).map(
            lambda drawn: Fared(drawn[0], drawn[0] + drawn[1], drawn[2])
        ),
        max_size=3,
    ),
)
def test_the_chance_to_fail_is_the_tiers_odds_times_those_of_each_mark(usual: int, marks: list[Fared]) -> None:
    odds = Fraction(usual, SHARES_PER_ONE - usual)
    for bad, orders, usually, _ in marks:
        share = Fraction(bad * SHARES_PER_ONE + PEERS_WEIGHT * usually, orders + PEERS_WEIGHT)
        share = min(max(Fraction(int(share)), Fraction(1)), Fraction(SHARES_PER_ONE - 1)) / SHARES_PER_ONE
        odds *= share / (1 - share) / Fraction(usually, SHARES_PER_ONE - usually)
    assert expected_to_fail(usual, *marks) == int(odds / (1 + odds) * SHARES_PER_ONE)


def test_who_orders_where_and_when_everybody_fares_badly_is_not_under_served() -> None:
    rest = Received("", "bronze", 500, 450, 0, 0)
    own = _as_the_others(Received("c:1", "bronze", 40, 20, 0, 0), rest)
    total = Received("", "bronze", 540, 470, 0, 0)

    def found(expected: Expected) -> list[str]:
        judged = served_beside_their_tier([own._replace(short_expected=expected)], [total], TERMS, LIMITS)
        return [one.kind.value for one in judged]

    assert found(own.short_expected) == ["under_served"]
    half = 20 * SHARES_PER_ONE
    assert found(Expected(half, own.short_expected.there)) == []  # on those days
    assert found(Expected(own.short_expected.anywhere, half)) == []  # to that zone


def test_a_desk_that_enters_many_orders_may_expedite_many_and_not_more_than_other_desks() -> None:
    planners = [UsersActs("p", 2, 2), UsersActs("q", 3, 3)]

    def found(*acts: UsersActs) -> list[str | None]:
        return [one.user for one in too_many_overrides([*acts, *planners], LIMITS)]

    assert found(UsersActs("desk", 20, 20)) == ["desk"]
    assert found(UsersActs("desk", 20, 20, 1_000)) == []
    assert found(UsersActs("desk", 20, 20, 400)) == ["desk"]
    desks = [UsersActs(f"d{number}", 20, 20, 200) for number in range(3)]
    assert found(*desks) == []
    assert found(*desks, UsersActs("eager", 40, 40, 120)) == ["eager"]


def test_who_does_it_more_often_is_not_seen_less() -> None:
    def found(foreign: int) -> list[str | None]:
        rows = [
            Entered("u", "c:own", "near", "bronze", 20),
            Entered("u", "c:used", "near", "gold", foreign),
            Entered("v", "c:used", "far", "gold", 30),
        ]
        return [one.user for one in entered_under_anothers_id(rows, TERMS, LIMITS)]

    assert [found(foreign) for foreign in (1, 2, 5, 6, 10, 11)] == [[], ["u"], ["u"], ["u"], ["u"], []]


def _orders(at: int, *ways: str, short: bool) -> list[Sized]:
    """Orders of one customer every ten minutes, of which a quota cuts the first one short."""
    return [
        Sized("c:1", at + 600 * place, f"{at}-{place}", "silver", "Z", "u", way, 5, 0, short and not place)
        for place, way in enumerate(ways)
    ]


def test_orders_another_way_after_a_quota_are_found_unless_they_come_so_all_day() -> None:
    day = 86_400
    around = [one for number in range(3) for one in _orders(number * day, "web", "edi", short=True)]
    assert [one.owner for one in split_around_quotas(around, LIMITS)] == ["c:1"]
    usual = [one for number in range(10, 60) for one in _orders(number * day, "web", "edi", short=False)]
    assert list(split_around_quotas(around + usual, LIMITS)) == []
    alone = [one for number in range(10, 60) for one in _orders(number * day, "web", short=False)]
    assert [one.owner for one in split_around_quotas(around + alone, LIMITS)] == ["c:1"]
    once = _orders(0, "web", "edi", "fax", "shop", short=True)
    assert [dict(one.numbers)["orders"] for one in split_around_quotas(once, LIMITS)] == [3]
