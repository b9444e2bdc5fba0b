"""Bringing what a run of the re-decision decided into promises: their parts, what waits, their documents and events.

The book has changed already when this begins. All of a run is in one transaction: what one loses another has.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import orjson

from services.atp.application.batch import Batch
from services.atp.application.commands import Origin
from services.atp.application.content import OrderKey
from services.atp.application.documents import (
    Document,
    constraint,
    load,
    order_reference,
    served_as,
    show_choices,
    total_cost,
)
from services.atp.application.giving_back import lessen, show_parts, stop_waiting
from services.atp.application.orders import OrderCopy, PromiseCopy
from services.atp.application.place_order import add_backorder, new_part, request_of
from services.atp.application.revision import revise
from services.atp.application.rewriting import line_outcome
from services.atp.domain.contending import Move, Taker
from services.atp.domain.model import Binding, PositionKey
from services.contracts import catalogue

PREEMPTED = "preempted"


@dataclass(frozen=True, slots=True)
class BroughtIn:
    """Lines that have more, or have it earlier; lines that lost something; and where something was given back."""

    improved: int
    worsened: int
    freed: tuple[PositionKey, ...]


def bring_in(
    batch: Batch,
    moves: Sequence[tuple[OrderCopy, Move]],
    cause: Mapping[str, str],
    origin: Origin,
    *,
    reason: str = "",
) -> BroughtIn:
    """Change the promises of the moves. `cause` is why, by item, where a promise did not lose something."""
    by_order: dict[OrderKey, list[Move]] = {}
    orders = {order.key: order for order, _ in moves}
    for order, move in moves:
        if move.moved:
            by_order.setdefault(order.key, []).append(move)
    freed: dict[PositionKey, None] = {}
    worsened = improved = 0
    for key in sorted(by_order):
        mine = by_order[key]
        lost = [move for move in mine if is_worse(move)]
        worsened, improved = worsened + len(lost), improved + len(mine) - len(lost)
        items = [line.item_id for move in mine for line in move.contender.request.lines]
        why = PREEMPTED if lost else next((cause[item] for item in items if item in cause), "stock_freed")
        freed |= dict.fromkeys(_change(batch, orders[key], mine, (why, reason, origin)))
    batch.contending.clear()  # whoever lost is asked in its turn
    return BroughtIn(improved, worsened, tuple(sorted(freed)))


def _change(batch: Batch, order: OrderCopy, moves: Sequence[Move], why: tuple[str, str, Origin]) -> list[PositionKey]:
    cause, reason, origin = why
    promise = order.promise
    assert promise is not None  # noqa: S101 - only an answered order contends
    old, document = promise.document, load(promise.document)
    served = batch.served(promise.content, promise.ordered_at)
    promise.decision_id, promise.decision_index = batch.decision_id, batch.workbook.decisions - 1
    freed: list[PositionKey] = []
    for move in moves:
        freed += _give_up(batch, promise, move)
        number = {line: _last_number(promise, line) for line, _ in move.taken}
        for line, planned in move.taken:
            number[line] += 1
            promise.parts.append(new_part(batch, promise, (line, number[line]), planned, served.tier))
        _let_wait(batch, order, promise, move)
        _show(document, promise, move)
    former = document["served_as"]
    if not reason and former["tier"] != served.tier.tier:
        reason = f"tier {former['tier']} before, {served.tier.tier} now"
    document["served_as"] = {**served_as(served), "tier_at_order": former["tier_at_order"]}
    document["decided_at"] = batch.now
    document["cost_minor"] = total_cost(document["lines"])
    new = revise(batch, order, document, cause=cause, change="promise_changed", origin=origin, reason=reason)
    if cause == PREEMPTED:
        batch.count("promise_preempted")
        takers = [taker for move in moves for taker in move.lost_to]
        data = _preempted(order, promise, old, new, takers)
        batch.emit(catalogue.PROMISE_PREEMPTED, order.key.order_id, promise.revision, data, origin)
    return freed


def _give_up(batch: Batch, promise: PromiseCopy, move: Move) -> list[PositionKey]:
    parts = {(part.line, part.number): part for part in promise.parts}
    freed: list[PositionKey] = []
    for held, kept in zip(move.contender.held, move.kept, strict=True):
        quantity = held.planned.quantity - kept.quantity
        if quantity:
            lessen(batch, parts[held.line, held.number], quantity)
            freed.append(held.planned.key)
    return freed


def _last_number(promise: PromiseCopy, line: str) -> int:
    return max((part.number for part in promise.parts if part.line == line), default=0)


def _let_wait(batch: Batch, order: OrderCopy, promise: PromiseCopy, move: Move) -> None:
    served = batch.served(promise.content, promise.ordered_at)
    whole = request_of(order.key, promise.content, served, promise.ordered_at)
    for line in whole.lines:
        asked = next((each for each in move.contender.request.lines if each.line == line.line), None)
        rest = 0 if asked is None else _rest(move, line.line, asked.quantity)
        known = promise.backorders.get(line.line)
        if asked is None or rest == (0 if known is None else known.quantity):
            continue
        stop_waiting(batch, promise, [line.line])
        if rest:
            add_backorder(batch, promise, whole, line, rest)


def _rest(move: Move, line: str, open_before: int) -> int:
    """What of a line is open after the run."""
    rest = open_before - sum(part.quantity for name, part in move.taken if name == line)
    for held, kept in zip(move.contender.held, move.kept, strict=True):
        if held.line == line:
            rest += held.planned.quantity - kept.quantity
    return rest


def _show(document: Document, promise: PromiseCopy, move: Move) -> None:
    """Let the lines of a move show what they have now, and why not more."""
    decided = {line.line: line for line in move.decisions}
    asked = {line.line: line.quantity for line in move.contender.request.lines}
    for line in document["lines"]:
        if line["line"] not in asked:
            continue
        before = line["promised"]
        show_parts(line, promise)
        line["backordered"] = _rest(move, line["line"], asked[line["line"]])
        line["outcome"] = line_outcome(line, "ship_complete_unmet" if document["ship_complete"] else "backordered")
        decision = decided.get(line["line"])
        if decision is None:
            line.pop("alternatives", None)  # of a former moment
        else:
            show_choices(line, decision)
        if line["outcome"] == "promised":
            line["why"] = []
        elif decision is not None:
            line["why"] = [constraint(each) for each in decision.why]
        if move.lost_to and line["promised"] < before:
            line["why"] = [_because_preempted(move.lost_to, line["promised"]), *line["why"]]


def _because_preempted(takers: Sequence[Taker], left: int) -> Document:
    """Why a line has less: who was served before it took it."""
    units = sum(taker.quantity for taker in takers)
    tiers = ", ".join(dict.fromkeys(taker.tier for taker in takers))
    help_ = f"{units} unit{'' if units == 1 else 's'} more, or a strategy that does not let it fall"
    return constraint(Binding("preemption", tiers, left, would_help=help_, needed=units))


def is_worse(move: Move) -> bool:
    """Whether a contender has less than before by some day."""
    before = [(held.line, held.planned) for held in move.contender.held]
    kept = [(held.line, part) for held, part in zip(move.contender.held, move.kept, strict=True)]
    after = [*kept, *move.taken]
    return any(
        sum(each.quantity for name, each in after if name == line and each.arrival_day <= part.arrival_day)
        < sum(each.quantity for name, each in before if name == line and each.arrival_day <= part.arrival_day)
        for line, part in before
    )


def _preempted(order: OrderCopy, promise: PromiseCopy, old: bytes, new: bytes, takers: Sequence[Taker]) -> bytes:
    """The payload of `promise.preempted.v1`."""
    by: dict[tuple[str, str], int] = {}
    for taker in takers:
        name = (taker.promise_id.partition("/")[0], taker.tier)
        by[name] = by.get(name, 0) + taker.quantity
    return orjson.dumps(
        {
            "order": order_reference(order.key, order.version),
            "promise_id": str(promise.promise_id),
            "customer_id": promise.customer_id,
            "old": orjson.Fragment(old),
            "new": orjson.Fragment(new),
            "by": [
                {"promise_id": name, "tier": tier, "quantity": quantity}
                for (name, tier), quantity in sorted(by.items())
            ],
        }
    )
