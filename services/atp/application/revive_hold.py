"""Revive an expired hold: it gets a new promise, if stock allows.

What it wanted and has not shipped is decided like a new order, by the tier that counts now. If nothing can be promised
it stays expired. With `hold_seconds` it is a hold again; without, it is promised, and what cannot be promised waits.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from services.atp.application.batch import Batch, Handler, Needs, need_content
from services.atp.application.changing import Admitted, Fault, admit, applied, binding_constraints, refuse
from services.atp.application.commands import Answered, Origin, Outcome, Remembered
from services.atp.application.content import OrderKey
from services.atp.application.due import store_due
from services.atp.application.giving_back import need_open_parts
from services.atp.application.holds import expire, plan_hold_end
from services.atp.application.orders import OrderCopy
from services.atp.application.place_order import request_of
from services.atp.application.ports import Session
from services.atp.application.revision import revise
from services.atp.application.rewriting import (
    add_parts,
    let_wait,
    request_for_rest,
    rewrite,
    shipped_by_line,
)
from services.atp.domain.promise_state import Event, next_state
from services.atp.domain.promising import inquire


@dataclass(frozen=True, slots=True)
class ReviveHold:
    """Promise what a hold had, anew; for a time only, if `hold_seconds` says so."""

    key: OrderKey
    version: int
    fingerprint: bytes
    origin: Origin
    remembered: Remembered | None = None
    hold_seconds: int | None = None
    reason: str = ""
    lines: int = 1


class Reviving(Handler[ReviveHold]):
    """Decides `ReviveHold`."""

    def needs(self, command: ReviveHold, needs: Needs) -> None:
        """The identity with its promise."""
        needs.orders[command.key] = None

    def needs_of_orders(self, command: ReviveHold, orders: Mapping[OrderKey, OrderCopy], needs: Needs) -> None:
        """What placing the order would need; and what it frees, if it was not swept yet."""
        order = orders.get(command.key)
        if order is None or order.promise is None:
            return
        need_content(order.promise.content, needs)
        needs.substitutes = True
        need_open_parts(order.promise, needs)

    def decide(self, batch: Batch, command: ReviveHold) -> Outcome:
        """See the module."""
        event: Event = "revive" if command.hold_seconds is None else "revive_held"
        admitted = admit(batch, command, "revive", event)
        if not isinstance(admitted, Admitted):
            return admitted
        order, promise = admitted.order, admitted.promise
        if promise.state == "held":
            expire(batch, order, command.origin)  # it was not swept yet; those who wait are asked first
        served = batch.served(promise.content, promise.ordered_at)
        wanted = request_for_rest(order.key, promise, promise.content, served, shipped_by_line(promise))
        asked = inquire(batch.book, wanted).lines
        if not any(line.planned for line in asked):
            fault = Fault("no_stock", "nothing of it can be promised now", binding_constraints(asked))
            return refuse(batch, command, admitted, "revive", fault)
        decided = batch.workbook.decide(wanted).lines
        add_parts(batch, promise, decided, served.tier)
        request = request_of(order.key, promise.content, served, promise.ordered_at)
        document = rewrite(batch, promise, request, {line.line: line for line in decided}, served)
        promise.state = next_state("expired", event) or promise.state
        if command.hold_seconds is None:
            document.pop("held_until", None)  # it is a hold no more
            plan_hold_end(batch, command.key, None)
            let_wait(batch, promise, request, {line["line"]: line["backordered"] for line in document["lines"]})
        else:
            promise.held_until = document["held_until"] = batch.now + timedelta(seconds=command.hold_seconds)
            plan_hold_end(batch, command.key, promise.held_until)
        applied(admitted, command)
        change = "amended" if promise.record_sequence else "accepted"
        origin, reason = command.origin, command.reason
        new = revise(batch, order, document, cause="revived", change=change, origin=origin, reason=reason)
        return Answered(promise.promise_id, new, first=True)

    async def store(self, session: Session, batch: Batch) -> None:
        """When holds end."""
        await store_due(session, batch)
