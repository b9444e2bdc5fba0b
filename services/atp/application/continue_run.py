"""Take a run of backorder processing by a variant a portion further, in turn with new requests.

A run goes through the items of which something waits or comes late, in order of their ids, `ITEMS_AT_ONCE_MAX` at a
time. The lines of these are asked together in order of service, a portion in each transaction, with the strategies of
the run's segments; whose promises may fall are read beside them, and what falls goes in the same transaction to those
who are asked. What is left of what was given up is offered to all who wait by the usual re-decision, by their tiers'
own strategies.

How far a run came is in its row, which is locked first of all: so whoever takes it up, after whatever end of a process,
goes on with the very next line. A run that was stopped meanwhile is not touched.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final
from uuid import UUID

from services.atp.application.batch import Again, Batch, Handler, Needs
from services.atp.application.commands import BackordersServed, Origin, Outcome, Remembered
from services.atp.application.contenders import Strategies, contenders_of, need_contenders
from services.atp.application.content import OrderKey
from services.atp.application.documents import load
from services.atp.application.late_lines import settle_late
from services.atp.application.moves import BroughtIn, bring_in, is_worse
from services.atp.application.orders import Backorder, OrderCopy
from services.atp.application.ports import Configuration, Session
from services.atp.application.redecide import ITEMS_AT_ONCE_MAX
from services.atp.application.runs import FIGURES, Figures, Run
from services.atp.application.unmet import tell_unmet
from services.atp.application.waiting_lines import Place
from services.atp.domain.contending import Contender, Move
from services.atp.domain.model import RequestLine
from services.atp.domain.order_of_service import ServiceKey
from services.atp.domain.run_segments import asked_items, givers
from services.atp.domain.strategies import gains
from services.chassis.clocks import SystemClock, WallClock

KEPT: Final = "runs"  # where the handler keeps what each command looks at
CAME: Final = "runs_came"  # and how far each run came
CAUSE: Final = "reprocessed"
FALLING_MAX: Final = 200  # orders that may lose something, locked by one portion: as many as lines are asked
_LAST: Final = "\uffff"  # after every id


@dataclass(frozen=True, slots=True)
class ContinueRun:
    """The next portion of a run, of at most so many lines."""

    run_id: UUID
    origin: Origin
    lines: int
    remembered: Remembered | None = None


@dataclass(frozen=True, slots=True)
class Portion:
    """What a portion looks at. `last` is the place up to which lines of the group are asked; None: to its end."""

    run: Run
    backorders: Sequence[Backorder] = ()
    last: ServiceKey | None = None
    falling: Sequence[OrderKey] = ()
    taking_in: bool = False


class Continuing(Handler[ContinueRun]):
    """Decides `ContinueRun`. `wall` measures how long a portion takes, so that the next one may be smaller."""

    def __init__(self, wall: WallClock | None = None) -> None:
        self._wall = wall or SystemClock()

    def needs(self, command: ContinueRun, needs: Needs) -> None:
        """Nothing yet: it is found out."""

    async def discover(self, session: Session, commands: Sequence[ContinueRun], needs: Needs) -> None:
        """The run, locked; the lines of the portion, and the orders that may fall."""
        runs = await session.runs.lock(sorted({command.run_id for command in commands}))
        portions: dict[ContinueRun, Portion] = {}
        for command in commands:
            run = runs.pop(command.run_id, None)
            if run is None:
                continue
            configuration, today = await session.configuration(), (await session.now()).toordinal()
            portions[command] = portion = await _find(session, run, command.lines)
            needs.items.update((each.item_id, None) for each in portion.backorders)
            needs.orders.update((_order_of(each), None) for each in portion.backorders)
            whose = givers(run.segments, _ranked(configuration))
            if portion.backorders and whose.tiers:
                falling = await session.runs.falling(portion.run.group, whose, today, FALLING_MAX)
                portions[command] = replace(portion, falling=falling)
                needs.orders.update(dict.fromkeys(falling))
        needs.kept[KEPT] = portions

    def needs_of_orders(self, command: ContinueRun, orders: Mapping[OrderKey, OrderCopy], needs: Needs) -> None:
        """Where orders of the portion can be served from, and what they may give up; whole if one ships complete."""
        portion: Portion | None = needs.kept[KEPT].get(command)
        if portion is None:
            return
        needs.freed_items.update(dict.fromkeys(portion.run.group))
        need_contenders([*map(_order_of, portion.backorders), *portion.falling], orders, needs)

    async def load(self, session: Session, batch: Batch, commands: Sequence[ContinueRun]) -> None:
        """The portion again, under locks."""
        taking_in = await session.taking_in()
        found: dict[ContinueRun, Portion] = batch.kept[KEPT]
        for command in [each for each in commands if each in found]:
            portion = found[command]
            rows = await _next(session, portion.run, command.lines)
            rows = [each for each in rows if portion.last is None or each.key <= portion.last]
            if any(_order_of(each) not in batch.orders for each in rows):
                raise Again
            found[command] = replace(portion, backorders=rows, taking_in=taking_in)

    def decide(self, batch: Batch, command: ContinueRun) -> Outcome:
        """Ask the portion, and note how far the run came; in a replay's intake phase nothing is asked yet."""
        started = self._wall.monotonic()
        portion: Portion | None = batch.kept[KEPT].pop(command, None)
        if portion is None:
            return BackordersServed(0, 0, finished=True)
        if portion.taking_in:
            return BackordersServed(0, 0, finished=False)
        run, gained = self._ask(batch, portion)
        run = replace(run, portions=run.portions + 1)
        if not run.group:
            run = replace(run, finished=True)
            batch.count("run_finished")
        elif portion.last is None:
            run = replace(run, done=run.group[-1], group=(), place=None)
        else:
            run = replace(run, place=portion.last)
        batch.kept.setdefault(CAME, {})[run.run_id] = run
        taken = self._wall.monotonic() - started
        return BackordersServed(len(portion.backorders), gained, finished=run.finished, seconds=taken)

    async def store(self, session: Session, batch: Batch) -> None:
        """How far runs came."""
        came: dict[UUID, Run] = batch.kept.pop(CAME, {})
        if came:
            await session.runs.store(list(came.values()), batch.now)

    def _ask(self, batch: Batch, portion: Portion) -> tuple[Run, int]:
        run = portion.run
        asked = {(_order_of(each), each.key.line): None for each in portion.backorders if _is_known(batch, each)}
        found = _contenders(batch, portion, asked) if asked else {}
        if not found:
            return run, 0
        through = None if portion.last is None else (portion.last, _LAST)
        decided = batch.workbook.redecide([contender for _, contender in found.values()], through)
        moves = [(found[move.contender.promise_id][0], move) for move in decided.moves]
        costs = {order.key: _cost(order) for order, _ in moves}
        origin = Origin(str(run.run_id), str(run.run_id))
        brought = bring_in(batch, moves, dict.fromkeys(run.group, CAUSE), origin, reason=reason_of(run))
        for key in brought.freed:
            if key.item_id in batch.waiting:
                batch.free(key, "stock_freed")
        lines = [each for each in found.values() if _is_asked(each, asked)]
        own = [each for each in lines if each[1].request.tier.strategy == "win"]
        tell_unmet(batch, own, through, origin)
        figures = _tally(batch, run.figures, lines, [each for each in moves if each[1].moved], costs)
        _count(batch, run.figures, figures, brought)
        return replace(run, figures=figures), brought.improved


def reason_of(run: Run) -> str:
    """What changes of promises say of the run that they come from."""
    return f"run {run.run_id} by variant {run.variant_id}, version {run.version}" + (
        f": {run.reason}" if run.reason else ""
    )


async def _find(session: Session, run: Run, lines: int) -> Portion:
    """The lines of the next portion, as they seem without locks; a run without a group is at its end."""
    if not run.group:
        items = await session.runs.items(run.done, asked_items(run.segments), ITEMS_AT_ONCE_MAX)
        run = replace(run, group=tuple(items), place=None)
    rows = await _next(session, run, lines)
    if len(rows) <= lines:
        return Portion(run, rows)
    return Portion(run, rows[:lines], rows[lines - 1].key)


async def _next(session: Session, run: Run, lines: int) -> list[Backorder]:
    """The next lines of the group in order of service; more than a portion, if there are."""
    if not run.group:
        return []
    found = await session.backorders.next({item: Place(run.place, lines + 1) for item in run.group})
    return sorted((each for own in found.values() for each in own), key=lambda each: each.key)


def _ranked(configuration: Configuration) -> list[str]:
    return [each.tier for each in sorted(configuration.tiers.values(), key=lambda each: each.priority_rank)]


def _is_known(batch: Batch, backorder: Backorder) -> bool:
    """Whether it still waits, or is late: an earlier command of this batch may have served or cancelled it."""
    promise = batch.orders[_order_of(backorder)].promise
    if promise is None:
        return False
    return (promise.late if backorder.late else promise.backorders).get(backorder.key.line) == backorder


def _contenders(
    batch: Batch, portion: Portion, asked: Mapping[tuple[OrderKey, str], None]
) -> dict[str, tuple[OrderCopy, Contender]]:
    """The lines that are asked, and those of the orders that may fall, as far as segments let them take part."""
    strategies = Strategies(portion.run.segments, portion.run.day)
    items, falling = dict.fromkeys(portion.run.group), dict.fromkeys(portion.falling)
    found: dict[str, tuple[OrderCopy, Contender]] = {}
    for key in sorted({**{name: None for name, _ in asked}, **falling}):
        order = batch.orders.get(key)
        if order is None:
            continue

        def concerns(line: RequestLine, key: OrderKey = key) -> bool:
            return (key, line.line) in asked or (key in falling and line.item_id in items)

        found |= contenders_of(batch, [order], strategies, concerns)
    return {name: each for name, each in found.items() if each[1].strategy != "skip"}


def _is_asked(line: tuple[OrderCopy, Contender], asked: Mapping[tuple[OrderKey, str], None]) -> bool:
    order, contender = line
    return gains(contender.strategy) and any((order.key, each.line) in asked for each in contender.request.lines)


def _cost(order: OrderCopy) -> int:
    promise = order.promise
    return 0 if promise is None else int(load(promise.document)["cost_minor"])


def _tally(
    batch: Batch,
    before: Figures,
    lines: Iterable[tuple[OrderCopy, Contender]],
    moves: Iterable[tuple[OrderCopy, Move]],
    costs: Mapping[OrderKey, int],
) -> Figures:
    """The run's figures with those of a portion, by the tier that counts."""
    figures = {tier: dict(own) for tier, own in before.items()}

    def add(tier: str, name: str, number: int) -> None:
        own = figures.setdefault(tier, dict.fromkeys(FIGURES, 0))
        own[name] += number

    for order, contender in lines:
        tier = contender.request.tier.tier
        add(tier, "asked", 1)
        add(tier, "unmet", contender.strategy == "win" and not _is_met(batch, order, contender))
    changed: dict[OrderKey, tuple[OrderCopy, str]] = {}
    for order, move in moves:
        tier = move.contender.request.tier.tier
        changed[order.key] = (order, tier)
        units = _units(move)
        add(tier, "worsened" if is_worse(move) else "improved", 1)
        add(tier, "units_gained", max(0, units))
        add(tier, "units_lost", max(0, -units))
    for key, (order, tier) in changed.items():
        add(tier, "cost_minor", _cost(order) - costs[key])
    return figures


def _is_met(batch: Batch, order: OrderCopy, contender: Contender) -> bool:
    """Whether all lines of a contender are promised by the day that they are wanted."""
    settle_late(batch, order)
    promise = order.promise
    return promise is not None and not any(
        line.line in kept for line in contender.request.lines for kept in (promise.backorders, promise.late)
    )


def _units(move: Move) -> int:
    held = sum(each.planned.quantity for each in move.contender.held)
    return sum(part.quantity for part in move.kept) + sum(part.quantity for _, part in move.taken) - held


def _count(batch: Batch, before: Figures, after: Figures, brought: BroughtIn) -> None:
    for name in ("asked", "unmet"):
        more = sum(own[name] for own in after.values()) - sum(own[name] for own in before.values())
        batch.counts[f"run_{name}"] = batch.counts.get(f"run_{name}", 0) + more
    for name, number in (("improved", brought.improved), ("worsened", brought.worsened)):
        batch.counts[f"run_{name}"] = batch.counts.get(f"run_{name}", 0) + number


def _order_of(backorder: Backorder) -> OrderKey:
    return OrderKey(backorder.key.source, backorder.key.order_id)
