"""What came of a replay of deliveries: the product's measures, their recount from events, and the record itself.

Three sources that share no code: the ATP tells months by tier; `bench.recount` counts months from `promises.v1` and
`fulfilments.v1`; what is late and early in the record is counted from its dates alone.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Final

from bench.delivery_history import TIERS, Order
from bench.recount import Order as ToldOrder
from bench.recount import completed_on, demand_of

Counts = Mapping[str, Mapping[str, Mapping[str, Any]]]  # month -> tier -> counts, costs, quantities
EMPTY: Final[Mapping[str, Any]] = {"counts": {}, "costs": {}, "quantities": {}}
DIGITS: Final = 4


@dataclass(slots=True)
class Compared:
    """How many figures were compared, and each that differs, as a sentence."""

    figures: int = 0
    differences: list[str] = field(default_factory=list)

    def compare(self, month: str, told: Mapping[str, Any], counted: Mapping[str, Mapping[str, Any]]) -> None:
        """Compare a month as the ATP tells it with its recount; a figure that one of them has not is 0."""
        tiers = {tier["tier"]: tier for tier in told["tiers"]}
        for name in sorted(tiers.keys() | counted.keys()):
            said, again = _flat_told(tiers.get(name)), _flat_counted(counted.get(name, EMPTY))
            for figure in sorted(said.keys() | again.keys()):
                self.figures += 1
                ours, theirs = said.get(figure, 0), again.get(figure, 0)
                if ours != theirs:
                    self.differences.append(f"{month} {name} {figure}: {ours} told, {theirs} counted from events")


def totals(months: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, int]]:
    """All counts and costs of all months, by tier, as the ATP told them."""
    found: dict[str, dict[str, int]] = {tier: defaultdict(int) for tier in TIERS}
    for month in months:
        for tier in month["tiers"]:
            for name, value in _flat_told(tier).items():
                found[tier["tier"]][name] += value
    return found


def ratios(total: Mapping[str, int]) -> dict[str, float | None]:
    """The ratios of docs/measures.md over all months."""
    return {
        name: round(total.get(achieved, 0) / total[of], DIGITS) if total.get(of) else None
        for name, achieved, of in (
            ("fill_rate", "units_shipped_in_time", "units_due"),
            ("on_time_in_full_promised", "lines_promised_on_time_in_full", "lines_answered"),
            ("on_time_in_full", "lines_on_time_in_full", "lines_due"),
            ("delivered_as_requested", "lines_delivered_as_requested", "lines_due"),
            ("mean_days_late", "days_late", "lines_late"),
        )
    }


def by_promise(told: Iterable[ToldOrder]) -> dict[str, dict[str, float]]:
    """Per tier, from events: promises against the recorded dates, and deliveries against the promises."""
    found: dict[str, dict[str, int]] = {tier: defaultdict(int) for tier in TIERS}
    for order in told:
        count = found[order.first["served_as"]["tier"]]
        for line in demand_of(order):
            count["lines"] += 1
            apart = _days(line.due, line.wanted)
            count["promised_for_the_recorded_day"] += apart == 0
            count["promised_later"] += apart > 0
            count["days_promised_later"] += max(0, apart)
            complete = completed_on(order, line)
            if complete is not None:
                late = _days(complete, line.due)
                count["delivered_early"] += late < 0
                count["delivered_on_the_day"] += late == 0
                count["delivered_late"] += late > 0
                count["days_late"] += max(0, late)
    return {tier: dict(count) for tier, count in found.items()}


def recorded(orders: Sequence[Order], tiers: Mapping[str, str]) -> dict[str, dict[str, float]]:
    """Per tier, from the record's own dates."""
    found: dict[str, dict[str, int]] = {tier: defaultdict(int) for tier in TIERS}
    for order in orders:
        count = found[tiers.get(order.customer, TIERS[-1])]
        for line in order.lines:
            late = (line.delivered - line.promised).days
            count["lines"] += 1
            count["delivered_early"] += late < 0
            count["delivered_late"] += late > 0
            count["days_late"] += max(0, late)
    return {tier: dict(count) for tier, count in found.items()}


def _days(day: str, other: str) -> int:
    return (date.fromisoformat(day) - date.fromisoformat(other)).days


def _flat_told(tier: Mapping[str, Any] | None) -> dict[str, int]:
    if tier is None:
        return {}
    flat = dict(tier["counts"])
    for cost in tier["costs"]:
        name = f"cost {cost['component']}"
        flat |= {
            f"{name} actual": cost["actual_minor"],
            f"{name} rate": cost["rate_minor"],
            f"{name} missing": cost["missing"],
        }
    return flat | {f"activity {name}": count for name, count in tier["activities"].items()}


def _flat_counted(tier: Mapping[str, Any]) -> dict[str, int]:
    flat = dict(tier["counts"])
    for name, (actual, rate, missing) in tier["costs"].items():
        costs = {"actual": actual, "rate": rate, "missing": missing}
        flat |= {f"cost {name} {basis}": value for basis, value in costs.items()}
    return flat | {f"activity {name}": count for name, count in tier["quantities"].items()}
