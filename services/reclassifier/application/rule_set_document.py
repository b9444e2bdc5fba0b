"""A rule set as people write it: a JSON document with a bounded tree of conditions.

    {"rungs": [{"tier": "gold", "promote": CONDITION, "demote": CONDITION}, ...], "floor": "bronze",
     "minimum_dwell_days": 28, "proposal_ttl_days": 7}

    CONDITION   {"all": [CONDITION, ...]} | {"any": [CONDITION, ...]} | {"not": CONDITION}
                | {"feature": "orders" | "value", "window_days": 90, "at_least" | "above" | "at_most" | "below": NUMBER}
                | {"feature": "recency", "at_least" | "above" | "at_most" | "below": DAYS}

`value` is in the currency's major unit. Rungs are best first; the floor is the tier of everybody else, also of
customers that were never assigned.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any, Final, Self

from pydantic import ConfigDict, Discriminator, Field, Tag, model_validator

from services.contracts.payload import Code, Money, Payload
from services.reclassifier.domain.orders import MICROS_PER_UNIT
from services.reclassifier.domain.predicates import AllOf, AnyOf, Comparison, Leaf, Measure, Not, Predicate
from services.reclassifier.domain.rule_set import RuleSet, Rung

DEPTH_MAX: Final = 8  # deeper than anybody can read
NODES_MAX: Final = 100  # of one condition; evaluation stays in microseconds
RUNGS_MAX: Final = 20
WINDOW_DAYS_MAX: Final = 730  # two years; days are kept a little longer (see adapters.day_rows)


class _Document(Payload):
    model_config = ConfigDict(populate_by_name=True, serialize_by_alias=True)


class Condition(_Document):
    """A comparison of one feature with one limit."""

    feature: Measure
    window_days: Annotated[int, Field(strict=True, ge=1, le=WINDOW_DAYS_MAX)] | None = None
    at_least: Money | None = None
    above: Money | None = None
    at_most: Money | None = None
    below: Money | None = None

    @model_validator(mode="after")
    def _says_one_thing(self) -> Self:
        limits = [limit for limit in self._limits().values() if limit is not None]
        if len(limits) != 1:
            raise ValueError("give exactly one of at_least, above, at_most, below")
        if (self.window_days is None) is not (self.feature is Measure.RECENCY):
            raise ValueError("orders and value need window_days; recency has none")
        if self.feature is not Measure.VALUE and limits[0] != int(limits[0]):
            raise ValueError("orders and days are whole numbers")
        return self

    def to_domain(self) -> Predicate:
        """The leaf."""
        comparison, limit = next((name, limit) for name, limit in self._limits().items() if limit is not None)
        scale = MICROS_PER_UNIT if self.feature is Measure.VALUE else 1
        return Leaf(self.feature, comparison, int(limit * scale), self.window_days or 0)

    def _limits(self) -> dict[Comparison, Decimal | None]:
        return {comparison: getattr(self, comparison.value) for comparison in Comparison}


class Every(_Document):
    """Every part holds."""

    all: Annotated[tuple["AnyCondition", ...], Field(min_length=1)]

    def to_domain(self) -> Predicate:
        """The conjunction."""
        return AllOf(tuple(part.to_domain() for part in self.all))


class Some(_Document):
    """One part holds."""

    any: Annotated[tuple["AnyCondition", ...], Field(min_length=1)]

    def to_domain(self) -> Predicate:
        """The disjunction."""
        return AnyOf(tuple(part.to_domain() for part in self.any))


class Negation(_Document):
    """The part does not hold."""

    not_: Annotated["AnyCondition", Field(alias="not")]

    def to_domain(self) -> Predicate:
        """The negation."""
        return Not(self.not_.to_domain())


def _kind(value: object) -> str:
    """Which of the four a condition is, by its members."""
    if isinstance(value, Mapping):
        return next((kind for kind in ("all", "any", "not") if kind in value), "feature")
    match value:
        case Every():
            return "all"
        case Some():
            return "any"
        case Negation():
            return "not"
    return "feature"


AnyCondition = Annotated[
    Annotated[Every, Tag("all")]
    | Annotated[Some, Tag("any")]
    | Annotated[Negation, Tag("not")]
    | Annotated[Condition, Tag("feature")],
    Discriminator(_kind),
]


class RungDocument(_Document):
    """A tier with what lifts a customer into it and what drops it out."""

    tier: Code
    promote: AnyCondition
    demote: AnyCondition

    @model_validator(mode="before")
    @classmethod
    def _is_small(cls, value: object) -> object:
        if isinstance(value, Mapping):
            for name in ("promote", "demote"):
                _refuse_large(value.get(name))
        return value


class RuleSetDocument(_Document):
    """A rule set; its id and version come from where it is stored."""

    rungs: Annotated[tuple[RungDocument, ...], Field(min_length=1, max_length=RUNGS_MAX)]
    floor: Code
    minimum_dwell_days: Annotated[int, Field(strict=True, ge=0, le=365)] = 28
    proposal_ttl_days: Annotated[int, Field(strict=True, ge=1, le=365)] = 7

    @model_validator(mode="after")
    def _names_each_tier_once(self) -> Self:
        tiers = [*(rung.tier for rung in self.rungs), self.floor]
        if len(set(tiers)) != len(tiers):
            raise ValueError("a tier is named twice")
        return self

    def to_domain(self, rule_set_id: str, version: int) -> RuleSet:
        """The rule set as it is evaluated."""
        rungs = tuple(Rung(rung.tier, rung.promote.to_domain(), rung.demote.to_domain()) for rung in self.rungs)
        return RuleSet(rule_set_id, version, rungs, self.floor, self.minimum_dwell_days, self.proposal_ttl_days)

    def to_json(self) -> dict[str, Any]:
        """The document in its one written form."""
        return self.model_dump(mode="json", exclude_none=True)


def _refuse_large(condition: object) -> None:
    """Bound depth and size before anything recurses into the tree."""
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


def _parts(node: object) -> list[object]:
    if not isinstance(node, Mapping):
        return []
    found: list[object] = []
    for kind in ("all", "any"):
        parts = node.get(kind)
        found.extend(parts if isinstance(parts, list | tuple) else [])
    return [*found, node["not"]] if "not" in node else found
