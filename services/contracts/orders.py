"""Commands on `orders.v1` (and the same bodies over HTTP), and the record of what became of them.

Identity is (source, order id), unique for ever; `version` is the order's version at its source.
"""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from services.contracts.payload import (
    LINES_MAX,
    Code,
    Country,
    Day,
    Identifier,
    Moment,
    Money,
    Note,
    Payload,
    Postcode,
    Quantity,
    QuantityOrZero,
    Version,
    broken_rule,
)

HOLD_SECONDS_MAX = 90 * 86_400  # a quote's life; what is kept for longer is an order
ATTRIBUTES_MAX = 20  # of one order: each rule looks at a few
AttributeValue = Annotated[int, Field(strict=True, ge=-1_000_000_000, le=1_000_000_000)]
SHIPMENTS_MAX = 100  # of an order that limits them; more is no limit to anybody


class OrderRef(Payload):
    """An order as its source knows it."""

    source: Code
    order_id: Identifier
    version: Version = 1


class CustomerRef(Payload):
    """A customer as some system knows it. `system` "tiercel" means the registry's own id."""

    system: Code
    id: Identifier


class ShipTo(Payload):
    """Where the goods go: a zone code, or a country and postcode, which are mapped to one; never an address.

    What is mapped is decided, kept and published as its zone; country and postcode are not. `pick_up_at`: the customer
    collects at this store; the zone then only says where the customer is.
    """

    zone: Code = "*"
    country: Country | None = None
    postcode: Postcode | None = None
    pick_up_at: Code | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.country is not None and self.zone != "*":
            raise broken_rule("either a zone, or a country and postcode")
        if self.postcode is not None and self.country is None:
            raise broken_rule("a postcode needs its country")
        return self


class OrderLine(Payload):
    """One line as ordered. Dates are days at the customer; a line's own dates win over the order's.

    `quantity` and `minimum_quantity` are of `unit`; without one, of the item's base unit. `unit_price` always is of the
    base unit.
    """

    line: Identifier
    sku: Identifier
    quantity: Quantity
    unit: Code | None = None
    unit_price: Money | None = None
    requested_arrival: Day | None = None
    latest_acceptable_arrival: Day | None = None
    minimum_quantity: QuantityOrZero = 0


class OrderPlaced(Payload):
    """`order.placed.v2`: a customer wants these items; also the body of `POST /v1/promises`.

    With `hold_seconds` it is a hold: what can be promised is kept for so long and given back unless it is confirmed.
    `attributes` are numbers by name that a rule of who is served first may look at (`GET /v1/service-rule`).
    `max_shipments`: the order comes in no more than so many shipments (location, service and ship day), now and later.
    `entered_by`: who entered it at its source, by an id there and never a name; it is used to detect workarounds only.
    """

    order: OrderRef
    customer: CustomerRef
    lines: Annotated[tuple[OrderLine, ...], Field(min_length=1, max_length=LINES_MAX)]
    ordered_at: Moment | None = None
    ship_to: ShipTo = ShipTo()
    channel: Code = "default"
    requested_arrival: Day | None = None
    latest_acceptable_arrival: Day | None = None
    ship_complete: bool = False
    max_shipments: Annotated[int, Field(strict=True, ge=1, le=SHIPMENTS_MAX)] | None = None
    hold_seconds: Annotated[int, Field(strict=True, ge=1, le=HOLD_SECONDS_MAX)] | None = None
    attributes: dict[Code, AttributeValue] = Field(default_factory=dict, max_length=ATTRIBUTES_MAX)
    entered_by: Identifier | None = None


class OrderConfirmed(Payload):
    """`order.confirmed.v1`: the source accepts the promise."""

    order: OrderRef


class OrderCancelled(Payload):
    """`order.cancelled.v1`: the source withdraws the order; what has not shipped is given back."""

    order: OrderRef
    reason: Note = ""


class RecordedLine(Payload):
    """One order line as recorded; quantities are totals at this version, not differences.

    `quota_reached`: a quota allowed less of it than was wanted, or allowed it later.
    """

    line: Identifier
    sku: Identifier
    quantity: QuantityOrZero
    unit_price: Money | None = None
    promised_quantity: QuantityOrZero = 0
    shipped_quantity: QuantityOrZero = 0
    delivered_quantity: QuantityOrZero = 0
    returned_quantity: QuantityOrZero = 0
    quota_reached: bool = False


class PriorityAct(Payload):
    """A planner let an order be served before its turn, or gave it what another order had."""

    kind: Literal["expedited", "reassigned"]
    by: Identifier


class OrderRecorded(Payload):
    """`order.recorded.v2`: an accepted order or what happened to it, whichever way it came.

    `sequence` counts the records of one order; a consumer keeps the highest. `customer_id` is the registry's, or null
    for a customer that the registry does not know (then the event's key is `<system>/<id>` of `customer`).
    `entered_by` is as the order said; `act` is there in the one record that tells of it.
    """

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
    entered_by: Identifier | None = None
    act: PriorityAct | None = None
