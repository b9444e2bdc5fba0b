"""What is promised later than it is wanted: kept in the order of service beside what waits, to come earlier.

A line is late by its open parts that arrive after the day it is measured against. Derived from the promise whenever it
changed, so that no change of a promise needs to think of it.
"""

from dataclasses import replace
from datetime import date
from typing import Final

from services.atp.application.batch import Batch
from services.atp.application.documents import load
from services.atp.application.orders import Backorder, OrderCopy, PromiseCopy
from services.atp.application.place_order import place_of, request_of
from services.atp.domain.leads import add_waiting, take_waiting
from services.atp.domain.model import Day

RUNNING: Final = ("promised", "confirmed")


def settle_late(batch: Batch, order: OrderCopy) -> None:
    """Let exactly what is late of a promise now be kept as late."""
    promise = order.promise
    if promise is None or not (promise.late or promise.parts) or (promise.new and promise.on_time):
        return
    late = _late_units(promise) if promise.state in RUNNING else {}
    for line in list(promise.late):
        before = promise.late[line]
        if line not in late:
            _count(batch, promise.late.pop(line), gone=True)
        elif before.quantity != late[line][0]:
            _count(batch, before, gone=True)
            promise.late[line] = replace(before, quantity=late[line][0])
            _count(batch, promise.late[line])
    new = [line for line in late if line not in promise.late]
    if new and promise.content.customer in batch.customers:  # else nothing was planned: it was late before, and unknown
        _enter(batch, order, promise, {line: late[line] for line in new})


def _enter(batch: Batch, order: OrderCopy, promise: PromiseCopy, late: dict[str, tuple[int, Day]]) -> None:
    served = batch.served(promise.content, promise.ordered_at)
    whole = request_of(order.key, promise.content, served, promise.ordered_at)
    for line in whole.lines:
        if line.line in late:
            quantity, wanted = late[line.line]
            key = place_of(batch, promise, whole, replace(line, requested_arrival=wanted))
            entry = Backorder(key, line.item_id, quantity, wanted, batch.book.service.basis, late=True)
            promise.late[line.line] = entry
            _count(batch, entry)


def _late_units(promise: PromiseCopy) -> dict[str, tuple[int, Day]]:
    """By line the units that arrive late, and when they are wanted."""
    wanted: dict[str, Day] = {}
    for line in promise.content.lines:
        if line.requested_arrival is not None:
            wanted[line.line] = line.requested_arrival
        elif line.line in promise.late:
            wanted[line.line] = promise.late[line.line].requested_arrival
    parts = [part for part in promise.parts if part.open]
    if any(part.line not in wanted for part in parts):
        wanted = {**_told(promise), **wanted}
    found: dict[str, tuple[int, Day]] = {}
    for part in parts:
        day = wanted.get(part.line)
        if day is not None and part.planned.arrival_day > day:
            found[part.line] = (found.get(part.line, (0, day))[0] + part.open, day)
    return found


def _told(promise: PromiseCopy) -> dict[str, Day]:
    """When each line is wanted, as the promise says; lines that named no day have one by their tier's lead time."""
    return {
        line["line"]: date.fromisoformat(line["requested_arrival"]).toordinal()
        for line in load(promise.document)["lines"]
        if line["requested_arrival"]
    }


def _count(batch: Batch, entry: Backorder, *, gone: bool = False) -> None:
    waiting = batch.waiting.get(entry.item_id)
    if waiting is not None:
        (take_waiting if gone else add_waiting)(waiting, entry.lead(batch.book.service.basis), entry.quantity)
