"""A glance at one line: whether it can ship from stock now, when it could be taken, and when it could arrive.

Worked out on the same choices as a promise (`Outlook`), and nothing is taken. Guarantee (tests/property): an order for
the quantity that must arrive by `earliest_arrival` is promised whole, and one that must arrive a day earlier is not.
"""

from bisect import bisect_left
from collections.abc import Sequence
from typing import NamedTuple

from services.atp.domain.model import Book, Day, Item, Request
from services.atp.domain.outlook import Ask, Outlook, lanes_of, offers_of
from services.atp.domain.promising import inquire
from services.atp.domain.routes import routes_of
from services.atp.domain.sourcing import units_by
from services.atp.domain.taking import Draft
from services.atp.domain.units import in_whole_packs
from services.atp.domain.validation import needs_validation, verdict


class Glance(NamedTuple):
    """What is seen: `outcome` as an inquiry without dates would have it, and days where the quantity can be had.

    `restock_day` is the first day on which the whole quantity can be taken, None if that is today or never.
    """

    outcome: str
    in_stock: bool = False
    restock_day: Day | None = None
    earliest_arrival: Day | None = None


def glance(book: Book, request: Request) -> Glance:
    """Look at the one line of a request, its dates aside."""
    line = request.lines[0]
    item = book.items.get(line.item_id)
    if item is not None and item.active and in_whole_packs(line, item) == line and not _is_stopped(book, request):
        offers = routes_of(book, request, item.item_id, offers_of(book, request)).offers
        lanes = lanes_of(book, offers, item.item_id)
        if lanes:
            found = _seen(Outlook.of(Draft(book, request), _ask(item, line.quantity, book.today), lanes))
            if found is not None:
                return found
    return Glance(inquire(book, request).lines[0].outcome)


def quantity_of(item: Item | None) -> int:
    """The quantity to look for where none is asked: one pack."""
    return 1 if item is None else item.pack_size


def _is_stopped(book: Book, request: Request) -> bool:
    return needs_validation(request) and bool(verdict(book, request).stopped)


def _ask(item: Item, quantity: int, today: Day) -> Ask:
    return Ask(item, quantity, quantity, today, None, today, as_late_as_possible=False)


def _seen(outlook: Outlook) -> Glance | None:
    """None if the quantity can be had on no day."""
    arrivals = [lane.arrival(day) for lane in outlook.lanes for day in outlook.turning_days(lane)]
    arrival = _first(outlook, arrivals)
    if arrival is None:
        return None
    at_dock = Outlook(
        outlook.draft,
        outlook.ask,
        [lane._replace(lag=0, timed=False, capacities=()) for lane in outlook.lanes],
        outlook.quotas,
        outlook.rooms,
    )
    today = outlook.draft.book.today
    taken = _first(at_dock, [day for room in outlook.rooms.values() for day in room.days])
    return Glance("promised", taken == today, None if taken == today else taken, arrival)


def _first(outlook: Outlook, days: Sequence[Day]) -> Day | None:
    """The first of the days by which the whole quantity can be had."""
    ordered = sorted(dict.fromkeys(days))
    need = outlook.ask.quantity
    if units_by(outlook, ordered[0]) == need:
        return ordered[0]
    place = bisect_left(ordered, need, key=lambda day: units_by(outlook, day))
    return ordered[place] if place < len(ordered) else None
