"""Goods that came back from a customer: into inspection, until a status change makes them available again.

What came back stays consumed of the protections and quotas that it was taken from, as what has shipped does.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from services.atp.application.batch import Batch, Handler, Needs
from services.atp.application.commands import Applied, Origin, Outcome, Remembered
from services.atp.application.content import OrderKey
from services.atp.application.documents import Document, load
from services.atp.application.fulfil_orders import fulfilment_entries, store_fulfilments
from services.atp.application.orders import PromiseCopy
from services.atp.application.ports import Session
from services.atp.application.revision import revise
from services.atp.application.supply_book import load_supply, position_of, store_supply, supply_of
from services.atp.application.supply_entries import Entry, FulfilmentEntry, Reference, StreamKey
from services.atp.application.take_supply import AVAILABLE
from services.atp.domain.stock_intake import Movement


@dataclass(frozen=True, slots=True)
class GoodsReturned:
    """Goods of one order line that came back to a location, and what status they have there."""

    name: Reference
    line: str
    quantity: int
    occurred_at: datetime
    status: str
    sequence: int | None = None


@dataclass(frozen=True, slots=True)
class ReturnGoods:
    """Goods of one order came back: all that came in one go, so that its promise is revised once."""

    key: OrderKey
    goods: tuple[GoodsReturned, ...]
    origin: Origin
    remembered: Remembered | None = None

    @property
    def lines(self) -> int:
        """Its lines."""
        return len(self.goods)


class Returning(Handler[ReturnGoods]):
    """Decides `ReturnGoods`."""

    def needs(self, command: ReturnGoods, needs: Needs) -> None:
        """The order, and the positions that the goods came to."""
        needs.orders[command.key] = None
        for goods in command.goods:
            needs.positions[goods.name.position] = None
            needs.freed_items[goods.name.position.item_id] = None

    async def load(self, session: Session, batch: Batch, commands: Sequence[ReturnGoods]) -> None:
        """What the sources have said of the positions so far."""
        names = [goods.name for command in commands for goods in command.goods]
        streams = [StreamKey(name.position, name.source) for name in names]
        await load_supply(session, batch, streams=streams, references=names)

    def decide(self, batch: Batch, command: ReturnGoods) -> Outcome:
        """Goods that were told of before change nothing; goods that never left are stock all the same."""
        order = batch.orders.get(command.key)
        promise = None if order is None else order.promise
        document = None if promise is None else load(promise.document)
        back = False
        for goods in command.goods:
            back |= self._come_back(batch, command, goods, promise, document)
        if order is None or document is None or not back:
            return Applied("recorded")
        revise(batch, order, document, cause="returned", change="returned", origin=command.origin)
        return Applied("applied")

    async def store(self, session: Session, batch: Batch) -> None:
        """The supply ledger and what came back."""
        await store_supply(session, batch)
        await store_fulfilments(session, batch)

    def _come_back(
        self,
        batch: Batch,
        command: ReturnGoods,
        goods: GoodsReturned,
        promise: PromiseCopy | None,
        document: Document | None,
    ) -> bool:
        """Take the goods into stock; whether the order shows them as returned."""
        supply, key = supply_of(batch), goods.name.position
        before = position_of(batch, key)
        deltas = {goods.status: goods.quantity}
        available = deltas.pop(AVAILABLE, 0)
        movement = Movement(available, goods.occurred_at, goods.sequence)
        intake = supply.move(batch, goods.name, "return", movement, deltas)
        if intake is None:
            return False
        entry = Entry(goods.name, "return", available, 0, "", goods.occurred_at, goods.sequence)
        supply.enter(batch, entry, intake, before, command.origin)
        if intake.on_hand > before.on_hand:
            batch.free(key, "supply_arrived")
        outcome = "unknown_order" if document is None else _show(document, goods)
        if outcome != "applied":
            batch.count(f"return_{outcome}")
        promise_id = None if promise is None else promise.promise_id
        name = (command.key, "returned", goods.name.source, goods.name.reference, promise_id)
        fulfilment_entries(batch).append(FulfilmentEntry(*name, goods.line, goods.quantity, outcome, goods.occurred_at))
        return outcome == "applied"


def _show(document: Document, goods: GoodsReturned) -> str:
    for line in document["lines"]:
        returned = line.get("returned", 0) + goods.quantity
        if line["line"] == goods.line and returned <= line["shipped"]:
            line["returned"] = returned
            return "applied"
    return "beyond_shipment"
