"""Lines that must win and did not: published, shown among the exceptions, and told again when they are whole at last.

A line of a tier whose strategy is `win` must end fully confirmed on its date. One that does not after a run asked it is
an exception until it does, or is not wanted any more. Its open rest and what is late of it carry the mark.
"""

from collections.abc import Iterable
from dataclasses import replace
from datetime import date

import orjson

from services.atp.application.batch import Batch
from services.atp.application.commands import Origin
from services.atp.application.documents import OPTIONS, Document, load, order_reference
from services.atp.application.late_lines import settle_late
from services.atp.application.orders import Backorder, OrderCopy, PromiseCopy
from services.atp.domain.contending import Contender, Place
from services.atp.domain.model import RequestLine
from services.atp.domain.promising import wanted_arrival
from services.contracts import catalogue


def tell_unmet(
    batch: Batch, asked: Iterable[tuple[OrderCopy, Contender]], through: Place | None, origin: Origin
) -> None:
    """Publish what changed of the lines that must win, after a run that asked those up to a place."""
    for order, contender in asked:
        promise = order.promise
        if promise is None or contender.strategy != "win" or (through is not None and contender.place > through):
            continue
        settle_late(batch, order)
        for line in contender.request.lines:
            if payload := _told(batch, order, promise, contender, line):
                data = orjson.dumps(payload, option=OPTIONS)
                batch.emit(catalogue.PROMISE_UNMET, order.key.order_id, promise.revision, data, origin)


def _told(
    batch: Batch, order: OrderCopy, promise: PromiseCopy, contender: Contender, line: RequestLine
) -> Document | None:
    """The payload of `promise.unmet.v1`, if there is something new to tell of a line."""
    name = line.line
    wanted = wanted_arrival(contender.request, line)
    late_before = sum(
        each.planned.quantity for each in contender.held if each.line == name and each.planned.arrival_day > wanted
    )
    entries = [kept[name] for kept in (promise.backorders, promise.late) if name in kept]
    was_told = any(each.unmet for each in (*_stored(promise, name), *entries))
    missing = promise.backorders[name].quantity if name in promise.backorders else 0
    late = promise.late[name].quantity if name in promise.late else 0
    if not (missing or late or was_told):
        return None
    for kept in (promise.backorders, promise.late):
        if name in kept and not kept[name].unmet:
            kept[name] = replace(kept[name], unmet=True)
            batch.touched[order.key] = order
    if was_told and (missing, late) == (line.quantity, late_before):
        return None
    batch.count("promise_unmet" if missing or late else "promise_met")
    told = next(each for each in load(promise.document)["lines"] if each["line"] == name)
    return {
        "order": order_reference(order.key, order.version),
        "promise_id": str(promise.promise_id),
        "customer_id": promise.customer_id,
        "line": name,
        "sku": line.item_id,
        "tier": contender.request.tier.tier,
        "quantity": told["quantity"],
        "missing": missing,
        "late": late,
        "requested_arrival": date.fromordinal(wanted).isoformat(),
        "why": told["why"],
        "detected_at": batch.now,
    }


def _stored(promise: PromiseCopy, line: str) -> list[Backorder]:
    return [kept[line] for kept in (promise.stored_backorders, promise.stored_late) if line in kept]
