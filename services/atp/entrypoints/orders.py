"""Commands on orders from what came in, over HTTP or from the event log: the checks are the same."""

from services.atp.application.commands import Origin, PlaceOrder, Remembered
from services.atp.application.content import OrderKey, content_of, encode, fingerprint_of
from services.atp.entrypoints.problem_codes import ID_UNPRINTABLE, LINE_REPEATED
from services.chassis.problems import ProblemCode
from services.contracts.orders import OrderPlaced


def fault_of(order: OrderPlaced) -> ProblemCode | None:
    """What the schema cannot say: lines are told apart by their ids, and ids become keys and headers of events."""
    lines = order.lines
    if len(lines) > 1 and len({line.line for line in lines}) < len(lines):
        return LINE_REPEATED
    if not (order.order.order_id.isprintable() and order.customer.id.isprintable()):
        return ID_UNPRINTABLE
    return None


def place_command(order: OrderPlaced, origin: Origin, remembered: Remembered | None = None) -> PlaceOrder:
    """The command for a checked order."""
    content = content_of(order)
    encoded = encode(content)
    return PlaceOrder(
        key=order_key(order.order.source, order.order.order_id),
        version=order.order.version,
        content=content,
        encoded=encoded,
        fingerprint=fingerprint_of(encoded),
        origin=origin,
        remembered=remembered,
        hold_seconds=order.hold_seconds,
    )


def order_key(source: str, order_id: str) -> OrderKey:
    """An order's identity."""
    return OrderKey(source, order_id)
