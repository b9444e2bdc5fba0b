"""The conditions of rules: a small typed tree over features, in a logic of three values.

`all`, `any` and `not` carry what is unknown as Kleene's logic does. A tier moves only on `yes`, so that what is unknown
never moves one by itself.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias, assert_never

from services.reclassifier.domain.features import Features
from services.reclassifier.domain.leaves import (
    AnyLeaf,
    Finding,
    HasProfile,
    InTop,
    Leaf,
    Scored,
    TopKey,
    Truth,
    at_cut,
    leaf_finding,
    leaf_truth,
)


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


Predicate: TypeAlias = AnyLeaf | AllOf | AnyOf | Not


def truth(predicate: Predicate, features: Features) -> Truth:
    """Whether the predicate holds for these features."""
    match predicate:
        case AllOf(parts):
            return min(truth(part, features) for part in parts)
        case AnyOf(parts):
            return max(truth(part, features) for part in parts)
        case Not(part):
            return Truth(Truth.YES - truth(part, features))
        case _:
            return leaf_truth(predicate, features)


def leaves(predicate: Predicate) -> Iterator[AnyLeaf]:
    """The leaves from left to right."""
    match predicate:
        case AllOf(parts) | AnyOf(parts):
            for part in parts:
                yield from leaves(part)
        case Not(part):
            yield from leaves(part)
        case _:
            yield predicate


def findings(predicate: Predicate, features: Features) -> tuple[Finding, ...]:
    """The numbers behind a predicate, each once, in the order of its leaves."""
    return tuple(dict.fromkeys(leaf_finding(leaf, features) for leaf in leaves(predicate)))


def with_limits(predicate: Predicate, limits: Mapping[TopKey, int | None] | None) -> Predicate:
    """The predicate with the limits of the last cut in its leaves; None: there is no cut that counts."""
    match predicate:
        case AllOf(parts):
            return AllOf(tuple(with_limits(part, limits) for part in parts))
        case AnyOf(parts):
            return AnyOf(tuple(with_limits(part, limits) for part in parts))
        case Not(part):
            return Not(with_limits(part, limits))
        case InTop():
            return at_cut(predicate, limits)
        case Leaf() | HasProfile() | Scored():
            return predicate
        case _:
            assert_never(predicate)
