"""Why a line did not get all that it wanted in time: what bound, what that allowed, and the smallest change that helps.

A change that helps makes the line feasible when it is applied (whole and in time for a late line, whole for a short
one, its minimum for one that fell below it); one unit or one day less does not.
"""

from collections.abc import Sequence
from typing import Final

from services.atp.domain.model import Binding, Offer, Request, RequestLine
from services.atp.domain.sourcing import Plan, Search

NAMED_MAX: Final = 3  # locations, protections or lines named in one answer; more would not be read


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


def because_not_stocked(line: RequestLine, offers: Sequence[Offer]) -> tuple[Binding, ...]:
    """No location with a lane to the zone has ever stocked the item."""
    locations = list(dict.fromkeys(offer.location_id for offer in offers))
    return tuple(
        Binding("supply", location, 0, would_help=f"{line.quantity} units at {location}", needed=line.quantity)
        for location in locations[:NAMED_MAX]
    )


def because_incomplete(request: Request, short: Sequence[str]) -> Binding:
    """The order ships complete, and some of its lines are not whole."""
    named = ", ".join(short[:NAMED_MAX])
    more = f" and {len(short) - NAMED_MAX} more" if len(short) > NAMED_MAX else ""
    help_ = f"line {named}{more} whole, or the order not held complete"
    return Binding("ship_complete", request.order_id, 0, would_help=help_)


def explain(search: Search, plan: Plan | None) -> tuple[Binding, ...]:
    """What bound a line that is late, short or left without anything."""
    units = plan.units if plan else 0
    return (Binding("supply", search.lanes[0].key.location_id, units),)
