"""The rule of who is served first, as values; `services.atp.domain.order_of_service` says what it means."""

from dataclasses import dataclass
from typing import Final, Literal


@dataclass(frozen=True, slots=True)
class Criterion:
    """One attribute that a rule looks at; `name` says which of an order's own numbers `order_attribute` is.

    `values` are points by name, for attributes that are names; `otherwise` for names that are not among them. `weight`
    counts in a score; `reverse` turns a sequence round. `at_most` bounds what an order's value counts for.
    """

    attribute: str
    weight: int = 1
    reverse: bool = False
    values: tuple[tuple[str, int], ...] = ()
    otherwise: int = 0
    at_most: int = 1_000_000
    name: str = ""


@dataclass(frozen=True, slots=True)
class ServiceRule:
    """Who is served first; see `services.atp.domain.order_of_service`. Ageing: `points` in `days`, 0: none.

    `basis` goes up when keys by it are no longer those of before: a new version of the rule, a tier's other rank.
    """

    version: int = 0
    kind: Literal["sequence", "score"] = "sequence"
    criteria: tuple[Criterion, ...] = (Criterion("tier_rank"), Criterion("requested_date"), Criterion("age"))
    points: int = 0
    days: int = 1
    basis: int = 0

    @property
    def by_value(self) -> bool:
        """Whether it looks at what orders are worth."""
        return any(each.attribute == "order_value" for each in self.criteria)

    @property
    def by_criticality(self) -> bool:
        """Whether it looks at the items' criticality."""
        return any(each.attribute == "item_criticality" for each in self.criteria)


SERVED_BY_TIER: Final = ServiceRule()
