"""Taking quantity off a promise: the stock and exactly what it was taken from are given back, and those who wait asked.

The items of the parts must be among `Needs.freed_items`, their positions and counters needed (`need_open_parts`).
"""

from collections.abc import Iterable
from dataclasses import replace

from services.atp.application.batch import Batch, Needs, need_parts
from services.atp.application.documents import Document, schedule_line, total_cost
from services.atp.application.orders import Part, PromiseCopy
from services.atp.domain.leads import add_waiting, take_waiting
from services.atp.domain.model import Planned, PositionKey
from services.atp.domain.release import divide


def need_open_parts(promise: PromiseCopy, needs: Needs) -> None:
    """Need what giving back all that has not shipped changes."""
    freed = [part for part in promise.parts if part.open]
    need_parts(freed, needs)
    needs.freed_items.update((part.planned.key.item_id, None) for part in freed)
    needs.freed_limits.update((posting.usage, None) for part in freed for posting in part.planned.postings)


def give_back(batch: Batch, promise: PromiseCopy) -> None:
    """Take everything that has not shipped off the promise: commitments, postings, backorders."""
    stop_waiting(batch, promise, list(promise.backorders))
    for part in promise.parts:
        if part.open:
            take_off(batch, part, part.open)


def take_off(batch: Batch, part: Part, quantity: int, *, mark: bool = True) -> None:
    """Give back a quantity (0 < quantity <= open) of a part, with its share of postings and cost.

    `mark`: those who wait are asked first. Whoever plans the same order anew marks after its own decision. Those who
    wait for other items, and for a quota or capacity that gets something back, are asked after the command.
    """
    freed = lessen(batch, part, quantity)
    batch.workbook.release([freed])
    if mark:
        batch.free(freed.key, "stock_freed")


def lessen(batch: Batch, part: Part, quantity: int) -> Planned:
    """Let a part be less by a quantity (0 < quantity <= open); what came off, which the book has still to be given."""
    live = part.live
    kept, freed = divide(live, live.quantity - quantity)
    part.planned = replace(part.planned, postings=kept.postings, cost_minor=kept.cost_minor)
    part.open -= quantity
    part.changed = True
    batch.freed_limits.update((posting.usage, None) for posting in freed.postings)
    return freed


def take_off_parts(batch: Batch, parts: Iterable[Part], quantity: int) -> list[PositionKey]:
    """Give back a quantity of parts, in their order, without a mark; the positions where."""
    freed: dict[PositionKey, None] = {}
    for part in parts:
        taken = min(quantity, part.open)
        if taken:
            take_off(batch, part, taken, mark=False)
            freed[part.planned.key] = None
            quantity -= taken
    return list(freed)


def stop_waiting(batch: Batch, promise: PromiseCopy, lines: Iterable[str]) -> None:
    """Let the open rests of lines wait no more."""
    for line in lines:
        backorder = promise.backorders.pop(line, None)
        waiting = None if backorder is None else batch.waiting.get(backorder.item_id)
        if backorder is None or waiting is None:
            continue
        take_waiting(waiting, backorder.lead(batch.book.service.basis), backorder.quantity)


def wait_less(batch: Batch, promise: PromiseCopy, line: str, quantity: int) -> None:
    """Let the open rest of a line be smaller by a quantity, at most all of it."""
    backorder = promise.backorders[line]
    stop_waiting(batch, promise, [line])
    rest = backorder.quantity - quantity
    if rest > 0:
        promise.backorders[line] = replace(backorder, quantity=rest)
        waiting = batch.waiting.get(backorder.item_id)
        if waiting is not None:
            add_waiting(waiting, backorder.lead(batch.book.service.basis), rest)


def show_parts(line: Document, promise: PromiseCopy) -> None:
    """Let a line of the document show what is promised or has shipped of it now."""
    live = [part for part in promise.parts if part.line == line["line"] and (part.open or part.shipped)]
    line["promised"] = sum(part.open + part.shipped for part in live)
    line["schedule"] = [schedule_line(part.live, part.routing) for part in live]


def show_nothing_but_shipped(document: Document, promise: PromiseCopy, outcome: str) -> None:
    """Let the document show what has shipped, each line with the outcome, after everything else was given back."""
    for line in document["lines"]:
        show_parts(line, promise)
        line["outcome"], line["backordered"], line["why"] = outcome, 0, []
    document["cost_minor"] = total_cost(document["lines"])
