"""Handing a promised quantity over from one order to another that waits for the same item.

What the giver lets go is given back, and the receiver's line is decided for exactly that quantity, in its turn: whole
or not at all. It may be served from another place than the giver was, if that is better for it; it is never given more
than there is, than protections leave, or than quotas allow.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from services.atp.application.batch import Batch, Needs
from services.atp.application.changing import Fault, binding_constraints
from services.atp.application.commands import Origin
from services.atp.application.content import OrderKey
from services.atp.application.documents import Act, Document, load, total_cost
from services.atp.application.giving_back import show_parts, take_off_parts, wait_less
from services.atp.application.orders import OrderCopy, Part, PromiseCopy
from services.atp.application.place_order import request_of
from services.atp.application.revision import revise
from services.atp.application.rewriting import add_parts, line_outcome, off, only, unvalidated, why_rest
from services.atp.domain.model import LineDecision, OpenBackorder
from services.atp.domain.promise_state import next_state
from services.atp.domain.redecision import serve
from services.atp.domain.release import release


class Why(NamedTuple):
    """The cause of a change (`PromiseChanged.cause`), the reason that somebody gave, where it came from.

    `act`: who of us did it for the receiver, if it was one of us.
    """

    cause: str
    reason: str
    origin: Origin
    act: Act | None = None


def need_recipient(orders: Mapping[OrderKey, OrderCopy], key: OrderKey, needs: Needs) -> None:
    """Need where the open rests of an order can be served from."""
    order = orders.get(key)
    if order is None or order.promise is None:
        return
    promise = order.promise
    needs.customers[promise.content.customer] = None
    needs.zones.update(dict.fromkeys(promise.content.ways))
    for backorder in promise.backorders.values():
        needs.items[backorder.item_id] = None
        needs.freed_items[backorder.item_id] = None


def hand_over(batch: Batch, parts: Sequence[Part], quantity: int, to: tuple[OrderCopy, str], why: Why) -> Fault | None:
    """Move a quantity from parts (in their order) to a line of another order; nothing is done if that cannot be.

    The giver's document is left to the caller.
    """
    recipient, line = to
    promise = recipient.promise
    assert promise is not None  # noqa: S101 - the callers looked
    fault = _fault(promise, parts, quantity, line)
    if fault is not None:
        return fault
    backorder = promise.backorders[line]
    served = batch.served(promise.content, promise.ordered_at)
    whole = unvalidated(request_of(recipient.key, promise.content, served, promise.ordered_at))
    request = only(whole, line, quantity)
    opened = OpenBackorder(str(promise.promise_id), backorder.key, request, request.lines[0])
    copy = replace(batch.book, positions=dict(batch.book.positions), usage=dict(batch.book.usage))
    release(copy, off(parts, quantity))
    tried = serve(copy, [opened])
    if _got(tried) < quantity:
        detail = f"line {line} of the receiving order cannot have {quantity}"
        return Fault("no_stock", detail, binding_constraints(decision for _, decision in tried))
    freed = take_off_parts(batch, parts, quantity)
    decisions = [decision for _, decision in batch.workbook.serve([opened])]
    add_parts(batch, promise, decisions, served.tier)
    wait_less(batch, promise, line, quantity)
    for key in freed:
        batch.free(key, "stock_freed")
    document = load(promise.document)
    shown: Document = next(each for each in document["lines"] if each["line"] == line)
    show_parts(shown, promise)
    shown["backordered"] -= quantity
    shown["outcome"], rest = line_outcome(shown, "backordered"), shown["backordered"]
    shown["why"] = why_rest(batch, recipient.key, promise, line, rest) if rest else []
    document["cost_minor"] = total_cost(document["lines"])
    cause, reason, origin, act = why
    revise(batch, recipient, document, cause=cause, change="promise_changed", origin=origin, reason=reason, act=act)
    return None


def _fault(promise: PromiseCopy, parts: Sequence[Part], quantity: int, line: str) -> Fault | None:
    backorder = promise.backorders.get(line)
    held = sum(part.open for part in parts)
    if next_state(promise.state, "transfer") is None or backorder is None or backorder.quantity < quantity:
        return Fault("not_wanted", f"line {line} of the receiving order does not wait for {quantity}")
    if any(part.planned.key.item_id != backorder.item_id for part in parts):
        return Fault("other_item", f"line {line} of the receiving order is of another item")
    if promise.content.ship_complete and (len(promise.content.lines) > 1 or quantity < backorder.quantity):
        return Fault("ships_complete", "the receiving order ships complete")
    if not quantity or held < quantity:
        return Fault("not_held", f"the line holds {held}, less than {quantity}")
    return None


def _got(answers: Sequence[tuple[OpenBackorder, LineDecision]]) -> int:
    return sum(part.quantity for _, decision in answers for part in decision.planned)
