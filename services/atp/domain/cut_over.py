"""Taking over an order that another system promised: its dates stand, whatever there is.

    commitments        what has not shipped, on its material availability day, also beyond supply: then A(s) is
                       negative, and the deficit is shown and pegged like any other
    consumed           held + committed + shipped, by the tier that the customer has now: from protections, quotas and
                       nodes of the day, also beyond them; beyond the checking horizon supply is assumed
    backorder          what is ordered and was not promised, whatever the item's policy

Nothing is validated, looked for or refused here: the promise was given. Quantities are not rounded to packs.
"""

from dataclasses import dataclass
from typing import NamedTuple

from services.atp.domain import shipping_days
from services.atp.domain.ceilings import ceilings_for
from services.atp.domain.model import Book, Day, LineDecision, OrderDecision, Request, RequestLine
from services.atp.domain.promising import wanted_arrival
from services.atp.domain.taking import Draft, Given, Lane


@dataclass(frozen=True, slots=True)
class PromisedElsewhere:
    """An order with what was promised of each line, in the order of the request's lines."""

    request: Request
    given: tuple[tuple[Given, ...], ...]


@dataclass(frozen=True, slots=True)
class TakenOverLine(LineDecision):
    """The answer for a line that was taken over; `shipped` of it had left before, by part."""

    shipped: tuple[int, ...] = ()


class Days(NamedTuple):
    """When goods must be there, ship and arrive."""

    available: Day
    ship: Day
    arrival: Day


def days_of(lane: Lane | None, processing_days: int, ship: Day | None, arrival: Day | None) -> Days | None:
    """The days of a promise that says at least one of them; None: a lane would have to say the other, and none leads.

    What was promised stands, also on days on which the lane is closed; goods must be there early enough to ship then.
    """
    if ship is not None and arrival is not None:
        return Days(_available(lane, processing_days, ship), ship, arrival)
    if lane is None:
        return None
    if ship is not None:
        return Days(_available(lane, processing_days, ship), ship, ship + lane.offer.transit_days)
    if arrival is not None:
        available = lane.latest(arrival)
        return Days(available, lane.ship_day(available), arrival)
    return None


def take_over(book: Book, order: PromisedElsewhere) -> OrderDecision:
    """Put an order on the book as it was promised. Its items and positions are on the book."""
    draft = Draft(book, order.request)
    lines = tuple(_take_line(draft, line, given) for line, given in zip(order.request.lines, order.given, strict=True))
    return OrderDecision(lines, sum(part.cost_minor for line in lines for part in line.planned))


def _available(lane: Lane | None, processing_days: int, ship: Day) -> Day:
    if lane is not None and lane.timed:
        return shipping_days.last_available(lane.offer, ship)
    return ship - processing_days


def _take_line(draft: Draft, line: RequestLine, given: tuple[Given, ...]) -> TakenOverLine:
    book, item = draft.book, draft.book.items[line.item_id]
    quotas = ceilings_for(book, draft.request, item) if book.quotas or book.hierarchies else ()
    planned = tuple(draft.take_as_given(item, each, quotas) for each in given)
    rest = line.quantity - sum(part.quantity for part in planned)
    if rest and item.backorders.policy == "limited":
        draft.let_wait(item.item_id, rest)
    wanted = wanted_arrival(draft.request, line)
    outcome = "promised"
    if rest:
        outcome = "partly_promised" if planned else "backordered"
    elif any(part.arrival_day > wanted for part in planned):
        outcome = "promised_late"
    shipped = tuple(each.shipped for each in given)
    return TakenOverLine(line.line, line.item_id, line.quantity, outcome, wanted, planned, rest, shipped=shipped)
