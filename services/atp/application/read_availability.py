"""What there is of items, day by day: supply, commitments, what is left, what is kept from a tier and what it may take.

Read on one consistent picture without a lock, with the same functions that decide promises; as fresh as the database.
A value of a day or bucket is that of its last day: what is there, or can be taken, by then. What a tier may take is no
more than it may let leave by then, where the location has a daily capacity for all its services.
"""

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple

from services.atp.application.batch import Batch, Handler, Needs
from services.atp.application.commands import Origin, Outcome, Remembered
from services.atp.application.documents import Document, iso
from services.atp.domain.allocation import room_for
from services.atp.domain.capacity import leaving_by
from services.atp.domain.explanation import LAST_DAY
from services.atp.domain.made_to_order import item_at
from services.atp.domain.model import Book, Day, Item, Position, PositionKey, Tier
from services.atp.domain.promising_rules import figures, is_stricter
from services.atp.domain.protection_figures import figures as protection_figures
from services.atp.domain.set_aside import in_force
from services.atp.domain.supply_picture import Curve, Room, changes, lookahead, running_supply

ROWS_MAX: Final = 20_000  # of one answer, each tier of a row counted: some megabytes; a page ends before
BUCKET_DAYS: Final = {"day": 1, "week": 7}
CAPACITY_DAYS: Final = 366  # a location's capacity limits nothing after so many days here
BUCKETS_DEFAULT: Final = 28  # where no last day is asked
Bucket = Literal["change", "day", "week"]


class Place(NamedTuple):
    """Where a page goes on: after a location of the so-manieth item."""

    item: int
    location: str


@dataclass(frozen=True, slots=True)
class View:
    """What is shown. `change`: a row from each day on which something changes. Days None: from today, to the last.

    With a channel, what is held back from it is no offer.
    """

    tier: str | None = None
    by_tier: bool = False
    bucket: Bucket = "change"
    first: Day | None = None
    last: Day | None = None
    channel: str | None = None


@dataclass(frozen=True, slots=True)
class ReadAvailability:
    """The availability of items, everywhere or at one location; a page of at most `limit` locations."""

    items: tuple[str, ...]
    location_id: str | None
    view: View
    origin: Origin
    after: Place | None = None
    limit: int = 100
    remembered: Remembered | None = None
    lines: int = 1


class _Offers(NamedTuple):
    """The picture, cumulative ATP, what a stricter rule offers by itself (None: none), and what a channel is not.

    `leaving` is by tier what it may let leave the location by the days from today on, `shift` the place of a day there:
    the days of processing less today.
    """

    curve: Curve
    atp: Room
    rule: Room | None
    held: int
    leaving: Mapping[Tier, Sequence[int]]
    shift: int

    def may_leave(self, tier: Tier, day: Day, confirmable: int | None) -> int | None:
        """What of a confirmable quantity may leave by a day."""
        by_day, place = self.leaving[tier], day + self.shift
        return confirmable if confirmable is None or place >= len(by_day) else min(confirmable, by_day[place])


class TierUnknown(Exception):  # noqa: N818 - says what is wrong
    """No such tier."""


class Availability(Handler[ReadAvailability]):
    """Loads what `availability` shows; nothing is decided."""

    def needs(self, command: ReadAvailability, needs: Needs) -> None:
        """The items at the locations that are asked for."""
        needs.items.update(dict.fromkeys(command.items))
        if command.location_id is None:
            needs.every_zone = True
        else:
            needs.positions.update((PositionKey(item, str(command.location_id)), None) for item in command.items)
            needs.bookable[command.location_id] = None

    def decide(self, batch: Batch, command: ReadAvailability) -> Outcome:
        """It is only ever inquired."""
        raise NotImplementedError(type(command), batch.now)


def availability(batch: Batch, command: ReadAvailability) -> Document | None:
    """The document of one item; None if it is not known. Raises TierUnknown."""
    found, following = _page(batch, command)
    if not found[0]["known"]:
        return None
    del found[0]["known"]
    return {**found[0], "as_of": batch.now, "tier": command.view.tier, "next": following and following.location}


def availability_of_many(batch: Batch, command: ReadAvailability) -> Document:
    """The document of several items, one that is not known among them. Raises TierUnknown."""
    found, following = _page(batch, command)
    rest = None if following is None else f"{following.item}:{following.location}"
    return {"as_of": batch.now, "tier": command.view.tier, "items": found, "next": rest}


def _page(batch: Batch, command: ReadAvailability) -> tuple[list[Document], Place | None]:
    """Items with their locations, and where the next page goes on."""
    tiers = _tiers(batch, command.view)
    after = command.after or Place(0, "")
    found: list[Document] = []
    rows = locations = 0
    for number in range(after.item, len(command.items)):
        item_id = command.items[number]
        item = batch.book.items.get(item_id)
        shown: list[Document] = []
        known = item is not None
        found.append({"sku": item_id, "known": known, "active": item is not None and item.active, "locations": shown})
        found[-1]["promising_rule"] = None if item is None else item.rule.kind
        past = after.location if number == after.item else ""
        for position in _positions(batch, item, command.location_id, past):
            if locations >= command.limit or rows >= ROWS_MAX:
                if not shown:
                    found.pop()  # it begins on the next page
                return found, Place(number, shown[-1]["location"] if shown else past)
            assert item is not None  # noqa: S101 - only a known item has positions here
            there = item_at(batch.book, position.key.location_id, item)
            shown.append(_picture(batch, there, position, tiers, command.view))
            locations += 1
            rows += len(shown[-1]["days"]) * max(1, len(tiers))
    return found, None


def _tiers(batch: Batch, view: View) -> list[Tier]:
    tiers = batch.configuration.tiers
    if view.tier is not None:
        if view.tier not in tiers:
            raise TierUnknown(view.tier)
        return [tiers[view.tier]]
    return sorted(tiers.values(), key=_rank) if view.by_tier else []


def _rank(tier: Tier) -> int:
    return tier.priority_rank


def _positions(batch: Batch, item: Item | None, location_id: str | None, past: str) -> Iterator[Position]:
    if item is None:
        return
    for key in sorted(batch.book.positions):
        if key.item_id == item.item_id and location_id in {None, key.location_id} and key.location_id > past:
            yield batch.book.positions[key]


def _picture(batch: Batch, item: Item, position: Position, tiers: Sequence[Tier], view: View) -> Document:
    book = batch.book
    curve = running_supply(position, item, book.today)
    stopped = book.stopped_through(position)
    atp = lookahead(changes(position, item, book.today), item, book.today)
    rule = figures(position, item, book.today) if is_stricter(item) else None
    rooms = [(tier, tier_room(book, position, item, tier, view.channel)) for tier in tiers]
    processing = batch.configuration.processing_days.get(position.key.location_id, 0)
    place = position.key.location_id
    leaving = {tier: leaving_by(book, place, tier, CAPACITY_DAYS) for tier in tiers if place in book.capacities}
    held = 0 if view.channel is None else position.kept_from(view.channel)
    days = [*curve.days, *atp.days, *(day for _, room in rooms for day in room.days), *(rule.days if rule else ())]
    spans = _spans(sorted(dict.fromkeys(days)), view, book.today)
    return {
        "location": position.key.location_id,
        "on_hand": position.on_hand,
        "buffer": position.buffer,
        "channel_buffers": [{"channel": name, "buffer": kept} for name, kept in position.channel_buffers],
        "version": position.version,
        "stopped_through": None if stopped is None else iso(min(stopped, LAST_DAY)),
        "supply_assumed_from": None if curve.horizon is None else iso(curve.horizon),
        "set_aside": sum(each.units for each in in_force(position, book.service, book.today)),
        "protections": _protections(book, position, item) if tiers else [],
        "days": [
            _row(first, last, _Offers(curve, atp, rule, held, leaving, processing - book.today), rooms=rooms, view=view)
            for first, last in spans
        ],
    }


def _protections(book: Book, position: Position, item: Item) -> list[Document]:
    """What keeps something from tiers at a position, and how much of it supply does not cover."""
    found = protection_figures(book.protections.get(position.key, ()), position, item, book.today, book.usage)
    return [
        {
            "document_id": each.document_id,
            "version": each.document_version,
            "tier": each.tier,
            "start": iso(each.start),
            "end": iso(each.end),
            "mode": each.mode,
            "protected": worth.protected,
            "consumed": worth.consumed,
            "remaining": worth.remaining,
            "lapsed": worth.lapsed,
            "uncovered_qty": worth.uncovered,
        }
        for each, worth in found
        if not each.upcoming and each.end >= book.today
    ]


def tier_room(book: Book, position: Position, item: Item, tier: Tier, channel: str | None = None) -> Room:
    """What a tier may take: nothing while a planner stops the position or closes its location."""
    if book.stopped_through(position) is not None:
        return Room([book.today], [0])
    return room_for(book, position.key, item, tier, channel=channel)


def _spans(changing: Sequence[Day], view: View, today: Day) -> Iterator[tuple[Day, Day | None]]:
    """The rows' first and last days; the last row of the changes has no end unless one is asked."""
    begin = max(today, view.first or today)
    if view.bucket == "change":
        starts = [begin, *(day for day in changing if day > begin and (view.last is None or day <= view.last))]
        yield from zip(starts, [*(day - 1 for day in starts[1:]), view.last], strict=True)
        return
    length = BUCKET_DAYS[view.bucket]
    end = begin + BUCKETS_DEFAULT * length - 1 if view.last is None else view.last
    for first in range(begin, end + 1, length):
        yield first, min(first + length - 1, end)


def _row(
    first: Day,
    last: Day | None,
    offers: _Offers,
    *,
    rooms: Sequence[tuple[Tier, Room]],
    view: View,
) -> Document:
    day = first if last is None else last
    curve, rule = offers.curve, offers.rule
    place = bisect_right(curve.days, day) - 1
    open_ended = curve.horizon is not None and day >= curve.horizon
    atp = None if open_ended else max(0, offers.atp.at(day))
    by_rule = None if open_ended or rule is None else rule.at(day)
    least = offers.atp.at(day) if by_rule is None else min(offers.atp.at(day), by_rule)
    offered = None if atp is None else max(0, least - offers.held)
    row: dict[str, Any] = {
        "first_day": iso(first),
        "last_day": None if last is None else iso(last),
        "supply": curve.supply[place],
        "committed": curve.committed[place],
        "available": curve.available[place],
        "atp": atp,
        "by_rule": by_rule,
        "offered": offered,
        "restricted": None,
        "confirmable": None,
        "tiers": (),
    }
    shares = [{"tier": tier.tier, **_share(offered, room.at(day))} for tier, room in rooms]
    if offers.leaving:
        for (tier, _), share in zip(rooms, shares, strict=True):
            share["confirmable"] = offers.may_leave(tier, day, share["confirmable"])
    if view.tier is not None:
        row |= {name: shares[0][name] for name in ("restricted", "confirmable")}
    elif view.by_tier:
        row["tiers"] = shares
    return row


def _share(offered: int | None, room: int) -> Document:
    """What of the offer is kept from a tier, and what it may take; both null where supply is assumed without limit."""
    if offered is None:
        return {"restricted": None, "confirmable": None}
    return {"restricted": offered - min(offered, max(0, room)), "confirmable": max(0, room)}
