"""Cancel an order: what has not shipped is given back, with what it was taken from, and those who wait are asked first.

A cancel for an order that did not come yet is kept; the order that follows is answered `cancelled`.
"""

from collections.abc import Mapping

from services.atp.application.batch import Batch, Handler, Needs
from services.atp.application.commands import (
    Answered,
    CancellationKept,
    CancelOrder,
    OlderVersion,
    Outcome,
    WrongState,
)
from services.atp.application.content import OrderKey
from services.atp.application.documents import load
from services.atp.application.due import store_due
from services.atp.application.giving_back import give_back, need_open_parts, show_nothing_but_shipped
from services.atp.application.holds import plan_hold_end
from services.atp.application.orders import OrderCopy, Unapplied
from services.atp.application.ports import Session
from services.atp.application.revision import revise
from services.atp.domain.promise_state import next_state


class Cancelling(Handler[CancelOrder]):
    """Decides `CancelOrder`."""

    def needs(self, command: CancelOrder, needs: Needs) -> None:
        """The identity with its promise."""
        needs.orders[command.key] = None

    def needs_of_orders(self, command: CancelOrder, orders: Mapping[OrderKey, OrderCopy], needs: Needs) -> None:
        """The positions that it frees."""
        order = orders.get(command.key)
        if order is not None and order.promise is not None:
            need_open_parts(order.promise, needs)

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
        if promise.held_until is not None:
            plan_hold_end(batch, order.key, None)
        document = load(promise.document)
        show_nothing_but_shipped(document, promise, "cancelled")
        new = revise(
            batch, order, document, cause="cancelled", change="cancelled", origin=command.origin, reason=command.reason
        )
        return Answered(promise.promise_id, new, first=True)

    async def store(self, session: Session, batch: Batch) -> None:
        """The end of a hold is not awaited any more."""
        await store_due(session, batch)


def _keep(batch: Batch, command: CancelOrder, order: OrderCopy | None) -> Outcome:
    if order is None:
        order = OrderCopy(command.key, command.version, None, None, new=True)
    elif command.version > order.version:
        order.version, order.changed = command.version, True
    batch.orders[order.key] = batch.touched[order.key] = order
    return CancellationKept()
