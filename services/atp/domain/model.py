"""The values that a decision reads and writes.

Days are proleptic ordinals (`date.toordinal()`) in the shipping location's calendar, quantities are integers in the
item's base unit, money is integer minor units. All values are immutable but `Book`, the working copy of one batch.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

from services.atp.domain.binding_kinds import BindingKind
from services.atp.domain.routing_rules import NOTHING_RULED, Alternative, RoutedBy, RoutingRules
from services.atp.domain.service_rule import SERVED_BY_TIER, ServiceRule, SetAside
from services.atp.domain.strategies import Strategy
from services.atp.domain.validation_rules import Block, ValidationRules

Day = int
ProtectionMode = Literal["prioritised", "core"]
UsageKind = Literal["protection", "quota", "node", "shipped", "asked", "capacity"]
Basis = Literal["quantity", "percent", "ratio"]
TakenFrom = Literal["own", "parent", "borrowed"]
RuleKind = Literal["cumulative", "discrete", "periods"]
BackorderPolicy = Literal["open", "none", "until", "limited", "discontinued"]


class Calendar(NamedTuple):
    """Days that are open: by weekday (Monday first), but for `closed` days and besides `opened` ones, ascending."""

    weekdays: tuple[bool, ...]
    closed: tuple[Day, ...] = ()
    opened: tuple[Day, ...] = ()


class PositionKey(NamedTuple):
    """An item at a location; the total order of locks."""

    item_id: str
    location_id: str


class UsageKey(NamedTuple):
    """A counter of what a protection, quota or node has given; the total order of locks.

    `shipped` counts what left a protection's position in its period: gross supply is never lowered by shipments.
    `asked` counts, by the day of the decision, what was taken of a protection that is re-sized by an expectation.
    `capacity` counts, by ship day, what leaves a location: of all tiers, and of a tier that has a share.
    """

    kind: UsageKind
    limit_id: str
    period_start: Day


@dataclass(frozen=True, slots=True)
class Tier:
    """A tier with the policy fields that a decision uses. `priority_rank` 1 is served first.

    `pick_priority`, `packaging` and `handling` decide nothing: they are how the warehouse picks (1 first; None: by
    rank), packs and handles what the tier is promised. `strategy`: how what its lines have may move when they are
    re-decided. From `lock_window_days` before its ship day on, what a line has does not move. `micro_segment` names the
    one whose values these are (`services.atp.domain.micro_segments`; None: the tier's own).
    """

    tier: str
    priority_rank: int
    policy_version: int
    lead_time_days: int = 5
    carrier_classes: tuple[str, ...] = ()
    split_allowed: bool = True
    as_soon_as_possible: bool = True
    lateness_penalty_minor: int = 100
    split_penalty_minor: int = 0
    backorder_penalty_minor: int = 1_000
    validation: ValidationRules | None = None
    pick_priority: int | None = None
    packaging: str | None = None
    handling: tuple[str, ...] = ()
    strategy: Strategy = "gain"
    lock_window_days: int = 0
    micro_segment: str | None = None


class Backordering(NamedTuple):
    """Whether the rest of a line may wait; see `services.contracts.items.Backordering`."""

    policy: BackorderPolicy = "open"
    until: Day | None = None
    limit: int | None = None


OPEN: Final = Backordering()


class PromisingRule(NamedTuple):
    """What is offered of supply; see `services.atp.domain.promising_rules`. Windows are in periods."""

    kind: RuleKind = "cumulative"
    period_days: int = 1
    backward: int = 0
    forward: int = 0
    accumulation: int = 0


CUMULATIVE: Final = PromisingRule()


@dataclass(frozen=True, slots=True)
class Item:
    """What the master data says of an item.

    `units` are (unit, base units in it), `base_unit` not among them; confirmed quantities are multiples of
    `pack_size`; `substitutes` are items that may be offered instead, the best first. `supply_stands`: what is assumed
    stays supply until it ships (`services.atp.domain.made_to_order`).
    """

    item_id: str
    active: bool = True
    planned_receipts_count: bool = False
    checking_horizon_days: int | None = None
    past_due_supply_days: int = 7
    base_unit: str = "each"
    pack_size: int = 1
    weight_grams: int = 0
    units: tuple[tuple[str, int], ...] = ()
    groups: tuple[str, ...] = ()
    criticality: str | None = None
    substitutes: tuple[str, ...] = ()
    backorders: Backordering = OPEN
    rule: PromisingRule = CUMULATIVE
    supply_stands: bool = False


@dataclass(frozen=True, slots=True)
class Receipts:
    """Receipts due on one day.

    `assumed` is pegged to promises beyond the checking horizon: it comes and goes with them (see `Planned.assumed`),
    never covers a protection, and is no supply any more once the horizon has reached its day.
    """

    day: Day
    confirmed: int
    planned: int = 0
    assumed: int = 0


@dataclass(frozen=True, slots=True)
class Position:
    """One row: all that a decision needs to know of an item at a location.

    `commitments` is (material availability day, quantity held or committed and not yet shipped), ascending by day.
    `waiting` is (lead in the order of service, quantity) of open backorders, ascending, by the rule of `waiting_basis`;
    empty unless quantity was freed that has not been offered to them yet: while it is there, it restricts whoever is
    behind. Up to and with `stopped_through` no new promise is made from it. `channel_buffers` is (channel, quantity
    never offered to it besides the buffer), ascending. `set_aside` is kept for old backorders, in order of service.
    """

    key: PositionKey
    version: int
    on_hand: int
    buffer: int = 0
    receipts: tuple[Receipts, ...] = ()
    commitments: tuple[tuple[Day, int], ...] = ()
    waiting: tuple[tuple[int, int], ...] = ()
    stopped_through: Day | None = None
    channel_buffers: tuple[tuple[str, int], ...] = ()
    waiting_basis: int = 0
    set_aside: tuple[SetAside, ...] = ()

    def kept_from(self, channel: str) -> int:
        """What is never offered to a channel, besides the buffer."""
        return next((quantity for name, quantity in self.channel_buffers if name == channel), 0)

    def stopped(self, today: Day) -> bool:
        """Whether a planner has stopped it today."""
        return self.stopped_through is not None and today <= self.stopped_through


@dataclass(frozen=True, slots=True)
class Protection:
    """A minimum kept for one tier at one position in the period [start, end], both inclusive.

    `basis` says what it is: `quantity` units; a percentage of gross supply (`share` in hundredths of a percent); or a
    ratio (`share` is its weight among the ratios of its document for the same position and period). `scope` 0 was set
    for this position, 1 for several locations, 2 for all: of nested ones of a tier the least counts. `unconsumable`: no
    order matches it. `strict`: what a request wants beyond its own protection is restricted by this one too, also if it
    is its own tier's. `expected`: the tier's demand expected in the whole period; no more is kept than is expected of
    its rest. `upcoming`: not in effect yet; it counts what is taken and keeps nothing. `lowered_by`: units less than
    its document says. `counts_from`: shipments lower its gross supply on no day from this one on (None: its start).
    """

    protection_id: str
    document_id: str
    document_version: int
    key: PositionKey
    tier: str
    priority_rank: int
    start: Day
    end: Day
    quantity: int
    mode: ProtectionMode = "prioritised"
    lapse_days: int = 0
    carry_stock: bool = False
    basis: Basis = "quantity"
    share: int = 0
    scope: int = 0
    unconsumable: bool = False
    strict: bool = False
    expected: int | None = None
    upcoming: bool = False
    lowered_by: int = 0
    counts_from: Day | None = None


@dataclass(frozen=True, slots=True)
class Quota:
    """A maximum for all orders that match, in the period [start, end], both inclusive. None matches everything.

    Quotas of one id are the periods of one series, apart from each other: what a period lacks is taken from up to
    `backward` periods before it and `forward` ones after it, nearest first.
    """

    quota_id: str
    document_id: str
    document_version: int
    start: Day
    end: Day
    quantity: int
    tier: str | None = None
    item_id: str | None = None
    zone: str | None = None
    channel: str | None = None
    region: str | None = None
    customer_id: str | None = None
    item_group: str | None = None
    backward: int = 0
    forward: int = 0
    upcoming: bool = False


@dataclass(frozen=True, slots=True)
class Node:
    """A node of a hierarchy: those of its parent's customers whose `attribute` is `value`.

    `quantities` are what it has in each period of the hierarchy, besides what its children have. `rank` 1 is most
    important. `lends`: a sibling that ranks before it may borrow, for days from `lock_days` after today on.
    """

    name: str
    parent: str | None
    attribute: str
    value: str
    rank: int
    quantities: tuple[int, ...]
    lends: bool = False
    lock_days: int = 0


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """Allocations of one item as a tree: a maximum for all its orders on the days of `periods`, which are apart.

    `pool` names the node of all who match no group; it has no parent and lends nothing.
    """

    hierarchy_id: str
    document_id: str
    document_version: int
    item_id: str
    periods: tuple[tuple[Day, Day], ...]
    nodes: tuple[Node, ...]
    pool: str
    upcoming: bool = False


class CapacityShare(NamedTuple):
    """What of a capacity is kept for a tier on every ship day, as a protection keeps stock.

    Lapsed when today is after the ship day less `lapse_days`.
    """

    tier: str
    priority_rank: int
    quantity: int
    mode: ProtectionMode = "prioritised"
    lapse_days: int = 0


@dataclass(frozen=True, slots=True)
class Capacity:
    """Units that may leave a location on a ship day, by a service or (None) by all services together.

    `weekdays` are the units of a day, Monday first; `exceptions` name other units for single days, ascending.
    """

    capacity_id: str
    location_id: str
    service: str | None
    weekdays: tuple[int, ...]
    exceptions: tuple[tuple[Day, int], ...] = ()
    shares: tuple[CapacityShare, ...] = ()


@dataclass(frozen=True, slots=True)
class Offer:
    """A way to serve a zone: a location with a carrier service. `rank` 1 is asked first among equals.

    `kind` is that of the location as a source. `working` is the location's calendar, `pick_up` the service's (None:
    every day). Work on an order begins on `not_before` or later: the location's own day, or the next one after the
    service's cut-off.
    """

    location_id: str
    service: str
    carrier_class: str
    rank: int
    processing_days: int
    transit_days: int
    cost_shipment_minor: int
    cost_unit_minor: int
    cost_kg_minor: int = 0
    working: Calendar | None = None
    pick_up: Calendar | None = None
    not_before: Day = 0
    kind: str = "distribution_center"


@dataclass(frozen=True, slots=True)
class Posting:
    """Where a confirmed quantity was taken: given back exactly when it comes off."""

    usage: UsageKey
    quantity: int
    taken: TakenFrom = "own"


@dataclass(frozen=True, slots=True)
class RequestLine:
    """One line as asked. Days are None where the order says nothing; the price where nothing is checked against it.

    Quantities are in the base unit; in `unit` where the item does not have it, which is refused.
    """

    line: str
    item_id: str
    quantity: int
    requested_arrival: Day | None = None
    latest_acceptable_arrival: Day | None = None
    minimum_quantity: int = 0
    unit_price_micro: int | None = None
    unit: str | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """One order to decide, with the tier that counts already looked up. `released` waives what would hold it.

    `location_id`: it is served from there alone. `pick_up_at`: it is collected there. `value`: what the order is worth.
    `max_shipments`: no more than so many, with those that it has already (`shipments`: location, service, ship day).
    """

    source: str
    order_id: str
    tier: Tier
    zone: str
    channel: str
    ordered_day: Day
    ship_complete: bool
    lines: tuple[RequestLine, ...]
    blocks: tuple[Block, ...] = ()
    released: bool = False
    location_id: str | None = None
    customer_id: str | None = None
    value: int | None = None
    attributes: tuple[tuple[str, int], ...] = ()
    pick_up_at: str | None = None
    max_shipments: int | None = None
    shipments: tuple[tuple[str, str, Day], ...] = ()


@dataclass(frozen=True, slots=True)
class Planned:
    """A promised quantity: from where, how, when, at what cost, and what it was taken from.

    `available_day` is the material availability day: ship day less processing days. `assumed` says that the quantity
    is beyond the item's checking horizon and backed by an assumed receipt of the same quantity on the same day. The
    cost of a shipment is paid once per (location, service, ship day) of an order, by the line that opens it. Without a
    lane (of what another system promised) `carrier_class` is empty.
    """

    key: PositionKey
    service: str
    quantity: int
    available_day: Day
    ship_day: Day
    arrival_day: Day
    cost_minor: int
    postings: tuple[Posting, ...] = ()
    assumed: bool = False
    carrier_class: str = ""


@dataclass(frozen=True, slots=True)
class Binding:
    """A constraint that bound: its kind, what it is, what it would have allowed, and what would help, in words.

    `needed` is the size of the change in `would_help` that concerns this constraint: units, or days for a lane,
    a calendar or a cut-off.
    """

    kind: BindingKind
    reference: str
    allowed: int | None = None
    day: Day | None = None
    tier: str | None = None
    would_help: str = ""
    needed: int | None = None


@dataclass(frozen=True, slots=True)
class LineDecision:
    """The answer for one line. `outcome` is a `LineOutcome`; `routed_by` are rules that said which ways it saw."""

    line: str
    item_id: str
    quantity: int
    outcome: str
    requested_arrival: Day
    planned: tuple[Planned, ...] = ()
    backordered: int = 0
    why: tuple[Binding, ...] = ()
    alternatives: tuple[Alternative, ...] = ()
    routed_by: tuple[RoutedBy, ...] = ()


@dataclass(frozen=True, slots=True)
class OrderDecision:
    """The answer for one order; lines in the order of the request."""

    lines: tuple[LineDecision, ...]
    cost_minor: int
    budget_spent: bool = False  # the search stopped at its budget in nodes; a better plan may exist


@dataclass(slots=True)
class Book:
    """The working copy of all that a batch of decisions reads and changes; decisions are made one after another on it.

    `protections`, `quotas` and `hierarchies` are those whose document is in effect today, or will be (`upcoming`).
    `offers` are by zone, the zone "*" for zones without their own; candidates are those offers whose location has a
    position of the item. `backlog` is what waits of items whose backorders are limited. `regions` are by zone,
    `capacities` by location, as are those that are `closed` for promising, each with the last day of that, and those
    whose supply is `assumed_from` a day on. `service` says who is served first.
    """

    today: Day
    items: Mapping[str, Item]
    positions: dict[PositionKey, Position]
    offers: Mapping[str, tuple[Offer, ...]]
    protections: Mapping[PositionKey, tuple[Protection, ...]] = field(default_factory=dict)
    quotas: tuple[Quota, ...] = ()
    usage: dict[UsageKey, int] = field(default_factory=dict)
    backlog: dict[str, int] = field(default_factory=dict)
    hierarchies: tuple[Hierarchy, ...] = ()
    regions: Mapping[str, str] = field(default_factory=dict)
    capacities: Mapping[str, tuple[Capacity, ...]] = field(default_factory=dict)
    closed: Mapping[str, Day] = field(default_factory=dict)
    routing: RoutingRules = NOTHING_RULED
    service: ServiceRule = SERVED_BY_TIER
    assumed_from: Mapping[str, Day] = field(default_factory=dict)

    def stopped_through(self, position: Position) -> Day | None:
        """The last day on which no new promise is made from a position or its location; None: it is not stopped."""
        own = position.stopped_through if position.stopped(self.today) else None
        closed = self.closed.get(position.key.location_id)
        if closed is None or closed < self.today:
            return own
        return closed if own is None else max(own, closed)


@dataclass(frozen=True, slots=True)
class OpenBackorder:
    """The open rest of a line, with its stored place in the order of service (ascending)."""

    promise_id: str
    service_key: tuple[int, str, str, str, str]  # a `ServiceKey`
    request: Request
    line: RequestLine  # quantity = the open rest
