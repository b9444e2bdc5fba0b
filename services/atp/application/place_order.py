"""Promise an order, once: the first command with an identity decides, every later one gets what was decided.

    identity known? ── no ─▶ decide, store, answer                                  (first answer)
        │ yes
        ├─ cancelled before it came ─▶ answer `cancelled`                           (first answer)
        ├─ older version            ─▶ recorded, not applied
        ├─ equal content            ─▶ the stored promise; a higher version is noted
        └─ other content            ─▶ recorded, not applied

A refusal is an answer like any other: it is stored, and sent again it stays a refusal.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from services.atp.application.batch import Batch, Handler, Needs
from services.atp.application.commands import Answered, OlderVersion, OtherContent, Outcome, PlaceOrder
from services.atp.application.content import Content, OrderKey, encode, micro_of
from services.atp.application.customers import Served
from services.atp.application.departures import routing_of
from services.atp.application.documents import Document, answer_body, answered_event, dump, promised_line
from services.atp.application.due import plan_due, store_due
from services.atp.application.orders import Backorder, OrderCopy, Part, PromiseCopy, Unapplied
from services.atp.application.ports import Session
from services.atp.application.resolving import find_zones, need_zone, resolved
from services.atp.application.revision import decision_reference, record
from services.atp.application.settling_set_aside import plan_set_aside
from services.atp.domain.leads import EXPEDITED, add_waiting
from services.atp.domain.model import LineDecision, OrderDecision, Planned, Request, RequestLine, Tier
from services.atp.domain.order_of_service import ServiceKey, service_key
from services.atp.domain.promise_state import State, first_state
from services.atp.domain.promising import inquire as decide_without_taking
from services.atp.domain.promising import wanted_arrival
from services.atp.domain.setting_aside import is_whole_or_nothing
from services.atp.domain.validation import needs_validation
from services.atp.domain.validation_rules import MICRO
from services.chassis.ids import new_id
from services.contracts import catalogue
from services.contracts.catalogue import EventType

HOLD: Final = "hold"  # the kind of the due row at which a hold ends; the key is the order's


class Placing(Handler[PlaceOrder]):
    """Decides `PlaceOrder`."""

    def needs(self, command: PlaceOrder, needs: Needs) -> None:
        """The identity, the customer, and every position that could serve a line."""
        content = command.content
        needs.orders[command.key] = None
        needs.customers[content.customer] = None
        need_zone(content, needs)
        needs.substitutes = True
        for line in content.lines:
            needs.items[line.item_id] = None

    async def discover(self, session: Session, commands: Sequence[PlaceOrder], needs: Needs) -> None:
        """The zones of orders that name a country."""
        await find_zones(session, (command.content for command in commands), needs)

    def decide(self, batch: Batch, command: PlaceOrder) -> Outcome:
        """See the module."""
        command = looked_up(batch, command)
        known = batch.orders.get(command.key)
        if known is None:
            return self._first(batch, command)
        if known.promise is None:
            return self._cancelled_before(batch, command, known)
        if known.fingerprint == command.fingerprint:
            if command.version > known.version:
                known.version, known.changed = command.version, True
                batch.touched[known.key] = known
            return Answered(known.promise.promise_id, known.promise.document, first=False)
        older = command.version < known.version
        reason = "older_version" if older else "other_content"
        batch.unapplied.append(Unapplied(command.key, command.version, "place", reason, known.version))
        return OlderVersion(known.version) if older else OtherContent(known.promise.promise_id, known.version)

    def _first(self, batch: Batch, command: PlaceOrder) -> Answered:
        content = command.content
        ordered_at = content.ordered_at or batch.now
        served = batch.served(content, ordered_at)
        request = request_of(command.key, content, served, ordered_at)
        decision = batch.workbook.decide(request)
        lines = promised_lines(batch, decision, served.tier)
        state = first_state(decision, held=command.hold_seconds is not None)
        order = new_order(batch, command, served, state)
        promise = order.promise
        assert promise is not None  # noqa: S101 - made with one
        if command.hold_seconds is not None:
            _hold(batch, order, promise, command.hold_seconds)
        take_decision(batch, promise, request, decision)
        spent, cost = decision.budget_spent, decision.cost_minor
        return answer_first(batch, command, order, served=served, lines=lines, cost_minor=cost, budget_spent=spent)

    def _cancelled_before(self, batch: Batch, command: PlaceOrder, known: OrderCopy) -> Answered:
        content = command.content
        served = batch.served(content, content.ordered_at or batch.now)
        request = request_of(command.key, content, served, content.ordered_at or batch.now)
        lines = [promised_line(_cancelled(request, line), ()) for line in request.lines]
        order = new_order(batch, command, served, "cancelled")
        order.version, order.new = max(command.version, known.version), False
        order.changed = True
        return answer_first(batch, command, order, served=served, lines=lines, cost_minor=0)

    async def store(self, session: Session, batch: Batch) -> None:
        """When holds end."""
        await store_due(session, batch)


def answer_first(
    batch: Batch,
    command: PlaceOrder,
    order: OrderCopy,
    *,
    served: Served,
    lines: list[Document],
    cost_minor: int,
    event: EventType = catalogue.PROMISE_ANSWERED,
    budget_spent: bool = False,
) -> Answered:
    """Store and publish the first answer of an order, with which its promise begins."""
    promise = order.promise
    assert promise is not None  # noqa: S101 - the callers made one
    head: Document = {
        "promise_id": str(promise.promise_id),
        "revision": 1,
        "state": promise.state,
        "decision_id": decision_reference(promise),
    }
    body = answer_body(
        order.key,
        order.version,
        command.content,
        served,
        lines,
        now=batch.now,
        ordered_at=promise.ordered_at,
        cost_minor=cost_minor,
        currency=batch.currency,
    )
    document = head | body | ({"budget_spent": True} if budget_spent else {})
    if promise.held_until is not None:
        document["held_until"] = promise.held_until
    promise.document = dump(document)
    batch.orders[order.key] = batch.touched[order.key] = order
    data = answered_event(promise.document)
    batch.emit(event, order.key.order_id, 1, data, command.origin)
    if promise.state not in {"refused", "held", "awaiting_release"}:
        change = "cancelled" if promise.state == "cancelled" else "accepted"
        record(batch, promise, document, change=change, origin=command.origin)
    return Answered(promise.promise_id, promise.document, first=True)


def inquiry(batch: Batch, command: PlaceOrder) -> bytes:
    """What the order would be promised now; nothing is taken."""
    command = looked_up(batch, command)
    content = command.content
    ordered_at = content.ordered_at or batch.now
    served = batch.served(content, ordered_at)
    decision = decide_without_taking(batch.book, request_of(command.key, content, served, ordered_at))
    body = answer_body(
        command.key,
        command.version,
        content,
        served,
        promised_lines(batch, decision, served.tier),
        now=batch.now,
        ordered_at=ordered_at,
        cost_minor=decision.cost_minor,
        currency=batch.currency,
    )
    return dump(body | ({"budget_spent": True} if decision.budget_spent else {}))


def looked_up(batch: Batch, command: PlaceOrder) -> PlaceOrder:
    """The order with its zone and in base units."""
    content = resolved(batch, command.content)
    return command if content is command.content else replace(command, content=content, encoded=encode(content))


def request_of(
    key: OrderKey, content: Content, served: Served, ordered_at: datetime, *, released: bool = False
) -> Request:
    """The order as the domain decides it; prices only where the tier limits values."""
    priced = served.tier.validation is not None and served.tier.validation.limits_value
    return Request(
        key.source,
        key.order_id,
        served.tier,
        content.zone,
        content.channel,
        ordered_at.toordinal(),
        content.ship_complete,
        tuple(
            [
                RequestLine(
                    line.line,
                    line.item_id,
                    line.quantity,
                    line.requested_arrival,
                    line.latest_acceptable_arrival,
                    line.minimum_quantity,
                    micro_of(line.unit_price) if priced else None,
                    line.unit,
                )
                for line in content.lines
            ]
        ),
        served.blocks,
        released,
        customer_id=served.customer_id,
        value=_value(content) if served.by_value else None,
        attributes=content.attributes,
        pick_up_at=content.pick_up_at,
        max_shipments=content.max_shipments,
    )


def _value(content: Content) -> int:
    """What an order is worth, in whole units of the currency; lines without a price count as nothing."""
    return sum(line.quantity * (micro_of(line.unit_price) or 0) for line in content.lines) // MICRO


def promised_lines(batch: Batch, decision: OrderDecision, tier: Tier) -> list[Document]:
    """The lines of an answer, with what warehouse and carrier are told of each part."""
    clocks = batch.configuration.clocks
    return [promised_line(line, [routing_of(clocks, part, tier) for part in line.planned]) for line in decision.lines]


def new_part(batch: Batch, promise: PromiseCopy, name: tuple[str, int], planned: Planned, tier: Tier) -> Part:
    """A part (line, number) of a promise that its last decision has just taken, by a tier."""
    return Part(
        *name,
        planned,
        tier.tier,
        promise.decision_id,
        promise.decision_index,
        planned.quantity,
        changed=True,
        routing=routing_of(batch.configuration.clocks, planned, tier),
    )


def take_decision(batch: Batch, promise: PromiseCopy, request: Request, decision: OrderDecision) -> None:
    """Give a promise that has nothing yet what its order was decided to get, and count it."""
    promise.on_time = all(line.outcome == "promised" or not line.planned for line in decision.lines)
    for asked, line in zip(request.lines, decision.lines, strict=True):
        _take_line(batch, promise, request, asked, line)
        if line.outcome == "promised_late" and batch.configuration.lets_fall:
            batch.contending[request.tier.strategy, line.item_id] = None
        batch.promised.append((request.tier.tier, line.outcome))
    if needs_validation(request):
        failed = (why.reference for line in decision.lines for why in line.why if why.kind == "validation")
        for check in dict.fromkeys(failed):
            batch.count(check)


def add_backorder(batch: Batch, promise: PromiseCopy, request: Request, line: RequestLine, quantity: int) -> None:
    """Let the open rest of a line wait at its place in the order of service, unless a planner overrides that."""
    if line.line in promise.withdrawn(batch.book.today):
        return
    rule, wanted = batch.book.service, wanted_arrival(request, line)
    key = place_of(batch, promise, request, line)
    if batch.configuration.lets_fall:
        batch.contending[request.tier.strategy, line.item_id] = None
    promise.backorders[line.line] = Backorder(key, line.item_id, quantity, wanted, rule.basis)
    waiting = batch.waiting.get(line.item_id)
    if waiting is not None:
        add_waiting(waiting, key.lead, quantity)
    if rule.set_aside is not None and is_whole_or_nothing(request, line):
        plan_set_aside(batch, request, [line.item_id], came=True)


def place_of(batch: Batch, promise: PromiseCopy, request: Request, line: RequestLine) -> ServiceKey:
    """Where a line stands in the order of service now."""
    item = batch.book.items.get(line.item_id)
    criticality = None if item is None else item.criticality
    key = service_key(request, line, promise.ordered_at, batch.book.service, criticality)
    return key._replace(lead=EXPEDITED) if promise.expedited(batch.book.today) else key


def new_order(batch: Batch, command: PlaceOrder, served: Served, state: State) -> OrderCopy:
    """An order that is known from now on, with a promise of nothing yet."""
    content = command.content
    promise = PromiseCopy(
        promise_id=new_id(),
        revision=1,
        record_sequence=0,
        state=state,
        customer_id=served.customer_id,
        ordered_at=content.ordered_at or batch.now,
        decision_id=batch.decision_id,
        decision_index=max(0, batch.workbook.decisions - 1),
        content=content,
        encoded=command.encoded,
        document=b"",
        new=True,
    )
    return OrderCopy(command.key, command.version, command.fingerprint, promise, new=True)


def _hold(batch: Batch, order: OrderCopy, promise: PromiseCopy, seconds: int) -> None:
    """Make a new promise a hold. Its open rest does not wait; if it got nothing, it is refused and nothing will.

    One that awaits its release keeps how long it is to last, and lasts so long from its release on.
    """
    if promise.state in {"held", "awaiting_release"}:
        promise.held_until = batch.now + timedelta(seconds=seconds)
    if promise.state == "held":
        plan_due(batch, HOLD, tuple(order.key), promise.held_until)


def _take_line(
    batch: Batch, promise: PromiseCopy, request: Request, asked: RequestLine, decision: LineDecision
) -> None:
    for number, planned in enumerate(decision.planned, start=1):
        promise.parts.append(new_part(batch, promise, (decision.line, number), planned, request.tier))
    if decision.backordered and promise.state == "promised":
        add_backorder(batch, promise, request, asked, decision.backordered)


def _cancelled(request: Request, line: RequestLine) -> LineDecision:
    return LineDecision(line.line, line.item_id, line.quantity, "cancelled", wanted_arrival(request, line))
