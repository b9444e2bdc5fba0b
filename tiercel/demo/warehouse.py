"""The warehouse of a replay: it receives, ships what was promised when it has it, counts, and says so in events.

It is a model apart from the ATP: it knows only what a WMS knows (deliveries that came, promises that were published),
so that the two pictures of the stock can be compared at the end.
"""

import heapq
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from typing import Any, Final

from tiercel.demo.returning import Returns
from tiercel.demo.stock_model import Delivery, Opening
from tiercel.demo.world import PURCHASING, WAREHOUSE

COUNTED_EACH_WEEK: Final = 10  # positions that get a full count on a count day
COUNT_EVERY_DAYS: Final = 7
OVER: Final = ("cancelled", "closed")  # states of a promise of which nothing is left to ship


@dataclass(slots=True)
class _Task:
    """A promised quantity that has not left yet."""

    order: dict[str, Any]
    line: str
    sku: str
    location: str
    quantity: int
    promised_ship: date
    arrival: date


@dataclass(frozen=True, slots=True)
class _Shipment:
    """What left and has not reached the customer."""

    order: dict[str, Any]
    line: str
    sku: str
    location: str
    quantity: int


@dataclass(slots=True)
class Warehouse:
    """Physical stock by (sku, location) and the work to do, in order of promised ship date.

    What is over is forgotten but for `shipped_in_time`: the units of an order that left by their promised ship date.
    """

    stock: dict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(int))
    sequence: dict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(int))
    shipped_in_time: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    movements_sent: int = 0
    shipments_sent: int = 0
    deliveries_sent: int = 0
    returns_sent: int = 0
    returned_units: int = 0
    returns: Returns = field(default_factory=Returns)
    _tasks: dict[str, list[_Task]] = field(default_factory=dict)
    _gone: dict[str, dict[tuple[str, str], int]] = field(default_factory=dict)
    _backordered: dict[str, int] = field(default_factory=dict)
    _in_transit: list[tuple[date, int, _Shipment]] = field(default_factory=list)

    def open_stock(self, openings: tuple[Opening, ...], day: date) -> list[dict[str, Any]]:
        """Opening stock as receipt movements."""
        return [
            self._movement(
                opening.sku, opening.location, opening.quantity, day, f"OPEN-{opening.sku}-{opening.location}"
            )
            for opening in openings
        ]

    def receive(self, deliveries: list[Delivery], day: date) -> list[dict[str, Any]]:
        """Deliveries that arrive on `day` as receipt movements that close their scheduled receipts."""
        found = []
        for delivery in deliveries:
            reference = f"GR-{delivery.reference}"
            movement = self._movement(delivery.sku, delivery.location, delivery.quantity, day, reference)
            found.append(movement | {"receipt_reference": delivery.reference, "receipt_source": PURCHASING})
        return found

    def count(self, day: date) -> list[dict[str, Any]]:
        """On count days, full counts of some positions with the cursor that they include."""
        if day.toordinal() % COUNT_EVERY_DAYS:
            return []
        keys = sorted(self.stock)
        start = (day.toordinal() // COUNT_EVERY_DAYS * COUNTED_EACH_WEEK) % max(1, len(keys))
        return [
            {
                "source": WAREHOUSE,
                "reference": f"COUNT-{day.isoformat()}-{sku}-{location}",
                "sku": sku,
                "location": location,
                "on_hand": self.stock[sku, location],
                "as_of": _at(day),
                "cursor": self.sequence[sku, location],
            }
            for sku, location in keys[start : start + COUNTED_EACH_WEEK]
        ]

    def learn(self, promise: dict[str, Any]) -> None:
        """Take over a promise as published: its schedule, less what has left, replaces what was known of the order."""
        order = promise["order"]
        order_id = order["order_id"]
        self._backordered[order_id] = sum(line["backordered"] > 0 for line in promise["lines"])
        tasks: list[_Task] = []
        if promise["state"] in OVER:
            self._gone.pop(order_id, None)
        else:
            for line in promise["lines"]:
                tasks.extend(self._open_parts(order, line))
        if tasks:
            self._tasks[order_id] = tasks
        else:
            self._tasks.pop(order_id, None)

    def ship(self, day: date) -> list[dict[str, Any]]:
        """Ship all that is due and physically there, earliest promise first, then by order id."""
        due = [
            (task.promised_ship, order_id, number, task)
            for order_id, tasks in self._tasks.items()
            for number, task in enumerate(tasks)
            if task.promised_ship <= day
        ]
        events = []
        for _, _, _, task in sorted(due, key=lambda entry: entry[:3]):
            quantity = min(task.quantity, self.stock[task.sku, task.location])
            if quantity:
                events.append(self._shipped_event(task, quantity, day))
                task.quantity -= quantity
        for order_id in sorted({entry[1] for entry in due}):
            self._tasks[order_id] = [task for task in self._tasks[order_id] if task.quantity]
            if not self._tasks[order_id]:
                del self._tasks[order_id]
        return events

    def deliver(self, day: date) -> list[dict[str, Any]]:
        """Deliveries to customers that arrive by `day`."""
        events = []
        while self._in_transit and self._in_transit[0][0] <= day:
            _, number, shipment = heapq.heappop(self._in_transit)
            self.deliveries_sent += 1
            self.returns.deliver(shipment.order, shipment.line, shipment.sku, shipment.location, shipment.quantity)
            events.append(
                {
                    "source": WAREHOUSE,
                    "reference": f"DL-{number}",
                    "order": shipment.order,
                    "line": shipment.line,
                    "quantity": shipment.quantity,
                    "occurred_at": _at(day),
                }
            )
        return events

    def take_back(self, day: date) -> list[dict[str, Any]]:
        """Goods that customers sent back; they wait for inspection, so that stock on hand stays as it is."""
        events = []
        for came in self.returns.take(day):
            self.returns_sent += 1
            self.returned_units += came.quantity
            told = {"source": WAREHOUSE, "occurred_at": _at(day), "sequence": self._next(came.sku, came.location)}
            events.append(told | came._asdict())
        return events

    @property
    def backlog_lines(self) -> int:
        """Order lines of which something is backordered, as far as promises say."""
        return sum(self._backordered.values())

    @property
    def busy(self) -> bool:
        """Whether anything that could ship or arrive is open."""
        return (
            bool(self._in_transit)
            or self.returns.busy
            or any(self.stock[task.sku, task.location] > 0 for tasks in self._tasks.values() for task in tasks)
        )

    def _open_parts(self, order: dict[str, Any], line: dict[str, Any]) -> Iterator[_Task]:
        gone: dict[str, int] = {}
        gone_of_order = self._gone.get(order["order_id"], {})
        for part in sorted(line["schedule"], key=lambda part: (part["ship_date"], part["arrival_date"])):
            location = part["location"]
            left = gone.setdefault(location, gone_of_order.get((line["line"], location), 0))
            done = min(left, part["quantity"])
            gone[location] = left - done
            if part["quantity"] > done:
                ship, arrival = date.fromisoformat(part["ship_date"]), date.fromisoformat(part["arrival_date"])
                yield _Task(order, line["line"], line["sku"], location, part["quantity"] - done, ship, arrival)

    def _movement(self, sku: str, location: str, quantity: int, day: date, reference: str) -> dict[str, Any]:
        self.stock[sku, location] += quantity
        self.movements_sent += 1
        return {
            "source": WAREHOUSE,
            "reference": reference,
            "sku": sku,
            "location": location,
            "kind": "receipt",
            "quantity": quantity,
            "occurred_at": _at(day),
            "sequence": self._next(sku, location),
        }

    def _shipped_event(self, task: _Task, quantity: int, day: date) -> dict[str, Any]:
        self.stock[task.sku, task.location] -= quantity
        self.shipments_sent += 1
        order_id, place = task.order["order_id"], (task.line, task.location)
        gone = self._gone.setdefault(order_id, {})
        gone[place] = gone.get(place, 0) + quantity
        if day <= task.promised_ship:
            self.shipped_in_time[order_id] += quantity
        arrives = task.arrival + (day - task.promised_ship)
        shipment = _Shipment(task.order, task.line, task.sku, task.location, quantity)
        heapq.heappush(self._in_transit, (arrives, self.shipments_sent, shipment))
        return {
            "source": WAREHOUSE,
            "reference": f"SH-{self.shipments_sent}",
            "order": task.order,
            "line": task.line,
            "sku": task.sku,
            "location": task.location,
            "quantity": quantity,
            "occurred_at": _at(day),
            "sequence": self._next(task.sku, task.location),
        }

    def _next(self, sku: str, location: str) -> int:
        self.sequence[sku, location] += 1
        return self.sequence[sku, location]


def _at(day: date) -> str:
    return datetime.combine(day, time(6), UTC).isoformat()
