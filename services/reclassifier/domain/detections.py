"""What is found by looking at who was served how: the words that all detections share.

A detection is evidence for a person, never a reason to move a tier. It is a function of what was counted in a window
and of the limits; nothing here knows a clock. Shares compare as whole numbers, probabilities as exact fractions.
"""

from dataclasses import dataclass
from enum import StrEnum
from math import comb
from typing import Final

PERCENT: Final = 100
TRIALS_MAX: Final = 1_000  # beyond it a sample is scaled down, which makes the test stricter, to keep numbers small
SHARES_PER_ONE: Final = 10_000  # a chance is rounded up to a ten-thousandth, which makes the test stricter


class Kind(StrEnum):
    """What was found."""

    OVER_SERVED = "over_served"
    UNDER_SERVED = "under_served"
    PRIORITY_OVERRIDES = "priority_overrides"
    OTHER_CUSTOMERS_ID = "other_customers_id"
    SPLIT_ORDERS = "split_orders"


class Basis(StrEnum):
    """Which numbers say so."""

    IN_FULL = "in_full"
    ON_TIME = "on_time"
    ACTS = "acts"
    HABIT = "habit"
    ORDER_QUANTITY = "order_quantity"
    ORDER_VALUE = "order_value"
    QUOTA = "quota"


@dataclass(frozen=True, slots=True)
class Limits:
    """From where on something is a detection. Each is explained in docs/detection.md.

    `chance_one_in`: a service that would come about by chance once in so many customers of the tier is none.
    """

    window_days: int = 28
    orders_min: int = 20
    service_gap_percent: int = 15
    chance_one_in: int = 10_000
    acts_min: int = 10
    acts_times: int = 3
    desk_acts_percent: int = 5
    habit_orders_min: int = 10
    habit_percent: int = 80
    foreign_orders_min: int = 2
    stranger_percent: int = 5
    split_minutes: int = 120
    split_near_percent: int = 60
    split_orders_min: int = 3
    split_times: int = 3
    split_chance_one_in: int = 100


@dataclass(frozen=True, slots=True)
class Detection:
    """One finding. `owner` and `user` say whose, `numbers` what was counted, `limits` what it was compared with."""

    kind: Kind
    basis: Basis
    owner: str | None
    user: str | None
    tier: str | None
    numbers: tuple[tuple[str, int], ...]
    limits: tuple[tuple[str, int], ...]
    sentence: str

    @property
    def identity(self) -> tuple[str, str, str, str, str]:
        """What makes it the same finding in two looks; their order."""
        return (self.kind.value, self.basis.value, self.owner or "", self.user or "", self.tier or "")


def rarer_than(one_in: int, hits: int, trials: int, expected_hits: int, expected_trials: int) -> bool:
    """Whether at least `hits` of `trials` is rarer than once in `one_in`, at a chance of expected hits of trials.

    The upper tail of the binomial distribution, exact in whole numbers. The chance has one hit and one miss added, so
    that nothing is impossible (Laplace's rule of succession).
    """
    hits, trials = _scaled(hits, trials)
    hit = -(-(expected_hits + 1) * SHARES_PER_ONE // (expected_trials + 2))
    miss = SHARES_PER_ONE - hit
    ways: int = 0
    for count in range(hits, trials + 1):
        ways += comb(trials, count) * int(hit**count) * int(miss ** (trials - count))
    return ways * one_in < int(SHARES_PER_ONE**trials)


def percent(part: int, whole: int) -> int:
    """A share in whole percent, cut off; 0 of nothing."""
    return part * PERCENT // whole if whole else 0


def _scaled(hits: int, trials: int) -> tuple[int, int]:
    if trials <= TRIALS_MAX:
        return hits, trials
    return hits * TRIALS_MAX // trials, TRIALS_MAX
