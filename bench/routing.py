"""Single promises where routing has a choice: 5 locations by 3 services against the one location, in the same run.

64 connections, auth on, PostgreSQL durable, the whole deployment. Zone `GB` is served by one location and service, zone
`R5` by five locations and three services each, all with stock of every item; the orders are the same otherwise.
"""

import asyncio
from typing import Any, Final

from bench.deployment import ITEMS, ROWS_AT_ONCE, measured, stock
from bench.figures import Figure, write
from bench.load import Requests, require_wrk
from bench.rounds import ROUNDS, SECONDS, Shot, figure, followed, in_turn, rate, ratio, shot
from tiercel.demo.channels import ServiceClients
from tiercel.stack.deployment import Deployment

CONNECTIONS: Final = 64
LOCATIONS: Final = tuple(f"DC-{number}" for number in range(1, 6))
SERVICES: Final = (("economy", 4, 300), ("parcel", 2, 500), ("express", 1, 1_200))  # transit days, cost of a shipment
ZONE: Final = "R5"


async def main() -> None:
    """Measure and write `build/bench/routing.json`."""
    require_wrk()
    async with measured() as (deployment, clients):
        await _route(clients)
        figures = await _rates("one hot item", 1, deployment, clients)
        figures += await _rates("1,000 items", 1_000, deployment, clients)
    write("routing", figures, connections=CONNECTIONS, rounds=ROUNDS, seconds=SECONDS, fsync=True, auth=True)


async def _route(clients: ServiceClients) -> None:
    """Lanes to the zone from every location by every service, and stock everywhere."""
    for number, location in enumerate(LOCATIONS):
        await clients.call("atp", "PUT", f"/v1/locations/{location}", {"time_zone": "Europe/London"})
        lanes = [_lane(location, number, *service) for service in SERVICES]
        await clients.call("atp", "PUT", "/v1/lanes", {"items": lanes})
    skus = [f"BENCH-{number:04d}" for number in range(1, ITEMS + 1)]
    for location in LOCATIONS[1:]:
        for start in range(0, len(skus), ROWS_AT_ONCE):
            rows = [_stock(sku, location) for sku in skus[start : start + ROWS_AT_ONCE]]
            await clients.call("atp", "POST", "/v1/supply/movements", {"items": rows})


def _lane(location: str, number: int, service: str, transit_days: int, cost_minor: int) -> dict[str, Any]:
    """The nearer a location, the cheaper its shipments."""
    return {
        "zone": ZONE,
        "location": location,
        "service": service,
        "carrier_class": "standard",
        "transit_days": transit_days,
        "cost_shipment_minor": cost_minor + 40 * number,
        "cost_unit_minor": 10,
    }


def _stock(sku: str, location: str) -> dict[str, Any]:
    return stock(sku) | {"location": location, "reference": f"OPEN-{location}-{sku}"}


async def _rates(case: str, items: int, deployment: Deployment, clients: ServiceClients) -> list[Figure]:
    found = await in_turn(
        {
            "one": followed(deployment, _shot(deployment, Requests(items=items, tag="one")), clients),
            "routed": followed(deployment, _shot(deployment, Requests(items=items, tag="routed", zone=ZONE)), clients),
        }
    )
    times = ratio(rate(found["routed"]), rate(found["one"]))
    words = "one location, one service"
    return [
        figure(f"{case}: {words}", found["one"]),
        figure(f"{case}: 5 locations x 3 services", found["routed"], baseline=words, ratio=times),
    ]


def _shot(deployment: Deployment, wanted: Requests) -> Shot:
    return shot(deployment.urls["atp"], wanted, connections=CONNECTIONS, key=deployment.api_key)


if __name__ == "__main__":
    asyncio.run(main())
