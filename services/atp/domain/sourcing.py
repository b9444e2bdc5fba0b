"""Choosing how to serve one line: which lane, which day, in how many parts.

The best single source comes first. If it gives all on time, it is taken. Else, if the tier allows splits, two greedy
ones are compared with it by the order of plans: on-time quantities first, and cheapest unit first. The search is not
exact; its budget is `PIECES_MAX` parts per line.
"""

from collections.abc import Iterator

from services.atp.domain.model import Day, PositionKey
from services.atp.domain.outlook import LaneRoom, Outlook, Plan, PlanKey
from services.atp.domain.splitting import cheapest_first, on_time_first, split
from services.atp.domain.taking import Lane, Piece


def best_plan(outlook: Outlook) -> Plan | None:
    """The best plan found; None if nothing can be taken by the latest acceptable date."""
    single = _single(outlook)
    if single is None or _cannot_gain(outlook, single):
        return single
    return min(single, split(outlook, on_time_first), split(outlook, cheapest_first), key=_key)


def units_by(outlook: Outlook, latest: Day) -> int:
    """The most units that can arrive by a day."""
    if outlook.draft.request.tier.split_allowed and not outlook.adds_up:
        plan = best_plan(outlook.until(latest))
        return plan.units if plan else 0
    by_position: dict[PositionKey, int] = {}
    for lane in outlook.lanes:
        units = outlook.room_by(lane, outlook.rooms[lane.key]).most(lane.latest(latest))
        by_position[lane.key] = max(by_position.get(lane.key, 0), units)
    if outlook.draft.request.tier.split_allowed:
        return min(outlook.ask.quantity, sum(by_position.values()))
    return min(outlook.ask.quantity, max(by_position.values()))


def _single(outlook: Outlook) -> Plan | None:
    """The best plan with one piece."""
    wanted, best = outlook.ask.quantity, None
    for lane in outlook.lanes:
        room = outlook.room_by(lane, outlook.rooms[lane.key])
        quantity = min(wanted, room.most(outlook.last_day(lane)))
        if quantity <= 0:
            continue
        for piece in (Piece(lane, outlook.day_for(room, lane, quantity), quantity), *_joining(outlook, room, lane)):
            if not outlook.draft.may_ship(lane, piece.day):
                continue
            plan = outlook.plan((piece,))
            if best is None or plan.key < best.key:
                best = plan
    return best


def _joining(outlook: Outlook, room: LaneRoom, lane: Lane) -> Iterator[Piece]:
    """The most that may go with each shipment that the order has by the lane already."""
    offer = lane.offer
    for ship_day in outlook.draft.shipments.get((offer.location_id, offer.service), ()):
        day = lane.latest_for(ship_day)
        if day is not None and outlook.draft.book.today <= day <= outlook.last_day(lane):
            quantity = min(outlook.ask.quantity, room.at(day))
            if quantity > 0:
                yield Piece(lane, day, quantity)


def _cannot_gain(outlook: Outlook, single: Plan) -> bool:
    """Whether a split is out of the question: forbidden, not needed, or nothing more to be had in time or later."""
    if not outlook.draft.request.tier.split_allowed:
        return True
    piece = single.pieces[0]
    if piece.lane.arrival(piece.day) > outlook.ask.wanted:
        return False
    return single.units == outlook.ask.quantity or (len(outlook.rooms) == 1 and outlook.adds_up)


def _key(plan: Plan) -> PlanKey:
    return plan.key
