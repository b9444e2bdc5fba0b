"""What lacks for a line to be feasible, where, and what each constraint allowed.

Where two things bind at once (supply and a quota), the change that helps names both; where several would do (supply
here or there, a protection lowered, a later date), each is named for itself. For a line that could be split over the
periods of quotas or of its tier's core protections the change is the smallest that makes it feasible in one part;
`services.atp.domain.smallest_change` then searches on.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import date
from functools import partial
from typing import Final, Literal, NamedTuple

from services.atp.domain.allocation import room_for
from services.atp.domain.capacity import keeper, left_for
from services.atp.domain.ceilings import lefts
from services.atp.domain.made_to_order import item_at
from services.atp.domain.model import Binding, Book, Capacity, Day, Position, PositionKey, Protection
from services.atp.domain.outlook import FAR, Outlook
from services.atp.domain.promising_rules import is_stricter, start_of_period
from services.atp.domain.protected_supply import Stand, asked_quantity, is_live, kept
from services.atp.domain.set_aside import kept_ahead
from services.atp.domain.sourcing import units_by
from services.atp.domain.strict_privilege import restricts
from services.atp.domain.supply_picture import Room, changes, lookahead
from services.atp.domain.taking import Lane

SET_ASIDE: Final = "set_aside"  # the reference of what is kept for old backorders
NAMED_MAX: Final = 3  # locations, protections or lines named in one answer; more would not be read
MORE: Final = "one shipment more"


class Full(NamedTuple):
    """A capacity that leaves too little on a ship day."""

    capacity: Capacity
    ship_day: Day
    left: int


@dataclass(frozen=True, slots=True)
class _Spot:
    """A position with the day in time on which it lacks least, and what it lacks."""

    key: PositionKey
    day: Day
    room: int
    missing: int
    quotas: tuple[tuple[str, int], ...]  # (quota, what it leaves) of those that leave too little
    capacities: tuple[Full, ...] = ()

    def lacks(self, need: int) -> int:
        """The size of the whole change, in units."""
        short = [left for _, left in self.quotas] + [full.left for full in self.capacities]
        return self.missing + sum(need - left for left in short)

    @property
    def is_limited(self) -> bool:
        """Whether more than what the position keeps or lacks binds."""
        return bool(self.quotas or self.capacities)


@dataclass(frozen=True, slots=True)
class Shortage:
    """`need` units were wanted by `deadline` (arrival; None: whenever), and `units` is the most that there is."""

    outlook: Outlook
    need: int
    deadline: Day | None
    units: int

    def bindings(self) -> Iterator[Binding]:
        """The constraints that bound, at the positions that lack least."""
        spots = self._spots()
        later = self._later()
        if not spots and self.deadline is not None:
            yield self._because_too_far(self.deadline, later)
        others = [spot for spot in spots[1:NAMED_MAX] if not spots[0].is_limited and not spot.is_limited]
        for spot in (*spots[:1], *others):
            yield from self._at(spot, later if spot is spots[0] else "")

    def _spots(self) -> list[_Spot]:
        fastest: dict[tuple[PositionKey, str], Lane] = {}
        for lane in sorted(self.outlook.lanes, key=self._by_last_day):
            fastest.setdefault((lane.key, lane.offer.service if lane.capacities else ""), lane)
        today = self.outlook.draft.book.today
        lanes = [lane for lane in fastest.values() if self._last_day(lane) >= today]
        rooms = self.outlook.rooms
        if self.outlook.quotas or self.outlook.ask.item.pack_size > 1:
            rooms = {lane.key: self.outlook.room_beside_quotas(lane.key) for lane in lanes}
        spots = [self._spot(lane, rooms[lane.key]) for lane in lanes]
        return sorted(spots, key=lambda spot: (spot.lacks(self.need), spot.key))

    def _last_day(self, lane: Lane) -> Day:
        return FAR if self.deadline is None else lane.latest(self.deadline)

    def _by_last_day(self, lane: Lane) -> tuple[Day, int, str, str]:
        return (-self._last_day(lane), lane.offer.rank, lane.offer.location_id, lane.offer.service)

    def _spot(self, lane: Lane, room: Room) -> _Spot:
        """The best day at a position: the one that lacks least, the last one of several."""
        last = self._last_day(lane)
        edges = [day - 1 for ceiling in self.outlook.quotas for day in ceiling.days]
        turning = self.outlook.turning_days(lane) if lane.capacities else []
        until = max([*room.days, *turning, *(edge + 1 for edge in edges)]) if last == FAR else last
        ends = [*(day - 1 for day in room.days[1:]), *edges, until]
        today = self.outlook.draft.book.today
        days = sorted(dict.fromkeys(day for day in ends if today <= day <= until), reverse=True)
        if turning:
            days = sorted({*days, *(day for day in turning if day <= until)}, reverse=True)
        elsewhere = 0
        if self.outlook.draft.request.tier.split_allowed and self.outlook.adds_up:
            here = max(0, room.most(last))
            elsewhere = self.units - (here - here % self.outlook.ask.item.pack_size)
        return min((self._on(lane, day, room.at(day), elsewhere) for day in days), key=self._lacks)

    def _on(self, lane: Lane, day: Day, room: int, elsewhere: int) -> _Spot:
        missing = max(0, self.need - elsewhere - room)
        left_by = lefts(self.outlook.quotas, self.outlook.draft.book.usage, day)
        quotas = tuple((quota, left) for quota, left in left_by if left < self.need)
        full = tuple(each for each in self._capacities(lane, day) if each.left < self.need)
        return _Spot(lane.key, day, room, missing, quotas, full)

    def _capacities(self, lane: Lane, day: Day) -> list[Full]:
        if not lane.capacities:
            return []
        book, tier, ship_day = self.outlook.draft.book, self.outlook.draft.request.tier, lane.ship_day(day)
        lefts_ = [left_for(each, tier, ship_day, book.today, book.usage) for each in lane.capacities]
        return [Full(each, ship_day, left) for each, left in zip(lane.capacities, lefts_, strict=True)]

    def _lacks(self, spot: _Spot) -> int:
        return spot.lacks(self.need)

    def _at(self, spot: _Spot, later: str) -> Iterator[Binding]:
        for quota_id, left in spot.quotas:
            yield Binding(
                "quota", quota_id, left, spot.day, would_help=self._help(spot) + later, needed=self.need - left
            )
        for full in spot.capacities:
            yield self._because_full(full, self._help(spot) + later)
        if not spot.missing:
            return
        book = self.outlook.draft.book
        item, position = item_at(book, spot.key.location_id, self.outlook.ask.item), book.positions[spot.key]
        supply = lookahead(changes(position, item, book.today), item, book.today).at(spot.day)
        held = list(self._held(position, spot)) if supply > spot.room else []
        if supply < spot.room + spot.missing or not held or is_stricter(item):
            help_ = self._help(spot) + later
            day = None if self.deadline is None and not is_stricter(item) else self._by_day(spot)
            missing = spot.missing + self._absorbed(position)
            yield Binding("supply", spot.key.location_id, max(0, supply), day, would_help=help_, needed=missing)
        yield from held

    def _because_full(self, full: Full, help_: str) -> Binding:
        draft, (capacity, ship_day, left) = self.outlook.draft, full
        book = draft.book
        kept_for = keeper(capacity, draft.request.tier, ship_day, book.today, book.usage)
        needed = self.need - left
        return Binding("capacity", capacity.capacity_id, max(0, left), ship_day, kept_for, help_, needed)

    def _absorbed(self, position: Position) -> int:
        """What of more supply the shortages of other periods and what is protected may take, at most, under a rule."""
        if not is_stricter(self.outlook.ask.item):
            return 0
        kept_for_others = sum(self._most(each) for each in self.outlook.draft.book.protections.get(position.key, ()))
        owed = sum(quantity for _, quantity in position.commitments)
        return owed + kept_for_others - min(0, position.on_hand - position.buffer)

    def _held(self, position: Position, spot: _Spot) -> Iterator[Binding]:
        """Protections that keep something from the line at a position, and those who wait ahead of it."""
        book, tier = self.outlook.draft.book, self.outlook.draft.request.tier
        protections = book.protections.get(spot.key, ())
        keeping = [
            (-sum(quantity for _, quantity in steps), protection.protection_id, protection)
            for protection, steps in kept(protections, position, self.outlook.ask.item, book.today, book.usage)
            if steps and (protection.strict or restricts(protection, tier, spot.day))
        ]
        for _, protection_id, protection in sorted(keeping, key=lambda each: each[:2])[:NAMED_MAX]:
            lower = self._lowered_enough(protection, spot)
            help_ = self._help(spot) if lower is None else f"protection {protection_id} lowered by {units_text(lower)}"
            if lower is not None and spot.is_limited:
                help_ += " and " + self._raised(spot)
            yield Binding("protection", protection_id, max(0, spot.room), spot.day, protection.tier, help_, lower)
        held_back = position.kept_from(self.outlook.draft.request.channel)
        if held_back:
            lower = self._least(spot, held_back, partial(self._room_with_less_held_back, position, spot))
            help_ = self._help(spot) if lower is None else held_back_text(spot.key.location_id, lower)
            if lower is not None and spot.is_limited:
                help_ += " and " + self._raised(spot)
            yield Binding("buffer", spot.key.location_id, max(0, spot.room), spot.day, would_help=help_, needed=lower)
        if position.waiting and not self.outlook.draft.in_turn:
            yield Binding("protection", "backorders_ahead", max(0, spot.room), spot.day, would_help=self._help(spot))
        place = self.outlook.place_at(position)
        if position.set_aside and place is not None and kept_ahead(position, book.service, book.today, place):
            yield Binding("protection", SET_ASIDE, max(0, spot.room), spot.day, would_help=self._help(spot))

    def _lowered_enough(self, protection: Protection, spot: _Spot) -> int | None:
        """By how much one protection has to be lowered for the line to be feasible; None: that alone does not do."""
        return self._least(spot, self._most(protection), partial(self._room_lowered, protection, spot))

    def _least(self, spot: _Spot, most_: int, room_less: Callable[[int], int]) -> int | None:
        """By how much something has to be lowered for what lacks at a spot; None: all that it keeps is not enough."""
        target = spot.room + spot.missing
        low, high = spot.missing, most_
        if high < low or room_less(high) < target:
            return None
        if room_less(low) >= target:
            return low
        while high - low > 1:
            middle = (low + high) // 2
            if room_less(middle) >= target:
                high = middle
            else:
                low = middle
        return high

    def _room_lowered(self, protection: Protection, spot: _Spot, by: int) -> int:
        book, key = self.outlook.draft.book, spot.key
        lowered = tuple(_lowered(each, by) if each is protection else each for each in book.protections[key])
        return self._room_of(replace(book, protections={key: lowered}), spot)

    def _room_with_less_held_back(self, position: Position, spot: _Spot, by: int) -> int:
        book = self.outlook.draft.book
        less = with_less_held_back(position, self.outlook.draft.request.channel, by)
        return self._room_of(replace(book, positions={**book.positions, spot.key: less}), spot)

    def _room_of(self, book: Book, spot: _Spot) -> int:
        request, behind = self.outlook.draft.request, not self.outlook.draft.in_turn
        item, channel = self.outlook.ask.item, request.channel
        place = self.outlook.place_at(book.positions[spot.key])
        room = room_for(book, spot.key, item, request.tier, behind_waiting=behind, channel=channel, place=place)
        return room.at(spot.day)

    def _most(self, protection: Protection) -> int:
        """By how much a protection can be lowered."""
        if protection.basis == "quantity":
            return protection.quantity
        book, key = self.outlook.draft.book, protection.key
        everyone, position = book.protections[key], book.positions[key]
        return asked_quantity(protection, everyone, Stand(position, self.outlook.ask.item, book.today, book.usage))

    def _help(self, spot: _Spot) -> str:
        if not spot.missing:
            return self._raised(spot)
        more = f"{spot.missing} more unit{'s' if spot.missing > 1 else ''} at {spot.key.location_id}"
        if self.deadline is not None:
            more += f" by {_text(self._by_day(spot))}"
        return f"{more} and {self._raised(spot)}" if spot.is_limited else more

    def _raised(self, spot: _Spot) -> str:
        quotas = [f"quota {quota_id} raised by {units_text(self.need - left)}" for quota_id, left in spot.quotas]
        capacities = [
            raised_text(each.capacity_id, ship_day, self.need - left) for each, ship_day, left in spot.capacities
        ]
        return " and ".join((*quotas, *capacities))

    def _by_day(self, spot: _Spot) -> Day:
        """The last day on which more supply helps: what is due within a future period covers its protection first.

        Under a rule it has to come in the period that it is for, and at its start.
        """
        today, item = self.outlook.draft.book.today, self.outlook.ask.item
        if is_stricter(item):
            return start_of_period(self.outlook.draft.book.positions[spot.key], item, today, spot.day)
        starts = [
            protection.start - 1
            for protection in self.outlook.draft.book.protections.get(spot.key, ())
            if is_live(protection, today) and protection.start > today and not protection.carry_stock
        ]
        return min([spot.day, *starts])

    def _later(self) -> str:
        """The date that would help, if one does."""
        day = self._first_whole()
        if day is None:
            return ""
        name = "latest acceptable" if self.deadline == self.outlook.ask.latest else "requested"
        return f", or a {name} arrival of {_text(day)}"

    def _first_whole(self) -> Day | None:
        """The first arrival day after the deadline by which there is as much as is needed."""
        if self.deadline is None:
            return None
        outlook = self.outlook
        arrivals = [lane.arrival(day) for lane in outlook.lanes for day in outlook.turning_days(lane)]
        days = sorted(dict.fromkeys(day for day in arrivals if day > self.deadline))
        place = bisect_left(days, self.need, key=lambda day: units_by(outlook, day))
        return days[place] if place < len(days) else None

    def _because_too_far(self, deadline: Day, later: str) -> Binding:
        """No lane is fast enough, or on its way soon enough; if no date alone helps, a date and supply do."""
        today = self.outlook.draft.book.today
        lane = min(self.outlook.lanes, key=lambda lane: _by_arrival(lane, today))
        arrival = lane.arrival(today)
        whole = self._first_whole()
        help_ = later.removeprefix(", or ")
        if whole is None:
            whole = arrival
            units = units_by(self.outlook, arrival)
            # nothing else lacks at the best place then: what is left is the order's greatest number of shipments
            rest = next(
                (each.would_help for each in Shortage(self.outlook, self.need, arrival, units).bindings()), MORE
            )
            help_ = f"arrival on {_text(arrival)} or later, and {rest}"
        reference = f"{lane.offer.location_id}/{lane.offer.service}"
        kind = _what_delays(lane, today, deadline)
        return Binding(kind, reference, 0, arrival, would_help=help_, needed=whole - deadline)


def with_less_held_back(position: Position, channel: str, by: int) -> Position:
    """A position that keeps so many units less from a channel."""
    buffers = [(name, quantity - by if name == channel else quantity) for name, quantity in position.channel_buffers]
    return replace(position, channel_buffers=tuple(buffers))


def held_back_text(location_id: str, quantity: int) -> str:
    """That less is held back from the order's channel, in words."""
    return f"{units_text(quantity)} less held back from the channel at {location_id}"


def raised_text(capacity_id: str, ship_day: Day, quantity: int) -> str:
    """That more may leave on a day, in words."""
    return f"capacity {capacity_id} raised by {units_text(quantity)} on {_text(ship_day)}"


def _lowered(protection: Protection, by: int) -> Protection:
    """A protection of so many units less; one that is a part of gross supply keeps its part, and so many less of it."""
    if protection.basis == "quantity":
        return replace(protection, quantity=protection.quantity - by)
    return replace(protection, lowered_by=by)


def _by_arrival(lane: Lane, today: Day) -> tuple[int, int, str, str]:
    return (lane.arrival(today), lane.offer.rank, lane.offer.location_id, lane.offer.service)


def _what_delays(lane: Lane, today: Day, deadline: Day) -> Literal["lane", "calendar", "cut_off"]:
    """What alone makes a lane too late: its length, or the calendars, or else that today is over there."""
    if not lane.timed or today + lane.lag > deadline:
        return "lane"
    in_time = lane._replace(offer=replace(lane.offer, not_before=0))
    return "cut_off" if in_time.arrival(today) <= deadline else "calendar"


def units_text(quantity: int) -> str:
    """A quantity in words."""
    return f"{quantity} unit" if quantity == 1 else f"{quantity} units"


def _text(day: Day) -> str:
    return date.fromordinal(day).isoformat()
