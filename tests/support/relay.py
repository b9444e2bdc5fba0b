"""What tests of the relay need: a log whose producers can be held up, and events in large numbers."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from prometheus_client import CollectorRegistry

from services.chassis.clocks import SystemClock
from services.chassis.database import Connection, Database
from services.chassis.envelope import Event
from services.chassis.event_log.port import PublishUnknown, Record
from services.chassis.ids import new_ids
from services.chassis.outbox import Lane, enqueue
from services.chassis.relay import Beacon, Relay, RelaySettings
from services.chassis.relay_metrics import RelayMetrics

DEADLINE_SECONDS = 120.0


class Shelf:
    """The log: what was stored, in order, whoever published it."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self._changed = asyncio.Condition()

    async def store(self, records: Sequence[Record]) -> None:
        async with self._changed:
            self.records += records
            self._changed.notify_all()

    async def until(self, enough: Callable[[list[Record]], bool]) -> None:
        """Return when the records satisfy `enough`; fail after the deadline."""
        async with asyncio.timeout(DEADLINE_SECONDS), self._changed:
            await self._changed.wait_for(lambda: enough(self.records))

    def ids(self, key: str | None = None) -> list[str]:
        """The event ids, in order, repeated ones included."""
        return [event_id(each) for each in self.records if key is None or each.key == key.encode()]

    def first_ids(self, key: str | None = None) -> list[str]:
        """The event ids as a consumer sees them that drops repeated ones."""
        return list(dict.fromkeys(self.ids(key)))


class HeldUpProducer:
    """A producer over a shelf that a test can hold up.

    With `gate` cleared, a call waits. `wire` says what becomes of the records of a call that its deadline cuts off:
    True means that they are on their way already and are stored when the gate opens, after everybody gave them up.
    """

    def __init__(self, shelf: Shelf, *, wire: bool = False) -> None:
        self.shelf = shelf
        self.gate = asyncio.Event()
        self.gate.set()
        self.called = asyncio.Event()
        self.calls: list[list[Record]] = []
        self.errors: list[Exception] = []
        self.lost_answers = 0
        self.delivered = asyncio.Event()
        self._wire = wire
        self._under_way: set[asyncio.Task[None]] = set()

    async def publish(self, records: Sequence[Record], *, deadline_seconds: float) -> None:
        self.calls.append(list(records))
        self.called.set()
        if self.errors:
            raise self.errors.pop(0)
        sending = asyncio.create_task(self._send(records))
        self._under_way.add(sending)
        sending.add_done_callback(self._under_way.discard)
        try:
            async with asyncio.timeout(deadline_seconds):
                await asyncio.shield(sending)
        except TimeoutError as error:
            if not self._wire:
                sending.cancel()
            raise PublishUnknown("held up") from error
        if self.lost_answers:
            self.lost_answers -= 1
            raise PublishUnknown("stored, and the answer lost")

    async def close(self) -> None:
        pass

    async def _send(self, records: Sequence[Record]) -> None:
        await self.gate.wait()
        await self.shelf.store(records)
        self.delivered.set()


QUICK = RelaySettings(
    poll_seconds=0.2,
    pace_seconds=0.0,
    publish_deadline_seconds=0.5,
    lease_seconds=30.0,
    refresh_seconds=0.1,
    back_off_max_seconds=0.05,
    drain_seconds=30.0,
)


def event_id(record: Record) -> str:
    return dict(record.headers)["ce_id"].decode()


def events(keys: Sequence[str | None], topic: str = "promises.v1", data: bytes = b"{}") -> list[Event]:
    """One event per entry of `keys`."""
    now = datetime.now(UTC)
    return [
        Event(str(number), "promise.changed.v1", "/test", topic, key, version, now, data, "corr", "cause")
        for version, (number, key) in enumerate(zip(new_ids(len(keys)), keys, strict=True), start=1)
    ]


async def put(database: Database, added: Sequence[Event], lane: Lane = Lane.URGENT) -> list[str]:
    """Commit the events to the outbox; their ids."""

    async def work(connection: Connection) -> None:
        await enqueue(connection, added, lane)

    await database.run(work, label="put events")
    return [event.id for event in added]


def new_relay(
    database: Database,
    producer: HeldUpProducer,
    *,
    name: str = "relay",
    settings: RelaySettings = QUICK,
    beacon: Beacon | None = None,
    registry: CollectorRegistry | None = None,
) -> Relay:
    metrics = RelayMetrics(registry or CollectorRegistry())
    return Relay(database, producer, wall=SystemClock(), name=name, metrics=metrics, settings=settings, beacon=beacon)


@asynccontextmanager
async def running(*relays: Relay) -> AsyncIterator[asyncio.Event]:
    """Run the relays inside the block; stop them in good order after it. Yields the event that stops them."""
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        for relay in relays:
            group.create_task(relay.run(stop))
        try:
            yield stop
        finally:
            stop.set()
