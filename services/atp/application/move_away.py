"""What an order has at a closed location is moved elsewhere, part by part, where nobody loses by it.

A part moves as a whole, by the arrival that was promised; the order's other parts, and lines that a planner has pinned,
stay as they are. What cannot move keeps its place and its date: the location still ships what it has promised. All of a
location's promises are looked at in turn with new orders, each in a transaction of its own (`due`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from services.atp.application.batch import Batch, Handler, Needs, need_content
from services.atp.application.commands import Applied, Origin, Outcome, Remembered
from services.atp.application.content import OrderKey
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

MOVE_AWAY: Final = "move_away"  # the kind of the due row; the key is the order's, and the location


@dataclass(frozen=True, slots=True)
class MoveAway:
    """Move what can be of an order away from a location that is closed."""

    key: OrderKey
    location_id: str
    origin: Origin
    remembered: Remembered | None = None
    lines: int = 1


def move_command(key: tuple[str, ...], origin: Origin) -> MoveAway:
    """The command for a due row."""
    source, order_id, location_id = key
    return MoveAway(OrderKey(source, order_id), location_id, origin)


class MovingAway(Handler[MoveAway]):
    """Decides `MoveAway`."""

    def needs(self, command: MoveAway, needs: Needs) -> None:
        """The identity with its promise."""
        needs.orders[command.key] = None

    def needs_of_orders(self, command: MoveAway, orders: Mapping[OrderKey, OrderCopy], needs: Needs) -> None:
        """What planning it anew needs, and the positions that it may free."""
        order = orders.get(command.key)
        if order is not None and order.promise is not None:
            need_content(order.promise.content, needs)
            need_open_parts(order.promise, needs)

    def decide(self, batch: Batch, command: MoveAway) -> Outcome:
        """See the module. A location that is open again is left as it is."""
        plan_due(batch, MOVE_AWAY, (*command.key, command.location_id), None)
        order = batch.orders.get(command.key)
        promise = None if order is None else order.promise
        if order is None or promise is None or command.location_id not in batch.book.closed:
            return Applied("gone")
        pinned = promise.pinned(batch.book.today)
        there = [part for part in open_parts(promise) if part.planned.key.location_id == command.location_id]
        moved = [
            part.line
            for part in there
            if part.line not in pinned and self._move(batch, order, promise, part, command.location_id)
        ]
        if moved:
            self._revise(batch, command, order, moved)
        return Applied("moved" if moved else "kept")

    async def store(self, session: Session, batch: Batch) -> None:
        """That it is looked at no more."""
        await store_due(session, batch)

    def _move(self, batch: Batch, order: OrderCopy, promise: PromiseCopy, part: Part, location_id: str) -> bool:
        """Let all of a part come from elsewhere, if it can be there when it was promised."""
        served = batch.served(promise.content, promise.ordered_at)
        whole = unvalidated(request_of(order.key, promise.content, served, promise.ordered_at))
        quantity = part.open
        request = _for(only(whole, part.line, quantity), part, together=promise.content.ship_complete)
        if not request.lines:
            return False
        copy = replace(batch.book, positions=dict(batch.book.positions), usage=dict(batch.book.usage))
        release(copy, off([part], quantity))
        planned = inquire(copy, request).lines[0].planned
        if sum(each.quantity for each in planned) < quantity:
            return False
        assert all(each.key.location_id != location_id for each in planned)  # noqa: S101 - it is closed
        freed = take_off_parts(batch, [part], quantity)
        add_parts(batch, promise, batch.workbook.decide(request).lines, served.tier)
        for key in freed:
            batch.free(key, "stock_freed")
        return True

    def _revise(self, batch: Batch, command: MoveAway, order: OrderCopy, moved: Sequence[str]) -> None:
        promise = order.promise
        assert promise is not None  # noqa: S101 - something of it was moved
        document = load(promise.document)
        for line in document["lines"]:
            if line["line"] in moved:
                show_parts(line, promise)
                line["outcome"] = line_outcome(line, line["outcome"])
        document["cost_minor"] = total_cost(document["lines"])
        reason = f"location {command.location_id} is closed"
        origin = command.origin
        revise(batch, order, document, cause="transferred", change="promise_changed", origin=origin, reason=reason)


def _for(request: Request, part: Part, *, together: bool) -> Request:
    """The request to arrive when the part was promised: at the latest, or `together` with the others on that day."""
    arrival = part.planned.arrival_day
    lines = tuple(
        replace(
            line, requested_arrival=arrival if together else line.requested_arrival, latest_acceptable_arrival=arrival
        )
        for line in request.lines
    )
    tier = replace(request.tier, as_soon_as_possible=False) if together else request.tier
    return replace(request, tier=tier, lines=lines)
