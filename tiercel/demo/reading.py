"""Reads anybody's order history, CSV or Parquet, by a column mapping.

A row that cannot be replayed is set aside with its number and reason in a file; none is dropped silently. Rows of one
order may come in any order; the order's time and zone are its earliest row's, a customer's tier that of its earliest
order with one. Times without an offset are taken as UTC. A
cancelled row with a negative quantity is goods that came back (see `cancellations`); any other is no demand.
"""

import csv
import gzip
import io
import re
import sys
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, NamedTuple, TextIO

from services.contracts.payload import ID_MAX_CHARS, LINES_MAX, MONEY_DIGITS_MAX, QUANTITY_MAX
from tiercel.demo.cancellations import Cancellation, match
from tiercel.demo.history import History, HistoryLine, HistoryOrder, SetAside

BATCH_ROWS: Final = 8_192  # Parquet rows held in memory at a time
PRICES_KEPT: Final = 65_536  # different ones, which many lines share

FIELDS: Final = (
    "order_id",
    "line",
    "sku",
    "quantity",
    "ordered_at",
    "unit_price",
    "customer_id",
    "zone",
    "tier",
    "requested_arrival",
    "cancelled",
    "is_goods",
)
REQUIRED: Final = ("order_id", "sku", "quantity", "ordered_at", "customer_id")
# Names that columns commonly have, so that most files need no mapping.
KNOWN_NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    "order_id": ("order_id", "order", "invoice", "invoiceno", "order_number", "order_no"),
    "line": ("line", "line_no", "line_id", "line_number"),
    "sku": ("sku", "item", "item_id", "stockcode", "product_id"),
    "quantity": ("quantity", "qty", "qty_packs", "units"),
    "ordered_at": ("ordered_at", "order_ts", "invoicedate", "order_date", "ordered", "created_at"),
    "unit_price": ("unit_price", "price", "unit_price_gbp", "unitprice", "unit_price_usd"),
    "customer_id": ("customer_id", "customer", "customerid"),
    "zone": ("zone", "country", "ship_to_zone", "region"),
    "tier": ("tier",),
    "requested_arrival": ("requested_arrival", "requested_date", "promised_date"),
    "cancelled": ("cancelled", "is_cancel", "is_cancelled"),
    "is_goods": ("is_goods",),
}


class UnusableHistoryError(Exception):
    """The file as a whole cannot be replayed; the sentence says what to change."""


@dataclass(slots=True)
class _RowError(Exception):
    reason: str


class _Told(NamedTuple):
    """What a row said when: of several, the least counts."""

    at: datetime
    order_id: str
    text: str


@dataclass(slots=True)
class _Collected:
    customer_id: str
    zone: _Told
    lines: list[HistoryLine] = field(default_factory=list)


def read_history(path: Path, mapping: Mapping[str, str], set_aside: Path, *, currency: str = "GBP") -> History:
    """Read `path` with `mapping` (field -> column; missing fields are guessed by common names).

    Raises `UnusableHistoryError` where the file is missing, empty of usable rows, or lacks a required column.
    """
    if not path.is_file():
        message = f"No file at {path}; give ORDERS=<a CSV or Parquet file>."
        raise UnusableHistoryError(message)
    unknown = sorted(set(mapping) - set(FIELDS))
    if unknown:
        message = f"--map names unknown fields {', '.join(unknown)}; known are {', '.join(FIELDS)}."
        raise UnusableHistoryError(message)
    set_aside.parent.mkdir(parents=True, exist_ok=True)
    orders: dict[str, _Collected] = {}
    cancellations: list[Cancellation] = []
    tiers: dict[str, _Told] = {}
    history = History(source=path.name, currency=currency, orders=[], set_aside_file=set_aside)
    with set_aside.open("w", newline="") as file:
        report = _Report(history, csv.writer(file))
        columns: dict[str, str] | None = None
        for number, row in enumerate(_readable_rows(path), start=1):
            if columns is None:
                columns = _resolve_columns(tuple(row), mapping)
            try:
                cancelled = _cancellation(number, row, columns)
                if cancelled is not None:
                    cancellations.append(cancelled)
                else:
                    _collect(row, columns, orders, tiers)
            except _RowError as error:
                report.add(SetAside(number, error.reason, _content(row)))
        history.orders = _sorted(orders)
        history.tiers = {customer_id: told.text for customer_id, told in tiers.items()}
        matched = match(history.orders, cancellations)
        history.returns = matched.returns
        for each in matched.set_aside:
            report.add(each)
    if not history.orders:
        message = f"{path} has no row that can be replayed; the reasons are in {set_aside}."
        raise UnusableHistoryError(message)
    return history


class _Report:
    """The file of what is set aside, and its count by reason."""

    def __init__(self, history: History, file: Any) -> None:
        self._counted = history.set_aside_by_reason
        self._file = file
        self._file.writerow(("row", "reason", "content"))

    def add(self, each: SetAside) -> None:
        self._counted[each.reason] = self._counted.get(each.reason, 0) + 1
        self._file.writerow((each.row, each.reason, each.content))


def _sorted(orders: Mapping[str, _Collected]) -> list[HistoryOrder]:
    return sorted(
        (
            HistoryOrder(order_id, found.customer_id, found.zone.at, found.zone.text, tuple(found.lines))
            for order_id, found in orders.items()
        ),
        key=lambda order: (order.ordered_at, order.order_id),
    )


def _content(row: Mapping[str, Any]) -> str:
    return " | ".join(str(value) for value in row.values())


def _readable_rows(path: Path) -> Iterator[dict[str, Any]]:
    """The rows. Raises UnusableHistoryError where the file is not what its name says."""
    rows = _rows(path)
    while True:
        try:
            row = next(rows)
        except StopIteration:
            return
        except (ValueError, csv.Error, EOFError, OSError, zlib.error) as error:  # pyarrow's are ValueError or OSError
            message = f"{path} cannot be read as {'Parquet' if path.suffix == '.parquet' else 'CSV in UTF-8'}: {error}"
            raise UnusableHistoryError(message) from error
        yield row


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    if path.suffix == ".parquet":
        from pyarrow import parquet

        with parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=BATCH_ROWS):
                yield from batch.to_pylist()
        return
    with _open_text(path) as text:
        yield from csv.DictReader(text)


def _open_text(path: Path) -> TextIO:
    if path.suffix == ".gz":
        return io.TextIOWrapper(gzip.open(path, "rb"), encoding="utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")


def _resolve_columns(present: tuple[str, ...], mapping: Mapping[str, str]) -> dict[str, str]:
    by_lower = {name.lower().replace(" ", "_"): name for name in present}
    columns: dict[str, str] = {}
    for name in FIELDS:
        if name in mapping:
            if mapping[name] not in present:
                message = f"--map {name}={mapping[name]}: no such column; the file has {', '.join(present)}."
                raise UnusableHistoryError(message)
            columns[name] = mapping[name]
            continue
        found = next((by_lower[alias] for alias in KNOWN_NAMES[name] if alias in by_lower), None)
        if found is not None:
            columns[name] = found
    missing = [name for name in REQUIRED if name not in columns]
    if missing:
        message = f"No column for {', '.join(missing)}; name it with --map, for example --map {missing[0]}=COLUMN."
        raise UnusableHistoryError(message)
    return columns


def _cell(row: Mapping[str, Any], columns: Mapping[str, str], name: str) -> Any:
    value = row.get(columns[name]) if name in columns else None
    return None if value is None or value == "" else value


def _cancellation(number: int, row: Mapping[str, Any], columns: Mapping[str, str]) -> Cancellation | None:
    """The row as goods that came back; None of a row that is not cancelled."""
    if not _truth(_cell(row, columns, "cancelled")):
        return None
    _must_be_goods(row, columns)
    customer_id = _identifier(_cell(row, columns, "customer_id"), "customer_id")
    sku = _identifier(_cell(row, columns, "sku"), "sku")
    quantity = _whole(_cell(row, columns, "quantity"))
    if quantity >= 0:
        raise _RowError("cancellation")  # an order that was taken back before anything of it left: no demand
    at = _moment(_cell(row, columns, "ordered_at"), "ordered_at")
    return Cancellation(number, customer_id, sku, -quantity, at, _content(row))


def _must_be_goods(row: Mapping[str, Any], columns: Mapping[str, str]) -> None:
    is_goods = _cell(row, columns, "is_goods")
    if is_goods is not None and not _truth(is_goods):
        raise _RowError("not_goods")


def _collect(
    row: Mapping[str, Any], columns: Mapping[str, str], orders: dict[str, _Collected], tiers: dict[str, _Told]
) -> None:
    def cell(name: str) -> Any:
        return _cell(row, columns, name)

    _must_be_goods(row, columns)
    order_id = _identifier(cell("order_id"), "order_id")
    customer_id = _identifier(cell("customer_id"), "customer_id")
    line = HistoryLine(
        line="",
        sku=_identifier(cell("sku"), "sku"),
        quantity=_quantity(cell("quantity")),
        unit_price=_price(cell("unit_price")),
        requested_arrival=_moment(cell("requested_arrival"), "requested_arrival").date()
        if cell("requested_arrival") is not None
        else None,
    )
    ordered_at = _moment(cell("ordered_at"), "ordered_at")
    zone = _Told(ordered_at, order_id, _zone(cell("zone")))
    tier = None if cell("tier") is None else _identifier(cell("tier"), "tier").lower()
    found = orders.get(order_id)
    if found is None:
        found = orders[order_id] = _Collected(customer_id, zone)
    elif found.customer_id != customer_id:
        raise _RowError("order_of_two_customers")
    elif len(found.lines) >= LINES_MAX:
        raise _RowError("too_many_lines")
    found.zone = min(found.zone, zone)
    number = sys.intern(str(len(found.lines) + 1))
    found.lines.append(HistoryLine(number, line.sku, line.quantity, line.unit_price, line.requested_arrival))
    if tier is not None:
        told = _Told(ordered_at, order_id, tier)
        tiers[customer_id] = min(told, tiers.get(customer_id, told))


def _truth(value: Any) -> bool:
    return value is True or (isinstance(value, str) and value.strip().lower() in {"true", "1", "yes", "y", "t"})


def _identifier(value: Any, name: str) -> str:
    if value is None:
        raise _RowError(f"no_{name}")
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = sys.intern(str(value).strip())  # a few thousand items and customers in hundreds of thousands of lines
    if not text or len(text) > ID_MAX_CHARS or not text.isprintable():
        raise _RowError(f"unusable_{name}")
    return text


def _quantity(value: Any) -> int:
    number = _whole(value)
    if number <= 0:
        raise _RowError("quantity_not_positive")
    return number


def _whole(value: Any) -> int:
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        raise _RowError("quantity_not_a_number") from None
    if not number.is_finite() or number != number.to_integral_value():
        raise _RowError("quantity_not_whole")
    if abs(number) > QUANTITY_MAX:
        raise _RowError("quantity_too_large")
    return int(number)


@lru_cache(maxsize=PRICES_KEPT)
def _price(value: Any) -> Decimal | None:
    if value is None:
        return None
    try:
        price = Decimal(str(value))
    except InvalidOperation:
        raise _RowError("price_not_a_number") from None
    if not price.is_finite() or price <= 0:
        raise _RowError("price_not_positive")
    if price.adjusted() >= MONEY_DIGITS_MAX - 6:
        raise _RowError("price_too_large")
    return price.quantize(Decimal("0.000001")).normalize()


def _moment(value: Any, name: str) -> datetime:
    if isinstance(value, datetime):
        found = value
    elif isinstance(value, date):
        found = datetime(value.year, value.month, value.day, tzinfo=UTC)
    else:
        try:
            found = datetime.fromisoformat(str(value).strip())
        except ValueError:
            raise _RowError(f"unusable_{name}" if value is not None else f"no_{name}") from None
    try:
        return found.astimezone(UTC) if found.tzinfo is not None else found.replace(tzinfo=UTC)
    except OverflowError:  # within a day of the first or the last year
        raise _RowError(f"unusable_{name}") from None


def _zone(value: Any) -> str:
    if value is None:
        return "*"
    return sys.intern(re.sub(r"[^A-Za-z0-9]+", "-", str(value)).strip("-").upper()[:64] or "*")
