"""The conditions of a rule set as people write them, bounded in depth and size before anything recurses into them.

CONDITION   {"all": [CONDITION, ...]} | {"any": [CONDITION, ...]} | {"not": CONDITION}
            | {"feature": MEASURE, "window_days": 90, "at_least" | "above" | "at_most" | "below": NUMBER}
            | {"feature": "recency", "at_least" | "above" | "at_most" | "below": DAYS}
            | {"feature": "demand_profile", "window_days": 364, "is": ["smooth", "erratic"]}
"""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BeforeValidator, ConfigDict, Discriminator, Field, Tag, WithJsonSchema, model_validator

from services.contracts.payload import Payload
from services.reclassifier.domain.measures import COUNTS, Measure, Prior, scale
from services.reclassifier.domain.predicates import AllOf, AnyOf, Comparison, HasProfile, Leaf, Not, Predicate
from services.reclassifier.domain.rhythm import DemandProfile

DEPTH_MAX: Final = 8  # deeper than anybody can read
NODES_MAX: Final = 100  # of one condition; evaluation stays in microseconds
WINDOW_DAYS_MAX: Final = 730  # two years; days are kept a little longer (see adapters.day_rows)
SIGNED: Final = (Measure.TREND,)  # measures that may be below zero
LIMIT_PATTERN: Final = r"^-?[0-9]{1,12}(\.[0-9]{1,6})?$"

WindowDays = Annotated[int, Field(strict=True, ge=1, le=WINDOW_DAYS_MAX)]


def _written_as_limit(value: object) -> object:
    """Refuse what Decimal would read besides plain digits, as for amounts of money."""
    if not isinstance(value, str) or re.fullmatch(LIMIT_PATTERN, value):
        return value
    raise ValueError("not a number in plain digits")


Limit = Annotated[
    Decimal,
    Field(max_digits=18, decimal_places=6, allow_inf_nan=False),
    BeforeValidator(_written_as_limit),
    WithJsonSchema({"anyOf": [{"type": "number"}, {"type": "string", "pattern": LIMIT_PATTERN}]}),
]


class Document(Payload):
    """The parent of all parts of a rule set's document."""

    model_config = ConfigDict(populate_by_name=True, serialize_by_alias=True)


class Condition(Document):
    """A comparison of one measure with one limit: a count, days, an amount in the major unit, or percent."""

    feature: Measure
    window_days: WindowDays | None = None
    at_least: Limit | None = None
    above: Limit | None = None
    at_most: Limit | None = None
    below: Limit | None = None

    @model_validator(mode="after")
    def _says_one_thing(self) -> Self:
        limits = [limit for limit in self._limits().values() if limit is not None]
        if len(limits) != 1:
            raise ValueError("give exactly one of at_least, above, at_most, below")
        if (self.window_days is None) is not (self.feature is Measure.RECENCY):
            raise ValueError("every feature but recency needs window_days; recency has none")
        if self.feature in COUNTS and limits[0] != int(limits[0]):
            raise ValueError("orders, units and days are whole numbers")
        if limits[0] < 0 and self.feature not in SIGNED:
            raise ValueError(f"{self.feature.value} is never below zero")
        return self

    def to_domain(self, prior: Prior | None) -> Predicate:
        """The leaf; ValueError for an expected value without what is expected of new customers."""
        comparison, limit = next((name, limit) for name, limit in self._limits().items() if limit is not None)
        window_days = self.window_days or 0
        if self.feature is not Measure.EXPECTED_VALUE:
            prior = None
        elif prior is None or prior.window_days != window_days:
            raise ValueError("expected_value needs new_customers with the same window_days")
        return Leaf(self.feature, comparison, int(limit * scale(self.feature)), window_days, prior)

    def _limits(self) -> dict[Comparison, Decimal | None]:
        return {comparison: getattr(self, comparison.value) for comparison in Comparison}


class ProfileCondition(Document):
    """Whether the demand profile is one of some."""

    feature: Literal["demand_profile"]
    window_days: WindowDays
    is_: Annotated[tuple[DemandProfile, ...], Field(alias="is", min_length=1, max_length=len(DemandProfile))]

    def to_domain(self, _: Prior | None) -> Predicate:
        """The leaf."""
        return HasProfile(self.is_, self.window_days)


class Every(Document):
    """Every part holds."""

    all: Annotated[tuple["AnyCondition", ...], Field(min_length=1)]

    def to_domain(self, prior: Prior | None) -> Predicate:
        """The conjunction."""
        return AllOf(tuple(part.to_domain(prior) for part in self.all))


class Some(Document):
    """One part holds."""

    any: Annotated[tuple["AnyCondition", ...], Field(min_length=1)]

    def to_domain(self, prior: Prior | None) -> Predicate:
        """The disjunction."""
        return AnyOf(tuple(part.to_domain(prior) for part in self.any))


class Negation(Document):
    """The part does not hold."""

    not_: Annotated["AnyCondition", Field(alias="not")]

    def to_domain(self, prior: Prior | None) -> Predicate:
        """The negation."""
        return Not(self.not_.to_domain(prior))


def _kind(value: object) -> str:
    """Which one a condition is, by its members."""
    if isinstance(value, Mapping):
        if value.get("feature") == "demand_profile":
            return "profile"
        return next((kind for kind in ("all", "any", "not") if kind in value), "feature")
    return next((kind for model, kind in _KINDS.items() if isinstance(value, model)), "feature")


_KINDS: Final = {Every: "all", Some: "any", Negation: "not", ProfileCondition: "profile"}
AnyCondition = Annotated[
    Annotated[Every, Tag("all")]
    | Annotated[Some, Tag("any")]
    | Annotated[Negation, Tag("not")]
    | Annotated[ProfileCondition, Tag("profile")]
    | Annotated[Condition, Tag("feature")],
    Discriminator(_kind),
]


def refuse_large(condition: object) -> None:
    """Bound depth and size before anything recurses into the tree; ValueError beyond."""
    nodes, level = 0, [condition]
    for depth in range(1, DEPTH_MAX + 2):
        nodes += len(level)
        if nodes > NODES_MAX:
            raise ValueError(f"a condition has at most {NODES_MAX} parts")
        level = [part for node in level for part in _parts(node)]
        if not level:
            return
        if depth >= DEPTH_MAX:
            raise ValueError(f"a condition is nested at most {DEPTH_MAX} deep")


def _parts(node: object) -> list[Any]:
    if not isinstance(node, Mapping):
        return []
    found: list[Any] = []
    for kind in ("all", "any"):
        parts = node.get(kind)
        found.extend(parts if isinstance(parts, list | tuple) else [])
    return [*found, node["not"]] if "not" in node else found
