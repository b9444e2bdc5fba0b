"""The task that anchors an audit trail: after each commit that wrote to it, and once a minute at the latest.

    NOTIFY audit ─┐
    every minute ─┴─▶ head of the trail ─▶ as the last anchor left it? ─▶ sign ─▶ keep outside the database
                                            └─ no: told in the log and by a metric; an operator must look

Between a commit and its anchor somebody who controls the database could still change what was written; the chain makes
the window a moment, not the age of the trail.
"""

import asyncio
from typing import Final

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge

from services.chassis.audit import rows
from services.chassis.audit.chain import GENESIS, Head
from services.chassis.audit.places import AnchorPlace, anchor_place
from services.chassis.audit.signing import Signer
from services.chassis.clocks import WallClock
from services.chassis.database import Connection, Database, DatabaseError
from services.chassis.event_log.port import EventLog, EventLogError
from services.chassis.lifecycle import SideTask, Stage
from services.chassis.settings import ChassisSettings
from services.chassis.signing_keys import UnusableKey

INTERVAL_SECONDS: Final = 60.0
RETRY_SECONDS: Final = 2.0
GATHER_SECONDS: Final = 0.05  # commits in quick succession share an anchor
_log = structlog.get_logger(__name__)


class AuditMetrics:
    """How far a trail is anchored, and whether it contradicts its anchors."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.entries = Gauge("tiercel_audit_entries", "Entries of the audit trail.", registry=registry)
        self.anchored = Gauge(
            "tiercel_audit_anchored_entries", "Entries that the last anchor vouches for.", registry=registry
        )
        self.contradicted = Gauge(
            "tiercel_audit_contradicted",
            "1: the audit trail is not what its last anchor says; `tiercel audit verify` tells where.",
            registry=registry,
        )
        self.failures = Counter(
            "tiercel_audit_anchor_failures_total", "Anchors that could not be kept, tried again.", registry=registry
        )


class Anchoring:
    """Anchors the trail of one service; several processes may do it at once, each anchor is true."""

    def __init__(
        self,
        database: Database,
        place: AnchorPlace,
        signer: Signer,
        *,
        service: str,
        wall: WallClock,
        metrics: AuditMetrics,
    ) -> None:
        self._database = database
        self._place = place
        self._signer = signer
        self._service = service
        self._wall = wall
        self._metrics = metrics
        self._anchored: tuple[int, bytes] | None = None
        self._changed = asyncio.Event()

    async def run(self, stop: asyncio.Event) -> None:
        """Anchor until `stop`; what was committed before is anchored on the way out."""
        async with self._database.listen(f"{rows.ANNOUNCED}_{self._database.schema}", self._wake):
            while not stop.is_set():
                pause = INTERVAL_SECONDS if await self._try_once() else RETRY_SECONDS
                await self._wait(stop, pause)
        await self._try_once()
        await self._place.close()

    async def anchor_now(self) -> bool:
        """Anchor the head if it has moved; False if the trail contradicts the last anchor.

        Raises DatabaseError, EventLogError, OSError.
        """
        if self._anchored is None:
            kept = await self._place.kept(self._service)
            self._anchored = (kept[-1].position, kept[-1].digest) if kept else (0, GENESIS)
        position, digest = self._anchored
        head, there = await self._database.read(lambda connection: _look(connection, position), label="audit head")
        self._metrics.entries.set(head.position)
        self._metrics.anchored.set(position)
        is_true = position <= head.linked and (position == 0 or there == digest)
        self._metrics.contradicted.set(0 if is_true else 1)
        if not is_true:
            _log.error("audit_trail_contradicted", service=self._service, anchored=position, entries=head.position)
            return False
        if head.linked > position:
            at = self._wall.now()
            await self._place.keep(self._signer.sign(self._service, head.linked, head.digest, at))
            self._anchored = (head.linked, head.digest)
            self._metrics.anchored.set(head.linked)
        return True

    async def _try_once(self) -> bool:
        try:
            await self.anchor_now()
        except (DatabaseError, EventLogError, OSError) as error:
            self._metrics.failures.inc()
            _log.warning("audit_not_anchored", service=self._service, cause=repr(error))
            return False
        return True

    def _wake(self, _payload: str) -> None:
        self._changed.set()

    async def _wait(self, stop: asyncio.Event, seconds: float) -> None:
        waits = [asyncio.create_task(stop.wait()), asyncio.create_task(self._changed.wait())]
        try:
            await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in waits:
                each.cancel()
        if not stop.is_set():
            await asyncio.sleep(GATHER_SECONDS)
        self._changed.clear()


async def _look(connection: Connection, position: int) -> tuple[Head, bytes | None]:
    return await rows.head(connection), await rows.digest_at(connection, position)


async def anchoring(
    settings: ChassisSettings,
    database: Database,
    event_log: EventLog,
    topic: str,
    *,
    service: str,
    wall: WallClock,
    metrics: AuditMetrics,
) -> SideTask:
    """The task for a process with the role relay, the trail chained up to now. Raises UnusableKey."""
    if settings.audit_key_file is None:
        raise UnusableKey("give TIERCEL_AUDIT_KEY_FILE (`tiercel audit key` makes it): the audit trail must be signed")
    signer = await asyncio.to_thread(Signer.from_file, settings.audit_key_file)
    await rows.catch_up(database)
    place = anchor_place(settings.audit_anchor_folder, event_log, topic)
    task = Anchoring(database, place, signer, service=service, wall=wall, metrics=metrics)
    return SideTask("audit", task.run, Stage.RELAY)
