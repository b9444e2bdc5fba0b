"""Puts the ATP together: the one place that sees both sides of its ports.

A process may have any of the roles: `api` answers requests, `consumer` takes in what the log brings and re-decides,
`relay` publishes. Each has the engine, for whatever it has to decide. Migrations are a step of a deployment.
"""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext, suppress
from datetime import timedelta
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Final

import asyncpg
import structlog
from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from services.atp.adapters.backlog import backlog, items_to_serve, move_replay
from services.atp.adapters.closings import PostgresClosings
from services.atp.adapters.cost_rates import PostgresCostInputs
from services.atp.adapters.customer_blocks import PostgresCustomerBlocks
from services.atp.adapters.deficits import ASKED, asked_reviews
from services.atp.adapters.due_rows import due_now
from services.atp.adapters.held_orders import PostgresHeldOrders
from services.atp.adapters.ledger import verify_apart
from services.atp.adapters.network import PostgresNetwork
from services.atp.adapters.partitions import keep_months
from services.atp.adapters.planner_rows import PostgresPlanningReader
from services.atp.adapters.planning import PostgresPlanning
from services.atp.adapters.position_reader import PostgresPositionReader
from services.atp.adapters.promise_lists import PostgresPromiseLists
from services.atp.adapters.promise_reader import PostgresPromiseReader
from services.atp.adapters.public_holidays import keep_holidays
from services.atp.adapters.rehearsals import PostgresRehearsals
from services.atp.adapters.routing_documents import PostgresRoutingDocuments
from services.atp.adapters.run_variants import RUNS, PostgresRunVariants
from services.atp.adapters.runs import PostgresRuns
from services.atp.adapters.segments import SegmentProjection
from services.atp.adapters.service_levels import PostgresServiceLevels
from services.atp.adapters.service_rules import PostgresServiceRules
from services.atp.adapters.stock_reader import PostgresStockReader
from services.atp.adapters.transactions import PostgresTransactions
from services.atp.adapters.waking import DUE as DUE_AT_ONCE
from services.atp.adapters.waking import MARKED
from services.atp.application.engine import Engine
from services.atp.application.handlers import DUE, HANDLERS
from services.atp.application.redecide import Redecision
from services.atp.application.run_work import RunWork
from services.atp.application.service_levels import keep_measures
from services.atp.application.watch_deficits import DeficitWatch
from services.atp.application.work_due import DueWork
from services.atp.entrypoints.allocation_csv_routes import allocation_csv_routes
from services.atp.entrypoints.allocation_routes import allocation_routes
from services.atp.entrypoints.app import create_atp_app
from services.atp.entrypoints.change_routes import change_routes
from services.atp.entrypoints.closing_routes import closing_routes
from services.atp.entrypoints.configuration_routes import configuration_routes
from services.atp.entrypoints.cost_routes import cost_routes
from services.atp.entrypoints.cut_over_routes import cut_over_routes
from services.atp.entrypoints.explanation_routes import explanation_routes
from services.atp.entrypoints.internal_routes import internal_routes
from services.atp.entrypoints.list_routes import list_routes
from services.atp.entrypoints.network_routes import network_routes
from services.atp.entrypoints.order_intake import UNKNOWN_ORDER, OrderIntake
from services.atp.entrypoints.planner_routes import planner_routes
from services.atp.entrypoints.position_routes import position_routes
from services.atp.entrypoints.preview_routes import preview_routes
from services.atp.entrypoints.problem_codes import DOCUMENT_KIND, PERIODS_OVERLAP, TOO_MANY_RULES
from services.atp.entrypoints.routing_routes import routing_routes
from services.atp.entrypoints.run_routes import run_routes
from services.atp.entrypoints.run_variant_routes import run_variant_routes
from services.atp.entrypoints.service_level_routes import service_level_routes
from services.atp.entrypoints.service_rule_routes import service_rule_routes
from services.atp.entrypoints.stock_routes import stock_routes
from services.atp.entrypoints.supply_events import UNEXPECTED, CatalogEvents, FulfilmentEvents, SupplyEvents
from services.atp.entrypoints.supply_routes import supply_routes
from services.atp.entrypoints.validation_routes import validation_routes
from services.atp.metrics import AtpMetrics
from services.atp.settings import AtpSettings
from services.chassis import audit
from services.chassis.audit import AuditRecord
from services.chassis.audit.anchoring import AuditMetrics, anchoring
from services.chassis.audit.routes import audit_routes
from services.chassis.auth import Authenticator
from services.chassis.business_time import MOVED, ensure_schema, refuse_stored_time
from services.chassis.cache import Cache, RedisCache
from services.chassis.clocks import SystemClock
from services.chassis.consumer import BATCH_MAX, ConsumerRunner
from services.chassis.consumer_metrics import ConsumerMetrics
from services.chassis.database import Connection, Database, DatabaseError
from services.chassis.deliveries import Handler as EventHandler
from services.chassis.dlq import DeadLetterWatch
from services.chassis.event_log.port import EventLog, Producer
from services.chassis.ids import new_id
from services.chassis.lifecycle import Quiet, Role, Service, SideTask, Stage
from services.chassis.metrics import new_registry
from services.chassis.partitions import keep_partitions
from services.chassis.projection import Heartbeats, ProjectionRunner
from services.chassis.quiet import Stir, look_twice
from services.chassis.rate_limit import Budget, RateLimiter
from services.chassis.relay import Relay, RelaySettings
from services.chassis.relay_metrics import RelayMetrics
from services.contracts import catalogue, topics
from services.contracts.topics import dead_letters

NAME: Final = "atp"
SCHEMA: Final = "atp"
MIGRATIONS: Final = Path(__file__).with_name("migrations")
CONNECT_TIMEOUT_SECONDS: Final = 5.0
DRIFTS_LOGGED_MAX: Final = 5
PROJECTION: Final = "atp.segments"
PROJECTED: Final = (topics.SEGMENTS_CURRENT.name, topics.SEGMENTS_POLICIES.name, topics.SEGMENTS_PROFILES.name)
GROUPS: Final = {
    "atp.orders": topics.ORDERS.name,
    "atp.supply": topics.SUPPLY.name,
    "atp.fulfilments": topics.FULFILMENTS.name,
    "atp.catalog": topics.CATALOG.name,
}
REJECTS: Final = (
    catalogue.UNKNOWN_TYPE,
    catalogue.UNKNOWN_VERSION,
    catalogue.WRONG_TOPIC,
    catalogue.INVALID_PAYLOAD,
    UNKNOWN_ORDER,
    UNEXPECTED,
    DOCUMENT_KIND.code,
    TOO_MANY_RULES.code,
    PERIODS_OVERLAP.code,
)
FULFILMENTS_MAX: Final = 2_000  # at once: a warehouse tells of an order line by line, and its promise is revised once
RELAY_PACE_SECONDS: Final = 0.05  # under load; answers are given over HTTP, events may come in larger batches
DECIDING: Final = frozenset({Role.API, Role.CONSUMER})

_log = structlog.get_logger(__name__)


async def build(
    settings: AtpSettings,
    *,
    database_url: str,
    event_log: EventLog,
    authenticator: Authenticator,
    roles: frozenset[Role],
) -> Service:
    """The service, not yet started; topics and schema exist when it starts. `stop` closes it also if it never did."""
    await _check_business_time(database_url, replay=settings.replay)
    database = await Database.open(database_url, schema=SCHEMA, name=NAME, max_size=settings.database_pool_max)
    return _Atp(settings, database, event_log, roles).service(authenticator)


async def _check_business_time(database_url: str, *, replay: bool) -> None:
    connection = await asyncpg.connect(database_url, timeout=CONNECT_TIMEOUT_SECONDS)
    try:
        await ensure_schema(connection)
        await refuse_stored_time(connection, replay)
    finally:
        await connection.close()


class _Atp:
    """The parts of one running ATP."""

    def __init__(self, settings: AtpSettings, database: Database, event_log: EventLog, roles: frozenset[Role]) -> None:
        self._settings = settings
        self._database = database
        self._event_log = event_log
        self._roles = roles
        self._wall = SystemClock()
        self._stir = Stir()
        self._activity = 0
        database.on_commit(self._stir.tell)
        self._collectors: CollectorRegistry = new_registry()
        self._metrics = AtpMetrics(self._collectors)
        self._audit_metrics = AuditMetrics(self._collectors)
        self._consumer_metrics = ConsumerMetrics(
            self._collectors, {**{group: [topic] for group, topic in GROUPS.items()}, PROJECTION: PROJECTED}, REJECTS
        )
        stale_after = timedelta(seconds=settings.atp_tier_projection_stale_seconds)
        transactions = PostgresTransactions(database, stale_after=stale_after)
        self._rehearsals = PostgresRehearsals(database, transactions)
        self._engine = Engine(
            transactions,
            {command: handler() for command, handler in HANDLERS},
            wall=self._wall,
            metrics=self._metrics,
            currency=settings.currency,
        )
        self._projection = ProjectionRunner(
            event_log,
            PROJECTED,
            database,
            SegmentProjection(partial(self._metrics.counted, "unreadable_segment")),
            name=PROJECTION,
            metrics=self._consumer_metrics,
            heartbeats=Heartbeats(catalogue.SEGMENT_HEARTBEAT.name, topics.SEGMENTS_CURRENT.name, applied=True),
            followed=self._stir.tell,
        )
        if roles & DECIDING:  # a relay reads no tiers, and its silence must not look like staleness
            self._metrics.projection_age.set_function(self._projection.heartbeat_age_seconds)
        self._planning = PostgresPlanning(database)
        self._blocks = PostgresCustomerBlocks(database)
        self._costs = PostgresCostInputs(database)
        self._levels = PostgresServiceLevels(database, close_after=timedelta(days=settings.atp_month_close_days))
        self._network = PostgresNetwork(database)
        self._routing = PostgresRoutingDocuments(database)
        self._runs = PostgresRuns(database)
        self._cache: Cache | None = None
        if settings.redis_url is not None:
            self._cache = RedisCache.open(settings.redis_url, prefix=NAME, wall=self._wall)
        budget = Budget(float(settings.atp_commands_per_second), settings.atp_commands_burst)
        self._limiter = RateLimiter(budget, wall=self._wall, cache=self._cache)
        self._producer: Producer | None = None
        self._tasks: list[SideTask] = []

    def service(self, authenticator: Authenticator) -> Service:
        """As its process hosts it."""
        return Service(
            name=NAME,
            app=self._app(authenticator),
            start=self._start,
            stop=self._stop,
            ready=self._ready,
            quiet=self._quiet,
            tasks=self._tasks,
        )

    def _app(self, authenticator: Authenticator) -> FastAPI:
        reader = PostgresPromiseReader(self._database)
        move = partial(move_replay, self._database) if self._settings.replay else None
        reader = PostgresPromiseReader(self._database)
        routers = (
            cost_routes(self._engine, self._costs),
            service_level_routes(self._levels, reader),
            change_routes(self._engine, reader),
            list_routes(PostgresPromiseLists(self._database), reader),
            planner_routes(self._engine, reader, PostgresPlanningReader(self._database)),
            supply_routes(self._engine),
            stock_routes(PostgresStockReader(self._database)),
            position_routes(PostgresPositionReader(self._database)),
            audit_routes(
                self._page_of_audit, scope="atp.read", what="allocations, closings, blocks, releases and corrections"
            ),
            configuration_routes(self._planning),
            network_routes(self._network),
            closing_routes(PostgresClosings(self._database)),
            routing_routes(self._routing),
            service_rule_routes(PostgresServiceRules(self._database)),
            run_variant_routes(PostgresRunVariants(self._database), self._planning),
            run_routes(self._runs),
            cut_over_routes(self._engine, self._planning),
            allocation_routes(self._planning),
            allocation_csv_routes(self._planning, self._rehearsals, self._engine),
            preview_routes(self._rehearsals, self._engine),
            explanation_routes(reader),
            validation_routes(self._engine, reader, PostgresHeldOrders(self._database), self._blocks),
            internal_routes(self._quiet, self._stir, move),
        )
        return create_atp_app(
            self._engine,
            reader,
            routers,
            serving=Role.API in self._roles,
            version=version("tiercel"),
            authenticator=authenticator,
            registry=self._collectors,
            readiness=self._ready,
            limiter=self._limiter,
        )

    async def _start(self) -> None:
        self._tasks.append(SideTask("partitions", self._keep_partitions))
        self._tasks.append(SideTask("months", self._keep_months))
        self._tasks.append(SideTask("public holidays", self._keep_holidays))
        if self._cache is not None:
            self._tasks.append(SideTask("rate limits", self._limiter.run, Stage.SERVER))
        if self._roles & DECIDING:
            # The engine ends after the consumers, which would otherwise find it closed; it has nothing left by then.
            self._tasks.append(SideTask("engine", self._engine.run, Stage.RELAY))
            self._tasks.append(SideTask("projection", self._projection.run))
        if Role.CONSUMER in self._roles:
            self._tasks += self._consumer_tasks()
        if Role.RELAY in self._roles:
            self._producer = await self._event_log.producer(NAME)
            relay = Relay(
                self._database,
                self._producer,
                wall=self._wall,
                name=f"{NAME}-{new_id()}",
                metrics=RelayMetrics(self._collectors),
                settings=RelaySettings() if self._settings.replay else RelaySettings(pace_seconds=RELAY_PACE_SECONDS),
            )
            self._tasks.append(SideTask("relay", relay.run, Stage.RELAY))
            self._tasks.append(
                await anchoring(
                    self._settings,
                    self._database,
                    self._event_log,
                    topics.AUDIT_ANCHORS.name,
                    service=NAME,
                    wall=self._wall,
                    metrics=self._audit_metrics,
                )
            )

    async def _page_of_audit(self, after: int, limit: int) -> list[AuditRecord]:
        return await self._database.read(lambda connection: audit.page(connection, after, limit), label="audit")

    async def _stop(self) -> None:
        if self._producer is not None:
            await self._producer.close()
        await self._database.close()
        if self._cache is not None:
            await self._cache.close()

    async def _keep_partitions(self, stop: asyncio.Event) -> None:
        await keep_partitions(self._database, stop, self._wall)

    async def _keep_months(self, stop: asyncio.Event) -> None:
        await keep_months(self._database, stop, self._wall)

    async def _keep_holidays(self, stop: asyncio.Event) -> None:
        await keep_holidays(self._database, stop)

    def _consumer_tasks(self) -> list[SideTask]:
        handlers: dict[str, EventHandler] = {
            "atp.orders": OrderIntake(self._engine),
            "atp.supply": SupplyEvents(self._engine),
            "atp.fulfilments": FulfilmentEvents(self._engine),
            "atp.catalog": CatalogEvents(self._planning, self._network, self._routing, self._blocks, self._costs),
        }
        tasks = [
            SideTask("redecision", self._redecide),
            SideTask("deficits", self._watch_deficits),
            SideTask("due", self._work_due),
            SideTask("runs", self._work_runs),
            SideTask("measures", self._keep_measures),
        ]
        for group, topic in GROUPS.items():
            runner = ConsumerRunner(
                self._event_log,
                group,
                [topic],
                handlers[group],
                batch_max=FULFILMENTS_MAX if topic == topics.FULFILMENTS.name else BATCH_MAX,
                dead_letters=dead_letters,
                metrics=self._consumer_metrics,
                committed=self._stir.tell,
            )
            tasks.append(SideTask(group, runner.run))
        watch = DeadLetterWatch(
            self._event_log, list(GROUPS.values()), dead_letters=dead_letters, metrics=self._consumer_metrics
        )
        return [*tasks, SideTask("dead letters", watch.run), SideTask("ledger", self._watch_ledger)]

    async def _watch_ledger(self, stop: asyncio.Event) -> None:
        """Compare the aggregates with the ledger now and then; a drift is shown and logged, and repaired by hand."""
        while not stop.is_set():
            # Then it is compared the next time; readiness says what is wrong.
            with suppress(DatabaseError, asyncpg.QueryCanceledError):
                report = await verify_apart(self._database.url, SCHEMA)
                self._metrics.ledger_drift.set(report.drifted)
                if report.drifted:
                    _log.error("ledger_drift", drifted=report.drifted, drifts=report.drifts[:DRIFTS_LOGGED_MAX])
            with suppress(TimeoutError):
                async with asyncio.timeout(self._settings.atp_ledger_check_seconds):
                    await stop.wait()

    async def _keep_measures(self, stop: asyncio.Event) -> None:
        interval_seconds = self._settings.atp_measuring_seconds
        await keep_measures(self._levels, self._metrics.service.show, stop, interval_seconds=interval_seconds)

    async def _redecide(self, stop: asyncio.Event) -> None:
        poll_seconds = self._settings.atp_redecision_poll_seconds
        redecision = Redecision(self._engine, partial(items_to_serve, self._database), poll_seconds=poll_seconds)
        async with self._database.listen(f"{MARKED}_{SCHEMA}", redecision.wake):
            await redecision.run(stop)

    async def _watch_deficits(self, stop: asyncio.Event) -> None:
        poll_seconds = self._settings.atp_redecision_poll_seconds
        watch = DeficitWatch(self._engine, partial(asked_reviews, self._database), poll_seconds=poll_seconds)
        async with self._database.listen(f"{ASKED}_{SCHEMA}", watch.wake), self._moves(watch.wake):
            await watch.run(stop)

    async def _work_due(self, stop: asyncio.Event) -> None:
        poll_seconds = self._settings.atp_due_poll_seconds
        work = DueWork(self._engine, partial(due_now, self._database), DUE, poll_seconds=poll_seconds)
        async with self._database.listen(f"{DUE_AT_ONCE}_{SCHEMA}", work.wake), self._moves(work.wake):
            await work.run(stop)

    async def _work_runs(self, stop: asyncio.Event) -> None:
        poll_seconds = self._settings.atp_due_poll_seconds
        work = RunWork(self._engine, self._runs, self._metrics.show_runs, poll_seconds=poll_seconds)
        async with self._database.listen(f"{RUNS}_{SCHEMA}", work.wake), self._moves(work.wake):
            await work.run(stop)

    def _moves(self, wake: Callable[[str], None]) -> AbstractAsyncContextManager[None]:
        """Wake with each half step of a replay; outside of one the clock moves by itself, which the poll sees."""
        return self._database.listen(MOVED, wake) if self._settings.replay else nullcontext()

    async def _ready(self) -> dict[str, str | bool]:
        checks: dict[str, str | bool] = {}
        if self._roles & DECIDING:
            checks["tier_projection"] = self._projection.caught_up
        try:
            await self._database.read(_look, label="readiness")
        except DatabaseError:
            return {**checks, "database": False}
        return {**checks, "database": True}

    async def _quiet(self) -> Quiet:
        if queued := self._engine.waiting_lines():
            return Quiet(quiet=False, activity=self._activity, pending={"lines_queued": queued})
        return await look_twice(self._left, self._unread)

    async def _left(self) -> tuple[int, dict[str, int]]:
        left = await backlog(self._database)
        self._activity = left.activity
        return left.activity, {
            "events_unpublished": left.events_unpublished,
            "positions_marked": left.positions_marked,
            "deficits_unreviewed": left.deficits_unreviewed,
            "due": left.due,
            "runs": left.runs,
            "lines_queued": self._engine.waiting_lines(),
        }

    async def _unread(self) -> dict[str, int]:
        tiers = await self._projection.lag()
        lags = await asyncio.gather(*(self._event_log.group_lag(group, [topic]) for group, topic in GROUPS.items()))
        return {"tiers_unread": tiers} | {
            f"{topic}_unread": lag for topic, lag in zip(GROUPS.values(), lags, strict=True)
        }


async def _look(connection: Connection) -> None:
    await connection.execute("SELECT FROM configuration")
