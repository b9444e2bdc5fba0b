"""Cancel an order: what has not shipped is given back, with what it was taken from, and those who wait are asked first.

A cancel for an order that did not come yet is kept; the order that follows is answered `cancelled`.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from services.atp.application.batch import Batch, Handler, Needs, need_parts
from services.atp.application.commands import (
    Answered,
    CancellationKept,
    CancelOrder,
    OlderVersion,
    Outcome,
    WrongState,
)
from services.atp.application.content import OrderKey
from services.atp.application.documents import Document, load, schedule_line, total_cost
from services.atp.application.orders import OrderCopy, Part, PromiseCopy, Unapplied
from services.atp.application.revision import revise
from services.atp.domain.model import Planned, Posting
from services.atp.domain.promise_state import next_state
from services.atp.domain.release import split


class Cancelling(Handler[CancelOrder]):
    """Decides `CancelOrder`."""

    def needs(self, command: CancelOrder, needs: Needs) -> None:
        """The identity with its promise."""
        needs.orders[command.key] = None

    def needs_of_orders(self, command: CancelOrder, orders: Mapping[OrderKey, OrderCopy], needs: Needs) -> None:
        """The positions that it frees."""
        order = orders.get(command.key)
        if order is not None and order.promise is not None:
            freed = [part for part in order.promise.parts if part.open]
            need_parts(freed, needs)
            needs.freed_items.update((part.planned.key.item_id, None) for part in freed)

    def decide(self, batch: Batch, command: CancelOrder) -> Outcome:
        """An older version, or a promise whose goods have all shipped, is recorded and not applied."""
        order = batch.orders.get(command.key)
        if order is None or order.promise is None:
            return _keep(batch, command, order)
        promise = order.promise
        if command.version < order.version:
            batch.unapplied.append(Unapplied(command.key, command.version, "cancel", "older_version", order.version))
            return OlderVersion(order.version)
        state = next_state(promise.state, "cancel")
        if state is None:
            batch.unapplied.append(Unapplied(command.key, command.version, "cancel", "wrong_state", order.version))
            return WrongState(promise.promise_id, promise.state)
        if state == promise.state:
            return Answered(promise.promise_id, promise.document, first=False)
        give_back(batch, promise)
        order.version = command.version
        promise.state = state
        document = _cancelled_document(promise)
        new = revise(batch, order, document, cause="cancelled", change="cancelled", origin=command.origin)
        return Answered(promise.promise_id, new, first=True)


def give_back(batch: Batch, promise: PromiseCopy) -> None:
    """Take everything that has not shipped off the promise: commitments, postings, backorders."""
    for backorder in promise.backorders.values():
        waiting = batch.waiting.get(backorder.item_id)
        if waiting is not None:
            rank = backorder.key.priority_rank
            waiting[rank] -= backorder.quantity
            if waiting[rank] <= 0:
                del waiting[rank]
    promise.backorders.clear()
    for part in promise.parts:
        if not part.open:
            continue
        kept, freed = _divided(part)
        part.planned = replace(part.planned, postings=kept)
        part.open, part.changed = 0, True
        batch.workbook.release([freed])
        batch.free(freed.key, "stock_freed")


def _divided(part: Part) -> tuple[tuple[Posting, ...], Planned]:
    """What stays consumed (it has shipped), and what is given back."""
    if not part.shipped:
        return (), part.planned
    shipped, rest = split(part.planned, part.shipped)
    return shipped.postings, rest


def _shipped_of(part: Part) -> Planned:
    return part.planned if part.shipped == part.planned.quantity else split(part.planned, part.shipped)[0]


def _keep(batch: Batch, command: CancelOrder, order: OrderCopy | None) -> Outcome:
    if order is None:
        order = OrderCopy(command.key, command.version, None, None, new=True)
    elif command.version > order.version:
        order.version, order.changed = command.version, True
    batch.orders[order.key] = batch.touched[order.key] = order
    return CancellationKept()


def _cancelled_document(promise: PromiseCopy) -> Document:
    """The document with only what has shipped left of it."""
    document = load(promise.document)
    lines: list[dict[str, Any]] = document["lines"]
    for line in lines:
        shipped = [part for part in promise.parts if part.line == line["line"] and part.shipped]
        line["outcome"] = "cancelled"
        line["promised"] = sum(part.shipped for part in shipped)
        line["backordered"] = 0
        line["schedule"] = [schedule_line(_shipped_of(part)) for part in shipped]
        line["why"] = []
    document["cost_minor"] = total_cost(lines)
    return document
