"""Who the customers are, which tiers there are, and who should move: everything on the topics `segments.*`."""

from decimal import Decimal
from typing import Annotated, Final, Literal

from pydantic import Field, field_serializer

from services.contracts.orders import CustomerRef
from services.contracts.payload import (
    Code,
    Identifier,
    MinorUnits,
    Moment,
    Money,
    Note,
    Payload,
    Quantity,
    QuantityOrZero,
    Version,
)
from services.contracts.service import BasisPoints

LISTED_MAX: Final = 1_000  # of one list of a policy: every decision's record carries the policy
HANDLING_MAX: Final = 20  # handling codes of one tier: each is on every schedule line

Strategy = Literal["win", "gain", "improve", "redistribute", "fill", "lose", "skip"]
HeldCheck = Literal[
    "line_quantity_max",
    "order_quantity_max",
    "line_value_max",
    "order_value_min",
    "order_value_max",
    "permitted_items",
    "permitted_channels",
    "permitted_zones",
]


class TierValidation(Payload):
    """What an order of the tier must pass before stock is taken. Null limits nothing, an empty list permits everything.

    Quantities are in base units, values are quantity times unit price in the currency's major unit; a line without a
    price fails every limit of value. An item is permitted by its SKU or by one of its groups. A check that fails
    refuses the line or the order, one that is `held` holds the whole order until somebody releases it.
    """

    line_quantity_max: Quantity | None = None
    order_quantity_max: Quantity | None = None
    line_value_max: Money | None = None
    order_value_min: Money | None = None
    order_value_max: Money | None = None
    permitted_items: Annotated[tuple[Identifier, ...], Field(max_length=LISTED_MAX)] = ()
    permitted_item_groups: Annotated[tuple[Code, ...], Field(max_length=LISTED_MAX)] = ()
    permitted_channels: Annotated[tuple[Code, ...], Field(max_length=LISTED_MAX)] = ()
    permitted_zones: Annotated[tuple[Code, ...], Field(max_length=LISTED_MAX)] = ()
    held: tuple[HeldCheck, ...] = ()

    @field_serializer("line_value_max", "order_value_min", "order_value_max", when_used="json")
    def _in_plain_digits(self, amount: Decimal | None) -> str | None:
        """As amounts are read: 1E+3 is how a Decimal may write a thousand, and no amount."""
        return None if amount is None else format(amount, "f")


class TierPolicy(Payload):
    """How a tier is served. A field is here only because something acts on it.

    `lead_time_days`: the requested arrival of an order without one. `carrier_classes`: the classes of service that the
    tier may use, in no order (empty: all). Penalties weigh plans against each other, in minor units. A month whose
    measure is below its target (in basis points; null: none) is a breach on `service.breaches.v1`. `validation`: what
    an order must pass before stock is taken (null: nothing). Every promise of the tier tells the warehouse in which
    order to pick (`pick_priority`, 1 first; null: the tier's rank), how to pack and how to handle.

    `strategy`: how what the tier was promised may move when promises are re-decided (each is explained in
    docs/adr/0038-strategies-say-who-falls-for-whom.md). From `lock_window_days` before its ship day on, what is
    promised is not moved.
    """

    lead_time_days: Annotated[int, Field(strict=True, ge=0, le=365)] = 5
    carrier_classes: tuple[Code, ...] = ()
    split_allowed: bool = True
    as_soon_as_possible: bool = True
    lateness_penalty_minor: MinorUnits = 100
    split_penalty_minor: MinorUnits = 0
    backorder_penalty_minor: MinorUnits = 1_000
    fill_rate_target_bp: BasisPoints | None = None
    on_time_target_bp: BasisPoints | None = None
    order_accuracy_target_bp: BasisPoints | None = None
    validation: TierValidation | None = None
    pick_priority: Annotated[int, Field(strict=True, ge=1, le=1_000_000, description="1 is picked first")] | None = None
    packaging: Code | None = None
    handling: Annotated[tuple[Code, ...], Field(max_length=HANDLING_MAX)] = ()
    strategy: Strategy = "gain"
    lock_window_days: Annotated[int, Field(strict=True, ge=0, le=365)] = 0


class TierDefined(Payload):
    """`tier.policy.v2`: a tier with its policy, at its highest version. Exactly one tier is the default."""

    tier: Code
    version: Version
    name: Annotated[Note, Field(min_length=1, max_length=100)]
    priority_rank: Annotated[int, Field(strict=True, ge=1, le=1_000_000, description="1 is served first")]
    is_default: bool = False
    active: bool = True
    policy: TierPolicy = TierPolicy()


class Assignment(Payload):
    """A customer is in a tier from (inclusive) to (exclusive, null = open). `sequence` never restarts per customer."""

    tier: Code
    effective_from: Moment
    effective_to: Moment | None = None
    sequence: Version
    reason: Note = ""
    kind: Literal["assigned", "override"] = "assigned"


class SegmentCurrent(Payload):
    """`segment.current.v1`: all that a subscriber needs of one customer: the assignment in force and those to come."""

    customer_id: Identifier
    sequence: Version
    status: Literal["active", "merged", "deleted"] = "active"
    merged_into: Identifier | None = None
    identifiers: tuple[CustomerRef, ...] = ()
    assignments: tuple[Assignment, ...] = ()


class SegmentHeartbeat(Payload):
    """`segment.heartbeat.v1`: to each partition of `segments.current.v1` once a second while all is published."""

    partition: QuantityOrZero
    beat_at: Moment


class SegmentChanged(Payload):
    """`segment.changed.v1`: one move of one customer."""

    customer_id: Identifier
    sequence: Version
    from_tier: Code | None
    to_tier: Code
    effective_from: Moment
    effective_to: Moment | None = None
    reason: Note
    author: Identifier
    rule: Code | None = None
    proposal_id: Identifier | None = None


class Evidence(Payload):
    """One number that a rule looked at, beside its limit."""

    name: Code
    value: Note
    limit: Note


class SegmentProposed(Payload):
    """`segment.proposed.v1`: a rule says that a customer belongs in another tier."""

    proposal_id: Identifier
    customer_id: Identifier
    from_tier: Code
    to_tier: Code
    rule: Code
    rule_version: Version
    as_of: Moment
    based_on_sequence: Version
    reason: Note
    evidence: tuple[Evidence, ...] = ()
