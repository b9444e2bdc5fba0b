"""Holds: what is promised for a time, and given back unless it is confirmed.

    place with hold_seconds ──▶ held ──confirm in time──▶ confirmed, and its open rest waits from then on
                                  │
                                  └─ time over ─▶ expired: refused to all but revive and cancel from that moment on;
                                                  counts as taken until the transaction that gives it back, once

A hold is no accepted order: nothing is written to `orders.recorded.v1` before it is confirmed (`revision.is_recorded`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from services.atp.application.batch import Batch, Handler, Needs
from services.atp.application.commands import Applied, Origin, Outcome, Remembered
from services.atp.application.content import OrderKey
from services.atp.application.documents import load
from services.atp.application.due import plan_due, store_due
from services.atp.application.giving_back import give_back, need_open_parts, show_nothing_but_shipped
from services.atp.application.orders import OrderCopy
from services.atp.application.place_order import HOLD, add_backorder, request_of
from services.atp.application.ports import Session
from services.atp.application.revision import revise
from services.atp.domain.promise_state import next_state, state_at


@dataclass(frozen=True, slots=True)
class ExpireHold:
    """A hold's time is over."""

    key: OrderKey
    origin: Origin
    remembered: Remembered | None = None
    lines: int = 1


class Expiring(Handler[ExpireHold]):
    """Decides `ExpireHold`."""

    def needs(self, command: ExpireHold, needs: Needs) -> None:
        """The identity with its promise."""
        needs.orders[command.key] = None

    def needs_of_orders(self, command: ExpireHold, orders: Mapping[OrderKey, OrderCopy], needs: Needs) -> None:
        """The positions that it frees."""
        order = orders.get(command.key)
        if order is not None and order.promise is not None:
            need_open_parts(order.promise, needs)

    def decide(self, batch: Batch, command: ExpireHold) -> Outcome:
        """Give back what the hold has; one that was confirmed, cancelled or held anew in the meantime stays."""
        order = batch.orders.get(command.key)
        promise = None if order is None else order.promise
        if order is None or promise is None or promise.state != "held":
            plan_hold_end(batch, command.key, None)
            return Applied("gone")
        if state_at(promise.state, promise.held_until, batch.now) == "held":
            plan_hold_end(batch, command.key, promise.held_until)
            return Applied("later")
        expire(batch, order, command.origin)
        return Applied("expired")

    async def store(self, session: Session, batch: Batch) -> None:
        """What is due."""
        await store_due(session, batch)


def expire_command(key: tuple[str, ...], origin: Origin) -> ExpireHold:
    """The command for a due row."""
    return ExpireHold(OrderKey(*key), origin)


def expire(batch: Batch, order: OrderCopy, origin: Origin) -> None:
    """Give back what a hold has, once: afterwards its state is another."""
    promise = order.promise
    assert promise is not None  # noqa: S101 - a hold is one
    give_back(batch, promise)
    promise.state = next_state(promise.state, "expire") or promise.state
    plan_hold_end(batch, order.key, None)
    document = load(promise.document)
    show_nothing_but_shipped(document, promise, "cancelled")
    revise(batch, order, document, cause="expired", change="cancelled", origin=origin)
    batch.count("hold_expired")


def plan_hold_end(batch: Batch, key: OrderKey, at: datetime | None) -> None:
    """Let a hold end at a time; None: it ends no more."""
    plan_due(batch, HOLD, tuple(key), at)


def need_to_wait(order: OrderCopy, needs: Needs) -> None:
    """Need what `wait_for_rest` uses: where the open rests of a promise can be served from."""
    promise = order.promise
    if promise is None:
        return
    rests = [line["sku"] for line in load(promise.document)["lines"] if line["backordered"]]
    if rests:
        needs.customers[promise.content.customer] = None
        needs.zones.update(dict.fromkeys(promise.content.ways))
        needs.items.update(dict.fromkeys(rests))
        needs.freed_items.update(dict.fromkeys(rests))


def wait_for_rest(batch: Batch, order: OrderCopy) -> None:
    """Let open rests that do not wait yet wait, and have them served at once if there is something."""
    promise = order.promise
    assert promise is not None  # noqa: S101 - the callers looked
    rests = {line["line"]: line["backordered"] for line in load(promise.document)["lines"] if line["backordered"]}
    missing = {line: rest for line, rest in rests.items() if line not in promise.backorders}
    if not missing:
        return
    served = batch.served(promise.content, promise.ordered_at)
    request = request_of(order.key, promise.content, served, promise.ordered_at)
    for line in request.lines:
        if line.line in missing:
            add_backorder(batch, promise, request, line, missing[line.line])
            for key in sorted(batch.book.positions):
                if key.item_id == line.item_id:
                    batch.free(key, "stock_freed")
