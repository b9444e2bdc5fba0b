"""What came of a replay, counted from the published promises and the warehouse's shipments, not from the engine.

`fill_rate` is units shipped by the promised ship date over units ordered; `on_time_rate` lines whose whole quantity is
promised to arrive by the requested date over lines; `mean_days_late` is over the wholly promised lines that are late
against that date; `cost_to_serve` is the shipping cost of the chosen sources, in major units. `promised_lines` and
`backordered_lines` count the first answers: lines promised whole, and lines with a backordered rest.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

RATE_DIGITS = 4


@dataclass(frozen=True, slots=True)
class FirstAnswer:
    """What counts of the first answer to an order; the promise itself is not kept."""

    promise_id: str
    priority_rank: int
    tier: str
    promised_lines: int
    backordered_lines: int


@dataclass(frozen=True, slots=True)
class Standing:
    """What counts of an order's newest promise; `on_time` and `late` count wholly promised lines."""

    revision: int
    lines: int
    units: int
    cost_minor: int
    on_time_lines: int
    late_lines: int
    days_late: int


def first_answer(promise: Mapping[str, Any]) -> FirstAnswer:
    """The first answer as it counts."""
    lines, served = promise["lines"], promise["served_as"]
    return FirstAnswer(
        promise["promise_id"],
        served["priority_rank"],
        served["tier"],
        sum(line["promised"] == line["quantity"] for line in lines),
        sum(line["backordered"] > 0 for line in lines),
    )


def standing(promise: Mapping[str, Any]) -> Standing:
    """A promise as it counts."""
    lines = promise["lines"]
    days = [late for line in lines if (late := _days_late(line)) is not None]
    return Standing(
        promise["revision"],
        len(lines),
        sum(line["quantity"] for line in lines),
        promise["cost_minor"],
        sum(late <= 0 for late in days),
        sum(late > 0 for late in days),
        sum(late for late in days if late > 0),
    )


def _days_late(line: Mapping[str, Any]) -> int | None:
    """By how many days a wholly promised line comes after the requested date; None for any other line."""
    if line["promised"] != line["quantity"] or not line["schedule"]:
        return None
    arrival = max(date.fromisoformat(part["arrival_date"]) for part in line["schedule"])
    return (arrival - date.fromisoformat(line["requested_arrival"])).days


@dataclass(slots=True)
class _TierCount:
    orders: int = 0
    lines: int = 0
    units: int = 0
    shipped_in_time: int = 0
    on_time_lines: int = 0
    late_lines: int = 0
    days_late: int = 0
    cost_minor: int = 0


@dataclass(slots=True)
class Counted:
    """The figures of a replay that come from promises and shipments."""

    by_tier: list[dict[str, Any]] = field(default_factory=list)
    lines: int = 0
    units: int = 0
    promised_lines: int = 0
    backordered_lines: int = 0


def count(
    first: Mapping[str, FirstAnswer], newest: Mapping[str, Standing], shipped_in_time: Mapping[str, int]
) -> Counted:
    """Count by the tier in force when promised, tiers ascending by priority rank; units in time are by order id."""
    counted = Counted()
    tiers: dict[tuple[int, str], _TierCount] = defaultdict(_TierCount)
    for order_id, answer in first.items():
        counted.promised_lines += answer.promised_lines
        counted.backordered_lines += answer.backordered_lines
        tiers[answer.priority_rank, answer.tier].shipped_in_time += shipped_in_time.get(order_id, 0)
    for order_id, stands in newest.items():
        answer = first[order_id]
        tier = tiers[answer.priority_rank, answer.tier]
        tier.orders += 1
        tier.lines += stands.lines
        tier.units += stands.units
        tier.cost_minor += stands.cost_minor
        tier.on_time_lines += stands.on_time_lines
        tier.late_lines += stands.late_lines
        tier.days_late += stands.days_late
        counted.lines += stands.lines
        counted.units += stands.units
    counted.by_tier = [_row(name, tiers[rank, name]) for rank, name in sorted(tiers)]
    return counted


def _row(name: str, tier: _TierCount) -> dict[str, Any]:
    return {
        "tier": name,
        "orders": tier.orders,
        "lines": tier.lines,
        "units": tier.units,
        "fill_rate": _rate(tier.shipped_in_time, tier.units),
        "on_time_rate": _rate(tier.on_time_lines, tier.lines),
        "mean_days_late": _rate(tier.days_late, tier.late_lines),
        "cost_to_serve": round(tier.cost_minor / 100, 2),
    }


def _rate(part: int, whole: int) -> float:
    return round(part / whole, RATE_DIGITS) if whole else 0.0
