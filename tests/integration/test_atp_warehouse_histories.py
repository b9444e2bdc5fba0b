"""A warehouse's whole history told in any order and more than once ends in what is physically there.

The history is made up by a model of its own: shelves with goods by status, and everything that happens there numbered
as a WMS numbers it. What is told is shuffled, some of it told twice, and orders come in between, of items with all
kinds of policies: nothing is oversold on the way, and every decision is made again from its record.
"""

import random
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.support.atp import Atp, an_order, in_days, running_atp, unique
from tests.support.atp_proofs import prove

BEGAN = datetime(2026, 1, 5, 8, tzinfo=UTC)
EVENTS = 22
POLICIES: tuple[dict[str, Any], ...] = (
    {},
    {"promising_rule": {"kind": "discrete"}},
    {"checking_horizon_days": 2},
    {"promising_rule": {"kind": "periods", "period_days": 2, "backward_periods": 1, "accumulation_periods": 1}},
)
MOVEMENTS, SNAPSHOTS = "/v1/supply/movements", "/v1/supply/snapshots"
Message = tuple[str, dict[str, Any]]


@pytest.fixture
async def atp(database_url: str) -> AsyncIterator[Atp]:
    async with running_atp(database_url) as running:
        yield running


@dataclass
class Warehouse:
    """The shelves of one item, and what has been written down of what happened to them."""

    item: str
    chance: random.Random
    orders: list[dict[str, Any]]
    available: int = 0
    quality: int = 0
    sequence: int = 0
    received: dict[str, int] = field(default_factory=dict)
    messages: list[Message] = field(default_factory=list)

    def receive(self, quantity: int, order: str | None = None) -> None:
        self.available += quantity
        if order is not None:
            self.received[order] = self.received.get(order, 0) + quantity
        self._tell(MOVEMENTS, kind="receipt", quantity=quantity, receipt_reference=order, receipt_source="erp")

    def happens(self) -> None:
        """Something, as far as there are goods for it."""
        quantity = self.chance.randint(1, 4)
        match self.chance.choice(("receive", "adjust", "issue", "ship", "miss", "return", "inspect", "count", "count")):
            case "receive":
                self.receive(quantity, self.chance.choice(("PO-1", "PO-2", None)))
            case "adjust":
                self._move("adjustment", self.chance.choice((quantity, -min(quantity, self.available))))
            case "issue":
                self._move("issue", -min(quantity, self.available))
            case "ship" | "miss" as what if self.available >= quantity:
                self.available -= quantity
                route = "shipped" if what == "ship" else "short-picked"
                self._tell(f"/v1/fulfilments/{route}", quantity=quantity, **self._of_order())
            case "return":
                self.quality += quantity
                self._tell("/v1/fulfilments/returned", quantity=quantity, **self._of_order())
            case "inspect" if self.quality:
                moved = min(quantity, self.quality)
                self.quality, self.available = self.quality - moved, self.available + moved
                self._tell(MOVEMENTS, kind="status_change", quantity=moved, status="quality", to_status="available")
            case "count":
                self.count()

    def count(self) -> None:
        """A full count; what was lost since the last one is only seen by it."""
        self.available -= self.chance.choice((0, 0, min(1, self.available)))
        self._write(
            SNAPSHOTS,
            {
                "on_hand": self.available,
                "statuses": {"quality": self.quality},
                "as_of": self._now(),
                "cursor": self.sequence,
            },
        )

    def _move(self, kind: str, quantity: int) -> None:
        if quantity:
            self.available += quantity
            self._tell(MOVEMENTS, kind=kind, quantity=quantity)

    def _of_order(self) -> dict[str, Any]:
        return {"order": self.chance.choice(self.orders)["order"], "line": "1"}

    def _tell(self, route: str, **fields: Any) -> None:
        self.sequence += 1
        said = {name: value for name, value in fields.items() if value is not None}
        if "receipt_reference" not in said:
            said.pop("receipt_source", None)
        self._write(route, {**said, "occurred_at": self._now(), "sequence": self.sequence})

    def _write(self, route: str, said: dict[str, Any]) -> None:
        name = {"source": "wms", "reference": unique("history"), "sku": self.item, "location": "L1"}
        self.messages.append((route, {**name, **said}))

    def _now(self) -> str:
        return (BEGAN + timedelta(minutes=len(self.messages))).isoformat()


async def tell(atp: Atp, message: Message) -> None:
    route, said = message
    answer = await atp.client.post(route, json={"items": [said]})
    assert answer.status_code == 200, (message, answer.text)


async def begin(atp: Atp, seed: int) -> Warehouse:
    """An item with purchase orders, opening stock and some orders that were promised from it."""
    item = await atp.item()
    policy = {"sku": item, "version": 2, **POLICIES[seed % len(POLICIES)]}
    assert (await atp.client.put(f"/v1/items/{item}", json=policy)).status_code == 200
    held_back = {"sku": item, "location": "L1", "buffer": 2, "channel": "web"}
    assert (await atp.client.put("/v1/buffers", json={"items": [held_back]})).status_code == 200
    for reference in ("PO-1", "PO-2"):
        entry = {
            "source": "erp",
            "reference": reference,
            "sku": item,
            "location": "L1",
            "quantity": 9,
            "due": in_days(3),
        }
        assert (await atp.client.post("/v1/supply/receipts", json={"items": [entry]})).status_code == 200
    chance = random.Random(seed)
    warehouse = Warehouse(item, chance, [an_order((item, chance.randint(1, 6))) for _ in range(5)])
    warehouse.receive(20)
    await tell(atp, warehouse.messages[0])
    for order in warehouse.orders:
        assert (await atp.place(order)).status_code == 201
    return warehouse


async def told_in_any_order(atp: Atp, warehouse: Warehouse, chance: random.Random) -> None:
    """Everything at least once; counts and movements pass each other, and orders come in between."""
    messages = [message for message in warehouse.messages for _ in range(chance.choice((1, 1, 2)))]
    chance.shuffle(messages)
    for message in messages:
        await tell(atp, message)
        if chance.random() < 0.3:
            channel = chance.choice(("web", "shop"))
            await atp.place(an_order((warehouse.item, chance.randint(1, 5)), channel=channel))


async def stock(atp: Atp, item: str) -> tuple[int, int, dict[str, int]]:
    (location,) = (await atp.client.get(f"/v1/stock/{item}")).json()["locations"]
    still_open = {each["reference"]: each["open"] for each in location["receipts"]}
    return location["statuses"]["available"], location["statuses"]["quality"], still_open


@pytest.mark.parametrize("seed", range(8))
async def test_any_order_of_what_a_warehouse_tells_ends_in_what_is_on_its_shelves(atp: Atp, seed: int) -> None:
    warehouse = await begin(atp, seed)
    for _ in range(EVENTS):
        warehouse.happens()
    await told_in_any_order(atp, warehouse, random.Random(seed + 1_000))
    on_order = {reference: 9 - warehouse.received.get(reference, 0) for reference in ("PO-1", "PO-2")}
    expected = {reference: quantity for reference, quantity in on_order.items() if quantity > 0}
    assert await stock(atp, warehouse.item) == (warehouse.available, warehouse.quality, expected)
    await atp.until("SELECT NOT EXISTS (SELECT FROM deficit_review)")
    await prove(atp)
