"""Former versions of the order documents; `services.contracts.orders` has the newest."""

from typing import Annotated

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
