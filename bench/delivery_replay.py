"""Drives a recorded history of deliveries through the running services, on the days on which something happened.

A day has two rounds. First what the warehouse says: the goods that leave on this day come in (closing the receipt that
was announced for them), are shipped and, `TRANSIT_DAYS` later, delivered, on `fulfilments.v1`. Then what is ordered on
this day: its receipts are announced, each due in time for the recorded promise, and the orders are placed, by HTTP and
by the event log in turn. The replay says nothing to the services before the day on which it was known.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any, Final

import orjson

from bench.delivery_history import NOTICE_DAYS, TIERS, TRANSIT_DAYS, Line, Order, Past
from services.contracts import topics
from tiercel.demo.channels import LogChannel, Outgoing, ReplayFailedError, ServiceClients
from tiercel.demo.settling import set_time, settled

ROWS_AT_ONCE: Final = 1_000
SOURCE: Final = "programme"
WAREHOUSE: Final = "wms"
PURCHASING: Final = "erp"
ON_TIME_TARGET_BP: Final = 9_000
NEVER: Final = {  # orders in a day that nobody reaches, and value that nobody falls below: nobody is moved
    "promote": {"feature": "orders", "window_days": 1, "at_least": "1000000000"},
    "demote": {"feature": "value", "window_days": 1, "below": "0"},
}


def rules_by_which_nobody_moves(folder: Path) -> dict[str, Any]:
    """The settings of services that begin with such rules; the folder holds their file."""
    rungs = [{"tier": tier, **NEVER} for tier in TIERS[:-1]]
    rules = {"rungs": rungs, "floor": TIERS[-1], "minimum_dwell_days": 0, "proposal_ttl_days": 1}
    file = folder / "rules.json"
    file.write_bytes(orjson.dumps(rules))
    return {"reclassifier_rule_set_file": file}


@dataclass(slots=True)
class Replay:
    """One replay; `start` is the first day of orders, `end` a day after everything."""

    orders: Sequence[Order]
    past: Past
    clients: ServiceClients
    channel: LogChannel
    start: date = field(init=False)
    end: date = field(init=False)
    step: int = 0
    _placed: dict[date, list[Order]] = field(default_factory=lambda: defaultdict(list))
    _left: dict[date, list[tuple[Order, Line]]] = field(default_factory=lambda: defaultdict(list))
    _came: dict[date, list[tuple[Order, Line]]] = field(default_factory=lambda: defaultdict(list))

    def __post_init__(self) -> None:
        for order in self.orders:
            self._placed[order.ordered].append(order)
            for line in order.lines:
                self._left[line.left].append((order, line))
                self._came[line.delivered].append((order, line))
        self.start = self.orders[0].ordered
        last = max(max(line.promised, line.delivered) for order in self.orders for line in order.lines)
        self.end = last + timedelta(days=NOTICE_DAYS)

    async def set_up(self) -> None:
        """Tiers, customers, locations with a lane each, items and what they cost: all from the past alone."""
        await set_time(self.clients, _at(self.start - timedelta(days=1), 0), "settle", 0)
        for rank, tier in enumerate(TIERS, start=1):
            body = {"name": tier.title(), "priority_rank": rank, "is_default": tier == TIERS[-1]}
            policy = {"on_time_target_bp": ON_TIME_TARGET_BP}
            await self.clients.call("segment_registry", "PUT", f"/v1/tiers/{tier}", body | {"policy": policy})
        for location in sorted({order.location for order in self.orders}):
            await self.clients.call("atp", "PUT", f"/v1/locations/{location}", {"time_zone": "UTC"})
            lane = {"zone": location, "location": location, "service": "freight", "carrier_class": "standard"}
            costs = {"transit_days": TRANSIT_DAYS, "cost_shipment_minor": self.past.freight_cents}
            await self.clients.call("atp", "PUT", "/v1/lanes", {"items": [lane | costs]})
        customers = sorted({order.customer for order in self.orders})
        await self._many("segment_registry", "/v1/imports", [self._customer(each) for each in customers])
        skus = sorted({line.sku for order in self.orders for line in order.lines})
        items = [{"sku": sku, "past_due_supply_days": self.past.late_days} for sku in skus]
        await self._many("atp", "/v1/items", items)
        known = [sku for sku in skus if sku in self.past.landed_cents]
        await self._many("atp", "/v1/costs/landed", [self._landed(sku) for sku in known])
        await settled(self.clients)

    async def run(self) -> None:
        """Replay day after day; raises `ReplayFailedError` when something is refused or never answered."""
        days = sorted(self._placed.keys() | self._left.keys() | self._came.keys())
        for number, day in enumerate(days, start=1):
            self.step += 1
            await self._warehouse(day)
            if self._placed.get(day):
                await self._order(day, self._placed[day], by_log=self.step % 2 == 0)
            if number % 100 == 0 or number == len(days):
                print(f"  {day}: {number:,} of {len(days):,} days", flush=True)
        self.step += 1
        await self._settle(_at(self.end, 12))

    async def _warehouse(self, day: date) -> None:
        await set_time(self.clients, _at(day, 6), "intake", self.step)
        left, came = self._left.get(day, []), self._came.get(day, [])
        await self._many("atp", "/v1/supply/movements", [_received(order, line) for order, line in left])
        told = [("fulfilment.shipped.v1", _shipped(order, line)) for order, line in left]
        told += [("fulfilment.delivered.v1", _delivered(order, line)) for order, line in came]
        await self.channel.send(
            [
                Outgoing(kind, topics.FULFILMENTS.name, body["order"]["order_id"], f"{kind}/{body['reference']}", body)
                for kind, body in told
            ],
            _at(day, 6),
        )
        await settled(self.clients)
        await self._settle(_at(day, 6))

    async def _order(self, day: date, orders: Sequence[Order], *, by_log: bool) -> None:
        at = _at(day, 9)
        await set_time(self.clients, at, "intake", self.step)
        receipts = [_receipt(order, line) for order in orders for line in order.lines]
        await self._many("atp", "/v1/supply/receipts", receipts)
        bodies = [_placed(order, at) for order in orders]
        if by_log:
            await self.channel.send(
                [
                    Outgoing("order.placed.v2", topics.ORDERS.name, order_id, f"order/{order_id}", body)
                    for body in bodies
                    for order_id in [body["order"]["order_id"]]
                ],
                at,
            )
        else:
            for body in bodies:
                await self.clients.call("atp", "POST", "/v1/promises", body)
        await self.channel.answered([order.order_id for order in orders])
        await settled(self.clients)
        await self._settle(at)

    async def _settle(self, at: datetime) -> None:
        await set_time(self.clients, at, "settle", self.step)
        await settled(self.clients)
        await self.channel.caught_up()

    async def _many(self, service: str, path: str, rows: Sequence[dict[str, Any]]) -> None:
        for start in range(0, len(rows), ROWS_AT_ONCE):
            answer = await self.clients.call(service, "POST", path, {"items": rows[start : start + ROWS_AT_ONCE]})
            if answer.get("refused"):
                raise ReplayFailedError(f"{path}: {answer}")

    def _customer(self, customer: str) -> dict[str, Any]:
        tier = self.past.tiers.get(customer, TIERS[-1])
        identifiers = [{"system": SOURCE, "id": customer}]
        return {"identifiers": identifiers, "reason": "value of the orders of the past", "tier": tier}

    def _landed(self, sku: str) -> dict[str, Any]:
        cost = f"{self.past.landed_cents[sku]:f}"
        return {"sku": sku, "effective_from": self.start.isoformat(), "cost_minor": cost, "version": 1}


def _at(day: date, hour: int) -> datetime:
    return datetime.combine(day, time(hour, 1), UTC)


def _ref(order: Order) -> dict[str, Any]:
    return {"source": SOURCE, "order_id": order.order_id, "version": 1}


def _receipt(order: Order, line: Line) -> dict[str, Any]:
    where = {"sku": line.sku, "location": order.location, "quantity": line.quantity}
    return {"source": PURCHASING, "reference": f"PO-{line.line}", **where, "due": line.due_in.isoformat()}


def _received(order: Order, line: Line) -> dict[str, Any]:
    return {
        "source": WAREHOUSE,
        "reference": f"GR-{line.line}",
        "sku": line.sku,
        "location": order.location,
        "kind": "receipt",
        "quantity": line.quantity,
        "occurred_at": _at(line.left, 5).isoformat(),
        "receipt_source": PURCHASING,
        "receipt_reference": f"PO-{line.line}",
    }


def _shipped(order: Order, line: Line) -> dict[str, Any]:
    paid = {} if line.freight is None else {"actual_cost_minor": line.freight}
    return {
        "source": WAREHOUSE,
        "reference": f"SH-{line.line}",
        "order": _ref(order),
        "line": line.line,
        "sku": line.sku,
        "location": order.location,
        "quantity": line.quantity,
        "occurred_at": _at(line.left, 6).isoformat(),
        **paid,
    }


def _delivered(order: Order, line: Line) -> dict[str, Any]:
    return {
        "source": WAREHOUSE,
        "reference": f"DL-{line.line}",
        "order": _ref(order),
        "line": line.line,
        "quantity": line.quantity,
        "occurred_at": _at(line.delivered, 6).isoformat(),
    }


def _placed(order: Order, at: datetime) -> dict[str, Any]:
    return {
        "order": _ref(order),
        "customer": {"system": SOURCE, "id": order.customer},
        "ordered_at": at.isoformat(),
        "ship_to": {"zone": order.location},
        "lines": list(_lines(order.lines)),
    }


def _lines(lines: Iterable[Line]) -> Iterable[dict[str, Any]]:
    for line in lines:
        body = {"line": line.line, "sku": line.sku, "quantity": line.quantity}
        yield body | {"unit_price": f"{line.price:f}", "requested_arrival": line.promised.isoformat()}
