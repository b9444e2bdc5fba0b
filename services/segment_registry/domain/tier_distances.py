"""How far a customer is from the tiers beside its own, as the reclassifier finds it, in words for the customer."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from services.segment_registry.domain.tiers import Tier

# Measures of the reclassifier (docs/reclassification.md) as they are said to a customer.
WORDS: Final[Mapping[str, str]] = {
    "orders": "number of orders",
    "units": "number of units ordered",
    "value": "value of orders",
    "order_value": "mean value of an order",
    "expected_value": "expected value of orders",
    "recency": "days since the last order",
    "return_share": "share of returned units in percent",
    "repeat_share": "share of repeated orders in percent",
    "trend": "trend of orders in percent",
    "demand_profile": "rhythm of orders",
}


@dataclass(frozen=True, slots=True)
class NumberChange:
    """A number as it is, and how much more or less (`direction`) would turn it; `by` None: no number can be said."""

    feature: str
    window_days: int | None
    value: str
    direction: str
    by: str | None


@dataclass(frozen=True, slots=True)
class TierDistance:
    """What together would have to change until the rules ask for a tier; nothing: they do already."""

    tier: str
    changes: tuple[NumberChange, ...]


@dataclass(frozen=True, slots=True)
class FoundDistances:
    """Both distances of a customer by a version of a rule set at a moment; `tier` None: it was never in one.

    `overridden`: a person's decision holds it where it is, and no rule.
    """

    as_of: datetime
    rule: str | None
    rule_version: int | None
    tier: str | None
    overridden: bool
    above: TierDistance | None
    below: TierDistance | None


def distance_sentences(found: FoundDistances, tiers: Mapping[str, Tier]) -> tuple[str, ...]:
    """Both in a sentence each, where there is one; margins and what else is ours are not said in numbers."""
    said = []
    for distance, up in ((found.above, True), (found.below, False)):
        if distance is not None:
            name = tiers[distance.tier].name if distance.tier in tiers else distance.tier
            said.append(_sentence(name, distance, up=up))
    return tuple(said)


def _sentence(name: str, distance: TierDistance, *, up: bool) -> str:
    direction = "up" if up else "down"
    if not distance.changes:
        return f"Your figures already ask for a move {direction} to {name}, which waits for its time."
    parts = dict.fromkeys(_part(each) for each in distance.changes)
    return f"Your figures would ask for a move {direction} to {name} if {' and '.join(parts)}."


def _part(change: NumberChange) -> str:
    words = WORDS.get(change.feature)
    if words is None:  # margins, scores and what others are like: ours
        return "our own assessment of your account were another"
    over = f" over {change.window_days} days" if change.window_days else ""
    if change.by is None:
        return f"your {words}{over} were another (it is {change.value})"
    return f"your {words}{over} were {change.by} {'higher' if change.direction == 'more' else 'lower'}"
