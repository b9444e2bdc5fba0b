"""Detection finds everything that was planted and hardly names anybody else, whatever the order of what it looks at."""

from collections.abc import Sequence
from fractions import Fraction
from math import comb
from random import Random
from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.detection import named_in, wrongly_named
from bench.detection_sums import TERMS, found_in, sums_of
from bench.detection_world import world
from services.reclassifier.domain.detections import SHARES_PER_ONE, Limits, rarer_than
from services.reclassifier.domain.service_received import Received, served_beside_their_tier
from services.reclassifier.domain.splits import split_around_limits, split_around_quotas
from services.reclassifier.domain.workarounds import (
    Entered,
    UsersActs,
    entered_under_anothers_id,
    too_many_overrides,
)

T = TypeVar("T")
LIMITS = Limits()


@pytest.mark.parametrize("seed", range(1_000, 1_012))
def test_all_planted_cases_are_found_with_under_five_percent_false_alarms(seed: int) -> None:
    made = world(seed)
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


def _kinds(own: Received, rest: Received, *more: Received, limits: Limits = LIMITS) -> list[str]:
    total = Received("", own.tier, *(mine + theirs for mine, theirs in zip(own[2:], rest[2:], strict=True)))
    return [one.kind.value for one in served_beside_their_tier([own], [total, *more], TERMS, limits)]


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
