"""A rule set as people write it: a JSON document with a bounded tree of conditions.

    {"rungs": [{"tier": "gold", "promote": CONDITION, "demote": CONDITION}, ...], "floor": "bronze",
     "minimum_dwell_days": 28, "proposal_ttl_days": 7,
     "new_customers": {"prior_value": "300", "window_days": 90, "weight": 3, "own_data_from_orders": 8}}

Conditions are in `condition_document`, what they look at in docs/reclassification.md. Amounts are in the currency's
major unit. Rungs are best first; the floor is the tier of everybody else, also of customers that were never assigned.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Final, Self

from pydantic import Field, model_validator

from services.contracts.payload import Code, Money
from services.reclassifier.application.condition_document import AnyCondition, Document, WindowDays, refuse_large
from services.reclassifier.domain.measures import Prior
from services.reclassifier.domain.orders import MICROS_PER_UNIT
from services.reclassifier.domain.rule_set import RuleSet, Rung

RUNGS_MAX: Final = 20
WEIGHT_MAX: Final = 1_000  # orders; a prior that outweighs more is no prior


class RungDocument(Document):
    """A tier with what lifts a customer into it and what drops it out."""

    tier: Code
    promote: AnyCondition
    demote: AnyCondition

    @model_validator(mode="before")
    @classmethod
    def _is_small(cls, value: object) -> object:
        if isinstance(value, Mapping):
            for name in ("promote", "demote"):
                refuse_large(value.get(name))
        return value


class NewCustomersDocument(Document):
    """What a customer is expected to bring in a window before its own orders say enough (`expected_value`)."""

    prior_value: Money
    window_days: WindowDays
    weight: Annotated[int, Field(strict=True, ge=1, le=WEIGHT_MAX, description="orders that the prior counts as")]
    own_data_from_orders: Annotated[int, Field(strict=True, ge=1, le=WEIGHT_MAX)]

    def to_domain(self) -> Prior:
        """The prior."""
        value = int(self.prior_value * MICROS_PER_UNIT)
        return Prior(value, self.window_days, self.weight, self.own_data_from_orders)


class RuleSetDocument(Document):
    """A rule set; its id and version come from where it is stored."""

    rungs: Annotated[tuple[RungDocument, ...], Field(min_length=1, max_length=RUNGS_MAX)]
    floor: Code
    minimum_dwell_days: Annotated[int, Field(strict=True, ge=0, le=365)] = 28
    proposal_ttl_days: Annotated[int, Field(strict=True, ge=1, le=365)] = 7
    new_customers: NewCustomersDocument | None = None

    @model_validator(mode="after")
    def _names_each_tier_once(self) -> Self:
        tiers = [*(rung.tier for rung in self.rungs), self.floor]
        if len(set(tiers)) != len(tiers):
            raise ValueError("a tier is named twice")
        self.to_domain("checked", 1)
        return self

    def to_domain(self, rule_set_id: str, version: int) -> RuleSet:
        """The rule set as it is evaluated."""
        prior = None if self.new_customers is None else self.new_customers.to_domain()
        rungs = tuple(
            Rung(rung.tier, rung.promote.to_domain(prior), rung.demote.to_domain(prior)) for rung in self.rungs
        )
        return RuleSet(
            rule_set_id, version, rungs, self.floor, self.minimum_dwell_days, self.proposal_ttl_days, prior=prior
        )

    def to_json(self) -> dict[str, Any]:
        """The document in its one written form."""
        return self.model_dump(mode="json", exclude_none=True)
