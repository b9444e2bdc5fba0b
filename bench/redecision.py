"""Bronze requests race a supply event with 10,000 gold backorders on one position: who is served, and what it costs.

In one run: requests of bronze for the item without the event, then the same load while supply comes for a part of those
who wait. Read from the ledger afterwards: no bronze order has any of it while gold waits, and the gold ones that have
it are the first of the order of service. The time is from the answer to the supply event to the last re-decision.
"""

import argparse
import asyncio
import statistics
import time
from itertools import count
from typing import Any, Final

import asyncpg

from bench.deployment import measured
from bench.figures import Figure, write
from tiercel.demo.channels import ServiceClients

GOLD: Final = 10_000
SHARE: Final = 80  # percent of those who wait for whom supply comes: the rest shows that the order was kept
AT_ONCE: Final = 200
CONNECTIONS: Final = 16
SECONDS: Final = 8.0
LEAD_SECONDS: Final = 1.0  # of load before the event
WAIT_SECONDS_MAX: Final = 120.0
SKU: Final = "RACE-0001"
SCHEMA: Final = "atp"
_NUMBERS: Final = count(1)
_LEFT: Final = """
SELECT (SELECT count(*) FROM position WHERE item_id = $1 AND marked_at IS NOT NULL) AS marked,
    (SELECT coalesce(sum(open), 0) FROM commitment WHERE item_id = $1 AND tier = 'gold') AS gold
"""
_BY_TIER: Final = "SELECT tier, sum(open)::bigint AS quantity FROM commitment WHERE item_id = $1 GROUP BY tier"
# Gold orders in order of service (all of one day and rank: by time, then id), with what each has.
_OUT_OF_ORDER: Final = """
WITH waited AS (
    SELECT i.order_id, coalesce(sum(c.open), 0) AS has FROM order_identity i JOIN promise p USING (promise_id)
    LEFT JOIN commitment c ON c.promise_id = p.promise_id AND c.item_id = $1
    WHERE i.source = 'race' AND i.order_id LIKE 'gold-%' GROUP BY i.order_id
)
SELECT count(*) FROM waited a WHERE a.has > 0 AND a.order_id > (SELECT min(order_id) FROM waited WHERE has = 0)
"""


async def main() -> None:
    """Measure and write `build/bench/redecision.json`; ends with an error if the order of service was not kept."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--gold", type=int, default=GOLD)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    given = parser.parse_args()
    async with measured() as (deployment, clients):
        database = await asyncpg.connect(deployment.database_url, server_settings={"search_path": SCHEMA})
        try:
            await _queue(clients, given.gold)
            without = await _load(clients, given.seconds)
            supply = given.gold * SHARE // 100
            during, served_seconds = await _raced(clients, database, supply, given.seconds)
            await _check(database, supply)
        finally:
            await database.close()
    p99 = _p99(without)
    figures = [
        _figure("bronze promise without the event", without, None),
        _figure("bronze promise while supply is given out", during, _p99(during) / p99),
        Figure("time to the last re-decision", "duration", "ms", served_seconds * 1e3),
        Figure("gold lines served", "rate", "lines/s", supply / served_seconds),
    ]
    write("redecision", figures, gold=given.gold, supply=supply, connections=CONNECTIONS, served_out_of_order=0)


async def _queue(clients: ServiceClients, gold: int) -> None:
    """An item of which nothing is left, and those of gold who wait for it."""
    await clients.call("atp", "POST", "/v1/items", {"items": [{"sku": SKU}]})
    await _receive(clients, 1)
    await clients.call("atp", "POST", "/v1/promises", _order("first", "C-5"))
    for start in range(0, gold, AT_ONCE):
        orders = [_order(f"gold-{start + number:06}", "C-5") for number in range(min(AT_ONCE, gold - start))]
        await clients.call("atp", "POST", "/v1/promises:batch", {"items": orders})


async def _raced(
    clients: ServiceClients, database: asyncpg.Connection, supply: int, seconds: float
) -> tuple[list[float], float]:
    """The load with the event in it: its latencies, and how long serving took."""
    loading = asyncio.create_task(_load(clients, seconds + LEAD_SECONDS))
    await asyncio.sleep(LEAD_SECONDS)
    await _receive(clients, supply)
    began = time.perf_counter()
    while True:
        (left,) = await database.fetch(_LEFT, SKU)
        if left["gold"] >= supply + 1 and not left["marked"]:
            break
        if time.perf_counter() - began > WAIT_SECONDS_MAX:
            raise TimeoutError(f"{left['gold']} of {supply} gold lines were served in {WAIT_SECONDS_MAX:.0f} s")
        await asyncio.sleep(0.01)
    served = time.perf_counter() - began
    return await loading, served


async def _load(clients: ServiceClients, seconds: float) -> list[float]:
    """Bronze orders for the item, one after another on each connection: seconds of each."""
    until = time.perf_counter() + seconds
    found: list[float] = []

    async def ask() -> None:
        while time.perf_counter() < until:
            started = time.perf_counter()
            await clients.call("atp", "POST", "/v1/promises", _order(f"bronze-{next(_NUMBERS):08}", "C-1"))
            found.append(time.perf_counter() - started)

    await asyncio.gather(*(ask() for _ in range(CONNECTIONS)))
    return found


async def _check(database: asyncpg.Connection, supply: int) -> None:
    """That the ledger has given it all to gold, to the first of them. Raises SystemExit."""
    by_tier = {row["tier"]: row["quantity"] for row in await database.fetch(_BY_TIER, SKU)}
    out_of_order = await database.fetchval(_OUT_OF_ORDER, SKU)
    if by_tier != {"gold": supply + 1} or out_of_order:
        raise SystemExit(f"the order of service was not kept: {by_tier}, {out_of_order} out of order")


async def _receive(clients: ServiceClients, quantity: int) -> None:
    movement = {
        "source": "race",
        "reference": f"M-{next(_NUMBERS)}",
        "sku": SKU,
        "location": "DC-1",
        "kind": "receipt",
        "quantity": quantity,
        "occurred_at": "2026-01-01T00:00:00Z",
    }
    await clients.call("atp", "POST", "/v1/supply/movements", {"items": [movement]})


def _order(name: str, customer: str) -> dict[str, Any]:
    return {
        "order": {"source": "race", "order_id": name},
        "customer": {"system": "bench", "id": customer},
        "ordered_at": "2026-01-02T00:00:00Z" if name.startswith("gold") else None,
        "lines": [{"line": "1", "sku": SKU, "quantity": 1}],
    }


def _p99(seconds: list[float]) -> float:
    ordered = sorted(seconds)
    return ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]


def _figure(case: str, seconds: list[float], ratio: float | None) -> Figure:
    return Figure(
        case,
        "latency",
        "ms (median)",
        statistics.median(seconds) * 1e3,
        p50_ms=statistics.median(seconds) * 1e3,
        p99_ms=_p99(seconds) * 1e3,
        baseline=None if ratio is None else "the p99 without the event",
        ratio=ratio,
    )


if __name__ == "__main__":
    asyncio.run(main())
