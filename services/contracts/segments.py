"""Who the customers are, which tiers there are, and who should move: everything on the topics `segments.*`."""

from decimal import Decimal
from typing import Annotated, Final, Literal, Self

from pydantic import Field, field_serializer, field_validator, model_validator
from pydantic_core import PydanticCustomError

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
MICRO_SEGMENTS_MAX: Final = 50  # of one tier: an order is held against each, in memory
SEGMENT_VALUES_MAX: Final = 100  # of one attribute of one micro-segment; more are a group or a region of their own
HANDLING_MAX: Final = 20  # handling codes of one tier: each is on every schedule line

DemandProfile = Literal["smooth", "intermittent", "erratic", "lumpy"]
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


class RefinedPolicy(Payload):
    """What a micro-segment has another value of; null leaves it as the tier has it. Each field as in the tier's policy.

    `validation` takes the place of the tier's as a whole: one that limits nothing frees its orders from all checks.
    """

    lead_time_days: Annotated[int, Field(strict=True, ge=0, le=365)] | None = None
    carrier_classes: tuple[Code, ...] | None = None
    split_allowed: bool | None = None
    as_soon_as_possible: bool | None = None
    lateness_penalty_minor: MinorUnits | None = None
    split_penalty_minor: MinorUnits | None = None
    backorder_penalty_minor: MinorUnits | None = None
    validation: TierValidation | None = None
    pick_priority: Annotated[int, Field(strict=True, ge=1, le=1_000_000)] | None = None
    packaging: Code | None = None
    handling: Annotated[tuple[Code, ...], Field(max_length=HANDLING_MAX)] | None = None


_Values = Annotated[tuple[Code, ...], Field(max_length=SEGMENT_VALUES_MAX)]
_Profiles = Annotated[tuple[DemandProfile, ...], Field(max_length=SEGMENT_VALUES_MAX)]


class MicroSegment(Payload):
    """Orders of a tier that are served by other values of its policy, and which ones.

    An order matches that has one of the values listed of each attribute for which any are: `zones`, `regions` and
    `channels` of the order, `item_groups` of all its lines, `demand_profiles` of its customer as `segments.profiles.v1`
    has it; one without a profile matches none that names any. Of several that match, the one with the most attributes
    counts; of as many the one that names item groups, then zones, channels, regions, demand profiles; then the first
    listed.
    """

    name: Code
    item_groups: _Values = ()
    zones: _Values = ()
    channels: _Values = ()
    regions: _Values = ()
    demand_profiles: _Profiles = ()
    policy: RefinedPolicy

    @property
    def attributes(self) -> dict[str, tuple[str, ...]]:
        """The attributes that are named, each with its values."""
        named: dict[str, tuple[str, ...]] = {
            "item_groups": self.item_groups,
            "zones": self.zones,
            "channels": self.channels,
            "regions": self.regions,
            "demand_profiles": self.demand_profiles,
        }
        return {attribute: values for attribute, values in named.items() if values}

    @model_validator(mode="after")
    def _refines(self) -> Self:
        if not self.attributes:
            raise PydanticCustomError("segment_of_all", "a micro-segment names an attribute of orders")
        if self.policy == RefinedPolicy():
            raise PydanticCustomError("segment_of_nothing", "a micro-segment changes something of the policy")
        return self


_AMBIGUOUS: Final = PydanticCustomError(
    "segments_ambiguous", "an order may match two micro-segments by the same values, and neither is more specific"
)


def _ambiguous(one: MicroSegment, other: MicroSegment) -> bool:
    """Whether neither of two is more specific, and an order may match both by the same values."""
    mine, others = one.attributes, other.attributes
    return mine.keys() == others.keys() and all(set(mine[name]) & set(others[name]) for name in mine)


class TierPolicy(Payload):
    """How a tier is served. A field is here only because something acts on it.

    `lead_time_days`: the requested arrival of an order without one. `carrier_classes`: the classes of service that the
    tier may use, in no order (empty: all). Penalties weigh plans against each other, in minor units. A month whose
    measure is below its target (in basis points; null: none) is a breach on `service.breaches.v1`. `validation`: what
    an order must pass before stock is taken (null: nothing). Every promise of the tier tells the warehouse in which
    order to pick (`pick_priority`, 1 first; null: the tier's rank), how to pack and how to handle.

    `strategy`: how what the tier was promised may move when promises are re-decided (each is explained in
    docs/adr/0038-strategies-say-who-falls-for-whom.md). From `lock_window_days` before its ship day on, what is
    promised is not moved. `micro_segments` refine the policy for some of the tier's orders
    (docs/adr/0044-an-order-has-one-policy.md).
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
    micro_segments: Annotated[tuple[MicroSegment, ...], Field(max_length=MICRO_SEGMENTS_MAX)] = ()

    @field_validator("micro_segments")
    @classmethod
    def _told_apart(cls, segments: tuple[MicroSegment, ...]) -> tuple[MicroSegment, ...]:
        names = [each.name for each in segments]
        if len(dict.fromkeys(names)) < len(names):
            raise PydanticCustomError("segment_named_twice", "two micro-segments have one name")
        for place, one in enumerate(segments):
            for other in segments[:place]:
                if _ambiguous(one, other):
                    raise _AMBIGUOUS
        return segments


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


class SegmentProfiled(Payload):
    """`segment.profiled.v1`: how even a customer's demand is in time and size, from a moment on.

    It is told when it changes, at most once a week unless it begins or ends. `demand_profile` is null where too little
    is ordered to tell, and of a customer that was merged into another one or deleted. `evidence` has the numbers beside
    the limits between profiles; docs/reclassification.md says how they are reckoned.
    """

    customer_id: Identifier
    sequence: Version
    demand_profile: DemandProfile | None
    since: Moment
    evidence: tuple[Evidence, ...] = ()
