"""Choosing how to serve one line: which lanes, which days, in how many parts.

Order of plans (docs: how a promise is made): most units by the latest acceptable date; then least shipping cost +
lateness + split + backorder penalties; then fewer shipments; then the later ship date (the earlier one where the tier
ships as soon as possible); then the lane's rank, location id, service. A shipment costs once per (location, service,
ship day) of the order: joining one that an earlier line opened is free.

The search: the best single source first. If it gives all on time, it is taken. Else, if the tier allows splits, two
greedy ones are compared with it: on-time quantities first, and cheapest unit first. It is not exact; its budget is
`PIECES_MAX` parts per line.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from services.atp.domain.allocation import matching_quotas, room_for, within_quotas
from services.atp.domain.model import Book, Day, Item, Offer, PositionKey, Quota, Request
from services.atp.domain.supply_picture import Room
from services.atp.domain.taking import Draft, Lane, Piece

PIECES_MAX: Final = 64  # parts of one line; a part is a shipment, and nobody wants more
FAR: Final = 10**7  # a day after all others: the year 27,000
COST_SCALE: Final = 10**6  # costs per unit are compared to a millionth of a minor unit

PlanKey = tuple[int, int, int, tuple[tuple[int, int, str, str], ...]]


@dataclass(frozen=True, slots=True)
class Ask:
    """What is to be planned. Lateness counts from `wanted`; `aim` is the arrival for which days are chosen."""

    item: Item
    quantity: int
    minimum: int
    wanted: Day
    latest: Day | None
    aim: Day
    as_late_as_possible: bool


class Plan(NamedTuple):
    """A way to serve a line, whole or in part; `key` is its place in the order of plans, the least is the best."""

    pieces: tuple[Piece, ...]
    units: int
    key: PlanKey

    @property
    def cost(self) -> int:
        """Shipping with all penalties, in minor units."""
        return self.key[1]


def offers_of(book: Book, request: Request) -> list[Offer]:
    """The offers for the request's zone, else for all zones, whose carrier class its tier may use."""
    offers = book.offers.get(request.zone) or book.offers.get("*", ())
    classes = request.tier.carrier_classes
    return [offer for offer in offers if not classes or offer.carrier_class in classes]


def lanes_of(book: Book, offers: Sequence[Offer], item_id: str) -> list[Lane]:
    """The offers whose location has a position of the item."""
    positions = book.positions
    return [
        Lane(offer, key, offer.processing_days + offer.transit_days)
        for offer in offers
        if (key := PositionKey(item_id, offer.location_id)) in positions
    ]


@dataclass(slots=True)
class Search:
    """The search for one line, with what is confirmable at each of its positions. `rooms` is as the line found it."""

    draft: Draft
    ask: Ask
    lanes: Sequence[Lane]
    quotas: Sequence[Quota] = ()
    rooms: dict[PositionKey, Room] = field(default_factory=dict)

    @classmethod
    def of(cls, draft: Draft, ask: Ask, lanes: Sequence[Lane]) -> "Search":
        """Look at every position once."""
        quotas = matching_quotas(draft.book, draft.request, ask.item.item_id) if draft.book.quotas else ()
        search = cls(draft, ask, lanes, quotas)
        for lane in lanes:
            if lane.key not in search.rooms:
                search.rooms[lane.key] = search.room_at(lane.key)
        return search

    def room_at(self, key: PositionKey) -> Room:
        """What the line may take at a position now."""
        draft = self.draft
        room = room_for(draft.book, key, self.ask.item, draft.request.tier, behind_waiting=not draft.in_turn)
        return within_quotas(room, draft.book, self.quotas)

    def best(self) -> Plan | None:
        """The best plan found; None if nothing can be taken by the latest acceptable date."""
        single = self._single()
        if single is None or self._cannot_gain(single):
            return single
        plans = [single, self._split(Search._on_time_first), self._split(Search._cheapest_first)]
        return min(plans, key=_key)

    def _cannot_gain(self, single: Plan) -> bool:
        piece = single.pieces[0]
        if not self.draft.request.tier.split_allowed:
            return True
        if piece.day + piece.lane.lag > self.ask.wanted:
            return False
        return single.units == self.ask.quantity or (len(self.rooms) == 1 and not self.quotas)

    def _single(self) -> Plan | None:
        plans: list[Plan] = []
        for lane in self.lanes:
            room = self.rooms[lane.key]
            last = self._last_day(lane)
            quantity = min(self.ask.quantity, most(room, last))
            if quantity <= 0:
                continue
            days = [self._day_for(room, lane, quantity)]
            days += self._joinable(room, lane, quantity)
            plans += (self._plan((Piece(lane, day, quantity),)) for day in days)
        return min(plans, key=_key) if len(plans) > 1 else plans[0] if plans else None

    def _joinable(self, room: Room, lane: Lane, quantity: int) -> Iterator[Day]:
        offer = lane.offer
        for ship_day in self.draft.shipments.get((offer.location_id, offer.service), ()):
            day = ship_day - offer.processing_days
            if self.draft.book.today <= day <= self._last_day(lane) and room.at(day) >= quantity:
                yield day

    def _last_day(self, lane: Lane) -> Day:
        return FAR if self.ask.latest is None else self.ask.latest - lane.lag

    def _day_for(self, room: Room, lane: Lane, quantity: int) -> Day:
        """The day for a quantity that there is room for: by the tier's wish if that is on time, else the earliest."""
        if self.ask.as_late_as_possible:
            last = min(self.ask.aim - lane.lag, self._last_day(lane))
            day = _latest(room, quantity, last)
            if day is not None:
                return day
        return _earliest(room, quantity)

    def _split(self, order: Callable[["Search", Piece], tuple[int, ...]]) -> Plan:
        """Take the piece that comes first in an order, again and again, until all is taken or nothing is left."""
        mark, rooms = self.draft.mark(), dict(self.rooms)
        pieces: list[Piece] = []
        rest = self.ask.quantity
        while rest > 0 and len(pieces) < PIECES_MAX:
            options = [piece for lane in self.lanes for piece in self._options(lane, rooms[lane.key], rest)]
            if not options:
                break
            piece = min(options, key=lambda option: (order(self, option), self._tie(option)))
            self.draft.take(self.ask.item, piece, self.quotas)
            for key in rooms if self.quotas else (piece.lane.key,):
                rooms[key] = self.room_at(key)
            pieces.append(piece)
            rest -= piece.quantity
        self.draft.budget_spent |= len(pieces) == PIECES_MAX
        self.draft.undo(mark)
        return self._plan(tuple(pieces))

    def _options(self, lane: Lane, room: Room, rest: int) -> Iterator[Piece]:
        last = self._last_day(lane)
        quantity = min(rest, most(room, last))
        if quantity > 0:
            yield Piece(lane, self._day_for(room, lane, quantity), quantity)
        on_time = min(rest, most(room, min(last, self.ask.wanted - lane.lag)))
        if 0 < on_time < quantity:
            yield Piece(lane, self._day_for(room, lane, on_time), on_time)

    def _plan(self, pieces: tuple[Piece, ...]) -> Plan:
        units = sum(piece.quantity for piece in pieces)
        tier = self.draft.request.tier
        cost = tier.backorder_penalty_minor * (self.ask.quantity - units)
        opened: list[tuple[str, str, Day]] = []
        for piece in pieces:
            offer = piece.lane.offer
            shipment = (offer.location_id, offer.service, piece.day)
            cost += self._running_cost(piece)
            if self.draft.opens_shipment(piece.lane, piece.day) and shipment not in opened:
                opened.append(shipment)
                cost += offer.cost_shipment_minor
        before = self.draft.shipments_count
        cost += tier.split_penalty_minor * (max(0, before + len(opened) - 1) - max(0, before - 1))
        return Plan(pieces, units, (-units, cost, len(opened), tuple([self._tie(piece) for piece in pieces])))

    def _running_cost(self, piece: Piece) -> int:
        """What a piece costs by quantity: carriage and lateness."""
        days_late = max(0, piece.day + piece.lane.lag - self.ask.wanted)
        penalty = self.draft.request.tier.lateness_penalty_minor
        return (piece.lane.offer.cost_unit_minor + penalty * days_late) * piece.quantity

    def _tie(self, piece: Piece) -> tuple[int, int, str, str]:
        offer = piece.lane.offer
        ship_day = piece.day + offer.processing_days
        preferred = -ship_day if self.ask.as_late_as_possible else ship_day
        return (preferred, offer.rank, offer.location_id, offer.service)

    def _on_time_first(self, piece: Piece) -> tuple[int, ...]:
        late = piece.day + piece.lane.lag > self.ask.wanted
        return (int(late), -piece.quantity, self._unit_cost(piece))

    def _cheapest_first(self, piece: Piece) -> tuple[int, ...]:
        return (self._unit_cost(piece), -piece.quantity)

    def _unit_cost(self, piece: Piece) -> int:
        cost = self._running_cost(piece)
        if self.draft.opens_shipment(piece.lane, piece.day):
            cost += piece.lane.offer.cost_shipment_minor
            cost += self.draft.request.tier.split_penalty_minor if self.draft.shipments_count else 0
        return cost * COST_SCALE // piece.quantity


def _key(plan: Plan) -> PlanKey:
    return plan.key


def most(room: Room, last: Day) -> int:
    """The most that there is room for on any day up to the last one."""
    if room.days[-1] <= last:
        return max(room.quantities)
    return max(room.quantities[: bisect_right(room.days, last)], default=0)


def _earliest(room: Room, quantity: int) -> Day:
    """The first day with room for a quantity that some day has room for."""
    return next(day for day, most in zip(*room, strict=True) if most >= quantity)


def _latest(room: Room, quantity: int, last: Day) -> Day | None:
    """The last day, not after `last`, with room for a quantity."""
    until = last
    for index in range(bisect_right(room.days, last) - 1, -1, -1):
        if room.quantities[index] >= quantity:
            return until
        until = room.days[index] - 1
    return None
