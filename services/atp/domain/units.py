"""Units and packs: every quantity of a decision is in base units, and what is confirmed is a multiple of the pack.

A larger unit is a whole number of base units, so that nothing is ever rounded. Of a quantity that is no multiple of the
pack, the part beyond the last whole pack is refused: it could never be served.
"""

from dataclasses import replace
from typing import Final

from services.atp.domain.model import Binding, Item, RequestLine
from services.atp.domain.supply_picture import Room

BASE_UNITS_MAX: Final = 10**12  # of a line, whatever its unit: sums of a million of them still fit 64 bits


def factor_of(item: Item, unit: str) -> int | None:
    """How many base units a unit of an item is; None if the item does not have it."""
    if unit == item.base_unit:
        return 1
    return next((quantity for name, quantity in item.units if name == unit), None)


def in_whole_packs(line: RequestLine, item: Item) -> RequestLine | None:
    """What of a line can be served in whole packs; None if that is nothing, or less than its minimum."""
    pack = item.pack_size
    if pack == 1:
        return line
    quantity, minimum = line.quantity - line.quantity % pack, line.minimum_quantity + -line.minimum_quantity % pack
    if quantity == 0 or min(minimum, line.quantity) > quantity:
        return None
    return replace(line, quantity=quantity, minimum_quantity=minimum)


def room_in_packs(room: Room, pack: int) -> Room:
    """What can be taken of a room in whole packs."""
    return room if pack == 1 else Room(room.days, [quantity - quantity % pack for quantity in room.quantities])


def because_of_unit(line: RequestLine, item: Item) -> Binding:
    """The item is not ordered in this unit, or not so many of it."""
    if factor_of(item, line.unit or "") is not None:
        return Binding("unit", line.unit or "", BASE_UNITS_MAX, would_help=f"at most {BASE_UNITS_MAX} base units")
    names = " or ".join([item.base_unit, *(unit for unit, _ in item.units)])
    return Binding("unit", line.unit or "", 0, would_help=f"a quantity in {names}")


def because_of_pack(line: RequestLine, item: Item) -> Binding:
    """The quantity is no multiple of the pack; the nearest one that is."""
    pack, below = item.pack_size, line.quantity - line.quantity % item.pack_size
    above = max(below + pack, line.minimum_quantity + -line.minimum_quantity % pack)
    serves = below and below >= line.minimum_quantity and line.quantity - below <= above - line.quantity
    nearest = below if serves else above
    help_ = f"a quantity of {nearest}, which is a multiple of the pack of {pack}"
    return Binding("pack", line.item_id, below, would_help=help_, needed=abs(nearest - line.quantity))
