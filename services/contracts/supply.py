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
    broken_rule,
)

StockStatus = Literal["available", "quality", "blocked", "damaged"]


class SupplyMovement(Payload):
    """`supply.movement.v2`: stock of a position changes once per (source, reference).

    `receipt` brings stock in and lowers the scheduled receipt named by `receipt_reference` of `receipt_source` (by
    default the movement's own source; a negative quantity takes it back); `adjustment` (either sign) corrects a count;
    `issue` (negative) takes stock out for a use other than an order; `status_change` (positive) moves stock from
    `status` to `to_status`; `transfer_shipped` (negative, at the one location) and `transfer_received` (positive, at
    the other) close the commitment and the receipt of the transfer named by `transfer_reference` of `transfer_source`.

    `status` says which stock it is. Only `available` stock is on hand for promises; `quality`, `blocked` and `damaged`
    stock does not count until a status change makes it available.
    """

    source: Code
    reference: Identifier
    sku: Identifier
    location: Code
    kind: Literal["receipt", "adjustment", "issue", "status_change", "transfer_shipped", "transfer_received"]
    quantity: SignedQuantity
    occurred_at: Moment
    sequence: Version | None = None
    receipt_reference: Identifier | None = None
    receipt_source: Code | None = None
    status: StockStatus = "available"
    to_status: StockStatus | None = None
    transfer_reference: Identifier | None = None
    transfer_source: Code | None = None

    @model_validator(mode="after")
    def _moves(self) -> Self:
        if self.quantity == 0:
            raise broken_rule("a movement moves something: quantity must not be 0")
        if self.kind in ("issue", "transfer_shipped") and self.quantity > 0:
            raise broken_rule("stock goes out: the quantity is negative")
        if self.kind in ("status_change", "transfer_received") and self.quantity < 0:
            raise broken_rule("the quantity is positive")
        return self

    @model_validator(mode="after")
    def _names_what_it_needs(self) -> Self:
        changes = self.kind == "status_change"
        if changes != (self.to_status is not None) or self.to_status == self.status:
            raise broken_rule("a status change names another status in to_status, and nothing else does")
        if self.kind.startswith("transfer") != (self.transfer_reference is not None):
            raise broken_rule("what belongs to a transfer names it in transfer_reference, and nothing else does")
        return self


class StatusCounts(Payload):
    """Counted stock that is not available; a status that is left out was not counted."""

    quality: QuantityOrZero | None = None
    blocked: QuantityOrZero | None = None
    damaged: QuantityOrZero | None = None


class SupplySnapshot(Payload):
    """`supply.snapshot.v2`: a full count of one position. With `cursor` it is exact under any interleaving.

    `on_hand` is available stock; `statuses` may count the rest, under the same cursor.
    """

    source: Code
    reference: Identifier
    sku: Identifier
    location: Code
    on_hand: QuantityOrZero
    as_of: Moment
    cursor: QuantityOrZero | None = None
    statuses: StatusCounts | None = None


class Transfer(Payload):
    """`supply.transfer.v1`: goods of one item are to move between two locations, by (source, reference).

    One document: `quantity` is committed at `from_location` for `ship_date` and due at `to_location` on `due`.
    Movements `transfer_shipped` and `transfer_received` close both. The highest version counts. `cancelled`: what has
    not shipped stays where it is, and what is on the way still arrives; `closed`: nothing more ships, and nothing more
    arrives.
    """

    source: Code
    reference: Identifier
    sku: Identifier
    from_location: Code
    to_location: Code
    quantity: Quantity
    ship_date: Day
    due: Day
    state: Literal["open", "cancelled", "closed"] = "open"
    version: Version = 1

    @model_validator(mode="after")
    def _goes_somewhere(self) -> Self:
        if self.from_location == self.to_location:
            raise broken_rule("a transfer goes to another location")
        if self.due < self.ship_date:
            raise broken_rule("a transfer arrives on or after the day on which it ships")
        return self


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


class Buffer(Payload):
    """Safety stock of a position, never offered; with a `channel`, what is never offered to that channel besides it."""

    sku: Identifier
    location: Code
    buffer: QuantityOrZero
    channel: Code | None = None


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
