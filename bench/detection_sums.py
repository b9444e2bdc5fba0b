"""What detection looks at, summed in plain Python from records of orders: for the bench, and as the tests' oracle."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bench.detection_world import QUANTITY_MAX, VALUE_MAX, World, first_records
from services.reclassifier.domain.detections import Detection, Limits
from services.reclassifier.domain.orders import MICROS_PER_UNIT
from services.reclassifier.domain.service_received import Received, served_beside_their_tier
from services.reclassifier.domain.splits import Sized, split_around_limits, split_around_quotas
from services.reclassifier.domain.traces import TierTerms
from services.reclassifier.domain.workarounds import (
    Entered,
    UsersActs,
    entered_under_anothers_id,
    too_many_overrides,
)

TERMS = {
    "gold": TierTerms("gold", 1, 1, in_full_target_bp=9_500),
    "silver": TierTerms("silver", 1, 2, order_value_max_micros=VALUE_MAX * MICROS_PER_UNIT),
    "bronze": TierTerms("bronze", 1, 3, order_quantity_max=QUANTITY_MAX),
}


@dataclass(frozen=True, slots=True)
class Sums:
    """All that detection looks at, of the whole world: it is as long as a window."""

    received: list[Received]
    totals: list[Received]
    entered: list[Entered]
    sized: list[Sized]
    acts: list[UsersActs]


def found_in(made: World, limits: Limits) -> list[Detection]:
    """The detections, by identity."""
    sums = sums_of(made)
    enough = [one for one in sums.received if one.orders >= limits.orders_min]
    found = [
        *served_beside_their_tier(enough, sums.totals, TERMS, limits),
        *too_many_overrides(sums.acts, limits),
        *entered_under_anothers_id(sums.entered, TERMS, limits),
        *split_around_limits(sums.sized, TERMS, limits),
        *split_around_quotas(sums.sized, limits),
    ]
    return sorted(found, key=lambda one: one.identity)


def sums_of(made: World) -> Sums:
    """The sums."""
    late = {one["order"]["order_id"]: not one["on_time"] for one in made.records if one["change"] == "delivered"}
    received: dict[tuple[str, str], list[int]] = {}
    entered: Counter[tuple[str | None, str, str, str]] = Counter()
    sized: list[Sized] = []
    for one in first_records(made):
        owner, line, order_id = f"c:{one['customer_id']}", one["lines"][0], one["order"]["order_id"]
        full = line["promised_quantity"] >= line["quantity"]
        entered[one["entered_by"], owner, one["zone"], one["tier"]] += 1
        sized.append(_sized(one, owner))
        row = (
            int(not line["quota_reached"]),
            int(full and not line["quota_reached"]),
            int(order_id in late),
            int(late.get(order_id) is False),
        )
        for key in ((owner, one["tier"]), ("", one["tier"])):
            known = received.setdefault(key, [0, 0, 0, 0])
            received[key] = [mine + more for mine, more in zip(known, row, strict=True)]
    sums = [Received(owner, tier, *row) for (owner, tier), row in sorted(received.items())]
    acts = {(one["act"]["by"], one["order"]["order_id"], one["sequence"]) for one in made.records if one.get("act")}
    by_user = Counter(user for user, _, _ in acts)
    of_orders = Counter(user for user, _ in {(user, order) for user, order, _ in acts})
    return Sums(
        [one for one in sums if one.owner],
        [one for one in sums if not one.owner],
        [Entered(*key, orders) for key, orders in entered.items()],
        sized,
        [UsersActs(user, count, of_orders[user]) for user, count in by_user.items()],
    )


def _sized(one: dict[str, Any], owner: str) -> Sized:
    line = one["lines"][0]
    return Sized(
        owner,
        int(datetime.fromisoformat(one["ordered_at"]).timestamp()),
        f"shop/{one['order']['order_id']}",
        one["tier"],
        one["zone"],
        one["entered_by"],
        f"shop/{one['customer_id']}/{one['channel']}",
        line["quantity"],
        line["quantity"] * int(line["unit_price"]) * MICROS_PER_UNIT,
        line["quota_reached"],
    )
