"""From orders to tiers: how soon an order moves its customer, how many are counted, how long everybody takes.

Four cases, on the whole deployment and through real Kafka:

* a customer's order, which the ATP has answered, to the first decision of the ATP by the tier that it leads to; the
  move is made without a person. Inquiries follow each other without a pause: the figure includes the time of one;
* the same while customers are imported in bulk (`--imported`, 1,000,000 by default): the moves are spread evenly over
  the rows of the import. How many rows a second it took is in the figures; and the same again right after its last row,
  while its events still leave for the log, with how many of them waited before and after;
* records of orders, written to the log at once, until one reclassifier process has counted the last of them and
  judged every customer: orders a second;
* everybody judged by a new version of the rules, as one run (`--customers`, 1,000,000): seconds, and the most memory
  that the process took. A twentieth of the customers is to move; their proposals await a person.
"""

import argparse
import asyncio
import statistics
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import asyncpg
import orjson

from bench.deployment import ATP, measured
from bench.figures import Figure, write
from bench.hops import hops
from bench.memory import peak_mib
from bench.processor import per_piece, used
from services.chassis.database import Database
from services.chassis.envelope import Event, to_record
from services.contracts.catalogue import ORDER_RECORDED
from services.reclassifier.adapters.store import SCHEMA, PostgresTransactions
from services.reclassifier.application.change_rule_set import approve_rule_set, change_rule_set
from services.reclassifier.application.ports import ReclassifierTransaction
from services.reclassifier.application.rule_set_document import RuleSetDocument
from tiercel.demo.channels import ServiceClients
from tiercel.stack.deployment import Deployment, Wanted

MOVES: Final = 100
RECORDS: Final = 50_000
RECORD_CUSTOMERS: Final = 2_000
CUSTOMERS: Final = 1_000_000
IMPORTED: Final = 1_000_000
ROWS_AT_ONCE: Final = 1_000
WRITTEN_AT_ONCE: Final = 2_000
WAIT_SECONDS_MAX: Final = 900.0
POLL_SECONDS: Final = 0.05
PUBLISH_SECONDS_MAX: Final = 30.0
PROGRESS_SECONDS: Final = 5.0
SHOWN_EVERY: Final = 50_000
RULE_SET: Final = "activity"
RULES: Final[dict[str, Any]] = {
    "rungs": [
        {
            "tier": "gold",
            "promote": {"feature": "value", "window_days": 90, "at_least": "1000"},
            "demote": {"feature": "value", "window_days": 90, "below": "500"},
        }
    ],
    "floor": "bronze",
    "minimum_dwell_days": 0,
}
SEGMENTS: Final = """
INSERT INTO segment (customer_id, sequence, status, assignments)
SELECT 'bulk-' || n, 1, 'active', '[]'::jsonb FROM generate_series(1, $1::int) n
"""
OWNERS: Final = """
INSERT INTO customer (owner, due_at) SELECT 'c:bulk-' || n, 'infinity' FROM generate_series(1, $1::int) n
"""
DAYS: Final = """
INSERT INTO activity_day (owner, day, orders, units, value_micros, unpriced_lines)
SELECT 'c:bulk-' || n, $2::int - (n % 30) - 29 * k, 1, 5, (n % 1000) * 350000::bigint, 0
FROM generate_series(1, $1::int) n, generate_series(0, 2) k
"""
_UNSENT: Final = "SELECT count(*) FROM segment_registry.outbox WHERE published_at IS NULL AND refused IS NULL"
_RUN: Final = "SELECT judged, ended_at FROM evaluation_run ORDER BY run_id DESC LIMIT 1"


async def main() -> None:
    """Measure and write `build/bench/reclassification.json`."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--moves", type=int, default=MOVES)
    parser.add_argument("--records", type=int, default=RECORDS)
    parser.add_argument("--customers", type=int, default=CUSTOMERS)
    parser.add_argument("--imported", type=int, default=IMPORTED)
    given = parser.parse_args()
    with TemporaryDirectory() as folder:
        rules = Path(folder) / "rules.json"
        rules.write_bytes(orjson.dumps(RULES))
        wanted = [
            Wanted("reclassifier", (), {"TIERCEL_RECLASSIFIER_RULE_SET_FILE": str(rules)})
            if one.service == "reclassifier"
            else one
            for one in ATP
        ]
        async with measured(wanted) as (deployment, clients):
            figures = await _order_to_tier(deployment, clients, given.moves)
            figures += await _during_import(deployment, clients, given.moves, given.imported)
            figures.append(await _orders(deployment, clients, given.records))
            figures += await _everybody(deployment, given.customers)
    write("reclassification", figures, **vars(given))


async def _order_to_tier(deployment: Deployment, clients: ServiceClients, moves: int) -> list[Figure]:
    """Move new customers one after another; they are known before the first one orders."""
    names = await _newcomers(clients, "R", moves)
    return await _moved(deployment, clients, names, "")


async def _during_import(deployment: Deployment, clients: ServiceClients, moves: int, customers: int) -> list[Figure]:
    """Move customers while others come in, evenly over the rows; then once more while the events still leave."""
    spread = await _newcomers(clients, "I", moves)
    late = await _newcomers(clients, "L", moves)
    progress = _Progress(customers)
    importing = asyncio.create_task(_timed_import(clients, progress), name="import")
    try:
        during = await _moved(deployment, clients, spread, ", during an import", progress)
        seconds = await importing
    finally:
        importing.cancel()
    waiting = [await _unsent(deployment)]
    after = await _moved(deployment, clients, late, ", while its events leave")
    waiting.append(await _unsent(deployment))
    rate = Figure(f"{customers:,} customers imported meanwhile", "throughput", "customers/s", customers / seconds)
    left = [
        Figure(f"events of the import that waited {when}", "backlog", "events", count)
        for when, count in zip(("at its end", "after the last move"), waiting, strict=True)
    ]
    return [*during, rate, *after, *left]


async def _newcomers(clients: ServiceClients, prefix: str, count: int) -> list[str]:
    """Register customers, and wait until the ATP knows every one of them."""
    names = [f"{prefix}-{number}" for number in range(count)]
    await _import(clients, names)
    for name in names:
        await _answered(clients, name, lambda answer: answer["customer_id"] is not None)
    return names


class _Progress:
    """How many rows of an import are in; those who wait for a share of them are woken with each portion."""

    def __init__(self, rows: int) -> None:
        self.rows = rows
        self._done = 0
        self._more = asyncio.Condition()

    async def add(self, rows: int) -> None:
        async with self._more:
            self._done += rows
            self._more.notify_all()
        if self._done % SHOWN_EVERY == 0:
            print(f"  {self._done:,} of {self.rows:,} customers imported", flush=True)

    async def reached(self, rows: int) -> None:
        async with self._more:
            await self._more.wait_for(lambda: self._done >= rows)


async def _moved(
    deployment: Deployment, clients: ServiceClients, names: list[str], case: str, progress: _Progress | None = None
) -> list[Figure]:
    """Move customers one after another, or with `progress` the n-th of N once n/N of its rows are in."""
    found = []
    moments = {}
    for number, name in enumerate(names):
        if progress is not None:
            await progress.reached(progress.rows * number // len(names))
        await clients.call("atp", "POST", "/v1/promises", _order(name, f"move-{name}"))
        answered, answered_at = time.perf_counter(), datetime.now(UTC)
        await _answered(clients, name, lambda answer: answer["served_as"]["tier"] == "gold")
        found.append(time.perf_counter() - answered)
        moments[name] = answered_at, datetime.now(UTC)
    whole = _latency(f"an order to the tier that it leads to{case}", found)
    return [whole, *await hops(deployment.database_url, moments, case)]


async def _timed_import(clients: ServiceClients, progress: _Progress) -> float:
    started = time.perf_counter()
    await _import(clients, [f"B-{number}" for number in range(progress.rows)], progress)
    return time.perf_counter() - started


async def _unsent(deployment: Deployment) -> int:
    async with _connected(deployment) as connection:
        count: int = await connection.fetchval(_UNSENT, timeout=WAIT_SECONDS_MAX)
        return count


async def _answered(clients: ServiceClients, customer: str, wanted: Callable[[dict[str, Any]], bool]) -> None:
    """Ask the ATP for this customer until it answers as wanted."""
    started = time.perf_counter()
    while time.perf_counter() - started < WAIT_SECONDS_MAX:
        if wanted(await clients.call("atp", "POST", "/v1/promises:inquire", _order(customer, "asked"))):
            return
    raise TimeoutError(f"{customer} was not served so within {WAIT_SECONDS_MAX:.0f} s")


def _order(customer: str, order_id: str) -> dict[str, Any]:
    return {
        "order": {"source": "bench", "order_id": order_id},
        "customer": {"system": "bench", "id": customer},
        "lines": [{"line": "1", "sku": "BENCH-0001", "quantity": 10, "unit_price": "150"}],
    }


async def _import(clients: ServiceClients, names: list[str], progress: _Progress | None = None) -> None:
    for start in range(0, len(names), ROWS_AT_ONCE):
        rows = [
            {"identifiers": [{"system": "bench", "id": name}], "tier": "bronze"}
            for name in names[start : start + ROWS_AT_ONCE]
        ]
        await clients.call("segment_registry", "POST", "/v1/imports", {"items": rows})
        if progress is not None:
            await progress.add(len(rows))


async def _orders(deployment: Deployment, clients: ServiceClients, records: int) -> Figure:
    names = [f"S-{number}" for number in range(RECORD_CUSTOMERS)]
    await _import(clients, names)
    producer = await deployment.event_log.producer("bench")
    written = [to_record(_recorded(number, names[number % len(names)])) for number in range(records)]
    before, started = await used(deployment), time.perf_counter()
    try:
        for start in range(0, records, WRITTEN_AT_ONCE):
            portion = written[start : start + WRITTEN_AT_ONCE]
            await producer.publish(portion, deadline_seconds=PUBLISH_SECONDS_MAX)
    finally:
        await producer.close()
    async with _connected(deployment) as connection:
        await _until(
            connection,
            "SELECT (SELECT count(*) FROM recorded_order WHERE source = 'bench-log') >= $1"
            " AND NOT EXISTS (SELECT FROM customer WHERE due_at = '-infinity')",
            records,
        )
    seconds = time.perf_counter() - started
    spent = per_piece(before, await used(deployment), records)
    return Figure("recorded orders, one process", "throughput", "orders/s", records / seconds, processor_us=spent)


def _recorded(number: int, customer: str) -> Event:
    now = datetime.now(UTC)
    data = {
        "order": {"source": "bench-log", "order_id": str(number), "version": 1},
        "change": "accepted",
        "sequence": 1,
        "customer_id": None,
        "customer": {"system": "bench", "id": customer},
        "tier": "bronze",
        "channel": "default",
        "zone": "*",
        "ordered_at": now,
        "occurred_at": now,
        "lines": [{"line": "1", "sku": "BENCH-0001", "quantity": 1, "unit_price": "1.50", "promised_quantity": 1}],
        "currency": "GBP",
    }
    name = f"bench-log-{number}"
    return Event(
        id=name,
        type=ORDER_RECORDED.name,
        source="bench",
        topic=ORDER_RECORDED.topic.name,
        key=f"bench/{customer}",
        sequence=1,
        time=now,
        data=orjson.dumps(data),
        correlation_id=name,
        causation_id=name,
        dataschema=ORDER_RECORDED.dataschema,
    )


async def _everybody(deployment: Deployment, customers: int) -> list[Figure]:
    async with _connected(deployment) as connection:
        await connection.execute(SEGMENTS, customers, timeout=WAIT_SECONDS_MAX)
        await connection.execute(OWNERS, customers, timeout=WAIT_SECONDS_MAX)
        await connection.execute(DAYS, customers, datetime.now(UTC).toordinal(), timeout=WAIT_SECONDS_MAX)
        print(f"  {customers:,} customers with three order days each", flush=True)
        await connection.execute("ANALYZE", timeout=WAIT_SECONDS_MAX)
        before, started = await used(deployment), time.perf_counter()
        await _put_in_force(deployment, {**RULES, "mode": "propose", "proposal_ttl_days": 30})
        await _judged(connection, customers)
        seconds = time.perf_counter() - started
    spent = per_piece(before, await used(deployment), customers)
    process = next(one.process for one in deployment.processes if one.wanted.service == "reclassifier")
    return [
        Figure(f"{customers:,} customers judged", "time", "s", seconds, processor_us=spent),
        Figure(f"{customers:,} customers judged", "most memory", "MiB", peak_mib(process.pid)),
    ]


async def _put_in_force(deployment: Deployment, document: dict[str, Any]) -> None:
    checked = RuleSetDocument.model_validate(document)

    async def put(transaction: ReclassifierTransaction) -> None:
        rule_set = checked.to_domain(RULE_SET, 1)
        stored, _ = await change_rule_set(transaction, rule_set, checked.to_json(), "bench")
        await approve_rule_set(transaction, RULE_SET, stored.rule_set.version, stored.content_hash, "second")

    database = await Database.open(deployment.database_url, schema=SCHEMA, name="bench")
    try:
        await PostgresTransactions(database).run(put, label="put in force")
    finally:
        await database.close()


async def _judged(connection: "asyncpg.Connection[asyncpg.Record]", customers: int) -> None:
    """Wait until the run is over, and say how far it is. Raises TimeoutError, or if it has left anybody out."""
    started = shown = time.perf_counter()
    while time.perf_counter() - started < WAIT_SECONDS_MAX:
        judged, ended_at = await connection.fetchrow(_RUN) or (0, None)
        if ended_at is not None:
            if judged < customers:
                raise ValueError(f"{judged} of {customers} customers were judged")
            return
        if time.perf_counter() - shown > PROGRESS_SECONDS:
            shown = time.perf_counter()
            print(f"  {judged:,} of {customers:,} customers judged, {shown - started:.0f} s", flush=True)
        await asyncio.sleep(POLL_SECONDS * 10)
    raise TimeoutError("not everybody was judged")


async def _until(connection: "asyncpg.Connection[asyncpg.Record]", question: str, *values: object) -> None:
    started = time.perf_counter()
    while not await connection.fetchval(question, *values):
        if time.perf_counter() - started > WAIT_SECONDS_MAX:
            raise TimeoutError(question)
        await asyncio.sleep(POLL_SECONDS)


@asynccontextmanager
async def _connected(deployment: Deployment) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """A connection to the reclassifier's schema."""
    connection = await asyncpg.connect(deployment.database_url, server_settings={"search_path": SCHEMA})
    try:
        yield connection
    finally:
        await connection.close()


def _latency(case: str, seconds: list[float]) -> Figure:
    ordered = sorted(seconds)
    median = statistics.median(ordered) * 1e3
    p99 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))] * 1e3
    return Figure(case, "latency", "ms (median)", median, p50_ms=median, p99_ms=p99)


if __name__ == "__main__":
    asyncio.run(main())
