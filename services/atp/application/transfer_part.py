"""Transfer a promised quantity: to another location, or to another order of the same customer.

*To another location* is what a warehouse calls a change of the source: the order keeps the quantity, which is given
back where it was and taken at the other place on the best day there, whole or not at all. *To another order* is what
order managers call the transfer of a reservation: a quote's or a cart's stock goes to the order that came of it. The
giving order wants so much less; the receiving line must wait for at least as much of the same item. Between customers
it is a planner's `reassign`.

Both are decided: nothing is oversold, protections and quotas are held, and what one order cannot have after the other
has given it back is refused, with both promises as they were.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from services.atp.application.batch import Batch, Handler, Needs
from services.atp.application.changing import Admitted, Fault, admit, applied, binding_constraints, refuse
from services.atp.application.commands import Answered, Origin, Outcome, Remembered
from services.atp.application.content import OrderKey
from services.atp.application.documents import Document, constraint, load, total_cost
from services.atp.application.due import store_due
from services.atp.application.giving_back import need_open_parts, show_parts, take_off_parts
from services.atp.application.hand_over import Why, hand_over, need_recipient
from services.atp.application.holds import plan_hold_end
from services.atp.application.orders import OrderCopy, Part, PromiseCopy
from services.atp.application.place_order import request_of
from services.atp.application.ports import Session
from services.atp.application.release_part import ReleasedLine, end_of, order_less, parts_at, show_less
from services.atp.application.revision import revise
from services.atp.application.rewriting import add_parts, line_outcome, off, only, unvalidated
from services.atp.domain.promise_state import next_state
from services.atp.domain.promising import inquire
from services.atp.domain.release import release


@dataclass(frozen=True, slots=True)
class TransferPart:
    """A quantity (None: all) of a line, from a location (None: any) to a location or to a line of another order."""

    key: OrderKey
    version: int
    line: str
    quantity: int | None
    from_location: str | None
    to_location: str | None
    to_order: tuple[OrderKey, str] | None
    fingerprint: bytes
    origin: Origin
    remembered: Remembered | None = None
    reason: str = ""
    lines: int = 1


class TransferringPart(Handler[TransferPart]):
    """Decides `TransferPart`."""

    def needs(self, command: TransferPart, needs: Needs) -> None:
        """The orders."""
        needs.orders[command.key] = None
        if command.to_order is not None:
            needs.orders[command.to_order[0]] = None

    def needs_of_orders(self, command: TransferPart, orders: Mapping[OrderKey, OrderCopy], needs: Needs) -> None:
        """What it frees, and where the receiver can be served from."""
        order = orders.get(command.key)
        if order is None or order.promise is None:
            return
        need_open_parts(order.promise, needs)
        if command.to_order is not None:
            need_recipient(orders, command.to_order[0], needs)
            return
        content = order.promise.content
        needs.customers[content.customer] = None
        needs.zones.update(dict.fromkeys(content.ways))
        needs.items.update((line.item_id, None) for line in content.lines if line.line == command.line)

    def decide(self, batch: Batch, command: TransferPart) -> Outcome:
        """See the module."""
        admitted = admit(batch, command, "transfer", "transfer")
        if not isinstance(admitted, Admitted):
            return admitted
        fault = _fault(batch, command, admitted.promise)
        if fault is None and command.to_order is None:
            fault = self._move(batch, command, admitted)
        elif fault is None and command.to_order is not None:
            fault = self._give(batch, command, admitted, command.to_order)
        if fault is not None:
            return refuse(batch, command, admitted, "transfer", fault)
        return Answered(admitted.promise.promise_id, admitted.promise.document, first=True)

    def _move(self, batch: Batch, command: TransferPart, admitted: Admitted) -> Fault | None:
        """Let a quantity come from another location."""
        order, promise = admitted.order, admitted.promise
        parts = _parts(command, promise)
        quantity = _quantity(command, parts)
        served = batch.served(promise.content, promise.ordered_at)
        whole = unvalidated(request_of(order.key, promise.content, served, promise.ordered_at))
        request = only(whole, command.line, quantity, command.to_location)
        copy = replace(batch.book, positions=dict(batch.book.positions), usage=dict(batch.book.usage))
        release(copy, off(parts, quantity))
        asked = inquire(copy, request).lines
        if sum(part.quantity for part in asked[0].planned) < quantity:
            detail = f"{command.to_location} cannot give {quantity} of line {command.line}"
            return Fault("no_stock", detail, binding_constraints(asked))
        freed = take_off_parts(batch, parts, quantity)
        (decision,) = batch.workbook.decide(request).lines
        add_parts(batch, promise, [decision], served.tier)
        for key in freed:
            batch.free(key, "stock_freed")
        document = load(promise.document)
        line: Document = next(each for each in document["lines"] if each["line"] == command.line)
        show_parts(line, promise)
        line["outcome"] = line_outcome(line, line["outcome"])
        if line["outcome"] == "promised" or decision.why:
            line["why"] = [constraint(binding) for binding in decision.why]
        document["cost_minor"] = total_cost(document["lines"])
        applied(admitted, command)
        self._revise(batch, command, admitted, document, "promise_changed")
        return None

    def _give(
        self, batch: Batch, command: TransferPart, admitted: Admitted, to_order: tuple[OrderKey, str]
    ) -> Fault | None:
        """Hand a quantity over to another order."""
        promise = admitted.promise
        key, to_line = to_order
        recipient = batch.orders.get(key)
        receiver = None if recipient is None else recipient.promise
        if recipient is None or receiver is None or key == command.key:
            return Fault("other_order", "the receiving order is not known")
        if receiver.content.customer != promise.content.customer:
            return Fault("other_customer", "the receiving order is another customer's")
        parts = _parts(command, promise)
        quantity = _quantity(command, parts)
        why = Why("transferred", command.reason, command.origin)
        fault = hand_over(batch, parts, quantity, (recipient, to_line), why)
        if fault is not None:
            return fault
        released = ReleasedLine(command.line, quantity, command.from_location)
        document = load(promise.document)
        show_less(document, promise, released)
        document["cost_minor"] = total_cost(document["lines"])
        promise.state = next_state(admitted.state, end_of(promise, document)) or promise.state
        if promise.state != "held" and admitted.state == "held":
            plan_hold_end(batch, command.key, None)
        order_less(admitted.order, promise, [released])
        applied(admitted, command)
        self._revise(batch, command, admitted, document, "cancelled" if promise.state == "cancelled" else "amended")
        return None

    def _revise(self, batch: Batch, command: TransferPart, admitted: Admitted, document: Document, change: str) -> None:
        origin, reason = command.origin, command.reason
        revise(batch, admitted.order, document, cause="transferred", change=change, origin=origin, reason=reason)

    async def store(self, session: Session, batch: Batch) -> None:
        """The end of a hold is not awaited any more."""
        await store_due(session, batch)


def _parts(command: TransferPart, promise: PromiseCopy) -> list[Part]:
    """What the line holds and is not where it is wanted yet."""
    parts = parts_at(promise, command.line, command.from_location)
    return [part for part in parts if part.planned.key.location_id != command.to_location]


def _quantity(command: TransferPart, parts: Sequence[Part]) -> int:
    return sum(part.open for part in parts) if command.quantity is None else command.quantity


def _fault(batch: Batch, command: TransferPart, promise: PromiseCopy) -> Fault | None:
    if command.line in promise.pinned(batch.book.today):
        return Fault("pinned", f"line {command.line} is pinned by a planner")
    held = sum(part.open for part in _parts(command, promise))
    if not held or held < (command.quantity or 0):
        return Fault("not_held", f"line {command.line} holds {held} there")
    return None
