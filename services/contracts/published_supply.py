"""Published versions of what is said about stock that a newer one has followed; they never change."""

from typing import Literal, Self

from pydantic import model_validator

from services.contracts.payload import Code, Identifier, Moment, Payload, QuantityOrZero, SignedQuantity, Version


class SupplyMovementV1(Payload):
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


class SupplySnapshotV1(Payload):
    """`supply.snapshot.v1`: a full count of one position. With `cursor` it is exact under any interleaving."""

    source: Code
    reference: Identifier
    sku: Identifier
    location: Code
    on_hand: QuantityOrZero
    as_of: Moment
    cursor: QuantityOrZero | None = None
