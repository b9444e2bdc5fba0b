"""`tiercel reconcile`: what was recorded per customer and month, against an extract of finance."""

import csv
from collections import defaultdict
from decimal import Decimal, localcontext
from pathlib import Path
from typing import Any

import pytest

from tests.support.serve import tiercel
from tiercel.commands.finance import DIGITS, figures_of
from tiercel.demo.generated import generate
from tiercel.demo.run import Wish, demo
from tiercel.demo.world import CUSTOMER_SYSTEM
from tiercel.recorded_orders import Crosswalk, RecordedOrder

SMALL = {"days": 40, "customers": 20, "items": 20, "orders": 120}  # two months
COLUMNS = ("month", "customer_system", "customer_id", "orders", "units", "revenue")


def _control() -> list[dict[str, Any]]:
    """What finance would know of the history that is placed, without a look at anything that was recorded."""
    found: dict[tuple[str, str], list[Decimal]] = defaultdict(lambda: [Decimal(0)] * 3)
    for order in generate(**SMALL).orders:
        revenue = sum((line.quantity * (line.unit_price or 0) for line in order.lines), Decimal(0))
        units = sum(line.quantity for line in order.lines)
        key = (f"{order.ordered_at:%Y-%m}", order.customer_id)
        found[key] = [known + more for known, more in zip(found[key], (1, units, revenue), strict=True)]
    return [
        dict(zip(COLUMNS, (month, CUSTOMER_SYSTEM, customer, *figures), strict=True))
        for (month, customer), figures in sorted(found.items())
    ]


def _write(path: Path, rows: list[dict[str, Any]]) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    return path


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A deployment through which the history went."""
    folder = tmp_path_factory.mktemp("reconcile")
    assert demo(Wish(None, {}, "embedded", folder, output=folder / "out", generated=SMALL)) == 0
    return folder / "demo-embedded"


def _reconcile(data: Path, control: Path, folder: Path, *options: str) -> tuple[int, str, list[dict[str, str]]]:
    events = folder / "events.csv"
    done = tiercel(
        *("reconcile", "--control", str(control), "--data", str(data)),
        *("--report", str(folder / "report.csv"), "--events", str(events), *options),
    )
    assert "Traceback" not in done.stderr, done.stderr
    if not events.exists():
        return done.returncode, done.stdout + done.stderr, []
    with events.open(newline="") as file:
        return done.returncode, done.stdout + done.stderr, list(csv.DictReader(file))


@pytest.mark.timeout(900)
def test_what_was_placed_is_what_was_recorded(data: Path, tmp_path: Path) -> None:
    rows = _control()
    status, told, events = _reconcile(data, _write(tmp_path / "control.csv", rows), tmp_path)
    assert (status, events) == (0, []), told
    assert f"{len(rows)} customer months, {3 * len(rows)} figures compared, 0 differ, 0 by more" in told
    assert len({row["month"] for row in rows}) == 2


@pytest.mark.timeout(900)
def test_the_events_behind_each_difference_are_listed(data: Path, tmp_path: Path) -> None:
    rows = _control()
    rows[0]["units"] += 1
    rows[1]["revenue"] -= Decimal("0.01")
    gone = rows.pop(2)
    control = _write(tmp_path / "control.csv", rows)
    status, told, events = _reconcile(data, control, tmp_path)
    assert status == 1
    assert "5 differ, 5 by more than they may" in told  # of the customer that finance lacks all three figures
    orders, right = generate(**SMALL).orders, {(row["month"], row["customer_id"]): row for row in _control()}
    for row, figure in ((rows[0], "units"), (rows[1], "revenue"), (gone, "orders")):
        expected = {
            order.order_id
            for order in orders
            if (f"{order.ordered_at:%Y-%m}", order.customer_id) == (row["month"], row["customer_id"])
        }
        listed = [each for each in events if each["order_id"] in expected]
        assert {each["order_id"] for each in listed} == expected
        assert all(each["event_id"] for each in listed)
        counted = [Decimal(each[figure]) for each in listed if each[figure]]
        assert sum(counted) == right[row["month"], row["customer_id"]][figure]
    status, told, _ = _reconcile(data, control, tmp_path, "--units-tolerance", "1", "--amount-tolerance", "0.01")
    assert (status, "5 differ, 3 by more" in told) == (1, True), told


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("month,customer_system,customer_id,units\n2026-1x,shop,C,1\n", "line 2: month is written as 2026-01"),
        ("month,customer_system,customer_id,units\n2026-01,shop,C,1.5\n", "line 2: units is no whole number"),
        ("month,customer_system,customer_id,revenue\n2026-01,shop,C,NaN\n", "line 2: revenue is no amount"),
        ("month,customer_system,customer_id,units\n2026-1,shop,C,1\n", "line 2: month is written as 2026-01"),
        ("month,customer_system,customer_id,units\n2026-01,shop,C,1_0\n", "line 2: units is no whole number"),
        ("month,customer_system,customer_id,revenue\n2026-01,shop,C,1e5\n", "line 2: revenue is no amount"),
        ("month,customer_system,customer_id,revenue\n2026-01,shop,C,1,234.50\n", "line 2: 1 more cells than columns"),
        ("month,customer_system,customer_id,units\n2026-01,shop,,1\n", "line 2: customer_id is missing"),
        ("month,customer_system,customer_id\n2026-01,shop,C\n", "nothing could be compared"),
        ("month,units\n", "missing columns"),
    ],
)
def test_an_extract_that_says_nothing_certain_is_refused(data: Path, tmp_path: Path, content: str, told: str) -> None:
    control = tmp_path / "control.csv"
    control.write_text(content)
    status, found, _ = _reconcile(data, control, tmp_path)
    assert status == 1
    assert told in found


@pytest.mark.parametrize("written", ["nan", "inf", "-0.01", "1e3", "0,01"])
def test_a_tolerance_that_says_nothing_certain_is_refused(data: Path, tmp_path: Path, written: str) -> None:
    control = _write(tmp_path / "control.csv", _control())
    status, told, _ = _reconcile(data, control, tmp_path, f"--amount-tolerance={written}")
    assert status == 2
    assert "an amount in plain digits" in told


def test_amounts_beyond_the_usual_digits_are_exact_and_in_the_major_unit_of_their_currency() -> None:
    def order(currency: str, quantity: int, price: str) -> RecordedOrder:
        line = {"line": "1", "sku": "A", "quantity": quantity, "shipped_quantity": 0, "unit_price": price}
        return RecordedOrder({"lines": [line], "currency": currency, "cost_minor": 12_345})

    with localcontext(prec=DIGITS):
        largest = figures_of(order("GBP", 10**12, "999999999999.999999"))
        assert largest["revenue"] == 999_999_999_999_999_999 * 10**6
    assert [str(figures_of(order(each, 1, "1"))["cost"]) for each in ("GBP", "JPY", "KWD")] == [
        "123.45",
        "12345",
        "12.345",
    ]


def test_names_of_merged_customers_mean_the_one_that_is_left() -> None:
    def state(customer: str, sequence: int, status: str, into: str | None, *names: str) -> dict[str, Any]:
        identifiers = [{"system": "erp", "id": name} for name in names]
        return {
            "customer_id": customer,
            "sequence": sequence,
            "status": status,
            "merged_into": into,
            "identifiers": identifiers,
        }

    states = [
        state("a", 1, "active", None, "1"),
        state("b", 1, "active", None, "2"),
        state("c", 1, "active", None, "3"),
        state("a", 2, "merged", "b", "1"),
        state("b", 3, "merged", "c", "2"),
    ]
    for told in (states, states[::-1]):
        crosswalk = Crosswalk(told)
        found = [crosswalk.customer(*name) for name in (("erp", "1"), ("erp", "2"), ("erp", "3"), ("tiercel", "a"))]
        assert found == ["c"] * 4
        assert crosswalk.customer("erp", "9") == "erp/9"
