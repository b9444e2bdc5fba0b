"""A new revision of a promise: the former document goes to the history, both to `promises.v1`, totals to the record."""

from collections.abc import Mapping

from services.atp.application.batch import Batch
from services.atp.application.commands import Origin
from services.atp.application.documents import (
    Act,
    Document,
    changed_event,
    dump,
    order_reference,
    recorded_event,
)
from services.atp.application.orders import OrderCopy, PromiseCopy, Replaced
from services.contracts import catalogue


def revise(
    batch: Batch,
    order: OrderCopy,
    document: Document,
    *,
    cause: str,
    change: str,
    origin: Origin,
    reason: str = "",
    act: Act | None = None,
) -> bytes:
    """Store `document` as the order's next revision and publish it; returns its bytes.

    `cause` is one of `PromiseChanged.cause`, `change` one of `OrderRecorded.change`, `reason` what somebody gave as his
    reason, `act` what a planner did for it before its turn. State, decision and version are taken from the working
    copy.
    """
    promise = order.promise
    assert promise is not None  # noqa: S101 - only an answered order has a document to revise
    old = promise.document
    promise.replaced.append(Replaced(promise.revision, cause, old))
    promise.revision += 1
    document["revision"] = promise.revision
    document["state"] = promise.state
    document["order"] = order_reference(order.key, order.version)
    document["decision_id"] = decision_reference(promise)
    promise.document = new = dump(document)
    promise.changed = order.changed = True
    batch.touched[order.key] = order
    data = changed_event(old, new, cause, reason)
    batch.emit(catalogue.PROMISE_CHANGED, order.key.order_id, promise.revision, data, origin)
    if is_recorded(promise):
        record(batch, promise, document, change=change, origin=origin, act=act)
    return new


def is_recorded(promise: PromiseCopy) -> bool:
    """Whether what happens to a promise goes to `orders.recorded.v1`.

    A hold is no order until it is confirmed; what was never accepted and is not now either is none.
    """
    if promise.record_sequence == 0 and promise.state in {"refused", "awaiting_release"}:
        return False
    if promise.held_until is None or promise.record_sequence > 0:
        return True
    return promise.state in {"promised", "confirmed", "closed"} or any(part.shipped for part in promise.parts)


def record(
    batch: Batch,
    promise: PromiseCopy,
    document: Document,
    *,
    change: str,
    origin: Origin,
    on_time: bool | None = None,
    act: Act | None = None,
) -> None:
    """Publish the order's totals on `orders.recorded.v1`."""
    promise.record_sequence += 1
    data = recorded_event(
        document,
        {line.line: line.unit_price for line in promise.content.lines},
        change=change,
        sequence=promise.record_sequence,
        now=batch.now,
        delivered=_delivered(promise),
        on_time=on_time,
        entered_by=promise.content.entered_by,
        act=act,
    )
    batch.emit(catalogue.ORDER_RECORDED, record_key(promise), promise.record_sequence, data, origin)


def record_key(promise: PromiseCopy) -> str:
    """The key of the order's records: the registry's customer, or the customer as its source knows it."""
    customer = promise.content.customer
    return promise.customer_id or f"{customer.system}/{customer.id}"


def decision_reference(promise: PromiseCopy) -> str:
    """The id of the decision that made this answer: the record of its batch, and its place there."""
    return f"{promise.decision_id}.{promise.decision_index}"


def _delivered(promise: PromiseCopy) -> Mapping[str, int]:
    delivered: dict[str, int] = {}
    for part in promise.parts:
        if part.delivered:
            delivered[part.line] = delivered.get(part.line, 0) + part.delivered
    return delivered
