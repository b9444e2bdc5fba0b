"""Serving a line in several parts, greedily: the best part by some order, then the best of what is left, and so on."""

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from services.atp.domain.model import PositionKey
from services.atp.domain.outlook import LaneRoom, Outlook, Plan, Tie
from services.atp.domain.taking import Lane, Piece

PIECES_MAX: Final = 64  # parts of one line; a part is a shipment, and nobody wants more
COST_SCALE: Final = 10**6  # costs per unit are compared to a millionth of a minor unit

Order = Callable[[Outlook, Piece], tuple[int, ...]]
Option = tuple[tuple[tuple[int, ...], Tie], Piece]


def split(outlook: Outlook, order: Order) -> Plan:
    """Take the piece that comes first in an order, again and again, until all is taken or nothing is left.

    The book is used to see what one piece leaves for the next, and is as it was in the end.
    """
    draft, rooms = outlook.draft, dict(outlook.rooms)
    limited = draft.request.max_shipments is not None
    mark = draft.mark()
    options: list[Option | None] = [None] * len(outlook.lanes)
    stale: Sequence[PositionKey] = tuple(rooms)
    pieces: list[Piece] = []
    rest = outlook.ask.quantity
    while rest > 0 and len(pieces) < PIECES_MAX:
        for index, lane in enumerate(outlook.lanes):
            if lane.key in stale or _is_too_much(options[index], rest):
                room = outlook.room_by(lane, rooms[lane.key])
                options[index] = _option(outlook, lane, room, rest, order)
        best = min((option for option in options if option is not None), key=_place, default=None)
        if best is None:
            break
        piece = best[1]
        draft.take(outlook.ask.item, piece, outlook.quotas)
        pieces.append(piece)
        rest -= piece.quantity
        stale = tuple(rooms) if outlook.quotas or limited else (piece.lane.key,)
        rooms |= {key: outlook.room_at(key) for key in stale}
    draft.budget_spent |= len(pieces) == PIECES_MAX
    draft.undo(mark)
    return outlook.plan(tuple(pieces))


def on_time_first(outlook: Outlook, piece: Piece) -> tuple[int, ...]:
    """What is in time before what is late; then the largest part; then the cheapest."""
    late = piece.lane.arrival(piece.day) > outlook.ask.wanted
    return (int(late), -piece.quantity, _unit_cost(outlook, piece))


def cheapest_first(outlook: Outlook, piece: Piece) -> tuple[int, ...]:
    """The part with the least cost per unit, its lateness included; then the largest."""
    return (_unit_cost(outlook, piece), -piece.quantity)


def _unit_cost(outlook: Outlook, piece: Piece) -> int:
    """The first shipment of an order is no split; counting it as one is the same for all and changes no choice."""
    cost = outlook.running_cost(piece)
    if outlook.draft.opens_shipment(piece.lane, piece.day):
        cost += piece.lane.offer.cost_shipment_minor + outlook.draft.request.tier.split_penalty_minor
    return cost * COST_SCALE // piece.quantity


def _is_too_much(option: Option | None, rest: int) -> bool:
    return option is not None and option[1].quantity > rest


def _option(outlook: Outlook, lane: Lane, room: LaneRoom, rest: int, order: Order) -> Option | None:
    """The best piece by a lane."""
    pieces = [each for each in _pieces(outlook, lane, room, rest) if outlook.draft.may_ship(lane, each.day)]
    return min((((order(outlook, piece), outlook.tie(piece)), piece) for piece in pieces), key=_place, default=None)


def _place(option: Option) -> tuple[tuple[int, ...], Tie]:
    return option[0]


def _pieces(outlook: Outlook, lane: Lane, room: LaneRoom, rest: int) -> Iterator[Piece]:
    last = outlook.last_day(lane)
    quantity = min(rest, room.most(last))
    if quantity <= 0:
        return
    yield Piece(lane, outlook.day_for(room, lane, quantity), quantity)
    on_time = min(quantity, room.most(min(last, lane.latest(outlook.ask.wanted))))
    if 0 < on_time < quantity:
        yield Piece(lane, outlook.day_for(room, lane, on_time), on_time)
