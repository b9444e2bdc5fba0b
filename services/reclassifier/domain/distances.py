"""How far a customer's numbers are from the tier above and from the tier below, by the conditions of a rule set.

A distance is one set of changes of numbers that together turn the condition, the smallest set there is (of as many the
one that comes first in the rule). Each change is the smallest in whole units of its measure: by one unit less the
comparison would not turn. Not looked at: what waits although the numbers ask for it (dwell, grace, cool-down), and that
one number may follow from another.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor
from typing import Final, Literal, NamedTuple, TypeAlias, assert_never

from services.reclassifier.domain.demand import Ratio
from services.reclassifier.domain.features import Features
from services.reclassifier.domain.leaves import (
    PROFILE,
    AnyLeaf,
    Comparison,
    HasProfile,
    InTop,
    Leaf,
    Scored,
    Truth,
    leaf_finding,
    score_of,
)
from services.reclassifier.domain.measures import Measure, measured, shown
from services.reclassifier.domain.predicates import AllOf, AnyOf, Not, Predicate, truth
from services.reclassifier.domain.rule_set import RuleSet

Direction: TypeAlias = Literal["more", "less", "other"]
_DENIED: Final = {
    Comparison.AT_LEAST: Comparison.BELOW,
    Comparison.BELOW: Comparison.AT_LEAST,
    Comparison.ABOVE: Comparison.AT_MOST,
    Comparison.AT_MOST: Comparison.ABOVE,
}


@dataclass(frozen=True, slots=True)
class Change:
    """One number as it is, and by how much more or less it would turn; `by` None: that cannot be said in a number.

    `window_days` is 0 where there is none. Numbers are as rules are written: money in the major unit, shares in
    percent.
    """

    feature: str
    window_days: int
    value: str
    direction: Direction
    by: str | None = None


@dataclass(frozen=True, slots=True)
class Distance:
    """What would have to change until the numbers ask for a tier; nothing: they do already."""

    tier: str
    changes: tuple[Change, ...]


class Aim(NamedTuple):
    """What a condition is to become; `strict`: unknown is not enough."""

    truth: Literal[Truth.YES, Truth.NO]
    strict: bool = True

    def met(self, found: Truth) -> bool:
        """Whether it has become so."""
        return found is self.truth or (found is Truth.UNKNOWN and not self.strict)

    def denied(self) -> "Aim":
        """The aim of the part of a `not`."""
        return Aim(Truth.NO if self.truth is Truth.YES else Truth.YES, self.strict)


MAKE_TRUE: Final = Aim(Truth.YES)
NOT_TRUE: Final = Aim(Truth.NO, strict=False)


def distance_above(rule_set: RuleSet, tier: str, features: Features) -> Distance | None:
    """To the tier next above this one of the rule set; None from the best one."""
    place = rule_set.tiers.index(tier)
    if place == 0:
        return None
    rung = rule_set.rungs[place - 1]
    lifting = changes_to(rung.promote, MAKE_TRUE, features)
    return Distance(rung.tier, _together([lifting, changes_to(rung.demote, NOT_TRUE, features)]))


def distance_below(rule_set: RuleSet, tier: str, features: Features) -> Distance | None:
    """To the tier next below this one of the rule set; None from the floor."""
    place = rule_set.tiers.index(tier)
    if place == len(rule_set.rungs):
        return None
    return Distance(rule_set.tiers[place + 1], changes_to(rule_set.rungs[place].demote, MAKE_TRUE, features))


def changes_to(predicate: Predicate, aim: Aim, features: Features) -> tuple[Change, ...]:
    """The changes that make a condition what it is to become."""
    if aim.met(truth(predicate, features)):
        return ()
    match predicate:
        case Not(part):
            return changes_to(part, aim.denied(), features)
        case AllOf(parts) | AnyOf(parts):
            ways = [changes_to(part, aim, features) for part in parts]
            every = isinstance(predicate, AllOf) is (aim.truth is Truth.YES)
            return _together(ways) if every else min(ways, key=len)
        case _:
            return (_change(predicate, aim, features),)


def _together(ways: Iterable[tuple[Change, ...]]) -> tuple[Change, ...]:
    """All changes of all ways; of those of one number in one direction, the largest serves all."""
    found: dict[tuple[str, int, Direction], Change] = {}
    for change in (each for way in ways for each in way):
        key = (change.feature, change.window_days, change.direction)
        other = found.get(key)
        if other is None or (other.by is not None and (change.by is None or Fraction(change.by) > Fraction(other.by))):
            found[key] = change
    return tuple(found.values())


def _change(leaf: AnyLeaf, aim: Aim, features: Features) -> Change:
    value = leaf_finding(leaf, features).value
    match leaf:
        case HasProfile(_, days):
            return Change(PROFILE, days, value, "other")
        case Scored(name, parts, comparison, limit):
            score = score_of(parts, features)
            step = None if score is None else _step(score, comparison, limit, aim)
            return _of(f"score:{name}", 0, value, _side(comparison, aim), step, Measure.VALUE)
        case InTop(key, cut, limit):
            of_top = measured(key.measure, key.window_days, features)
            step = None
            if cut and limit is not None and of_top is not None:
                step = _step(Fraction(*of_top.ratio), Comparison.AT_LEAST, limit, aim)
            side = _side(Comparison.AT_LEAST, aim)
            return _of(key.measure.value, key.window_days, value, side, step, key.measure)
        case Leaf(measure, comparison, limit, window_days, prior):
            found = measured(measure, window_days, features, prior)
            side, step = _side(comparison, aim), None
            if found is not None and not (found.is_upper_bound if side == "more" else found.is_lower_bound):
                step = _step(Fraction(*found.ratio), comparison, limit, aim)
            return _of(measure.value, window_days, value, side, step, measure)
        case _:
            assert_never(leaf)


def _of(  # noqa: PLR0917 - one change's parts
    feature: str, window_days: int, value: str, side: Direction, step: int | None, measure: Measure
) -> Change:
    by = None if step is None else shown(measure, Ratio(step, 1))
    return Change(feature, window_days, value, side, by)


def _side(comparison: Comparison, aim: Aim) -> Direction:
    upward = comparison in {Comparison.AT_LEAST, Comparison.ABOVE}
    return "more" if upward is (aim.truth is Truth.YES) else "less"


def _step(value: Fraction, comparison: Comparison, limit: int, aim: Aim) -> int | None:
    """The least whole number of units by which the comparison turns; None where it says so already."""
    asked = comparison if aim.truth is Truth.YES else _DENIED[comparison]
    short = limit - value if asked in {Comparison.AT_LEAST, Comparison.ABOVE} else value - limit
    step = ceil(short) if asked in {Comparison.AT_LEAST, Comparison.AT_MOST} else floor(short) + 1
    return step if step > 0 else None
