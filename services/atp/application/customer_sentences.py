"""What may be told to a customer, for every state, outcome, reason and change: one sentence each.

A sentence speaks of the customer's own order: its quantities and its days. It names no tier, location, document, other
customer or stock figure, and uses no word of ours. A test holds every sentence to that, and that none is missing.
"""

from collections.abc import Mapping
from typing import Any, Final

from services.atp.domain.validation_rules import Check
from services.contracts.promises import LineOutcome, PromiseState
from services.contracts.risks import RiskCause

STATES: Final[Mapping[PromiseState, str]] = {
    PromiseState.HELD: "We keep this offer for you for a limited time.",
    PromiseState.PROMISED: "We can deliver your order as stated for each line.",
    PromiseState.CONFIRMED: "Your order is confirmed.",
    PromiseState.EXPIRED: "Our offer has expired; please ask us again.",
    PromiseState.CANCELLED: "Your order is cancelled.",
    PromiseState.REFUSED: "We are sorry that we cannot accept your order.",
    PromiseState.CLOSED: "Everything in your order has left our warehouse.",
    PromiseState.AWAITING_RELEASE: "We are checking your order and will come back to you.",
}
ALL_WAITS: Final = "We have your order and cannot confirm a day of delivery for any of it yet."
# {asked} and {coming} are quantities of the line, {day} is the day on which the last of it arrives.
OUTCOMES: Final[Mapping[LineOutcome, str]] = {
    LineOutcome.CANCELLED: "This line is cancelled.",
    LineOutcome.NOT_PERMITTED: "We are sorry that we cannot accept this line.",
    LineOutcome.HELD_FOR_RELEASE: "We are checking your order and will come back to you.",
    LineOutcome.UNKNOWN_ITEM: "We do not know this article; please check its number.",
    LineOutcome.ITEM_INACTIVE: "This article is no longer offered.",
    LineOutcome.UNKNOWN_UNIT: "This article is not sold in the unit that you asked for.",
    LineOutcome.BELOW_PACK: "The quantity is less than the smallest one that we deliver.",
    LineOutcome.NO_SOURCE: "We do not deliver this article to the destination that you gave.",
    LineOutcome.STOPPED: "This article cannot be delivered at the moment; we will tell you as soon as it can.",
    LineOutcome.SHIP_COMPLETE_UNMET: "You want everything together, and we cannot confirm all of it yet.",
    LineOutcome.DISCONTINUED: "This article is discontinued and sold out for the day that you asked for.",
    LineOutcome.NOT_BACKORDERED: "This article is sold out for the day that you asked for.",
    LineOutcome.BELOW_MINIMUM: "We cannot confirm the least quantity that you accept yet.",
    LineOutcome.BACKORDERED: "We cannot confirm a day of delivery yet; we will tell you as soon as we can.",
    LineOutcome.PARTLY_PROMISED: "{coming} of {asked} will arrive by {day}.",
    LineOutcome.PROMISED_LATE: "All {asked} will arrive by {day}, which is later than you asked for.",
    LineOutcome.PROMISED: "All {asked} will arrive by {day}.",
}
REST_WAITS: Final = "We will tell you when the rest can be delivered."
_SHORT: Final = "The quantity that you asked for is not available for that day."
REASONS: Final[Mapping[str, str]] = {
    "supply": _SHORT,
    "protection": _SHORT,
    "quota": _SHORT,
    "lane": "Delivery to you takes longer than the day that you asked for allows.",
    "item": "This article cannot be ordered.",
    "ship_complete": "You want everything together.",
    "minimum_quantity": "Less than the least quantity that you accept is available for that day.",
    "validation": "Your order does not meet our terms.",
    "unit": "This article is sold in other units.",
    "pack": "This article is sold in full packs.",
    "backorders": "We take no orders for a later delivery of this article.",
    "stop": "This article cannot be delivered at the moment.",
    "calendar": "We do not dispatch on every day.",
    "buffer": "We cannot promise more of this article here.",
    "rule": "We cannot promise more of this article for these days.",
    "capacity": "No more can leave our warehouse on these days.",
    "sourcing_rule": "We send this article from other places.",
    "fulfilment_mode": "We send this article in another way.",
    "shipments": "You want no more deliveries than these.",
    "cut_off": "Your order came too late for today's dispatch.",
    "preemption": "We had to change what we had offered you.",
}
_NOT_THERE: Final = frozenset({"supply", "protection", "quota"})
# Reasons that a line's outcome has told already, or that would be misread beside it.
TOLD_BY_OUTCOME: Final[Mapping[LineOutcome, frozenset[str]]] = {
    LineOutcome.UNKNOWN_ITEM: frozenset({"item"}),
    LineOutcome.ITEM_INACTIVE: frozenset({"item"}),
    LineOutcome.UNKNOWN_UNIT: frozenset({"unit"}),
    LineOutcome.NO_SOURCE: frozenset({"lane"}),
    LineOutcome.STOPPED: frozenset({"stop"}),
    LineOutcome.SHIP_COMPLETE_UNMET: frozenset({"ship_complete"}),
    LineOutcome.DISCONTINUED: _NOT_THERE,
    LineOutcome.NOT_BACKORDERED: _NOT_THERE,
    LineOutcome.BELOW_MINIMUM: frozenset({"minimum_quantity"}),
}
CHECKS: Final[Mapping[Check, str]] = {
    "line_quantity_max": "The quantity of this line is more than we accept in one order.",
    "order_quantity_max": "The quantity of your order is more than we accept in one order.",
    "line_value_max": "The value of this line is more than we accept in one order.",
    "order_value_min": "The value of your order is less than we accept.",
    "order_value_max": "The value of your order is more than we accept in one order.",
    "permitted_items": "This article is not part of what we have agreed with you.",
    "permitted_channels": "We do not accept your orders by this way; please contact us.",
    "permitted_zones": "We do not deliver your orders to the destination that you gave.",
    "credit_block": "Please contact us about your account.",
    "compliance_block": "Please contact us; we need some information from you.",
}
CHANGES: Final[Mapping[str, str]] = {
    "confirmed": "You confirmed the order.",
    "cancelled": "The order was cancelled.",
    "supply_arrived": "New goods came in, and we could do more for you.",
    "supply_changed": "What we expect to come in changed, and we could do more for you.",
    "stock_freed": "Goods became available, and we could do more for you.",
    "tier_changed": "Your terms changed, and we looked at your order again.",
    "allocation_changed": "We looked at your order again.",
    "shipped": "Goods left our warehouse.",
    "delivered": "Goods were delivered.",
    "validation_released": "We have checked your order.",
    "expired": "The time for which we kept the offer is over.",
    "amended": "The order was changed as you asked.",
    "released": "A part of the order was given up.",
    "transferred": "The goods will come by another way.",
    "revived": "We made the offer again.",
    "expedited": "We are treating your order as urgent.",
    "reassigned": "We had to plan your delivery anew.",
    "withdrawn": "We had to take a part of our offer back.",
    "stop_lifted": "The article can be delivered again.",
    "returned": "Goods came back to us.",
    "execution": "Some of the goods were not found when we packed your order; we planned them anew.",
    "routing_changed": "We looked at your order again.",
    "horizon_reached": "Your goods will come by another way, as early as we said.",
    "backorder_came": "We looked at your order again, and could do more for you.",
    "preempted": "We are sorry that we had to change what we had offered you.",
    "reprocessed": "We looked at your order again.",
}
RISKS: Final[Mapping[RiskCause, str]] = {
    "supply_cut": "The delivery may be delayed; we are working on it.",
    "receipt_late": "The delivery may be delayed, because goods reach us later than expected.",
    "horizon_reached": "The delivery may be delayed; we are working on it.",
    "execution": "The delivery may be delayed; we are working on it.",
    "date_passed": "The delivery may be delayed, because goods reach us later than expected.",
    "cut_over": "The delivery may be delayed; we are working on it.",
}


def of_order(document: Mapping[str, Any]) -> str:
    """What is told of the order as a whole."""
    state = PromiseState(document["state"])
    if state is PromiseState.PROMISED and not any(line["promised"] for line in document["lines"]):
        return ALL_WAITS
    return STATES[state]


def of_reasons(line: Mapping[str, Any]) -> tuple[str, ...]:
    """What is told of why a line did not get all that it wanted, each sentence once, beside what `of_line` tells."""
    told = TOLD_BY_OUTCOME.get(LineOutcome(line["outcome"]), frozenset())
    return tuple(dict.fromkeys(of_reason(why) for why in line["why"] if why["kind"] not in told))


def of_line(line: Mapping[str, Any]) -> str:
    """What is told of a line, as in the promise document: what comes when, and whether the rest is still awaited."""
    days = [part["arrival_date"] for part in line["schedule"]]
    told = OUTCOMES[LineOutcome(line["outcome"])]
    told = told.format(asked=line["quantity"], coming=line["promised"], day=max(days, default=""))
    return f"{told} {REST_WAITS}" if line["promised"] and line["backordered"] else told


def of_reason(constraint: Mapping[str, Any]) -> str:
    """What is told of a constraint."""
    if constraint["kind"] == "validation":
        return CHECKS.get(constraint["reference"], REASONS["validation"])
    return REASONS[constraint["kind"]]
