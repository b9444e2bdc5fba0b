"""Puts the reclassifier together: the one place that sees both sides of its ports.

A process may have any of the roles: `api` answers questions and takes rule sets, `consumer` counts orders, follows the
registry and judges customers, `relay` publishes proposals. Health and metrics are served by all. Migrations are not run
here: they are a step of a deployment.
"""

import asyncio
from collections.abc import Sequence
from contextlib import nullcontext
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Final

import asyncpg
import structlog
from prometheus_client import CollectorRegistry

from services.chassis.audit.anchoring import AuditMetrics, anchoring
from services.chassis.auth import Authenticator
from services.chassis.business_time import MOVED, ensure_schema, refuse_stored_time
from services.chassis.clocks import SystemClock
from services.chassis.consumer import ConsumerRunner, Limits
from services.chassis.consumer_metrics import ConsumerMetrics
from services.chassis.database import Connection, Database, DatabaseError
from services.chassis.deliveries import Delivery
from services.chassis.dlq import DeadLetterWatch
from services.chassis.event_log.port import EventLog, Producer
from services.chassis.event_proofs import Prover
from services.chassis.ids import new_id
from services.chassis.lifecycle import Quiet, Role, Service, SideTask, Stage
from services.chassis.metrics import new_registry
from services.chassis.partitions import keep_partitions
from services.chassis.projection import Heartbeats, ProjectionRunner
from services.chassis.quiet import Stir, look_twice
from services.chassis.relay import Relay
from services.chassis.relay_metrics import RelayMetrics
from services.chassis.signing_keys import UnusableKey
from services.contracts import catalogue
from services.contracts.topics import (
    AUDIT_ANCHORS,
    CUSTOMER_FEEDBACK,
    ORDERS_COSTED,
    ORDERS_RECORDED,
    SEGMENTS_CURRENT,
    SEGMENTS_POLICIES,
    dead_letters,
)
from services.reclassifier.adapters.store import SCHEMA, PostgresTransaction, PostgresTransactions
from services.reclassifier.application.change_rule_set import store_first_rule_set
from services.reclassifier.application.report_quiet import backlog
from services.reclassifier.application.rule_set_document import RuleSetDocument
from services.reclassifier.entrypoints.app import create_reclassifier_app
from services.reclassifier.entrypoints.costed_orders import CostedOrdersHandler
from services.reclassifier.entrypoints.desk import Desk
from services.reclassifier.entrypoints.detecting import Detecting
from services.reclassifier.entrypoints.evaluator import Evaluator
from services.reclassifier.entrypoints.housekeeping import keep_house
from services.reclassifier.entrypoints.published_segments import apply_published
from services.reclassifier.entrypoints.recorded_orders import GROUP, RecordedOrdersHandler
from services.reclassifier.entrypoints.told_of_customers import TOPICS, ByTopic, FeedbackHandler
from services.reclassifier.metrics import ReclassifierMetrics
from services.reclassifier.settings import ReclassifierSettings

NAME: Final = "reclassifier"
MIGRATIONS: Final = Path(__file__).with_name("migrations")
SHIPPED_RULE_SET: Final = Path(__file__).with_name("default_rule_set.json")
PROJECTION: Final = "segments"
FOLLOWED: Final = (SEGMENTS_CURRENT.name, SEGMENTS_POLICIES.name)
CONNECT_TIMEOUT_SECONDS: Final = 5.0
REASONS: Final = (
    catalogue.UNKNOWN_TYPE,
    catalogue.UNKNOWN_VERSION,
    catalogue.WRONG_TOPIC,
    catalogue.INVALID_PAYLOAD,
)

__all__ = ["MIGRATIONS", "NAME", "SCHEMA", "build"]
_log = structlog.get_logger(__name__)


async def build(
    settings: ReclassifierSettings,
    *,
    database_url: str,
    event_log: EventLog,
    authenticator: Authenticator,
    roles: frozenset[Role],
) -> Service:
    """The service, not yet started; topics and schema exist when it starts."""
    return _Reclassifier(settings, database_url, event_log, roles).service(authenticator)


class _Reclassifier:
    """The parts of one running reclassifier."""

    def __init__(
        self, settings: ReclassifierSettings, database_url: str, event_log: EventLog, roles: frozenset[Role]
    ) -> None:
        self._settings = settings
        self._database_url = database_url
        self._event_log = event_log
        self._roles = roles
        self._wall = SystemClock()
        self._collectors: CollectorRegistry = new_registry()
        self._metrics = ReclassifierMetrics(self._collectors)
        self._audit_metrics = AuditMetrics(self._collectors)
        self._consumer_metrics = ConsumerMetrics(
            self._collectors, {GROUP: list(TOPICS), PROJECTION: list(FOLLOWED)}, REASONS
        )
        self._transactions = PostgresTransactions()
        self._database: Database | None = None
        self._producer: Producer | None = None
        self._projection: ProjectionRunner | None = None
        self._tasks: list[SideTask] = []
        self._stir = Stir()
        self._evaluator = Evaluator(self._transactions, self._metrics, rule_set_id=settings.reclassifier_rule_set)

    def service(self, authenticator: Authenticator) -> Service:
        """As its process hosts it."""
        desk = Desk(self._transactions, self._metrics, self._settings.reclassifier_rule_set)
        app = create_reclassifier_app(
            desk if Role.API in self._roles else None,
            version=version("tiercel"),
            authenticator=authenticator,
            registry=self._collectors,
            readiness=self._ready,
            quiet=self._quiet,
            stir=self._stir,
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
        if self._roles & {Role.API, Role.CONSUMER}:  # both propose: by the rules, or when a person approves
            self._transactions.prove_by(await self._prover())
        await self._check_business_time()
        self._database = await Database.open(
            self._database_url, schema=SCHEMA, name=NAME, max_size=self._settings.database_pool_max
        )
        self._database.on_commit(self._stir.tell)
        self._transactions.attach(self._database)
        await self._store_first_rule_set()
        self._tasks.append(SideTask("partitions", self._keep_partitions))
        if self._roles & {Role.API, Role.CONSUMER}:  # an api process reads them to know whether all is quiet
            self._projection = self._follow_segments(self._database)
            self._tasks.append(SideTask("segments", self._projection.run))
        if Role.CONSUMER in self._roles:
            self._tasks += self._consumer_tasks()
        if Role.RELAY in self._roles:
            self._tasks.append(SideTask("relay", (await self._relay(self._database)).run, Stage.RELAY))
            self._tasks.append(await self._anchoring(self._database))

    async def _stop(self) -> None:
        if self._producer is not None:
            await self._producer.close()
        if self._database is not None:
            await self._database.close()

    async def _prover(self) -> Prover:
        """What proposals are proven with. Raises UnusableKey: the registry believes none without."""
        file = self._settings.reclassifier_proposal_key_file
        if file is None:
            raise UnusableKey(
                "give TIERCEL_RECLASSIFIER_PROPOSAL_KEY_FILE (`tiercel keys proposals` makes it): "
                "proposals must be proven"
            )
        return await asyncio.to_thread(Prover.from_file, file)

    async def _check_business_time(self) -> None:
        connection = await asyncpg.connect(self._database_url, timeout=CONNECT_TIMEOUT_SECONDS)
        try:
            await ensure_schema(connection)
            await refuse_stored_time(connection, self._settings.replay)
        finally:
            await connection.close()

    async def _store_first_rule_set(self) -> None:
        path = self._settings.reclassifier_rule_set_file or SHIPPED_RULE_SET
        document = RuleSetDocument.model_validate_json(await asyncio.to_thread(path.read_bytes))
        rule_set = document.to_domain(self._settings.reclassifier_rule_set, 1)
        await self._transactions.run(
            lambda transaction: store_first_rule_set(transaction, rule_set, document.to_json()),
            label="store the first rule set",
        )

    async def _keep_partitions(self, stop: asyncio.Event) -> None:
        assert self._database is not None  # noqa: S101 -- tasks run after the start
        await keep_partitions(self._database, stop, self._wall)

    def _follow_segments(self, database: Database) -> ProjectionRunner:
        return ProjectionRunner(
            self._event_log,
            list(FOLLOWED),
            database,
            self._apply_published,
            name=PROJECTION,
            metrics=self._consumer_metrics,
            heartbeats=Heartbeats(catalogue.SEGMENT_HEARTBEAT.name, SEGMENTS_CURRENT.name),
            followed=self._followed,
        )

    def _consumer_tasks(self) -> list[SideTask]:
        orders = RecordedOrdersHandler(
            self._transactions, self._metrics, self._evaluator, currency=self._settings.currency
        )
        feedback = FeedbackHandler(self._transactions, self._metrics)
        costs = CostedOrdersHandler(
            self._transactions, self._metrics, self._evaluator, currency=self._settings.currency
        )
        told = ConsumerRunner(
            self._event_log,
            GROUP,
            list(TOPICS),
            ByTopic({ORDERS_RECORDED.name: orders, ORDERS_COSTED.name: costs, CUSTOMER_FEEDBACK.name: feedback}),
            batch_max=self._settings.reclassifier_batch_max,
            dead_letters=dead_letters,
            metrics=self._consumer_metrics,
            limits=Limits(gather_seconds=0.0 if self._settings.replay else self._settings.reclassifier_gather_seconds),
            committed=self._stir.tell,
        )
        watch = DeadLetterWatch(
            self._event_log, list(TOPICS), dead_letters=dead_letters, metrics=self._consumer_metrics
        )
        return [
            SideTask("orders", told.run),
            SideTask("dead letters", watch.run),
            SideTask("evaluator", self._evaluate),
            SideTask("housekeeping", self._keep_house),
            SideTask("detection", self._detecting().run),
        ]

    def _followed(self) -> None:
        """Segments were read: whoever they make due is judged at once."""
        self._evaluator.wake()
        self._stir.tell()

    async def _evaluate(self, stop: asyncio.Event) -> None:
        assert self._database is not None  # noqa: S101 -- tasks run after the start
        async with self._database.listen(MOVED, self._evaluator.wake) if self._settings.replay else nullcontext():
            await self._evaluator.run(stop)

    async def _apply_published(self, connection: Connection, batch: Sequence[Delivery]) -> None:
        for skipped in await apply_published(PostgresTransaction(connection), batch):
            received = batch[skipped.index].received
            self._consumer_metrics.skipped.at(received.record.topic, skipped.code).inc()
            _log.error(
                "event_skipped",
                topic=received.record.topic,
                partition=received.partition,
                offset=received.offset,
                reason=skipped.code,
                detail=skipped.detail,
            )

    def _detecting(self) -> Detecting:
        every = timedelta(seconds=self._settings.reclassifier_detection_interval_seconds)
        return Detecting(self._transactions, self._metrics, self._settings.detection_limits(), every)

    async def _keep_house(self, stop: asyncio.Event) -> None:
        await keep_house(self._transactions, stop)

    async def _relay(self, database: Database) -> Relay:
        self._producer = await self._event_log.producer(NAME)
        return Relay(
            database,
            self._producer,
            wall=self._wall,
            name=f"{NAME}-{new_id()}",
            metrics=RelayMetrics(self._collectors),
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
        """The database answers, and all segments that were there at the start are read."""
        checks: dict[str, str | bool] = {"database": await self._database_answers()}
        if self._roles & {Role.API, Role.CONSUMER}:
            checks["segments"] = self._projection is not None and self._projection.caught_up
        return checks

    async def _database_answers(self) -> bool:
        if self._database is None:
            return False
        try:
            await self._database.read(_look, label="readiness")
        except DatabaseError:
            return False
        return True

    async def _quiet(self) -> Quiet:
        return await look_twice(self._left, self._unread)

    async def _left(self) -> tuple[int, dict[str, int]]:
        left = await self._transactions.read(backlog)
        self._metrics.due.set(left.customers_due)
        return left.activity, {
            "customers_due": left.customers_due,
            "looks_due": left.looks_due,
            "events_unpublished": left.events_unpublished,
        }

    async def _unread(self) -> dict[str, int]:
        orders, segments = await asyncio.gather(self._event_log.group_lag(GROUP, list(TOPICS)), self._segments_unread())
        return {"orders_unread": orders, "segments_unread": segments}

    async def _segments_unread(self) -> int:
        return 0 if self._projection is None else await self._projection.lag()


async def _look(connection: Connection) -> None:
    await connection.execute("SELECT FROM customer LIMIT 1")
