"""Why a line did not get all that it wanted in time: what bound, what that allowed, and the smallest change that helps.

A change that helps makes the line feasible when it is applied: whole and in time for a late line, whole for a short
one, its minimum for one that fell below it. One unit or one day less does not. What lacks is worked out in
`services.atp.domain.shortage`.
"""

from collections.abc import Sequence
from typing import Final

from services.atp.domain.model import Binding, Book, Day, Item, Offer, Position, Request, RequestLine
from services.atp.domain.outlook import Outlook, Plan, offers_of, stopped_of
from services.atp.domain.promising_rules import is_stricter
from services.atp.domain.routes import because_of_rules, routes_of
from services.atp.domain.shortage import NAMED_MAX, Shortage, units_text
from services.atp.domain.smallest_change import lifting_helps, lifting_rule_helps, shipments_needed, smallest
from services.atp.domain.sourcing import best_plan, units_by

LAST_DAY: Final = 3_652_059  # the last day that can be written


def because_unknown(line: RequestLine) -> Binding:
    """The item is not in the master data."""
    return Binding("item", line.item_id, 0, would_help="the item in the master data")


def because_inactive(line: RequestLine) -> Binding:
    """The item may not be promised."""
    return Binding("item", line.item_id, 0, would_help="the item made active")


def because_no_lane(request: Request) -> Binding:
    """No offer serves the zone with a carrier class that the tier may use."""
    classes = " or ".join(request.tier.carrier_classes) or "any"
    help_ = f"a lane to the zone of carrier class {classes}"
    return Binding("lane", request.zone, 0, tier=request.tier.tier, would_help=help_)


def because_stopped(book: Book, position: Position) -> Binding:
    """A planner has stopped the position, or closed its location; `day` is the last day of that, if it has one."""
    location, through = position.key.location_id, book.stopped_through(position)
    ends = through if through is not None and through <= LAST_DAY else None
    return Binding("stop", location, 0, ends, would_help=f"the stop at {location} lifted")


def because_of_rule(item: Item, units: int, deadline: Day | None) -> Binding:
    """The item's promising rule offers less by a day (None: by any) than there is."""
    return Binding("rule", item.rule.kind, units, deadline, would_help="the item promised by the cumulative rule")


def because_not_stocked(line: RequestLine, offers: Sequence[Offer]) -> tuple[Binding, ...]:
    """No location with a lane to the zone has ever stocked the item."""
    locations = sorted(dict.fromkeys(offer.location_id for offer in offers))
    return tuple(
        Binding("supply", location, 0, would_help=f"{units_text(line.quantity)} at {location}", needed=line.quantity)
        for location in locations[:NAMED_MAX]
    )


def because_incomplete(request: Request, short: Sequence[str]) -> Binding:
    """The order ships complete, and some of its lines are not whole."""
    named = ", ".join(short[:NAMED_MAX])
    more = f" and {len(short) - NAMED_MAX} more" if len(short) > NAMED_MAX else ""
    help_ = f"line {named}{more} whole, or the order not held complete"
    return Binding("ship_complete", request.order_id, 0, would_help=help_)


def explain(outlook: Outlook, plan: Plan | None) -> tuple[Binding, ...]:
    """What bound a line that is late, short, below its minimum or left without anything (`plan` is None)."""
    ask = outlook.ask
    if plan is not None and plan.units == ask.quantity:
        in_time = units_by(outlook, ask.wanted)
        if in_time == ask.quantity:
            return (_because_cheaper(outlook, plan),)
        return _lacking(outlook, ask.quantity, ask.wanted, in_time)
    if plan is not None and plan.units < ask.minimum:
        missing = ask.minimum - plan.units
        help_ = f"a minimum quantity of {plan.units}"
        below = Binding("minimum_quantity", str(ask.minimum), plan.units, would_help=help_, needed=missing)
        return (below, *_lacking(outlook, ask.minimum, ask.latest, plan.units))
    return _lacking(outlook, ask.quantity, ask.latest, plan.units if plan else 0)


def _lacking(outlook: Outlook, need: int, deadline: Day | None, units: int) -> tuple[Binding, ...]:
    item = outlook.ask.item
    ruled = is_stricter(item) and lifting_rule_helps(outlook, need, deadline)
    rule = (because_of_rule(item, units, deadline),) if ruled else ()
    lacking = smallest(outlook, need, deadline, tuple(Shortage(outlook, need, deadline, units).bindings()))
    draft, item_id = outlook.draft, item.item_id
    offers = routes_of(draft.book, draft.request, item_id, offers_of(draft.book, draft.request)).offers
    stopped = [each for each in stopped_of(draft.book, offers, item_id) if lifting_helps(outlook, each, need, deadline)]
    ruled_out = because_of_rules(outlook, need, deadline, units)
    more = shipments_needed(outlook, need, deadline)
    shipments = () if more is None else (_because_of_shipments(draft.request, units, more),)
    ended = tuple([because_stopped(draft.book, each) for each in stopped])
    return (*rule, *shipments, *lacking, *ruled_out, *ended)


def _because_of_shipments(request: Request, units: int, more: int) -> Binding:
    """The order may not have one shipment more."""
    most = request.max_shipments or 0
    help_ = f"at most {most + more} shipments"
    return Binding("shipments", str(most), units, would_help=help_, needed=more)


def _because_cheaper(outlook: Outlook, plan: Plan) -> Binding:
    """It could be in time, but that costs more than the lateness is worth to the tier."""
    wanted = outlook.ask.wanted
    in_time = best_plan(outlook.until(wanted)) or plan
    more = in_time.cost - plan.cost
    help_ = f"a plan in time costs {more} minor units more than this one with its lateness penalty"
    offer = in_time.pieces[0].lane.offer
    return Binding("lane", f"{offer.location_id}/{offer.service}", in_time.units, wanted, would_help=help_)
