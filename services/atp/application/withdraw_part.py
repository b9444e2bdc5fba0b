"""A planner releases quantity of a line by hand: it goes back to stock, and the line does not wait for it until a day.

Without that day the re-decision would give it right back. The order still wants it: from the day after on, the open
rest waits again at its place in the order of service. Not from pinned lines, and not from an order that ships complete.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from services.atp.application.batch import Batch, Handler, Needs
from services.atp.application.changing import Admitted, Fault
from services.atp.application.commands import Answered, Applied, Origin, Outcome, Remembered
from services.atp.application.content import OrderKey
from services.atp.application.documents import Document, constraint, load, total_cost
from services.atp.application.due import plan_due, store_due
from services.atp.application.giving_back import need_open_parts, show_parts, stop_waiting, take_off_parts
from services.atp.application.holds import need_to_wait, wait_for_rest
from services.atp.application.orders import OrderCopy, PromiseCopy
from services.atp.application.place_order import request_of
from services.atp.application.planner_actions import (
    OVERRIDES,
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
from services.atp.application.rewriting import let_wait, line_outcome
from services.atp.domain.model import Binding, Day


@dataclass(frozen=True, slots=True)
class WithdrawPart:
    """A quantity of a line (at a location, or wherever it arrives last) that goes back to stock."""

    key: OrderKey
    revision: int
    line: str
    quantity: int
    location_id: str | None
    planner: Planner
    origin: Origin
    remembered: Remembered | None = None
    lines: int = 1


@dataclass(frozen=True, slots=True)
class EndOverrides:
    """Something that a planner set on a promise is over."""

    key: OrderKey
    origin: Origin
    remembered: Remembered | None = None
    lines: int = 1


class Withdrawing(Handler[WithdrawPart]):
    """Decides `WithdrawPart`."""

    def needs(self, command: WithdrawPart, needs: Needs) -> None:
        """The identity with its promise."""
        needs.orders[command.key] = None

    def needs_of_orders(self, command: WithdrawPart, orders: Mapping[OrderKey, OrderCopy], needs: Needs) -> None:
        """The positions that it frees."""
        order = orders.get(command.key)
        if order is not None and order.promise is not None:
            need_open_parts(order.promise, needs)

    def decide(self, batch: Batch, command: WithdrawPart) -> Outcome:
        """See the module."""
        admitted = admit_plan(batch, command)
        if not isinstance(admitted, Admitted):
            return admitted
        order, promise = admitted.order, admitted.promise
        parts = parts_at(promise, command.line, command.location_id)
        fault = donor_fault(batch, promise, command.line, sum(part.open for part in parts), command.quantity)
        if fault is not None:
            return refuse_plan(admitted, fault)
        for key in take_off_parts(batch, parts, command.quantity):
            batch.free(key, "stock_freed")
        stop_waiting(batch, promise, [command.line])
        if command.planner.through is not None:
            overridden(batch, order, promise).withdrawn[command.line] = command.planner.through
        settle_overrides(batch, order, promise)
        document = load(promise.document)
        planner = command.planner
        shown = show_taken(document, promise, command.line, command.quantity)
        shown["why"] = [constraint(_because_withdrawn(shown["backordered"], planner.through))]
        details = {"line": command.line, "quantity": command.quantity, "location": command.location_id}
        note(batch, "withdraw", planner, promise, details)
        origin, reason = command.origin, planner.reason
        new = revise(batch, order, document, cause="withdrawn", change="promise_changed", origin=origin, reason=reason)
        return Answered(promise.promise_id, new, first=True)

    async def store(self, session: Session, batch: Batch) -> None:
        """The act, and when it ends."""
        await store_actions(session, batch)
        await store_due(session, batch)


class EndingOverrides(Handler[EndOverrides]):
    """Decides `EndOverrides`."""

    def needs(self, command: EndOverrides, needs: Needs) -> None:
        """The identity with its promise."""
        needs.orders[command.key] = None

    def needs_of_orders(self, command: EndOverrides, orders: Mapping[OrderKey, OrderCopy], needs: Needs) -> None:
        """Where the open rests can be served from."""
        order = orders.get(command.key)
        if order is not None:
            need_to_wait(order, needs)

    def decide(self, batch: Batch, command: EndOverrides) -> Outcome:
        """Open rests wait again, each at its place in the order of service."""
        order = batch.orders.get(command.key)
        promise = None if order is None else order.promise
        if order is None or promise is None or promise.overrides is None:
            plan_due(batch, OVERRIDES, tuple(command.key), None)
            return Applied("gone")
        overridden(batch, order, promise)
        settle_overrides(batch, order, promise)
        if promise.state in {"promised", "confirmed"}:
            _at_own_places(batch, order, promise)
            wait_for_rest(batch, order)
        return Applied("ended")

    async def store(self, session: Session, batch: Batch) -> None:
        """When the next of them ends."""
        await store_due(session, batch)


def end_overrides(key: tuple[str, ...], origin: Origin) -> EndOverrides:
    """The command for a due row."""
    return EndOverrides(OrderKey(*key), origin)


def donor_fault(batch: Batch, promise: PromiseCopy, line: str, held: int, quantity: int) -> Fault | None:
    """Why a planner may not take a quantity off a line."""
    if line in promise.pinned(batch.book.today):
        return Fault("pinned", f"line {line} is pinned")
    if promise.content.ship_complete:
        return Fault("ships_complete", "the order ships complete: it has all or nothing")
    if held < quantity:
        return Fault("not_held", f"line {line} holds {held}, less than {quantity}")
    return None


def show_taken(document: Document, promise: PromiseCopy, line: str, quantity: int) -> Document:
    """Let a line of the document show that a quantity was taken off it and is wanted still; the line."""
    shown: Document = next(each for each in document["lines"] if each["line"] == line)
    show_parts(shown, promise)
    shown["backordered"] += quantity
    shown["outcome"] = line_outcome(shown, "backordered")
    document["cost_minor"] = total_cost(document["lines"])
    return shown


def _because_withdrawn(rest: int, through: Day | None) -> Binding:
    help_ = "the end of what the planner set" if through is None else "an earlier end of what the planner set"
    return Binding("protection", "withdrawn", 0, through, would_help=help_, needed=rest)


def _at_own_places(batch: Batch, order: OrderCopy, promise: PromiseCopy) -> None:
    if not promise.backorders or promise.expedited(batch.book.today):
        return
    served = batch.served(promise.content, promise.ordered_at)
    request = request_of(order.key, promise.content, served, promise.ordered_at)
    let_wait(batch, promise, request, {line: each.quantity for line, each in promise.backorders.items()})
