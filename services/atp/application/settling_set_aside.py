"""What is set aside for backorders, kept true whatever a batch did, and the days on which it begins and ends.

The re-decision sets stock aside (`services.atp.domain.setting_aside`). Here, before a batch is stored: nothing stays
set aside for a line that waits no more, nor more than it waits for, nor more than there is left; and each backorder
knows whether something is, so that whatever changes the order later finds the positions. What ends so is offered to
those behind, as freed stock is.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, time

from services.atp.application.batch import Batch
from services.atp.application.content import OrderKey
from services.atp.application.due import plan_due
from services.atp.application.orders import OrderCopy, PromiseCopy
from services.atp.application.turn_dates import TURN
from services.atp.domain.deficits import may_lack
from services.atp.domain.made_to_order import item_at
from services.atp.domain.model import Day, PositionKey, Request
from services.atp.domain.service_rule import SetAside
from services.atp.domain.set_aside import as_committed, lowered, window, within_supply

CAUSE = "stock_freed"


def plan_set_aside(batch: Batch, request: Request, items: Iterable[str], *, came: bool = False) -> None:
    """Let an order that takes all that it needs or nothing be asked anew when it is old enough, and when that ends.

    `came`: it came to wait; if it is old enough already, it is asked at once.
    """
    days = window(batch.book.service, request)
    if days is None:
        return
    first, last = days
    today = batch.book.today
    turns = [day for day in (first, last + 1) if day > today]
    if came and first <= today <= last:
        turns.append(today)
    for item_id in items:
        for day in turns:
            plan_due(batch, TURN, (item_id, f" {date.fromordinal(day)}"), max(batch.now, _begin(day)))


def settle_set_aside(batch: Batch) -> None:
    """Let what is set aside be as the batch leaves its orders and positions; nothing to do for most."""
    kept = {key: each for key, each in batch.book.positions.items() if each.set_aside}
    if not kept and batch.book.service.set_aside is None:
        return
    orders = {name: order.promise for name, order in batch.orders.items() if order.promise is not None}
    changed = dict.fromkeys(position.key for position in batch.workbook.changed_positions())
    for key in sorted(kept):
        _settle(batch, key, orders, supply_changed=key in changed)
    left = [each for key in kept for each in batch.book.positions[key].set_aside]
    found = dict.fromkeys(OrderKey(*each.place[2:4]) for each in left)
    for name in sorted(orders):
        if name in found or _told(orders[name]):
            _tell(batch, batch.orders[name], told=name in found)


def _settle(batch: Batch, key: PositionKey, orders: Mapping[OrderKey, PromiseCopy], *, supply_changed: bool) -> None:
    """Take from a position what is set aside for nobody, or beyond what there is."""
    position = batch.book.positions[key]
    left = [each for each in (_left(batch, key, one, orders) for one in position.set_aside) if each is not None]
    ended = tuple(left) != position.set_aside
    settled = replace(position, set_aside=tuple(left))
    item = batch.book.items.get(key.item_id)
    short = supply_changed and item is None and may_lack(as_committed(settled), batch.book.today)
    if supply_changed and item is not None:
        within = within_supply(settled, item_at(batch.book, key.location_id, item), batch.book.today)
        settled = replace(settled, set_aside=within)
    if settled.set_aside != position.set_aside:
        batch.workbook.put(settled)
    if (ended or short) and key not in batch.marks:
        batch.free(key, CAUSE)  # a run knows the item, and sets aside what is left


def _left(batch: Batch, key: PositionKey, one: SetAside, orders: Mapping[OrderKey, PromiseCopy]) -> SetAside | None:
    if batch.book.service.set_aside is None or batch.book.today > one.through:
        return None
    promise = orders.get(OrderKey(*one.place[2:4]))
    if promise is None:
        return one  # of an order that is not in this batch
    rests = [each for each in promise.backorders.values() if each.item_id == key.item_id]
    if not promise.content.ship_complete:
        rests = [each for each in rests if each.key.line == one.place[4]]
    steps = lowered(one.steps, sum(each.quantity for each in rests))
    return one._replace(steps=steps) if steps else None


def _told(promise: PromiseCopy) -> bool:
    return any(each.set_aside for each in promise.backorders.values()) or any(
        each.set_aside for each in promise.stored_backorders.values()
    )


def _tell(batch: Batch, order: OrderCopy, *, told: bool) -> None:
    """Let the backorders of an order know whether stock is set aside for it; count what begins and ends."""
    promise = order.promise
    assert promise is not None  # noqa: S101 - only orders with a promise are told
    before = any(each.set_aside for each in promise.stored_backorders.values())
    for line, each in list(promise.backorders.items()):
        if each.set_aside != told:
            promise.backorders[line] = replace(each, set_aside=told)
            batch.touched[order.key] = order
    if told and not before:
        batch.count("set_aside_begun")
    elif before and not told:
        served = any(part.open for part in promise.parts)
        batch.count("set_aside_served" if served else "set_aside_ended")


def _begin(day: Day) -> datetime:
    return datetime.combine(date.fromordinal(day), time.min, UTC)
