"""Amend an order: its source wants something else now. See `services.atp.domain.amending` for what it keeps.

The amended order is given whole, as it was placed. Customer and channel do not change: that is another order. What has
shipped has shipped: a line cannot become less than that, nor another item. A hold that is amended with `hold_seconds`
lasts for so long from now on. A refused order that is amended is decided like a new one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from services.atp.application.batch import Batch, Handler, Needs
from services.atp.application.changing import Admitted, Fault, admit, applied, binding_constraints, refuse
from services.atp.application.commands import Answered, Origin, Outcome, Remembered
from services.atp.application.content import Content, OrderKey, encode
from services.atp.application.customers import Served
from services.atp.application.documents import Document
from services.atp.application.due import store_due
from services.atp.application.giving_back import need_open_parts, take_off
from services.atp.application.holds import plan_hold_end
from services.atp.application.orders import OrderCopy, PromiseCopy
from services.atp.application.place_order import request_of
from services.atp.application.ports import Session
from services.atp.application.resolving import find_zones, need_zone, resolved
from services.atp.application.revision import revise
from services.atp.application.rewriting import (
    add_parts,
    held_of,
    let_wait,
    open_parts,
    request_for_rest,
    rewrite,
    shipped_by_line,
    unvalidated,
    why_late,
)
from services.atp.application.standing_aside import stand_again, stand_aside
from services.atp.domain import amending
from services.atp.domain.amending import Held, amend
from services.atp.domain.model import LineDecision, PositionKey, Request
from services.atp.domain.promise_state import OPEN, Event, next_state
from services.atp.domain.promising import inquire
from services.atp.domain.release import release
from services.atp.domain.validation import HELD, needs_validation, verdict


@dataclass(frozen=True, slots=True)
class AmendOrder:
    """The order as it is wanted now. `replan`: decide it anew, whatever it has."""

    key: OrderKey
    version: int
    content: Content
    encoded: bytes
    content_fingerprint: bytes
    fingerprint: bytes
    origin: Origin
    remembered: Remembered | None = None
    replan: bool = False
    hold_seconds: int | None = None
    reason: str = ""

    @property
    def lines(self) -> int:
        """Its order lines."""
        return len(self.content.lines)


class Amending(Handler[AmendOrder]):
    """Decides `AmendOrder`."""

    def needs(self, command: AmendOrder, needs: Needs) -> None:
        """What placing the order would need."""
        needs.orders[command.key] = None
        needs.customers[command.content.customer] = None
        need_zone(command.content, needs)
        needs.substitutes = True
        for line in command.content.lines:
            needs.items[line.item_id] = None
            needs.freed_items[line.item_id] = None

    async def discover(self, session: Session, commands: Sequence[AmendOrder], needs: Needs) -> None:
        """The zones of orders that name a country."""
        await find_zones(session, (command.content for command in commands), needs)

    def needs_of_orders(self, command: AmendOrder, orders: Mapping[OrderKey, OrderCopy], needs: Needs) -> None:
        """The positions that it may free."""
        order = orders.get(command.key)
        if order is not None and order.promise is not None:
            need_open_parts(order.promise, needs)

    def decide(self, batch: Batch, command: AmendOrder) -> Outcome:
        """See the module."""
        order = batch.orders.get(command.key)
        if order is not None and order.promise is not None and not command.replan and command.hold_seconds is None:
            same = order.fingerprint == command.content_fingerprint and order.version <= command.version
            if same:
                order.version, order.changed = command.version, True
                batch.touched[order.key] = order
                return Answered(order.promise.promise_id, order.promise.document, first=False)
        content = resolved(batch, command.content)
        if content is not command.content:
            command = replace(command, content=content, encoded=encode(content))
        admitted = admit(batch, command, "amend", "amend")
        if not isinstance(admitted, Admitted):
            return admitted
        fault = _fault(command, admitted.promise)
        if fault is not None:
            return refuse(batch, command, admitted, "amend", fault)
        return self._amend(batch, command, admitted)

    def _amend(self, batch: Batch, command: AmendOrder, admitted: Admitted) -> Outcome:
        promise, content = admitted.promise, command.content
        served = batch.served(content, promise.ordered_at)
        wanted = request_for_rest(command.key, promise, content, served, shipped_by_line(promise))
        if admitted.state in OPEN:
            fault = _not_permitted(batch, request_of(command.key, content, served, promise.ordered_at))
            if fault is not None:
                return refuse(batch, command, admitted, "amend", fault)
            wanted = unvalidated(wanted)
        parts = open_parts(promise)
        held = [held_of(part) for part in parts]
        replan = command.replan or content.ways != promise.content.ways
        aside = stand_aside(batch, promise)
        change = amend(batch.book, wanted, held, replan=replan, pinned=promise.pinned(batch.book.today))
        if change is None:
            stand_again(batch, aside)
            fault = Fault("not_whole", "it ships complete and would not be whole", _lacking(batch, wanted, held))
            return refuse(batch, command, admitted, "amend", fault)
        decisions, freed = self._decided(batch, promise, served, change)
        stand_again(batch, aside)
        for key in freed:
            batch.free(key, "stock_freed")
        return self._apply(batch, command, admitted, served, decisions)

    @staticmethod
    def _decided(
        batch: Batch, promise: PromiseCopy, served: Served, change: amending.Change
    ) -> tuple[dict[str, LineDecision], list[PositionKey]]:
        """What is decided of what it lacks, by line, after the rest came back; and where something came back."""
        freed: dict[PositionKey, None] = {}
        for part, kept in zip(open_parts(promise), change.kept, strict=True):
            if kept < part.open:
                take_off(batch, part, part.open - kept, mark=False)
                freed[part.planned.key] = None
        if change.asked is None or not change.asked.lines:
            return {}, list(freed)
        decided = batch.workbook.decide(change.asked).lines
        add_parts(batch, promise, decided, served.tier)
        return {line.line: line for line in decided}, list(freed)

    def _apply(
        self,
        batch: Batch,
        command: AmendOrder,
        admitted: Admitted,
        served: Served,
        decisions: Mapping[str, LineDecision],
    ) -> Answered:
        order, promise = admitted.order, admitted.promise
        promise.content, promise.encoded = command.content, command.encoded
        order.fingerprint = command.content_fingerprint
        request = request_of(order.key, command.content, served, promise.ordered_at)
        document = rewrite(batch, promise, request, decisions, served)
        for line in document["lines"]:
            if line["outcome"] == "promised_late" and not line["why"]:
                line["why"] = why_late(batch, promise, request, line["line"])
        self._settle(batch, command, admitted, document)
        if promise.state != "held":
            let_wait(batch, promise, request, {line["line"]: line["backordered"] for line in document["lines"]})
        applied(admitted, command)
        origin, reason = command.origin, command.reason
        new = revise(batch, order, document, cause="amended", change="amended", origin=origin, reason=reason)
        return Answered(promise.promise_id, new, first=True)

    def _settle(self, batch: Batch, command: AmendOrder, admitted: Admitted, document: Document) -> None:
        """The state after it, and until when a hold lasts."""
        promise = admitted.promise
        event: Event = "refuse"
        if any(line["outcome"] == HELD for line in document["lines"]):
            event = "hold_back"
        elif any(line["promised"] or line["backordered"] for line in document["lines"]):
            event = "amend"
        promise.state = next_state(admitted.state, event) or promise.state
        if promise.state == "held" and command.hold_seconds is not None:
            promise.held_until = document["held_until"] = batch.now + timedelta(seconds=command.hold_seconds)
            plan_hold_end(batch, command.key, promise.held_until)
        elif promise.state == "refused" and admitted.state == "held":
            plan_hold_end(batch, command.key, None)

    async def store(self, session: Session, batch: Batch) -> None:
        """When holds end."""
        await store_due(session, batch)


def _lacking(batch: Batch, wanted: Request, held: Sequence[Held]) -> tuple[Document, ...]:
    """What binds an order that would not be whole, if it gave back what it has and were decided anew."""
    copy = replace(batch.book, positions=dict(batch.book.positions), usage=dict(batch.book.usage))
    release(copy, [each.planned for each in held])
    return binding_constraints(inquire(copy, wanted).lines)


def _not_permitted(batch: Batch, request: Request) -> Fault | None:
    """Why an order that has a promise may not become this one, by the rules of its tier."""
    stopped = verdict(batch.book, request).stopped if needs_validation(request) else {}
    for line, (outcome, why) in sorted(stopped.items()):
        return Fault(outcome, f"line {line}: {'; '.join(each.would_help for each in why)}")
    return None


def _fault(command: AmendOrder, promise: PromiseCopy) -> Fault | None:
    """What an amendment may not do."""
    if (command.content.customer, command.content.channel) != (promise.content.customer, promise.content.channel):
        return Fault("other_order", "customer and channel of an order do not change")
    asked = {(line.line, line.item_id): line.quantity for line in command.content.lines}
    for part in promise.parts:
        shipped = sum(each.shipped for each in promise.parts if each.line == part.line)
        if part.shipped and asked.get((part.line, part.planned.key.item_id), 0) < shipped:
            return Fault("shipped", f"line {part.line}: {shipped} shipped already")
    return None
