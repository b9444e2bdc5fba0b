"""An order as one problem: what its lines may take by which shipment, and what they share.

A choice is a line by a lane on one ship day. Choices of an order share shipments (the cost of a shipment is paid once
per location, service and ship day), stock (a position's room, day by day), quotas and capacity. Days are those at which
something turns: the last day in time of each line, the days from which more stock is there, the edges of quotas, and,
where capacity limits a lane, as many days as it takes to ship what is wanted.

A line whose room depends on what the order takes in ways that do not add up makes no problem (None): a protection of
its own in core mode, strict privilege, a stricter promising rule, a quota that borrows or a hierarchy. Such an order is
decided line by line.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final, NamedTuple

from services.atp.domain.capacity import left_for
from services.atp.domain.model import Day, UsageKey
from services.atp.domain.outlook import Outlook, Tie
from services.atp.domain.supply_picture import Room, horizon
from services.atp.domain.taking import GRAMS, Lane, Piece

CHOICES_MAX: Final = 4_000  # of an order; one with more is decided line by line
DAYS_MAX: Final = 14  # ship days of a lane that is limited by capacity, from today on, and before a line is late
DAYS_AFTER: Final = 3  # the same, from the day on which more stock is there
DAYS_LOOKED_AT: Final = 60  # to find such days, where capacity is left on few


class Shipment(NamedTuple):
    """What may leave together; `is_open`: the order has it already, so that it costs nothing more."""

    location_id: str
    service: str
    ship_day: Day
    cost_minor: int
    is_open: bool


class Choice(NamedTuple):
    """A way to serve a line. `unit_cost` is carriage and lateness of a unit, in thousandths of a minor unit.

    `stock` and `place` say which room it takes from, and from which of its days on; `limits` are the quotas and
    capacities that it counts against.
    """

    line: int
    piece: Piece  # of quantity 0
    shipment: int
    unit_cost: int
    tie: Tie
    stock: int
    place: int
    limits: tuple[int, ...]

    def cost(self, quantity: int) -> int:
        """What a quantity costs, the shipment aside; a begun minor unit counts."""
        return -(-self.unit_cost * quantity // GRAMS)


@dataclass(frozen=True, slots=True)
class Wish:
    """What a line wants: units, its minimum, its pack, and its choices, the cheapest first."""

    need: int
    minimum: int
    pack: int
    choices: tuple[Choice, ...]


@dataclass(frozen=True, slots=True)
class Problem:
    """An order to be planned. `levels` are rooms by stock row, `limits` what quotas and capacities leave."""

    wishes: tuple[Wish, ...]
    shipments: tuple[Shipment, ...]
    levels: tuple[tuple[int, ...], ...]
    limits: tuple[int, ...]
    split_penalty: int
    backorder_penalty: int
    split_allowed: bool  # a line may be taken in several parts
    shipments_before: int
    shipments_max: int | None

    def split_cost(self, opened: int) -> int:
        """What so many shipments more cost as a split."""
        before = self.shipments_before
        return self.split_penalty * (max(0, before + opened - 1) - max(0, before - 1))


def problem_of(outlooks: Sequence[Outlook]) -> Problem | None:
    """The problem of an order whose lines have these choices; None if their rooms do not add up or are too many."""
    if any(not _adds_up(outlook) for outlook in outlooks):
        return None
    return _Builder(outlooks).build()


def _adds_up(outlook: Outlook) -> bool:
    """Whether what a line takes lowers its rooms by just as much, from its day on."""
    simple = all(len(sources) <= 1 for ceiling in outlook.quotas for sources in ceiling.sources)
    return simple and outlook.rooms_add_up


class _Builder:
    def __init__(self, outlooks: Sequence[Outlook]) -> None:
        self.outlooks = outlooks
        self.rooms = [outlook.rooms_beside_quotas for outlook in outlooks]
        self.draft = outlooks[0].draft
        self.shipments: dict[tuple[str, str, Day], Shipment] = {}
        self.numbers: dict[tuple[str, str, Day], int] = {}
        self.stocks: dict[object, int] = {}
        self.levels: list[tuple[int, ...]] = []
        self.limits: dict[UsageKey, int] = {}
        self.lefts: list[int] = []

    def build(self) -> Problem | None:
        """Choices line by line, on the ship days that any of the lines may want."""
        wanted = self._ship_days()
        wishes, count = [], 0
        for number, outlook in enumerate(self.outlooks):
            choices = tuple(sorted(self._choices(number, outlook, wanted), key=_by_cost))
            count += len(choices)
            if count > CHOICES_MAX:
                return None
            ask = outlook.ask
            wishes.append(Wish(ask.quantity, ask.minimum, ask.item.pack_size, choices))
        tier = self.draft.request.tier
        return Problem(
            tuple(wishes),
            tuple(self.shipments.values()),
            tuple(self.levels),
            tuple(self.lefts),
            tier.split_penalty_minor,
            tier.backorder_penalty_minor,
            tier.split_allowed,
            self.draft.shipments_count,
            self.draft.request.max_shipments,
        )

    def _ship_days(self) -> dict[tuple[str, str], list[Day]]:
        """The ship days of each location and service that some line may want."""
        found: dict[tuple[str, str], dict[Day, None]] = {}
        first: dict[tuple[str, str], Day] = {}  # the earliest of the last days in time: from there some line is late
        for outlook in self.outlooks:
            for lane in outlook.lanes:
                place, day = (lane.offer.location_id, lane.offer.service), _on_time(outlook, lane)
                first[place] = min(first.get(place, day), day)
        for outlook, rooms in zip(self.outlooks, self.rooms, strict=True):
            for lane in outlook.lanes:
                place = (lane.offer.location_id, lane.offer.service)
                turning = _days(outlook, lane, rooms[lane.key], first[place])
                found.setdefault(place, {}).update(dict.fromkeys(lane.ship_day(day) for day in turning))
        for place, days in found.items():
            days.update(dict.fromkeys(self.draft.shipments.get(place, ())))
        return {place: sorted(days) for place, days in found.items()}

    def _choices(self, number: int, outlook: Outlook, wanted: dict[tuple[str, str], list[Day]]) -> Iterator[Choice]:
        today = self.draft.book.today
        late = self.draft.request.tier.lateness_penalty_minor
        for lane in outlook.lanes:
            offer, last = lane.offer, outlook.last_day(lane)
            carriage = offer.cost_unit_minor * GRAMS + offer.cost_kg_minor * outlook.ask.item.weight_grams
            room = self.rooms[number][lane.key]
            stock = self._stock(lane, room)
            for ship_day in wanted[offer.location_id, offer.service]:
                days_late = max(0, ship_day + offer.transit_days - outlook.ask.wanted)
                for day in _available(outlook, lane, ship_day):
                    if not today <= day <= last or room.at(day) <= 0:
                        continue
                    piece = Piece(lane, day, 0)
                    yield Choice(
                        number,
                        piece,
                        self._shipment(lane, ship_day),
                        carriage + late * days_late * GRAMS,
                        outlook.tie(piece),
                        stock,
                        room.place(day),
                        (*self._quotas(outlook, day), *self._capacities(lane, ship_day)),
                    )

    def _shipment(self, lane: Lane, ship_day: Day) -> int:
        offer = lane.offer
        name = (offer.location_id, offer.service, ship_day)
        if name not in self.shipments:
            is_open = ship_day in self.draft.shipments.get(name[:2], ())
            self.numbers[name] = len(self.shipments)
            self.shipments[name] = Shipment(*name, 0 if is_open else offer.cost_shipment_minor, is_open)
        return self.numbers[name]

    def _stock(self, lane: Lane, room: Room) -> int:
        if lane.key not in self.stocks:
            self.stocks[lane.key] = len(self.levels)
            self.levels.append(tuple(room.quantities))
        return self.stocks[lane.key]

    def _quotas(self, outlook: Outlook, day: Day) -> Iterator[int]:
        usage = self.draft.book.usage
        for ceiling in outlook.quotas:
            for source in ceiling.at(day):
                yield self._limit(source.usage, max(0, source.quantity - usage.get(source.usage, 0)))

    def _capacities(self, lane: Lane, ship_day: Day) -> Iterator[int]:
        book, tier = self.draft.book, self.draft.request.tier
        for capacity in lane.capacities:
            left = left_for(capacity, tier, ship_day, book.today, book.usage)
            yield self._limit(UsageKey("capacity", capacity.capacity_id, ship_day), max(0, left))

    def _limit(self, key: UsageKey, left: int) -> int:
        if key not in self.limits:
            self.limits[key] = len(self.lefts)
            self.lefts.append(left)
        return self.limits[key]


def _on_time(outlook: Outlook, lane: Lane) -> Day:
    """The last day of availability with which a line is in time by a lane."""
    return min(lane.latest(outlook.ask.wanted), outlook.last_day(lane))


def _days(outlook: Outlook, lane: Lane, room: Room, first: Day) -> list[Day]:
    """Days of availability at which a line's choices by a lane turn; after `first` a line beside it may be late."""
    today, last = outlook.draft.book.today, outlook.last_day(lane)
    on_time = _on_time(outlook, lane)
    edges = [day for ceiling in outlook.quotas for day in (*ceiling.days, *(day - 1 for day in ceiling.days))]
    days = [on_time, *edges, *(day for day in room.days if day > min(first, on_time))]
    if lane.capacities:
        turning = [day for day in days if day > on_time]
        days += [more for day in turning for more in _with_capacity(outlook, lane, range(day, last + 1), DAYS_AFTER)]
        days += _with_capacity(outlook, lane, range(today, last + 1), DAYS_MAX)
        days += _with_capacity(outlook, lane, range(on_time, today - 1, -1), DAYS_MAX)
        days = [day for day in days if _left(outlook, lane, day) > 0]
    return sorted(dict.fromkeys(day for day in days if today <= day <= last))


def _with_capacity(outlook: Outlook, lane: Lane, days: Iterable[Day], most: int) -> list[Day]:
    """The first of some days on each of so many ship days on which capacities leave something."""
    found: dict[Day, Day] = {}
    for day in islice(days, DAYS_LOOKED_AT):
        ship_day = lane.ship_day(day)
        if ship_day not in found and _left(outlook, lane, day) > 0:
            found[ship_day] = day
            if len(found) == most:
                break
    return list(found.values())


def _left(outlook: Outlook, lane: Lane, day: Day) -> int:
    """What capacities let leave by a lane of what is available on a day."""
    book, tier = outlook.draft.book, outlook.draft.request.tier
    ship_day = lane.ship_day(max(day, book.today))
    return min(left_for(each, tier, ship_day, book.today, book.usage) for each in lane.capacities)


def _available(outlook: Outlook, lane: Lane, ship_day: Day) -> Iterator[Day]:
    """On which days goods may become available to ship on a day: the last one, and the last one before H."""
    day = lane.latest_for(ship_day)
    if day is None:
        return
    end = horizon(outlook.ask.item, outlook.draft.book.today)
    if lane.timed and end is not None and day >= end and lane.ship_day(end - 1) == ship_day:
        yield end - 1
    yield day


def _by_cost(choice: Choice) -> tuple[int, Tie, Day]:
    return choice.unit_cost, choice.tie, choice.piece.day
