"""Planning an order: each line for itself first, then all of them together where that may be better.

Line by line is the best there is for one line by one lane, and often for others: where everything leaves in time and
no plan with other shipments could cost less, nothing is searched. Otherwise `services.atp.domain.plan_search` looks at
the order as a whole, and its plan is taken if it comes first in the order of plans.
"""

from collections.abc import Sequence
from itertools import groupby
from typing import NamedTuple

from services.atp.domain.model import Day
from services.atp.domain.outlook import Ask, Outlook, Plan, PlanKey, Tie
from services.atp.domain.plan_problem import problem_of
from services.atp.domain.plan_search import search
from services.atp.domain.sourcing import best_plan
from services.atp.domain.taking import GRAMS, Draft, Lane, Piece

Pieces = tuple[Piece, ...]


class Wanted(NamedTuple):
    """A line that there are lanes for."""

    ask: Ask
    lanes: Sequence[Lane]


def planned_alone(outlook: Outlook) -> Plan | None:
    """The best plan found for an order of one line; None if nothing can be taken by the latest acceptable date."""
    plan = best_plan(outlook)
    if plan is None or not outlook.draft.request.tier.split_allowed:
        return plan
    if outlook.ask.aim != outlook.ask.wanted:
        return plan
    if _is_least(outlook, plan):
        return plan
    (pieces,) = _together(outlook.draft, [outlook], plan.key, [plan.pieces]) or ((),)
    return outlook.plan(pieces) if pieces else plan


def _is_least(outlook: Outlook, plan: Plan) -> bool:
    """Whether a plan of one line is by one shipment and gives all that can be had, and no other plan can cost less.

    One by several shipments costs two of the cheapest, a split, and the cheapest carriage, at least. By a single lane
    it costs one shipment more, and saves no more than what is late.
    """
    ask, pieces, tier = outlook.ask, plan.pieces, outlook.draft.request.tier
    if len(pieces) != 1 or outlook.draft.shipments:
        return False
    days_late = max(0, pieces[0].lane.arrival(pieces[0].day) - ask.wanted)
    offers = [lane.offer for lane in outlook.lanes]
    shipment = min([offer.cost_shipment_minor for offer in offers])
    if len(offers) == 1:
        late = tier.lateness_penalty_minor * days_late * plan.units
        is_most = plan.units == ask.quantity or (outlook.adds_up and plan.units >= ask.minimum)
        return is_most and late <= shipment + tier.split_penalty_minor
    if days_late or plan.units < ask.quantity:
        return False
    unit = min([offer.cost_unit_minor for offer in offers])
    return plan.cost <= 2 * shipment + unit * ask.quantity + tier.split_penalty_minor


def planned_together(draft: Draft, wanted: Sequence[Wanted]) -> list[Pieces]:
    """What each line of an order takes; nothing has been taken in the end."""
    plans = line_by_line(draft, wanted)
    has_aim = any(each.ask.aim != each.ask.wanted for each in wanted)  # all on one day, whatever it costs
    is_hopeless = not any(plan.units for plan in plans) and not any(_may_gain(draft, each) for each in wanted)
    if has_aim or is_hopeless or _is_settled(draft, wanted, plans):
        return [plan.pieces for plan in plans]
    outlooks = [Outlook.of(draft, each.ask, each.lanes) for each in wanted]
    taken = [plan.pieces for plan in plans]
    return _together(draft, outlooks, _whole_key(plans), taken) or taken


def line_by_line(draft: Draft, wanted: Sequence[Wanted]) -> list[Plan]:
    """The best plan found for each line after those before it; nothing has been taken in the end."""
    mark = draft.mark()
    plans = [_planned_in_turn(draft, each) for each in wanted]
    draft.undo(mark)
    return plans


def _planned_in_turn(draft: Draft, wanted: Wanted) -> Plan:
    """What a line takes after those before it; nothing if that is less than its minimum."""
    outlook = Outlook.of(draft, wanted.ask, wanted.lanes)
    plan = best_plan(outlook)
    if plan is None or plan.units < wanted.ask.minimum:
        return outlook.plan(())
    for piece in plan.pieces:
        draft.take(wanted.ask.item, piece, outlook.quotas)
    return plan


def _whole_key(plans: Sequence[Plan]) -> PlanKey:
    return (
        sum(plan.key[0] for plan in plans),
        sum(plan.key[1] for plan in plans),
        sum(plan.key[2] for plan in plans),
        tuple([tie for plan in plans for tie in sorted(plan.key[3])]),
    )


def _is_settled(draft: Draft, wanted: Sequence[Wanted], plans: Sequence[Plan]) -> bool:
    """Whether plans give all that can be had, in time and by one shipment, and no other plan can cost less."""
    opened = sum(plan.key[2] for plan in plans)
    if opened > 1 or draft.shipments_count:
        return False
    for each, plan in zip(wanted, plans, strict=True):
        ask = each.ask
        if any(piece.lane.arrival(piece.day) > ask.wanted for piece in plan.pieces):
            return False
        if plan.units < ask.quantity and plan.units < _most(draft, each):
            return False
    rest = sum(each.ask.quantity for each in wanted) - sum(plan.units for plan in plans)
    cost = sum(plan.cost for plan in plans) - draft.request.tier.backorder_penalty_minor * rest
    return cost <= _least_cost(draft, [(each, plan.units) for each, plan in zip(wanted, plans, strict=True)])


def _may_gain(draft: Draft, wanted: Wanted) -> bool:
    """Whether there is enough for a line, perhaps in another way than the one that gave it nothing."""
    return _most(draft, wanted) >= max(1, wanted.ask.minimum)


def _most(draft: Draft, wanted: Wanted) -> int:
    """What a line cannot get more than, whatever the others take: the most that each position ever has for it."""
    outlook, pack = Outlook.of(draft, wanted.ask, wanted.lanes), wanted.ask.item.pack_size
    rooms = [max(room.quantities, default=0) for room in outlook.rooms_beside_quotas.values()]
    return sum(room - room % pack for room in rooms if room > 0)


def _least_cost(draft: Draft, taken: Sequence[tuple[Wanted, int]]) -> int:
    """What no plan of these units costs less than, for an order without a shipment yet: by one shipment, or by more."""
    shipment: dict[tuple[str, str], int] = {}
    carriage: dict[tuple[str, str], int] = {}
    lines: dict[tuple[str, str], int] = {}
    least = served = 0
    for (ask, lanes), units in taken:
        if not units:
            continue
        served += 1
        cheapest: int | None = None
        for lane in lanes:
            offer = lane.offer
            name = (offer.location_id, offer.service)
            cost = lane.carriage(ask.item, units)
            shipment[name] = offer.cost_shipment_minor
            carriage[name] = carriage.get(name, 0) + cost
            lines[name] = lines.get(name, 0) + 1
            unit = offer.cost_unit_minor * GRAMS + offer.cost_kg_minor * ask.item.weight_grams
            cheapest = unit if cheapest is None else min(cheapest, unit)
        least += (cheapest or 0) * units // GRAMS
    ones = [shipment[name] + carriage[name] for name, count in lines.items() if count == served]
    two = 2 * min(shipment.values())  # perhaps by the same service on two days
    return min([*ones, two + draft.request.tier.split_penalty_minor + least])


def _together(draft: Draft, outlooks: Sequence[Outlook], key: PlanKey, taken: Sequence[Pieces]) -> list[Pieces] | None:
    """What each line takes by a plan of the whole order that comes before another one; None if none was found.

    `key` and `taken` are the other plan's. Of plans that are equal otherwise the one that gives the first lines more
    comes first, as if they had been decided one after another.
    """
    problem = problem_of(outlooks)
    if problem is None:
        return None
    found = search(problem)
    draft.budget_spent |= found.budget_spent
    if found.key[:3] > key[:3]:
        return None
    by_line: list[list[Piece]] = [[] for _ in outlooks]
    for choice, quantity in found.taken:
        by_line[choice.line].append(choice.piece._replace(quantity=quantity))
    if draft.request.tier.as_soon_as_possible and not any(outlook.ask.as_late_as_possible for outlook in outlooks):
        _pull(draft, outlooks, by_line)
    if found.key[:3] == key[:3] and _place(outlooks, by_line) >= _place(outlooks, taken):
        return None
    return [tuple(pieces) for pieces in by_line]


def _place(outlooks: Sequence[Outlook], by_line: Sequence[Sequence[Piece]]) -> tuple[list[Tie], list[int]]:
    """What decides between plans of equal units, cost and shipments: when and from where, then who gets more."""
    ties = {outlook.tie(piece): None for outlook, own in zip(outlooks, by_line, strict=True) for piece in own}
    return sorted(ties), [-sum(piece.quantity for piece in own) for own in by_line]


class _Part(NamedTuple):
    """A piece with its place: line and number there."""

    shipment: tuple[str, str, Day]
    line: int
    number: int


def _pull(draft: Draft, outlooks: Sequence[Outlook], by_line: list[list[Piece]]) -> None:
    """Let each new shipment leave as soon as all of it can, given the others; a search knows only days that turn.

    What goes with a shipment that the order has already stays with it: on another day it would be one more.
    """
    parts = sorted(
        _Part(_shipment(piece), line, number)
        for line, pieces in enumerate(by_line)
        for number, piece in enumerate(pieces)
    )
    for _, group in groupby(parts, key=_shipment_of):
        together = list(group)
        first = by_line[together[0].line][together[0].number]
        if not draft.opens_shipment(first.lane, first.day):
            continue
        earlier = _earlier(draft, outlooks, by_line, together)
        for part, piece in zip(together, earlier, strict=False):
            by_line[part.line][part.number] = piece


def _earlier(
    draft: Draft, outlooks: Sequence[Outlook], by_line: Sequence[Sequence[Piece]], together: Sequence[_Part]
) -> list[Piece]:
    """The pieces of a shipment on the earliest day on which all may leave; none if they stay."""
    mark = draft.mark()
    names = {(part.line, part.number) for part in together}
    for line, pieces in enumerate(by_line):
        for number, piece in enumerate(pieces):
            if (line, number) not in names:
                draft.take(outlooks[line].ask.item, piece, outlooks[line].quotas)
    pieces = [by_line[part.line][part.number] for part in together]
    found: list[Piece] = []
    ship_day = max(_first(outlooks[part.line], piece) for part, piece in zip(together, pieces, strict=True))
    for part, piece in zip(together, pieces, strict=True):
        outlook, day = outlooks[part.line], piece.lane.latest_for(ship_day)
        room = outlook.room_by(piece.lane, outlook.room_at(piece.lane.key))
        if day is None or ship_day >= part.shipment[2] or room.at(day) < piece.quantity:
            found = []
            break
        found.append(piece._replace(day=day))
        draft.take(outlook.ask.item, found[-1], outlook.quotas)
    draft.undo(mark)
    return found


def _first(outlook: Outlook, piece: Piece) -> Day:
    """The first ship day of a piece by itself, given what is taken."""
    room = outlook.room_by(piece.lane, outlook.room_at(piece.lane.key))
    return piece.lane.ship_day(room.earliest(piece.quantity))


def _shipment(piece: Piece) -> tuple[str, str, Day]:
    return piece.lane.offer.location_id, piece.lane.offer.service, piece.lane.ship_day(piece.day)


def _shipment_of(part: _Part) -> tuple[str, str, Day]:
    return part.shipment
