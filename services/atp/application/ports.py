"""What the application needs from outside.

    Exception
    |- Collision     another process stored the same identity or key first; decide again and see it
    |- Unavailable   the database cannot be reached, or loses to others every time; nothing was stored
    `- CommitLost    the answer to a commit was lost; run the same again and look what is stored

Adapters implement these; the application's tests run on the real ones.
"""

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, time
from typing import NamedTuple, Protocol, TypeVar
from uuid import UUID

from services.atp.application.capacities import EffectiveCapacity
from services.atp.application.content import CustomerKey, OrderKey
from services.atp.application.customers import Customer
from services.atp.application.deficit_records import Look, PartKey, StoredDeficit
from services.atp.application.order_reports import OrderReports
from services.atp.application.orders import OrderCopy, Unapplied
from services.atp.application.planner_records import PlannerAction
from services.atp.application.routing import EffectiveRules, Lead
from services.atp.application.runs import RunRows
from services.atp.application.supply_ports import SupplyRecords
from services.atp.application.validation_records import Release
from services.atp.application.waiting_lines import Backorders, Mark
from services.atp.domain.micro_segments import MicroSegment
from services.atp.domain.model import (
    Day,
    Hierarchy,
    Item,
    Offer,
    Position,
    PositionKey,
    Protection,
    Quota,
    Tier,
    UsageKey,
)
from services.atp.domain.routing_rules import PICK_UP
from services.atp.domain.service_rule import SERVED_BY_TIER, ServiceRule
from services.atp.domain.strategies import falls
from services.atp.domain.zones import ZoneMap
from services.chassis.audit.chain import AuditEntry
from services.chassis.envelope import Event
from services.chassis.idempotency import StoredAnswer
from services.contracts.risks import RiskCause

T = TypeVar("T")


class Collision(Exception):  # noqa: N818 - says what happened
    """Somebody else stored the same identity or key between the look-up and the store."""


class Unavailable(Exception):  # noqa: N818 - says what happened
    """Nothing was stored; later it may be."""

    problem_code = "dependency_unavailable"


class CommitLost(Exception):  # noqa: N818 - says what happened
    """It is not known whether it was stored."""

    problem_code = "commit_unknown"


@dataclass(frozen=True, slots=True)
class EffectiveQuota:
    """A quota while its document is in effect: from (inclusive) to (exclusive, None = open)."""

    quota: Quota
    effective_from: datetime
    effective_to: datetime | None


class Clock(NamedTuple):
    """When the day of a service at a location ends, its carrier comes, and how long it takes to be ready."""

    time_zone: str
    cut_off: time | None
    pick_up: time | None = None
    ready_minutes: int = 0


OfferName = tuple[str, str]  # location, service


class EffectiveRule(NamedTuple):
    """A rule of who is served first, from (inclusive, None: ever) to (exclusive, None: open)."""

    rule: ServiceRule
    effective_from: datetime | None
    effective_to: datetime | None

    def covers(self, moment: datetime) -> bool:
        """Whether it is in effect at a time."""
        begun = self.effective_from is None or self.effective_from <= moment
        return begun and (self.effective_to is None or moment < self.effective_to)


@dataclass(frozen=True, slots=True)
class EffectiveHierarchy:
    """A hierarchy while its document is in effect: from (inclusive) to (exclusive, None = open)."""

    hierarchy: Hierarchy
    effective_from: datetime
    effective_to: datetime | None


@dataclass(frozen=True, slots=True)
class Configuration:
    """What planners set and tiers say, whole, at one version.

    `service_rules` are all of them, the newest version first; the last one is always in effect. `protections` and
    `blocks` (of customers) say whether any are stored. `micro_segments` are by tier, where it has any, the most
    specific first; `by_item_group` says whether any of them names an item group. `regions` are by zone. `divided` are
    the items of which something is divided again when their supply changes: protections over locations, hierarchies in
    shortage. `processing_days` are by location: all that are known. `capacities` are by location, where there are any.
    `closed` are locations that no promise is made from, each with the last day of that. `time_zones` are those of
    locations, where they are not UTC.
    """

    version: int
    tiers: Mapping[str, Tier]
    default_tier: Tier
    offers: Mapping[str, tuple[Offer, ...]]
    quotas: tuple[EffectiveQuota, ...]
    protections: bool
    dock_to_stock: Mapping[str, Lead] = field(default_factory=dict)  # by location, where it takes any days
    blocks: bool = False
    zone_map: ZoneMap = field(default_factory=ZoneMap)
    clocks: Mapping[OfferName, Clock] = field(default_factory=dict)  # where the day is not that of UTC, or ends earlier
    hierarchies: tuple[EffectiveHierarchy, ...] = ()
    regions: Mapping[str, str] = field(default_factory=dict)
    divided: Mapping[str, None] = field(default_factory=dict)
    processing_days: Mapping[str, int] = field(default_factory=dict)
    capacities: Mapping[str, tuple[EffectiveCapacity, ...]] = field(default_factory=dict)
    closed: Mapping[str, Day] = field(default_factory=dict)
    routing: tuple[EffectiveRules, ...] = ()
    leads: Mapping[str, Lead] = field(default_factory=dict)  # of locations whose supply is assumed
    service_rules: tuple[EffectiveRule, ...] = (EffectiveRule(SERVED_BY_TIER, None, None),)
    micro_segments: Mapping[str, tuple[MicroSegment, ...]] = field(default_factory=dict)
    by_item_group: bool = False
    time_zones: Mapping[str, str] = field(default_factory=dict)

    def service_at(self, moment: datetime) -> ServiceRule:
        """The rule of who is served first that is in effect at a time: of several the newest version."""
        return next(each.rule for each in self.service_rules if each.covers(moment))

    @property
    def lets_fall(self) -> bool:
        """Whether the strategy of any tier lets what it was promised fall."""
        return any(falls(tier.strategy) for tier in self.tiers.values())

    def offers_for(self, zone: str) -> tuple[Offer, ...]:
        """The ways to serve a zone, or a store's collectors; a zone without its own is served like the zone "*"."""
        return self.offers.get(zone) or (() if zone.startswith(PICK_UP) else self.offers.get("*", ()))


@dataclass(frozen=True, slots=True)
class StoredPosition:
    """A position with its mark."""

    position: Position
    mark: Mark | None = None


@dataclass(frozen=True, slots=True)
class DecisionRecord:
    """The input of a batch's decisions, compressed, from which they follow byte for byte."""

    decision_id: UUID
    decided_at: datetime
    engine_version: str
    digest: bytes
    input: bytes


class Positions(Protocol):
    """Positions and the counters of what protections and quotas have given."""

    async def load(self, keys: Sequence[PositionKey]) -> dict[PositionKey, StoredPosition]:
        """The positions that exist, locked in key order (unless the session only reads)."""
        ...

    async def lock_usage(self, keys: Sequence[UsageKey]) -> None:
        """Lock the counters of quotas, in key order, before positions; missing ones are made."""
        ...

    async def usage(self, keys: Sequence[UsageKey]) -> dict[UsageKey, int]:
        """What was consumed; a protection's counter is guarded by its position's lock."""
        ...

    async def waiting(self, items: Sequence[str], basis: int) -> dict[str, dict[int, int]]:
        """Open backorders by item: quantity by lead, those not of the basis before all others (`OUTDATED`)."""
        ...

    async def backlog(self, items: Sequence[str]) -> dict[str, int]:
        """The open rests by item, in all."""
        ...

    async def store(self, changed: Sequence[StoredPosition], usage: Mapping[UsageKey, int]) -> None:
        """Write positions (with their marks; one that does not exist is made) and counters, at the end of the batch."""
        ...


class Orders(Protocol):
    """Identities, promises and their ledger."""

    async def load(self, keys: Sequence[OrderKey]) -> dict[OrderKey, OrderCopy]:
        """The orders that exist, with promise, parts and backorders; identities locked in key order."""
        ...

    async def store(
        self, orders: Sequence[OrderCopy], record: DecisionRecord | None, unapplied: Sequence[Unapplied], at: datetime
    ) -> None:
        """Write what is new and what changed, at the end of the batch."""
        ...


class Deficits(Protocol):
    """Who goes short at positions, and where that has to be looked at."""

    async def ask(self, reviews: Mapping[PositionKey, RiskCause], at: datetime) -> None:
        """Ask for reviews of positions; whoever does them is woken after the commit."""
        ...

    async def looks(self, keys: Collection[PositionKey], today: Day) -> dict[PositionKey, Look]:
        """The positions that exist, with the stored deficits and all that is open there. Locks nothing.

        What is open is left out where nobody goes short, and nobody can by what is committed and what is there.
        """
        ...

    async def of_promise(self, promise_id: UUID) -> dict[PartKey, int]:
        """What of the parts of a promise is not covered."""
        ...

    async def store(
        self, key: PositionKey, put: Sequence[StoredDeficit], gone: Sequence[PartKey], *, finished: int | None
    ) -> None:
        """Write deficits, take others away, and the request that is `finished` unless it was asked for again."""
        ...


class Due(NamedTuple):
    """A matter that falls due by date: `key` is what its handler needs to find it."""

    kind: str
    key: tuple[str, ...]


class DueRows(Protocol):
    """What falls due, and when."""

    async def store(self, planned: Mapping[Due, datetime | None]) -> None:
        """Let these be due at their times, instead of before; None: not any more."""
        ...


class Turns(Protocol):
    """When something changes by date alone."""

    async def lock(self, kind: str, name: str) -> None:
        """Wait for whoever writes the due row of an item or customer, so that what follows sees what he wrote."""
        ...

    async def next_of_items(self, item_ids: Sequence[str], at: datetime) -> dict[str, datetime | None]:
        """By item the next moment after a time at which what is kept or limited of it changes."""
        ...

    async def next_of_customers(self, customer_ids: Sequence[str], at: datetime) -> dict[str, datetime | None]:
        """By customer the next moment after a time at which its tier may change."""
        ...

    async def waiting_items(self, after: str, limit: int) -> list[str]:
        """Items for which orders wait, in order of their ids."""
        ...

    async def items_awaited_at(self, location_id: str, after: str, limit: int) -> list[str]:
        """Items for which orders wait and that have a position at a location, in order of their ids."""
        ...

    async def items_awaited(self, customer_id: str) -> list[str]:
        """The items for which orders of a customer wait."""
        ...


class PlannerRecords(Protocol):
    """What planners did."""

    async def store(self, actions: Sequence[PlannerAction]) -> None:
        """Write acts."""
        ...


class Session(Protocol):
    """One transaction of a batch."""

    @property
    def positions(self) -> Positions: ...  # noqa: D102
    @property
    def orders(self) -> Orders: ...  # noqa: D102
    @property
    def backorders(self) -> Backorders: ...  # noqa: D102
    @property
    def supply(self) -> SupplyRecords: ...  # noqa: D102
    @property
    def reports(self) -> OrderReports: ...  # noqa: D102
    @property
    def deficits(self) -> Deficits: ...  # noqa: D102
    @property
    def planners(self) -> PlannerRecords: ...  # noqa: D102
    @property
    def due(self) -> DueRows: ...  # noqa: D102
    @property
    def turns(self) -> Turns: ...  # noqa: D102
    @property
    def runs(self) -> RunRows: ...  # noqa: D102

    async def configuration(self) -> Configuration:
        """The configuration at the version that this transaction sees."""
        ...

    async def now(self) -> datetime:
        """Business time; read it after the locks are held."""
        ...

    async def taking_in(self) -> bool:
        """Whether a replay is in its intake phase, in which freed quantity is only marked."""
        ...

    async def customers(self, keys: Sequence[CustomerKey]) -> dict[CustomerKey, Customer]:
        """Customers as the registry published them; an unknown one has no id."""
        ...

    async def store_releases(self, releases: Sequence[Release]) -> None:
        """Keep who released held orders."""
        ...

    async def with_blocks(self, customers: Mapping[CustomerKey, Customer]) -> dict[CustomerKey, Customer]:
        """The customers with their blocks."""
        ...

    async def items(self, item_ids: Sequence[str]) -> dict[str, Item]:
        """The items that exist."""
        ...

    async def lock_items(self, item_ids: Sequence[str]) -> None:
        """Lock items (unless the session only reads), so that what waits of them is added up by one batch at a time."""
        ...

    async def lock_capacities(self, capacity_ids: Sequence[str]) -> None:
        """Lock capacities (unless the session only reads), the last locks of a batch; `now` is as of them."""
        ...

    async def turn_locations(self, locations: Sequence[str], at: datetime) -> None:
        """Let those who wait for what these locations may send be asked anew, soon after the commit."""
        ...

    async def capacity_counters(self, names: Sequence[str], today: Day) -> dict[UsageKey, int]:
        """What is booked of capacities and shares from a day on, by ship day; 0 where there is none."""
        ...

    async def protections(self, item_ids: Sequence[str], at: datetime) -> dict[PositionKey, tuple[Protection, ...]]:
        """Protections whose document is in effect or will be, by position."""
        ...

    async def position_keys(self, item_ids: Sequence[str]) -> list[PositionKey]:
        """All positions of items; read without a lock."""
        ...

    async def divide(self, item_ids: Sequence[str], at: datetime) -> None:
        """Divide protections over locations and hierarchies in shortage again; the items' positions are locked."""
        ...

    async def first_seen(self, event_ids: Sequence[str]) -> set[str]:
        """Remember events of the log; return those not seen before."""
        ...

    async def forget(self, event_ids: Sequence[str]) -> None:
        """Take events out of the memory again: they were refused, and must be decided when they are sent again."""
        ...

    async def stored_answers(self, pairs: Sequence[tuple[str, str]]) -> dict[tuple[str, str], StoredAnswer]:
        """What was answered to these (caller, idempotency key)."""
        ...

    async def append_audit(self, entries: Sequence[AuditEntry], at: datetime) -> None:
        """Write the audit trail; the last lock of a transaction."""
        ...

    async def flush(self) -> None:
        """Write what was left to be written together; nothing but the commit remains."""
        ...

    async def finish(self, events: Sequence[Event], answers: Sequence[StoredAnswer], *, marked: bool) -> None:
        """Put events into the outbox, remember answers, and wake the re-decision after the commit."""
        ...


class Transactions(Protocol):
    """Makes sessions."""

    async def run(self, work: Callable[[Session], Awaitable[T]]) -> T:
        """Run work in one transaction, which is committed when this returns. Raises as the module says."""
        ...

    async def read(self, work: Callable[[Session], Awaitable[T]]) -> T:
        """Run work on one consistent picture, without locks or writes."""
        ...


class EngineMetrics(Protocol):
    """What the engine tells about itself; an adapter turns it into metrics."""

    def queued(self, lane: str, lines: int) -> None:
        """Lines that wait in a lane now."""
        ...

    def answered(self, lane: str, seconds: Iterable[float]) -> None:
        """Commands answered, with the time from queue entry to committed answer."""
        ...

    def promised(self, outcomes: Iterable[tuple[str, str]]) -> None:
        """Lines answered for the first time, as (tier, outcome)."""
        ...

    def counted(self, what: str, count: int = 1) -> None:
        """Things worth counting: a closed set, listed where it is implemented."""
        ...
