"""A recorded history of deliveries: what was ordered, for when it was promised, and when it came.

The shape is that of the SCMS Delivery History (USAID/PEPFAR): one row a line, with `line_id, order_id, country,
fulfill_via, vendor, sku, qty_packs, line_value_usd, pack_price_usd, freight_usd, promised_date, delivered_date,
start_date`. What a replay needs and the record does not have is modelled here:

* **Where from**: lines `From RDC` come from one stock centre, all others from their vendor; both are locations.
* **When it was ordered**: the recorded start, or `NOTICE_DAYS` before the first of all promised and delivered dates of
  the order, whichever is earlier: goods do not leave before they are ordered.
* **On the way**: `TRANSIT_DAYS` from every location; a line left so many days before the day on which it came.
* **Tiers**: by the value of what a country ordered before the part that is replayed.
"""

import csv
import gzip
import io
import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Final

TRANSIT_DAYS: Final = 7
NOTICE_DAYS: Final = TRANSIT_DAYS + 7
GOLD_PERCENT: Final = 10
SILVER_PERCENT: Final = 30
TIERS: Final = ("gold", "silver", "bronze")
STOCK_CENTRE: Final = "RDC"
CENTS: Final = 100


@dataclass(frozen=True, slots=True)
class Line:
    """One recorded line; amounts are US cents, None where nothing is recorded."""

    line: str
    sku: str
    quantity: int
    value: Decimal
    price: Decimal
    freight: int | None
    promised: date
    delivered: date

    @property
    def due_in(self) -> date:
        """When the goods had to be where they are served from."""
        return self.promised - timedelta(days=TRANSIT_DAYS)

    @property
    def left(self) -> date:
        """When they left."""
        return self.delivered - timedelta(days=TRANSIT_DAYS)


@dataclass(frozen=True, slots=True)
class Order:
    """One order of a country at one location."""

    order_id: str
    customer: str
    location: str
    ordered: date
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Past:
    """What is known before the replay starts, and all that it may be set up with.

    `late_days` is how late the latest line of the past came: for so long a late receipt is waited for.
    """

    tiers: dict[str, str]
    landed_cents: dict[str, Decimal]
    freight_cents: int
    late_days: int


def read(path: Path) -> list[Order]:
    """All orders, by the day on which they were placed.

    Raises:
        KeyError: a column is missing. ValueError: a quantity, amount or date is none.
    """
    content = path.read_bytes()
    text = (gzip.decompress(content) if path.suffix == ".gz" else content).decode()
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    vendors = sorted({row["vendor"] for row in rows if row["fulfill_via"] != "From RDC"})
    codes = {vendor: f"V-{number:02d}" for number, vendor in enumerate(vendors, start=1)}
    by_order: dict[tuple[str, str, str], list[dict[str, str]]] = defaultdict(list)
    for row in rows:
        location = STOCK_CENTRE if row["fulfill_via"] == "From RDC" else codes[row["vendor"]]
        by_order[row["order_id"], row["country"], location].append(row)
    orders = [_order(*key, found) for key, found in by_order.items()]
    return sorted(orders, key=lambda order: (order.ordered, order.order_id))


def past_of(orders: Sequence[Order], before: date) -> Past:
    """What was known before a day; what goods cost and how late they came is known once they have come."""
    ordered = [order for order in orders if order.ordered < before]
    come = [line for order in ordered for line in order.lines if line.delivered < before]
    prices: dict[str, list[Decimal]] = defaultdict(list)
    for line in come:
        prices[line.sku].append(line.price)
    freight = [line.freight for line in come if line.freight is not None]
    late = [(line.delivered - line.promised).days for line in come if line.delivered > line.promised]
    return Past(
        tiers=tiers_by_value(ordered),
        landed_cents={sku: statistics.median(found) * CENTS for sku, found in prices.items()},
        freight_cents=round(statistics.median(freight)) if freight else 0,
        late_days=max(late, default=0),
    )


def tiers_by_value(orders: Iterable[Order]) -> dict[str, str]:
    """The upper tiers of customers by what they ordered; who is not named is bronze."""
    spent: dict[str, Decimal] = defaultdict(Decimal)
    for order in orders:
        spent[order.customer] += sum((line.value for line in order.lines), Decimal(0))
    ranked = sorted(spent, key=lambda customer: (-spent[customer], customer))
    gold = len(ranked) * GOLD_PERCENT // 100
    silver = gold + len(ranked) * SILVER_PERCENT // 100
    return dict.fromkeys(ranked[:gold], "gold") | dict.fromkeys(ranked[gold:silver], "silver")


def _order(order_id: str, customer: str, location: str, rows: list[dict[str, str]]) -> Order:
    lines = tuple(_line(row) for row in rows)
    days = [line.promised for line in lines] + [line.delivered for line in lines]
    latest = min(days) - timedelta(days=NOTICE_DAYS)
    starts = [date.fromisoformat(row["start_date"]) for row in rows if row["start_date"]]
    return Order(order_id, customer, location, min([latest, *starts]), lines)


def _line(row: dict[str, str]) -> Line:
    freight = row["freight_usd"]
    return Line(
        line=row["line_id"],
        sku=row["sku"],
        quantity=int(row["qty_packs"]),
        value=Decimal(row["line_value_usd"]),
        price=Decimal(row["pack_price_usd"]),
        freight=round(Decimal(freight) * CENTS) if freight else None,
        promised=date.fromisoformat(row["promised_date"]),
        delivered=date.fromisoformat(row["delivered_date"]),
    )
