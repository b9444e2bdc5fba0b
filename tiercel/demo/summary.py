"""What came of a replay, counted from the published promises and the warehouse's shipments, not from the engine.

`fill_rate` is units shipped by the promised ship date over units ordered; `on_time_rate` lines whose whole quantity is
promised to arrive by the requested date over lines; `mean_days_late` is over the wholly promised lines that are late
against that date; `cost_to_serve` is the shipping cost of the chosen sources, in major units. `promised_lines` and
`backordered_lines` count the first answers: lines promised whole, and lines with a backordered rest.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from tiercel.demo.warehouse import Shipment

RATE_DIGITS = 4


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
    first: Mapping[str, dict[str, Any]], newest: Mapping[str, dict[str, Any]], shipments: Sequence[Shipment]
) -> Counted:
    """Count by the tier in force when promised, tiers ascending by priority rank."""
    counted = Counted()
    tiers: dict[tuple[int, str], _TierCount] = defaultdict(_TierCount)
    place: dict[str, tuple[int, str]] = {}
    for order_id, promise in first.items():
        served = promise["served_as"]
        place[order_id] = (served["priority_rank"], served["tier"])
        for line in promise["lines"]:
            counted.promised_lines += line["promised"] == line["quantity"]
            counted.backordered_lines += line["backordered"] > 0
    for order_id, promise in newest.items():
        tier = tiers[place[order_id]]
        tier.orders += 1
        tier.cost_minor += promise["cost_minor"]
        for line in promise["lines"]:
            counted.lines += 1
            counted.units += line["quantity"]
            _count_line(tier, line)
    for shipment in shipments:
        if shipment.shipped <= shipment.promised_ship:
            tiers[place[shipment.order["order_id"]]].shipped_in_time += shipment.quantity
    counted.by_tier = [_row(name, tiers[rank, name]) for rank, name in sorted(tiers)]
    return counted


def _count_line(tier: _TierCount, line: Mapping[str, Any]) -> None:
    tier.lines += 1
    tier.units += line["quantity"]
    if line["promised"] != line["quantity"] or not line["schedule"]:
        return
    arrival = max(date.fromisoformat(part["arrival_date"]) for part in line["schedule"])
    days = (arrival - date.fromisoformat(line["requested_arrival"])).days
    if days <= 0:
        tier.on_time_lines += 1
    else:
        tier.late_lines += 1
        tier.days_late += days


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
