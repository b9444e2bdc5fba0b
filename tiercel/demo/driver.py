"""Drives a history through the running services, day by day; each day settles before the next one starts.

A day has two rounds. Morning: supply is announced and arrives, goods ship, are delivered and come back; then what
that causes settles. Then the day's orders, in (event time, order id), in chunks that go by HTTP and by the event log in
turn, the next one only when the last is answered; then what they cause (backorders served, customers moved) settles.
Events of the log whose name falls on one in `COPY_ONE_IN` are sent twice on purpose.
"""

import asyncio
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from itertools import cycle
from typing import Any, Final

from services.contracts import topics
from tiercel.demo.channels import LogChannel, Outgoing, ReplayFailedError, ServiceClients
from tiercel.demo.history import History, HistoryOrder
from tiercel.demo.settling import set_time, settled
from tiercel.demo.stock_model import Delivery, StockPlan
from tiercel.demo.warehouse import Warehouse
from tiercel.demo.world import CUSTOMER_SYSTEM, PURCHASING, SOURCE

CHUNK_LINES_MAX: Final = 1_000  # lines in one chunk of orders, whichever channel it takes: some 300 kB
SUPPLY_ITEMS_MAX: Final = 1_000  # movements or receipts in one request
COPY_ONE_IN: Final = 100
TRIES_MAX: Final = 100
AGAIN_LATER: Final = 503
RUN_OUT_DAYS_MAX: Final = 30  # days after the last order in which what is open may still arrive and ship


@dataclass(slots=True)
class Sent:
    """What the replay sent, to be compared with what was applied."""

    orders_by_http: int = 0
    orders_by_log: int = 0
    copies: int = 0
    receipts: int = 0
    snapshots: int = 0
    acknowledged: dict[str, str] = field(default_factory=dict)  # promise id by order id, as HTTP answered


@dataclass(slots=True)
class Replay:
    """One replay: what drives it and what it keeps."""

    history: History
    plan: StockPlan
    clients: ServiceClients
    channel: LogChannel
    warehouse: Warehouse
    progress: Callable[[int, int, date], None]
    sent: Sent = field(default_factory=Sent)
    step: int = 0
    done: int = 0
    day_done: asyncio.Event = field(default_factory=asyncio.Event)
    _by_http: bool = True
    _partitions: Iterator[int] = field(default_factory=lambda: cycle(range(topics.ORDERS.partitions)))

    async def run(self) -> None:
        """Drive the whole history; raises `ReplayFailedError` when a service refuses or never answers."""
        orders = _by_day(self.history.orders)
        announced, arriving = _deliveries_by_day(self.plan.deliveries)
        first, last = min(orders), max(orders)
        day = first
        while day <= last or (day <= last + timedelta(days=RUN_OUT_DAYS_MAX) and self._open(day, arriving)):
            opening = self.warehouse.open_stock(self.plan.openings, day) if day == first else []
            await self._morning(day, opening, announced.get(day, []), arriving.get(day, []))
            todays = orders.get(day, [])
            if todays:
                await self._take_orders(todays)
            self.done += len(todays)
            self.day_done.set()
            self.progress(self.done, sum(len(order.lines) for order in todays), day)
            day += timedelta(days=1)
        await self._settle(_morning_of(day))

    def _open(self, day: date, arriving: dict[date, list[Delivery]]) -> bool:
        return self.warehouse.busy or any(found >= day for found in arriving)

    async def _morning(
        self, day: date, opening: list[dict[str, Any]], announced: list[Delivery], arriving: list[Delivery]
    ) -> None:
        at = _morning_of(day)
        self.step += 1
        await set_time(self.clients, at, "intake", self.step)
        await self._supply("receipts", "supply.receipt.v1", [_receipt(delivery) for delivery in announced], at)
        movements = opening + self.warehouse.receive(arriving, day)
        returned = self.warehouse.take_back(day)
        shipped, delivered = self.warehouse.ship(day), self.warehouse.deliver(day)
        await self._supply("movements", "supply.movement.v1", movements, at)
        await self._log(_fulfilments("fulfilment.shipped.v1", shipped), at)
        await self._log(_fulfilments("fulfilment.delivered.v1", delivered), at)
        await self._log(_fulfilments("fulfilment.returned.v1", returned), at)
        counts = self.warehouse.count(day)
        self.sent.receipts += len(announced)
        self.sent.snapshots += len(counts)
        await self._supply("snapshots", "supply.snapshot.v1", counts, at)
        await settled(self.clients)
        await self._settle(at)

    async def _settle(self, at: datetime) -> None:
        await set_time(self.clients, at, "settle", self.step)
        await settled(self.clients)
        await self.channel.caught_up()

    async def _supply(self, path: str, event_type: str, items: Sequence[dict[str, Any]], at: datetime) -> None:
        """Supply by HTTP on even days and by the event log on odd ones."""
        if not items:
            return
        if at.toordinal() % 2:
            await self._log(
                [
                    Outgoing(event_type, topics.SUPPLY.name, item["sku"], f"{path}/{item['reference']}", item)
                    for item in items
                ],
                at,
            )
            return
        for start in range(0, len(items), SUPPLY_ITEMS_MAX):
            chunk = items[start : start + SUPPLY_ITEMS_MAX]
            await self.clients.call("atp", "POST", f"/v1/supply/{path}", {"items": chunk})

    async def _log(self, events: Sequence[Outgoing], at: datetime) -> None:
        copies = [event for event in events if zlib.crc32(event.name.encode()) % COPY_ONE_IN == 0]
        self.sent.copies += len(copies)
        await self.channel.send([*events, *copies], at)

    async def _take_orders(self, orders: Sequence[HistoryOrder]) -> None:
        at = max(order.ordered_at for order in orders)
        await set_time(self.clients, at, "intake", self.step)
        for chunk in _chunks(orders):
            bodies = [_order(order) for order in chunk]
            if self._by_http:
                await self._by_http_batch(bodies)
                self.sent.orders_by_http += len(chunk)
            else:
                await self._log(_placed(chunk, bodies, next(self._partitions)), at)
                self.sent.orders_by_log += len(chunk)
                await self.channel.answered([order.order_id for order in chunk])
            self._by_http = not self._by_http
        await settled(self.clients)
        await self._settle(at)
        await self.channel.answered([order.order_id for order in orders])

    async def _by_http_batch(self, bodies: list[dict[str, Any]]) -> None:
        """Orders whose answer says that it is not known, or not now, are sent again."""
        for _ in range(TRIES_MAX):
            answer = await self.clients.call("atp", "POST", "/v1/promises:batch", {"items": bodies})
            again = []
            for body, result in zip(bodies, answer["items"], strict=True):
                order_id = body["order"]["order_id"]
                if result["status"] == AGAIN_LATER:
                    again.append(body)
                elif "promise" in result:
                    self.sent.acknowledged[order_id] = result["promise"]["promise_id"]
                else:
                    raise ReplayFailedError(f"order {order_id} was refused: {result}")
            if not again:
                return
            bodies = again
        raise ReplayFailedError(f"{len(bodies)} orders were put off {TRIES_MAX} times")


def _order(order: HistoryOrder) -> dict[str, Any]:
    lines = []
    for line in order.lines:
        body: dict[str, Any] = {"line": line.line, "sku": line.sku, "quantity": line.quantity}
        if line.unit_price is not None:
            body["unit_price"] = f"{line.unit_price:f}"
        if line.requested_arrival is not None:
            body["requested_arrival"] = line.requested_arrival.isoformat()
        lines.append(body)
    return {
        "order": {"source": SOURCE, "order_id": order.order_id, "version": 1},
        "customer": {"system": CUSTOMER_SYSTEM, "id": order.customer_id},
        "ordered_at": order.ordered_at.isoformat(),
        "ship_to": {"zone": order.zone},
        "lines": lines,
    }


def _placed(orders: Sequence[HistoryOrder], bodies: Sequence[dict[str, Any]], partition: int) -> list[Outgoing]:
    """One sorted batch, which is decided in its order."""
    return [
        Outgoing("order.placed.v2", topics.ORDERS.name, order.order_id, f"order/{order.order_id}", body, partition)
        for order, body in zip(orders, bodies, strict=True)
    ]


def _receipt(delivery: Delivery) -> dict[str, Any]:
    return {
        "source": PURCHASING,
        "reference": delivery.reference,
        "sku": delivery.sku,
        "location": delivery.location,
        "quantity": delivery.quantity,
        "due": delivery.due.isoformat(),
    }


def _fulfilments(event_type: str, payloads: Iterable[dict[str, Any]]) -> list[Outgoing]:
    return [
        Outgoing(
            event_type, topics.FULFILMENTS.name, body["order"]["order_id"], f"fulfilment/{body['reference']}", body
        )
        for body in payloads
    ]


def _chunks(orders: Sequence[HistoryOrder]) -> Iterator[list[HistoryOrder]]:
    chunk: list[HistoryOrder] = []
    lines = 0
    for order in orders:
        if chunk and lines + len(order.lines) > CHUNK_LINES_MAX:
            yield chunk
            chunk, lines = [], 0
        chunk.append(order)
        lines += len(order.lines)
    if chunk:
        yield chunk


def _by_day(orders: Iterable[HistoryOrder]) -> dict[date, list[HistoryOrder]]:
    found: dict[date, list[HistoryOrder]] = defaultdict(list)
    for order in orders:
        found[order.ordered_at.date()].append(order)
    return found


def _deliveries_by_day(
    deliveries: Iterable[Delivery],
) -> tuple[dict[date, list[Delivery]], dict[date, list[Delivery]]]:
    announced: dict[date, list[Delivery]] = defaultdict(list)
    arriving: dict[date, list[Delivery]] = defaultdict(list)
    for delivery in deliveries:
        announced[delivery.announced].append(delivery)
        arriving[delivery.arrives].append(delivery)
    return announced, arriving


def eve_of(history: History) -> datetime:
    """A moment before everything: when the company is set up."""
    return _morning_of(history.orders[0].ordered_at.date()) - timedelta(days=1)


def _morning_of(day: date) -> datetime:
    return datetime.combine(day, time(0, 1), UTC)
