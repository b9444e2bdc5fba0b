"""Cancellations of an order history are returns: goods of earlier orders that came back.

A history that books what comes back as a line with a negative quantity does not say of which order it was. It is taken
from the customer's newest order line of the same item placed until then, and from the next older one when that is used
up: nothing comes back twice, nor before it was ordered. What is left over belongs to no order that is known.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from tiercel.demo.history import HistoryOrder, HistoryReturn, SetAside

OF_NO_ORDER: Final = "cancellation_of_no_order"
BEYOND_ORDERS: Final = "cancellation_beyond_orders"


@dataclass(frozen=True, slots=True)
class Cancellation:
    """A row that takes `quantity` (above 0) of an item back."""

    row: int
    customer_id: str
    sku: str
    quantity: int
    cancelled_at: datetime
    content: str


@dataclass(slots=True)
class Matched:
    """Returns ascending by time, and the rows of which something, or all, is of no order."""

    returns: list[HistoryReturn] = field(default_factory=list)
    set_aside: list[SetAside] = field(default_factory=list)


@dataclass(slots=True)
class _Ordered:
    order: HistoryOrder
    line: str
    left: int


def match(orders: Sequence[HistoryOrder], cancellations: Iterable[Cancellation]) -> Matched:
    """Find the order lines that came back; `orders` ascending by time."""
    rows = sorted(cancellations, key=lambda each: (each.cancelled_at, each.row))
    wanted = {(each.customer_id, each.sku) for each in rows}
    open_lines: dict[tuple[str, str], list[_Ordered]] = defaultdict(list)
    found, seen = Matched(), 0
    for each in rows:
        while seen < len(orders) and orders[seen].ordered_at <= each.cancelled_at:
            order = orders[seen]
            seen += 1
            for line in order.lines:
                if (order.customer_id, line.sku) in wanted:
                    open_lines[order.customer_id, line.sku].append(_Ordered(order, line.line, line.quantity))
        _take_back(each, open_lines[each.customer_id, each.sku], found)
    return found


def _take_back(cancellation: Cancellation, newest_last: list[_Ordered], found: Matched) -> None:
    rest, part = cancellation.quantity, 0
    while rest and newest_last:
        line = newest_last[-1]
        quantity = min(rest, line.left)
        part += 1
        reference = f"RT-{cancellation.row}-{part}"
        found.returns.append(
            HistoryReturn(reference, line.order.order_id, line.line, quantity, cancellation.cancelled_at)
        )
        rest, line.left = rest - quantity, line.left - quantity
        if not line.left:
            newest_last.pop()
    if rest:
        reason = BEYOND_ORDERS if part else OF_NO_ORDER
        found.set_aside.append(SetAside(cancellation.row, reason, cancellation.content))
