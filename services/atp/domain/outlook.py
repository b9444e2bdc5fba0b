"""What a line can choose from: its lanes, what is confirmable at each of their positions, and what a choice costs.

A plan is a way to serve a line, whole or in part. The order of plans: most units by the latest acceptable date; then
least shipping cost + lateness + split + backorder penalties; then fewer shipments; then the later ship date (the
earlier one where the tier ships as soon as possible); then the lane's rank, location id, service. A shipment costs once
per (location, service, ship day) of the order: joining one that an earlier line opened is free.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from typing import Final, NamedTuple

from services.atp.domain.allocation import room_for
from services.atp.domain.bookable_room import BookableRoom
from services.atp.domain.capacity import limiting
from services.atp.domain.ceilings import Ceiling, below, ceilings_for
from services.atp.domain.leads import further_of, lead_of, ranked_line
from services.atp.domain.made_to_order import item_at
from services.atp.domain.model import Book, Day, Item, Offer, Position, PositionKey, Request
from services.atp.domain.promising_rules import is_stricter
from services.atp.domain.routing_rules import pick_up_key
from services.atp.domain.service_rule import ServicePlace
from services.atp.domain.shipping_days import is_timed
from services.atp.domain.supply_picture import Room, horizon
from services.atp.domain.taking import Draft, Lane, Piece
from services.atp.domain.units import room_in_packs

FAR: Final = 10**7  # a day after all others: the year 27,000

Tie = tuple[int, int, str, str]
PlanKey = tuple[int, int, int, tuple[Tie, ...]]
LaneRoom = Room | BookableRoom


class Ask(NamedTuple):
    """What is to be planned. Lateness counts from `wanted`; `aim` is the arrival for which days are chosen."""

    item: Item
    quantity: int
    minimum: int
    wanted: Day
    latest: Day | None
    aim: Day
    as_late_as_possible: bool


class Plan(NamedTuple):
    """A way to serve a line; `key` is its place in the order of plans, the least is the best."""

    pieces: tuple[Piece, ...]
    units: int
    key: PlanKey

    @property
    def cost(self) -> int:
        """Shipping with all penalties, in minor units."""
        return self.key[1]


def offers_of(book: Book, request: Request) -> Sequence[Offer]:
    """The offers for the request's zone, else for all zones, whose carrier class its tier may use.

    Of a customer who collects: those of the store; there is no carrier whose class could be forbidden.
    """
    if request.pick_up_at is not None:
        return book.offers.get(pick_up_key(request.pick_up_at), ())
    offers = book.offers.get(request.zone) or book.offers.get("*", ())
    classes = request.tier.carrier_classes
    if request.location_id is not None:
        offers = tuple(offer for offer in offers if offer.location_id == request.location_id)
    return [offer for offer in offers if offer.carrier_class in classes] if classes else offers


def lanes_of(book: Book, offers: Sequence[Offer], item_id: str) -> list[Lane]:
    """The offers whose location has a position of the item that is not stopped."""
    positions = book.positions
    return [
        Lane(offer, key, offer.processing_days + offer.transit_days, is_timed(offer), limiting(book, offer))
        for offer in offers
        if (position := positions.get(key := PositionKey(item_id, offer.location_id))) is not None
        and book.stopped_through(position) is None
    ]


def stopped_of(book: Book, offers: Sequence[Offer], item_id: str) -> list[Position]:
    """The stopped positions of an item among those that the offers draw from, by location."""
    keys = sorted(dict.fromkeys(PositionKey(item_id, offer.location_id) for offer in offers))
    return [
        each for key in keys if (each := book.positions.get(key)) is not None and book.stopped_through(each) is not None
    ]


@dataclass(slots=True)
class Outlook:
    """The choices of one line; `rooms` is what was confirmable when the line was reached."""

    draft: Draft
    ask: Ask
    lanes: Sequence[Lane]
    quotas: Sequence[Ceiling] = ()
    rooms: dict[PositionKey, Room] = field(default_factory=dict)

    @classmethod
    def of(cls, draft: Draft, ask: Ask, lanes: Sequence[Lane]) -> "Outlook":
        """Look at every position once."""
        book = draft.book
        quotas = ceilings_for(book, draft.request, ask.item) if book.quotas or book.hierarchies else ()
        outlook = cls(draft, ask, lanes, quotas)
        for lane in lanes:
            if lane.key not in outlook.rooms:
                outlook.rooms[lane.key] = outlook.room_at(lane.key)
        return outlook

    @property
    def adds_up(self) -> bool:
        """Whether parts on several days give no more than the best day of each position (the room only grows)."""
        if self.draft.request.max_shipments is not None or any(lane.capacities for lane in self.lanes):
            return False
        return not self.quotas and self.rooms_add_up

    @property
    def rooms_add_up(self) -> bool:
        """The same of each position by itself, quotas, capacity and the number of shipments aside."""
        if is_stricter(self.ask.item):
            return False
        tier, protections = self.draft.request.tier.tier, self.draft.book.protections
        return not any(
            each.strict or (each.mode == "core" and each.tier == tier)
            for key in self.rooms
            for each in protections.get(key, ())
        )

    def until(self, latest: Day) -> "Outlook":
        """The same choices with a latest acceptable arrival."""
        return Outlook(self.draft, self.ask._replace(latest=latest), self.lanes, self.quotas, self.rooms)

    def room_at(self, key: PositionKey) -> Room:
        """What the line may take at a position now, in whole packs."""
        room, book = self.room_beside_quotas(key), self.draft.book
        if self.quotas:
            room = below(room, self.quotas, book.usage, book.today)
        return room_in_packs(room, self.ask.item.pack_size)

    @property
    def rooms_beside_quotas(self) -> Mapping[PositionKey, Room]:
        """What there is at each position, quotas aside."""
        if not self.quotas:
            return self.rooms
        return {key: self.room_beside_quotas(key) for key in self.rooms}

    def room_beside_quotas(self, key: PositionKey) -> Room:
        """What supply, protections and those who wait leave for the line at a position now."""
        draft = self.draft
        request, behind = draft.request, not draft.in_turn
        place = self.place_at(draft.book.positions[key])
        return room_for(
            draft.book, key, self.ask.item, request.tier, behind_waiting=behind, channel=request.channel, place=place
        )

    def place_at(self, position: Position) -> ServicePlace | None:
        """The line's place in the order of service, where a position keeps something for others; else it is of no use.

        Of a new order its day is known and not its moment: it stands behind all others of the day.
        """
        draft, ask = self.draft, self.ask
        if draft.in_turn or not (position.waiting or position.set_aside):
            return draft.place
        rule, request = draft.book.service, draft.request
        ranked = ranked_line(request, ask.wanted, ask.item.criticality)
        further = ""
        if position.set_aside:
            further = further_of(rule, ranked, datetime.combine(date.fromordinal(request.ordered_day), time.max, UTC))
        return lead_of(rule, ranked), further, request.source, request.order_id, ""

    def room_by(self, lane: Lane, room: Room) -> LaneRoom:
        """What the line may take by a lane, given what it may take at the lane's position."""
        if not lane.capacities:
            return room
        draft = self.draft
        tier, today = draft.request.tier, draft.book.today
        return BookableRoom(room, lane, tier, today, draft.book.usage, self.ask.item.pack_size, self.ask.quantity)

    def turning_days(self, lane: Lane) -> list[Day]:
        """Days on which the room of a lane may change."""
        return self.room_by(lane, self.rooms[lane.key]).turning_days

    def last_day(self, lane: Lane) -> Day:
        """The last day on which goods may become available and still arrive acceptably."""
        return FAR if self.ask.latest is None else lane.latest(self.ask.latest)

    def day_for(self, room: LaneRoom, lane: Lane, quantity: int) -> Day:
        """The day for a quantity that there is room for: by the tier's wish if that is on time, else the earliest."""
        if self.ask.as_late_as_possible:
            day = room.latest(quantity, min(lane.latest(self.ask.aim), self.last_day(lane)))
            if day is not None:
                return day
        day = room.earliest(quantity)
        return self._no_earlier_than_needed(room, lane, quantity, day) if lane.timed else day

    def _no_earlier_than_needed(self, room: LaneRoom, lane: Lane, quantity: int, day: Day) -> Day:
        """Goods that would wait for the same departure may become available as late as that allows."""
        book = self.draft.book
        end = horizon(item_at(book, lane.key.location_id, self.ask.item), book.today)
        later = lane.latest_alike(day)
        stays = later > day and room.at(later) >= quantity and (end is None or day >= end or later < end)
        return later if stays else day

    def plan(self, pieces: tuple[Piece, ...]) -> Plan:
        """Pieces as a plan, with its place in the order of plans."""
        draft, tier = self.draft, self.draft.request.tier
        units = cost = 0
        opened: list[tuple[str, str, Day]] = []
        for piece in pieces:
            offer = piece.lane.offer
            shipment = (offer.location_id, offer.service, piece.lane.ship_day(piece.day))
            units += piece.quantity
            cost += self.running_cost(piece)
            if draft.opens_shipment(piece.lane, piece.day) and shipment not in opened:
                opened.append(shipment)
                cost += offer.cost_shipment_minor
        if tier.split_penalty_minor:
            before = draft.shipments_count
            cost += tier.split_penalty_minor * (max(0, before + len(opened) - 1) - max(0, before - 1))
        cost += tier.backorder_penalty_minor * (self.ask.quantity - units)
        return Plan(pieces, units, (-units, cost, len(opened), tuple([self.tie(piece) for piece in pieces])))

    def running_cost(self, piece: Piece) -> int:
        """What a piece costs by quantity: carriage and lateness."""
        lane, day, quantity = piece
        cost = lane.carriage(self.ask.item, quantity)
        days_late = lane.arrival(day) - self.ask.wanted
        if days_late > 0:
            cost += self.draft.request.tier.lateness_penalty_minor * days_late * quantity
        return cost

    def tie(self, piece: Piece) -> Tie:
        """What decides between pieces that are equal otherwise."""
        offer = piece.lane.offer
        ship_day = piece.lane.ship_day(piece.day)
        preferred = -ship_day if self.ask.as_late_as_possible else ship_day
        return (preferred, offer.rank, offer.location_id, offer.service)
