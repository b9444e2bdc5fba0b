"""A deployment to measure: the services on the native stack, with items, stock and customers in them."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from tiercel.demo.channels import Endpoints, ServiceClients
from tiercel.stack.__main__ import main as stack
from tiercel.stack.deployment import Deployment, Wanted, deployed

ITEMS: Final = 1_002  # 1 to 1,000 spread, 1,001 and 1,002 hot
STOCK: Final = 1_000_000_000
CUSTOMERS: Final = 100
ROWS_AT_ONCE: Final = 1_000
ATP: Final = (
    Wanted("segment_registry"),
    Wanted("reclassifier"),
    Wanted("atp", ("api",), {"TIERCEL_ATP_COMMANDS_PER_SECOND": "1000000", "TIERCEL_ATP_COMMANDS_BURST": "1000000"}),
    Wanted("atp", ("consumer",)),
    Wanted("atp", ("relay",)),
)


@asynccontextmanager
async def measured(wanted: Sequence[Wanted] = ATP) -> AsyncIterator[tuple[Deployment, ServiceClients]]:
    """Bring the stack up, deploy on it and fill it."""
    if await asyncio.to_thread(stack, ["up"]) != 0:
        raise SystemExit("the native stack did not come up")
    with TemporaryDirectory() as folder:
        async with deployed(Path(folder), wanted) as deployment:
            urls = deployment.urls
            endpoints = Endpoints(urls["atp"], urls["segment_registry"], urls["reclassifier"], deployment.api_key)
            async with ServiceClients(endpoints) as clients:
                await _fill(clients)
                yield deployment, clients


async def _fill(clients: ServiceClients) -> None:
    for tier, rank, default in (("gold", 10, False), ("bronze", 30, True)):
        body = {"name": tier.title(), "priority_rank": rank, "is_default": default}
        await clients.call("segment_registry", "PUT", f"/v1/tiers/{tier}", body)
    rows = [
        {"identifiers": [{"system": "bench", "id": f"C-{number}"}], "tier": "gold" if number % 5 == 0 else "bronze"}
        for number in range(1, CUSTOMERS + 1)
    ]
    await clients.call("segment_registry", "POST", "/v1/imports", {"items": rows})
    await clients.call("atp", "PUT", "/v1/locations/DC-1", {"time_zone": "Europe/London"})
    lane = {"zone": "*", "location": "DC-1", "service": "parcel", "carrier_class": "standard", "transit_days": 2}
    await clients.call("atp", "PUT", "/v1/lanes", {"items": [lane]})
    skus = [f"BENCH-{number:04d}" for number in range(1, ITEMS + 1)]
    for start in range(0, len(skus), ROWS_AT_ONCE):
        chunk = skus[start : start + ROWS_AT_ONCE]
        await clients.call("atp", "POST", "/v1/items", {"items": [{"sku": sku} for sku in chunk]})
        await clients.call("atp", "POST", "/v1/supply/movements", {"items": [stock(sku) for sku in chunk]})


def stock(sku: str, quantity: int = STOCK) -> dict[str, Any]:
    """The opening stock of an item, as a movement."""
    return {
        "source": "bench",
        "reference": f"OPEN-{sku}",
        "sku": sku,
        "location": "DC-1",
        "kind": "receipt",
        "quantity": quantity,
        "occurred_at": "2026-01-01T00:00:00Z",
    }
