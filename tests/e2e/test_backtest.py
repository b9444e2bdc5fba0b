"""`tiercel backtest`: rule sets tried on a history through the whole product."""

import asyncio
import csv
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.support.serve import tiercel
from tiercel.backtest.recorded import recorded_history
from tiercel.backtest.run import Trial, backtest
from tiercel.demo.generated import generate
from tiercel.demo.history import History, HistoryOrder
from tiercel.demo.run import Wish, demo
from tiercel.reaching import reach

SMALL = {"days": 24, "customers": 40, "items": 30, "orders": 260}
NOBODY = {"feature": "orders", "window_days": 90, "at_least": 1_000_000}
NEVER = {"feature": "orders", "window_days": 90, "below": 1}


def _rule_set(path: Path, **changes: Any) -> Path:
    document = {
        "rungs": [{"tier": "gold", "promote": NOBODY, "demote": NEVER}],
        "floor": "bronze",
        "minimum_dwell_days": 14,
        "proposal_ttl_days": 7,
    }
    path.write_text(json.dumps(document | changes))
    return path


@pytest.mark.timeout(900)
def test_the_same_orders_and_rules_give_the_same_hash_and_other_rules_other_moves(served_folder: Path) -> None:
    served_folder.mkdir(exist_ok=True)
    nobody = _rule_set(served_folder / "nobody.json")
    eager = {"feature": "orders", "window_days": 90, "at_least": 3}
    eager_rules = _rule_set(served_folder / "eager.json", rungs=[{"tier": "gold", "promote": eager, "demote": NEVER}])
    history = generate(**SMALL)
    digests = []
    for name in ("first", "second"):
        output = served_folder / name
        output.mkdir()
        mine = output / "rule_set.json"  # somebody's own, beside the report
        mine.write_text("mine")
        history.source = name  # what a file is called makes no other result
        digests.append(backtest(Trial([nobody, eager_rules], history, served_folder / f"{name}-data", output)))
        assert mine.read_text() == "mine"
    assert digests[0] == digests[1]
    found = json.loads((served_folder / "first" / "backtest.json").read_text())
    none, some = found["results"]
    assert (none["moves"], none["customers_moved"]) == (0, 0)
    assert some["moves"] == some["customers_moved"] > 0
    orders_of: dict[str, list[str]] = {}
    for order in history.orders:
        orders_of.setdefault(order.customer_id, []).append(order.order_id)
    assert {move["customer"] for move in some["moved"]} == {each for each, ids in orders_of.items() if len(ids) >= 3}
    for result in (none, some):
        assert sum(row["orders"] for row in result["by_tier"]) == len(history.orders)
        revenue = sum(line.quantity * (line.unit_price or 0) for order in history.orders for line in order.lines)
        assert sum(row["revenue_minor"] for row in result["by_tier"]) == revenue * 100
    assert [row["tier"] for row in none["by_tier"]] == ["bronze"]
    with (served_folder / "first" / "moves.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == some["moves"]
    assert digests[0] in (served_folder / "first" / "report.html").read_text()


@pytest.mark.timeout(900)
def test_the_orders_that_a_deployment_recorded_are_those_that_were_placed(served_folder: Path) -> None:
    placed = generate(**SMALL)
    assert demo(Wish(None, {}, "embedded", served_folder, output=served_folder / "out", generated=SMALL)) == 0
    recorded = asyncio.run(_recorded(served_folder / "demo-embedded"))
    assert [(order.ordered_at, _lines(order)) for order in recorded.orders] == [
        (order.ordered_at, _lines(order)) for order in placed.orders
    ]
    assert len({order.customer_id for order in recorded.orders}) == len({each.customer_id for each in placed.orders})


async def _recorded(folder: Path) -> History:
    async with reach(folder) as reached:
        return await recorded_history(reached.event_log)


def _lines(order: HistoryOrder) -> list[tuple[str, int, Decimal | None]]:
    return sorted((line.sku, line.quantity, line.unit_price) for line in order.lines)


def test_what_is_no_rule_set_is_refused_in_one_sentence(tmp_path: Path) -> None:
    for content, told in (
        ("{", "is no rule set"),
        ('{"rungs": []}', "is no rule set"),
        (_rule_set(tmp_path / "x.json", floor="platinum").read_text(), "tiers platinum are not among"),
    ):
        file = tmp_path / "rules.json"
        file.write_text(content)
        done = tiercel("backtest", str(file), "--output", str(tmp_path / "out"))
        assert done.returncode == 1, done.stdout
        assert told in done.stderr
        assert "Traceback" not in done.stderr
