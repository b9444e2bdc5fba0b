"""Leases: numbered things of which each belongs to one process at a time, shared out evenly among those that live.

A lease ends when its time is over, or at once when the owner's connection is gone: the owner holds a session advisory
lock, which the server frees when the process dies. So a crash is noticed within a refresh, and a process that was
stopped, or is cut off, when its time is over.

Guarantees: of all the times at which two processes believe to own a thing, only one can prove it: `fence` grows with
every change of owner, and `still_held` asks the database. `safe_seconds` tells how long what is begun now may take.
Not guaranteed: that a process that was stopped for longer does nothing in the first moment after it goes on. Whoever
uses leases for effects outside of the database must be able to live with that, or repair it.

    free ──take──▶ held ──time is over / connection gone──▶ free (fence + 1 at the next take)
                     └─surplus, because another process came: let_go ──▶ returned at the next refresh ──▶ free
"""

import secrets
from collections.abc import Mapping, Sequence
from typing import Final

import asyncpg
import structlog

from services.chassis.clocks import WallClock
from services.chassis.database_session import DRIVER_ERRORS, Connection, server_settings

CONNECT_TIMEOUT_SECONDS: Final = 5
COMMAND_TIMEOUT_SECONDS: Final = 5
_SESSION_CLASS: Final = 4_217_004  # sets these advisory locks apart from all others

# What lives: its time is not over, and its session holds the lock.
_LIVES: Final = f"""
expires_at > clock_timestamp() AND session IN (
    SELECT objid::bigint FROM pg_locks
    WHERE locktype = 'advisory' AND classid = {_SESSION_CLASS} AND objsubid = 2 AND granted
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
)"""  # noqa: S608 - constants of this file
_PREPARE: Final = """
INSERT INTO lease (resource, owner, session, fence, expires_at)
SELECT $1 || lpad(number::text, 2, '0'), '', 0, 0, '-infinity' FROM generate_series(0, $2::integer - 1) number
ON CONFLICT DO NOTHING
"""
_JOIN: Final = """
INSERT INTO lease (resource, owner, session, fence, expires_at)
VALUES ($1 || $2, $2, $3, 0, clock_timestamp() + make_interval(secs => $4))
ON CONFLICT (resource) DO UPDATE SET session = excluded.session, expires_at = excluded.expires_at
"""
_FORGET_MEMBERS: Final = """
DELETE FROM lease WHERE starts_with(resource, $1) AND expires_at < clock_timestamp() - interval '1 hour'
"""
_RETURN: Final = """
UPDATE lease SET owner = '', session = 0, expires_at = '-infinity' WHERE owner = $1 AND resource = ANY($2::text[])
"""
_RENEW: Final = """
UPDATE lease SET session = $3, expires_at = clock_timestamp() + make_interval(secs => $4)
WHERE starts_with(resource, $1) AND owner = $2 RETURNING resource, fence
"""
_COUNT_MEMBERS: Final = f"SELECT count(*) FROM lease WHERE starts_with(resource, $1) AND {_LIVES}"  # noqa: S608 - constants of this file
_TAKE: Final = f"""
UPDATE lease SET owner = $2, session = $3, fence = fence + 1, expires_at = clock_timestamp() + make_interval(secs => $4)
WHERE resource IN (
    SELECT resource FROM lease WHERE starts_with(resource, $1) AND NOT ({_LIVES})
    ORDER BY resource LIMIT $5 FOR UPDATE SKIP LOCKED
) RETURNING resource, fence
"""  # noqa: S608 - constants of this file
_STILL_HELD: Final = """
SELECT lease.resource FROM lease JOIN unnest($1::text[], $2::bigint[]) AS mine (resource, fence)
ON lease.resource = mine.resource AND lease.fence = mine.fence AND lease.owner = $3
"""

_log = structlog.get_logger(__name__)


class Leases:
    """This process's share of the numbers 0 to `count` - 1 of `group`; refresh it several times per `ttl_seconds`."""

    def __init__(
        self, url: str, schema: str, wall: WallClock, *, group: str, count: int, name: str, ttl_seconds: float
    ) -> None:
        self.owner = f"{name}#{secrets.token_hex(4)}"  # a restarted process is another owner
        self._url = url
        self._schema = schema
        self._wall = wall
        self._things = f"{group}/"
        self._members = f"{group}-member/"
        self._count = count
        self._ttl_seconds = ttl_seconds
        self._connection: asyncpg.Connection[asyncpg.Record] | None = None
        self._session = 0
        self._held: dict[int, int] = {}
        self._surplus: list[int] = []
        self._returning: list[int] = []
        self._safe_until = 0.0

    @property
    def held(self) -> Mapping[int, int]:
        """The numbers that this process owns, as far as it knows, with their fences."""
        return self._held

    def safe_seconds(self) -> float:
        """For how long nobody else can own what is held; 0 if that is not known."""
        if self._connection is None or self._connection.is_closed():
            return 0.0
        return max(0.0, self._safe_until - self._wall.monotonic())

    def let_go(self) -> None:
        """Give up what others should have. Call it at a moment at which nothing is being done with it."""
        for number in self._surplus:
            self._held.pop(number, None)
        self._returning += self._surplus
        self._surplus = []

    async def refresh(self) -> None:
        """Renew what is held, return what was let go, take what is free and due to this process.

        Raises:
            DRIVER_ERRORS: the database is not there; what is held stays so until its time is over, but is not safe
            until the next refresh that succeeds.
        """
        asked_at = self._wall.monotonic()
        try:
            connection = await self._connected()
            async with connection.transaction():
                held, members = await self._renew(connection)
                fair_share = -(-self._count // max(1, members))
                if len(held) < fair_share:
                    held |= await self._take(connection, fair_share - len(held))
        except BaseException:
            self._disconnect()
            raise
        lost = sorted(self._held.keys() - held.keys())
        if lost:
            _log.warning("leases_lost", owner=self.owner, numbers=lost)
        self._returning = []
        self._held = held
        self._surplus = sorted(held)[fair_share:]
        self._safe_until = asked_at + self._ttl_seconds

    async def release(self) -> None:
        """Return everything, so that others need not wait; at the end, when nothing is being done any more."""
        connection, held = self._connection, [*self._held, *self._returning]
        self._held, self._surplus, self._returning = {}, [], []
        if connection is not None:
            try:
                async with connection.transaction():
                    await connection.execute(_RETURN, self.owner, self._resources(held))
                    await connection.execute("DELETE FROM lease WHERE resource = $1", self._members + self.owner)
            except DRIVER_ERRORS as error:
                _log.warning("leases_left_to_expire", owner=self.owner, cause=repr(error))
        self._disconnect()

    async def still_held(self, connection: Connection, held: Mapping[int, int]) -> set[int]:
        """Which of `held` still belong to this process with the same fence, in the caller's transaction."""
        rows = await connection.fetch(_STILL_HELD, self._resources(held), list(held.values()), self.owner)
        return {self._number(row) for row in rows}

    async def _renew(self, connection: Connection) -> tuple[dict[int, int], int]:
        await connection.execute(_JOIN, self._members, self.owner, self._session, self._ttl_seconds)
        await connection.execute(_RETURN, self.owner, self._resources(self._returning))
        rows = await connection.fetch(_RENEW, self._things, self.owner, self._session, self._ttl_seconds)
        members: int = await connection.fetchval(_COUNT_MEMBERS, self._members)
        return {self._number(row): row["fence"] for row in rows}, members

    async def _take(self, connection: Connection, count: int) -> dict[int, int]:
        rows = await connection.fetch(_TAKE, self._things, self.owner, self._session, self._ttl_seconds, count)
        return {self._number(row): row["fence"] for row in rows}

    async def _connected(self) -> "asyncpg.Connection[asyncpg.Record]":
        if self._connection is not None and not self._connection.is_closed():
            return self._connection
        settings = server_settings(self._schema, f"leases of {self.owner}")
        connection = await asyncpg.connect(
            self._url,
            timeout=CONNECT_TIMEOUT_SECONDS,
            command_timeout=COMMAND_TIMEOUT_SECONDS,
            server_settings=settings,
        )
        self._connection, self._session = connection, secrets.randbelow(2**31)
        await connection.execute("SELECT pg_advisory_lock($1, $2)", _SESSION_CLASS, self._session)
        await connection.execute(_PREPARE, self._things, self._count)
        await connection.execute(_FORGET_MEMBERS, self._members)
        return connection

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()

    def _resources(self, numbers: Sequence[int] | Mapping[int, int]) -> list[str]:
        return [f"{self._things}{number:02d}" for number in numbers]

    def _number(self, row: asyncpg.Record) -> int:
        return int(row["resource"].removeprefix(self._things))
