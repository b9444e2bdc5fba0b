"""A tier change made in the registry: from its commit to the first decision by the new sequence, through real Kafka.

Three cases: alone; while 100,000 customers are being imported on the throttled lane; after SIGKILL of the ATP's
consumer process (another one serves on). The clock starts when the registry has answered the change, which it does
after its commit, and stops with the first inquiry whose answer names the new assignment's sequence; inquiries follow
each other without a pause, so that the figure includes the time of one.
"""

import argparse
import asyncio
import statistics
import time
from contextlib import suppress
from typing import Any, Final

from bench.deployment import ATP, measured
from bench.figures import Figure, write
from tiercel.demo.channels import ServiceClients
from tiercel.stack.deployment import Deployment, Wanted

CHANGES: Final = 100
IMPORTED: Final = 100_000
IMPORT_ROWS: Final = 2_000
WAIT_SECONDS_MAX: Final = 60.0


async def main() -> None:
    """Measure and write `build/bench/tier_change.json`."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--changes", type=int, default=CHANGES)
    changes = parser.parse_args().changes
    async with measured((*ATP, Wanted("atp", ("consumer",)))) as (deployment, clients):
        customer = (await clients.call("segment_registry", "GET", "/v1/customers:resolve?system=bench&id=C-1"))[
            "customer_id"
        ]
        figures = [_figure("alone", await _changes(clients, customer, changes))]
        importing = asyncio.create_task(_import(clients))
        during = await _changes(clients, customer, changes)
        still = not importing.done()
        figures.append(_figure("while 100,000 customers are imported", during))
        await importing
        await _kill_a_consumer(deployment)
        figures.append(_figure("after SIGKILL of one consumer", await _changes(clients, customer, changes)))
    write("tier_change", figures, changes=changes, import_outlasted_the_changes=still)


async def _changes(clients: ServiceClients, customer: str, number: int) -> list[float]:
    """Seconds from each change to the first decision by it."""
    found = []
    for turn in range(number):
        body = {"tier": ("gold", "bronze")[turn % 2], "reason": "bench"}
        current = (await clients.call("segment_registry", "GET", f"/v1/customers/{customer}"))["tier"]
        body["tier"] = "bronze" if current == "gold" else "gold"
        made = await clients.call("segment_registry", "POST", f"/v1/customers/{customer}/assignments", body)
        started = time.perf_counter()
        await _decided_by(clients, made["assignment"]["sequence"], started)
        found.append(time.perf_counter() - started)
    return found


async def _decided_by(clients: ServiceClients, sequence: int, started: float) -> None:
    order: dict[str, Any] = {
        "order": {"source": "bench", "order_id": "tier-change"},
        "customer": {"system": "bench", "id": "C-1"},
        "lines": [{"line": "1", "sku": "BENCH-0001", "quantity": 1}],
    }
    while time.perf_counter() - started < WAIT_SECONDS_MAX:
        answer = await clients.call("atp", "POST", "/v1/promises:inquire", order)
        if (answer["served_as"]["assignment_sequence"] or 0) >= sequence:
            return
    message = f"no decision by sequence {sequence} within {WAIT_SECONDS_MAX:.0f} s"
    raise TimeoutError(message)


async def _import(clients: ServiceClients) -> None:
    for start in range(0, IMPORTED, IMPORT_ROWS):
        rows = [
            {"identifiers": [{"system": "bulk", "id": f"B-{number}"}], "tier": "bronze"}
            for number in range(start, start + IMPORT_ROWS)
        ]
        await clients.call("segment_registry", "POST", "/v1/imports", {"items": rows})


async def _kill_a_consumer(deployment: Deployment) -> None:
    consumer = next(one for one in deployment.processes if one.wanted.roles == ("consumer",))
    with suppress(ProcessLookupError):
        consumer.process.kill()
    await consumer.process.wait()
    deployment.processes.remove(consumer)


def _figure(case: str, seconds: list[float]) -> Figure:
    ordered = sorted(seconds)
    return Figure(
        case=f"tier change to decision: {case}",
        metric="latency",
        unit="ms (median)",
        value=statistics.median(ordered) * 1e3,
        p50_ms=statistics.median(ordered) * 1e3,
        p99_ms=ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))] * 1e3,
    )


if __name__ == "__main__":
    asyncio.run(main())
