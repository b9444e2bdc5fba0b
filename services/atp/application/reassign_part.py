"""A planner gives a promised quantity of one order to another one that waits for the same item, across customers.

The giving line still wants it and waits for it at its place in the order of service; the receiving line is pinned
through the given day, so that nothing takes it away again. Both promises change in one transaction, each with the
planner's reason; nothing is oversold (see `hand_over`).
"""

from collections.abc import Mapping
from dataclasses import dataclass

from services.atp.application.batch import Batch, Handler, Needs, need_content
from services.atp.application.changing import Admitted, Fault
from services.atp.application.commands import Answered, Origin, Outcome, Remembered
from services.atp.application.content import OrderKey
from services.atp.application.documents import Act, load
from services.atp.application.due import store_due
from services.atp.application.giving_back import need_open_parts
from services.atp.application.hand_over import Why, hand_over, need_recipient
from services.atp.application.holds import wait_for_rest
from services.atp.application.orders import OrderCopy
from services.atp.application.planner_actions import (
    admit_plan,
    note,
    overridden,
    refuse_plan,
    settle_overrides,
    store_actions,
)
from services.atp.application.planner_records import Planner
from services.atp.application.ports import Session
from services.atp.application.release_part import parts_at
from services.atp.application.revision import revise
from services.atp.application.rewriting import why_rest
from services.atp.application.withdraw_part import donor_fault, show_taken


@dataclass(frozen=True, slots=True)
class ReassignPart:
    """A quantity of a line (from a location, or whatever arrives last) for a line of another order."""

    key: OrderKey
    revision: int
    line: str
    quantity: int
    location_id: str | None
    to_order: OrderKey
    to_line: str
    planner: Planner
    origin: Origin
    remembered: Remembered | None = None
    lines: int = 1


class Reassigning(Handler[ReassignPart]):
    """Decides `ReassignPart`."""

    def needs(self, command: ReassignPart, needs: Needs) -> None:
        """Both orders."""
        needs.orders[command.key] = None
        needs.orders[command.to_order] = None

    def needs_of_orders(self, command: ReassignPart, orders: Mapping[OrderKey, OrderCopy], needs: Needs) -> None:
        """The positions that it frees, and where the receiver can be served from."""
        order = orders.get(command.key)
        if order is None or order.promise is None:
            return
        need_content(order.promise.content, needs)
        need_open_parts(order.promise, needs)
        need_recipient(orders, command.to_order, needs)

    def decide(self, batch: Batch, command: ReassignPart) -> Outcome:
        """See the module."""
        admitted = admit_plan(batch, command)
        if not isinstance(admitted, Admitted):
            return admitted
        order, promise = admitted.order, admitted.promise
        recipient = batch.orders.get(command.to_order)
        if recipient is None or recipient.promise is None or recipient is order:
            return refuse_plan(admitted, Fault("other_order", "the receiving order is not known"))
        parts = parts_at(promise, command.line, command.location_id)
        held = sum(part.open for part in parts)
        act = Act("reassigned", command.planner.actor)
        why = Why("reassigned", command.planner.reason, command.origin, act)
        fault = donor_fault(batch, promise, command.line, held, command.quantity) or hand_over(
            batch, parts, command.quantity, (recipient, command.to_line), why
        )
        if fault is not None:
            return refuse_plan(admitted, fault)
        if command.planner.through is not None:
            overridden(batch, recipient, recipient.promise).pins[command.to_line] = command.planner.through
            settle_overrides(batch, recipient, recipient.promise)
        document = load(promise.document)
        shown = show_taken(document, promise, command.line, command.quantity)
        shown["why"] = why_rest(batch, order.key, promise, command.line, shown["backordered"])
        new = revise(
            batch,
            order,
            document,
            cause="reassigned",
            change="promise_changed",
            origin=command.origin,
            reason=command.planner.reason,
        )
        if promise.state != "held":
            wait_for_rest(batch, order)
        self._note(batch, command, admitted, recipient)
        return Answered(promise.promise_id, new, first=True)

    def _note(self, batch: Batch, command: ReassignPart, admitted: Admitted, recipient: OrderCopy) -> None:
        details = {
            "line": command.line,
            "quantity": command.quantity,
            "to_source": recipient.key.source,
            "to_order_id": recipient.key.order_id,
            "to_line": command.to_line,
        }
        note(batch, "reassign", command.planner, admitted.promise, details)

    async def store(self, session: Session, batch: Batch) -> None:
        """The act, and when it ends."""
        await store_actions(session, batch)
        await store_due(session, batch)
