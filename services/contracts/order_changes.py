"""Changes of an order by its source, on `orders.v1` (and the same bodies over HTTP).

Each carries a version of the order that is higher than the one stored; the same change again under that version is a
repeat. An older one is recorded and not applied.
"""

from typing import Annotated, Self

from pydantic import Field, model_validator

from services.contracts.orders import HOLD_SECONDS_MAX, OrderPlaced, OrderRef
from services.contracts.payload import LINES_MAX, Code, Identifier, Note, Payload, Quantity, broken_rule

HoldSeconds = Annotated[int, Field(strict=True, ge=1, le=HOLD_SECONDS_MAX)]


class OrderAmended(OrderPlaced):
    """`order.amended.v1`: the whole order as it is wanted now.

    It keeps what it has unless the new plan is better; with `replan` it is planned anew in any case. Customer and
    channel do not change. `hold_seconds` renews a hold.
    """

    replan: bool = False
    reason: Note = ""


class ReleasedQuantity(Payload):
    """A promised quantity of a line that is given back, at a location or wherever it arrives last."""

    line: Identifier
    quantity: Quantity
    location: Code | None = None


class PartReleased(Payload):
    """Quantities that the source gives back and orders less of."""

    lines: Annotated[tuple[ReleasedQuantity, ...], Field(min_length=1, max_length=LINES_MAX)]
    reason: Note = ""

    @model_validator(mode="after")
    def _told_apart(self) -> Self:
        lines = [each.line for each in self.lines]
        if len(dict.fromkeys(lines)) < len(lines):
            raise broken_rule("a line is named once")
        return self


class OrderReleased(PartReleased):
    """`order.released.v1`: the source gives back a part of what it was promised, and orders so much less."""

    order: OrderRef


class OrderLineRef(Payload):
    """A line of another order of the same source."""

    order_id: Identifier
    line: Identifier


class PartTransferred(Payload):
    """A promised quantity of a line that is to come from another location, or to serve another order of the customer.

    Without `quantity` it is all that the line holds (at `from_location`, if that is given). To another location the
    order keeps it; to another order it is handed over, and this order wants so much less.
    """

    line: Identifier
    quantity: Quantity | None = None
    from_location: Code | None = None
    to_location: Code | None = None
    to_order: OrderLineRef | None = None
    reason: Note = ""

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.to_location is None) == (self.to_order is None):
            raise broken_rule("either to_location or to_order")
        return self


class OrderTransferred(PartTransferred):
    """`order.transferred.v1`: a promised quantity comes from another location, or serves another order."""

    order: OrderRef


class HoldRevived(Payload):
    """An expired hold that is wanted again; with `hold_seconds` as a hold, without as a promise."""

    hold_seconds: HoldSeconds | None = None
    reason: Note = ""


class OrderRevived(HoldRevived):
    """`order.revived.v1`: an expired hold gets a new promise, if stock allows."""

    order: OrderRef
