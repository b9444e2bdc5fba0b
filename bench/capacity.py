"""What one daily capacity costs that all orders book: 1,000 items from one location, by one and by two replicas.

The whole deployment runs on one machine, auth on, PostgreSQL durable. Every order books the same ship day of the same
capacity, so that its counter is as hot as one can be; the items are spread. In turn, in the same run: one replica
without a capacity, one with it, two with it under the same load in all.
"""

import asyncio
from typing import Final

from bench.deployment import ATP, measured
from bench.figures import Figure, write
from bench.load import Requests, require_wrk
from bench.rounds import ROUNDS, SECONDS, Outcome, figure, followed, rate, ratio, shot, together
from tiercel.demo.channels import ServiceClients
from tiercel.stack.deployment import Deployment

CONNECTIONS: Final = 64
ITEMS: Final = 1_000
UNITS: Final = 1_000_000_000  # of a day: never full, so that each order books the first one
API: Final = next(wanted for wanted in ATP if wanted.roles == ("api",))
DOCUMENT: Final = "/v1/capacities/bench"
WEEK: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


async def main() -> None:
    """Measure and write `build/bench/capacity.json`."""
    require_wrk()
    async with measured() as (deployment, clients):
        figures = await _replicas(deployment, clients)
    write("capacity", figures, connections=CONNECTIONS, rounds=ROUNDS, seconds=SECONDS, fsync=True, auth=True)


async def _replicas(deployment: Deployment, clients: ServiceClients) -> list[Figure]:
    second = await deployment.start(API)
    url, key, wanted = deployment.urls["atp"], deployment.api_key, Requests(items=ITEMS)
    one = shot(url, wanted, connections=CONNECTIONS, key=key)
    shots = [shot(each, wanted, connections=CONNECTIONS // 2, key=key) for each in (url, second.url)]

    async def both() -> Outcome:
        return together(await asyncio.gather(*(shoot() for shoot in shots)))

    ways = {"without": (False, one), "one": (True, one), "two": (True, both)}
    found: dict[str, list[Outcome]] = {name: [] for name in ways}
    for number in range(ROUNDS + 1):
        for name, (limited, load) in ways.items():
            await _limit(clients, limited=limited)
            outcome = await followed(deployment, load, clients)()
            if number:
                found[name].append(outcome)
    await deployment.stop(second)
    cost = ratio(rate(found["one"]), rate(found["without"]))
    times = ratio(rate(found["two"]), rate(found["one"]))
    return [
        figure("1,000 items without a capacity, one replica", found["without"]),
        figure("1,000 items with one daily capacity, one replica", found["one"], baseline="without", ratio=cost),
        figure("1,000 items with one daily capacity, two replicas", found["two"], baseline="one replica", ratio=times),
    ]


async def _limit(clients: ServiceClients, *, limited: bool) -> None:
    """Let the location have a daily capacity, or none."""
    lines = [{"location": "DC-1", **dict.fromkeys(WEEK, UNITS)}] if limited else []
    await clients.call("atp", "PUT", DOCUMENT, {"lines": lines})


if __name__ == "__main__":
    asyncio.run(main())
