"""A history whose rows may come in any order, brought into one: the same orders are replayed alike.

Files number the lines of an order as they come, and lines are promised by number. Here they are numbered by item,
quantity, price and requested date; what came back is counted by order, item and moment, and taken from these lines.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date, datetime

from tiercel.demo.history import History, HistoryLine, HistoryOrder, HistoryReturn


def in_one_order(history: History) -> History:
    """The history with lines and returns numbered by what they say."""
    orders = [_renumbered(order) for order in history.orders]
    return replace(history, orders=orders, returns=list(_returns(history, orders)))


def _renumbered(order: HistoryOrder) -> HistoryOrder:
    lines = sorted(order.lines, key=_content)
    return replace(order, lines=tuple(replace(line, line=str(number)) for number, line in enumerate(lines, start=1)))


def _content(line: HistoryLine) -> tuple[object, ...]:
    price = line.unit_price
    return (line.sku, line.quantity, price is None, price or 0, line.requested_arrival or date.max)


def _returns(history: History, orders: Sequence[HistoryOrder]) -> Iterator[HistoryReturn]:
    """What came back of each item of an order by each moment, of its lines one after another."""
    items = {(order.order_id, line.line): line.sku for order in history.orders for line in order.lines}
    came_back: dict[tuple[str, str, datetime], int] = defaultdict(int)
    for each in history.returns:
        came_back[each.order_id, items[each.order_id, each.line], each.returned_at] += each.quantity
    left: dict[tuple[str, str], list[tuple[str, int]]] = defaultdict(list)
    for order in orders:
        for line in reversed(order.lines):
            left[order.order_id, line.sku].append((line.line, line.quantity))
    for (order_id, sku, at), units in sorted(came_back.items(), key=lambda item: (item[0][2], *item[0][:2])):
        yield from _taken(HistoryReturn("", order_id, sku, units, at), left[order_id, sku])


def _taken(wanted: HistoryReturn, left: list[tuple[str, int]]) -> Iterator[HistoryReturn]:
    rest = wanted.quantity
    while rest and left:
        line, open_units = left.pop()
        quantity = min(rest, open_units)
        rest -= quantity
        if open_units > quantity:
            left.append((line, open_units - quantity))
        reference = f"RT-{wanted.order_id}-{line}-{wanted.returned_at:%Y%m%d%H%M%S%f}"
        yield HistoryReturn(reference, wanted.order_id, line, quantity, wanted.returned_at)
