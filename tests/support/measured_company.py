"""A small company with a random year of orders and what became of them, driven through a running ATP in business time.

What was sent and what was answered is kept, so that `bench.recount` can count it again.
"""

import asyncio
import random
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Final

import orjson

from bench.recount import Rates, months, recount
from services.contracts import catalogue, topics
from tests.support.atp import DEADLINE_SECONDS, Atp, an_order, order_event, unique

CUSTOMERS: Final = {"customer-gold": "gold", "customer-silver": "silver"}
KINDS: Final = {
    "shipped": catalogue.FULFILMENT_SHIPPED,
    "delivered": catalogue.FULFILMENT_DELIVERED,
    "discrepancy": catalogue.FULFILMENT_DISCREPANCY,
    "activity": catalogue.FULFILMENT_ACTIVITY,
}


@dataclass
class Company:
    """One company, its random choices, and all that was said of its orders."""

    atp: Atp
    chance: random.Random
    start: date
    day: date = field(init=False)
    items: list[str] = field(default_factory=list)
    orders: list[dict[str, Any]] = field(default_factory=list)
    cancelled: set[str] = field(default_factory=set)
    planned: dict[tuple[str, str], int] = field(default_factory=dict)  # schedule lines of a line that will ship
    to_come: dict[date, list[tuple[str, dict[str, Any]]]] = field(default_factory=lambda: defaultdict(list))
    said: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    rates: Rates = field(default_factory=Rates)
    number: int = 0

    def __post_init__(self) -> None:
        self.day = self.start

    async def set_up(self) -> None:
        """Tiers, customers and items with little stock."""
        await self.move(self.start)
        for tier, rank in (("gold", 1), ("silver", 2)):
            await self.atp.tier(tier, rank)
        await self.atp.tier("bronze", 3, default=True)
        for customer, tier in CUSTOMERS.items():
            since = "2000-01-01T00:00:00+00:00"
            assignment = {"tier": tier, "effective_from": since, "effective_to": None, "sequence": 1}
            await self.atp.customer(customer, assignment)
        for _ in range(3):
            self.items.append(await self.atp.item(on_hand=self.chance.randrange(10, 40)))

    async def set_rate(self, path: str, name: str, start: date, amount: str | None, version: int = 1) -> None:
        """A cost from a day on."""
        field_name, subject = ("cost_minor", "sku") if path == "landed" else ("rate_minor", "activity")
        entry = {subject: name, "effective_from": start.isoformat(), field_name: amount, "version": version}
        answer = await self.atp.client.post(f"/v1/costs/{path}", json={"items": [entry]})
        assert answer.status_code == 200, answer.text
        known = self.rates.items if path == "landed" else self.rates.activities
        entries = [each for each in known.get(name, []) if each[0] != start.isoformat()]
        known[name] = entries + ([] if amount is None else [(start.isoformat(), Decimal(amount))])

    async def move(self, day: date) -> None:
        """Move business time to the noon of a day."""
        self.day = day
        at = datetime.combine(day, time(12), UTC).isoformat()
        answer = await self.atp.client.put("/internal/replay", json={"at": at, "phase": "settle", "step": 1})
        assert answer.status_code == 200, answer.text

    async def quiet(self) -> None:
        """Wait until all that was sent is applied and published."""
        async with asyncio.timeout(DEADLINE_SECONDS):
            while not (await self.atp.client.get("/internal/quiet?wait_seconds=1")).json()["quiet"]:  # noqa: ASYNC110 - it is another's state
                await asyncio.sleep(0.01)

    async def work_a_day(self) -> None:
        """Orders, a cancel now and then, what was planned to ship or arrive, and new stock now and then."""
        for _ in range(self.chance.randrange(3)):
            await self._order()
        if self.orders and self.chance.random() < 0.1:
            await self._cancel(self.chance.choice(self.orders))
        if self.chance.random() < 0.2:
            await self._receive()
        await self._plan()
        for kind, event in self.to_come.pop(self.day, []):
            await self.say(kind, event)
        await self.quiet()

    async def say(self, kind: str, event: dict[str, Any]) -> None:
        """Publish on `fulfilments.v1`, now and then twice."""
        known = event["order"]["order_id"]
        if kind == "shipped" and known in self.cancelled:
            return
        for _ in range(2 if self.chance.random() < 0.1 else 1):
            await self.atp.publish(order_event(KINDS[kind], event))
            self.said.append((kind, event))

    async def counted(self) -> dict[str, dict[str, dict[str, Any]]]:
        """The measures by month and tier, from events alone."""
        await self.atp.until_published()
        found = []
        for (name, _), records in self.atp.store.records.items():
            if name == topics.PROMISES.name:
                found += [(each.at, each.record) for each in records]
        told: list[dict[str, Any]] = []
        for _, record in sorted(found, key=lambda one: one[0]):
            headers = dict(record.headers)
            if headers["ce_type"].decode().startswith(("promise.answered", "promise.changed")):
                told.append(orjson.loads(record.value or b"") | {"at": headers["ce_time"].decode()})
        return months(recount(told, self.said), self.rates, self.day)

    async def measured(self, month: str) -> dict[str, Any]:
        """The month as the ATP tells it, once all that changed is measured."""
        async with asyncio.timeout(DEADLINE_SECONDS):
            while True:
                answer = await self.atp.client.get("/v1/service-levels", params={"month": month})
                assert answer.status_code == 200, answer.text
                document: dict[str, Any] = answer.json()
                if not document["behind"]:
                    return document
                await asyncio.sleep(0.02)

    async def until_closed(self, month: str) -> None:
        """Wait until a month that is due is closed."""
        async with asyncio.timeout(DEADLINE_SECONDS):
            while (await self.measured(month))["state"] != "closed":  # noqa: ASYNC110 - it is another's state
                await asyncio.sleep(0.02)

    async def _order(self) -> None:
        chosen = self.chance.sample(self.items, self.chance.randrange(1, 3))
        lines = [(item, self.chance.randrange(1, 9)) for item in chosen]
        if self.chance.random() < 0.05:
            lines.append((unique("never-heard-of"), 1))
        customer = self.chance.choice([*CUSTOMERS, "nobody"])
        wanted = self.day + timedelta(days=self.chance.randrange(1, 7))
        order = an_order(*lines, customer={"system": "erp", "id": customer}, requested_arrival=wanted.isoformat())
        answer = await self.atp.place(order)
        assert answer.status_code == 201, answer.text
        self.orders.append(order | {"promise_id": answer.json()["promise_id"]})
        if self.chance.random() < 0.3:
            self._later(0, 5, "activity", self._report(order, activity=self.chance.choice(["contact", "pallet"])))
        if self.chance.random() < 0.2:
            paid = self._report(order, activity=self.chance.choice(["pick", "delivery", "line"]))
            self._later(0, 5, "activity", paid | {"actual_cost_minor": self.chance.randrange(50)})

    async def _cancel(self, order: dict[str, Any]) -> None:
        await self.atp.client.post(f"/v1/promises/{order['promise_id']}:cancel", json={"version": 1})
        self.cancelled.add(order["order"]["order_id"])

    async def _receive(self) -> None:
        self.number += 1
        movement = {
            "source": "wms",
            "reference": f"GR-{self.number}",
            "sku": self.chance.choice(self.items),
            "location": "L1",
            "kind": "receipt",
            "quantity": self.chance.randrange(5, 30),
            "occurred_at": self._moment(self.day),
        }
        answer = await self.atp.client.post("/v1/supply/movements", json={"items": [movement]})
        assert answer.status_code == 200, answer.text
        await self.quiet()

    async def _plan(self) -> None:
        """Decide how each new schedule line will leave and arrive."""
        for order in self.orders:
            promise = (await self.atp.client.get(f"/v1/promises/{order['promise_id']}")).json()
            for line in promise["lines"]:
                key = (order["promise_id"], line["line"])
                if promise["state"] == "cancelled":
                    continue
                for part in line["schedule"][self.planned.get(key, 0) :]:
                    self._plan_part(order, line, part)
                self.planned[key] = len(line["schedule"])

    def _plan_part(self, order: dict[str, Any], line: dict[str, Any], part: dict[str, Any]) -> None:
        first = self.chance.randrange(1, part["quantity"] + 1)
        for quantity in [each for each in (first, part["quantity"] - first) if each]:
            if self.chance.random() < 0.07:
                continue  # it is never seen again
            leaves = max(self.day, date.fromisoformat(part["ship_date"])) + timedelta(
                days=self.chance.choice([0, 0, 0, 1, 4])
            )
            extra = self.chance.choice([0] * 12 + [1])
            goods = {"sku": line["sku"], "location": part["location"], "quantity": quantity + extra}
            paid = {"actual_cost_minor": self.chance.randrange(900)} if self.chance.random() < 0.5 else {}
            name = self._name(order, leaves) | {"line": line["line"]}
            self.to_come[max(leaves, self.day)].append(("shipped", name | goods | paid))
            if self.chance.random() < 0.9:
                arrives = leaves + timedelta(days=self.chance.choice([1, 2, 2, 2, 5, 40]))
                event = self._name(order, arrives) | {"line": line["line"], "quantity": quantity}
                self.to_come[arrives].append(("delivered", event))
            if self.chance.random() < 0.1:
                fault = {"line": line["line"], "kind": "damaged", "quantity": 1}
                self.to_come[leaves + timedelta(days=6)].append(
                    ("discrepancy", self._name(order, leaves + timedelta(days=6)) | fault)
                )

    def _report(self, order: dict[str, Any], **more: Any) -> dict[str, Any]:
        return self._name(order, self.day) | {"quantity": self.chance.randrange(1, 3), **more}

    def _later(self, least: int, most: int, kind: str, event: dict[str, Any]) -> None:
        day = self.day + timedelta(days=self.chance.randrange(least, most))
        self.to_come[day].append((kind, event | {"occurred_at": self._moment(day)}))

    def _name(self, order: dict[str, Any], day: date) -> dict[str, Any]:
        self.number += 1
        reference = {"source": "wms", "reference": f"R-{self.number}", "order": order["order"]}
        return reference | {"occurred_at": self._moment(day)}

    def _moment(self, day: date) -> str:
        return datetime.combine(day, time(9), UTC).isoformat()


async def forget_measures(atp: Atp) -> None:
    """Empty the tables of measures and costs, for the next test on the same database."""
    for table in ("service_correction", "service_month", "service_breach", "measure_total", "cost_rate"):
        await atp.execute(f"DELETE FROM {table}")
    await atp.execute("UPDATE measured_order SET amounts = '[]', missed_from = NULL, missed_to = NULL")
