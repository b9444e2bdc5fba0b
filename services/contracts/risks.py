"""Promises that supply no longer covers, on `promises.v1`."""

from typing import Literal

from services.contracts.orders import OrderRef
from services.contracts.payload import Code, Day, Identifier, Moment, Payload, Quantity, QuantityOrZero

RiskCause = Literal["supply_cut", "receipt_late", "horizon_reached", "execution", "date_passed", "cut_over"]
"""What brought it about: less on hand, or more kept of it; a receipt that is late, smaller or gone; an assumed receipt
that nothing real replaced; goods that the warehouse did not find; a receipt too long past due to be counted on;
or open orders of a former system that were taken over beyond supply."""


class PromiseAtRisk(Payload):
    """`promise.at_risk.v1`: more is committed than there is, and this part of a promise is not covered.

    The promise keeps its dates. `quantity` of the `promised` units that are to be available on `available_on` is not
    covered; 0 says that all of it is covered again. `covered_on` is the first day on which it would be, as supply is
    known now; null: no day. `part` counts the schedule lines ever made of the line. The newest event of a part counts.
    """

    order: OrderRef
    promise_id: Identifier
    customer_id: Identifier | None
    line: Identifier
    part: Quantity
    sku: Identifier
    location: Code
    tier: Code
    promised: Quantity
    quantity: QuantityOrZero
    available_on: Day
    arrival_date: Day
    covered_on: Day | None
    cause: RiskCause
    detected_at: Moment
