"""Offer freed quantity of items to their backorders, in order of service over all of them, a portion at a time.

A portion starts at each item after the last backorder that was asked since its positions were marked, and ends after
`ServeBackorders.portion` lines. Items are served together, because orders that ship complete, quotas and capacities
make them wait for the same. While a position is marked, what the rest of the backorders wait for restricts new requests
that are behind them; the last portion clears the mark. The run of an item also ends when nothing is left at its marked
positions.

Keys that are of a former rule, or of a customer's former tier, are set anew before anybody is served: as long as there
are such, a portion does nothing else, and all that waits under them counts ahead of newcomers.

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
from services.atp.application.orders import Backorder, OrderCopy, Part, PromiseCopy
from services.atp.application.place_order import new_part, place_of, request_of
from services.atp.application.ports import Session
from services.atp.application.revision import revise
from services.atp.application.waiting_lines import Mark, Place
from services.atp.domain.leads import waiting_steps
from services.atp.domain.model import LineDecision, OpenBackorder, Position, PositionKey, Request, RequestLine, Tier
from services.atp.domain.order_of_service import ServiceKey
from services.atp.domain.supply_picture import running_supply
from services.chassis.clocks import SystemClock, WallClock

KEPT: Final = "serve_backorders"  # where the handler keeps what each command looks at


@dataclass(slots=True)
class Portion:
    """What a command looks at: as found without locks, then as loaded under them.

    `outdated` are backorders whose keys are to be set anew, before all else. `items` are those whose run comes further,
    `last` the place up to which they are asked now; None: to the end. `rest` is what waits behind it, by item.
    `every_item`: no other marked item of the command is left for another portion.
    """

    backorders: Sequence[Backorder]
    outdated: Sequence[Backorder]
    items: Sequence[str]
    last: ServiceKey | None = None
    rest: Mapping[str, Mapping[int, int]] = field(default_factory=dict)
    taking_in: bool = False
    every_item: bool = True


class Serving(Handler[ServeBackorders]):
    """Decides `ServeBackorders`. `wall` measures how long a portion takes, so that the next one may be smaller."""

    def __init__(self, wall: WallClock | None = None) -> None:
        self._wall = wall or SystemClock()

    def needs(self, command: ServeBackorders, needs: Needs) -> None:
        """Nothing yet: it is found out."""

    async def discover(self, session: Session, commands: Sequence[ServeBackorders], needs: Needs) -> None:
        """The marked positions and the orders of the portion."""
        basis = (await session.configuration()).service_at(await session.now()).basis
        portions: dict[ServeBackorders, Portion] = {}
        for command in commands:
            marks = await session.backorders.marks(command.items)
            by_item = _by_item(marks)
            if not by_item:
                continue
            portions[command] = portion = await _find(session, command, by_item, basis)
            needs.positions.update((key, None) for key in marks if key.item_id in dict.fromkeys(portion.items))
            for each in (*portion.backorders, *portion.outdated):
                needs.orders[_order_of(each)] = None
                needs.items[each.item_id] = None
        needs.kept[KEPT] = {**needs.kept.get(KEPT, {}), **portions}

    def needs_of_orders(self, command: ServeBackorders, orders: Mapping[OrderKey, OrderCopy], needs: Needs) -> None:
        """Where each order of the portion can be served from; all items of one that ships complete."""
        portion: Portion | None = needs.kept[KEPT].get(command)
        for backorder in (*portion.backorders, *portion.outdated) if portion else ():
            promise = orders[_order_of(backorder)].promise
            if promise is None:
                continue
            needs.zones.update(dict.fromkeys(promise.content.ways))
            needs.customers[promise.content.customer] = None
            if promise.content.ship_complete:
                needs.items.update((each.item_id, None) for each in promise.backorders.values())

    async def load(self, session: Session, batch: Batch, commands: Sequence[ServeBackorders]) -> None:
        """The portion again, under locks."""
        taking_in = await session.taking_in()
        found: dict[ServeBackorders, Portion] = batch.kept[KEPT]
        basis = batch.book.service.basis
        for command in dict.fromkeys(each for each in commands if each in found):
            portion = found[command]
            by_item = {item: marks for item, marks in _by_item(batch.marks).items() if item in portion.items}
            outdated = await session.backorders.outdated(portion.items, basis, command.portion) if by_item else []
            rows: list[Backorder] = []
            if not outdated and not portion.outdated and by_item:
                rows = await _next(session, command, by_item)
                rows = [each for each in rows if portion.last is None or each.key <= portion.last]
            if any(_order_of(each) not in batch.orders for each in (*rows, *outdated)):
                raise Again
            places = {item: Place(portion.last, 0) for item in by_item}
            rest = await session.backorders.waiting_after(places, basis) if portion.last and by_item else {}
            found[command] = replace(
                portion, backorders=rows, outdated=outdated, items=list(by_item), rest=rest, taking_in=taking_in
            )

    def decide(self, batch: Batch, command: ServeBackorders) -> Outcome:
        """Serve the portion; in a replay's intake phase nothing is served yet."""
        started = self._wall.monotonic()
        portion: Portion | None = batch.kept[KEPT].pop(command, None)
        if portion is None or not portion.items:
            return BackordersServed(0, 0, finished=True)
        if portion.taking_in:
            return BackordersServed(0, 0, finished=False)
        marks = {key: mark for key, mark in batch.marks.items() if key.item_id in dict.fromkeys(portion.items)}
        if portion.outdated or _rerank(batch, portion.backorders):
            _rerank(batch, portion.outdated)
            batch.marks |= {key: replace(mark, after=None) for key, mark in marks.items()}
            return BackordersServed(0, 0, finished=False, reranked=True)
        gained = self._serve(batch, command, portion.backorders, marks)
        finished = _end(batch, portion, marks) and portion.every_item
        taken = self._wall.monotonic() - started
        return BackordersServed(len(portion.backorders), gained, finished=finished, seconds=taken)

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
        causes = {key.item_id: marks[key].cause for key in sorted(marks, reverse=True)}
        gains: dict[OrderKey, list[tuple[RequestLine, LineDecision]]] = {}
        for backorder, decision in batch.workbook.serve(opened):
            if decision.planned:
                order_key = OrderKey(backorder.request.source, backorder.request.order_id)
                gains.setdefault(order_key, []).append((backorder.line, decision))
        for order_key, decisions in gains.items():
            causing = [causes[decision.item_id] for _, decision in decisions if decision.item_id in causes]
            _improve(batch, batch.orders[order_key], decisions, causing[0], command)
        return sum(len(decisions) for decisions in gains.values())


def _order_of(backorder: Backorder) -> OrderKey:
    return OrderKey(backorder.key.source, backorder.key.order_id)


def _by_item(marks: Mapping[PositionKey, Mark]) -> dict[str, list[Mark]]:
    found: dict[str, list[Mark]] = {}
    for key, mark in marks.items():
        found.setdefault(key.item_id, []).append(mark)
    return found


async def _find(session: Session, command: ServeBackorders, marks: Mapping[str, Sequence[Mark]], basis: int) -> Portion:
    """What a command looks at, as it seems without locks."""
    outdated = await session.backorders.outdated(list(marks), basis, command.portion)
    if outdated:
        return Portion((), outdated, sorted({each.item_id for each in outdated}), every_item=False)
    rows = await _next(session, command, marks)
    if len(rows) <= command.portion:
        return Portion(rows, (), list(marks))
    now = rows[: command.portion]
    later = {each.item_id: None for each in rows}
    asked = {each.item_id: None for each in now}
    items = [item for item in marks if item in asked or item not in later]
    return Portion(now, (), items, now[-1].key, every_item=len(items) == len(marks))


async def _next(session: Session, command: ServeBackorders, marks: Mapping[str, Sequence[Mark]]) -> list[Backorder]:
    """The next lines of all items in order of service, each item from where its run goes on; more than a portion."""
    places = {item: Place(_earliest(own), command.portion + 1) for item, own in marks.items()}
    found = await session.backorders.next(places)
    return sorted((each for own in found.values() for each in own), key=_place)


def _place(backorder: Backorder) -> ServiceKey:
    return backorder.key


def _earliest(marks: Iterable[Mark]) -> ServiceKey | None:
    """Where the run goes on: after the last one asked at every marked position."""
    places = [mark.after for mark in marks]
    known = [place for place in places if place is not None]
    return min(known) if len(known) == len(places) else None


def _end(batch: Batch, portion: Portion, marks: Mapping[PositionKey, Mark]) -> bool:
    """Take the marks of items away whose run ends, and let the others go on after the portion; whether all ended."""
    ended = True
    for item in portion.items:
        waiting = portion.rest.get(item, {})
        own = {key: mark for key, mark in marks.items() if key.item_id == item and batch.marks.get(key) is mark}
        finished = not waiting or _nothing_left(batch, item, own)
        ended = ended and finished
        for key, mark in own.items():
            if finished:
                del batch.marks[key]
            else:
                batch.marks[key] = replace(mark, after=portion.last)
            steps = () if finished else waiting_steps(waiting)
            position = replace(batch.book.positions[key], waiting=steps, waiting_basis=batch.book.service.basis)
            batch.workbook.put(position)
    return ended


def _served(batch: Batch, promise: PromiseCopy) -> Served:
    return batch.served(promise.content.customer, promise.ordered_at)


def _rerank(batch: Batch, backorders: Sequence[Backorder]) -> bool:
    """Give backorders that stand elsewhere now their new place; whether there were any."""
    moved = False
    for backorder in backorders:
        order = batch.orders[_order_of(backorder)]
        promise = order.promise
        if promise is None or promise.backorders.get(backorder.key.line) != backorder:
            continue
        request = _request(batch, promise, [backorder])
        key, basis = place_of(batch, promise, request, request.lines[0]), batch.book.service.basis
        if (key, basis) != (backorder.key, backorder.basis):
            promise.backorders[key.line] = replace(backorder, key=key, basis=basis)
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
            requested_arrival=each.requested_arrival,
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
    former = document["served_as"]
    reason = "" if former["tier"] == served.tier.tier else f"tier {former['tier']} before, {served.tier.tier} now"
    document["served_as"] = {**served_as(served), "tier_at_order": former["tier_at_order"]}
    document["decided_at"] = batch.now
    document["cost_minor"] = total_cost(document["lines"])
    origin = command.origin
    revise(batch, order, document, cause=cause, change="promise_changed", origin=origin, reason=reason)


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
    if any(key.location_id in batch.book.assumed_from for key in marks):
        return False
    positions: list[Position] = [batch.book.positions[key] for key in marks]
    return all(running_supply(each, item, batch.book.today).available[-1] <= 0 for each in positions)
