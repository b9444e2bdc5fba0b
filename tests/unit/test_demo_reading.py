"""An order history is read by a mapping; what cannot be replayed is set aside with its row and reason."""

import csv
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from tiercel.demo.reading import UnusableHistoryError, read_history

HEADER = "Invoice,StockCode,Quantity,InvoiceDate,Price,Customer ID,Country"
MAP = {
    "order_id": "Invoice",
    "sku": "StockCode",
    "quantity": "Quantity",
    "ordered_at": "InvoiceDate",
    "unit_price": "Price",
    "customer_id": "Customer ID",
    "zone": "Country",
}


def _file(folder: Path, *rows: str) -> Path:
    file = folder / "orders.csv"
    file.write_text("\n".join((HEADER, *rows)) + "\n")
    return file


def _set_aside(file: Path) -> list[tuple[str, str]]:
    with file.open(newline="") as text:
        return [(row["row"], row["reason"]) for row in csv.DictReader(text)]


def test_rows_of_an_order_become_its_lines_whatever_stands_between_them(tmp_path: Path) -> None:
    file = _file(
        tmp_path,
        "A-1,TEA,3,2026-01-05 10:00,2.50,C-1,United Kingdom",
        "A-2,TEA,1,2026-01-05 09:00,2.50,C-2,France",
        "A-1,CUP,1,2026-01-05 10:01,4.0,C-1,United Kingdom",
    )
    history = read_history(file, MAP, tmp_path / "aside.csv")
    assert [order.order_id for order in history.orders] == ["A-2", "A-1"]
    second = history.orders[1]
    assert second.ordered_at == datetime(2026, 1, 5, 10, 0, tzinfo=UTC)
    assert second.zone == "UNITED-KINGDOM"
    assert [(line.line, line.sku, line.quantity, line.unit_price) for line in second.lines] == [
        ("1", "TEA", 3, Decimal("2.5")),
        ("2", "CUP", 1, Decimal(4)),
    ]
    assert (history.lines, history.units) == (3, 5)
    assert history.set_aside_by_reason == {}


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("A-1,TEA,0,2026-01-05,1,C-1,", "quantity_not_positive"),
        ("A-1,TEA,-2,2026-01-05,1,C-1,", "quantity_not_positive"),
        ("A-1,TEA,1.5,2026-01-05,1,C-1,", "quantity_not_whole"),
        ("A-1,TEA,NaN,2026-01-05,1,C-1,", "quantity_not_whole"),
        ("A-1,TEA,many,2026-01-05,1,C-1,", "quantity_not_a_number"),
        ("A-1,TEA,9999999999999,2026-01-05,1,C-1,", "quantity_too_large"),
        ("A-1,TEA,1,yesterday,1,C-1,", "unusable_ordered_at"),
        ("A-1,TEA,1,,1,C-1,", "no_ordered_at"),
        ("A-1,TEA,1,2026-01-05,0,C-1,", "price_not_positive"),
        ("A-1,TEA,1,2026-01-05,Infinity,C-1,", "price_not_positive"),
        ("A-1,TEA,1,2026-01-05,dear,C-1,", "price_not_a_number"),
        ("A-1,TEA,1,2026-01-05,1,,", "no_customer_id"),
        (",TEA,1,2026-01-05,1,C-1,", "no_order_id"),
        ("A-1,,1,2026-01-05,1,C-1,", "no_sku"),
        ("A-0,TEA,1,2026-01-05,1,C-2,", "order_of_two_customers"),
    ],
)
def test_a_row_that_cannot_be_replayed_is_set_aside_with_its_reason(tmp_path: Path, row: str, reason: str) -> None:
    aside = tmp_path / "aside.csv"
    history = read_history(_file(tmp_path, "A-0,TEA,1,2026-01-05,1,C-1,", row), MAP, aside)
    assert history.lines == 1
    assert history.set_aside_by_reason == {reason: 1}
    assert _set_aside(aside) == [("2", reason)]


def test_parquet_is_read_with_types_and_nulls(tmp_path: Path) -> None:
    file = tmp_path / "orders.parquet"
    table = pa.table(
        {
            "order_id": ["A-1", "A-1", "A-2"],
            "sku": ["TEA", "CUP", "TEA"],
            "qty": pa.array([3, 1, 2], pa.int32()),
            "order_ts": pa.array([datetime(2026, 1, 5, 8, 26)] * 3, pa.timestamp("ms")),  # noqa: DTZ001
            "unit_price": [2.55, 0.1, 1.0],
            "customer_id": pa.array([17850.0, 17850.0, None]),
            "is_cancel": [False, True, False],
            "requested_date": [date(2026, 1, 9)] * 3,
        }
    )
    parquet.write_table(table, file)
    history = read_history(file, {}, tmp_path / "aside.csv")
    assert history.set_aside_by_reason == {"cancellation": 1, "no_customer_id": 1}
    (order,) = history.orders
    assert order.customer_id == "17850"
    assert order.lines[0].unit_price == Decimal("2.55")
    assert order.lines[0].requested_arrival == date(2026, 1, 9)


@pytest.mark.parametrize(
    ("mapping", "words"),
    [
        ({"order_id": "Nope"}, "no such column"),
        ({"colour": "Invoice"}, "unknown fields colour"),
        ({"order_id": "Invoice"}, "No column for"),
    ],
)
def test_a_file_that_cannot_be_understood_says_what_to_change(
    tmp_path: Path, mapping: dict[str, str], words: str
) -> None:
    file = tmp_path / "orders.csv"
    file.write_text("Invoice,Thing\nA-1,TEA\n")
    with pytest.raises(UnusableHistoryError, match=words):
        read_history(file, mapping, tmp_path / "aside.csv")


def test_a_file_without_a_usable_row_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnusableHistoryError, match="no row that can be replayed"):
        read_history(_file(tmp_path, "A-1,TEA,0,2026-01-05,1,C-1,"), MAP, tmp_path / "aside.csv")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnusableHistoryError, match="No file at"):
        read_history(tmp_path / "none.csv", {}, tmp_path / "aside.csv")


@pytest.mark.parametrize(
    ("name", "content"),
    [("x.csv", b"order_id\xff\x80\n1\n"), ("x.parquet", b"PAR1 and no more"), ("x.csv.gz", b"\x1f\x8b\x08 cut off")],
)
def test_a_file_that_is_not_what_its_name_says_is_refused_in_a_sentence(
    tmp_path: Path, name: str, content: bytes
) -> None:
    file = tmp_path / name
    file.write_bytes(content)
    with pytest.raises(UnusableHistoryError, match="cannot be read as"):
        read_history(file, {}, tmp_path / "aside.csv")


def test_a_moment_beyond_the_calendar_and_a_tier_that_is_none_set_the_whole_row_aside(tmp_path: Path) -> None:
    file = tmp_path / "orders.csv"
    rows = (
        "order_id,sku,quantity,ordered_at,customer_id,tier",
        "A,TEA,1,9999-12-31T23:59:00-05:00,C,",
        "A,TEA,1,2026-01-05,C,",
    )
    file.write_text("\n".join((*rows, f"A,CUP,1,2026-01-05,C,{'x' * 300}")) + "\n")
    history = read_history(file, {}, tmp_path / "aside.csv")
    assert _set_aside(tmp_path / "aside.csv") == [("1", "unusable_ordered_at"), ("3", "unusable_tier")]
    assert [line.sku for order in history.orders for line in order.lines] == ["TEA"]
