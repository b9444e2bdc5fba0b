"""What the warehouse did with promised goods: shipped them, delivered them. Each once, by (source, reference).

Goods that left have left, promised or not: on hand falls in any case. What was committed falls with it: of the line,
from the location first that the goods left, earliest day first. A protection or quota that the goods were taken from
stays consumed. What left beyond the promise is given to the line's rest that waits, as far as there is one: it is
promised and shipped at once by no decision, so that nobody is served twice.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final
from zoneinfo import ZoneInfo

from services.atp.application.batch import Batch, Handler, Needs
from services.atp.application.commands import Applied, Origin, Outcome, Remembered
from services.atp.application.content import OrderKey
from services.atp.application.documents import Document, load
from services.atp.application.giving_back import show_parts, wait_less
from services.atp.application.gross_supply import count_shipment
from services.atp.application.orders import OrderCopy, Part, PromiseCopy
from services.atp.application.ports import Session
from services.atp.application.revision import record, revise
from services.atp.application.rewriting import line_outcome
from services.atp.application.supply_book import load_supply, position_of, store_supply, supply_of
from services.atp.application.supply_entries import Entry, FulfilmentEntry, Reference, StreamKey
from services.atp.domain.model import Planned, PositionKey
from services.atp.domain.promise_state import next_state
from services.atp.domain.stock_intake import Movement

KEPT: Final = "fulfilments"
BY_NO_DECISION: Final = -1  # the index of the decision of goods that left beyond what was decided
UTC_NAME: Final = "UTC"  # the day of a location that nobody knows
NO_SERVICE: Final = "unknown"  # of goods that left a location without a lane to the order's zone


@dataclass(frozen=True, slots=True)
class GoodsShipped:
    """Goods of one order line that left a location."""

    name: Reference
    line: str
    quantity: int
    occurred_at: datetime
    sequence: int | None = None
    carrier: str | None = None
    actual_cost_minor: int | None = None


@dataclass(frozen=True, slots=True)
class GoodsDelivered:
    """Goods of one order line that reached the customer."""

    source: str
    reference: str
    line: str
    quantity: int
    occurred_at: datetime


@dataclass(frozen=True, slots=True)
class ShipOrder:
    """Goods of one order left: all that came in one go, so that its promise is revised once."""

    key: OrderKey
    goods: tuple[GoodsShipped, ...]
    origin: Origin
    remembered: Remembered | None = None

    @property
    def lines(self) -> int:
        """Its lines."""
        return len(self.goods)


@dataclass(frozen=True, slots=True)
class DeliverOrder:
    """Goods of one order reached the customer: all that came in one go."""

    key: OrderKey
    goods: tuple[GoodsDelivered, ...]
    origin: Origin
    remembered: Remembered | None = None

    @property
    def lines(self) -> int:
        """Its lines."""
        return len(self.goods)


class Shipping(Handler[ShipOrder]):
    """Decides `ShipOrder`."""

    def needs(self, command: ShipOrder, needs: Needs) -> None:
        """The order, and the positions that the goods left."""
        needs.orders[command.key] = None
        for goods in command.goods:
            needs.positions[goods.name.position] = None
            needs.freed_items[goods.name.position.item_id] = None

    def needs_of_orders(self, command: ShipOrder, orders: Mapping[OrderKey, OrderCopy], needs: Needs) -> None:
        """The positions that the goods were committed at."""
        order = orders.get(command.key)
        lines = dict.fromkeys(goods.line for goods in command.goods)
        for part in order.promise.parts if order is not None and order.promise is not None else ():
            if part.open and part.line in lines:
                needs.positions[part.planned.key] = None
                needs.freed_items[part.planned.key.item_id] = None

    async def load(self, session: Session, batch: Batch, commands: Sequence[ShipOrder]) -> None:
        """What the sources have said of the positions so far."""
        names = [goods.name for command in commands for goods in command.goods]
        streams = [StreamKey(name.position, name.source) for name in names]
        await load_supply(session, batch, streams=streams, references=names)

    def decide(self, batch: Batch, command: ShipOrder) -> Outcome:
        """Goods that were seen before change nothing; goods beyond the promise are recorded and counted."""
        order = batch.orders.get(command.key)
        promise = None if order is None else order.promise
        shipped: dict[str, int] = {}
        closed: dict[str, int] = {}
        for goods in command.goods:
            off, beyond = self._leave(batch, command, goods, promise)
            if off:
                shipped[goods.line] = shipped.get(goods.line, 0) + off
            if beyond:
                closed[goods.line] = closed.get(goods.line, 0) + beyond
        if order is None or promise is None or not shipped:
            return Applied("recorded")
        document = load(promise.document)
        for line in document["lines"]:
            line["shipped"] += shipped.get(line["line"], 0)
            if line["line"] in closed:
                _show_closed(line, promise, closed[line["line"]])
        if not promise.backorders and not any(part.open for part in promise.parts):
            promise.state = next_state(promise.state, "all_shipped") or promise.state
        reason = "; ".join(
            f"line {line}: {quantity} that waited left beyond the promise" for line, quantity in closed.items()
        )
        revise(batch, order, document, cause="shipped", change="shipped", origin=command.origin, reason=reason)
        return Applied("applied")

    async def store(self, session: Session, batch: Batch) -> None:
        """The supply ledger and what the warehouse did."""
        await store_supply(session, batch)
        await store_fulfilments(session, batch)

    def _leave(
        self, batch: Batch, command: ShipOrder, goods: GoodsShipped, promise: PromiseCopy | None
    ) -> tuple[int, int]:
        """Let goods leave; how many of them come off the promise, and how many of these off what waited."""
        supply, key = supply_of(batch), goods.name.position
        before = position_of(batch, key)
        movement = Movement(-goods.quantity, goods.occurred_at, goods.sequence)
        intake = supply.move(batch, goods.name, "shipment", movement)
        if intake is None:
            return 0, 0
        entry = Entry(goods.name, "shipment", -goods.quantity, 0, "", goods.occurred_at, goods.sequence)
        supply.enter(batch, entry, intake, before, command.origin)
        count_shipment(batch, key, goods.quantity, goods.occurred_at)
        off = _uncommit(batch, promise, goods, key)
        batch.review(key, "supply_cut")
        outcome = "applied" if off == goods.quantity else "unknown_order" if promise is None else "beyond_promise"
        beyond = _close_waiting(batch, promise, goods, goods.quantity - off)
        if outcome != "applied":
            batch.count(f"shipment_{outcome}")
        fulfilment_entries(batch).append(
            FulfilmentEntry(
                command.key,
                "shipped",
                goods.name.source,
                goods.name.reference,
                None if promise is None else promise.promise_id,
                goods.line,
                goods.quantity,
                outcome,
                goods.occurred_at,
                goods.carrier,
                goods.actual_cost_minor,
            )
        )
        return off + beyond, beyond


class Delivering(Handler[DeliverOrder]):
    """Decides `DeliverOrder`."""

    def needs(self, command: DeliverOrder, needs: Needs) -> None:
        """The order."""
        needs.orders[command.key] = None

    async def load(self, session: Session, batch: Batch, commands: Sequence[DeliverOrder]) -> None:
        """Which deliveries were recorded before."""
        asked = [(each.key, goods.source, goods.reference) for each in commands for goods in each.goods]
        known = await session.supply.known_deliveries(asked)
        batch.kept[f"{KEPT} known"] = dict.fromkeys(known)

    def decide(self, batch: Batch, command: DeliverOrder) -> Outcome:
        """Deliveries that were seen before, or for which nothing has shipped, change no order."""
        known: dict[tuple[OrderKey, str, str], None] = batch.kept[f"{KEPT} known"]
        order = batch.orders.get(command.key)
        promise = None if order is None else order.promise
        arrived: list[GoodsDelivered] = []
        for goods in command.goods:
            name = (command.key, goods.source, goods.reference)
            if name in known:
                continue
            known[name] = None
            outcome = "unknown_order" if promise is None else _arrive(promise, goods)
            if outcome == "applied":
                arrived.append(goods)
            else:
                batch.count(f"delivery_{outcome}")
            fulfilment_entries(batch).append(_delivery_entry(command.key, promise, goods, outcome))
        if order is None or promise is None or not arrived:
            return Applied("recorded")
        promise.changed = order.changed = True
        batch.touched[order.key] = order
        document = load(promise.document)
        wanted = {line["line"]: date.fromisoformat(line["requested_arrival"]) for line in document["lines"]}
        zones = batch.configuration.time_zones
        on_time = all(_day_of(goods, promise, zones) <= wanted[goods.line] for goods in arrived)
        record(batch, promise, document, change="delivered", origin=command.origin, on_time=on_time)
        return Applied("applied")

    async def store(self, session: Session, batch: Batch) -> None:
        """What the warehouse did."""
        await store_fulfilments(session, batch)


def fulfilment_entries(batch: Batch) -> list[FulfilmentEntry]:
    """What the warehouse did, as far as this batch has heard; more is added to it."""
    entries: list[FulfilmentEntry] = batch.kept.setdefault(KEPT, [])
    return entries


async def store_fulfilments(session: Session, batch: Batch) -> None:
    """Write it; once, whichever handler calls first."""
    entries: list[FulfilmentEntry] = batch.kept.pop(KEPT, [])
    if entries:
        await session.supply.store_fulfilments(entries)


def _uncommit(batch: Batch, promise: PromiseCopy | None, goods: GoodsShipped, key: PositionKey) -> int:
    left = goods.quantity
    for part in _open_parts(promise, goods.line, key):
        taken = min(left, part.open)
        if not taken:
            break
        batch.workbook.ship(part.planned, taken, on_hand_change=0)
        part.open -= taken
        part.shipped += taken
        part.changed = True
        left -= taken
        if part.planned.key != key:
            batch.free(part.planned.key, "stock_freed")
    return goods.quantity - left


def _close_waiting(batch: Batch, promise: PromiseCopy | None, goods: GoodsShipped, beyond: int) -> int:
    """Give what left beyond the promise to the rest of its line that waits; how much of it."""
    backorder = None if promise is None else promise.backorders.get(goods.line)
    key = goods.name.position
    if promise is None or backorder is None or not beyond or backorder.item_id != key.item_id:
        return 0
    quantity = min(beyond, backorder.quantity)
    wait_less(batch, promise, goods.line, quantity)
    offers = batch.configuration.offers_for(promise.content.zone)
    offer = next((each for each in offers if each.location_id == key.location_id), None)
    day = goods.occurred_at.toordinal()
    service, transit_days = (goods.carrier or NO_SERVICE, 0) if offer is None else (offer.service, offer.transit_days)
    planned = Planned(key, service, quantity, day, day, day + transit_days, 0)
    number = max((part.number for part in promise.parts if part.line == goods.line), default=0) + 1
    tier = load(promise.document)["served_as"]["tier"]
    taken_by = (batch.decision_id, BY_NO_DECISION)
    promise.parts.append(Part(goods.line, number, planned, tier, *taken_by, 0, quantity, changed=True))
    return quantity


def _show_closed(line: Document, promise: PromiseCopy, quantity: int) -> None:
    """Let a line show that what waited has left."""
    show_parts(line, promise)
    line["backordered"] -= quantity
    line["outcome"] = line_outcome(line, line["outcome"])
    if not line["backordered"]:
        line["why"] = []
        line.pop("alternatives", None)


def _open_parts(promise: PromiseCopy | None, line: str, key: PositionKey) -> Iterator[Part]:
    parts = [] if promise is None else [part for part in promise.parts if part.line == line and part.open]
    item = [part for part in parts if part.planned.key.item_id == key.item_id]
    yield from sorted(item, key=lambda part: (part.planned.key != key, part.planned.available_day, part.number))


def _arrive(promise: PromiseCopy, goods: GoodsDelivered) -> str:
    parts = [part for part in promise.parts if part.line == goods.line]
    if sum(part.shipped - part.delivered for part in parts) < goods.quantity:
        return "beyond_shipment"
    left = goods.quantity
    for part in sorted(parts, key=lambda each: (each.planned.available_day, each.number)):
        taken = min(left, part.shipped - part.delivered)
        if taken:
            part.delivered += taken
            part.changed = True
            left -= taken
    return "applied"


def _day_of(goods: GoodsDelivered, promise: PromiseCopy, zones: Mapping[str, str]) -> date:
    """The day of the delivery in the calendar of the location that the line was promised from first."""
    first = min((part for part in promise.parts if part.line == goods.line), key=lambda part: part.number)
    return goods.occurred_at.astimezone(ZoneInfo(zones.get(first.planned.key.location_id, UTC_NAME))).date()


def _delivery_entry(key: OrderKey, promise: PromiseCopy | None, goods: GoodsDelivered, outcome: str) -> FulfilmentEntry:
    return FulfilmentEntry(
        key,
        "delivered",
        goods.source,
        goods.reference,
        None if promise is None else promise.promise_id,
        goods.line,
        goods.quantity,
        outcome,
        goods.occurred_at,
    )
