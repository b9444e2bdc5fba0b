"""What things cost: effective-dated inputs on `catalog.v1`, and what was done for an order on `fulfilments.v1`.

Amounts are in minor units of the deployment's currency and may have decimals: a tablet costs a fraction of a cent.
"""

from decimal import Decimal
from typing import Annotated, Final, Literal

from pydantic import Field

from services.contracts.orders import CustomerRef, OrderRef
from services.contracts.payload import (
    Code,
    Day,
    Identifier,
    MinorUnits,
    Moment,
    Money,
    Payload,
    Quantity,
    QuantityOrZero,
    Version,
)

COST_DAYS_MAX: Final = 4_000  # days on which something was done for one order: more than ten years of them
ACTIVITIES: Final = ("order", "line", "pick", "pallet", "delivery", "return", "contact")
Activity = Literal["order", "line", "pick", "pallet", "delivery", "return", "contact"]
Amount = Annotated[Money, Field(description="in minor units of the currency; decimals are allowed")]


class LandedCost(Payload):
    """`catalog.landed_cost.v1`: what a base unit of an item costs, all in, from a day on until a later entry.

    Of one item and day the highest version counts; `cost_minor` null withdraws the entry.
    """

    sku: Identifier
    effective_from: Day
    cost_minor: Amount | None
    version: Version = 1


class ActivityRate(Payload):
    """`catalog.activity_rate.v1`: what an activity costs each time, from a day on until a later entry.

    Of one activity and day the highest version counts; `rate_minor` null withdraws the entry.
    """

    activity: Activity
    effective_from: Day
    rate_minor: Amount | None
    version: Version = 1


class ActivityReported(Payload):
    """`fulfilment.activity.v1`: something was done for an order, once per (source, reference).

    It is needed for what the ledger does not know (pallets, contacts). With an actual cost it takes the place of as
    many activities that the ledger counts.
    """

    source: Code
    reference: Identifier
    order: OrderRef
    activity: Activity
    quantity: Quantity = 1
    occurred_at: Moment
    actual_cost_minor: MinorUnits | None = None


class CostOfDay(Payload):
    """What was done for an order on one day, as far as it is known. `missing` activities or units have no cost.

    `cost_to_serve_minor` is everything but the goods, which are `goods_minor`.
    """

    day: Day
    cost_to_serve_minor: Amount
    goods_minor: Amount
    missing: QuantityOrZero = 0


class OrderCosted(Payload):
    """`order.costed.v1`: what an order cost so far: totals by day, not differences; the highest `sequence` counts.

    Published where anything of it is known, and again whenever it changes: by something that was done, told or
    corrected, or by a rate. `customer_id` is the registry's, or null, as in `order.recorded.v2`.
    """

    order: OrderRef
    sequence: Version
    customer_id: Identifier | None
    customer: CustomerRef
    currency: Code
    costed_at: Moment
    days: Annotated[tuple[CostOfDay, ...], Field(max_length=COST_DAYS_MAX)]


def exact(amount: Decimal | None) -> str | None:
    """An amount as it is stored and told: plain digits."""
    return None if amount is None else f"{amount:f}"
