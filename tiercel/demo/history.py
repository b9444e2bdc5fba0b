"""An order history: what a replay is made of, wherever it came from."""

from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path


@dataclass(frozen=True, slots=True)
class HistoryLine:
    """One order line. `quantity` in base units; `unit_price` in the history's currency, None where unknown."""

    line: str
    sku: str
    quantity: int
    unit_price: Decimal | None = None
    requested_arrival: date | None = None


@dataclass(frozen=True, slots=True)
class HistoryOrder:
    """One order as it was placed; `ordered_at` is aware UTC."""

    order_id: str
    customer_id: str
    ordered_at: datetime
    zone: str
    lines: tuple[HistoryLine, ...]


@dataclass(frozen=True, slots=True)
class HistoryReturn:
    """Goods of one order line that came back; `returned_at` is aware UTC and not before the order."""

    reference: str
    order_id: str
    line: str
    quantity: int
    returned_at: datetime


@dataclass(frozen=True, slots=True)
class SetAside:
    """A row that was not replayed: its number in the input (1 = first data row), why, and the row as read."""

    row: int
    reason: str
    content: str


@dataclass(slots=True)
class History:
    """Orders ascending by (event time, order id), what came back of them, and what the input gave besides."""

    source: str
    currency: str
    orders: list[HistoryOrder]
    tiers: dict[str, str] = field(default_factory=dict)
    returns: list[HistoryReturn] = field(default_factory=list)
    set_aside_by_reason: dict[str, int] = field(default_factory=dict)
    set_aside_file: Path | None = None

    @property
    def lines(self) -> int:
        """Number of order lines."""
        return sum(len(order.lines) for order in self.orders)

    @property
    def units(self) -> int:
        """Number of base units over all lines."""
        return sum(line.quantity for order in self.orders for line in order.lines)
