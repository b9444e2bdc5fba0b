"""`python -m bench.uci_year ORDERS.parquet`: who is in which tier through a recorded year, and is every number right.

The history is the UCI Online Retail set (Chen, 2015), or a file of the same form: columns `order_id, sku, qty,
order_ts, unit_price_gbp, customer_id, country, is_cancel, is_goods`. It is replayed through the running services as by
`tiercel demo`, by default over real Kafka (`--form distributed`), as many weeks as `--weeks` says. Then every
customer's features are asked for and compared with what DuckDB counts from the rows of the file (`uci_recount`), to the
last unit; what the reclassifier was told besides, of deliveries and costs, has other benches.

Writes `uci_year.json` and `uci_year.md` to build/bench: tiers at the end of each week, changes per customer, and
flapping: the most changes of one customer within the minimum dwell of the shipped rules, which may be 1. The status is
1 if a number differs, somebody flaps, or the replay broke what must hold.
"""

import argparse
import asyncio
import json
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from bench.figures import DIRECTORY, keep
from bench.uci_recount import MICROS, Recount, Rows
from services.reclassifier.bootstrap import SHIPPED_RULE_SET
from tiercel.backtest.figures import Move, members, moves_of
from tiercel.demo.channels import ServiceClients
from tiercel.demo.forms import Ground, run_on_embedded, run_on_stack
from tiercel.demo.history import History
from tiercel.demo.reading import read_history
from tiercel.demo.run import Replayed, replay
from tiercel.demo.stock_model import plan_supply
from tiercel.demo.world import LOWEST, TIERS

WINDOWS: Final = (28, 90, 365, 730)
ASKED_AT_ONCE: Final = 8
DIFFERENCES_SHOWN_MAX: Final = 100
AMOUNTS: Final = (
    "value",
    "order_value",
    "returned_value",
    "return_share",
    "repeat_share",
    "lapse_risk",
    "trend",
    "average_interval",
    "squared_variation",
)
COUNTS: Final = ("orders", "units", "unpriced_lines", "order_days", "returned_units")
DEMAND: Final = ("profile", "average_interval", "squared_variation", "periods", "periods_with_demand")
Figures = dict[str, dict[str, Any]]


@dataclass(slots=True)
class Year:
    """What is found out. `today` is the day in UTC on which the features were asked for."""

    came: Replayed | None = None
    told: Figures = field(default_factory=dict)
    today: date = date.min


def main(arguments: Sequence[str] | None = None) -> int:
    """Replay, compare and write; 0 if everything is as it must be."""
    parser = argparse.ArgumentParser()
    parser.add_argument("orders", type=Path)
    parser.add_argument("--weeks", type=int, help="how many from the first order on; default: all")
    parser.add_argument("--form", choices=("embedded", "distributed"), default="distributed")
    parser.add_argument("--supply", type=int, default=90, help="modelled supply, percent of demand")
    parser.add_argument("--output", type=Path, default=DIRECTORY)
    given = parser.parse_args(arguments)
    with TemporaryDirectory() as folder:
        whole = read_history(given.orders, {}, Path(folder) / "set_aside.csv")
        history = first_weeks(whole, given.weeks)
        year = Year()
        run = run_on_embedded if given.form == "embedded" else run_on_stack
        status = run(partial(_work, history, given.supply, year), Path(folder) / "services")
    if status or year.came is None:
        return status or 1
    document = _document(given, whole, history, year)
    keep("uci_year", given.output, **document)
    page = _page(document)
    (given.output / "uci_year.md").write_text(page)
    print(page)
    differ, tiers = document["features"]["figures_that_differ"], document["tiers"]
    return 0 if not document["faults"] and not differ and tiers["most_changes_within_dwell"] <= 1 else 1


def _document(given: argparse.Namespace, whole: History, history: History, year: Year) -> dict[str, Any]:
    assert year.came is not None  # noqa: S101 - the replay came to its end
    came, unreturned = year.came, year.came.warehouse.returns
    recount = Recount(given.orders, _end(history).replace(tzinfo=None), unreturned.open)
    found = differences(year.told, recount.figures(year.today, WINDOWS))
    return {
        "source": {
            "form": given.form,
            "weeks": given.weeks,
            "supply_percent": given.supply,
            **asdict(recount.rows),
            "set_aside": whole.set_aside_by_reason,
            "units_never_delivered_hence_not_returned": unreturned.open_units,
        },
        "replay": {"seconds": round(came.seconds, 1), "peak_rss_mib": round(came.memory_mib, 1)},
        "features": {
            "as_of": year.today.isoformat(),
            "windows_days": WINDOWS,
            "customers": len(year.told),
            "figures_compared": sum(map(len, year.told.values())),
            "figures_that_differ": len(found),
            "differences": found[:DIFFERENCES_SHOWN_MAX],
        },
        "tiers": _tiers(history, moves_of(came)),
        "faults": [*came.found.faults, *_rows_differ(history, came, recount.rows)],
    }


def first_weeks(history: History, weeks: int | None) -> History:
    """The history until the same time of week, so many weeks after the midnight before its first order."""
    if weeks is None:
        return history
    end = datetime.combine(
        history.orders[0].ordered_at.date() + timedelta(weeks=weeks),
        datetime.min.time(),
        history.orders[0].ordered_at.tzinfo,
    )
    orders = [order for order in history.orders if order.ordered_at < end]
    returns = [each for each in history.returns if each.returned_at < end]
    return History(history.source, history.currency, orders, returns=returns)


def _end(history: History) -> datetime:
    """A moment after everything in the history, and before what was cut off."""
    moments = [history.orders[-1].ordered_at, *(each.returned_at for each in history.returns)]
    return max(moments) + timedelta(microseconds=1)


async def _work(history: History, supply: int, year: Year, ground: Ground) -> None:
    year.came = await replay(history, plan_supply(history, supply_share=Fraction(supply, 100)), ground)
    gate = asyncio.Semaphore(ASKED_AT_ONCE)
    async with ServiceClients(ground.endpoints) as clients:

        async def ask(customer_id: str) -> dict[str, Any]:
            query = "&".join(f"window_days={days}" for days in WINDOWS)
            async with gate:
                path = f"/v1/customers/{customer_id}/features?{query}"
                answer: dict[str, Any] = await clients.call("reclassifier", "GET", path)
                return answer

        names = year.came.customers
        answers = await asyncio.gather(*(ask(customer_id) for customer_id in names))
    year.told = {names[each["customer_id"]]: flat(each) for each in answers}
    year.today = datetime.fromisoformat(answers[0]["as_of"]).date()


def flat(features: Mapping[str, Any]) -> dict[str, Any]:
    """The answered figures under the names of the recount, amounts and shares in whole millionths."""
    found = {name: features[name] for name in ("recency_days", "last_order_day")}
    for window in features["windows"]:
        if window["days"] in WINDOWS:
            of_window = {name: window[name] for name in COUNTS}
            of_window |= {name: window["demand"][name] for name in DEMAND}
            of_window |= {name: _whole(window.get(name, of_window.get(name))) for name in AMOUNTS}
            found |= {f"{name}_{window['days']}d": value for name, value in of_window.items()}
    return found


def _whole(amount: str | None) -> int | None:
    if amount is None:
        return None
    millionths = Decimal(amount) * MICROS
    if millionths != int(millionths):
        message = f"{amount} has more than six decimals"
        raise ValueError(message)
    return int(millionths)


def differences(told: Figures, counted: Figures) -> list[dict[str, Any]]:
    """Every figure that is not the same on both sides, or is on one side only."""
    found = []
    for customer in sorted(told.keys() | counted.keys()):
        ours, theirs = told.get(customer, {}), counted.get(customer, {})
        found += [
            {"customer": customer, "figure": name, "answered": ours.get(name), "recounted": theirs.get(name)}
            for name in sorted(ours.keys() | theirs.keys())
            if name not in ours or name not in theirs or ours[name] != theirs[name]
        ]
    return found


def _rows_differ(history: History, came: Replayed, rows: Rows) -> list[str]:
    """Whether reader and recount see the same rows."""
    replayed = Rows(history.lines, len(history.orders), history.units, came.warehouse.returned_units)
    return [] if replayed == rows else [f"replayed {replayed}, recounted {rows}"]


def _tiers(history: History, moves: Sequence[Move]) -> dict[str, Any]:
    dwell = json.loads(SHIPPED_RULE_SET.read_bytes())["minimum_dwell_days"]
    by_day = members(history, moves, [tier for tier, _ in TIERS], LOWEST)
    days = sorted(by_day)
    weeks = {day: by_day[day] for day in sorted({*days[6::7], days[-1]})}
    moved = Counter(move.customer for move in moves)
    per_customer = Counter(moved.get(each, 0) for each in {order.customer_id for order in history.orders})
    return {
        "by_week": weeks,
        "changes": len(moves),
        "changes_by_direction": dict(sorted(Counter(f"{each.from_tier} to {each.to_tier}" for each in moves).items())),
        "customers_by_changes": {str(number): per_customer[number] for number in sorted(per_customer)},
        "minimum_dwell_days": dwell,
        "most_changes_within_dwell": most_within(moves, dwell),
    }


def most_within(moves: Sequence[Move], days: int) -> int:
    """The most changes of one customer in less than `days` days; `moves` ascending by time."""
    recent: dict[str, list[datetime]] = {}
    most = 0
    for move in moves:
        at = datetime.fromisoformat(move.at)
        kept = [each for each in recent.get(move.customer, []) if at - each < timedelta(days=days)]
        recent[move.customer] = [*kept, at]
        most = max(most, len(kept) + 1)
    return most


def _page(document: Mapping[str, Any]) -> str:
    source, features, tiers = document["source"], document["features"], document["tiers"]
    names = [tier for tier, _ in TIERS]
    replayed = (
        f"{source['orders']:,} orders, {source['lines']:,} lines, {source['units']:,} units, of which"
        f" {source['returned_units']:,} came back; {source['form']}, {document['replay']['seconds']:,.0f} s."
    )
    compared = (
        f"Features as of {features['as_of']}: {features['figures_compared']:,} figures of {features['customers']:,}"
        f" customers compared with a recount by DuckDB, {features['figures_that_differ']:,} differ."
    )
    changes = (
        f"{tiers['changes']:,} changes of tier; the most of one customer within the dwell of"
        f" {tiers['minimum_dwell_days']} days: {tiers['most_changes_within_dwell']}."
    )
    lines = [
        "# A recorded year through the services",
        "",
        replayed,
        "",
        compared,
        "",
        changes,
        "",
        "| changes | customers |",
        "|---|---|",
        *(f"| {number} | {customers:,} |" for number, customers in tiers["customers_by_changes"].items()),
        "",
        "| day | " + " | ".join(names) + " |",
        "|---" * (len(names) + 1) + "|",
        *(
            f"| {day} | " + " | ".join(f"{of_day[name]:,}" for name in names) + " |"
            for day, of_day in tiers["by_week"].items()
        ),
        "",
        *(f"* broken: {fault}" for fault in document["faults"]),
        *(f"* differs: {each}" for each in features["differences"]),
    ]
    return "\n".join(lines).rstrip() + "\n"


if __name__ == "__main__":
    sys.exit(main())
