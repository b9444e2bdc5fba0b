"""A customer's orders turn its demand profile, and its next promise goes by the other policy: over both event logs."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.support.processes import deployed
from tests.support.serve import Served
from tests.support.waiting import until

pytestmark = pytest.mark.timeout(900)

Ask = Callable[[str, str, str, Any], Awaitable[httpx.Response]]
LANE: dict[str, Any] = {"zone": "*", "location": "DC-7", "service": "parcel", "carrier_class": "standard"}
LANE |= {"rank": 1, "transit_days": 2, "cost_shipment_minor": 450, "cost_unit_minor": 5}
RECEIPT: dict[str, Any] = {"source": "wms", "reference": "GR-7", "sku": "TEA-7", "location": "DC-7", "kind": "receipt"}
RECEIPT |= {"quantity": 100_000, "occurred_at": "2026-01-05T08:00:00Z"}
POLICY = {
    "packaging": "box",
    "micro_segments": [
        {"name": "now-and-then", "demand_profiles": ["intermittent", "lumpy"], "policy": {"packaging": "bag"}}
    ],
}


async def _prepare(ask: Ask) -> None:
    (tier,) = (await ask("segment_registry", "GET", "/v1/tiers", None)).json()["items"]
    definition = {"name": tier["name"], "priority_rank": tier["priority_rank"], "is_default": True, "policy": POLICY}
    identifiers = {"identifiers": [{"system": "shop", "id": "C-7"}, {"system": "crm", "id": "17"}]}
    for service, method, path, body in (
        ("segment_registry", "PUT", f"/v1/tiers/{tier['tier']}", definition),
        ("segment_registry", "POST", "/v1/customers", identifiers),
        ("atp", "PUT", "/v1/items/TEA-7", {"sku": "TEA-7"}),
        ("atp", "PUT", "/v1/locations/DC-7", {"time_zone": "Europe/London"}),
        ("atp", "PUT", "/v1/lanes", {"items": [LANE]}),
        ("atp", "POST", "/v1/supply/movements", {"items": [RECEIPT]}),
    ):
        answer = await ask(service, method, path, body)
        assert answer.is_success, answer.text


async def _place(ask: Ask, order_id: str, *, weeks_ago: int = 0, system: str = "shop") -> tuple[str, str | None, str]:
    """How an order's customer is known, the micro-segment that serves it, and how it is packed."""
    order = {
        "order": {"source": "shop", "order_id": order_id},
        "customer": {"system": system, "id": "C-7" if system == "shop" else "17"},
        "ordered_at": (datetime.now(UTC) - timedelta(weeks=weeks_ago, minutes=5)).isoformat(),
        "lines": [{"line": "1", "sku": "TEA-7", "quantity": 10, "unit_price": "0.01"}],
    }
    answer = await ask("atp", "POST", "/v1/promises", order)
    assert answer.status_code == 201, answer.text
    promise = answer.json()
    served, line = promise["served_as"], promise["lines"][0]
    return served["basis"], served.get("micro_segment"), line["schedule"][0]["routing"]["packaging"]


async def _turns(ask: Ask) -> None:
    await _prepare(ask)
    tried = 0

    async def known() -> bool:
        nonlocal tried
        tried += 1
        basis, segment, packed = await _place(ask, f"first-{tried}")
        assert (segment, packed) == (None, "box")
        return basis != "unknown_customer"

    await until(known)
    for each in range(1, 5):  # a week with an order, a week without one
        assert (await _place(ask, f"past-{each}", weeks_ago=2 * each))[1:] in {(None, "box"), ("now-and-then", "bag")}

    async def turned() -> bool:
        nonlocal tried
        tried += 1
        await asyncio.sleep(0.05)  # each look is an order of this week
        return (await _place(ask, f"next-{tried}", system="crm"))[1:] == ("now-and-then", "bag")

    await until(turned)


async def test_through_the_event_log_in_postgresql(served: Served) -> None:
    async def ask(service: str, method: str, path: str, body: Any) -> httpx.Response:
        return await asyncio.to_thread(served.ask, service, method, path, body)

    await _turns(ask)
    explained = served.ask("segment_registry", "GET", "/v1/tiers/standard/service-statement").json()
    assert "Of orders of customers whose demand is intermittent or lumpy: goods are packed as bag." in str(explained)


@pytest.mark.kafka
async def test_through_kafka(database_url: str, kafka_bootstrap: str) -> None:
    async with deployed(database_url, kafka_bootstrap) as deployment:
        for service in ("segment_registry", "reclassifier", "atp"):
            deployment.start(service, service)
        await deployment.ready()
        await _turns(deployment.ask)
