"""What there is of an item, day by day: supply, commitments, what is left, and what a tier may take.

Read on one consistent picture without a lock, with the same functions that decide promises; as fresh as the database.
"""

from bisect import bisect_right
from dataclasses import dataclass
from typing import Any

from services.atp.application.batch import Batch, Handler, Needs
from services.atp.application.commands import Origin, Outcome, Remembered
from services.atp.application.documents import iso
from services.atp.domain.allocation import room_for
from services.atp.domain.model import Day, Item, Position, PositionKey, Tier
from services.atp.domain.supply_picture import changes, lookahead, running_supply


@dataclass(frozen=True, slots=True)
class ReadAvailability:
    """The availability of an item, everywhere or at one location, and for a tier if one is named."""

    item_id: str
    location_id: str | None
    tier: str | None
    origin: Origin
    remembered: Remembered | None = None
    lines: int = 1


class TierUnknown(Exception):  # noqa: N818 - says what is wrong
    """No such tier."""


class Availability(Handler[ReadAvailability]):
    """Loads what `availability` shows; nothing is decided."""

    def needs(self, command: ReadAvailability, needs: Needs) -> None:
        """The item at the locations that are asked for."""
        needs.items[command.item_id] = None
        if command.location_id is not None:
            needs.positions[PositionKey(command.item_id, command.location_id)] = None
        else:
            needs.every_zone = True

    def decide(self, batch: Batch, command: ReadAvailability) -> Outcome:
        """It is only ever inquired."""
        raise NotImplementedError(type(command), batch.now)


def availability(batch: Batch, command: ReadAvailability) -> dict[str, Any] | None:
    """The document of an item's availability; None for an item that is not known. Raises TierUnknown."""
    item = batch.book.items.get(command.item_id)
    if item is None:
        return None
    tier = None
    if command.tier is not None:
        tier = batch.configuration.tiers.get(command.tier)
        if tier is None:
            raise TierUnknown(command.tier)
    positions = [
        batch.book.positions[key]
        for key in sorted(batch.book.positions)
        if key.item_id == command.item_id and command.location_id in (None, key.location_id)
    ]
    return {
        "sku": item.item_id,
        "active": item.active,
        "as_of": batch.now,
        "tier": command.tier,
        "locations": [_picture(batch, item, position, tier) for position in positions],
    }


def _picture(batch: Batch, item: Item, position: Position, tier: Tier | None) -> dict[str, Any]:
    book = batch.book
    curve = running_supply(position, item, book.today)
    offered = lookahead(changes(position, item, book.today), item, book.today)
    room = None if tier is None else room_for(book, position.key, item, tier)
    days: dict[Day, None] = dict.fromkeys(sorted((*curve.days, *(room.days if room is not None else ()))))
    rows = []
    for day in days:
        place = bisect_right(curve.days, day) - 1
        open_ended = curve.horizon is not None and day >= curve.horizon
        row: dict[str, Any] = {
            "first_day": iso(day),
            "supply": curve.supply[place],
            "committed": curve.committed[place],
            "available": curve.available[place],
            "atp": None if open_ended else max(0, offered.at(day)),
        }
        if room is not None:
            row["confirmable"] = None if open_ended else max(0, room.at(day))
        rows.append(row)
    return {
        "location": position.key.location_id,
        "on_hand": position.on_hand,
        "buffer": position.buffer,
        "version": position.version,
        "supply_assumed_from": None if curve.horizon is None else iso(curve.horizon),
        "days": rows,
    }
