"""What a tier is promised, in words that may be given to a customer, beside what was delivered.

Said is what a customer notices: dates, shares, carriers, parcels, limits. Weights between plans and the order of
picking are ours and are left out. A share is in basis points; it is said in percent, exactly.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from services.segment_registry.domain.tiers import Tier

BASIS_POINTS: Final = 100  # of one percent
_WAITS: Final = ", or the order waits until we release it."
LISTED_MAX: Final = 20  # names in one sentence: more are looked up in the policy
# Figures of the ATP by the target that they are held against, in words.
MEASURES: Final[Mapping[str, tuple[str, str]]] = {
    "fill_rate_target_bp": ("fill_rate", "of the units due in a month leave in time"),
    "on_time_target_bp": ("on_time_in_full", "of the order lines due arrive complete on the day promised"),
    "order_accuracy_target_bp": ("order_accuracy", "of the orders delivered are as ordered"),
}
# Attributes of micro-segments, in the order in which they are said.
ATTRIBUTES: Final[Mapping[str, str]] = {
    "item_groups": "of nothing but",
    "channels": "by",
    "zones": "to",
    "regions": "to the region",
    "demand_profiles": "of customers whose demand is",
}


@dataclass(frozen=True, slots=True)
class Delivered:
    """A measure beside its target; None is no target, or nothing to measure."""

    measure: str
    target_bp: int | None
    delivered_bp: int | None
    met: bool | None


def promised(tier: Tier, tiers: Mapping[str, Tier], policy: Mapping[str, Any]) -> tuple[str, ...]:
    """The policy of a tier in sentences."""
    return (
        _rank(tier, tiers),
        f"An order without a date of its own is planned to arrive {_within(policy['lead_time_days'])}.",
        *(_target(policy[field], words) for field, (_, words) in MEASURES.items() if policy.get(field) is not None),
        _carriers(policy.get("carrier_classes") or ()),
        _shipments(allowed=policy.get("split_allowed", True)),
        *_parcels(policy),
        *_limits(policy.get("validation") or {}),
        *(words for segment in policy.get("micro_segments") or () for words in _refined(segment)),
    )


def delivered(policy: Mapping[str, Any], ratios: Mapping[str, int | None]) -> tuple[Delivered, ...]:
    """What was delivered beside what was promised; `ratios` are basis points by measure."""
    found = []
    for field, (measure, _) in MEASURES.items():
        target, achieved = policy.get(field), ratios.get(measure)
        met = None if target is None or achieved is None else achieved >= target
        found.append(Delivered(measure, target, achieved, met))
    return tuple(found)


def percent(basis_points: int) -> str:
    """A share in percent, exact: 9750 is 97.5 %."""
    whole, rest = divmod(basis_points, BASIS_POINTS)
    return f"{whole}.{rest:02d}".rstrip("0").rstrip(".") + " %"


def _rank(tier: Tier, tiers: Mapping[str, Tier]) -> str:
    before = [each for each in tiers.values() if each.active and each.priority_rank < tier.priority_rank]
    if not before:
        return f"{tier.name} is served first."
    next_above = max(before, key=lambda each: each.priority_rank)
    return f"{tier.name} is served next after {next_above.name}."


def _refined(segment: Mapping[str, Any]) -> tuple[str, ...]:
    """What is different for the orders of a micro-segment, each beginning with which orders they are."""
    which = " ".join(
        f"{words} {' or '.join(segment[attribute])}"
        for attribute, words in ATTRIBUTES.items()
        if segment.get(attribute)
    )
    policy, said = segment["policy"], []
    if policy.get("lead_time_days") is not None:
        said.append(f"one without a date of its own is planned to arrive {_within(policy['lead_time_days'])}.")
    if policy.get("carrier_classes") is not None:
        said.append(_begin_small(_carriers(policy["carrier_classes"])))
    if policy.get("split_allowed") is not None:
        said.append(_begin_small(_shipments(allowed=policy["split_allowed"])))
    said += [_begin_small(each) for each in _parcels(policy)]
    if policy.get("validation") is not None:
        limits = _limits(policy["validation"])
        said += [_begin_small(each) for each in limits] or ["nothing limits what is ordered."]
    return tuple(f"Of orders {which}: {each}" for each in said)


def _begin_small(sentence: str) -> str:
    return sentence[0].lower() + sentence[1:]


def _shipments(*, allowed: bool) -> str:
    return "An order may come in several shipments." if allowed else "An order comes in one shipment."


def _within(days: int) -> str:
    return "on the day of the order" if days == 0 else f"within {'one day' if days == 1 else f'{days} days'}"


def _target(basis_points: int, words: str) -> str:
    return f"At least {percent(basis_points)} {words}."


def _carriers(classes: Sequence[str]) -> str:
    if not classes:
        return "Every class of carrier service may be used."
    return f"Carrier services of these classes are used: {', '.join(classes)}."


def _parcels(policy: Mapping[str, Any]) -> tuple[str, ...]:
    said = []
    if policy.get("packaging"):
        said.append(f"Goods are packed as {policy['packaging']}.")
    if policy.get("handling"):
        said.append(f"They are handled so: {', '.join(policy['handling'])}.")
    return tuple(said)


def _limits(validation: Mapping[str, Any]) -> tuple[str, ...]:
    said = []
    for field, words in (
        ("line_quantity_max", "A line is of at most {}"),
        ("order_quantity_max", "An order is of at most {}"),
        ("line_value_max", "A line is worth at most {}"),
        ("order_value_min", "An order is worth at least {}"),
        ("order_value_max", "An order is worth at most {}"),
    ):
        limit = validation.get(field)
        if limit is not None:
            amount = _units(limit) if field.endswith("quantity_max") else limit
            said.append((field, words.format(amount)))
    items = [f"items of the groups {_listed(groups)}"] if (groups := validation.get("permitted_item_groups")) else []
    items += [f"the items {_listed(listed)}"] if (listed := validation.get("permitted_items")) else []
    if items:
        said.append(("permitted_items", f"Ordered are only {' and '.join(items)}"))
    for field, words in (
        ("permitted_channels", "Orders come by {}"),
        ("permitted_zones", "Deliveries go to {}"),
    ):
        if validation.get(field):
            said.append((field, words.format(_listed(validation[field]))))
    held = validation.get("held") or ()
    return tuple(words + (_WAITS if field in held else ".") for field, words in said)


def _units(quantity: int) -> str:
    return "one unit" if quantity == 1 else f"{quantity} units"


def _listed(names: Sequence[str]) -> str:
    more = len(names) - LISTED_MAX
    return ", ".join(names[:LISTED_MAX]) + (f" and {more} more" if more > 0 else "")
