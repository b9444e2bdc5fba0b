"""The orders that a deployment has recorded, as a history that can be replayed.

An order of which nothing counts is left out. Each is placed at the moment at which it was ordered, and named by its
number; what came back of it comes back after the same moment. Customers are who they are now: orders under several
ids of a merged customer are of one.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime

from services.chassis.event_log.port import EventLog
from services.contracts import topics
from tiercel.demo.history import History, HistoryLine, HistoryOrder, HistoryReturn
from tiercel.demo.reading import UnusableHistoryError
from tiercel.recorded_orders import REGISTRY_SYSTEM, Crosswalk, RecordedOrder, read_orders


async def recorded_history(log: EventLog) -> History:
    """The history. Raises UnusableHistoryError if nothing can be replayed."""
    return history_of((await read_orders(log)).values(), await Crosswalk.read(log))


def history_of(recorded: Iterable[RecordedOrder], crosswalk: Crosswalk) -> History:
    """The history of recorded orders."""
    placed = sorted(
        (each for each in recorded if any(each.lines)),
        key=lambda each: (each.record["ordered_at"], each.record["order"]["source"], each.record["order"]["order_id"]),
    )
    if not placed:
        message = f"{topics.ORDERS_RECORDED.name} holds no order that can be replayed."
        raise UnusableHistoryError(message)
    orders = [_order(each, number, crosswalk) for number, each in enumerate(placed, start=1)]
    orders.sort(key=lambda order: (order.ordered_at, order.order_id))
    returns = [back for number, each in enumerate(placed, start=1) for back in _returns(each, number)]
    return History("recorded orders", min(each.record["currency"] for each in placed), orders, returns=returns)


def _returns(recorded: RecordedOrder, number: int) -> Iterator[HistoryReturn]:
    """What came back of what counts."""
    left = {line.line: line.quantity for line in recorded.lines}
    for part, (at, line, units) in enumerate(recorded.returns, start=1):
        quantity = min(units, left.get(line, 0))
        if quantity:
            left[line] -= quantity
            reference = f"RT-{number:08d}-{part}"
            yield HistoryReturn(reference, _name(number), line, quantity, datetime.fromisoformat(at))


def _name(number: int) -> str:
    return f"R{number:08d}"


def _order(recorded: RecordedOrder, number: int, crosswalk: Crosswalk) -> HistoryOrder:
    record = recorded.record
    lines = tuple(HistoryLine(line.line, line.sku, line.quantity, line.unit_price) for line in recorded.lines)
    named = (record["customer"]["system"], record["customer"]["id"])
    customer = crosswalk.customer(*((REGISTRY_SYSTEM, record["customer_id"]) if record["customer_id"] else named))
    at = datetime.fromisoformat(record["ordered_at"])
    return HistoryOrder(_name(number), customer, at, record["zone"], lines)
