"""The conditions of rules: a small typed tree over features, in a logic of three values.

A leaf over something missing is `unknown`; `all`, `any` and `not` carry it as Kleene's logic does. A tier moves only on
`yes`, so that what is unknown never moves one by itself.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import TypeAlias, assert_never

from services.reclassifier.domain.features import Features
from services.reclassifier.domain.orders import MICROS_PER_UNIT, Day


class Truth(IntEnum):
    """In this order `all` is the minimum and `any` the maximum."""

    NO = 0
    UNKNOWN = 1
    YES = 2


class Measure(StrEnum):
    """What a leaf looks at: `orders` and `value` over a window, `recency` (days since the last order) over none."""

    ORDERS = "orders"
    VALUE = "value"
    RECENCY = "recency"


class Comparison(StrEnum):
    """How a leaf compares with its limit."""

    AT_LEAST = "at_least"
    ABOVE = "above"
    AT_MOST = "at_most"
    BELOW = "below"


@dataclass(frozen=True, slots=True)
class Leaf:
    """One comparison. `limit`: orders, days, or millionths of a major unit. `window_days` is 0 for recency."""

    measure: Measure
    comparison: Comparison
    limit: int
    window_days: int = 0


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


Predicate: TypeAlias = Leaf | AllOf | AnyOf | Not


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
        case AllOf(parts):
            return min(truth(part, features) for part in parts)
        case AnyOf(parts):
            return max(truth(part, features) for part in parts)
        case Not(part):
            return Truth(Truth.YES - truth(part, features))
        case _:
            assert_never(predicate)


def leaves(predicate: Predicate) -> Iterator[Leaf]:
    """The leaves from left to right."""
    match predicate:
        case Leaf():
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


def next_change(leaf: Leaf, features: Features) -> Day | None:
    """The first day after today on which the leaf may turn by itself, without any new order; None if never."""
    if leaf.measure is Measure.RECENCY:
        return _recency_turns(leaf, features)
    first_day = features.windows[leaf.window_days].first_day
    return _earliest(None if first_day is None else first_day + leaf.window_days, features.next_day)


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
    value, is_lower_bound = _measured(leaf, features)
    if value is None:
        return Truth.UNKNOWN
    holds = _compare(value, leaf.comparison, leaf.limit)
    upward = leaf.comparison in (Comparison.AT_LEAST, Comparison.ABOVE)
    if is_lower_bound and holds is not upward:  # more could turn it
        return Truth.UNKNOWN
    return Truth.YES if holds else Truth.NO


def _measured(leaf: Leaf, features: Features) -> tuple[int | None, bool]:
    """The value, and whether the true one may be higher."""
    if leaf.measure is Measure.RECENCY:
        return features.recency_days, False
    window = features.windows[leaf.window_days]
    if leaf.measure is Measure.ORDERS:
        return window.orders, False
    return window.value_micros, window.unpriced_lines > 0


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


def _finding(leaf: Leaf, features: Features) -> Finding:
    value, is_lower_bound = _measured(leaf, features)
    shown = "unknown" if value is None else _shown(leaf.measure, value)
    name = leaf.measure.value if leaf.measure is Measure.RECENCY else f"{leaf.measure.value}_{leaf.window_days}d"
    limit = f"{leaf.comparison.value.replace('_', ' ')} {_shown(leaf.measure, leaf.limit)}"
    return Finding(name, f"{shown} or more" if is_lower_bound else shown, limit)


def _shown(measure: Measure, number: int) -> str:
    if measure is not Measure.VALUE:
        return str(number)
    whole, rest = divmod(number, MICROS_PER_UNIT)
    digits = f"{rest:06d}".rstrip("0")
    return f"{whole}.{digits.ljust(2, '0')}"
