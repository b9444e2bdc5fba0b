"""Confirm a promise: its source accepts it. Confirming again changes nothing.

A hold is confirmed before its time is over, or not at all, swept or not. What it could not keep waits from now on.
"""

from collections.abc import Mapping

from services.atp.application.batch import Batch, Handler, Needs
from services.atp.application.commands import (
    Answered,
    ConfirmOrder,
    OlderVersion,
    Outcome,
    UnknownOrder,
    WrongState,
)
from services.atp.application.content import OrderKey
from services.atp.application.documents import load
from services.atp.application.due import store_due
from services.atp.application.holds import need_to_wait, plan_hold_end, wait_for_rest
from services.atp.application.orders import OrderCopy, Unapplied
from services.atp.application.ports import Session
from services.atp.application.revision import revise
from services.atp.domain.promise_state import next_state, state_at


class Confirming(Handler[ConfirmOrder]):
    """Decides `ConfirmOrder`."""

    def needs(self, command: ConfirmOrder, needs: Needs) -> None:
        """The identity with its promise."""
        needs.orders[command.key] = None

    def needs_of_orders(self, command: ConfirmOrder, orders: Mapping[OrderKey, OrderCopy], needs: Needs) -> None:
        """Where the open rest of a hold can be served from."""
        order = orders.get(command.key)
        if order is not None and order.promise is not None and order.promise.state == "held":
            need_to_wait(order, needs)

    def decide(self, batch: Batch, command: ConfirmOrder) -> Outcome:
        """An older version, or a promise that cannot be confirmed, is recorded and not applied."""
        order = batch.orders.get(command.key)
        if order is None:
            return UnknownOrder()
        promise = order.promise
        if command.version < order.version:
            batch.unapplied.append(Unapplied(command.key, command.version, "confirm", "older_version", order.version))
            return OlderVersion(order.version)
        if promise is None:
            batch.unapplied.append(Unapplied(command.key, command.version, "confirm", "wrong_state", order.version))
            return WrongState(None, "cancelled")
        before = state_at(promise.state, promise.held_until, batch.now)
        state = next_state(before, "confirm")
        if state is None:
            batch.unapplied.append(Unapplied(command.key, command.version, "confirm", "wrong_state", order.version))
            return WrongState(promise.promise_id, before)
        if state == promise.state:
            return Answered(promise.promise_id, promise.document, first=False)
        order.version = command.version
        promise.state = state
        if before == "held":
            plan_hold_end(batch, order.key, None)
            wait_for_rest(batch, order)
        document = load(promise.document)
        change = "amended" if promise.record_sequence else "accepted"
        new = revise(batch, order, document, cause="confirmed", change=change, origin=command.origin)
        return Answered(promise.promise_id, new, first=True)

    async def store(self, session: Session, batch: Batch) -> None:
        """The end of a hold is not awaited any more."""
        await store_due(session, batch)
