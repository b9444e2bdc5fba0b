"""Promises that gave something up for others, and those that must be whole and are not, on `promises.v1`."""

from typing import Annotated

from pydantic import Field

from services.contracts.orders import OrderRef
from services.contracts.payload import Code, Day, Identifier, Moment, Payload, Quantity, QuantityOrZero
from services.contracts.promises import Constraint, Promise


class PreemptedBy(Payload):
    """Who took it: a promise, the tier that it was served as, and how many units."""

    promise_id: Identifier
    tier: Code
    quantity: Quantity


class PromisePreempted(Payload):
    """`promise.preempted.v1`: a promise is worse than it was, because others were served first.

    `old` and `new` are those of the `promise.changed` of the same revision, whose cause is `preempted`. What it lost
    was given to the promises in `by` in the same transaction; what it has instead, or that it waits, is in `new`.
    """

    order: OrderRef
    promise_id: Identifier
    customer_id: Identifier | None
    old: Promise
    new: Promise
    by: Annotated[tuple[PreemptedBy, ...], Field(min_length=1)]


class PromiseUnmet(Payload):
    """`promise.unmet.v1`: a line of a tier that must win is not fully confirmed on its date.

    Of its `quantity`, `missing` units are not promised, and `late` ones arrive after `requested_arrival`; both 0 say
    that all of it is confirmed on its date now. `why` is what binds. The newest event of a line counts.
    """

    order: OrderRef
    promise_id: Identifier
    customer_id: Identifier | None
    line: Identifier
    sku: Identifier
    tier: Code
    quantity: Quantity
    missing: QuantityOrZero
    late: QuantityOrZero
    requested_arrival: Day
    why: tuple[Constraint, ...] = ()
    detected_at: Moment
