"""Cut-over: the open orders of the system that promised before, with the dates that it gave.

They come by `POST /v1/cut-over/orders` (and `tiercel import open-orders`) and are published as `promise.taken_over.v1`.
"""

from typing import Annotated, Final, Self

from pydantic import Field, model_validator

from services.contracts.orders import CustomerRef, OrderRef, ShipTo
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
    broken_rule,
)
from services.contracts.promises import Promise

PARTS_MAX: Final = 100  # promised quantities of one line; more deliveries of one line than that are a mistake


class GivenPromise(Payload):
    """A quantity of a line as it was promised: from where, how and when; `shipped` of it have left already.

    Of the two days one may be left out where a lane leads from the location to the order's zone by the service: it is
    the day that the lane gives for the other one.
    """

    quantity: Quantity
    shipped: QuantityOrZero = 0
    location: Code
    service: Code
    ship_date: Day | None = None
    arrival_date: Day | None = None

    @model_validator(mode="after")
    def _dated(self) -> Self:
        if self.ship_date is None and self.arrival_date is None:
            raise broken_rule("a promised quantity has a ship_date, an arrival_date or both")
        if self.ship_date is not None and self.arrival_date is not None and self.arrival_date < self.ship_date:
            raise broken_rule("goods do not arrive before they ship")
        if self.shipped > self.quantity:
            raise broken_rule("more has shipped than was promised")
        return self


class OpenOrderLine(Payload):
    """A line of an open order. What is ordered and not promised waits, as a backorder.

    All quantities are of `unit`; without one, of the item's base unit. `unit_price` always is of the base unit.
    """

    line: Identifier
    sku: Identifier
    quantity: Quantity
    unit: Code | None = None
    unit_price: Money | None = None
    requested_arrival: Day | None = None
    latest_acceptable_arrival: Day | None = None
    minimum_quantity: QuantityOrZero = 0
    promised: Annotated[tuple[GivenPromise, ...], Field(max_length=PARTS_MAX)] = ()

    @model_validator(mode="after")
    def _not_more_than_ordered(self) -> Self:
        if sum(each.quantity for each in self.promised) > self.quantity:
            raise broken_rule("more is promised than was ordered")
        return self

    @property
    def open(self) -> int:
        """What of it has not shipped."""
        return self.quantity - sum(each.shipped for each in self.promised)


class OpenOrder(Payload):
    """An order that another system has promised and not shipped whole; `confirmed`: its promise was accepted.

    Supply is not asked: the promise was given. An order is taken over once, for ever; one of which all has shipped is
    none.
    """

    order: OrderRef
    customer: CustomerRef
    ordered_at: Moment
    lines: Annotated[tuple[OpenOrderLine, ...], Field(min_length=1, max_length=LINES_MAX)]
    ship_to: ShipTo = ShipTo()
    channel: Code = "default"
    ship_complete: bool = False
    confirmed: bool = True

    @model_validator(mode="after")
    def _is_open(self) -> Self:
        if not any(line.open for line in self.lines):
            raise broken_rule("all of it has shipped: it is not open")
        return self


class PromiseTakenOver(Payload):
    """`promise.taken_over.v1`: a promise that another system gave and that is kept from now on.

    Nobody is told anything new by it. Later changes are `promise.changed`, as of every promise.
    """

    promise: Promise
