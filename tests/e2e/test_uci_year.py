"""A recorded year through the services: every customer's numbers equal a recount from the rows, and nobody flaps."""

import json
import os
import random
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from bench.uci_year import differences, main, most_within
from tests.support.session import real_parts_are_required
from tiercel.backtest.figures import Move

START = datetime(2010, 12, 1, 8)  # noqa: DTZ001 - the form of the set has no offset
DAYS = 26
ORDERS = 90
WEEKS = 3


def _extract(folder: Path) -> Path:
    """Made-up rows of the set's form, with what has to be set aside among them."""
    draw = random.Random(5)
    rows: list[dict[str, Any]] = []
    for number in range(ORDERS):
        at = START + timedelta(minutes=number * DAYS * 24 * 60 // ORDERS)
        customer = draw.choice([None, *range(12_340, 12_352)])
        for line in range(1, draw.randint(2, 6)):
            bought = _row(number, line, at, customer, (draw.randint(1, 40), draw.randint(0, 900) / 100))
            rows.append(bought)
            if draw.random() < 0.2:
                back = -draw.randint(1, bought["qty"] + 3)
                later = at + timedelta(days=draw.randint(0, 6))
                rows.append(bought | {"order_id": f"C{number}", "qty": back, "order_ts": later, "is_cancel": True})
        rows.append(_row(number, 99, at, customer, (-5, 1.0)))
        rows.append(_row(number, 98, at, customer, (1, 18.0)) | {"sku": "POST", "is_goods": False})
    file = folder / "extract.parquet"
    types = [pa.string(), pa.int16(), pa.string(), pa.int32(), pa.timestamp("us"), pa.float64(), pa.int32()]
    names = ("order_id", "line_no", "sku", "qty", "order_ts", "unit_price_gbp", "customer_id")
    fields = [*zip(names, types, strict=True), ("country", pa.string()), ("is_cancel", pa.bool_())]
    parquet.write_table(pa.Table.from_pylist(rows, pa.schema([*fields, ("is_goods", pa.bool_())])), file)
    return file


def _row(number: int, line: int, at: datetime, customer: int | None, bought: tuple[int, float]) -> dict[str, Any]:
    order, sku = f"{536_000 + number}", f"SKU-{(number * 7 + line * 3) % 11}"
    quantity, price = bought
    row = {"order_id": order, "line_no": line, "sku": sku, "qty": quantity, "order_ts": at, "unit_price_gbp": price}
    return row | {"customer_id": customer, "country": "United Kingdom", "is_cancel": False, "is_goods": True}


def _replayed(folder: Path, form: str) -> dict[str, Any]:
    arguments = [str(_extract(folder)), "--weeks", f"{WEEKS}", "--form", form, "--output", str(folder / "figures")]
    assert main(arguments) == 0
    assert (folder / "figures" / "uci_year.md").read_text().startswith("# ")
    found: dict[str, Any] = json.loads((folder / "figures" / "uci_year.json").read_text())
    assert found["features"]["figures_that_differ"] == 0
    assert found["features"]["figures_compared"] > 12 * 4 * 15
    assert found["features"]["customers"] == 12
    assert found["source"]["returned_units"] > 0
    assert {"no_customer_id", "not_goods", "price_not_positive", "quantity_not_positive"} <= {
        *found["source"]["set_aside"]
    }
    assert found["tiers"]["changes"] > 0
    assert found["tiers"]["most_changes_within_dwell"] == 1
    assert len(found["tiers"]["by_week"]) >= WEEKS
    assert {sum(of_day.values()) for of_day in found["tiers"]["by_week"].values()} == {12}
    assert sum(found["tiers"]["customers_by_changes"].values()) == 12
    return found


@pytest.mark.timeout(900)
def test_features_equal_a_recount_from_the_rows_to_the_last_unit(served_folder: Path) -> None:
    assert _replayed(served_folder, "embedded")["source"]["form"] == "embedded"


@pytest.mark.stack
@pytest.mark.timeout(900)
def test_features_equal_a_recount_from_the_rows_over_kafka(served_folder: Path) -> None:
    if not os.environ.get("TIERCEL_TEST_KAFKA"):
        if real_parts_are_required():
            pytest.fail("needs the native stack: make stack-up")
        pytest.skip("needs the native stack: make stack-up")
    assert _replayed(served_folder, "distributed")["source"]["form"] == "distributed"


def test_a_figure_that_differs_by_one_or_is_missing_is_listed() -> None:
    told = {"a": {"orders_90d": 3, "units_90d": 7}, "b": {"orders_90d": 1}}
    counted = {"a": {"orders_90d": 3, "units_90d": 8}, "c": {"orders_90d": 1}}
    assert differences(told, told) == []
    assert [(each["customer"], each["figure"]) for each in differences(told, counted)] == [
        ("a", "units_90d"),
        ("b", "orders_90d"),
        ("c", "orders_90d"),
    ]


def test_flapping_is_counted_within_the_dwell_and_by_customer() -> None:
    def move(day: int, customer: str) -> Move:
        return Move((START + timedelta(days=day)).isoformat(), customer, "x", "y", "")

    assert most_within([move(0, "a"), move(1, "b"), move(14, "a"), move(28, "a")], 14) == 1
    assert most_within([move(0, "a"), move(13, "a"), move(20, "a")], 14) == 2
    assert most_within([], 14) == 0
