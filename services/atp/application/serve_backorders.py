"""Offer freed quantity of an item to its backorders, in order of service, a portion at a time.

A portion starts after the last backorder that was asked since the item's positions were marked, and ends after
`ServeBackorders.portion` lines. While a position is marked, what the rest of the backorders wait for restricts new
requests that rank behind them; the last portion clears the mark. A run also ends when nothing is left at the marked
positions.

The list of backorders is read twice: without locks, to know which orders to lock, and again under the locks. If it grew
in between, the batch runs again.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from services.atp.application.batch import Again, Batch, Handler, Needs
from services.atp.application.commands import BackordersServed, Outcome, ServeBackorders
from services.atp.application.content import OrderKey
from services.atp.application.customers import Served
from services.atp.application.documents import (
    Document,
    constraint,
    iso,
    load,
    schedule_line,
    served_as,
    show_choices,
    total_cost,
)
from services.atp.application.orders import EXPEDITED_RANK, Backorder, OrderCopy, Part, PromiseCopy
from services.atp.application.place_order import new_part, request_of
from services.atp.application.ports import Mark, Place, Session
from services.atp.application.revision import revise
from services.atp.domain.model import LineDecision, OpenBackorder, Position, PositionKey, Request, RequestLine, Tier
from services.atp.domain.order_of_service import ServiceKey
from services.atp.domain.supply_picture import running_supply

KEPT: Final = "serve_backorders"  # + item id: where the handler keeps its portion


@dataclass(slots=True)
class Portion:
    """What a command looks at: as found without locks, then as loaded under them."""

    backorders: Sequence[Backorder]
    waiting_after: Mapping[int, int] = field(default_factory=dict)
    taking_in: bool = False


class Serving(Handler[ServeBackorders]):
    """Decides `ServeBackorders`."""

    def needs(self, command: ServeBackorders, needs: Needs) -> None:
        """The item; the rest is found out."""
        needs.items[command.item_id] = None

    async def discover(self, session: Session, commands: Sequence[ServeBackorders], needs: Needs) -> None:
        """The marked positions and the orders of the portion."""
        marks = await session.backorders.marks([command.item_id for command in commands])
        needs.positions.update(dict.fromkeys(marks))
        places = _places(commands, marks)
        if not places:
            return
        for item_id, found in (await session.backorders.next(places)).items():
            needs.orders.update((_order_of(each), None) for each in found)
            needs.kept[KEPT + item_id] = Portion(found)

    def needs_of_orders(self, command: ServeBackorders, orders: Mapping[OrderKey, OrderCopy], needs: Needs) -> None:
        """Where each order of the portion can be served from; all items of one that ships complete."""
        portion: Portion | None = needs.kept.get(KEPT + command.item_id)
        for backorder in portion.backorders if portion else ():
            promise = orders[_order_of(backorder)].promise
            if promise is None:
                continue
            needs.zones[promise.content.zone] = None
            needs.customers[promise.content.customer] = None
            if promise.content.ship_complete:
                needs.items.update((each.item_id, None) for each in promise.backorders.values())

    async def load(self, session: Session, batch: Batch, commands: Sequence[ServeBackorders]) -> None:
        """The portion again, under locks."""
        taking_in = await session.taking_in()
        places = _places(commands, batch.marks)
        found = await session.backorders.next(places) if places else {}
        if any(_order_of(each) not in batch.orders for own in found.values() for each in own):
            raise Again
        whole = {item: place for item, place in places.items() if len(found[item]) == place.lines}
        rest = {item: Place(found[item][-1].key, 0) for item in whole}
        waiting = await session.backorders.waiting_after(rest) if rest else {}
        for command in commands:
            item = command.item_id
            batch.kept.pop(KEPT + item, None)
            if item in places:
                batch.kept[KEPT + item] = Portion(found[item], waiting.get(item, {}), taking_in)

    def decide(self, batch: Batch, command: ServeBackorders) -> Outcome:
        """Serve the portion; in a replay's intake phase nothing is served yet."""
        portion: Portion | None = batch.kept.get(KEPT + command.item_id)
        if portion is None:
            return BackordersServed(0, 0, finished=True)
        if portion.taking_in:
            return BackordersServed(0, 0, finished=False)
        marks = _marks(batch, command.item_id)
        if _rerank(batch, portion.backorders):
            for key, mark in marks.items():
                batch.marks[key] = replace(mark, after=None)
            return BackordersServed(0, 0, finished=False, reranked=True)
        gained = self._serve(batch, command, portion.backorders, marks)
        finished = not portion.waiting_after or _nothing_left(batch, command.item_id, marks)
        for key, mark in marks.items():
            if finished:
                del batch.marks[key]
            else:
                batch.marks[key] = replace(mark, after=portion.backorders[-1].key)
            waiting = () if finished else tuple(sorted(portion.waiting_after.items()))
            batch.workbook.put(replace(batch.book.positions[key], waiting=waiting))
        return BackordersServed(len(portion.backorders), gained, finished=finished)

    def _serve(
        self,
        batch: Batch,
        command: ServeBackorders,
        backorders: Sequence[Backorder],
        marks: Mapping[PositionKey, Mark],
    ) -> int:
        opened = _open_backorders(batch, backorders)
        if not opened:
            return 0
        cause = marks[min(marks)].cause
        gains: dict[OrderKey, list[tuple[RequestLine, LineDecision]]] = {}
        for backorder, decision in batch.workbook.serve(opened):
            if decision.planned:
                order_key = OrderKey(backorder.request.source, backorder.request.order_id)
                gains.setdefault(order_key, []).append((backorder.line, decision))
        for order_key, decisions in gains.items():
            _improve(batch, batch.orders[order_key], decisions, cause, command)
        return sum(len(decisions) for decisions in gains.values())


def _order_of(backorder: Backorder) -> OrderKey:
    return OrderKey(backorder.key.source, backorder.key.order_id)


def _places(commands: Sequence[ServeBackorders], marks: Mapping[PositionKey, Mark]) -> dict[str, Place]:
    """Where the runs of the commands' items go on; items that are not marked are left out."""
    by_item: dict[str, list[Mark]] = {}
    for key, mark in marks.items():
        by_item.setdefault(key.item_id, []).append(mark)
    return {
        command.item_id: Place(_earliest(by_item[command.item_id]), command.portion)
        for command in commands
        if command.item_id in by_item
    }


def _marks(batch: Batch, item_id: str) -> dict[PositionKey, Mark]:
    return {key: mark for key, mark in batch.marks.items() if key.item_id == item_id}


def _earliest(marks: Iterable[Mark]) -> ServiceKey | None:
    """Where the run goes on: after the last one asked at every marked position."""
    places = [mark.after for mark in marks]
    known = [place for place in places if place is not None]
    return min(known) if len(known) == len(places) else None


def _served(batch: Batch, promise: PromiseCopy) -> Served:
    return batch.served(promise.content.customer, promise.ordered_at)


def _rerank(batch: Batch, backorders: Sequence[Backorder]) -> bool:
    """Give backorders whose customer's tier changed their new place; whether there were any."""
    moved = False
    for backorder in backorders:
        order = batch.orders[_order_of(backorder)]
        promise = order.promise
        if promise is None or promise.backorders.get(backorder.key.line) != backorder:
            continue
        rank = _served(batch, promise).tier.priority_rank
        if promise.expedited(batch.book.today):
            rank = EXPEDITED_RANK
        if rank != backorder.key.priority_rank:
            key = backorder.key._replace(priority_rank=rank)
            promise.backorders[key.line] = replace(backorder, key=key)
            batch.touched[order.key] = order
            moved = True
    return moved


def _open_backorders(batch: Batch, backorders: Sequence[Backorder]) -> list[OpenBackorder]:
    """What to serve; an order that ships complete with all that it waits for, once."""
    opened: dict[tuple[OrderKey, str], OpenBackorder] = {}
    for backorder in backorders:
        promise = batch.orders[_order_of(backorder)].promise
        if promise is None or promise.backorders.get(backorder.key.line) != backorder:
            continue  # an earlier command of this batch served or cancelled it
        together = promise.backorders.values() if promise.content.ship_complete else (backorder,)
        request = _request(batch, promise, together)
        for each, line in zip(together, request.lines, strict=True):
            opened[_order_of(each), line.line] = OpenBackorder(str(promise.promise_id), each.key, request, line)
    return list(opened.values())


def _request(batch: Batch, promise: PromiseCopy, backorders: Iterable[Backorder]) -> Request:
    """The order with the open rests as its lines; a minimum holds only while nothing was promised."""
    started = {part.line for part in promise.parts if part.open or part.shipped}
    any_key = next(iter(promise.backorders.values())).key
    order_key = OrderKey(any_key.source, any_key.order_id)
    whole = request_of(order_key, promise.content, _served(batch, promise), promise.ordered_at)
    asked = {line.line: line for line in whole.lines}
    lines = tuple(
        replace(
            asked[each.key.line],
            quantity=each.quantity,
            requested_arrival=each.key.requested_arrival,
            minimum_quantity=0 if each.key.line in started else asked[each.key.line].minimum_quantity,
        )
        for each in backorders
    )
    return replace(whole, lines=lines)


def _improve(
    batch: Batch,
    order: OrderCopy,
    decisions: Sequence[tuple[RequestLine, LineDecision]],
    cause: str,
    command: ServeBackorders,
) -> None:
    """Add what its lines gained to a promise."""
    promise = order.promise
    assert promise is not None  # noqa: S101 - only an answered order has backorders
    document = load(promise.document)
    by_line: dict[str, dict[str, Any]] = {line["line"]: line for line in document["lines"]}
    served = _served(batch, promise)
    promise.decision_id, promise.decision_index = batch.decision_id, batch.workbook.decisions - 1
    for _, decision in decisions:
        parts = _add_parts(batch, promise, decision, served.tier)
        _rewrite(by_line[decision.line], decision, parts)
        open_rest = promise.backorders.pop(decision.line)
        if decision.backordered:
            promise.backorders[decision.line] = replace(open_rest, quantity=decision.backordered)
    document["served_as"] = {**served_as(served), "tier_at_order": document["served_as"]["tier_at_order"]}
    document["decided_at"] = batch.now
    document["cost_minor"] = total_cost(document["lines"])
    revise(batch, order, document, cause=cause, change="promise_changed", origin=command.origin)


def _add_parts(batch: Batch, promise: PromiseCopy, decision: LineDecision, tier: Tier) -> list[Part]:
    last = max((part.number for part in promise.parts if part.line == decision.line), default=0)
    parts = [
        new_part(batch, promise, (decision.line, number), planned, tier)
        for number, planned in enumerate(decision.planned, start=last + 1)
    ]
    promise.parts += parts
    return parts


def _rewrite(line: Document, decision: LineDecision, parts: Sequence[Part]) -> None:
    line["promised"] += sum(part.quantity for part in decision.planned)
    line["backordered"] = decision.backordered
    line["schedule"] += [schedule_line(part.planned, part.routing) for part in parts]
    line["why"] = [constraint(binding) for binding in decision.why]
    wanted = line["requested_arrival"] or iso(decision.requested_arrival)
    show_choices(line, decision)
    if line["promised"] < line["quantity"]:
        line["outcome"] = "partly_promised"
    else:
        late = any(part["arrival_date"] > wanted for part in line["schedule"])
        line["outcome"] = "promised_late" if late else "promised"


def _nothing_left(batch: Batch, item_id: str, marks: Mapping[PositionKey, Mark]) -> bool:
    """Whether no marked position has anything left on any day; one whose supply is assumed later always has."""
    item = batch.book.items.get(item_id)
    if item is None or item.checking_horizon_days is not None:
        return item is None
    positions: list[Position] = [batch.book.positions[key] for key in marks]
    return all(running_supply(each, item, batch.book.today).available[-1] <= 0 for each in positions)
