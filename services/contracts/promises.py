"""What Tiercel answers and every change of an answer, on `promises.v1` (and the same documents over HTTP)."""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from services.contracts.orders import CustomerRef, OrderRef
from services.contracts.payload import Code, Day, Identifier, Moment, Note, Payload, Quantity, QuantityOrZero, Version


class LineOutcome(StrEnum):
    """What a line got; where several would apply, the first in this order is given."""

    CANCELLED = "cancelled"
    NOT_PERMITTED = "not_permitted"
    HELD_FOR_RELEASE = "held_for_release"
    UNKNOWN_ITEM = "unknown_item"
    ITEM_INACTIVE = "item_inactive"
    UNKNOWN_UNIT = "unknown_unit"
    BELOW_PACK = "below_pack"
    NO_SOURCE = "no_source"
    STOPPED = "stopped"
    SHIP_COMPLETE_UNMET = "ship_complete_unmet"
    DISCONTINUED = "discontinued"
    NOT_BACKORDERED = "not_backordered"
    BELOW_MINIMUM = "below_minimum"
    BACKORDERED = "backordered"
    PARTLY_PROMISED = "partly_promised"
    PROMISED_LATE = "promised_late"
    PROMISED = "promised"


class PromiseState(StrEnum):
    """Where a promise is in its life; the machine is drawn in `services.atp.domain.promise_state`."""

    HELD = "held"
    PROMISED = "promised"
    CONFIRMED = "confirmed"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    REFUSED = "refused"
    CLOSED = "closed"
    AWAITING_RELEASE = "awaiting_release"


class Routing(Payload):
    """What a warehouse and a carrier's system need of a promised quantity, as it was decided.

    `ship_by` is when the goods must have left: the carrier's pick-up on the ship date, else the service's cut-off, else
    the end of that day, by the clock of the location. `pick_priority` 1 is picked first; with packaging and handling it
    is of the policy of the tier that was served.
    """

    carrier_class: Code
    ship_by: Moment
    pick_priority: Annotated[int, Field(ge=1)]
    packaging: Code | None = None
    handling: tuple[Code, ...] = ()


class ScheduleLine(Payload):
    """A promised quantity with where it comes from, how it travels and when.

    `routing` is null where no lane says how it travels: of what another system promised, or of promises made before
    there was any.
    """

    quantity: Quantity
    location: Code
    service: Code
    ship_date: Day
    arrival_date: Day
    cost_minor: int
    routing: Routing | None = None


class Constraint(Payload):
    """Why not more, or not sooner: what bound, what it would have allowed, and the smallest change that would help.

    `needed` is the size of that change as far as it concerns this constraint: units, or days for a lane,
    a calendar or a cut-off.
    """

    kind: Literal[
        "supply",
        "protection",
        "quota",
        "lane",
        "item",
        "ship_complete",
        "minimum_quantity",
        "validation",
        "unit",
        "pack",
        "backorders",
        "stop",
        "calendar",
        "cut_off",
        "rule",
        "buffer",
        "capacity",
        "sourcing_rule",
        "fulfilment_mode",
        "shipments",
        "preemption",
    ]
    reference: str
    allowed: QuantityOrZero | None = None
    day: Day | None = None
    tier: Code | None = None
    would_help: Note = ""
    needed: QuantityOrZero | None = None


class Alternative(Payload):
    """Another item that the line could have: how much of it by when. Nothing is taken until it is ordered.

    It stands for `replaces` of the line, by the `rule` (document and name) of substitution, or by the item's own entry.
    """

    sku: Identifier
    quantity: Quantity
    arrival_date: Day
    replaces: QuantityOrZero | None = None
    rule: str | None = None


class RoutedBy(Payload):
    """A rule (document and name) that said which ways could be taken for a line."""

    kind: Literal["sourcing_rule", "fulfilment_mode"]
    rule: str
    version: Version


class PromisedLine(Payload):
    """The answer for one line, in base units. What is neither promised nor backordered was refused."""

    line: Identifier
    sku: Identifier
    quantity: Quantity
    outcome: LineOutcome
    promised: QuantityOrZero
    backordered: QuantityOrZero
    shipped: QuantityOrZero = 0
    returned: QuantityOrZero = 0
    requested_arrival: Day | None = None
    schedule: tuple[ScheduleLine, ...] = ()
    why: tuple[Constraint, ...] = ()
    alternatives: tuple[Alternative, ...] = ()
    routed_by: tuple[RoutedBy, ...] = ()


class ServedAs(Payload):
    """The tier that counted, and how it was known. `micro_segment`: the one whose policy served the order, if any."""

    tier: Code
    priority_rank: int
    policy_version: Version
    micro_segment: Code | None = None
    basis: Literal["assigned", "unknown_customer", "unassigned", "caller_override"]
    assignment_sequence: Version | None = None
    tier_at_order: Code
    projection_stale: bool = False


class Promise(Payload):
    """The promise of one order, whole. `revision` counts its changes and is the event's per-key sequence.

    `held_until` is there for a hold: until then it can be confirmed. The open rest of a hold does not wait; it does
    from its confirmation on. That of a refused one never does. `budget_spent`: the search for its first plan ended at
    its bound in nodes, so that a better one may exist.
    """

    promise_id: Identifier
    order: OrderRef
    revision: Version
    state: PromiseState
    customer: CustomerRef
    customer_id: Identifier | None
    served_as: ServedAs
    decision_id: Identifier
    decided_at: Moment
    ordered_at: Moment
    zone: Code
    pick_up_at: Code | None = None
    channel: Code
    ship_complete: bool
    max_shipments: Quantity | None = None
    budget_spent: bool = False
    lines: tuple[PromisedLine, ...]
    cost_minor: int
    currency: Code
    held_until: Moment | None = None


class PromiseAnswered(Payload):
    """`promise.answered.v2`: the first answer for an order."""

    promise: Promise


class PromiseChanged(Payload):
    """`promise.changed.v2`: a later answer, with the one before it, the cause, and the reason that somebody gave."""

    old: Promise
    new: Promise
    cause: Literal[
        "confirmed",
        "cancelled",
        "supply_arrived",
        "supply_changed",
        "stock_freed",
        "tier_changed",
        "allocation_changed",
        "shipped",
        "delivered",
        "validation_released",
        "expired",
        "amended",
        "released",
        "transferred",
        "revived",
        "expedited",
        "reassigned",
        "withdrawn",
        "stop_lifted",
        "returned",
        "execution",
        "horizon_reached",
        "routing_changed",
        "backorder_came",
        "preempted",
        "reprocessed",
    ]
    reason: Note = ""
