"""Decide anew the lines of items that wait or come late, by strategy and order of service, a portion at a time.

A portion starts at each item after the last backorder that was asked since its positions were marked, and ends after
`ServeBackorders.portion` lines. Items are served together, because orders that ship complete, quotas and capacities
make them wait for the same. While a position is marked, what the rest of the backorders wait for restricts new requests
that are behind them; the last portion clears the mark. The run of an item also ends when nothing is left at its marked
positions.

Keys that are of a former rule, or of a customer's former tier, are set anew before anybody is served: as long as there
are such, a portion does nothing else, and all that waits under them counts ahead of newcomers.

Where tiers have strategies that let them fall, those who may fall are read as well, the last in the order of service
first, and what falls goes in the same transaction to those who are asked. What a portion gave up has the run begin
anew, unless all were asked in it.

The list of backorders is read twice: without locks, to know which orders to lock, and again under the locks. If it grew
in between, the batch runs again.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from services.atp.application.batch import Again, Batch, Handler, Needs
from services.atp.application.commands import BackordersServed, Outcome, ServeBackorders
from services.atp.application.contenders import Strategies, contenders_of, need_contenders
from services.atp.application.content import OrderKey
from services.atp.application.customers import Served
from services.atp.application.moves import bring_in
from services.atp.application.orders import Backorder, OrderCopy, PromiseCopy
from services.atp.application.place_order import place_of, request_of
from services.atp.application.ports import Configuration, Session
from services.atp.application.rewriting import beside
from services.atp.application.settling_set_aside import plan_set_aside
from services.atp.application.unmet import tell_unmet
from services.atp.application.waiting_lines import Mark, Place
from services.atp.domain.contending import Contender
from services.atp.domain.leads import waiting_steps
from services.atp.domain.model import Item, Position, PositionKey, Request, RequestLine, Tier
from services.atp.domain.order_of_service import ServiceKey
from services.atp.domain.set_aside import in_force, with_set_aside
from services.atp.domain.setting_aside import is_whole_or_nothing
from services.atp.domain.strategies import falls, sequence
from services.atp.domain.supply_picture import running_supply
from services.chassis.clocks import SystemClock, WallClock

KEPT: Final = "serve_backorders"  # where the handler keeps what each command looks at
FALLING_MAX: Final = 200  # orders that may lose something, locked by one portion: as many as lines are asked
_LAST: Final = "\uffff"  # after every id


@dataclass(slots=True)
class Portion:
    """What a command looks at: as found without locks, then as loaded under them.

    `outdated` are backorders whose keys are to be set anew, before all else. `items` are those whose run comes further,
    `last` the place up to which they are asked now; None: to the end. `rest` is what waits behind it, by item.
    `every_item`: no other marked item of the command is left for another portion. `falling` are orders that may lose
    something, `late` the items of which something is promised late.
    """

    backorders: Sequence[Backorder]
    outdated: Sequence[Backorder]
    items: Sequence[str]
    last: ServiceKey | None = None
    rest: Mapping[str, Mapping[int, int]] = field(default_factory=dict)
    taking_in: bool = False
    every_item: bool = True
    falling: Sequence[OrderKey] = ()
    late: Sequence[str] = ()


class Serving(Handler[ServeBackorders]):
    """Decides `ServeBackorders`. `wall` measures how long a portion takes, so that the next one may be smaller."""

    def __init__(self, wall: WallClock | None = None) -> None:
        self._wall = wall or SystemClock()

    def needs(self, command: ServeBackorders, needs: Needs) -> None:
        """Nothing yet: it is found out."""

    async def discover(self, session: Session, commands: Sequence[ServeBackorders], needs: Needs) -> None:
        """The marked positions and the orders of the portion."""
        configuration, now = await session.configuration(), await session.now()
        basis = configuration.service_at(now).basis
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
            if portion.backorders and (tiers := _falling_tiers(configuration)):
                today = now.date().toordinal()
                portion.falling = await session.backorders.falling(portion.items, tiers, today, FALLING_MAX)
                needs.orders.update(dict.fromkeys(portion.falling))
        needs.kept[KEPT] = {**needs.kept.get(KEPT, {}), **portions}

    def needs_of_orders(self, command: ServeBackorders, orders: Mapping[OrderKey, OrderCopy], needs: Needs) -> None:
        """Where orders of the portion can be served from, and what they may give up; whole if one ships complete."""
        portion: Portion | None = needs.kept[KEPT].get(command)
        if portion is None:
            return
        needs.freed_items.update(dict.fromkeys(portion.items))
        named = [_order_of(each) for each in (*portion.backorders, *portion.outdated)]
        need_contenders([*named, *portion.falling], orders, needs)

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
            late = await session.backorders.late(list(by_item)) if rest else ()
            found[command] = replace(
                portion,
                backorders=rows,
                outdated=outdated,
                items=list(by_item),
                rest=rest,
                taking_in=taking_in,
                late=late,
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
        gained = self._serve(batch, command, portion, marks)
        finished = _end(batch, portion, marks) and portion.every_item
        taken = self._wall.monotonic() - started
        return BackordersServed(len(portion.backorders), gained, finished=finished, seconds=taken)

    def _serve(
        self, batch: Batch, command: ServeBackorders, portion: Portion, marks: Mapping[PositionKey, Mark]
    ) -> int:
        known = [each for each in portion.backorders if _is_known(batch, each)]
        if not known:
            return 0
        found = _contenders(batch, portion, known)
        through = None if portion.last is None else (portion.last, _LAST)
        decided = batch.workbook.redecide([contender for _, contender in found.values()], through)
        moves = [(found[move.contender.promise_id][0], move) for move in decided.moves]
        causes = {key.item_id: marks[key].cause for key in sorted(marks, reverse=True)}
        brought = bring_in(batch, moves, causes, command.origin)
        tell_unmet(batch, found.values(), through, command.origin)
        _plan_set_aside(batch, found.values())
        all_asked = portion.last is None and portion.every_item and not any(mark.after for mark in marks.values())
        if brought.freed and not (all_asked and decided.settled):
            for key in brought.freed:
                if key.item_id in batch.waiting:
                    batch.free(key, "stock_freed")
        return brought.improved


def _plan_set_aside(batch: Batch, contenders: Iterable[tuple[OrderCopy, Contender]]) -> None:
    """The days of those who came to wait before the rule was."""
    for order, contender in contenders if batch.book.service.set_aside is not None else ():
        request, promise = contender.request, order.promise
        whole = [line for line in request.lines if is_whole_or_nothing(request, line)]
        if promise is not None and any(line.line in promise.backorders for line in whole):
            plan_set_aside(batch, request, [line.item_id for line in whole])


def _is_known(batch: Batch, backorder: Backorder) -> bool:
    """Whether it still waits, or is late: an earlier command of this batch may have served or cancelled it."""
    promise = batch.orders[_order_of(backorder)].promise
    if promise is None:
        return False
    return (promise.late if backorder.late else promise.backorders).get(backorder.key.line) == backorder


def _contenders(
    batch: Batch, portion: Portion, backorders: Sequence[Backorder]
) -> dict[str, tuple[OrderCopy, Contender]]:
    """The lines that are asked, and those of the orders that may fall."""
    asked = {(_order_of(each), each.key.line): None for each in backorders}
    items = dict.fromkeys(portion.items)
    falling = dict.fromkeys(portion.falling)
    found: dict[str, tuple[OrderCopy, Contender]] = {}
    for key in sorted({**{name: None for name, _ in asked}, **falling}):
        order = batch.orders.get(key)
        if order is None:
            continue

        def concerns(line: RequestLine, key: OrderKey = key) -> bool:
            return (key, line.line) in asked or (key in falling and line.item_id in items)

        found |= contenders_of(batch, [order], Strategies(), concerns)
    return found


def _falling_tiers(configuration: Configuration) -> list[str]:
    """The tiers whose strategy lets them fall, those that are asked last first."""
    tiers = [each for each in configuration.tiers.values() if falls(each.strategy)]
    return [each.tier for each in sorted(tiers, key=_asked_last, reverse=True)]


def _asked_last(tier: Tier) -> tuple[int, int]:
    return (sequence(tier.strategy), tier.priority_rank)


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
    ended, may_fall = True, bool(_falling_tiers(batch.configuration))
    for item in portion.items:
        waiting = portion.rest.get(item, {})
        own = {key: mark for key, mark in marks.items() if key.item_id == item and batch.marks.get(key) is mark}
        finished = not waiting or (
            item not in portion.late and not may_fall and _nothing_left(batch, item, own, portion.last)
        )
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
    return batch.served(promise.content, promise.ordered_at)


def _rerank(batch: Batch, backorders: Sequence[Backorder]) -> bool:
    """Give backorders that stand elsewhere now their new place; whether there were any."""
    moved = False
    for backorder in backorders:
        order = batch.orders[_order_of(backorder)]
        promise = order.promise
        if promise is None or not _is_known(batch, backorder):
            continue
        request = _request(batch, promise, [backorder])
        key, basis = place_of(batch, promise, request, request.lines[0]), batch.book.service.basis
        if (key, basis) != (backorder.key, backorder.basis):
            kept = promise.late if backorder.late else promise.backorders
            kept[key.line] = replace(backorder, key=key, basis=basis)
            _move_set_aside(batch, key, basis)
            batch.touched[order.key] = order
            moved = True
    return moved


def _move_set_aside(batch: Batch, key: ServiceKey, basis: int) -> None:
    """What is set aside for a line is kept by its new place from now on."""
    lead, further, source, order_id, line = key
    place = (lead, further, source, order_id, line)
    for position in list(batch.book.positions.values()):
        own = next((each for each in position.set_aside if each.is_for(place)), None)
        if own is not None:
            moved = with_set_aside(position, own._replace(place=place, basis=basis), place)
            batch.workbook.put(replace(position, set_aside=moved))


def _request(batch: Batch, promise: PromiseCopy, backorders: Sequence[Backorder]) -> Request:
    """The order with the open rests as its lines; a minimum holds only while nothing was promised."""
    started = {part.line for part in promise.parts if part.open or part.shipped}
    order_key = _order_of(next(iter(backorders)))
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
    return beside(replace(whole, lines=lines), promise.parts)


def _nothing_left(batch: Batch, item_id: str, marks: Mapping[PositionKey, Mark], last: ServiceKey | None) -> bool:
    """Whether no marked position has anything left on any day; one whose supply is assumed later always has."""
    item = batch.book.items.get(item_id)
    if item is None or item.checking_horizon_days is not None:
        return item is None
    if any(key.location_id in batch.book.assumed_from for key in marks):
        return False
    positions: list[Position] = [batch.book.positions[key] for key in marks]
    return all(_available(batch, each, item, last) <= 0 for each in positions)


def _available(batch: Batch, position: Position, item: Item, last: ServiceKey | None) -> int:
    """What there is at a position for those behind the last one asked, besides what is set aside for those before."""
    kept = in_force(position, batch.book.service, batch.book.today)
    ahead = [each.units for each in kept if last is None or each.place <= last]
    return running_supply(position, item, batch.book.today).available[-1] - sum(ahead)
