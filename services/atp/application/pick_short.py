"""Goods that were not found: on hand falls, and what was promised from there is planned anew, in one transaction.

The line keeps what it has elsewhere. What it lost is decided as a new order would be, behind those who wait for freed
stock, from wherever it is best had; what cannot be promised waits. A line of an order that ships complete gets all that
it lost or waits for all of it. The promise's tier validation is over: the order was accepted.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from services.atp.application.batch import Batch, Handler, Needs
from services.atp.application.commands import Applied, Origin, Outcome, Remembered
from services.atp.application.content import OrderKey
from services.atp.application.customers import Served
from services.atp.application.documents import Document, constraint, load, served_as, show_choices, total_cost
from services.atp.application.fulfil_orders import fulfilment_entries, store_fulfilments
from services.atp.application.giving_back import need_open_parts, show_parts, stop_waiting, take_off
from services.atp.application.orders import OrderCopy, Part, PromiseCopy
from services.atp.application.place_order import add_backorder, request_of
from services.atp.application.ports import Session
from services.atp.application.revision import revise
from services.atp.application.rewriting import add_parts, beside, line_outcome
from services.atp.application.supply_book import load_supply, position_of, store_supply, supply_of
from services.atp.application.supply_entries import Entry, FulfilmentEntry, Reference, StreamKey
from services.atp.domain.model import LineDecision, PositionKey, Request
from services.atp.domain.stock_intake import Movement


@dataclass(frozen=True, slots=True)
class GoodsMissing:
    """Goods of one order line that were not found at a location."""

    name: Reference
    line: str
    quantity: int
    occurred_at: datetime
    sequence: int | None = None


@dataclass(frozen=True, slots=True)
class PickShort:
    """Goods of one order were not found: all that was told in one go, so that its promise is revised once."""

    key: OrderKey
    goods: tuple[GoodsMissing, ...]
    origin: Origin
    remembered: Remembered | None = None

    @property
    def lines(self) -> int:
        """Its lines."""
        return len(self.goods)


class Picking(Handler[PickShort]):
    """Decides `PickShort`."""

    def needs(self, command: PickShort, needs: Needs) -> None:
        """The order, and the positions that lack goods."""
        needs.orders[command.key] = None
        for goods in command.goods:
            needs.positions[goods.name.position] = None
            needs.freed_items[goods.name.position.item_id] = None

    def needs_of_orders(self, command: PickShort, orders: Mapping[OrderKey, OrderCopy], needs: Needs) -> None:
        """What planning its lines anew needs."""
        order = orders.get(command.key)
        if order is None or order.promise is None:
            return
        need_open_parts(order.promise, needs)
        needs.customers[order.promise.content.customer] = None
        needs.zones.update(dict.fromkeys(order.promise.content.ways))
        needs.substitutes = True
        for goods in command.goods:
            needs.items[goods.name.position.item_id] = None

    async def load(self, session: Session, batch: Batch, commands: Sequence[PickShort]) -> None:
        """What the sources have said of the positions so far."""
        names = [goods.name for command in commands for goods in command.goods]
        streams = [StreamKey(name.position, name.source) for name in names]
        await load_supply(session, batch, streams=streams, references=names)

    def decide(self, batch: Batch, command: PickShort) -> Outcome:
        """Goods that were told of before change nothing; more than was promised from there only lowers on hand."""
        order = batch.orders.get(command.key)
        promise = None if order is None else order.promise
        lost: dict[str, int] = {}
        for goods in command.goods:
            taken = self._miss(batch, command, goods, promise)
            if taken:
                lost[goods.line] = lost.get(goods.line, 0) + taken
        if order is None or promise is None or not lost:
            return Applied("recorded")
        self._replan(batch, command, order, promise, lost)
        return Applied("applied")

    async def store(self, session: Session, batch: Batch) -> None:
        """The supply ledger and what the warehouse found."""
        await store_supply(session, batch)
        await store_fulfilments(session, batch)

    def _miss(self, batch: Batch, command: PickShort, goods: GoodsMissing, promise: PromiseCopy | None) -> int:
        """Let on hand fall; how much of what was promised from there is not."""
        supply, key = supply_of(batch), goods.name.position
        before = position_of(batch, key)
        movement = Movement(-goods.quantity, goods.occurred_at, goods.sequence)
        intake = supply.move(batch, goods.name, "short_pick", movement)
        if intake is None:
            return 0
        entry = Entry(goods.name, "short_pick", -goods.quantity, 0, "", goods.occurred_at, goods.sequence)
        supply.enter(batch, entry, intake, before, command.origin)
        taken = _take_off(batch, promise, goods, key)
        batch.review(key, "execution")
        outcome = "applied" if taken == goods.quantity else "unknown_order" if promise is None else "beyond_promise"
        if outcome != "applied":
            batch.count(f"short_pick_{outcome}")
        promise_id = None if promise is None else promise.promise_id
        name = (command.key, "short_picked", goods.name.source, goods.name.reference, promise_id)
        fulfilment_entries(batch).append(FulfilmentEntry(*name, goods.line, goods.quantity, outcome, goods.occurred_at))
        return taken

    def _replan(
        self, batch: Batch, command: PickShort, order: OrderCopy, promise: PromiseCopy, lost: Mapping[str, int]
    ) -> None:
        served = batch.served(promise.content, promise.ordered_at)
        whole = request_of(order.key, promise.content, served, promise.ordered_at)
        accepted = replace(whole, tier=replace(served.tier, validation=None), blocks=())
        document = load(promise.document)
        for line in document["lines"]:
            if line["line"] not in lost:
                continue
            asked = next(each for each in whole.lines if each.line == line["line"])
            rest = replace(asked, quantity=lost[asked.line], minimum_quantity=0)
            (decision,) = batch.workbook.decide(beside(replace(accepted, lines=(rest,)), promise.parts)).lines
            add_parts(batch, promise, [decision], served.tier)
            _rewrite(batch, promise, whole, line, decision)
        _show_tier(document, served)
        document["decided_at"] = batch.now
        document["cost_minor"] = total_cost(document["lines"])
        revise(batch, order, document, cause="execution", change="promise_changed", origin=command.origin)


def _take_off(batch: Batch, promise: PromiseCopy | None, goods: GoodsMissing, key: PositionKey) -> int:
    """Take what is missing off the line's parts at the position, those to be available first first."""
    left = goods.quantity
    for part in sorted(_parts(promise, goods.line, key), key=lambda each: (each.planned.available_day, each.number)):
        taken = min(left, part.open)
        if taken:
            take_off(batch, part, taken, mark=False)
            left -= taken
    return goods.quantity - left


def _parts(promise: PromiseCopy | None, line: str, key: PositionKey) -> list[Part]:
    parts = [] if promise is None else promise.parts
    return [part for part in parts if part.line == line and part.open and part.planned.key == key]


def _rewrite(batch: Batch, promise: PromiseCopy, whole: Request, line: Document, decision: LineDecision) -> None:
    """Let the line show what it has now; what it could not get waits with what waited before, unless it is held."""
    line["backordered"] += decision.backordered
    show_parts(line, promise)
    line["why"] = [constraint(binding) for binding in decision.why]
    show_choices(line, decision)
    line["outcome"] = line_outcome(line, decision.outcome if decision.outcome != "promised" else "backordered")
    if promise.state != "held":
        stop_waiting(batch, promise, [decision.line])
        if line["backordered"]:
            asked = next(each for each in whole.lines if each.line == decision.line)
            add_backorder(batch, promise, whole, asked, line["backordered"])


def _show_tier(document: Document, served: Served) -> None:
    document["served_as"] = {**served_as(served), "tier_at_order": document["served_as"]["tier_at_order"]}
