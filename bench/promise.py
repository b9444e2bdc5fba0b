"""Single promises over HTTP, 64 connections, auth on, PostgreSQL durable, everything on one machine.

Cases: one hot item; 1,000 items; a position with 100,000 open commitments against an empty one. Baselines, in the same
run and in turn with the ATP: (a) a FastAPI endpoint that does nothing with the same order, (b) the same promise written
the usual way, one transaction per request. The ratio is of medians over the rounds.
"""

import asyncio
import statistics
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

import httpx

from bench.deployment import measured
from bench.figures import Figure, write
from bench.load import Load, require_wrk, run
from tiercel.demo.channels import ServiceClients
from tiercel.stack.deployment import Deployment, own_database, stack_settings

CONNECTIONS: Final = 64
ROUNDS: Final = 3
SECONDS: Final = 6
KEY: Final = "bench-key"
OPEN_COMMITMENTS: Final = 100_000
ORDERS_AT_ONCE: Final = 200
CROWDED: Final = 1_001
EMPTY: Final = 1_002
Shot = Callable[[], Load]


async def main() -> None:
    """Measure and write `build/bench/promise.json`."""
    require_wrk()
    async with measured() as (deployment, clients), _baselines() as (nothing, usual):
        figures = await _rates(deployment, nothing, usual)
        figures += await _crowded(deployment, clients)
    write("promise", figures, connections=CONNECTIONS, rounds=ROUNDS, seconds=SECONDS, fsync=True, auth=True)


async def _rates(deployment: Deployment, nothing: str, usual: str) -> list[Figure]:
    figures: list[Figure] = []
    for case, items in (("one hot item", 1), ("1,000 items", 1_000)):
        shots: dict[str, Shot] = {
            "atp": _shot(deployment.urls["atp"], deployment.api_key, items),
            "nothing": _shot(nothing, KEY, items),
            "usual": _shot(usual, KEY, items),
        }
        found = await _in_turn(shots)
        own = _median(found["atp"])
        for name, words in (("nothing", "(a) do-nothing FastAPI endpoint"), ("usual", "(b) one transaction a request")):
            base = _median(found[name])
            figures.append(_figure(f"{case}: {words}", found[name]))
            figures.append(_figure(f"{case}: promise", found["atp"], baseline=words, ratio=own / base))
    return figures


async def _crowded(deployment: Deployment, clients: ServiceClients) -> list[Figure]:
    for start in range(0, OPEN_COMMITMENTS, ORDERS_AT_ONCE):
        orders = [_order(start + number) for number in range(ORDERS_AT_ONCE)]
        await clients.call("atp", "POST", "/v1/promises:batch", {"items": orders})
    shots: dict[str, Shot] = {
        "crowded": _shot(deployment.urls["atp"], deployment.api_key, 1, CROWDED),
        "empty": _shot(deployment.urls["atp"], deployment.api_key, 1, EMPTY),
    }
    found = await _in_turn(shots)
    ratio = statistics.median(one.p50_ms for one in found["crowded"]) / statistics.median(
        one.p50_ms for one in found["empty"]
    )
    return [
        _figure("empty position", found["empty"]),
        _figure(f"{OPEN_COMMITMENTS:,} open commitments", found["crowded"], baseline="an empty one's p50", ratio=ratio),
    ]


async def _in_turn(shots: dict[str, Shot]) -> dict[str, list[Load]]:
    """One shot of each to warm up, then rounds of all in turn, so that a change of the machine's mood hits all."""
    found: dict[str, list[Load]] = {name: [] for name in shots}
    for round_number in range(ROUNDS + 1):
        for name, shot in shots.items():
            load = await asyncio.to_thread(shot)
            if round_number:
                found[name].append(load)
    return found


def _shot(url: str, key: str, items: int, first_item: int = 1) -> Shot:
    def shoot() -> Load:
        return run(url, seconds=SECONDS, connections=CONNECTIONS, key=key, items=items, first_item=first_item)

    return shoot


def _median(loads: list[Load]) -> float:
    return statistics.median(load.per_second for load in loads)


def _figure(case: str, loads: list[Load], *, baseline: str | None = None, ratio: float | None = None) -> Figure:
    return Figure(
        case=case,
        metric="requests",
        unit="1/s",
        value=_median(loads),
        p50_ms=statistics.median(load.p50_ms for load in loads),
        p99_ms=statistics.median(load.p99_ms for load in loads),
        baseline=baseline,
        ratio=ratio,
        errors=sum(load.errors for load in loads),
    )


def _order(number: int) -> dict[str, object]:
    return {
        "order": {"source": "crowd", "order_id": f"N-{number}"},
        "customer": {"system": "bench", "id": f"C-{number % 100 + 1}"},
        "ship_to": {"zone": "GB"},
        "lines": [{"line": "1", "sku": f"BENCH-{CROWDED:04d}", "quantity": 1}],
    }


@asynccontextmanager
async def _baselines() -> AsyncIterator[tuple[str, str]]:
    """The two baselines as processes on ports of their own, the second on a database of its own."""
    async with own_database(stack_settings()["TIERCEL_DATABASE_URL"], "bench_usual") as database_url:
        commands = {
            "nothing": ("-m", "bench.baseline_nothing", "--port", "18501"),
            "usual": ("-m", "bench.baseline_usual", "--port", "18502", "--database-url", database_url, "--key", KEY),
        }
        processes = [
            await asyncio.create_subprocess_exec(sys.executable, *command, stderr=asyncio.subprocess.DEVNULL)
            for command in commands.values()
        ]
        try:
            for port in (18501, 18502):
                await _until_listening(f"http://127.0.0.1:{port}/docs")
            yield "http://127.0.0.1:18501", "http://127.0.0.1:18502"
        finally:
            for process in processes:
                process.terminate()
                await process.wait()


async def _until_listening(url: str) -> None:
    async with asyncio.timeout(60), httpx.AsyncClient() as client:
        while True:
            try:
                await client.get(url)
            except httpx.TransportError:
                await asyncio.sleep(0.1)
            else:
                return


if __name__ == "__main__":
    asyncio.run(main())
