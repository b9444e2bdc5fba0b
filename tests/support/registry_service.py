"""The segment registry over a real PostgreSQL, spoken to without a socket."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import asyncpg
import httpx
import orjson
from prometheus_client import CollectorRegistry

from services.chassis import business_time
from services.chassis.database import Connection, Database
from services.chassis.lifecycle import Quiet
from services.chassis.migrations import migrate
from services.contracts.catalogue import decode
from services.contracts.payload import Payload
from services.segment_registry.adapters.registry_store import SCHEMA, PostgresTransactions
from services.segment_registry.application.ports import Cause, Commander, Distances
from services.segment_registry.application.seed_default_tier import seed_default_tier
from services.segment_registry.bootstrap import MIGRATIONS
from services.segment_registry.entrypoints.app import create_registry_app
from services.segment_registry.entrypoints.desk import Desk
from services.segment_registry.metrics import RegistryMetrics
from tests.support.http import Credentials, everything_is_ready

SCOPES = (
    "registry.read",
    "registry.write",
    "registry.import",
    "registry.govern",
    "registry.personal",
    "registry.erase",
    "replay.drive",
)
SYSTEM = Commander("system", Cause("start", "start"))


@dataclass(frozen=True, slots=True)
class Published:
    """An event in the outbox, its payload read as its contract."""

    type: str
    topic: str
    key: str
    sequence: int
    lane: int
    payload: Payload
    headers: dict[str, str]


@dataclass(slots=True)
class RegistryUnderTest:
    """The service's parts. `client` is ann with all scopes; `bob` another writer, `limited` one of an account group.

    `keys` are the headers of more callers, each with the scopes that its name says; `ann's other key` may only approve.
    """

    database: Database
    transactions: PostgresTransactions
    metrics_registry: CollectorRegistry
    metrics: RegistryMetrics
    client: httpx.AsyncClient
    bob: dict[str, str]
    limited: dict[str, str]
    keys: dict[str, dict[str, str]]
    tiers: tuple[str, ...] = ("gold", "silver")

    async def published(self, key: str | None = None) -> list[Published]:
        """Events of a key (or all) in the order of their positions; each must be what its contract says."""

        async def fetch(connection: Connection) -> list[asyncpg.Record]:
            return await connection.fetch(
                "SELECT * FROM outbox WHERE $1::text IS NULL OR aggregateid = $1 ORDER BY position", key
            )

        return [
            Published(
                type=row["type"],
                topic=row["aggregatetype"],
                key=row["aggregateid"],
                sequence=row["key_version"],
                lane=row["lane"],
                payload=decode(row["type"], row["payload"], topic=row["aggregatetype"]),
                headers=orjson.loads(row["headers"]),
            )
            for row in await self.database.read(fetch)
        ]

    async def fetch(self, query: str, *values: Any) -> list[asyncpg.Record]:
        """Rows of the registry's schema."""
        return await self.database.read(lambda connection: connection.fetch(query, *values))

    async def audit(self, subject: str) -> list[asyncpg.Record]:
        """Audit rows of a subject."""
        return await self.fetch("SELECT * FROM audit WHERE subject = $1 ORDER BY position", subject)

    async def new_customer(self, name: str, tier: str | None = None) -> str:
        """A customer that the ERP knows by this name."""
        answer = await self.client.post("/v1/customers", json={"identifiers": [{"system": "erp", "id": name}]})
        assert answer.status_code == 201, answer.text
        customer_id: str = answer.json()["customer_id"]
        if tier is not None:
            await self.assign(customer_id, tier)
        return customer_id

    async def assign(self, customer_id: str, tier: str, expected: int = 201, **more: Any) -> dict[str, Any]:
        """Put a customer into a tier over HTTP."""
        answer = await self.client.post(f"/v1/customers/{customer_id}/assignments", json={"tier": tier, **more})
        assert answer.status_code == expected, answer.text
        document: dict[str, Any] = answer.json()
        return document


async def prepare(database_url: str) -> None:
    """Make the schemas, unless another test of the module has."""
    connection = await asyncpg.connect(database_url)
    made = await connection.fetchval("SELECT to_regclass($1) IS NOT NULL", f"{SCHEMA}.audit_head")
    await business_time.ensure_schema(connection)
    await connection.close()
    if not made:
        await migrate(database_url, schema=SCHEMA, script_location=MIGRATIONS)


@asynccontextmanager
async def registry_over(
    database_url: str, *, reclassifier: Distances | None = None
) -> AsyncIterator[RegistryUnderTest]:
    """The registry on a migrated database with the default tier, gold and silver."""
    await prepare(database_url)
    database = await Database.open(database_url, schema=SCHEMA, name="registry under test")
    transactions = PostgresTransactions(database)
    metrics_registry = CollectorRegistry()
    metrics = RegistryMetrics(metrics_registry)
    credentials = Credentials()

    async def quiet() -> Quiet:
        return Quiet(quiet=True, activity=0)

    app = create_registry_app(
        Desk(transactions, metrics),
        version="1",
        authenticator=credentials.authenticator(),
        registry=metrics_registry,
        readiness=everything_is_ready,
        quiet=quiet,
        reclassifier=reclassifier,
    )
    bob = credentials.headers(*SCOPES, subject="bob")
    limited = credentials.headers(*SCOPES, subject="carl", account_groups=["north"])
    headers = credentials.headers(*SCOPES, subject="ann")
    keys = {
        "writer": credentials.headers("registry.read", "registry.write", subject="wendy"),
        "approver": credentials.headers("registry.read", "registry.approve", subject="ava"),
        "bob's approver key": credentials.headers("registry.read", "registry.approve", subject="bob"),
        "ann's other key": credentials.headers("registry.read", "registry.approve", subject="ann"),
        "ann in capitals": credentials.headers("registry.read", "registry.approve", subject=" A\uff2eN"),
    }
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test", headers=headers) as client:
        registry = RegistryUnderTest(database, transactions, metrics_registry, metrics, client, bob, limited, keys)
        await transactions.run(lambda transaction: seed_default_tier(transaction, "{}", SYSTEM), label="seed")
        for rank, tier in enumerate(registry.tiers, 1):
            defined = await client.put(f"/v1/tiers/{tier}", json={"name": tier.title(), "priority_rank": rank})
            assert defined.status_code in {200, 201}, defined.text
        yield registry
    await database.close()
