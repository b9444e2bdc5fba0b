"""Single promises over HTTP, 64 connections, auth on, PostgreSQL durable, everything on one machine.

Cases: one hot item and 1,000 items, on the whole deployment (which publishes every promise to Kafka and counts it in
the reclassifier); a position with 100,000 open commitments against an empty one; one hot item again on the ATP's API
process alone, with all other processes stopped, as the baselines have none. Baselines, in the same run and in turn with
the ATP: (a) a FastAPI endpoint that does nothing with the same order, (b) the same promise written the usual way, one
transaction per request. The ratio is of medians over the rounds.
"""

import asyncio
from typing import Final

from bench.baselines import KEY, NOTHING, USUAL, Baselines, baselines
from bench.deployment import measured
from bench.figures import Figure, write
from bench.load import Requests, require_wrk
from bench.rounds import ROUNDS, SECONDS, Shot, figure, followed, in_turn, p50_ms, rate, ratio, shot
from tiercel.demo.channels import ServiceClients
from tiercel.stack.deployment import Deployment

CONNECTIONS: Final = 64
OPEN_COMMITMENTS: Final = 100_000
ORDERS_AT_ONCE: Final = 200
CROWDED: Final = 1_001
EMPTY: Final = 1_002


async def main() -> None:
    """Measure and write `build/bench/promise.json`."""
    require_wrk()
    async with measured() as (deployment, clients), baselines() as others:
        figures = await _rates("one hot item", Requests(items=1), deployment, clients, others)
        figures += await _rates("1,000 items", Requests(items=1_000), deployment, clients, others)
        figures += await _crowded(deployment, clients)
        for running in [each for each in deployment.processes if each.url != deployment.urls["atp"]]:
            await deployment.stop(running)
        figures += await _rates("one hot item, the API alone", Requests(items=1), deployment, None, others)
    write("promise", figures, connections=CONNECTIONS, rounds=ROUNDS, seconds=SECONDS, fsync=True, auth=True)


async def _rates(
    case: str, wanted: Requests, deployment: Deployment, clients: ServiceClients | None, others: Baselines
) -> list[Figure]:
    own = _shot(deployment.urls["atp"], wanted, deployment.api_key)
    found = await in_turn(
        {
            "atp": followed(deployment, own, clients),
            "nothing": _shot(others.nothing, wanted, KEY),
            "usual": _shot(others.usual, wanted, KEY),
        }
    )
    figures: list[Figure] = []
    for name, words in (("nothing", NOTHING), ("usual", USUAL)):
        figures.append(figure(f"{case}: {words}", found[name]))
        times = ratio(rate(found["atp"]), rate(found[name]))
        figures.append(figure(f"{case}: promise", found["atp"], baseline=words, ratio=times))
    return figures


async def _crowded(deployment: Deployment, clients: ServiceClients) -> list[Figure]:
    for start in range(0, OPEN_COMMITMENTS, ORDERS_AT_ONCE):
        orders = [_order(start + number) for number in range(ORDERS_AT_ONCE)]
        await clients.call("atp", "POST", "/v1/promises:batch", {"items": orders})
    url, key = deployment.urls["atp"], deployment.api_key
    found = await in_turn(
        {
            "crowded": _shot(url, Requests(first_item=CROWDED), key),
            "empty": _shot(url, Requests(first_item=EMPTY), key),
        }
    )
    times = ratio(p50_ms(found["crowded"]), p50_ms(found["empty"]))
    case = f"{OPEN_COMMITMENTS:,} open commitments"
    return [
        figure("empty position", found["empty"]),
        figure(case, found["crowded"], baseline="an empty one's p50", ratio=times),
    ]


def _shot(url: str, wanted: Requests, key: str) -> Shot:
    return shot(url, wanted, connections=CONNECTIONS, key=key)


def _order(number: int) -> dict[str, object]:
    return {
        "order": {"source": "crowd", "order_id": f"N-{number}"},
        "customer": {"system": "bench", "id": f"C-{number % 100 + 1}"},
        "ship_to": {"zone": "GB"},
        "lines": [{"line": "1", "sku": f"BENCH-{CROWDED:04d}", "quantity": 1}],
    }


if __name__ == "__main__":
    asyncio.run(main())
