"""A planner expedites an order: what it has is planned anew if it can arrive earlier, and what waits is served first.

Its open rests come before all others, whatever their tier, through the given day. At once it is tried on copies of the
book what the order could have if it were its turn now: its open rests on top of what it has, or everything anew as soon
as possible. The better one is done if it brings more units, or as many earlier; else the order keeps what it has.
Pinned lines stay as they are. Protections, quotas and supply hold for it as for all: nothing is oversold.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from services.atp.application.batch import Batch, Handler, Needs, need_content
from services.atp.application.changing import Admitted, Fault
from services.atp.application.commands import Answered, Origin, Outcome, Remembered
from services.atp.application.content import OrderKey
from services.atp.application.customers import Served
from services.atp.application.documents import Act
from services.atp.application.due import store_due
from services.atp.application.giving_back import need_open_parts, take_off_parts
from services.atp.application.orders import OrderCopy, Part, PromiseCopy
from services.atp.application.place_order import place_of, request_of
from services.atp.application.planner_actions import (
    admit_plan,
    note,
    overridden,
    refuse_plan,
    settle_overrides,
    store_actions,
)
from services.atp.application.planner_records import Planner
from services.atp.application.ports import Session
from services.atp.application.revision import revise
from services.atp.application.rewriting import (
    add_parts,
    held_of,
    let_wait,
    open_parts,
    request_for_rest,
    rewrite,
    shipped_by_line,
    unvalidated,
)
from services.atp.domain.model import LineDecision, OpenBackorder, Planned, Request
from services.atp.domain.redecision import serve
from services.atp.domain.release import release

Worth = tuple[int, int]
Answers = Sequence[tuple[OpenBackorder, LineDecision]]


@dataclass(frozen=True, slots=True)
class ExpediteOrder:
    """Let an order have what it can as early as it can, and be served first through a day."""

    key: OrderKey
    revision: int
    planner: Planner
    origin: Origin
    remembered: Remembered | None = None
    lines: int = 1


class Expediting(Handler[ExpediteOrder]):
    """Decides `ExpediteOrder`."""

    def needs(self, command: ExpediteOrder, needs: Needs) -> None:
        """The identity with its promise."""
        needs.orders[command.key] = None

    def needs_of_orders(self, command: ExpediteOrder, orders: Mapping[OrderKey, OrderCopy], needs: Needs) -> None:
        """What placing it would need, and the positions that it may free."""
        order = orders.get(command.key)
        if order is None or order.promise is None:
            return
        content = order.promise.content
        need_content(content, needs)
        needs.freed_items.update((line.item_id, None) for line in content.lines)
        need_open_parts(order.promise, needs)

    def decide(self, batch: Batch, command: ExpediteOrder) -> Outcome:
        """See the module."""
        admitted = admit_plan(batch, command)
        if not isinstance(admitted, Admitted):
            return admitted
        order, promise = admitted.order, admitted.promise
        if admitted.state == "held":
            return refuse_plan(admitted, Fault("held", "a hold does not wait; it is expedited once it is confirmed"))
        overridden(batch, order, promise).expedited = command.planner.through
        settle_overrides(batch, order, promise)
        note(batch, "expedite", command.planner, promise, {})
        served = batch.served(promise.content, promise.ordered_at)
        whole = request_of(order.key, promise.content, served, promise.ordered_at)
        decisions = _plan_earlier(batch, order, promise, whole, served)
        document = rewrite(batch, promise, whole, decisions, served)
        let_wait(batch, promise, whole, {line["line"]: line["backordered"] for line in document["lines"]})
        origin, reason = command.origin, command.planner.reason
        new = revise(
            batch,
            order,
            document,
            cause="expedited",
            change="promise_changed",
            origin=origin,
            reason=reason,
            act=Act("expedited", command.planner.actor),
        )
        return Answered(promise.promise_id, new, first=True)

    async def store(self, session: Session, batch: Batch) -> None:
        """The act, and when it ends."""
        await store_actions(session, batch)
        await store_due(session, batch)


def _plan_earlier(
    batch: Batch, order: OrderCopy, promise: PromiseCopy, whole: Request, served: Served
) -> dict[str, LineDecision]:
    """Do the better of the two ways, if it is better than what the order has; its decisions by line."""
    pinned = promise.pinned(batch.book.today)
    movable = [part for part in open_parts(promise) if part.line not in pinned]
    gone = shipped_by_line(promise)
    held = dict(gone)
    for part in open_parts(promise):
        held[part.line] = held.get(part.line, 0) + part.open
    fixed = {line: held.get(line, 0) if line in pinned else gone.get(line, 0) for line in (*held, *pinned)}
    tries: list[tuple[Worth, list[Part], list[OpenBackorder]]] = []
    for kept, given in ((held, []), (fixed, movable)):
        rest = request_for_rest(order.key, promise, promise.content, served, kept)
        opened = _opened(batch, promise, whole, _as_soon_as_possible(batch, unvalidated(rest)))
        if opened and not (whole.ship_complete and kept is held and movable):
            tries.append((_worth(batch, movable, given, opened), given, opened))
    now = _worth(batch, movable, [], [])
    best = min(tries, key=lambda each: each[0], default=None)
    if best is None or best[0] >= now:
        return {}
    _, given, opened = best
    freed = take_off_parts(batch, given, sum(part.open for part in given))
    decided = [decision for _, decision in batch.workbook.serve(opened)]
    add_parts(batch, promise, decided, served.tier)
    for key in freed:
        batch.free(key, "stock_freed")
    return {decision.line: decision for decision in decided}


def _as_soon_as_possible(batch: Batch, request: Request) -> Request:
    """The request for today, by whatever is fastest."""
    lines = tuple(replace(line, requested_arrival=batch.book.today) for line in request.lines)
    return replace(request, tier=replace(request.tier, as_soon_as_possible=True), lines=lines)


def _opened(batch: Batch, promise: PromiseCopy, whole: Request, request: Request) -> list[OpenBackorder]:
    return [
        OpenBackorder(str(promise.promise_id), place_of(batch, promise, whole, line), request, line)
        for line in request.lines
    ]


def _worth(batch: Batch, movable: Sequence[Part], given: Sequence[Part], opened: Sequence[OpenBackorder]) -> Worth:
    """What the movable parts would be like: (units, less), (units times arrival days); the less, the better."""
    copy = replace(batch.book, positions=dict(batch.book.positions), usage=dict(batch.book.usage))
    release(copy, [held_of(part).planned for part in given])
    parts: list[Planned] = [held_of(part).planned for part in movable if part not in given]
    answers: Answers = serve(copy, opened) if opened else []
    parts += [part for _, decision in answers for part in decision.planned]
    return -sum(part.quantity for part in parts), sum(part.quantity * part.arrival_day for part in parts)
