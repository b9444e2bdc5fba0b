"""Former versions of the order documents; `services.contracts.orders` has the newest."""

from typing import Annotated, Literal

from pydantic import Field

from services.contracts.orders import CustomerRef, OrderRef
from services.contracts.payload import (
    LINES_MAX,
    Code,
    Day,
    Identifier,
    Moment,
    Money,
    Payload,
    Quantity,
    QuantityOrZero,
    Version,
)


class ShipTo(Payload):
    """Where the goods go: a zone code; never an address."""

    zone: Code = "*"


class OrderLine(Payload):
    """One line as ordered. Dates are days at the customer; a line's own dates win over the order's."""

    line: Identifier
    sku: Identifier
    quantity: Quantity
    unit_price: Money | None = None
    requested_arrival: Day | None = None
    latest_acceptable_arrival: Day | None = None
    minimum_quantity: QuantityOrZero = 0


class OrderPlaced(Payload):
    """`order.placed.v1`: read as `order.placed.v2`, whose other fields may be left out."""

    order: OrderRef
    customer: CustomerRef
    lines: Annotated[tuple[OrderLine, ...], Field(min_length=1, max_length=LINES_MAX)]
    ordered_at: Moment | None = None
    ship_to: ShipTo = ShipTo()
    channel: Code = "default"
    requested_arrival: Day | None = None
    latest_acceptable_arrival: Day | None = None
    ship_complete: bool = False


class RecordedLine(Payload):
    """One order line as recorded; quantities are totals at this version, not differences."""

    line: Identifier
    sku: Identifier
    quantity: QuantityOrZero
    unit_price: Money | None = None
    promised_quantity: QuantityOrZero = 0
    shipped_quantity: QuantityOrZero = 0
    delivered_quantity: QuantityOrZero = 0
    returned_quantity: QuantityOrZero = 0


class OrderRecorded(Payload):
    """`order.recorded.v1`: read as `order.recorded.v2`, whose other fields may be left out."""

    order: OrderRef
    change: Literal["accepted", "amended", "cancelled", "shipped", "delivered", "returned", "promise_changed"]
    sequence: Version
    customer_id: Identifier | None
    customer: CustomerRef
    tier: Code
    channel: Code
    zone: Code
    ordered_at: Moment
    occurred_at: Moment
    lines: tuple[RecordedLine, ...]
    currency: Code
    cost_minor: int = 0
    on_time: bool | None = None
