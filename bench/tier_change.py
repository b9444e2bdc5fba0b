"""A tier change made in the registry: from its commit to the first decision by the new sequence, through real Kafka.

Three cases: alone; while 100,000 customers are being imported on the throttled lane; after SIGKILL of the ATP's
consumer process (another one serves on). The clock starts when the registry has answered the change, which it does
after its commit, and stops with the first inquiry whose answer names the new assignment's sequence; inquiries follow
each other without a pause, so that the figure includes the time of one.

A fourth case goes the whole way: from the registry's answer, over the customer's backorder that is re-ranked and
re-decided, to `promise.changed` on `promises.v1`, read back from Kafka. A protection keeps for the tier what is there,
so that each change of one customer serves exactly its order.
"""

import argparse
import asyncio
import statistics
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import orjson

from bench.deployment import ATP, measured, stock
from bench.figures import Figure, write
from services.chassis.event_log.port import LogReader
from services.contracts.topics import PROMISES
from tiercel.demo.channels import ServiceClients
from tiercel.stack.deployment import Deployment, Wanted

CHANGES: Final = 100
IMPORTED: Final = 100_000
IMPORT_ROWS: Final = 2_000
WAIT_SECONDS_MAX: Final = 60.0
KEPT: Final = "KEPT-0001"
RECORDS_AT_ONCE: Final = 500
POLL_SECONDS: Final = 0.5


async def main() -> None:
    """Measure and write `build/bench/tier_change.json`."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--changes", type=int, default=CHANGES)
    parser.add_argument("--imported", type=int, default=IMPORTED)
    given = parser.parse_args()
    changes = given.changes
    async with measured((*ATP, Wanted("atp", ("consumer",)))) as (deployment, clients):
        customer = (await clients.call("segment_registry", "GET", "/v1/customers:resolve?system=bench&id=C-1"))[
            "customer_id"
        ]
        figures = [_figure("decision: alone", await _changes(clients, customer, changes))]
        importing = asyncio.create_task(_import(clients, given.imported))
        during = await _changes(clients, customer, changes)
        still = not importing.done()
        figures.append(_figure(f"decision: while {given.imported:,} customers are imported", during))
        await importing
        await _kill_a_consumer(deployment)
        figures.append(_figure("decision: after SIGKILL of one consumer", await _changes(clients, customer, changes)))
        served = await _served(deployment, clients, changes)
        figures.append(_figure("its backorder's promise.changed on promises.v1", served))
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


async def _served(deployment: Deployment, clients: ServiceClients, number: int) -> list[float]:
    """Seconds from each change to the event that the customer's order, which waited, is promised."""
    period = {"sku": KEPT, "location": "DC-1", "tier": "gold", "protected_qty": number, "lapse_days": 0}
    today = datetime.now(UTC).date()
    days = {"start": today.isoformat(), "end": (today + timedelta(days=30)).isoformat()}
    await clients.call("atp", "POST", "/v1/items", {"items": [{"sku": KEPT}]})
    await clients.call("atp", "POST", "/v1/supply/movements", {"items": [stock(KEPT, number)]})
    await clients.call("atp", "PUT", "/v1/protections/bench-kept", {"lines": [{**period, **days}]})
    found = []
    reader = await deployment.event_log.reader([PROMISES.name])
    try:
        for turn in range(number):
            names = {"identifiers": [{"system": "bench", "id": f"W-{turn}"}], "tier": "bronze"}
            await clients.call("segment_registry", "POST", "/v1/imports", {"items": [names]})
            path = f"/v1/customers:resolve?system=bench&id=W-{turn}"
            customer = (await clients.call("segment_registry", "GET", path))["customer_id"]
            order = _order(f"waits-{turn}", f"W-{turn}", KEPT)
            answer = await clients.call("atp", "POST", "/v1/promises", order)
            if answer["lines"][0]["promised"]:
                raise SystemExit("an order of bronze got what is kept for gold")
            await reader.seek(await reader.end_offsets())
            body = {"tier": "gold", "reason": "bench"}
            await clients.call("segment_registry", "POST", f"/v1/customers/{customer}/assignments", body)
            started = time.perf_counter()
            await _changed(reader, f"waits-{turn}", started)
            found.append(time.perf_counter() - started)
    finally:
        await reader.close()
    return found


async def _changed(reader: LogReader, order_id: str, started: float) -> None:
    """Wait for the event by which the order is promised."""
    while time.perf_counter() - started < WAIT_SECONDS_MAX:
        for received in await reader.poll(RECORDS_AT_ONCE, POLL_SECONDS):
            event = orjson.loads(received.record.value or b"null")
            if event.get("cause") == "tier_changed" and event["new"]["order"]["order_id"] == order_id:
                return
    message = f"no event of order {order_id} within {WAIT_SECONDS_MAX:.0f} s"
    raise TimeoutError(message)


async def _decided_by(clients: ServiceClients, sequence: int, started: float) -> None:
    order = _order("tier-change", "C-1", "BENCH-0001")
    while time.perf_counter() - started < WAIT_SECONDS_MAX:
        answer = await clients.call("atp", "POST", "/v1/promises:inquire", order)
        if (answer["served_as"]["assignment_sequence"] or 0) >= sequence:
            return
    message = f"no decision by sequence {sequence} within {WAIT_SECONDS_MAX:.0f} s"
    raise TimeoutError(message)


def _order(name: str, customer: str, sku: str) -> dict[str, Any]:
    return {
        "order": {"source": "bench", "order_id": name},
        "customer": {"system": "bench", "id": customer},
        "lines": [{"line": "1", "sku": sku, "quantity": 1}],
    }


async def _import(clients: ServiceClients, customers: int) -> None:
    for start in range(0, customers, IMPORT_ROWS):
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
        case=f"tier change to {case}",
        metric="latency",
        unit="ms (median)",
        value=statistics.median(ordered) * 1e3,
        p50_ms=statistics.median(ordered) * 1e3,
        p99_ms=ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))] * 1e3,
    )


if __name__ == "__main__":
    asyncio.run(main())
