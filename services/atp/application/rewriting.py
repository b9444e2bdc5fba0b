"""Bringing a later decision into a promise that exists: its parts, what waits, and the lines of its document."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from services.atp.application.batch import Batch
from services.atp.application.content import Content, OrderKey
from services.atp.application.customers import Served
from services.atp.application.documents import Document, constraint, iso, load, served_as, show_choices, total_cost
from services.atp.application.giving_back import show_parts, stop_waiting
from services.atp.application.orders import Part, PromiseCopy
from services.atp.application.place_order import add_backorder, new_part, place_of, request_of
from services.atp.domain.amending import Held
from services.atp.domain.model import LineDecision, OpenBackorder, Planned, Request, RequestLine, Tier
from services.atp.domain.promising import inquire, wanted_arrival
from services.atp.domain.redecision import serve
from services.atp.domain.release import divide, release

NEW_LINE: Final[Document] = {
    "outcome": "backordered",
    "promised": 0,
    "backordered": 0,
    "shipped": 0,
    "schedule": [],
    "why": [],
}


def open_parts(promise: PromiseCopy) -> list[Part]:
    """The parts that hold something, by line and number."""
    return sorted((part for part in promise.parts if part.open), key=lambda part: (part.line, part.number))


def held_of(part: Part) -> Held:
    """A part's open quantity, with its share of postings and cost."""
    return Held(part.line, part.number, divide(part.live, part.shipped)[1])


def off(parts: Iterable[Part], quantity: int) -> list[Planned]:
    """What giving back a quantity of parts, in their order, would give back."""
    freed: list[Planned] = []
    for part in parts:
        taken, live = min(quantity, part.open), part.live
        if taken:
            freed.append(divide(live, live.quantity - taken)[1])
            quantity -= taken
    return freed


def unvalidated(request: Request) -> Request:
    """A request that is not validated again: it was when its order came, and is only a part of it."""
    return replace(request, tier=replace(request.tier, validation=None), blocks=())


def only(request: Request, line: str, quantity: int, location_id: str | None = None) -> Request:
    """One line of a request for exactly a quantity, from a location if one is named: moved, in any number of parts."""
    lines = tuple(
        replace(each, quantity=quantity, minimum_quantity=quantity) for each in request.lines if each.line == line
    )
    return replace(request, lines=lines, ship_complete=False, location_id=location_id, max_shipments=None)


def shipped_by_line(promise: PromiseCopy) -> dict[str, int]:
    """How much of each line has left."""
    shipped: dict[str, int] = {}
    for part in promise.parts:
        if part.shipped:
            shipped[part.line] = shipped.get(part.line, 0) + part.shipped
    return shipped


def request_for_rest(
    key: OrderKey, promise: PromiseCopy, content: Content, served: Served, gone: Mapping[str, int]
) -> Request:
    """The order with what it wants beyond `gone` by line; lines that want nothing more are left out."""
    whole = request_of(key, content, served, promise.ordered_at)
    lines = tuple(
        replace(
            line,
            quantity=line.quantity - gone.get(line.line, 0),
            minimum_quantity=0 if gone.get(line.line, 0) else line.minimum_quantity,
        )
        for line in whole.lines
        if line.quantity > gone.get(line.line, 0)
    )
    left = shipped_by_line(promise)
    staying = [part for part in promise.parts if part.shipped or gone.get(part.line, 0) > left.get(part.line, 0)]
    return beside(replace(whole, lines=lines), staying)


def beside(request: Request, parts: Iterable[Part]) -> Request:
    """The request of an order that has the shipments of these parts already, if it limits how many it has."""
    if request.max_shipments is None:
        return request
    planned = [part.planned for part in parts if part.open or part.shipped]
    shipments = dict.fromkeys((each.key.location_id, each.service, each.ship_day) for each in planned)
    return replace(request, shipments=tuple(sorted(shipments)))


def add_parts(batch: Batch, promise: PromiseCopy, decisions: Sequence[LineDecision], tier: Tier) -> None:
    """Add what the batch's last decision took to the promise, as parts of that decision."""
    promise.decision_id, promise.decision_index = batch.decision_id, batch.workbook.decisions - 1
    for decision in decisions:
        number = max((part.number for part in promise.parts if part.line == decision.line), default=0)
        for planned in decision.planned:
            number += 1
            promise.parts.append(new_part(batch, promise, (decision.line, number), planned, tier))


def let_wait(batch: Batch, promise: PromiseCopy, request: Request, rests: Mapping[str, int]) -> None:
    """Let exactly these rests of lines wait, at their places in the order of service."""
    stop_waiting(batch, promise, list(promise.backorders))
    for line in request.lines:
        if rests.get(line.line):
            add_backorder(batch, promise, request, line, rests[line.line])


def rewrite(
    batch: Batch, promise: PromiseCopy, request: Request, decisions: Mapping[str, LineDecision], served: Served
) -> Document:
    """The document for the whole order as it is wanted now (`request`, shipped quantities included).

    Parts and shipped quantities are the promise's; a line's open rest is what it wants beyond them, unless its decision
    says that it can never be served.
    """
    document = load(promise.document)
    before = {line["line"]: line for line in document["lines"]}
    shipped = shipped_by_line(promise)
    document["lines"] = lines = []
    for asked in request.lines:
        line = {**NEW_LINE, **before.get(asked.line, {}), **_asked(request, asked)}
        line["shipped"] = shipped.get(asked.line, 0)
        show_parts(line, promise)
        _show_decision(line, decisions.get(asked.line))
        lines.append(line)
    document["zone"], document["channel"] = request.zone, request.channel
    document.pop("pick_up_at", None)
    if request.pick_up_at is not None:
        document["pick_up_at"] = request.pick_up_at
    document["ship_complete"] = request.ship_complete
    document.pop("max_shipments", None)
    document.pop("budget_spent", None)
    if request.max_shipments is not None:
        document["max_shipments"] = request.max_shipments
    document["served_as"] = {**served_as(served), "tier_at_order": document["served_as"]["tier_at_order"]}
    document["decided_at"] = batch.now
    document["cost_minor"] = total_cost(document["lines"])
    return document


def _asked(request: Request, line: RequestLine) -> Document:
    return {
        "line": line.line,
        "sku": line.item_id,
        "quantity": line.quantity,
        "requested_arrival": iso(wanted_arrival(request, line)),
    }


def _show_decision(line: Document, decision: LineDecision | None) -> None:
    rest = line["quantity"] - line["promised"]
    if decision is None:
        line["backordered"] = min(line["backordered"], rest)
        line["outcome"] = line_outcome(line, line["outcome"])
        if not rest:
            line["why"] = []
            line.pop("alternatives", None)
        return
    line["backordered"] = decision.backordered
    line["why"] = [constraint(binding) for binding in decision.why]
    show_choices(line, decision)
    line["outcome"] = line_outcome(line, decision.outcome)


def why_rest(batch: Batch, key: OrderKey, promise: PromiseCopy, line: str, quantity: int) -> list[Document]:
    """What binds an open rest of a line now, if it were its turn; its positions must be loaded. Nothing is taken."""
    served = batch.served(promise.content, promise.ordered_at)
    whole = unvalidated(request_of(key, promise.content, served, promise.ordered_at))
    request = only(whole, line, quantity)
    rest = replace(request.lines[0], minimum_quantity=0)
    copy = replace(batch.book, positions=dict(batch.book.positions), usage=dict(batch.book.usage))
    place = place_of(batch, promise, whole, rest)
    opened = OpenBackorder(str(promise.promise_id), place, replace(request, lines=(rest,)), rest)
    return [constraint(binding) for _, decision in serve(copy, [opened]) for binding in decision.why]


def why_late(batch: Batch, promise: PromiseCopy, whole: Request, line: str) -> list[Document]:
    """What keeps a line from being in time that keeps what it has, as if it were decided anew. Nothing is taken."""
    held = [held_of(part).planned for part in open_parts(promise) if part.line == line]
    quantity = sum(each.quantity for each in held)
    if not quantity:
        return []
    request = only(unvalidated(whole), line, quantity)
    request = replace(request, lines=(replace(request.lines[0], minimum_quantity=0),))
    copy = replace(batch.book, positions=dict(batch.book.positions), usage=dict(batch.book.usage))
    release(copy, held)
    return [constraint(binding) for decision in inquire(copy, request).lines for binding in decision.why]


def line_outcome(line: Document, without: str) -> str:
    """What a line got, by what is promised of it; `without` if nothing is."""
    if not line["promised"]:
        return without
    if line["promised"] < line["quantity"]:
        return "partly_promised"
    late = any(part["arrival_date"] > line["requested_arrival"] for part in line["schedule"])
    return "promised_late" if late else "promised"
