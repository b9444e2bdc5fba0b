"""What a WMS or an ERP says about stock, on `supply.v1`, `catalog.v1` and `fulfilments.v1` (and over HTTP).

`sequence`, where the source gives one, counts without gaps per (source, sku, location), movements and shipments
together; a snapshot's `cursor` is the sequence of the last movement that its count includes.
"""

from typing import Literal, Self

from pydantic import model_validator

from services.contracts.orders import OrderRef
from services.contracts.payload import (
    Code,
    Day,
    Identifier,
    Moment,
    Payload,
    Quantity,
    QuantityOrZero,
    SignedQuantity,
    Version,
)


class SupplyMovement(Payload):
    """`supply.movement.v1`: on hand changes once per (source, reference).

    `receipt` raises on hand and lowers the scheduled receipt named by `receipt_reference` of `receipt_source` (default:
    the movement's own source; a negative quantity takes it back); `adjustment` (either sign) corrects a count; `issue`
    (negative) takes stock out for a use other than an order.
    """

    source: Code
    reference: Identifier
    sku: Identifier
    location: Code
    kind: Literal["receipt", "adjustment", "issue"]
    quantity: SignedQuantity
    occurred_at: Moment
    sequence: Version | None = None
    receipt_reference: Identifier | None = None
    receipt_source: Code | None = None

    @model_validator(mode="after")
    def _moves(self) -> Self:
        if self.quantity == 0:
            raise ValueError("a movement moves something: quantity must not be 0")
        if self.kind == "issue" and self.quantity > 0:
            raise ValueError("an issue takes stock out: its quantity is negative")
        return self


class SupplySnapshot(Payload):
    """`supply.snapshot.v1`: a full count of one position. With `cursor` it is exact under any interleaving."""

    source: Code
    reference: Identifier
    sku: Identifier
    location: Code
    on_hand: QuantityOrZero
    as_of: Moment
    cursor: QuantityOrZero | None = None


class CountCorrected(Payload):
    """`supply.corrected.v1`: a count differed from what movements said; on hand was corrected. Published by the ATP."""

    source: Code
    reference: Identifier
    sku: Identifier
    location: Code
    correction: SignedQuantity
    on_hand: SignedQuantity
    corrected_at: Moment


class ScheduledReceipt(Payload):
    """`supply.receipt.v1`: due in, by (source, reference); quantity 0 withdraws it. The highest version counts."""

    source: Code
    reference: Identifier
    sku: Identifier
    location: Code
    quantity: QuantityOrZero
    due: Day
    certainty: Literal["confirmed", "planned"] = "confirmed"
    version: Version = 1


class Shipped(Payload):
    """`fulfilment.shipped.v1`: goods of one order line left a location, once per (source, reference)."""

    source: Code
    reference: Identifier
    order: OrderRef
    line: Identifier
    sku: Identifier
    location: Code
    quantity: Quantity
    occurred_at: Moment
    sequence: Version | None = None
    carrier: Code | None = None
    actual_cost_minor: QuantityOrZero | None = None


class Delivered(Payload):
    """`fulfilment.delivered.v1`: goods of one order line reached the customer, once per (source, reference)."""

    source: Code
    reference: Identifier
    order: OrderRef
    line: Identifier
    quantity: Quantity
    occurred_at: Moment


class Discrepancy(Payload):
    """`fulfilment.discrepancy.v1`: goods came wrong, damaged or too few, once per (source, reference)."""

    source: Code
    reference: Identifier
    order: OrderRef
    line: Identifier
    kind: Literal["wrong", "damaged", "short"]
    quantity: Quantity
    occurred_at: Moment
