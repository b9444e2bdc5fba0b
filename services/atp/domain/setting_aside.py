"""Setting stock aside for old backorders that take all that they need or nothing.

An order that ships complete, or a line with a minimum, is served when all that it needs is there at one time. Small
orders behind it take each unit that comes before that. So, from a stated day of its waiting on and for a stated number
of days (`services.atp.domain.set_aside.window`), what there is for it when it is asked in its turn, and not enough, is
set aside: as much as it needs, where it can be sent from, from the day on which it is there. Those before it take as if
nothing were set aside, and it is asked again whenever something is freed; so nothing that comes for it is lost to those
behind, and it is served as soon as as much has come as it needs. It is bounded by the days alone: a rest that known
receipts bring would be promised from them at once, so that there is nothing else to tell a hopeless one by.

Nothing is set aside for an order of which a line can never be served as things are configured, nor of supply that is
only assumed.
"""

from collections.abc import Mapping
from typing import NamedTuple

from services.atp.domain.contending import Standing
from services.atp.domain.made_to_order import item_at
from services.atp.domain.model import Book, Day, Item, PositionKey, Request, RequestLine
from services.atp.domain.outlook import FAR, Ask, Outlook, offers_of
from services.atp.domain.promising import wanted_arrival
from services.atp.domain.routes import lanes_for, routes_of
from services.atp.domain.service_rule import ServicePlace, SetAside
from services.atp.domain.set_aside import Steps, lowered, steps_of, window
from services.atp.domain.strategies import gains
from services.atp.domain.supply_picture import horizon
from services.atp.domain.taking import Draft


class _Spot(NamedTuple):
    """A position that an order can be sent from, by its rank, and what there is for it."""

    rank: int
    key: PositionKey
    steps: Steps


def set_aside_for(book: Book, standing: Standing) -> dict[PositionKey, SetAside]:
    """What is to be set aside for a contender that was asked, by position; nothing for most."""
    request = standing.contender.request
    days = window(book.service, request)
    if days is None or not days[0] <= book.today <= days[1] or not _waits_whole(standing):
        return {}
    place = place_of(standing)
    asking = standing.asking(())
    found: dict[PositionKey, SetAside] = {}
    for key, steps in _chosen(asking, _needed(book, asking, place)).items():
        found[key] = SetAside(place, book.service.basis, days[1], steps)
    return found


def place_of(standing: Standing) -> ServicePlace:
    """A contender's place in the order of service, named by its first line, as what is set aside is kept by it."""
    contender = standing.contender
    lead, further, source, order_id, _ = contender.service_key
    return lead, further, source, order_id, contender.request.lines[0].line  # type: ignore[return-value]  # a `ServiceKey`


def is_whole_or_nothing(request: Request, line: RequestLine) -> bool:
    """Whether a line that has nothing yet takes all that it needs, or nothing."""
    return request.ship_complete or line.minimum_quantity > 0


def _waits_whole(standing: Standing) -> bool:
    """Whether it wants something, has nothing, takes all or nothing, and can be served as things are configured."""
    contender = standing.contender
    if not gains(contender.strategy) or not standing.indivisible:
        return False
    if any(part.planned.quantity for part in standing.parts):
        return False
    decided = standing.decisions
    asked = [line for line in contender.request.lines if standing.rest(line)]
    return bool(asked) and all(line.line in decided and decided[line.line].backordered for line in asked)


def _needed(book: Book, asking: Request, place: ServicePlace) -> list[list[_Spot]]:
    """By item, what there is for an order that asks, at each position, at most what it needs."""
    draft = Draft(book, asking, in_turn=True, place=place)
    needs: dict[str, int] = {}
    first: dict[str, RequestLine] = {}
    for line in asking.lines:
        need = _need(asking, line, book.items[line.item_id])
        if need > line.quantity:
            return []  # whole packs never make it up
        needs[line.item_id] = needs.get(line.item_id, 0) + need
        first.setdefault(line.item_id, line)
    return [_spots(draft, book.items[item_id], first[item_id], needs[item_id]) for item_id in sorted(needs)]


def _need(asking: Request, line: RequestLine, item: Item) -> int:
    """What has to be there at one time, in whole packs."""
    quantity = line.quantity if asking.ship_complete else min(line.quantity, line.minimum_quantity)
    return -(-quantity // item.pack_size) * item.pack_size


def _spots(draft: Draft, item: Item, line: RequestLine, need: int) -> list[_Spot]:
    book, request = draft.book, draft.request
    wanted = wanted_arrival(request, line)
    ask = Ask(item, need, 0, wanted, line.latest_acceptable_arrival, wanted, as_late_as_possible=False)
    lanes = lanes_for(draft, ask, routes_of(book, request, item.item_id, offers_of(book, request)))
    if not lanes:
        return []
    outlook = Outlook.of(draft, ask, lanes)
    last: dict[PositionKey, Day] = {}
    ranks: dict[PositionKey, int] = {}
    for lane in lanes:
        last[lane.key] = max(last.get(lane.key, 0), min(outlook.last_day(lane), _real(book, lane.key, item)))
        ranks[lane.key] = min(ranks.get(lane.key, FAR), lane.offer.rank)
    spots = [_Spot(ranks[key], key, steps_of(outlook.rooms[key], need, last[key])) for key in last]
    return _at_most(sorted(spots), need, alone=not request.tier.split_allowed)


def _real(book: Book, key: PositionKey, item: Item) -> Day:
    """The last day before supply is assumed."""
    end = horizon(item_at(book, key.location_id, item), book.today)
    return FAR if end is None else end - 1


def _at_most(spots: list[_Spot], need: int, *, alone: bool) -> list[_Spot]:
    """No more in all than is needed; from the one place with the most where it must come from one."""
    if alone:
        return sorted(spots, key=_most_first)[:1]
    found: list[_Spot] = []
    for spot in spots:
        steps = lowered(spot.steps, need)
        need -= _units(steps)
        found.append(spot._replace(steps=steps))
    return found


def _chosen(asking: Request, spots: list[list[_Spot]]) -> Mapping[PositionKey, Steps]:
    """The steps by position, at no more locations than the order may be sent from."""
    every = [spot for own in spots for spot in own if spot.steps]
    if asking.max_shipments is not None:
        units: dict[str, int] = {}
        for spot in every:
            location = spot.key.location_id
            units[location] = units.get(location, 0) + _units(spot.steps)
        most = sorted(units, key=lambda location: (-units[location], location))[: asking.max_shipments]
        every = [spot for spot in every if spot.key.location_id in most]
    return {spot.key: spot.steps for spot in every}


def _most_first(spot: _Spot) -> tuple[int, int, PositionKey]:
    return (-_units(spot.steps), spot.rank, spot.key)


def _units(steps: Steps) -> int:
    return sum([quantity for _, quantity in steps])
