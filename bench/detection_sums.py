"""What detection looks at, summed in plain Python from records of orders: for the bench, and as the tests' oracle."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

from bench.detection_world import QUANTITY_MAX, VALUE_MAX, World, first_records
from services.reclassifier.domain.detections import Basis, Detection, Limits
from services.reclassifier.domain.orders import MICROS_PER_UNIT
from services.reclassifier.domain.service_received import (
    SIZES,
    ZONE_WEIGHT,
    Expected,
    Fared,
    Received,
    expected_to_fail,
    served_beside_their_tier,
    usual_share,
)
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
    enough = [one for one in sums.received if max(one.orders, one.delivered) >= limits.orders_min]
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
    trials: dict[Basis, list[_Trial]] = {Basis.IN_FULL: [], Basis.ON_TIME: []}
    entered: Counter[tuple[str | None, str, str, str]] = Counter()
    sized: list[Sized] = []
    for one in first_records(made):
        owner, line, order_id = f"c:{one['customer_id']}", one["lines"][0], one["order"]["order_id"]
        day = datetime.fromisoformat(one["ordered_at"]).astimezone(UTC).date()
        marks = (day, bisect_right(SIZES, line["quantity"]), one["zone"])
        entered[one["entered_by"], owner, one["zone"], one["tier"]] += 1
        sized.append(_sized(one, owner))
        if not line["quota_reached"]:
            failed = line["promised_quantity"] < line["quantity"]
            trials[Basis.IN_FULL].append(_Trial(owner, one["tier"], marks, failed))
        if order_id in late:
            trials[Basis.ON_TIME].append(_Trial(owner, one["tier"], marks, late[order_id]))
    received = _received(trials)
    acts = {(one["act"]["by"], one["order"]["order_id"], one["sequence"]) for one in made.records if one.get("act")}
    by_user = Counter(user for user, _, _ in acts)
    of_orders = Counter(user for user, _ in {(user, order) for user, order, _ in acts})
    of_user = Counter(one["entered_by"] for one in first_records(made))
    return Sums(
        [one for one in received if one.owner],
        [one for one in received if not one.owner],
        [Entered(*key, orders) for key, orders in entered.items()],
        sized,
        [UsersActs(user, count, of_orders[user], of_user[user]) for user, count in by_user.items()],
    )


class _Trial(NamedTuple):
    """One order by one measure: its day, size and zone."""

    owner: str
    tier: str
    marks: tuple[object, object, str]
    failed: bool


def _received(trials: Mapping[Basis, Sequence[_Trial]]) -> list[Received]:
    """By owner and tier, and by tier (owner ""), with what the others' orders make one expect."""
    sums: dict[tuple[str, str], list[int]] = {}
    for basis, place in ((Basis.IN_FULL, 0), (Basis.ON_TIME, 2)):
        expected = _Expected(trials[basis])
        for one in trials[basis]:
            for key, chances in (((one.owner, one.tier), expected.of(one)), (("", one.tier), (0, 0))):
                row = sums.setdefault(key, [0] * 8)
                row[place] += 1
                row[place + 1] += not one.failed
                for number, chance in enumerate(chances):
                    row[4 + place + number] += chance
    return [
        Received(owner, tier, row[0], row[1], row[2], row[3], Expected(*row[4:6]), Expected(*row[6:]))
        for (owner, tier), row in sorted(sums.items())
    ]


class _Expected:
    """What the others of each owner met, counted one order after another."""

    def __init__(self, trials: Sequence[_Trial]) -> None:
        self._orders: Counter[object] = Counter()
        self._bad: Counter[object] = Counter()
        self._usually: Counter[object] = Counter()
        tiers, bad = Counter(one.tier for one in trials), Counter(one.tier for one in trials if one.failed)
        for one in trials:
            usual = usual_share(bad[one.tier], tiers[one.tier])
            for key in self._keys(one):
                for counted in (key, (key, one.owner)):
                    self._orders[counted] += 1
                    self._bad[counted] += one.failed
                    self._usually[counted] += usual

    def of(self, one: _Trial) -> tuple[int, int]:
        """The chance of this order to fail, in ten-thousandths: anywhere, and there."""
        whole, *of_tier, zone = [self._others(key, one.owner) for key in self._keys(one)]
        usual = usual_share(*whole[:2])
        marks = [Fared(bad, orders, usual) for bad, orders, _ in of_tier]
        there = Fared(zone[0], zone[1], zone[2] // zone[1] if zone[1] else usual, ZONE_WEIGHT)
        return expected_to_fail(usual, *marks), expected_to_fail(usual, *marks, there)

    def _others(self, key: object, owner: str) -> tuple[int, int, int]:
        bad, orders, usually = (
            counted[key] - counted[key, owner] for counted in (self._bad, self._orders, self._usually)
        )
        return bad, orders, usually

    @staticmethod
    def _keys(one: _Trial) -> list[object]:
        day, size, zone = one.marks
        return [(one.tier,), (one.tier, "day", day), (one.tier, "size", size), ("zone", zone)]


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
