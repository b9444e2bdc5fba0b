"""Puts the segment registry together: the one place that sees both sides of its ports.

A process may have any of the roles: `api` answers commands and questions, `consumer` applies proposals, `relay`
publishes. Health and metrics are served by all. Migrations are not run here: they are a step of a deployment.
"""

import asyncio
from contextlib import nullcontext
from importlib.metadata import version
from pathlib import Path
from typing import Final

import asyncpg
import orjson
from prometheus_client import CollectorRegistry

from services.chassis.audit.anchoring import AuditMetrics, anchoring
from services.chassis.auth import Authenticator
from services.chassis.business_time import MOVED, ensure_schema, refuse_stored_time
from services.chassis.cache import Cache, RedisCache
from services.chassis.clocks import SystemClock
from services.chassis.consumer import ConsumerRunner
from services.chassis.consumer_metrics import ConsumerMetrics
from services.chassis.database import Connection, Database, DatabaseError
from services.chassis.dlq import DeadLetterWatch
from services.chassis.event_log.port import EventLog, Producer
from services.chassis.event_proofs import ProofCheck
from services.chassis.ids import new_id
from services.chassis.lifecycle import Quiet, Role, Service, SideTask, Stage
from services.chassis.metrics import new_registry
from services.chassis.partitions import keep_partitions
from services.chassis.quiet import Stir, look_twice
from services.chassis.rate_limit import Budget, RateLimiter
from services.chassis.relay import Beacon, Relay, RelaySettings
from services.chassis.relay_metrics import RelayMetrics
from services.chassis.signing_keys import UnusableKey
from services.contracts.topics import AUDIT_ANCHORS, SEGMENTS_CURRENT, SEGMENTS_PROPOSALS, dead_letters
from services.segment_registry.adapters.atp_api import AtpApi
from services.segment_registry.adapters.heartbeat import heartbeats
from services.segment_registry.adapters.reclassifier_api import ReclassifierApi
from services.segment_registry.adapters.registry_store import SCHEMA, PostgresTransactions
from services.segment_registry.application.ports import Cause, Commander
from services.segment_registry.application.report_quiet import backlog
from services.segment_registry.application.seed_default_tier import seed_default_tier
from services.segment_registry.entrypoints.app import create_registry_app
from services.segment_registry.entrypoints.desk import Desk
from services.segment_registry.entrypoints.planned_effects import PlannedEffects
from services.segment_registry.entrypoints.proposals import FORGED, GROUP, REFUSALS, ProposalsHandler, WaitingProposals
from services.segment_registry.metrics import RegistryMetrics
from services.segment_registry.settings import SegmentRegistrySettings

NAME: Final = "segment_registry"
MIGRATIONS: Final = Path(__file__).with_name("migrations")
CONNECT_TIMEOUT_SECONDS: Final = 5.0
SETTLE_POLL_SECONDS: Final = 1.0  # outside a replay nothing waits, and a replay tells when it moves

__all__ = ["MIGRATIONS", "NAME", "SCHEMA", "build"]


async def build(
    settings: SegmentRegistrySettings,
    *,
    database_url: str,
    event_log: EventLog,
    authenticator: Authenticator,
    roles: frozenset[Role],
) -> Service:
    """The service, not yet started; topics and schema exist when it starts."""
    return _Registry(settings, database_url, event_log, roles).service(authenticator)


class _Registry:
    """The parts of one running registry."""

    def __init__(
        self, settings: SegmentRegistrySettings, database_url: str, event_log: EventLog, roles: frozenset[Role]
    ) -> None:
        self._settings = settings
        self._database_url = database_url
        self._event_log = event_log
        self._roles = roles
        self._wall = SystemClock()
        self._collectors: CollectorRegistry = new_registry()
        self._metrics = RegistryMetrics(self._collectors)
        self._audit_metrics = AuditMetrics(self._collectors)
        self._transactions = PostgresTransactions()
        self._cache: Cache | None = None
        if settings.redis_url is not None:
            self._cache = RedisCache.open(settings.redis_url, prefix=NAME, wall=self._wall)
        budget = Budget(float(settings.registry_commands_per_second), settings.registry_commands_burst)
        self._limiter = RateLimiter(budget, wall=self._wall, cache=self._cache)
        self._atp: AtpApi | None = None
        if settings.registry_atp_url is not None and settings.registry_atp_key is not None:
            self._atp = AtpApi(settings.registry_atp_url, settings.registry_atp_key.get_secret_value())
        self._reclassifier: ReclassifierApi | None = None
        if settings.registry_reclassifier_url is not None and settings.registry_reclassifier_key is not None:
            key = settings.registry_reclassifier_key.get_secret_value()
            self._reclassifier = ReclassifierApi(settings.registry_reclassifier_url, key)
        self._database: Database | None = None
        self._producer: Producer | None = None
        self._tasks: list[SideTask] = []
        self._stir = Stir()

    def service(self, authenticator: Authenticator) -> Service:
        """As its process hosts it."""
        app = create_registry_app(
            Desk(self._transactions, self._metrics) if Role.API in self._roles else None,
            version=version("tiercel"),
            authenticator=authenticator,
            registry=self._collectors,
            readiness=self._ready,
            quiet=self._quiet,
            stir=self._stir,
            limiter=self._limiter,
            atp=self._atp,
            reclassifier=self._reclassifier,
        )
        return Service(
            name=NAME,
            app=app,
            start=self._start,
            stop=self._stop,
            ready=self._ready,
            quiet=self._quiet,
            tasks=self._tasks,
        )

    async def _start(self) -> None:
        proofs = await self._proofs() if Role.CONSUMER in self._roles else None
        await self._check_business_time()
        self._database = await Database.open(
            self._database_url, schema=SCHEMA, name=NAME, max_size=self._settings.database_pool_max
        )
        self._database.on_commit(self._stir.tell)
        self._transactions.attach(self._database)
        await self._seed()
        self._tasks.append(SideTask("partitions", self._keep_partitions))
        if self._cache is not None:
            self._tasks.append(SideTask("rate limits", self._limiter.run, Stage.SERVER))
        if proofs is not None:
            self._tasks += self._consumer_tasks(proofs)
        if Role.RELAY in self._roles:
            self._tasks.append(SideTask("relay", (await self._relay(self._database)).run, Stage.RELAY))
            self._tasks.append(await self._anchoring(self._database))

    async def _stop(self) -> None:
        if self._producer is not None:
            await self._producer.close()
        if self._database is not None:
            await self._database.close()
        if self._cache is not None:
            await self._cache.close()
        if self._atp is not None:
            await self._atp.close()
        if self._reclassifier is not None:
            await self._reclassifier.close()

    async def _check_business_time(self) -> None:
        connection = await asyncpg.connect(self._database_url, timeout=CONNECT_TIMEOUT_SECONDS)
        try:
            await ensure_schema(connection)
            await refuse_stored_time(connection, self._settings.replay)
        finally:
            await connection.close()

    async def _seed(self) -> None:
        policy = orjson.dumps(
            self._settings.registry_default_policy.model_dump(mode="json"), option=orjson.OPT_SORT_KEYS
        ).decode()
        start = str(new_id())
        commander = Commander(NAME, Cause(start, start))
        await self._transactions.run(
            lambda transaction: seed_default_tier(transaction, policy, commander), label="seed the default tier"
        )

    async def _keep_partitions(self, stop: asyncio.Event) -> None:
        assert self._database is not None  # noqa: S101 -- tasks run after the start
        await keep_partitions(self._database, stop, self._wall)

    async def _proofs(self) -> ProofCheck:
        """What proposals are checked with. Raises UnusableKey: else whoever may write to the topic could move tiers."""
        file = self._settings.registry_proposal_keys_file
        if file is None:
            raise UnusableKey(
                "give TIERCEL_REGISTRY_PROPOSAL_KEYS_FILE, the public half of what `tiercel keys proposals` makes: "
                "proposals must be proven"
            )
        return await asyncio.to_thread(ProofCheck.from_file, file)

    def _consumer_tasks(self, proofs: ProofCheck) -> list[SideTask]:
        consumed = [SEGMENTS_PROPOSALS.name]
        metrics = ConsumerMetrics(self._collectors, {GROUP: consumed}, REFUSALS)
        runner = ConsumerRunner(
            self._event_log,
            GROUP,
            consumed,
            ProposalsHandler(self._transactions, self._metrics, proofs),
            dead_letters=dead_letters,
            metrics=metrics,
            wall=self._wall,
            committed=self._stir.tell,
            foreign=FORGED,
        )
        return [
            SideTask("proposals", runner.run),
            SideTask("waiting proposals", self._settle_proposals),
            SideTask("planned effects", self._settle_effects),
            SideTask(
                "dead letters",
                DeadLetterWatch(self._event_log, consumed, dead_letters=dead_letters, metrics=metrics).run,
            ),
        ]

    async def _settle_proposals(self, stop: asyncio.Event) -> None:
        assert self._database is not None  # noqa: S101 -- tasks run after the start
        waiting = WaitingProposals(self._transactions, self._metrics, poll_seconds=SETTLE_POLL_SECONDS)
        async with self._database.listen(MOVED, waiting.wake) if self._settings.replay else nullcontext():
            await waiting.run(stop)

    async def _settle_effects(self, stop: asyncio.Event) -> None:
        assert self._database is not None  # noqa: S101 -- tasks run after the start
        planned = PlannedEffects(self._transactions, self._metrics, poll_seconds=SETTLE_POLL_SECONDS)
        async with self._database.listen(MOVED, planned.wake) if self._settings.replay else nullcontext():
            await planned.run(stop)

    async def _relay(self, database: Database) -> Relay:
        self._producer = await self._event_log.producer(NAME)
        partitions = await self._event_log.partitions(SEGMENTS_CURRENT.name)
        return Relay(
            database,
            self._producer,
            wall=self._wall,
            name=f"{NAME}-{new_id()}",
            metrics=RelayMetrics(self._collectors),
            settings=RelaySettings(bulk_rows_per_second=float(self._settings.registry_bulk_events_per_second)),
            beacon=Beacon(heartbeats(partitions, self._metrics.heartbeats)),
        )

    async def _anchoring(self, database: Database) -> SideTask:
        return await anchoring(
            self._settings,
            database,
            self._event_log,
            AUDIT_ANCHORS.name,
            service=NAME,
            wall=self._wall,
            metrics=self._audit_metrics,
        )

    async def _ready(self) -> dict[str, str | bool]:
        if self._database is None:
            return {"database": False}
        try:
            await self._database.read(_look, label="readiness")
        except DatabaseError:
            return {"database": False}
        return {"database": True}

    async def _quiet(self) -> Quiet:
        return await look_twice(self._left, self._unread)

    async def _left(self) -> tuple[int, dict[str, int]]:
        left = await self._transactions.read(backlog)
        return left.activity, {
            "events_unpublished": left.events_unpublished,
            "proposals_waiting": left.proposals_waiting,
            "effects_waiting": left.effects_waiting,
        }

    async def _unread(self) -> dict[str, int]:
        return {"proposals_unread": await self._event_log.group_lag(GROUP, [SEGMENTS_PROPOSALS.name])}


async def _look(connection: Connection) -> None:
    await connection.execute("SELECT FROM audit_head")
