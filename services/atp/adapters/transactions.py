"""Sessions: one transaction of the engine, with everything that handlers read and write."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, TypeVar

import asyncpg

from services.atp.adapters.backorders import BackorderStore
from services.atp.adapters.capacities import capacity_counters, lock_capacities
from services.atp.adapters.ceilings import share_out
from services.atp.adapters.configuration import ConfigurationCache, raise_version
from services.atp.adapters.customer_blocks import with_blocks
from services.atp.adapters.customers import customers
from services.atp.adapters.deficits import DeficitStore
from services.atp.adapters.due_rows import DueStore
from services.atp.adapters.held_orders import store_releases
from services.atp.adapters.items import items, lock_items
from services.atp.adapters.order_reports import PostgresReports
from services.atp.adapters.orders import OrderStore
from services.atp.adapters.planner_rows import PlannerStore
from services.atp.adapters.positions import PositionStore
from services.atp.adapters.protections import divide, position_keys, protections
from services.atp.adapters.runs import RunStore
from services.atp.adapters.supply import PostgresSupply
from services.atp.adapters.turns import TurnStore
from services.atp.adapters.waking import wake_due, wake_redecision
from services.atp.application.content import CustomerKey
from services.atp.application.customers import Customer
from services.atp.application.ports import Collision, CommitLost, Configuration, Due, Session, Unavailable
from services.atp.application.turn_location import LOCATION
from services.atp.application.validation_records import Release
from services.atp.domain.model import Day, Item, PositionKey, Protection, UsageKey
from services.chassis import audit, idempotency, outbox
from services.chassis.audit.chain import AuditEntry
from services.chassis.business_time import Phase, business_now, replay_state
from services.chassis.database import (
    CommitUnknown,
    Connection,
    Database,
    DatabaseUnavailable,
    StillInConflict,
)
from services.chassis.envelope import Event
from services.chassis.idempotency import StoredAnswer
from services.chassis.inbox import first_seen
from services.chassis.writes import Writes

T = TypeVar("T")
S = TypeVar("S", bound="PostgresSession")
INBOX: Final = "atp"  # one memory of events for all topics: event ids are unique

_FORGET: Final = "DELETE FROM inbox WHERE consumer = $1 AND event_id = ANY($2::text[])"


class PostgresSession:
    """One transaction; `locking` is off for reads."""

    def __init__(
        self, connection: Connection, cache: ConfigurationCache, *, stale_after: timedelta, locking: bool
    ) -> None:
        self.connection = connection
        self.writes = Writes(connection)
        self.positions = PositionStore(connection, self.writes, locking=locking)
        self.orders = OrderStore(connection, self.writes, locking=locking)
        self.backorders = BackorderStore(connection)
        self.supply = PostgresSupply(connection)
        self.reports = PostgresReports(connection)
        self.deficits = DeficitStore(connection)
        self.due = DueStore(connection)
        self.turns = TurnStore(connection)
        self.runs = RunStore(connection, locking=locking)
        self.planners = PlannerStore(connection)
        self._cache = cache
        self._stale_after = stale_after
        self._locking = locking
        self._capacities_at: datetime | None = None

    async def configuration(self) -> Configuration:
        """The configuration; with locks, the one that stays until this transaction has ended."""
        return await self._cache.current(self.connection, hold=self._locking)

    async def now(self) -> datetime:
        """Business time: as of the locks of positions or, after them, of capacities, where there are any."""
        return self._capacities_at or self.positions.loaded_at or await business_now(self.connection)

    async def taking_in(self) -> bool:
        """Whether a replay is in its intake phase."""
        state = await replay_state(self.connection)
        return state is not None and state.phase is Phase.INTAKE

    async def customers(self, keys: Sequence[CustomerKey]) -> dict[CustomerKey, Customer]:
        """Customers as the registry published them."""
        return await customers(self.connection, keys, stale_after=self._stale_after)

    async def store_releases(self, releases: Sequence[Release]) -> None:
        """Keep who released held orders."""
        await store_releases(self.connection, releases)

    async def with_blocks(self, customers: Mapping[CustomerKey, Customer]) -> dict[CustomerKey, Customer]:
        """The customers with their blocks."""
        return await with_blocks(self.connection, customers)

    async def items(self, item_ids: Sequence[str]) -> dict[str, Item]:
        """The items that exist."""
        return await items(self.connection, item_ids)

    async def lock_items(self, item_ids: Sequence[str]) -> None:
        """Lock items, in order of their ids, if this session locks."""
        if self._locking:
            await lock_items(self.connection, item_ids)

    async def lock_capacities(self, capacity_ids: Sequence[str]) -> None:
        """Lock capacities in order of their ids, if this session locks; `now` is as of them."""
        if self._locking:
            self._capacities_at = (await lock_capacities(self.connection, capacity_ids)).astimezone(UTC)

    async def capacity_counters(self, names: Sequence[str], today: Day) -> dict[UsageKey, int]:
        """What is booked of capacities and shares from a day on, by ship day."""
        return await capacity_counters(self.connection, names, today)

    async def turn_locations(self, locations: Sequence[str], at: datetime) -> None:
        """Let those who wait for what these locations may send be asked anew, soon after the commit."""
        await self.due.store({Due(LOCATION, (location,)): at for location in locations})
        await wake_due(self.connection)

    async def protections(self, item_ids: Sequence[str], at: datetime) -> dict[PositionKey, tuple[Protection, ...]]:
        """Protections whose document is in effect or will be, by position."""
        return await protections(self.connection, item_ids, at)

    async def position_keys(self, item_ids: Sequence[str]) -> list[PositionKey]:
        """All positions of items; read without a lock."""
        return await position_keys(self.connection, item_ids)

    async def divide(self, item_ids: Sequence[str], at: datetime) -> None:
        """Divide protections over locations, and hierarchies in shortage, again."""
        await self.writes.flush()  # it reads what the batch has just left
        await divide(self.connection, item_ids, at)
        if await share_out(self.connection, item_ids, at):
            await raise_version(self.connection)

    async def first_seen(self, event_ids: Sequence[str]) -> set[str]:
        """Remember events of the log; return those not seen before."""
        return await first_seen(self.connection, INBOX, event_ids)

    async def forget(self, event_ids: Sequence[str]) -> None:
        """Take events out of the memory again."""
        await self.connection.execute(_FORGET, INBOX, event_ids)

    async def stored_answers(self, pairs: Sequence[tuple[str, str]]) -> dict[tuple[str, str], StoredAnswer]:
        """What was answered to these (caller, idempotency key)."""
        return await idempotency.look_up(self.connection, pairs)

    async def flush(self) -> None:
        """Send the writes that were added."""
        await self.writes.flush()

    async def append_audit(self, entries: Sequence[AuditEntry], at: datetime) -> None:
        """Write the audit trail; the last lock of a transaction."""
        await self.writes.flush()
        await audit.append(self.connection, entries, at)

    async def finish(self, events: Sequence[Event], answers: Sequence[StoredAnswer], *, marked: bool) -> None:
        """Put events into the outbox, remember answers, and wake the re-decision after the commit."""
        await idempotency.store(self.connection, sorted(answers, key=lambda each: (each.caller, each.key)))
        await outbox.enqueue_with(self.writes, self.connection, events)
        if marked:
            await wake_redecision(self.connection)


class PostgresTransactions:
    """Makes sessions on one database."""

    def __init__(self, database: Database, *, stale_after: timedelta) -> None:
        self._database = database
        self._stale_after = stale_after
        self._cache = ConfigurationCache()

    async def run(self, work: Callable[[Session], Awaitable[T]]) -> T:
        """Run work in one transaction. Raises as `services.atp.application.ports` says."""

        async def whole(connection: Connection) -> T:
            session = self._session(connection, locking=True)
            result = await work(session)
            await session.flush()
            return result

        try:
            return await self._database.run(whole, label="batch", by_key=True)
        except asyncpg.UniqueViolationError as error:
            raise Collision(str(error.constraint_name)) from error
        except (DatabaseUnavailable, StillInConflict) as error:
            raise Unavailable(str(error)) from error
        except CommitUnknown as error:
            raise CommitLost(str(error)) from error

    async def read(self, work: Callable[[Session], Awaitable[T]]) -> T:
        """Run work on one consistent picture."""
        try:
            return await self._database.read(
                lambda connection: work(self._session(connection, locking=False)), by_key=True
            )
        except (DatabaseUnavailable, StillInConflict) as error:
            raise Unavailable(str(error)) from error

    def session(self, connection: Connection, kind: type[S]) -> S:
        """A session of another kind over a transaction that nobody else sees: without locks, its cache its own."""
        return kind(connection, self._cache.copy(), stale_after=self._stale_after, locking=False)

    def _session(self, connection: Connection, *, locking: bool) -> PostgresSession:
        return PostgresSession(connection, self._cache, stale_after=self._stale_after, locking=locking)
