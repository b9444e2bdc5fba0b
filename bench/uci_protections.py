"""`python -m bench.uci_protections ORDERS.parquet`: who gets what of a short supply, on a recorded year of orders.

The history is the UCI Online Retail set (Chen, 2015): columns `sku, qty, order_ts, unit_price_gbp, customer_id,
is_cancel, is_goods`. It has no tiers and no stock; both are modelled. Tiers go by revenue: the first 10 % of the
customers are gold, the next 30 % silver, all others and those who are not known bronze.

Everything that can be chosen is chosen on weeks 1 to 25: on weeks 14 to 25, with tiers by weeks 1 to 13, and supply
at 85 % of demand. Then, once, weeks 26 to 52 are served, with tiers by weeks 1 to 25: first come first served; by the
policy; and the best possible with hindsight. The gap that is closed is (policy - first come) / (hindsight - first
come), in weighted units.
"""

import argparse
import itertools
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import pyarrow.parquet

from bench.allocation_optimum import SOLVER, optimum
from bench.allocation_policy import ExpectedRest, Parameters
from bench.allocation_world import TIERS, WEIGHTS, Demand, Result, Setting, replay, setting, shuffled_after
from bench.figures import keep

PERIOD_DAYS: Final = 21
WAIT_DAYS: Final = 14
GOLD_PERCENT: Final = 10
SILVER_PERCENT: Final = 30
SUPPLY_PERCENT: Final = (95, 85, 70)
FITTED_AT_PERCENT: Final = 85
LOSS_MAX: Final = 0.0025  # of all units, while fitting; half of what is allowed when it counts
SCALES: Final = (1.0, 1.5, 2.0, 2.5)
LAPSES: Final = (2, 3, 4, 5)
SHUFFLES: Final = 3
COLUMNS: Final = ("sku", "qty", "order_ts", "unit_price_gbp", "customer_id", "is_cancel", "is_goods")


def _week(number: int) -> int:
    """The first day of a week; weeks count from 1, days from 0."""
    return (number - 1) * 7


class Row(NamedTuple):
    """A recorded line: who wanted what, when, for how much."""

    day: int
    item: str
    customer: int | None
    quantity: int
    price: float


@dataclass(frozen=True, slots=True)
class Columns:
    """The three ways to serve one setting."""

    first_come: Result
    policy: Result
    hindsight: Result

    @property
    def gap_closed(self) -> float:
        """How much of what could be gained is gained."""
        gap = self.hindsight.value - self.first_come.value
        return (self.policy.value - self.first_come.value) / gap if gap else 0.0

    @property
    def units_change(self) -> float:
        """All units served, against first come first served."""
        return self.policy.units / self.first_come.units - 1


def main() -> int:
    """Fit, show, check the foresight, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("orders", type=Path, help="the history, Parquet")
    rows = read(parser.parse_args().orders)
    parameters, tried = fit(rows)
    print(f"fitted on weeks 1 to 25: {parameters}")
    history = demand_of(rows, tiers_by_revenue(rows, _week(26)))
    shown: dict[str, Columns] = {}
    for percent in SUPPLY_PERCENT:
        world = _shown_setting(history, percent)
        shown[f"{percent} %"] = columns = three_columns(world, history, parameters)
        _print(f"supply {percent} %", columns)
    at_once = _shown_setting(history, FITTED_AT_PERCENT, wait_days=0)
    shown[f"{FITTED_AT_PERCENT} %, nobody waits"] = columns = three_columns(at_once, history, parameters)
    _print(f"supply {FITTED_AT_PERCENT} %, nobody waits", columns)
    foresight_free = reads_nothing_later(_shown_setting(history, FITTED_AT_PERCENT), history, parameters)
    print(f"decisions are the same when the future is shuffled: {foresight_free}")
    path = _write(parameters, tried, shown, foresight_free=foresight_free)
    print(path)
    return 0 if foresight_free else 1


def read(path: Path) -> list[Row]:
    """The goods that were ordered, in the order in which they were."""
    table = pyarrow.parquet.read_table(path, columns=list(COLUMNS))
    rows = sorted(
        (
            (at, str(sku), customer, quantity, price)
            for sku, quantity, at, price, customer, cancelled, goods in zip(
                *(table.column(name).to_pylist() for name in COLUMNS), strict=True
            )
            if goods and not cancelled and quantity > 0 and price > 0
        ),
        key=lambda row: row[0],
    )
    start = rows[0][0].date().toordinal()
    return [Row(at.date().toordinal() - start, sku, *rest) for at, sku, *rest in rows]


def tiers_by_revenue(rows: Sequence[Row], before: int) -> dict[int, str]:
    """The upper tiers of customers by what they spent before a day; who is not named is bronze."""
    spent: dict[int, float] = {}
    for row in rows:
        if row.day < before and row.customer is not None:
            spent[row.customer] = spent.get(row.customer, 0.0) + row.quantity * row.price
    ranked = sorted(spent, key=lambda customer: (-spent[customer], customer))
    gold = len(ranked) * GOLD_PERCENT // 100
    silver = gold + len(ranked) * SILVER_PERCENT // 100
    return dict.fromkeys(ranked[:gold], "gold") | dict.fromkeys(ranked[gold:silver], "silver")


def demand_of(rows: Sequence[Row], tiers: dict[int, str]) -> list[Demand]:
    """The history with the tier of each line."""
    return [Demand(row.day, row.item, tiers.get(row.customer or 0, TIERS[-1]), row.quantity) for row in rows]


def trained(history: Sequence[Demand], first: int, parameters: Parameters) -> ExpectedRest:
    """The policy as it is at the start of a setting: it has seen what came before, and no more."""
    policy = ExpectedRest(parameters)
    for each in history:
        if each.day < first:
            policy.see(each)
    return policy


def fit(rows: Sequence[Row]) -> tuple[Parameters, list[dict[str, Any]]]:
    """The parameters that close most of the gap on weeks 14 to 25 at hardly any loss, and all that were tried."""
    history = demand_of(rows, tiers_by_revenue(rows, _week(14)))
    world = setting(
        history,
        _week(14),
        _week(26),
        period_days=PERIOD_DAYS,
        wait_days=WAIT_DAYS,
        supply_percent=FITTED_AT_PERCENT,
    )
    first_come, hindsight = replay(world, None), optimum(world)
    tried: list[tuple[Parameters, Columns]] = []
    for scale, lapse in itertools.product(SCALES, LAPSES):
        parameters = Parameters(scale, lapse)
        served = replay(world, trained(history, world.first, parameters))
        tried.append((parameters, Columns(first_come, served, hindsight)))
    allowed = [each for each in tried if each[1].units_change >= -LOSS_MAX]
    best = max(allowed, key=lambda each: each[1].gap_closed)[0]
    notes = [
        {**asdict(each), "gap_closed": round(columns.gap_closed, 4), "units_change": round(columns.units_change, 5)}
        for each, columns in tried
    ]
    return best, notes


def three_columns(world: Setting, history: Sequence[Demand], parameters: Parameters) -> Columns:
    """Serve a setting in the three ways."""
    policy = trained(history, world.first, parameters)
    return Columns(replay(world, None), replay(world, policy), optimum(world))


def reads_nothing_later(world: Setting, history: Sequence[Demand], parameters: Parameters) -> bool:
    """Whether decisions until a day stay the same when all that is recorded after it is dealt anew."""
    for seed in range(1, SHUFFLES + 1):
        day = world.first + (world.last - world.first) * seed // (SHUFFLES + 1)
        dealt = shuffled_after(world, day, seed)
        found = [replay(each, trained(history, world.first, parameters), until=day) for each in (world, dealt)]
        if found[0].decisions != found[1].decisions:
            return False
    return True


def _shown_setting(history: Sequence[Demand], percent: int, *, wait_days: int = WAIT_DAYS) -> Setting:
    return setting(history, _week(26), _week(53), period_days=PERIOD_DAYS, wait_days=wait_days, supply_percent=percent)


def _print(name: str, columns: Columns) -> None:
    print(f"\n{name}: gap closed {columns.gap_closed:.1%}, units {columns.units_change:+.2%}")
    for label, result in (
        ("first come", columns.first_come),
        ("policy", columns.policy),
        ("hindsight", columns.hindsight),
    ):
        shares = "  ".join(f"{tier} {result.share(tier):6.1%}" for tier in TIERS)
        print(f"  {label:<11} {shares}  units {result.units:>9,}  weighted {result.value:>12,.1f}")
    sys.stdout.flush()


def _summary(result: Result) -> dict[str, Any]:
    return {
        "asked": result.asked,
        "served": result.served,
        "share": {tier: round(result.share(tier), 4) for tier in TIERS},
        "units": result.units,
        "weighted_units": result.value,
    }


def _write(
    parameters: Parameters, tried: list[dict[str, Any]], shown: dict[str, Columns], *, foresight_free: bool
) -> Path:
    settings = {
        **asdict(parameters),
        "period_days": PERIOD_DAYS,
        "wait_days": WAIT_DAYS,
        "gold_percent": GOLD_PERCENT,
        "silver_percent": SILVER_PERCENT,
        "weights": dict(WEIGHTS),
    }
    columns_shown = {
        name: {
            "gap_closed": round(columns.gap_closed, 4),
            "units_change": round(columns.units_change, 5),
            "first_come_first_served": _summary(columns.first_come),
            "policy": _summary(columns.policy),
            "hindsight": _summary(columns.hindsight),
        }
        for name, columns in shown.items()
    }
    return keep(
        "uci_protections",
        parameters=settings,
        solver=SOLVER,
        fitting=tried,
        same_decisions_with_the_future_shuffled=foresight_free,
        shown=columns_shown,
    )


if __name__ == "__main__":
    sys.exit(main())
