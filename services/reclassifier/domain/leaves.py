"""What stands at the ends of a rule's tree: comparisons of a measure, a score, a share of all customers, a profile.

A leaf over something missing is `unknown`. A leaf also says on which day it may turn by itself, so that a customer is
looked at when something can have turned, and not every night.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from fractions import Fraction
from typing import Final, NamedTuple, TypeAlias, assert_never

from services.reclassifier.domain.demand import DemandProfile, Ratio
from services.reclassifier.domain.features import Detail, Features
from services.reclassifier.domain.measures import Limit, Measure, Prior, detail_of, measured, shown
from services.reclassifier.domain.orders import MICROS_PER_UNIT, Day

PROFILE: Final = "demand_profile"


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
class ScorePart:
    """A measure as part of a score: nothing at `zero_at`, the whole weight at `full_at`, in proportion between."""

    measure: Measure
    window_days: int
    zero_at: Limit
    full_at: Limit
    weight: int
    prior: Prior | None = None


@dataclass(frozen=True, slots=True)
class Scored:
    """A weighted score compared with a limit in millionths of a point; unknown if one of its parts is."""

    name: str
    parts: tuple[ScorePart, ...]
    comparison: Comparison
    limit: int


class TopKey(NamedTuple):
    """A share of all customers by a measure over a window: the `share`, in millionths of a percent, with the most."""

    measure: Measure
    window_days: int
    share: int


@dataclass(frozen=True, slots=True)
class InTop:
    """Yes if the measure reaches the limit of the last cut: the number of the last customer inside the share.

    `cut` False: there was no cut yet, or it is too old: unknown. `limit` None: the share is of nobody.
    """

    key: TopKey
    cut: bool = False
    limit: int | None = None


AnyLeaf: TypeAlias = Leaf | HasProfile | Scored | InTop


@dataclass(frozen=True, slots=True)
class Finding:
    """One number that was looked at, beside its limit, as text."""

    name: str
    value: str
    limit: str


class Looked(NamedTuple):
    """One measure over one window that a leaf looks at; `measure` None is the demand profile."""

    measure: Measure | None
    window_days: int

    @property
    def detail(self) -> Detail | None:
        """What must be computed of features for it, beyond the plain sums."""
        return Detail.RHYTHM if self.measure is None else detail_of(self.measure)


def looks_at(leaf: AnyLeaf) -> tuple[Looked, ...]:
    """Everything that the leaf needs of features."""
    match leaf:
        case Leaf():
            return (Looked(leaf.measure, leaf.window_days),)
        case HasProfile():
            return (Looked(None, leaf.window_days),)
        case Scored():
            return tuple(Looked(part.measure, part.window_days) for part in leaf.parts)
        case InTop():
            return (Looked(leaf.key.measure, leaf.key.window_days),)
        case _:
            assert_never(leaf)


def at_cut(leaf: InTop, limits: Mapping[TopKey, int | None] | None) -> InTop:
    """The leaf with what the last cut says; None: there is no cut that counts."""
    if limits is None or leaf.key not in limits:
        return InTop(leaf.key)
    return InTop(leaf.key, cut=True, limit=limits[leaf.key])


def leaf_truth(leaf: AnyLeaf, features: Features) -> Truth:
    """Whether the leaf holds for these features."""
    match leaf:
        case Leaf():
            return _measure_truth(leaf, features)
        case HasProfile():
            profile = _profile(leaf, features)
            return Truth.UNKNOWN if profile is None else _yes_or_no(profile in leaf.profiles)
        case Scored():
            score = score_of(leaf.parts, features)
            if score is None:
                return Truth.UNKNOWN
            return _yes_or_no(_compare(score.numerator, leaf.comparison, leaf.limit * score.denominator))
        case InTop():
            return _top_truth(leaf, features)
        case _:
            assert_never(leaf)


def leaf_turns(leaf: AnyLeaf, features: Features) -> Day | None:
    """The first day after today on which the leaf may turn by itself, without any new order; None if never."""
    if isinstance(leaf, Leaf) and leaf.measure is Measure.RECENCY:
        return _recency_turns(leaf, features)
    return _earliest(*(_turns(each, features) for each in looks_at(leaf)))


def turns_with(leaf: AnyLeaf) -> object:
    """Leaves with an equal one of these turn on the same days."""
    if isinstance(leaf, Leaf) and leaf.measure is Measure.RECENCY:
        return leaf
    return tuple(
        sorted(
            {
                (each.window_days, each.measure is Measure.RECENCY or each.detail is Detail.RHYTHM)
                for each in looks_at(leaf)
            }
        )
    )


def leaf_finding(leaf: AnyLeaf, features: Features) -> Finding:
    """The number beside its limit."""
    match leaf:
        case Leaf():
            limit = f"{_words(leaf.comparison)} {shown(leaf.measure, Ratio(leaf.limit, 1))}"
            return Finding(_name(leaf.measure, leaf.window_days), _value(leaf.measure, leaf, features), limit)
        case HasProfile():
            profile = _profile(leaf, features)
            limit = " or ".join(one.value for one in leaf.profiles)
            return Finding(f"{PROFILE}_{leaf.window_days}d", "unknown" if profile is None else profile.value, limit)
        case Scored():
            score = score_of(leaf.parts, features)
            value = "unknown" if score is None else _points(score)
            return Finding(f"score:{leaf.name}", value, f"{_words(leaf.comparison)} {_points(Fraction(leaf.limit))}")
        case InTop():
            key = leaf.key
            at = "no cut yet" if not leaf.cut else "nobody" if leaf.limit is None else _whole(key.measure, leaf.limit)
            limit = f"in the top {_points(Fraction(key.share))} % (at least {at})"
            return Finding(_name(key.measure, key.window_days), _value(key.measure, key, features), limit)
        case _:
            assert_never(leaf)


def score_of(parts: tuple[ScorePart, ...], features: Features) -> Fraction | None:
    """The score in millionths of a point; None if a part is missing or only a lower bound."""
    total = Fraction(0)
    for part in parts:
        found = measured(part.measure, part.window_days, features, part.prior)
        if found is None or found.is_lower_bound or found.is_upper_bound:
            return None
        numerator, denominator = found.ratio
        above_zero = numerator - part.zero_at * denominator
        position = Fraction(above_zero, denominator * (part.full_at - part.zero_at))
        total += part.weight * MICROS_PER_UNIT * min(max(position, Fraction(0)), Fraction(1))
    return total


def _measure_truth(leaf: Leaf, features: Features) -> Truth:
    found = measured(leaf.measure, leaf.window_days, features, leaf.prior)
    if found is None:
        return Truth.UNKNOWN
    numerator, denominator = found.ratio
    holds = _compare(numerator, leaf.comparison, leaf.limit * denominator)
    upward = leaf.comparison in (Comparison.AT_LEAST, Comparison.ABOVE)
    if found.is_lower_bound and holds is not upward:  # more could turn it
        return Truth.UNKNOWN
    if found.is_upper_bound and holds is upward:  # less could turn it
        return Truth.UNKNOWN
    return _yes_or_no(holds)


def _top_truth(leaf: InTop, features: Features) -> Truth:
    found = measured(leaf.key.measure, leaf.key.window_days, features)
    if not leaf.cut or found is None:
        return Truth.UNKNOWN
    inside = leaf.limit is not None and found.ratio.numerator >= leaf.limit * found.ratio.denominator
    return Truth.UNKNOWN if found.is_lower_bound and not inside else _yes_or_no(inside)


def _turns(looked: Looked, features: Features) -> Day | None:
    if looked.measure is Measure.RECENCY:  # inside a score every day of silence counts
        return features.next_day if features.last_order_day is None else features.today + 1
    window = features.windows[looked.window_days]
    first_day = _earliest(window.first_day, window.first_cost_day)
    if first_day is None:
        return features.next_day
    if looked.detail is Detail.RHYTHM:
        return features.today + 1  # silence, weeks and halves are counted back from today
    return _earliest(first_day + looked.window_days, features.next_day)


def _recency_turns(leaf: Leaf, features: Features) -> Day | None:
    last = features.last_order_day
    if last is None:
        return features.next_day
    past_limit = 1 if leaf.comparison in (Comparison.ABOVE, Comparison.AT_MOST) else 0
    turns = last + leaf.limit + past_limit
    return _earliest(turns if turns > features.today else None, features.next_day)


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


def _value(measure: Measure, leaf: Leaf | TopKey, features: Features) -> str:
    prior = leaf.prior if isinstance(leaf, Leaf) else None
    found = measured(measure, leaf.window_days, features, prior)
    if found is None:
        return "unknown"
    bound = " or more" if found.is_lower_bound else " or less" if found.is_upper_bound else ""
    return shown(measure, found.ratio) + bound


def _name(measure: Measure, window_days: int) -> str:
    return f"{measure.value}_{window_days}d" if window_days else measure.value


def _words(comparison: Comparison) -> str:
    return comparison.value.replace("_", " ")


def _whole(measure: Measure, number: int) -> str:
    return shown(measure, Ratio(number, 1))


def _points(number: Fraction) -> str:
    return shown(Measure.VALUE, Ratio(number.numerator, number.denominator))


def _yes_or_no(holds: bool) -> Truth:
    return Truth.YES if holds else Truth.NO


def _earliest(*days: Day | None) -> Day | None:
    return min((day for day in days if day is not None), default=None)
