"""Confirm a promise: its source accepts it. Confirming again changes nothing."""

from services.atp.application.batch import Batch, Handler, Needs
from services.atp.application.commands import (
    Answered,
    ConfirmOrder,
    OlderVersion,
    Outcome,
    UnknownOrder,
    WrongState,
)
from services.atp.application.documents import load
from services.atp.application.orders import Unapplied
from services.atp.application.revision import revise
from services.atp.domain.promise_state import next_state


class Confirming(Handler[ConfirmOrder]):
    """Decides `ConfirmOrder`."""

    def needs(self, command: ConfirmOrder, needs: Needs) -> None:
        """The identity with its promise."""
        needs.orders[command.key] = None

    def decide(self, batch: Batch, command: ConfirmOrder) -> Outcome:
        """An older version, or a promise that cannot be confirmed, is recorded and not applied."""
        order = batch.orders.get(command.key)
        if order is None:
            return UnknownOrder()
        promise = order.promise
        if command.version < order.version:
            batch.unapplied.append(Unapplied(command.key, command.version, "confirm", "older_version", order.version))
            return OlderVersion(order.version)
        state = None if promise is None else next_state(promise.state, "confirm")
        if promise is None or state is None:
            batch.unapplied.append(Unapplied(command.key, command.version, "confirm", "wrong_state", order.version))
            return WrongState(None, "cancelled") if promise is None else WrongState(promise.promise_id, promise.state)
        if state == promise.state:
            return Answered(promise.promise_id, promise.document, first=False)
        order.version = command.version
        promise.state = state
        document = load(promise.document)
        new = revise(batch, order, document, cause="confirmed", change="amended", origin=command.origin)
        return Answered(promise.promise_id, new, first=True)
