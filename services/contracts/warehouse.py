"""What a warehouse finds out about goods of an order, on `fulfilments.v1` (and over HTTP)."""

from services.contracts.orders import OrderRef
from services.contracts.payload import Code, Identifier, Moment, Payload, Quantity, Version
from services.contracts.supply import StockStatus


class ShortPicked(Payload):
    """`fulfilment.short_picked.v1`: goods of one order line were not found where they were promised from.

    `quantity` units less are there than were thought: on hand falls by as much, and the line is planned anew at once.
    It is the correction of the stock itself: the source sends no adjustment beside it. Once per (source, reference).
    """

    source: Code
    reference: Identifier
    order: OrderRef
    line: Identifier
    sku: Identifier
    location: Code
    quantity: Quantity
    occurred_at: Moment
    sequence: Version | None = None


class Returned(Payload):
    """`fulfilment.returned.v1`: goods of one order line came back to a location, once per (source, reference).

    They go into inspection, or into another `status`; a status change makes them available again.
    """

    source: Code
    reference: Identifier
    order: OrderRef
    line: Identifier
    sku: Identifier
    location: Code
    quantity: Quantity
    occurred_at: Moment
    sequence: Version | None = None
    status: StockStatus = "quality"
