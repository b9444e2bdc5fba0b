"""The reclassifier over a real PostgreSQL, fed by deliveries and spoken to without a socket."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import httpx
import orjson
from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from services.chassis import business_time
from services.chassis.database import Connection, Database
from services.chassis.deliveries import Delivery
from services.chassis.envelope import Event, to_record
from services.chassis.event_log.port import Received
from services.chassis.lifecycle import Quiet
from services.chassis.migrations import migrate
from services.contracts.catalogue import (
    FEEDBACK_GIVEN,
    ORDER_COSTED,
    ORDER_RECORDED,
    SEGMENT_CURRENT,
    TIER_POLICY,
    EventType,
    decode,
)
from services.contracts.segments import SegmentProposed
from services.reclassifier.adapters.store import SCHEMA, PostgresTransaction, PostgresTransactions
from services.reclassifier.application.change_rule_set import approve_rule_set, change_rule_set
from services.reclassifier.application.ports import ReclassifierTransaction
from services.reclassifier.application.rule_set_document import RuleSetDocument
from services.reclassifier.bootstrap import MIGRATIONS
from services.reclassifier.domain.features import Detail
from services.reclassifier.entrypoints.app import create_reclassifier_app
from services.reclassifier.entrypoints.costed_orders import CostedOrdersHandler
from services.reclassifier.entrypoints.desk import Desk
from services.reclassifier.entrypoints.evaluator import Evaluator
from services.reclassifier.entrypoints.published_segments import apply_published
from services.reclassifier.entrypoints.recorded_orders import RecordedOrdersHandler
from services.reclassifier.entrypoints.told_of_customers import ByTopic, FeedbackHandler
from services.reclassifier.metrics import ReclassifierMetrics
from tests.support.http import Credentials, client_of, everything_is_ready
from tests.support.proposal_keys import PROVER

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
RULE_SET = "activity"
RULES: dict[str, Any] = {
    "rungs": [
        {
            "tier": "gold",
            "promote": {"feature": "value", "window_days": 90, "at_least": "1000"},
            "demote": {"feature": "value", "window_days": 90, "below": "500"},
        },
        {
            "tier": "silver",
            "promote": {"feature": "orders", "window_days": 30, "at_least": 2},
            "demote": {"feature": "recency", "above": 30},
        },
    ],
    "floor": "bronze",
    "minimum_dwell_days": 10,
    "proposal_ttl_days": 7,
}


def record(order_id: str, customer_id: str | None = "c1", **changed: Any) -> dict[str, Any]:
    """The payload of a record: one line of ten units at 10.00, ordered at noon."""
    lines = [{"line": "1", "sku": "A", "quantity": 10, "unit_price": "10.00"}]
    return {
        "order": {"source": "shop", "order_id": order_id, "version": 1},
        "change": "accepted",
        "sequence": 1,
        "customer_id": customer_id,
        "customer": {"system": "shop", "id": "x"},
        "tier": "bronze",
        "channel": "web",
        "zone": "GB",
        "ordered_at": NOON.isoformat(),
        "occurred_at": NOON.isoformat(),
        "lines": lines,
        "currency": "GBP",
        **changed,
    }


def costed(
    order_id: str, to_serve: str, goods: str = "0", customer_id: str | None = "c1", **changed: Any
) -> dict[str, Any]:
    """The payload of what an order cost, in minor units, all of it on the day of noon."""
    missing = changed.pop("missing", 0)
    day = {"day": NOON.date().isoformat(), "cost_to_serve_minor": to_serve, "goods_minor": goods, "missing": missing}
    return {
        "order": {"source": "shop", "order_id": order_id},
        "sequence": 1,
        "customer_id": customer_id,
        "customer": {"system": "shop", "id": "x"},
        "currency": "GBP",
        "costed_at": NOON.isoformat(),
        "days": [day],
        **changed,
    }


def feedback(reference: str, customer_id: str = "c1", **changed: Any) -> dict[str, Any]:
    """The payload of a survey of a customer of the registry, answered with 9 at noon."""
    return {
        "source": "crm",
        "reference": reference,
        "customer": {"system": "tiercel", "id": customer_id},
        "kind": "survey",
        "score": 9,
        "occurred_at": NOON.isoformat(),
        **changed,
    }


def segment(customer_id: str = "c1", sequence: int = 1, tier: str | None = None, **changed: Any) -> dict[str, Any]:
    """The payload of a published customer, for long in the tier, or in none."""
    since = (NOON - timedelta(days=100)).isoformat()
    assigned = [] if tier is None else [{"tier": tier, "effective_from": since, "sequence": sequence}]
    return {"customer_id": customer_id, "sequence": sequence, "assignments": assigned, **changed}


def delivery(kind: EventType, payload: Any, *, key: str = "any", name: str = "e", offset: int = 0) -> Delivery:
    """A payload as it comes out of the log."""
    event = Event(
        id=name,
        type=kind.name,
        source="test",
        topic=kind.topic.name,
        key=key,
        sequence=1,
        time=NOON,
        data=payload if isinstance(payload, bytes) else orjson.dumps(payload),
        correlation_id=f"correlation of {name}",
        causation_id=name,
        traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    )
    return Delivery(event, Received(to_record(event), 0, offset, NOON))


@dataclass(slots=True)
class ReclassifierUnderTest:
    """The service's parts. Business time is noon of a day in March until a test moves it."""

    database: Database
    transactions: PostgresTransactions
    metrics: ReclassifierMetrics
    evaluator: Evaluator
    handler: ByTopic
    client: httpx.AsyncClient
    limited: dict[str, str]
    second: dict[str, str]
    poor: dict[str, str]
    app: FastAPI
    reading: str
    events: int = field(default=0)
    people: dict[str, dict[str, str]] = field(default_factory=dict)

    async def take(self, *records: dict[str, Any]) -> list[tuple[int, str]]:
        """Count a batch of records; what was rejected."""
        self.events += 1
        batch = [delivery(ORDER_RECORDED, one, name=f"r{self.events}.{index}") for index, one in enumerate(records)]
        return [(one.index, one.code) for one in await self.handler(batch)]

    async def hear(self, *feedback: dict[str, Any]) -> list[tuple[int, str]]:
        """Count a batch of feedback; what was rejected."""
        self.events += 1
        batch = [delivery(FEEDBACK_GIVEN, one, name=f"f{self.events}.{index}") for index, one in enumerate(feedback)]
        return [(one.index, one.code) for one in await self.handler(batch)]

    async def cost(self, *costs: dict[str, Any]) -> list[tuple[int, str]]:
        """Count a batch of costs of orders; what was rejected."""
        self.events += 1
        batch = [delivery(ORDER_COSTED, one, name=f"k{self.events}.{index}") for index, one in enumerate(costs)]
        return [(one.index, one.code) for one in await self.handler(batch)]

    async def publish(self, *segments: Any) -> None:
        """Apply a batch of published customers."""
        batch = [delivery(SEGMENT_CURRENT, one) for one in segments]
        await self.transactions.run(lambda transaction: apply_published(transaction, batch), label="publish")

    async def define(self, *tiers: Any) -> None:
        """Apply a batch of published tiers."""
        batch = [delivery(TIER_POLICY, one) for one in tiers]
        await self.transactions.run(lambda transaction: apply_published(transaction, batch), label="define")

    async def judge(self) -> int:
        """Judge everything that is due, and look at what is to be looked at; how many proposals came of it."""
        proposals = 0
        while (evaluation := await self.evaluator.evaluate()).more:
            proposals += evaluation.promotions + evaluation.demotions
        while await self.evaluator.look():
            pass
        return proposals

    async def proposed(self) -> list[SegmentProposed]:
        """Everything proposed so far, in order; each must be what its contract says."""
        rows = await self.fetch("SELECT * FROM outbox ORDER BY position")
        found = [decode(row["type"], row["payload"], topic=row["aggregatetype"]) for row in rows]
        assert [row["aggregateid"] for row in rows] == [getattr(one, "customer_id", None) for one in found]
        return [one for one in found if isinstance(one, SegmentProposed)]

    async def states(self) -> list[str]:
        """What became of each proposal."""
        return [row["state"] for row in await self.fetch("SELECT state FROM proposal ORDER BY position")]

    async def fetch(self, query: str, *values: Any) -> list[asyncpg.Record]:
        """Rows of the reclassifier's schema."""
        return await self.database.read(lambda connection: connection.fetch(query, *values))

    async def set_time(self, at: datetime, phase: str = "settle") -> None:
        """Move the business time."""

        async def move(connection: Connection) -> None:
            await business_time.set_replay(connection, at, phase, 1)

        await self.database.run(move, label="move the time")

    async def set_rules(self, **changed: Any) -> None:
        """Put another version of the rules in force."""
        document = RuleSetDocument.model_validate({**RULES, **changed})

        async def put(transaction: ReclassifierTransaction) -> None:
            rule_set = document.to_domain(RULE_SET, 1)
            stored, _ = await change_rule_set(transaction, rule_set, document.to_json(), "tester")
            version = stored.rule_set.version
            await approve_rule_set(transaction, RULE_SET, version, stored.content_hash, "second")

        await self.transactions.run(put, label="set rules")


async def empty_schema(database_url: str) -> None:
    """A migrated schema with nothing in it, and no replay."""
    await migrate(database_url, schema=SCHEMA, script_location=MIGRATIONS)
    connection = await asyncpg.connect(database_url)
    try:
        tables = await connection.fetchval(
            "SELECT string_agg(oid::regclass::text, ', ') FROM pg_class WHERE relnamespace = $1::regnamespace"
            " AND relkind IN ('r', 'p') AND NOT relispartition AND relname <> 'alembic_version'"
            " AND NOT starts_with(relname, 'audit')",  # append-only, for tests too
            SCHEMA,
        )
        await connection.execute(f"TRUNCATE {tables} RESTART IDENTITY")
        await business_time.ensure_schema(connection)
        await business_time.clear_replay(connection)
    finally:
        await connection.close()


@asynccontextmanager
async def reclassifier_over(database_url: str) -> AsyncIterator[ReclassifierUnderTest]:
    """The reclassifier on an empty schema with its rules, at noon."""
    await empty_schema(database_url)
    database = await Database.open(database_url, schema=SCHEMA, name="reclassifier under test")
    transactions = PostgresTransactions(database, PROVER)
    collectors = CollectorRegistry()
    metrics = ReclassifierMetrics(collectors)
    credentials = Credentials()

    async def quiet() -> Quiet:
        return Quiet(quiet=True, activity=0)

    app = create_reclassifier_app(
        Desk(transactions, metrics, RULE_SET),
        version="1",
        authenticator=credentials.authenticator(),
        registry=collectors,
        readiness=everything_is_ready,
        quiet=quiet,
    )
    scopes = ("reclassifier.read", "reclassifier.write", "reclassifier.approve", "replay.drive")
    evaluator = Evaluator(transactions, metrics, rule_set_id=RULE_SET)
    orders = RecordedOrdersHandler(transactions, metrics, evaluator, currency="GBP")
    handler = ByTopic(
        {
            ORDER_RECORDED.topic.name: orders,
            ORDER_COSTED.topic.name: CostedOrdersHandler(transactions, metrics, evaluator, currency="GBP"),
            FEEDBACK_GIVEN.topic.name: FeedbackHandler(transactions, metrics),
        }
    )
    limited = credentials.headers(*scopes, subject="carl", account_groups=["north"])
    async with client_of(app, credentials.headers(*scopes, subject="ann")) as client:
        poor = credentials.headers(subject="poor")
        reading = credentials.key("reclassifier.read", subject="the registry")
        second = credentials.headers(*scopes, subject="bea")
        running = ReclassifierUnderTest(
            database, transactions, metrics, evaluator, handler, client, limited, second, poor, app, reading
        )
        running.people |= {name: credentials.headers(*scopes, subject=name) for name in ("ANN ", "shipped")}
        await running.set_time(NOON)
        await running.set_rules()
        await running.judge()
        yield running
    await database.close()


async def features(
    running: ReclassifierUnderTest, owners: Sequence[str], windows: Sequence[int], detail: Sequence[Detail] = ()
) -> dict[str, Any]:
    """The features as the database computes them."""
    today = NOON.toordinal()
    return await running.database.read(
        lambda connection: PostgresTransaction(connection).features(list(owners), today, list(windows), detail)
    )
