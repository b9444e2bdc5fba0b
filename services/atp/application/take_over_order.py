"""Take over an open order of another system: its promise is kept as it was given, whatever there is.

    identity known? ── no ─▶ committed on its dates, answered as any promise is
        │ yes
        ├─ taken over from the same open order ─▶ its promise as it is now: the same file may be sent again
        ├─ cancelled before it came            ─▶ refused: it is not open
        └─ anything else                       ─▶ refused: it was promised here, or another content was taken over

What cannot be taken over as it stands (an unknown item, unit or location, no lane for a missing day) is refused and not
remembered, so that it can be sent again once that is mended. A position that then has less than is committed is looked
at like after a supply cut: its deficit is by `cut_over`. What waits is offered nothing before the cut-over is finished
(`POST /v1/cut-over:finish`) or supply of its item moves.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from services.atp.application.batch import Batch, Handler, Needs
from services.atp.application.changing import Fault
from services.atp.application.commands import (
    Answered,
    NotPossible,
    Origin,
    OtherContent,
    Outcome,
    PlaceOrder,
    Remembered,
    WrongState,
)
from services.atp.application.content import Content, OrderKey
from services.atp.application.documents import promised_line
from services.atp.application.orders import OrderCopy, Part, PromiseCopy
from services.atp.application.place_order import add_backorder, answer_first, looked_up, new_order, request_of
from services.atp.application.ports import Session
from services.atp.application.resolving import find_zones, need_zone
from services.atp.domain.cut_over import PromisedElsewhere, TakenOverLine, days_of
from services.atp.domain.model import Day, Item, Offer, OrderDecision, Position, PositionKey, Request
from services.atp.domain.shipping_days import is_timed
from services.atp.domain.taking import COST_MAX_MINOR, Given, Lane
from services.chassis.audit.chain import AuditEntry
from services.contracts import catalogue

TAKEN_OVER: Final = "order.taken_over"  # in the audit trail


@dataclass(frozen=True, slots=True)
class GivenPart:
    """A quantity as it was promised, in the unit of its line; of the days one may be None."""

    quantity: int
    shipped: int
    location_id: str
    service: str
    ship_day: Day | None
    arrival_day: Day | None


@dataclass(frozen=True, slots=True)
class TakeOverOrder:
    """An order, and by line what was promised of it. `fingerprint` tells two open orders apart."""

    order: PlaceOrder
    given: tuple[tuple[GivenPart, ...], ...]
    fingerprint: bytes
    confirmed: bool
    author: str
    remembered: Remembered | None = None

    @property
    def key(self) -> OrderKey:
        """The order."""
        return self.order.key

    @property
    def origin(self) -> Origin:
        """Where it came from."""
        return self.order.origin

    @property
    def lines(self) -> int:
        """Its order lines."""
        return len(self.given)


class TakingOver(Handler[TakeOverOrder]):
    """Decides `TakeOverOrder`."""

    def needs(self, command: TakeOverOrder, needs: Needs) -> None:
        """What placing it would need, and the positions that it was promised from."""
        content = command.order.content
        needs.orders[command.key] = None
        needs.customers[content.customer] = None
        need_zone(content, needs)
        for line, given in zip(content.lines, command.given, strict=True):
            needs.items[line.item_id] = None
            needs.positions.update((PositionKey(line.item_id, each.location_id), None) for each in given)
            needs.bookable.update((each.location_id, None) for each in given)

    async def discover(self, session: Session, commands: Sequence[TakeOverOrder], needs: Needs) -> None:
        """The zones of orders that name a country."""
        await find_zones(session, (command.order.content for command in commands), needs)

    def decide(self, batch: Batch, command: TakeOverOrder) -> Outcome:
        """See the module."""
        known = batch.orders.get(command.key)
        if known is not None:
            return _known(known, command)
        order = looked_up(batch, command.order)
        given = _given(batch, command, order.content)
        if isinstance(given, Fault):
            return NotPossible(None, given.why, given.detail)
        return self._take_over(batch, command, order, given)

    def _take_over(
        self, batch: Batch, command: TakeOverOrder, order: PlaceOrder, given: tuple[tuple[Given, ...], ...]
    ) -> Answered:
        content = order.content
        ordered_at = content.ordered_at or batch.now
        served = batch.served(content, ordered_at)
        request = request_of(command.key, content, served, ordered_at)
        keys = sorted({each.key for line in given for each in line})
        for key in keys:
            if key not in batch.book.positions:
                batch.workbook.put(Position(key, 0, 0))
        decision = batch.workbook.take_over(PromisedElsewhere(request, given))
        copy = new_order(batch, order, served, "confirmed" if command.confirmed else "promised")
        promise = copy.promise
        assert promise is not None  # noqa: S101 - made with one
        promise.cut_over = command.fingerprint
        _take(batch, promise, request, decision)
        for key in keys:
            batch.review(key, "cut_over")
        batch.count("order_taken_over")
        batch.audited.append(_audited(command, decision))
        lines = [promised_line(line, [None] * len(line.planned)) for line in decision.lines]
        event = catalogue.PROMISE_TAKEN_OVER
        return answer_first(batch, order, copy, served=served, lines=lines, cost_minor=decision.cost_minor, event=event)


def _known(known: OrderCopy, command: TakeOverOrder) -> Outcome:
    promise = known.promise
    if promise is None:
        return WrongState(None, "cancelled")
    if promise.cut_over == command.fingerprint:
        return Answered(promise.promise_id, promise.document, first=False)
    return OtherContent(promise.promise_id, known.version)


def _given(batch: Batch, command: TakeOverOrder, content: Content) -> tuple[tuple[Given, ...], ...] | Fault:
    """What was promised, in base units and with all days; or why it cannot be taken over."""
    lanes = {(each.location_id, each.service): each for each in reversed(batch.configuration.offers_for(content.zone))}
    shipments: dict[tuple[str, str, Day], None] = {}
    found: list[tuple[Given, ...]] = []
    for asked, line, parts in zip(command.order.content.lines, content.lines, command.given, strict=True):
        item = batch.book.items.get(line.item_id)
        if item is None:
            return Fault("unknown_item", f"line {line.line}: item {line.item_id} is not known")
        if line.unit is not None:
            detail = f"line {line.line}: item {line.item_id} has no unit {line.unit}, or not so many of it"
            return Fault("unknown_unit", detail)
        factor = line.quantity // asked.quantity
        given = [_part(batch.configuration.processing_days, item, part, factor, lanes) for part in parts]
        for each in given:
            if isinstance(each, Fault):
                return Fault(each.why, f"line {line.line}: {each.detail}")
        found.append(tuple(_with_shipment(each, lanes, shipments) for each in given if isinstance(each, Given)))
    return tuple(found)


def _part(
    processing_days: Mapping[str, int],
    item: Item,
    part: GivenPart,
    factor: int,
    lanes: Mapping[tuple[str, str], Offer],
) -> Given | Fault:
    location = part.location_id
    if location not in processing_days:
        return Fault("unknown_location", f"location {location} is not known")
    offer, key = lanes.get((location, part.service)), PositionKey(item.item_id, location)
    lane = None if offer is None else Lane(offer, key, offer.processing_days + offer.transit_days, is_timed(offer))
    days = days_of(lane, processing_days[location], part.ship_day, part.arrival_day)
    if days is None:
        missing = "arrival_date" if part.arrival_day is None else "ship_date"
        return Fault("no_lane", f"no lane of {part.service} from {location} to the zone gives the {missing}")
    quantity = part.quantity * factor
    cost = 0 if lane is None else lane.cost(item, quantity, opens_shipment=False)
    return Given(key, part.service, quantity, part.shipped * factor, *days, cost)


def _with_shipment(
    given: Given, lanes: Mapping[tuple[str, str], Offer], shipments: dict[tuple[str, str, Day], None]
) -> Given:
    """With the cost of its shipment, if it opens one."""
    name = (given.key.location_id, given.service, given.ship_day)
    offer = lanes.get(name[:2])
    if offer is None or name in shipments:
        return given
    shipments[name] = None
    return given._replace(cost_minor=min(COST_MAX_MINOR, given.cost_minor + offer.cost_shipment_minor))


def _take(batch: Batch, promise: PromiseCopy, request: Request, decision: OrderDecision) -> None:
    """Give the promise its parts and what waits."""
    by = (request.tier.tier, promise.decision_id, promise.decision_index)
    for asked, line in zip(request.lines, decision.lines, strict=True):
        assert isinstance(line, TakenOverLine)  # noqa: S101 - what `take_over` answers
        for number, (planned, shipped) in enumerate(zip(line.planned, line.shipped, strict=True), start=1):
            owed = planned.quantity - shipped
            promise.parts.append(Part(line.line, number, planned, *by, owed, shipped, changed=True))
        if line.backordered:
            add_backorder(batch, promise, request, asked, line.backordered)


def _audited(command: TakeOverOrder, decision: OrderDecision) -> AuditEntry:
    promised = sum(part.quantity for line in decision.lines for part in line.planned)
    detail = {"promised": promised, "backordered": sum(line.backordered for line in decision.lines)}
    return AuditEntry(command.author, TAKEN_OVER, f"{command.key.source}/{command.key.order_id}", detail)
