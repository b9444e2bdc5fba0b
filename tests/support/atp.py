"""A running ATP over a real PostgreSQL and an event log in memory, with the means to set it up and to look inside."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any, TypeVar

import asyncpg
import httpx
import orjson

from services.atp.bootstrap import MIGRATIONS, SCHEMA, build
from services.atp.settings import AtpSettings
from services.chassis.database import Connection, Database
from services.chassis.envelope import Event, to_record
from services.chassis.event_log.port import TopicSpec
from services.chassis.ids import new_id
from services.chassis.lifecycle import ALL_ROLES, Role, Service, Supervisor
from services.chassis.migrations import migrate
from services.contracts import catalogue, topics
from services.contracts.catalogue import EventType
from tests.support.http import Credentials, client_of
from tests.support.memory_log import MemoryEventLog, MemoryStore

T = TypeVar("T")
SCOPES = (
    "atp.promise",
    "atp.read",
    "atp.plan",
    "atp.cut_over",
    "atp.preview",
    "atp.supply",
    "atp.configure",
    "atp.release",
    "replay.drive",
    "metrics.read",
)
DEADLINE_SECONDS = 120.0
NUMBERS = itertools.count(1)


def unique(prefix: str) -> str:
    """A name that no other test of this process uses."""
    return f"{prefix}-{next(NUMBERS)}"


@dataclass(slots=True)
class Atp:
    """One running ATP; `client` may do everything."""

    service: Service
    database: Database
    store: MemoryStore
    credentials: Credentials
    client: httpx.AsyncClient
    supervisor: Supervisor
    log: MemoryEventLog = field(init=False)

    def __post_init__(self) -> None:
        self.log = MemoryEventLog(self.store)

    async def fetch(self, query: str, *arguments: object) -> list[Any]:
        """Rows of a query, each as a tuple."""

        async def read(connection: Connection) -> list[Any]:
            return [tuple(row) for row in await connection.fetch(query, *arguments)]

        return await self.database.read(read)

    async def execute(self, query: str, *arguments: object) -> None:
        """Run a statement."""

        async def work(connection: Connection) -> None:
            await connection.execute(query, *arguments)

        await self.database.run(work, label="test")

    async def item(self, item_id: str | None = None, *, on_hand: int = 0, location: str = "L1", **policy: Any) -> str:
        """An item with a position at a location that has a lane to everywhere."""
        item_id = item_id or unique("item")
        await self.location(location)
        await self.execute(
            "INSERT INTO item (item_id, version, active, checking_horizon_days) VALUES ($1, 1, $2, $3)"
            " ON CONFLICT DO NOTHING",
            item_id,
            policy.get("active", True),
            policy.get("horizon"),
        )
        await self.execute(
            "INSERT INTO position (item_id, location_id, on_hand, buffer) VALUES ($1, $2, $3, $4)",
            item_id,
            location,
            on_hand,
            policy.get("buffer", 0),
        )
        await self.execute(
            "INSERT INTO movement (source, reference, item_id, location_id, kind, quantity, on_hand_change, outcome,"
            " occurred_at) VALUES ('test', 'opening', $1, $2, 'adjustment', $3, $3, 'applied', clock_timestamp())",
            item_id,
            location,
            on_hand,
        )
        return item_id

    async def location(self, location: str, *, zone: str = "*", transit_days: int = 2, rank: int = 1) -> None:
        """A location with a lane to a zone."""
        await self.execute("INSERT INTO location (location_id) VALUES ($1) ON CONFLICT DO NOTHING", location)
        await self.execute(
            "INSERT INTO lane (zone, location_id, service, carrier_class, rank, transit_days, cost_shipment_minor)"
            " VALUES ($1, $2, 'road', 'road', $3, $4, 500) ON CONFLICT DO NOTHING",
            zone,
            location,
            rank,
            transit_days,
        )
        await self.execute("UPDATE configuration SET version = version + 1")

    async def tier(self, tier: str, rank: int, *, default: bool = False, **policy: Any) -> None:
        """A tier as the registry would have published it."""
        await self.execute(
            "INSERT INTO tier (tier, version, priority_rank, is_default, active, policy)"
            " VALUES ($1, 1, $2, $3, true, $4)"
            " ON CONFLICT (tier) DO UPDATE SET priority_rank = excluded.priority_rank, policy = excluded.policy",
            tier,
            rank,
            default,
            orjson.dumps(policy).decode(),
        )
        await self.execute("UPDATE configuration SET version = version + 1")

    async def customer(self, customer_id: str, *assignments: dict[str, Any], system: str = "erp") -> None:
        """A customer whose id in `system` is the same."""
        await self.execute(
            "INSERT INTO segment (customer_id, sequence, status, assignments) VALUES ($1, 1, 'active', $2)"
            " ON CONFLICT (customer_id) DO UPDATE SET assignments = excluded.assignments",
            customer_id,
            orjson.dumps(assignments).decode(),
        )
        await self.execute(
            "INSERT INTO segment_identifier (system, external_id, customer_id) VALUES ($1, $2, $2)"
            " ON CONFLICT DO NOTHING",
            system,
            customer_id,
        )

    async def place(self, order: dict[str, Any], **headers: str) -> httpx.Response:
        """Place an order over HTTP."""
        return await self.client.post("/v1/promises", json=order, headers=headers)

    async def publish(self, *events: Event) -> None:
        """Write events to the log, in order."""
        producer = await self.log.producer("test")
        await producer.publish([to_record(event) for event in events], deadline_seconds=60)

    async def published(self, topic: topics.Topic) -> list[dict[str, Any]]:
        """The payloads of a topic, once everything in the outbox is published, in the order of the log."""
        await self.until_published()
        found = [each for (name, _), records in self.store.records.items() if name == topic.name for each in records]
        return [orjson.loads(each.record.value or b"null") for each in sorted(found, key=lambda each: each.at)]

    async def until_published(self) -> None:
        """Wait until the outbox is empty."""
        await self.until("SELECT NOT EXISTS (SELECT FROM outbox WHERE published_at IS NULL)")

    async def letters(self, topic: str, count: int) -> list[str]:
        """The reasons of the dead letters of a topic, once there are as many; fails after a deadline."""
        twin = topics.dead_letters(topic)

        def reasons() -> list[str]:
            kept = [each for (name, _), records in self.store.records.items() if name == twin for each in records]
            return [dict(each.record.headers)["dlq_reason"].decode() for each in kept]

        async with asyncio.timeout(DEADLINE_SECONDS), self.store.changed:
            await self.store.changed.wait_for(lambda: len(reasons()) >= count)
        return reasons()

    async def until(self, condition: str, *arguments: object) -> None:
        """Wait until a query says true; fails after a deadline."""
        async with asyncio.timeout(DEADLINE_SECONDS):
            while not (await self.fetch(condition, *arguments))[0][0]:  # noqa: ASYNC110 - only the database knows
                await asyncio.sleep(0.01)


@asynccontextmanager
async def running_atp(
    database_url: str, *, roles: frozenset[Role] = ALL_ROLES, store: MemoryStore | None = None, **settings: Any
) -> AsyncIterator[Atp]:
    """An ATP on a migrated database, with its side tasks; everything is stopped in good order at the end."""
    await migrate(database_url, schema=SCHEMA, script_location=MIGRATIONS)
    if store is None:
        await _forget_offsets(database_url)
    store = store or MemoryStore()
    log = MemoryEventLog(store)
    await log.ensure_topics(
        [
            TopicSpec(name, partitions=2, compacted=topic.cleanup is topics.Cleanup.COMPACT)
            for topic in topics.ALL
            for name in (topic.name, topics.dead_letters(topic.name))
        ]
    )
    credentials = Credentials()
    given = {"form": "embedded", "atp_redecision_poll_seconds": 0.2, **settings}
    service = await build(
        AtpSettings(**given),
        database_url=database_url,
        event_log=log,
        authenticator=credentials.authenticator(),
        roles=roles,
    )
    supervisor = Supervisor()
    supervisor.on_close(service.name, service.stop)
    supervisor.on_drain(log.hurry)  # else each test would wait for the end of a poll of every consumer
    await service.start()
    for task in service.tasks:
        supervisor.spawn(task.name, task.run, stage=task.stage)
    database = await Database.open(database_url, schema=SCHEMA, name="test")
    supervisor.on_close("test database", database.close)
    try:
        async with client_of(service.app, credentials.headers(*SCOPES)) as client:
            yield Atp(service, database, store, credentials, client, supervisor)
    finally:
        supervisor.request_stop("the test is over")
        await supervisor.run_until_stopped()


async def _forget_offsets(database_url: str) -> None:
    """How far projections had read is of the log of another test; a new log is read from its begin."""
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute(f"DELETE FROM {SCHEMA}.projection_offset")
    finally:
        await connection.close()


def an_order(*lines: tuple[str, int], order_id: str | None = None, **fields: Any) -> dict[str, Any]:
    """An order of (sku, quantity) lines as JSON values; `fields` replace or add members."""
    return {
        "order": {"source": "shop", "order_id": order_id or unique("order"), "version": 1},
        "customer": {"system": "erp", "id": "nobody"},
        "lines": [
            {"line": str(number), "sku": sku, "quantity": quantity}
            for number, (sku, quantity) in enumerate(lines, start=1)
        ],
        **fields,
    }


def order_event(kind: EventType, payload: dict[str, Any], *, event_id: str | None = None, **changed: Any) -> Event:
    """An event of `orders.v1`."""
    made = event_id or str(new_id())
    given: dict[str, Any] = {
        "id": made,
        "type": kind.name,
        "source": "urn:test:shop",
        "topic": kind.topic.name,
        "key": payload["order"]["order_id"],
        "sequence": 0,
        "time": datetime.now(UTC),
        "data": orjson.dumps(payload),
        "correlation_id": made,
        "causation_id": made,
        **changed,
    }
    return Event(**given)


def placed(order: dict[str, Any], **changed: Any) -> Event:
    """`order.placed.v2`."""
    return order_event(catalogue.ORDER_PLACED, order, **changed)


def cancelled(order: dict[str, Any], *, version: int = 1, **changed: Any) -> Event:
    """`order.cancelled.v1`."""
    reference = {**order["order"], "version": version}
    return order_event(catalogue.ORDER_CANCELLED, {"order": reference}, **changed)


def confirmed(order: dict[str, Any], *, version: int = 1, **changed: Any) -> Event:
    """`order.confirmed.v1`."""
    reference = {**order["order"], "version": version}
    return order_event(catalogue.ORDER_CONFIRMED, {"order": reference}, **changed)


def today() -> date:
    """The day that a test runs on, from its begin to its end."""
    return datetime.now(UTC).date()


def in_days(days: int) -> str:
    """A day from today, as JSON."""
    return (today() + timedelta(days=days)).isoformat()


def assigned(tier: str, *, sequence: int = 1, start: date | datetime | None = None, **more: Any) -> dict[str, Any]:
    """An assignment as the projection stores it; by default it began long ago."""
    begins = start or datetime(2000, 1, 1, tzinfo=UTC)
    return {"tier": tier, "effective_from": begins.isoformat(), "effective_to": None, "sequence": sequence, **more}


def outcomes(answer: httpx.Response) -> Sequence[str]:
    """The outcomes of the lines of a promise."""
    return [line["outcome"] for line in answer.json()["lines"]]
