"""Taking a planned quantity off the book, so that it can be put back while plans are still compared.

A `Draft` is the work on one order: what it has taken so far, which shipments it has opened, and a journal by which all
of it can be undone. Supply, protections and quotas are taken together or not at all.
"""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final, NamedTuple

from services.atp.domain import shipping_days
from services.atp.domain.capacity import counted_by, limiting_at
from services.atp.domain.ceilings import Ceiling, counting_for, portions
from services.atp.domain.made_to_order import item_at
from services.atp.domain.model import (
    Book,
    Capacity,
    Day,
    Item,
    Offer,
    Planned,
    Position,
    PositionKey,
    Posting,
    Receipts,
    Request,
    UsageKey,
)
from services.atp.domain.protected_supply import asked_key, consumed_key, is_hidden
from services.atp.domain.service_rule import ServicePlace
from services.atp.domain.supply_picture import horizon

GRAMS: Final = 1_000  # in a kilogram
COST_MAX_MINOR: Final = 10**13  # of a schedule line; more is a slip of the pen, and sums of an order fit 64 bits


class Lane(NamedTuple):
    """A way to serve a line: an offer, and the position it draws from. `lag` is days from availability to arrival.

    `timed`: calendars or a cut-off make it longer than `lag` on some days; see `services.atp.domain.shipping_days`.
    `capacities` are those that limit what may leave by it on a ship day.
    """

    offer: Offer
    key: PositionKey
    lag: int
    timed: bool = False
    capacities: tuple[Capacity, ...] = ()

    def ship_day(self, day: Day) -> Day:
        """When goods ship that are available on a day; never earlier for a later day."""
        return shipping_days.ship_day(self.offer, day) if self.timed else day + self.offer.processing_days

    def arrival(self, day: Day) -> Day:
        """When goods arrive that are available on a day."""
        return self.ship_day(day) + self.offer.transit_days if self.timed else day + self.lag

    def latest(self, arrival: Day) -> Day:
        """The last day on which goods may become available and still arrive on a day; a past day if there is none."""
        if self.timed:
            return shipping_days.last_available(self.offer, arrival - self.offer.transit_days)
        return arrival - self.lag

    def latest_for(self, ship_day: Day) -> Day | None:
        """The last day of availability that ships on a day; None if goods do not ship then."""
        if not self.timed:
            return ship_day - self.offer.processing_days
        day = shipping_days.last_available(self.offer, ship_day)
        return day if self.ship_day(day) == ship_day else None

    def latest_alike(self, day: Day) -> Day:
        """The last day of availability that ships with what is available on a day."""
        return shipping_days.last_available(self.offer, self.ship_day(day)) if self.timed else day

    def carriage(self, item: Item, quantity: int) -> int:
        """What a quantity costs to carry, a shipment's own cost aside; a begun minor unit of a weight counts."""
        cost = self.offer.cost_unit_minor * quantity
        if self.offer.cost_kg_minor:
            cost -= -self.offer.cost_kg_minor * item.weight_grams * quantity // GRAMS
        return cost

    def cost(self, item: Item, quantity: int, *, opens_shipment: bool) -> int:
        """What a schedule line costs: carriage, and the shipment that it opens; at most `COST_MAX_MINOR`."""
        shipment = self.offer.cost_shipment_minor if opens_shipment else 0
        return min(COST_MAX_MINOR, self.carriage(item, quantity) + shipment)


class Piece(NamedTuple):
    """A quantity that a plan takes by a lane on a material availability day."""

    lane: Lane
    day: Day
    quantity: int


class Given(NamedTuple):
    """A quantity as another system promised it; `shipped` of it have left already. Days as in `Planned`."""

    key: PositionKey
    service: str
    quantity: int
    shipped: int
    available_day: Day
    ship_day: Day
    arrival_day: Day
    cost_minor: int


@dataclass(slots=True)
class Draft:
    """The work on one order. `in_turn`: it is served in order of service, so that nobody who waits is ahead of it.

    `place` is its place then: what is set aside for those before it is kept from it; None: nothing is.

    Its journal refers to nothing that refers to the draft: with its book it is gone as soon as it is done with, where a
    circle would keep both until the cycle collector stops everything to find them.
    """

    book: Book
    request: Request
    in_turn: bool = False
    place: ServicePlace | None = None
    budget_spent: bool = False
    shipments: dict[tuple[str, str], list[Day]] = field(default_factory=dict)  # (location, service) -> ship days
    _journal: list[Callable[[], object]] = field(default_factory=list)

    @property
    def shipments_count(self) -> int:
        """How many shipments the order has."""
        return sum(map(len, self.shipments.values()))

    def __post_init__(self) -> None:
        for location_id, service, ship_day in self.request.shipments:
            self.shipments.setdefault((location_id, service), []).append(ship_day)

    def on_behalf_of(self, request: Request) -> "Draft":
        """The same work as if its order were another one of the same lines; nothing is taken by it."""
        other = Draft(self.book, replace(request, shipments=()), self.in_turn, self.place)
        other.shipments = {place: list(days) for place, days in self.shipments.items()}
        return other

    def may_ship(self, lane: Lane, day: Day) -> bool:
        """Whether the order may have one shipment more, if taking by a lane on a day needs one."""
        most = self.request.max_shipments
        return most is None or self.shipments_count < most or not self.opens_shipment(lane, day)

    def opens_shipment(self, lane: Lane, day: Day) -> bool:
        """Whether taking by a lane on a day needs a shipment that the order does not have yet."""
        offer = lane.offer
        ship_days = self.shipments.get((offer.location_id, offer.service))
        return ship_days is None or lane.ship_day(day) not in ship_days

    def take(self, item: Item, piece: Piece, quotas: Sequence[Ceiling]) -> Planned:
        """Take a piece off the book. `quotas` are those that the line passes; the room for it was checked before."""
        (lane, day, quantity), offer = piece, piece.lane.offer
        opens, ship_day = self.opens_shipment(lane, day), lane.ship_day(day)
        cost = lane.cost(item, quantity, opens_shipment=opens)
        if opens:
            self._open(offer, ship_day)
        assumed = self._is_assumed(item, lane.key, day)
        self._commit(lane.key, day, quantity, assumed=assumed)
        booked = self._book_capacity(lane.capacities, ship_day, quantity)
        return Planned(
            lane.key,
            offer.service,
            quantity,
            day,
            ship_day,
            ship_day + offer.transit_days,
            cost,
            self._post(item, lane.key, day, quantity, quotas) + booked,
            assumed,
            offer.carrier_class,
        )

    def take_as_given(self, item: Item, given: Given, quotas: Sequence[Ceiling]) -> Planned:
        """Take what another system promised, whatever there is; what of it has shipped is consumed, and no commitment.

        `quotas` are those that match the line, which may be exceeded.
        """
        owed = given.quantity - given.shipped
        assumed = owed > 0 and self._is_assumed(item, given.key, given.available_day)
        if owed:
            self._commit(given.key, given.available_day, owed, assumed=assumed)
        capacities = limiting_at(self.book, given.key.location_id, given.service)
        booked = self._book_capacity(capacities, given.ship_day, given.quantity)
        return Planned(
            given.key,
            given.service,
            given.quantity,
            given.available_day,
            given.ship_day,
            given.arrival_day,
            given.cost_minor,
            self._post(item, given.key, given.available_day, given.quantity, quotas) + booked,
            assumed,
        )

    def let_wait(self, item_id: str, quantity: int) -> None:
        """Count a rest that waits, of an item whose backorders are limited."""
        backlog = self.book.backlog
        before = backlog.get(item_id, 0)
        backlog[item_id] = before + quantity
        self._journal.append(partial(backlog.__setitem__, item_id, before))

    def mark(self) -> int:
        """A place in the journal to which `undo` can go back."""
        return len(self._journal)

    def undo(self, mark: int = 0) -> None:
        """Put back all that was taken since the mark."""
        while len(self._journal) > mark:
            self._journal.pop()()

    def _open(self, offer: Offer, ship_day: Day) -> None:
        ship_days = self.shipments.setdefault((offer.location_id, offer.service), [])
        ship_days.append(ship_day)
        self._journal.append(ship_days.pop)

    def _is_assumed(self, item: Item, key: PositionKey, day: Day) -> bool:
        end = horizon(item_at(self.book, key.location_id, item), self.book.today)
        return end is not None and day >= end

    def _commit(self, key: PositionKey, day: Day, quantity: int, *, assumed: bool) -> None:
        positions = self.book.positions
        before = positions[key]
        positions[key] = with_commitment(before, day, quantity, assumed=quantity if assumed else 0)
        self._journal.append(partial(positions.__setitem__, key, before))

    def _post(
        self, item: Item, key: PositionKey, day: Day, quantity: int, quotas: Sequence[Ceiling]
    ) -> tuple[Posting, ...]:
        """Count a quantity wherever it is taken from, and what is not in effect yet but will have to know of it."""
        book = self.book
        protections = book.protections.get(key, ())
        if not protections and not quotas and not book.quotas and not book.hierarchies:
            return ()
        tier = self.request.tier.tier
        own = [
            each
            for each in protections
            if each.tier == tier and each.start <= day <= each.end and not each.unconsumable
            if each.upcoming or not is_hidden(each, protections)
        ]
        postings = [Posting(consumed_key(each), quantity) for each in own]
        postings += [Posting(asked_key(each, book.today), quantity) for each in own if each.expected is not None]
        postings.sort(key=_usage)
        for ceiling in (*quotas, *counting_for(book, self.request, item)):
            postings += portions(ceiling, book.usage, day, quantity)
        for posting in postings:
            self._count(posting.usage, posting.quantity)
        return tuple(postings)

    def _book_capacity(self, capacities: Sequence[Capacity], ship_day: Day, quantity: int) -> tuple[Posting, ...]:
        """Count what leaves on a ship day; one that is over binds nobody, and its counter is not in the book."""
        if not capacities or ship_day < self.book.today:
            return ()
        tier = self.request.tier.tier
        postings = tuple([Posting(key, quantity) for each in capacities for key in counted_by(each, tier, ship_day)])
        for posting in postings:
            self._count(posting.usage, posting.quantity)
        return postings

    def _count(self, limit: UsageKey, quantity: int) -> None:
        usage = self.book.usage
        before = usage.get(limit)
        usage[limit] = (before or 0) + quantity
        undo = partial(usage.pop, limit) if before is None else partial(usage.__setitem__, limit, before)
        self._journal.append(undo)


def _usage(posting: Posting) -> UsageKey:
    return posting.usage


def with_commitment(position: Position, day: Day, quantity: int, *, assumed: int = 0) -> Position:
    """A position with a quantity more (or less) committed on a day, and assumed receipts of that day with it."""
    receipts = with_receipts(position.receipts, day, assumed=assumed) if assumed else position.receipts
    commitments = position.commitments
    place = bisect_left(commitments, (day,))
    if place < len(commitments) and commitments[place][0] == day:
        quantity += commitments[place][1]
        after = commitments[place + 1 :]
    else:
        after = commitments[place:]
    entry = ((day, quantity),) if quantity else ()
    return Position(
        position.key,
        position.version,
        position.on_hand,
        position.buffer,
        receipts,
        (*commitments[:place], *entry, *after),
        position.waiting,
        position.stopped_through,
        position.channel_buffers,
        position.waiting_basis,
        position.set_aside,
    )


def with_receipts(
    receipts: tuple[Receipts, ...], day: Day, *, confirmed: int = 0, planned: int = 0, assumed: int = 0
) -> tuple[Receipts, ...]:
    """Receipts with quantities more (or less) due on a day, ascending by day; a day without any is left out."""
    place = bisect_left(receipts, day, key=_due_day)
    after = receipts[place:]
    if after and after[0].day == day:
        confirmed += after[0].confirmed
        planned += after[0].planned
        assumed += after[0].assumed
        after = after[1:]
    if not (confirmed or planned or assumed):
        return (*receipts[:place], *after)
    return (*receipts[:place], Receipts(day, confirmed, planned, assumed), *after)


def _due_day(receipts: Receipts) -> Day:
    return receipts.day
