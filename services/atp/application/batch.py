"""One batch: what its commands need, the shared working copy on which they are decided, and what comes of them.

The order of locks is total over all kinds: identities, items (whose backorders are limited), counters of quotas,
positions, capacities of locations; each kind in key order. Capacities come last because orders of many items want the
same one: who waits for a position does not hold it meanwhile. A new kind of command is a `Handler`: it says what it
needs, decides on the working copy, and may store tables of its own. Commands of a batch are decided in the order in
which they came and see each other's effects.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final, Generic, TypeVar
from uuid import UUID

from services.atp.application.capacities import capacities_at, capacity_of, names_of
from services.atp.application.commands import Command, Origin, Outcome
from services.atp.application.content import Content, CustomerKey, OrderKey
from services.atp.application.customers import Customer, Served, serve
from services.atp.application.cut_offs import in_time
from services.atp.application.limits import Limits, counters_of
from services.atp.application.orders import OrderCopy, Part, Unapplied
from services.atp.application.ports import Configuration, Session, StoredPosition
from services.atp.application.routing import assumed_from, rules_in_effect, substitutes_by_rule
from services.atp.application.sharing import Sharing, find_sharing
from services.atp.application.waiting_lines import Mark
from services.atp.application.workbook import Workbook
from services.atp.domain.deficits import may_lack
from services.atp.domain.leads import waiting_steps
from services.atp.domain.micro_segments import Traits, refined
from services.atp.domain.model import Book, Day, Item, Position, PositionKey, Tier, UsageKey
from services.atp.domain.strategies import Strategy, may_take
from services.chassis.audit.chain import AuditEntry
from services.chassis.envelope import Event
from services.chassis.idempotency import StoredAnswer
from services.chassis.ids import new_id, new_ids
from services.contracts.catalogue import EventType
from services.contracts.risks import RiskCause

C_contra = TypeVar("C_contra", bound=Command, contravariant=True)

EVENT_SOURCE: Final = "urn:tiercel:atp"
NOBODY: Final = Customer(None)


class Again(Exception):  # noqa: N818 - says what to do
    """What was read without a lock changed before the lock was held: run the batch again."""


@dataclass(slots=True)
class Needs:
    """What a batch reads and locks. Positions are the given ones, and those of the items that serve the zones."""

    orders: dict[OrderKey, None] = field(default_factory=dict)
    customers: dict[CustomerKey, None] = field(default_factory=dict)
    items: dict[str, None] = field(default_factory=dict)
    zones: dict[str, None] = field(default_factory=dict)
    every_zone: bool = False
    substitutes: bool = False  # of the items, as far as their positions serve the zones
    positions: dict[PositionKey, None] = field(default_factory=dict)
    quotas: dict[UsageKey, None] = field(default_factory=dict)
    capacities: dict[str, None] = field(default_factory=dict)  # besides those of the locations that serve the zones
    bookable: dict[str, None] = field(default_factory=dict)  # locations, besides those: their capacity may be booked
    freed_items: dict[str, None] = field(default_factory=dict)  # may free quantity: their backorders are counted
    freed_limits: dict[UsageKey, None] = field(default_factory=dict)  # may get something back
    kept: dict[str, Any] = field(default_factory=dict)  # what handlers found out; goes to `Batch.kept`


@dataclass(slots=True)
class Batch:
    """The working copy. `waiting` has the open backorders (quantity by lead) of items that may be freed."""

    configuration: Configuration
    now: datetime
    workbook: Workbook
    decision_id: UUID
    currency: str
    orders: dict[OrderKey, OrderCopy]
    customers: dict[CustomerKey, Customer]
    marks: dict[PositionKey, Mark]
    waiting: dict[str, dict[int, int]]
    touched: dict[OrderKey, OrderCopy] = field(default_factory=dict)
    unapplied: list[Unapplied] = field(default_factory=list)
    emitted: list[tuple[EventType, str, int, bytes, Origin]] = field(default_factory=list)
    marks_before: dict[PositionKey, Mark] = field(default_factory=dict)
    kept: dict[str, Any] = field(default_factory=dict)  # working copies of handlers, by a name of theirs
    promised: list[tuple[str, str]] = field(default_factory=list)  # (tier, outcome) of lines answered first
    counts: dict[str, int] = field(default_factory=dict)
    audited: list[AuditEntry] = field(default_factory=list)  # to the audit trail, last of all
    reviews: dict[PositionKey, RiskCause] = field(default_factory=dict)  # where somebody may go short, or no longer
    freed_limits: dict[UsageKey, None] = field(default_factory=dict)  # that the command at hand gave something back to
    sharing: Sharing | None = None  # who waits for what limits of several items give; None: no such limit is concerned
    contending: dict[tuple[Strategy, str], None] = field(default_factory=dict)  # who came to wait, and for which item
    divided: list[str] = field(default_factory=list)  # items of which something is divided when their supply changes
    beside: dict[str, Item] = field(default_factory=dict)  # items of other lines, where tiers look at all of an order

    @property
    def book(self) -> Book:
        """The working copy that domain functions read and change."""
        return self.workbook.book

    def served(self, content: Content, ordered_at: datetime) -> Served:
        """The tier that counts for an order now, as its most specific micro-segment has it."""
        served = self.served_customer(content.customer, ordered_at)
        if served.tier.tier not in self.configuration.micro_segments:
            return served
        items = [line.item_id for line in content.lines]
        tier = self.refined(served.tier, content.zone, content.channel, items, content.customer)
        if tier is served.tier:
            return served
        self.count("micro_segment")
        return replace(served, tier=tier)

    def refined(self, tier: Tier, zone: str, channel: str, items: Sequence[str], customer: CustomerKey | None) -> Tier:
        """A tier as it serves an order of these items for a customer (None: for nobody in particular)."""
        segments = self.configuration.micro_segments.get(tier.tier, ())
        known = [self.book.items.get(item) or self.beside.get(item) for item in items]
        profile = None if customer is None else self.customers.get(customer, NOBODY).demand_profile
        return refined(tier, segments, Traits(zone, self.configuration.regions.get(zone), channel, known, profile))

    def served_customer(self, customer: CustomerKey, ordered_at: datetime) -> Served:
        """The tier that counts for a customer now, whatever is ordered."""
        configuration = self.configuration
        served = serve(
            self.customers.get(customer, NOBODY),
            configuration.tiers,
            configuration.default_tier,
            now=self.now,
            ordered_at=ordered_at,
        )
        if self.book.service.by_value:
            served = replace(served, by_value=True)
        if served.basis == "unknown_customer":
            self.count("unknown_customer")
        if served.unknown_tier:
            self.count("unknown_tier")
        return served

    def count(self, what: str) -> None:
        """Count something; it is reported if the batch commits."""
        self.counts[what] = self.counts.get(what, 0) + 1

    def review(self, key: PositionKey, cause: RiskCause) -> None:
        """Have the deficits of a position looked at, if more is committed there than there is, or was in this batch."""
        today, before = self.book.today, self.workbook.position_before(key)
        if may_lack(self.book.positions[key], today) or (before is not None and may_lack(before, today)):
            self.reviews.setdefault(key, cause)

    def free(self, key: PositionKey, cause: str) -> None:
        """Quantity was freed at a position: mark it, so that those who wait are asked before others are served.

        Its item must be among `Needs.freed_items`.
        """
        self.review(key, "supply_cut")
        waiting = self.waiting.get(key.item_id)
        if not waiting:
            return
        position = self.book.positions[key]
        self.marks[key] = Mark(self.now, cause)
        basis = self.book.service.basis
        self.workbook.put(replace(position, waiting=waiting_steps(waiting), waiting_basis=basis))

    def contend(self) -> None:
        """Have those asked anew who came to wait, or come late, and whose strategy lets them take from others.

        Nothing was freed, so that nothing is kept from newcomers.
        """
        tiers = list(self.configuration.tiers.values())
        items = {
            item_id: None
            for strategy, item_id in self.contending
            if any(may_take(strategy, tier.strategy) for tier in tiers)
        }
        for key in sorted(self.book.positions) if items else ():
            if key.item_id in items and key not in self.marks:
                self.marks[key] = Mark(self.now, "backorder_came")

    def emit(self, kind: EventType, key: str, sequence: int, data: bytes, origin: Origin) -> None:
        """Add an event to the transaction."""
        self.emitted.append((kind, key, sequence, data, origin))

    def events(self) -> list[Event]:
        """The events of the transaction, in the order in which they were added."""
        ids = new_ids(len(self.emitted))
        return [
            Event(
                id=str(event_id),
                type=kind.name,
                source=EVENT_SOURCE,
                topic=kind.topic.name,
                key=key,
                sequence=sequence,
                time=self.now,
                data=data,
                correlation_id=origin.correlation_id,
                causation_id=origin.causation_id,
                traceparent=origin.traceparent,
                dataschema=kind.dataschema,
            )
            for event_id, (kind, key, sequence, data, origin) in zip(ids, self.emitted, strict=True)
        ]

    def changed_positions(self) -> list[StoredPosition]:
        """Positions whose row or mark is not as it was, in key order."""
        changed: dict[PositionKey, Position] = {each.key: each for each in self.workbook.changed_positions()}
        for key in self.marks.keys() | self.marks_before.keys():
            if self.marks.get(key) is not self.marks_before.get(key):
                changed[key] = self.book.positions[key]
        return [StoredPosition(changed[key], self.marks.get(key)) for key in sorted(changed)]


class Handler(Generic[C_contra]):
    """How one kind of command is decided. Only `needs` and `decide` have to do something."""

    def needs(self, command: C_contra, needs: Needs) -> None:
        """Say what must be loaded and locked."""
        raise NotImplementedError

    async def discover(self, session: Session, commands: Sequence[C_contra], needs: Needs) -> None:
        """Find out more of what is needed by reading without locks; what is found must be checked in `load`."""

    def needs_of_orders(self, command: C_contra, orders: Mapping[OrderKey, OrderCopy], needs: Needs) -> None:
        """Say what else is needed, now that the orders are loaded and locked."""

    async def load(self, session: Session, batch: Batch, commands: Sequence[C_contra]) -> None:
        """Read tables of its own under the locks, into `batch.kept`. Raises Again."""

    def decide(self, batch: Batch, command: C_contra) -> Outcome:
        """Decide on the working copy and change it; no input or output."""
        raise NotImplementedError

    async def store(self, session: Session, batch: Batch) -> None:
        """Write tables of its own; positions, orders and events are written after it, together."""


def need_content(content: Content, needs: Needs) -> None:
    """Need what planning a known order anew reads: its customer, zone and items."""
    needs.customers[content.customer] = None
    needs.zones.update(dict.fromkeys(content.ways))
    needs.items.update((line.item_id, None) for line in content.lines)


def need_parts(parts: Iterable[Part], needs: Needs) -> None:
    """Need what giving back or shipping these parts changes."""
    for part in parts:
        needs.positions[part.planned.key] = None
        for posting in part.planned.postings:
            if posting.usage.kind in {"quota", "node"}:
                needs.quotas[posting.usage] = None
            elif posting.usage.kind == "capacity":
                needs.capacities[capacity_of(posting.usage.limit_id)] = None


async def load_batch(session: Session, needs: Needs, *, currency: str) -> "Loader":
    """Begin: the configuration, and the orders under lock."""
    configuration = await session.configuration()
    orders = await session.orders.load(sorted(needs.orders)) if needs.orders else {}
    return Loader(session, needs, configuration, orders, currency)


@dataclass(slots=True)
class Loader:
    """A batch whose orders are loaded and locked, and whose positions are not yet."""

    session: Session
    needs: Needs
    configuration: Configuration
    orders: dict[OrderKey, OrderCopy]
    currency: str

    async def finish(self) -> Batch:
        """Load and lock the rest."""
        session, needs, configuration = self.session, self.needs, self.configuration
        customers = await session.customers(list(needs.customers)) if needs.customers else {}
        if customers and configuration.blocks:
            customers = await session.with_blocks(customers)
        items = await session.items(sorted(needs.items)) if needs.items else {}
        if needs.substitutes:
            items |= await self._substitutes(items)
        beside = await self._beside(items) if configuration.by_item_group else {}
        limited = sorted(item_id for item_id in items if items[item_id].backorders.policy == "limited")
        if limited:
            await session.lock_items(limited)
        limits = Limits(configuration, items, customers, needs.zones)
        if counters := sorted({**limits.counters(), **needs.quotas}):
            await session.positions.lock_usage(counters)
        divided = [item for item in needs.freed_items if item in configuration.divided]
        if divided:
            needs.positions.update(dict.fromkeys(await session.position_keys(divided)))
        sharing = await find_sharing(session, configuration, needs.freed_limits) if needs.freed_limits else None
        if sharing is not None:
            needs.freed_items.update(dict.fromkeys(sharing.items))
            needs.positions.update(dict.fromkeys(sharing.positions))
        if kept := _items_set_aside(self.orders):
            needs.freed_items.update(dict.fromkeys(kept))
            needs.positions.update(dict.fromkeys(await session.position_keys(kept)))
        stored = await session.positions.load(self._position_keys(list(items)))
        locations = self._bookable(stored)
        if gates := {**needs.capacities, **{name: None for each in locations for name in self._capacities(each)}}:
            await session.lock_capacities(sorted(gates))
        now = await session.now()
        basis = configuration.service_at(now).basis
        waiting = await session.positions.waiting(sorted(needs.freed_items), basis) if needs.freed_items else {}
        backlog = await session.positions.backlog(limited) if limited else {}
        book = await self._book(stored, items, counters, limits, now)
        if bookable := capacities_at(configuration.capacities, locations, now):
            names = names_of(each for own in bookable.values() for each in own)
            book.capacities = bookable
            book.usage.update(await session.capacity_counters(names, book.today))
        book.backlog.update({item_id: backlog.get(item_id, 0) for item_id in limited})
        marks = {key: each.mark for key, each in stored.items() if each.mark is not None}
        return Batch(
            configuration=configuration,
            now=now,
            workbook=Workbook(book),
            decision_id=new_id(),
            currency=self.currency,
            orders=self.orders,
            customers=customers,
            marks=marks,
            marks_before=dict(marks),
            waiting={item: waiting.get(item, {}) for item in needs.freed_items},
            kept=dict(needs.kept),
            divided=divided,
            sharing=sharing,
            beside=beside,
        )

    async def _beside(self, items: Mapping[str, Item]) -> dict[str, Item]:
        """The items of lines that the batch does not concern, of orders that it does."""
        contents = [order.promise.content for order in self.orders.values() if order.promise is not None]
        named = {line.item_id: None for content in contents for line in content.lines if line.item_id not in items}
        return await self.session.items(sorted(named)) if named else {}

    async def _substitutes(self, items: dict[str, Item]) -> dict[str, Item]:
        named = {each: None for item in items.values() for each in item.substitutes if each not in items}
        named |= substitutes_by_rule(self.configuration.routing, items)
        return await self.session.items(sorted(named)) if named else {}

    def _bookable(self, stored: Mapping[PositionKey, StoredPosition]) -> list[str]:
        """The locations of which a decision may book capacity: they have some, serve the zones and stock an item."""
        known = self.configuration.capacities
        if not known:
            return []
        zones = self.configuration.offers if self.needs.every_zone else self.needs.zones
        serving = {offer.location_id: None for zone in zones for offer in self.configuration.offers_for(zone)}
        return sorted(
            ({key.location_id for key in stored} & serving.keys() | self.needs.bookable.keys()) & known.keys()
        )

    def _capacities(self, location_id: str) -> list[str]:
        return [each.capacity.capacity_id for each in self.configuration.capacities[location_id]]

    def _position_keys(self, items: list[str]) -> list[PositionKey]:
        zones = self.configuration.offers if self.needs.every_zone else self.needs.zones
        locations = {offer.location_id: None for zone in zones for offer in self.configuration.offers_for(zone)}
        keys = {PositionKey(item, location): None for item in items for location in locations}
        return sorted({**keys, **self.needs.positions})

    async def _book(
        self,
        stored: dict[PositionKey, StoredPosition],
        items: dict[str, Item],
        counters: list[UsageKey],
        limits: Limits,
        now: datetime,
    ) -> Book:
        session, configuration = self.session, self.configuration
        today = now.date().toordinal()
        protected = dict.fromkeys((*items, *(key.item_id for key in stored))) if configuration.protections else {}
        protections = await session.protections(list(protected), now) if protected else {}
        kept = [key for own in protections.values() for each in own for key in counters_of(each, today)]
        postings = [
            posting.usage
            for order in self.orders.values()
            if order.promise is not None
            for part in order.promise.parts
            for posting in part.planned.postings
        ]
        asked = sorted(dict.fromkeys((*kept, *counters, *postings)))
        return Book(
            today=today,
            items=items,
            positions={key: each.position for key, each in stored.items()},
            offers={
                zone: in_time(configuration.offers_for(zone), configuration.clocks, now) for zone in self.needs.zones
            },
            protections=protections,
            quotas=limits.quotas(now),
            usage=await session.positions.usage(asked) if asked else {},
            hierarchies=limits.hierarchies(now),
            regions=limits.regions(),
            closed=_closed_of(configuration.closed, stored, today) if configuration.closed else {},
            routing=rules_in_effect(configuration.routing, self.needs.zones, items, now),
            service=configuration.service_at(now),
            assumed_from=assumed_from(configuration.leads, stored, today) if configuration.leads else {},
        )


def _items_set_aside(orders: Mapping[OrderKey, OrderCopy]) -> list[str]:
    """The items of which something is set aside for orders."""
    promises = [order.promise for order in orders.values() if order.promise is not None]
    return sorted({each.item_id for promise in promises for each in promise.backorders.values() if each.set_aside})


def _closed_of(closed: Mapping[str, Day], stored: Iterable[PositionKey], today: Day) -> dict[str, Day]:
    """The locations of positions that are closed today."""
    locations = sorted({key.location_id for key in stored} & closed.keys())
    return {name: closed[name] for name in locations if closed[name] >= today}


def answer_of(command: Command, status: int, body: bytes) -> StoredAnswer:
    """What is remembered under the idempotency key of a command."""
    remembered = command.remembered
    assert remembered is not None  # noqa: S101 - the caller looked
    return StoredAnswer(remembered.caller, remembered.key, remembered.fingerprint, status, body)
