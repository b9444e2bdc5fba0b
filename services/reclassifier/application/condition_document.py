"""The conditions of a rule set as people write them, bounded in depth and size before anything recurses into them.

CONDITION   {"all": [CONDITION, ...]} | {"any": [CONDITION, ...]} | {"not": CONDITION}
            | {"feature": MEASURE, "window_days": 90, "at_least" | "above" | "at_most" | "below": NUMBER}
            | {"feature": "recency", "at_least" | "above" | "at_most" | "below": DAYS}
            | {"feature": "demand_profile", "window_days": 364, "is": ["smooth", "erratic"]}
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BeforeValidator, ConfigDict, Discriminator, Field, Tag, WithJsonSchema, model_validator

from services.contracts.payload import Code, Payload, broken_rule
from services.reclassifier.domain.demand import DemandProfile
from services.reclassifier.domain.leaves import Comparison, HasProfile, InTop, Leaf, Scored, ScorePart, TopKey
from services.reclassifier.domain.measures import COUNTS, Measure, Prior, scale
from services.reclassifier.domain.orders import MICROS_PER_UNIT
from services.reclassifier.domain.predicates import AllOf, AnyOf, Not, Predicate

DEPTH_MAX: Final = 8  # deeper than anybody can read
NODES_MAX: Final = 100  # of one condition; evaluation stays in microseconds
WINDOW_DAYS_MAX: Final = 730  # two years; days are kept a little longer (see adapters.day_rows)
SIGNED: Final = (Measure.TREND, Measure.MARGIN)  # measures that may be below zero
LIMIT_PATTERN: Final = r"^-?[0-9]{1,12}(\.[0-9]{1,6})?$"

WindowDays = Annotated[int, Field(strict=True, ge=1, le=WINDOW_DAYS_MAX)]


def _written_as_limit(value: object) -> object:
    """Refuse what Decimal would read besides plain digits, as for amounts of money."""
    if not isinstance(value, str) or re.fullmatch(LIMIT_PATTERN, value):
        return value
    raise broken_rule("not a number in plain digits")


Limit = Annotated[
    Decimal,
    Field(max_digits=18, decimal_places=6, allow_inf_nan=False),
    BeforeValidator(_written_as_limit),
    WithJsonSchema({"anyOf": [{"type": "number"}, {"type": "string", "pattern": LIMIT_PATTERN}]}),
]


PERCENT_MAX: Final = 100

CUT_MEASURES: Final = ("orders", "units", "value")  # sums that the database sorts over all customers at once


@dataclass(frozen=True, slots=True)
class Terms:
    """What conditions refer to: what is expected of new customers, and scores by name."""

    prior: Prior | None
    scores: Mapping[str, tuple[ScorePart, ...]]

    def prior_of(self, measure: Measure, window_days: int) -> Prior | None:
        """The prior of an expected value; ValueError where none is given for the window."""
        if measure is not Measure.EXPECTED_VALUE:
            return None
        if self.prior is None or self.prior.window_days != window_days:
            raise broken_rule("expected_value needs new_customers with the same window_days")
        return self.prior


class Document(Payload):
    """The parent of all parts of a rule set's document."""

    model_config = ConfigDict(populate_by_name=True, serialize_by_alias=True)


class Compared(Document):
    """Exactly one of four comparisons with a limit."""

    at_least: Limit | None = None
    above: Limit | None = None
    at_most: Limit | None = None
    below: Limit | None = None

    @model_validator(mode="after")
    def _compares_once(self) -> Self:
        if len(self.limits()) != 1:
            raise broken_rule("give exactly one of at_least, above, at_most, below")
        return self

    def limits(self) -> list[tuple[Comparison, Decimal]]:
        """The comparisons that are given."""
        found = ((comparison, getattr(self, comparison.value)) for comparison in Comparison)
        return [(comparison, limit) for comparison, limit in found if limit is not None]


class Condition(Compared):
    """A comparison of one measure with one limit: a count, days, an amount in the major unit, or percent."""

    feature: Measure
    window_days: WindowDays | None = None

    @model_validator(mode="after")
    def _says_one_thing(self) -> Self:
        check_limits(self.feature, self.window_days, [limit for _, limit in self.limits()])
        return self

    def to_domain(self, terms: Terms) -> Predicate:
        """The leaf; ValueError for an expected value without what is expected of new customers."""
        ((comparison, limit),) = self.limits()
        window_days = self.window_days or 0
        prior = terms.prior_of(self.feature, window_days)
        return Leaf(self.feature, comparison, int(limit * scale(self.feature)), window_days, prior)


class ScoreCondition(Compared):
    """A comparison of a score with points."""

    score: Code

    def to_domain(self, terms: Terms) -> Predicate:
        """The leaf; ValueError if nobody said how the score is made."""
        if self.score not in terms.scores:
            raise broken_rule("no such score")
        ((comparison, limit),) = self.limits()
        return Scored(self.score, terms.scores[self.score], comparison, int(limit * MICROS_PER_UNIT))


class TopCondition(Document):
    """Whether a customer is among the share of all that has the most, by the limits of the last cut."""

    feature: Literal["orders", "units", "value"]
    window_days: WindowDays
    in_top_percent: Annotated[Limit, Field(gt=0, le=PERCENT_MAX)]

    def to_domain(self, _: Terms) -> Predicate:
        """The leaf, without a cut."""
        share = int(self.in_top_percent * MICROS_PER_UNIT)
        return InTop(TopKey(Measure(self.feature), self.window_days, share))


class ProfileCondition(Document):
    """Whether the demand profile is one of some."""

    feature: Literal["demand_profile"]
    window_days: WindowDays
    is_: Annotated[tuple[DemandProfile, ...], Field(alias="is", min_length=1, max_length=len(DemandProfile))]

    def to_domain(self, _: Terms) -> Predicate:
        """The leaf."""
        return HasProfile(self.is_, self.window_days)


class Every(Document):
    """Every part holds."""

    all: Annotated[tuple["AnyCondition", ...], Field(min_length=1)]

    def to_domain(self, terms: Terms) -> Predicate:
        """The conjunction."""
        return AllOf(tuple(part.to_domain(terms) for part in self.all))


class Some(Document):
    """One part holds."""

    any: Annotated[tuple["AnyCondition", ...], Field(min_length=1)]

    def to_domain(self, terms: Terms) -> Predicate:
        """The disjunction."""
        return AnyOf(tuple(part.to_domain(terms) for part in self.any))


class Negation(Document):
    """The part does not hold."""

    not_: Annotated["AnyCondition", Field(alias="not")]

    def to_domain(self, terms: Terms) -> Predicate:
        """The negation."""
        return Not(self.not_.to_domain(terms))


def _kind(value: object) -> str:
    """Which one a condition is, by its members."""
    if isinstance(value, Mapping):
        if value.get("feature") == "demand_profile":
            return "profile"
        marks = {"all": "all", "any": "any", "not": "not", "score": "score", "in_top_percent": "top"}
        return next((kind for mark, kind in marks.items() if mark in value), "feature")
    return next((kind for model, kind in _KINDS.items() if isinstance(value, model)), "feature")


_KINDS: Final = {
    Every: "all",
    Some: "any",
    Negation: "not",
    ProfileCondition: "profile",
    ScoreCondition: "score",
    TopCondition: "top",
}
AnyCondition = Annotated[
    Annotated[Every, Tag("all")]
    | Annotated[Some, Tag("any")]
    | Annotated[Negation, Tag("not")]
    | Annotated[ProfileCondition, Tag("profile")]
    | Annotated[ScoreCondition, Tag("score")]
    | Annotated[TopCondition, Tag("top")]
    | Annotated[Condition, Tag("feature")],
    Discriminator(_kind),
]


def check_limits(measure: Measure, window_days: int | None, limits: Sequence[Decimal]) -> None:
    """ValueError unless the limits are of the measure's kind and the window is there where one is needed."""
    if (window_days is None) is not (measure is Measure.RECENCY):
        raise broken_rule("every feature but recency needs window_days; recency has none")
    if measure in COUNTS and any(limit != int(limit) for limit in limits):
        raise broken_rule("orders, units and days are whole numbers")
    if measure not in SIGNED and any(limit < 0 for limit in limits):
        raise broken_rule("only a trend and a margin are ever below zero")


def refuse_large(condition: object) -> None:
    """Bound depth and size before anything recurses into the tree; ValueError beyond."""
    nodes, level = 0, [condition]
    for depth in range(1, DEPTH_MAX + 2):
        nodes += len(level)
        if nodes > NODES_MAX:
            raise broken_rule(f"a condition has at most {NODES_MAX} parts")
        level = [part for node in level for part in _parts(node)]
        if not level:
            return
        if depth >= DEPTH_MAX:
            raise broken_rule(f"a condition is nested at most {DEPTH_MAX} deep")


def _parts(node: object) -> list[Any]:
    if not isinstance(node, Mapping):
        return []
    found: list[Any] = []
    for kind in ("all", "any"):
        parts = node.get(kind)
        found.extend(parts if isinstance(parts, list | tuple) else [])
    return [*found, node["not"]] if "not" in node else found
