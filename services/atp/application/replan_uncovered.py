"""What the checking horizon reached and nothing real has replaced is planned anew, order by order.

A promise beyond the horizon is backed by assumed supply. When the horizon reaches its day, what is not covered is a
deficit (`review_deficits`), and this looks, in a transaction of its own and again every day, whether all that a part
lacks can be had from elsewhere by the arrival that was promised. If so it is moved there; else it keeps its date and
stays at risk: nobody loses by it (strategy Gain). What a planner has pinned is not moved.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final
from uuid import UUID

from services.atp.application.batch import Batch, Handler, Needs, need_content
from services.atp.application.commands import Applied, Origin, Outcome, Remembered
from services.atp.application.content import OrderKey
from services.atp.application.deficit_records import PartKey
from services.atp.application.documents import load, total_cost
from services.atp.application.due import plan_due, store_due
from services.atp.application.giving_back import need_open_parts, show_parts, take_off_parts
from services.atp.application.orders import OrderCopy, Part, PromiseCopy
from services.atp.application.place_order import request_of
from services.atp.application.ports import Session
from services.atp.application.revision import revise
from services.atp.application.rewriting import add_parts, line_outcome, off, only, open_parts, unvalidated
from services.atp.domain.model import Request
from services.atp.domain.promising import inquire
from services.atp.domain.release import release

HORIZON: Final = "horizon"  # the kind of the due row at which it is looked again; the key is the order's
AGAIN_AFTER: Final = timedelta(days=1)  # supply elsewhere changes from day to day; supply here is reviewed at once
KEPT: Final = "uncovered"


@dataclass(frozen=True, slots=True)
class ReplanUncovered:
    """Look for other supply for what an order lacks since the horizon reached it."""

    key: OrderKey
    origin: Origin
    remembered: Remembered | None = None
    lines: int = 1


def replan_command(key: tuple[str, ...], origin: Origin) -> ReplanUncovered:
    """The command for a due row."""
    return ReplanUncovered(OrderKey(*key), origin)


class ReplanningUncovered(Handler[ReplanUncovered]):
    """Decides `ReplanUncovered`."""

    def needs(self, command: ReplanUncovered, needs: Needs) -> None:
        """The identity with its promise."""
        needs.orders[command.key] = None

    def needs_of_orders(self, command: ReplanUncovered, orders: Mapping[OrderKey, OrderCopy], needs: Needs) -> None:
        """What planning it anew needs, and the positions that it may free."""
        order = orders.get(command.key)
        if order is None or order.promise is None:
            return
        need_content(order.promise.content, needs)
        need_open_parts(order.promise, needs)

    async def load(self, session: Session, batch: Batch, commands: Sequence[ReplanUncovered]) -> None:
        """What is not covered; the lock of an order guards its deficits."""
        uncovered: dict[UUID, dict[PartKey, int]] = batch.kept.setdefault(KEPT, {})
        for command in commands:
            order = batch.orders.get(command.key)
            if order is not None and order.promise is not None:
                promise_id = order.promise.promise_id
                uncovered[promise_id] = await session.deficits.of_promise(promise_id)

    def decide(self, batch: Batch, command: ReplanUncovered) -> Outcome:
        """See the module. The due row goes when nothing is left to be looked for."""
        order = batch.orders.get(command.key)
        promise = None if order is None else order.promise
        if order is None or promise is None:
            plan_due(batch, HORIZON, tuple(command.key), None)
            return Applied("gone")
        lacking = batch.kept[KEPT][promise.promise_id]
        parts = [(part, _in_packs(batch, part, lacking.get(_name(promise, part), 0))) for part in open_parts(promise)]
        wanting = [(part, quantity) for part, quantity in parts if quantity and part.planned.assumed]
        moved = [part.line for part, quantity in wanting if self._move(batch, order, promise, part, quantity)]
        again = None if len(moved) == len(wanting) else batch.now + AGAIN_AFTER
        plan_due(batch, HORIZON, tuple(command.key), again)
        if moved:
            self._revise(batch, command, order, moved)
        return Applied("moved" if moved else "kept")

    async def store(self, session: Session, batch: Batch) -> None:
        """When it is looked again."""
        await store_due(session, batch)

    def _move(self, batch: Batch, order: OrderCopy, promise: PromiseCopy, part: Part, quantity: int) -> bool:
        """Let what a part lacks come from where there is supply, if all of it can be as early as it was promised."""
        if part.line in promise.pinned(batch.book.today):
            return False
        served = batch.served(promise.content, promise.ordered_at)
        whole = unvalidated(request_of(order.key, promise.content, served, promise.ordered_at))
        request = _by(only(whole, part.line, quantity), part.planned.arrival_day)
        copy = replace(batch.book, positions=dict(batch.book.positions), usage=dict(batch.book.usage))
        release(copy, off([part], quantity))
        if not request.lines or sum(each.quantity for each in inquire(copy, request).lines[0].planned) < quantity:
            return False
        freed = take_off_parts(batch, [part], quantity)
        add_parts(batch, promise, batch.workbook.decide(request).lines, served.tier)
        for key in freed:
            batch.free(key, "stock_freed")
        return True

    def _revise(self, batch: Batch, command: ReplanUncovered, order: OrderCopy, moved: Sequence[str]) -> None:
        promise = order.promise
        assert promise is not None  # noqa: S101 - something of it was moved
        document = load(promise.document)
        for line in document["lines"]:
            if line["line"] in moved:
                show_parts(line, promise)
                line["outcome"] = line_outcome(line, line["outcome"])
        document["cost_minor"] = total_cost(document["lines"])
        revise(batch, order, document, cause="horizon_reached", change="promise_changed", origin=command.origin)


def _name(promise: PromiseCopy, part: Part) -> PartKey:
    return PartKey(promise.promise_id, part.line, part.number)


def _in_packs(batch: Batch, part: Part, quantity: int) -> int:
    """What has to move so that all that a part lacks does, in whole packs."""
    pack = batch.book.items[part.planned.key.item_id].pack_size if quantity else 1
    return min(part.open, quantity + -quantity % pack)


def _by(request: Request, arrival: int) -> Request:
    """The request to arrive on a day at the latest."""
    return replace(request, lines=tuple(replace(line, latest_acceptable_arrival=arrival) for line in request.lines))
