"""An order that is decided again does not stand in its own way: what waits of it, or is late, counts as nobody ahead.

A position from which something was freed holds back what waits of its item, until those who wait were asked. Among them
may be the order itself. It is left out while it is decided, and put back afterwards; what waits of it from then on is
counted when its rests are settled.
"""

from collections.abc import Mapping
from dataclasses import replace

from services.atp.application.batch import Batch
from services.atp.application.orders import PromiseCopy
from services.atp.domain.leads import take_waiting
from services.atp.domain.model import PositionKey

Waiting = tuple[tuple[int, int], ...]


def stand_aside(batch: Batch, promise: PromiseCopy) -> Mapping[PositionKey, Waiting]:
    """Leave out what waits of a promise; what was counted before, by position."""
    basis = batch.book.service.basis
    rests = [*promise.backorders.values(), *promise.late.values()]
    before: dict[PositionKey, Waiting] = {}
    for key, position in list(batch.book.positions.items()):
        own = [each for each in rests if each.item_id == key.item_id]
        if position.waiting and own and position.waiting_basis == basis:
            waiting = dict(position.waiting)
            for each in own:
                take_waiting(waiting, each.lead(basis), each.quantity)
            before[key] = position.waiting
            batch.workbook.put(replace(position, waiting=tuple(sorted(waiting.items()))))
    return before


def stand_again(batch: Batch, before: Mapping[PositionKey, Waiting]) -> None:
    """Let positions hold back again what they held back before."""
    for key, waiting in before.items():
        batch.workbook.put(replace(batch.book.positions[key], waiting=waiting))
