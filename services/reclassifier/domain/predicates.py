"""The conditions of rules: a small typed tree over features, in a logic of three values.

A leaf over something missing is `unknown`; `all`, `any` and `not` carry it as Kleene's logic does. A tier moves only on
`yes`, so that what is unknown never moves one by itself.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import TypeAlias, assert_never

from services.reclassifier.domain.features import Detail, Features
from services.reclassifier.domain.measures import Limit, Measure, Prior, detail_of, measured, shown
from services.reclassifier.domain.orders import Day
from services.reclassifier.domain.rhythm import DemandProfile, Ratio

PROFILE = "demand_profile"


class Truth(IntEnum):
    """In this order `all` is the minimum and `any` the maximum."""

    NO = 0
    UNKNOWN = 1
    YES = 2


class Comparison(StrEnum):
    """How a leaf compares with its limit."""

    AT_LEAST = "at_least"
    ABOVE = "above"
    AT_MOST = "at_most"
    BELOW = "below"


@dataclass(frozen=True, slots=True)
class Leaf:
    """One comparison. `window_days` is 0 for recency, `prior` is that of an expected value."""

    measure: Measure
    comparison: Comparison
    limit: Limit
    window_days: int = 0
    prior: Prior | None = None


@dataclass(frozen=True, slots=True)
class HasProfile:
    """Yes if the demand profile over the window is one of these; unknown while it cannot be told."""

    profiles: tuple[DemandProfile, ...]
    window_days: int


@dataclass(frozen=True, slots=True)
class AllOf:
    """Yes if every part is."""

    parts: tuple["Predicate", ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """Yes if one part is."""

    parts: tuple["Predicate", ...]


@dataclass(frozen=True, slots=True)
class Not:
    """Yes if the part is no."""

    part: "Predicate"


AnyLeaf: TypeAlias = Leaf | HasProfile
Predicate: TypeAlias = AnyLeaf | AllOf | AnyOf | Not


@dataclass(frozen=True, slots=True)
class Finding:
    """One number that was looked at, beside its limit, as text."""

    name: str
    value: str
    limit: str


def truth(predicate: Predicate, features: Features) -> Truth:
    """Whether the predicate holds for these features."""
    match predicate:
        case Leaf():
            return _leaf_truth(predicate, features)
        case HasProfile():
            return _profile_truth(predicate, features)
        case AllOf(parts):
            return min(truth(part, features) for part in parts)
        case AnyOf(parts):
            return max(truth(part, features) for part in parts)
        case Not(part):
            return Truth(Truth.YES - truth(part, features))
        case _:
            assert_never(predicate)


def leaves(predicate: Predicate) -> Iterator[AnyLeaf]:
    """The leaves from left to right."""
    match predicate:
        case Leaf() | HasProfile():
            yield predicate
        case AllOf(parts) | AnyOf(parts):
            for part in parts:
                yield from leaves(part)
        case Not(part):
            yield from leaves(part)
        case _:
            assert_never(predicate)


def findings(predicate: Predicate, features: Features) -> tuple[Finding, ...]:
    """The numbers behind a predicate, each once, in the order of its leaves."""
    return tuple(dict.fromkeys(_finding(leaf, features) for leaf in leaves(predicate)))


def detail_needed(leaf: AnyLeaf) -> Detail | None:
    """What must be computed of features for it, beyond the plain sums."""
    return Detail.RHYTHM if isinstance(leaf, HasProfile) else detail_of(leaf.measure)


def next_change(leaf: AnyLeaf, features: Features) -> Day | None:
    """The first day after today on which the leaf may turn by itself, without any new order; None if never."""
    if isinstance(leaf, Leaf) and leaf.measure is Measure.RECENCY:
        return _recency_turns(leaf, features)
    first_day = features.windows[leaf.window_days].first_day
    if first_day is None:
        return features.next_day
    if detail_needed(leaf) is Detail.RHYTHM:
        return features.today + 1  # silence, weeks and halves are counted back from today
    return _earliest(first_day + leaf.window_days, features.next_day)


def _recency_turns(leaf: Leaf, features: Features) -> Day | None:
    last = features.last_order_day
    if last is None:
        return features.next_day
    past_limit = 1 if leaf.comparison in (Comparison.ABOVE, Comparison.AT_MOST) else 0
    turns = last + leaf.limit + past_limit
    return _earliest(turns if turns > features.today else None, features.next_day)


def _earliest(*days: Day | None) -> Day | None:
    return min((day for day in days if day is not None), default=None)


def _leaf_truth(leaf: Leaf, features: Features) -> Truth:
    found = measured(leaf.measure, leaf.window_days, features, leaf.prior)
    if found is None:
        return Truth.UNKNOWN
    numerator, denominator = found.ratio
    holds = _compare(numerator, leaf.comparison, leaf.limit * denominator)
    upward = leaf.comparison in (Comparison.AT_LEAST, Comparison.ABOVE)
    if found.is_lower_bound and holds is not upward:  # more could turn it
        return Truth.UNKNOWN
    return Truth.YES if holds else Truth.NO


def _profile_truth(leaf: HasProfile, features: Features) -> Truth:
    profile = _profile(leaf, features)
    if profile is None:
        return Truth.UNKNOWN
    return Truth.YES if profile in leaf.profiles else Truth.NO


def _profile(leaf: HasProfile, features: Features) -> DemandProfile | None:
    rhythm = features.windows[leaf.window_days].rhythm
    return None if rhythm is None else rhythm.profile


def _compare(value: int, comparison: Comparison, limit: int) -> bool:
    match comparison:
        case Comparison.AT_LEAST:
            return value >= limit
        case Comparison.ABOVE:
            return value > limit
        case Comparison.AT_MOST:
            return value <= limit
        case Comparison.BELOW:
            return value < limit
        case _:
            assert_never(comparison)


def _finding(leaf: AnyLeaf, features: Features) -> Finding:
    if isinstance(leaf, HasProfile):
        profile = _profile(leaf, features)
        limit = " or ".join(one.value for one in leaf.profiles)
        return Finding(f"{PROFILE}_{leaf.window_days}d", "unknown" if profile is None else profile.value, limit)
    found = measured(leaf.measure, leaf.window_days, features, leaf.prior)
    value = "unknown" if found is None else shown(leaf.measure, found.ratio)
    if found is not None and found.is_lower_bound:
        value = f"{value} or more"
    name = leaf.measure.value if leaf.measure is Measure.RECENCY else f"{leaf.measure.value}_{leaf.window_days}d"
    limit = f"{leaf.comparison.value.replace('_', ' ')} {shown(leaf.measure, Ratio(leaf.limit, 1))}"
    return Finding(name, value, limit)
