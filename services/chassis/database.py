"""PostgreSQL: one pool per service, and the one way to run a transaction.

Guarantees
* `run` commits the work whole or not at all, and says which. Serialization failures, deadlocks, lock time-outs and
  connections lost before COMMIT was sent are tried again a bounded number of times: the work runs again from its start,
  so it must have no effect outside the transaction.
* `ask` is one statement without a transaction around it, for a third of the round trips.
* Work runs in a task of its own. A cancelled caller leaves at once; the work goes on to its end. A connection whose
  state is in doubt is terminated, never pooled.
* The server is durable (`fsync`, `full_page_writes`, `synchronous_commit`), or `open` refuses.

Not guaranteed: an answer to COMMIT that was lost stays unknown (`CommitUnknown`); look up what the work stored by its
idempotency key before answering. Session state (SET without LOCAL, session advisory locks, LISTEN) is not reset between
users of a connection, because that costs a round trip: work must leave none.

    DatabaseError
    |- DatabaseUnavailable   not reached within the attempts; nothing was stored
    |- StillInConflict       lost to other transactions in every attempt; nothing was stored
    |- CommitUnknown         COMMIT was sent and its answer lost: stored, or not
    |- TransactionSpoiled    the work swallowed an SQL error and returned; nothing was stored
    `- UnsafeServer          the server would lose acknowledged transactions; nothing was opened
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self, TypeAlias, TypeVar, cast

import asyncpg
import structlog

from services.chassis.database_listener import listening
from services.chassis.database_session import (
    DRIVER_ERRORS,
    QUICK_COMPRESSION,
    STATEMENT_TIMEOUT_SECONDS,
    Connection,
    Failure,
    Isolation,
    Session,
    announce,
    failure_of,
    refused_to_commit,
    server_settings,
)

if TYPE_CHECKING:
    from asyncpg.pool import Pool, PoolConnectionProxy

__all__ = [
    "CommitUnknown",
    "Connection",
    "Database",
    "DatabaseError",
    "DatabaseUnavailable",
    "Retry",
    "StillInConflict",
    "TransactionSpoiled",
    "UnsafeServer",
    "Work",
    "announce",
]

T = TypeVar("T")
Work: TypeAlias = Callable[[Connection], Awaitable[T]]

COMMAND_MARGIN_SECONDS: Final = (
    5  # of the client's own time-out above the server's: for a server that no longer answers
)
CONNECT_TIMEOUT_SECONDS: Final = 5
ACQUIRE_TIMEOUT_SECONDS: Final = 10
CLOSE_TIMEOUT_SECONDS: Final = 5
ANNOUNCEMENT_GAP_SECONDS: Final = 0.005  # under load one NOTIFY tells of many commits

_log = structlog.get_logger(__name__)


class DatabaseError(Exception):
    """The parent of what `Database` raises by itself; errors of the work pass through as they are."""


class DatabaseUnavailable(DatabaseError):  # noqa: N818 - says what happened
    """The server could not be reached, or broke the connection, in every attempt. Nothing was stored."""


class StillInConflict(DatabaseError):  # noqa: N818 - says what happened
    """The transaction lost to others in every attempt. Nothing was stored."""


class CommitUnknown(DatabaseError):  # noqa: N818 - says what happened
    """COMMIT was sent and its answer lost. Look up the effect on a fresh connection before answering."""


class TransactionSpoiled(DatabaseError):  # noqa: N818 - says what happened
    """The work caught an SQL error without a savepoint and returned, so that the server rolled back at COMMIT."""


class UnsafeServer(DatabaseError):  # noqa: N818 - says what happened
    """The server is set up to lose acknowledged transactions in a crash."""


class _Again(Exception):  # noqa: N818 - a signal between two methods
    """The attempt left nothing behind and may be repeated; `verdict` is what to raise if it is not."""

    def __init__(self, verdict: type[DatabaseError], cause: BaseException) -> None:
        super().__init__(repr(cause))
        self.verdict = verdict
        self.cause = cause


class _Rehearsed(Exception):  # noqa: N818 - a signal between two methods
    """The work of a rehearsal is done, and its transaction is rolled back."""

    def __init__(self, result: object) -> None:
        super().__init__()
        self.result = result


@dataclass(frozen=True, slots=True)
class Retry:
    """How often and how patiently a transaction is tried again: by default for about four seconds."""

    attempts_max: int = 10
    pause_first_seconds: float = 0.02
    pause_max_seconds: float = 1.0

    def pause_seconds(self, attempt: int) -> float:
        """The pause after the failed `attempt` (from 1): doubling, of which up to half is left to chance."""
        whole = min(self.pause_max_seconds, self.pause_first_seconds * 2.0 ** (attempt - 1))
        return whole * random.uniform(0.5, 1.0)  # noqa: S311 - spreads retries, protects nothing


class Database:
    """A pool of connections to one schema. Made by `open`."""

    @classmethod
    async def open(
        cls,
        url: str,
        *,
        schema: str,
        name: str,
        min_size: int = 1,
        max_size: int = 8,
        retry: Retry | None = None,
        refuse_unsafe: bool = True,
        statement_seconds: int = STATEMENT_TIMEOUT_SECONDS,
    ) -> Self:
        """Connect; `name` shows in pg_stat_activity. A check of everything needs more `statement_seconds`.

        Raises:
            DatabaseUnavailable: the server does not answer.
            UnsafeServer: the server is not durable (unless `refuse_unsafe` is off, for data that may be lost).
        """
        pool = asyncpg.create_pool(
            url,
            min_size=0,  # opening must not fail at the first refused connection: `run` has the retries
            max_size=max_size,
            max_inactive_connection_lifetime=0,
            connection_class=Session,
            init=_compress_quickly,
            reset=_leave_as_is,
            timeout=CONNECT_TIMEOUT_SECONDS,
            command_timeout=statement_seconds + COMMAND_MARGIN_SECONDS,
            server_settings=server_settings(schema, name, statement_seconds),
        )
        await pool
        database = cls(url, pool, schema=schema, name=name, retry=retry or Retry())
        try:
            await database._check_durability(refuse_unsafe=refuse_unsafe)
            await asyncio.gather(*(database.read(_answer) for _ in range(min_size)))
        except BaseException:
            await database.close()
            raise
        return database

    def __init__(self, url: str, pool: "Pool[asyncpg.Record]", *, schema: str, name: str, retry: Retry) -> None:
        self.url = url
        self.schema = schema
        self.name = name
        self._pool = pool
        self._retry = retry
        self._running: set[asyncio.Task[Any]] = set()
        self._closing = False
        self._on_commit: list[Callable[[], None]] = []
        self._announcements: frozenset[str] = frozenset()
        self._announced = asyncio.Event()
        self._announcer = asyncio.create_task(self._announce(), name=f"{name}: announce commits")

    @property
    def running(self) -> frozenset[asyncio.Task[Any]]:
        """The work in progress, whether anybody still waits for it or not."""
        return frozenset(self._running)

    async def close(self, *, deadline_seconds: float = 10.0) -> None:
        """Let running work end, up to the deadline; what is cut off then is rolled back, or unknown in its COMMIT."""
        self._closing = True
        self._announcer.cancel()
        if self._running:
            _, late = await asyncio.wait(self._running, timeout=deadline_seconds)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_SECONDS):
                await self._pool.close()
        except TimeoutError:
            self._pool.terminate()

    async def run(self, work: Work[T], *, label: str, by_key: bool = False) -> T:
        """Run `work` in one READ COMMITTED transaction and return, after the commit, what it returned.

        `by_key` is for work on the hot path that finds rows by their keys: see `database_session.BY_KEY`.

        Raises:
            DatabaseUnavailable, StillInConflict, TransactionSpoiled: nothing was stored.
            CommitUnknown: it may be stored.
            Whatever the work raises: rolled back.
        """
        return await self._shielded(self._attempts("read_committed", work, label, by_key=by_key), label)

    async def read(self, work: Work[T], *, label: str = "read", by_key: bool = False) -> T:
        """Run `work` in a REPEATABLE READ, READ ONLY transaction: one consistent picture, no lock, no write."""
        return await self._shielded(self._attempts("repeatable_read", work, label, by_key=by_key), label)

    async def rehearse(self, work: Work[T], *, label: str) -> T:
        """Run `work` in a REPEATABLE READ transaction that is rolled back at its end: one picture, nothing stored.

        It may write; rows that it would lock or write are better copied first (see `services.chassis.rehearsal`).
        """

        async def whole(connection: Connection) -> T:
            raise _Rehearsed(await work(connection))

        try:
            return await self._shielded(self._attempts("rehearsal", whole, label), label)
        except _Rehearsed as done:
            return cast("T", done.result)

    async def ask(self, question: str, *parameters: Any, label: str = "ask") -> list[asyncpg.Record]:
        """The rows of one statement that writes nothing: one consistent picture by itself."""
        return await self._shielded(
            self._attempts(None, lambda connection: connection.fetch(question, *parameters), label), label
        )

    def on_commit(self, call: Callable[[], None]) -> None:
        """Call this after every transaction of `run` that has committed; it must be quick and not fail."""
        self._on_commit.append(call)

    def listen(self, channel: str, wake: Callable[[str], None]) -> AbstractAsyncContextManager[None]:
        """Call `wake(payload)` on every NOTIFY on `channel`, and `wake("")` when some may have been missed.

        It has a connection of its own and makes a new one when that breaks. Keep a poll beside it.
        """
        return listening(self.url, channel, wake, name=f"{self.name}: listen to {channel}")

    async def _check_durability(self, *, refuse_unsafe: bool) -> None:
        rows = await self.read(_durability, label="open")
        unsafe = [f"{row['name']}=off" for row in rows if row["value"] == "off"]
        if unsafe and refuse_unsafe:
            raise UnsafeServer(f"{', '.join(unsafe)}: the server can lose acknowledged promises; switch it on")

    async def _shielded(self, coroutine: Coroutine[Any, Any, T], label: str) -> T:
        if self._closing:
            coroutine.close()
            raise DatabaseUnavailable(f"{label}: {self.name} is closing")
        task = asyncio.create_task(coroutine, name=f"{self.name}: {label}")
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            task.add_done_callback(_report_abandoned)
            raise

    async def _attempts(self, isolation: Isolation | None, work: Work[T], label: str, *, by_key: bool = False) -> T:
        for attempt in range(1, self._retry.attempts_max + 1):
            try:
                return await self._attempt(isolation, work, label, by_key=by_key)
            except _Again as again:
                if attempt == self._retry.attempts_max or self._closing:
                    raise again.verdict(f"{label}: attempt {attempt}: {again.cause!r}") from again.cause
                _log.warning("transaction_retried", label=label, attempt=attempt, cause=repr(again.cause))
            await asyncio.sleep(self._retry.pause_seconds(attempt))
        raise AssertionError("attempts_max is at least 1")

    async def _attempt(self, isolation: Isolation | None, work: Work[T], label: str, *, by_key: bool) -> T:
        """One attempt; without an isolation there is no transaction around the work."""
        connection = await self._acquire()
        session = cast("Session", connection).itself  # the proxy stops working when the connection breaks
        try:
            if isolation is not None:
                await session.begin(isolation, by_key=by_key)
            result = await work(connection)
        except BaseException as error:
            closed = session.is_closed()
            await self._end_failed(connection, session, error)
            _raise_if_repeatable(error, label, connection_closed=closed)
            raise
        if isolation is None:
            await self._pool.release(connection)
            return result
        try:
            whole = await session.commit()
        except BaseException as error:
            await self._throw_away(connection, session)
            if refused_to_commit(error) or isolation == "repeatable_read":
                _raise_if_repeatable(error, label, connection_closed=True)
                raise
            raise CommitUnknown(f"{label}: the answer to COMMIT was lost: {error!r}") from error
        announcements = session.announcements
        await self._pool.release(connection)
        if not whole:
            raise TransactionSpoiled(f"{label}: an SQL error was caught without a savepoint; nothing was stored")
        self._announce_soon(announcements)
        if isolation == "read_committed":
            for call in self._on_commit:
                call()
        return result

    async def _acquire(self) -> "PoolConnectionProxy[asyncpg.Record]":
        try:
            return await self._pool.acquire(timeout=ACQUIRE_TIMEOUT_SECONDS)
        except DRIVER_ERRORS as error:
            _raise_if_repeatable(error, "connect", connection_closed=True)
            raise

    async def _end_failed(
        self, connection: "PoolConnectionProxy[asyncpg.Record]", session: Session, error: BaseException
    ) -> None:
        """Roll back and pool the connection; terminate it if a statement may still be running on it."""
        if session.is_closed() or isinstance(error, asyncio.CancelledError | TimeoutError):
            await self._throw_away(connection, session)
            return
        try:
            await session.roll_back()
        except (*DRIVER_ERRORS, asyncio.CancelledError):
            await self._throw_away(connection, session)
        else:
            await self._pool.release(connection)

    async def _throw_away(self, connection: "PoolConnectionProxy[asyncpg.Record]", session: Session) -> None:
        if not session.is_closed():
            session.terminate()
        await self._pool.release(connection)  # makes room for a new one

    def _announce_soon(self, topics: frozenset[str]) -> None:
        if topics:
            self._announcements |= topics
            self._announced.set()

    async def _announce(self) -> None:
        """Send NOTIFY after commits, outside their transactions.

        A transaction with a NOTIFY in it takes a lock on the whole server until its commit is on disk, so that no two
        of them commit together. A transaction of nothing but NOTIFY waits for no disk. If it is lost, the poll of the
        listener remains.
        """
        while True:
            await self._announced.wait()
            self._announced.clear()
            topics, self._announcements = self._announcements, frozenset()
            channels = [f"{topic}_{self.schema}" for topic in sorted(topics)]
            try:
                await self._pool.execute("SELECT pg_notify(channel, '') FROM unnest($1::text[]) channel", channels)
            except DRIVER_ERRORS as error:
                _log.warning("announcement_lost", channels=channels, cause=repr(error))
            await asyncio.sleep(ANNOUNCEMENT_GAP_SECONDS)


def _raise_if_repeatable(error: BaseException, label: str, *, connection_closed: bool) -> None:
    if isinstance(error, TimeoutError):  # the server was given its time; another attempt would take as long
        raise DatabaseUnavailable(f"{label}: no answer in time: {error!r}") from error
    match failure_of(error, connection_closed=connection_closed):
        case Failure.CONFLICT:
            raise _Again(StillInConflict, error) from error
        case Failure.LOST:
            raise _Again(DatabaseUnavailable, error) from error
        case Failure.OTHER:
            return


async def _compress_quickly(connection: Connection) -> None:
    await connection.execute(QUICK_COMPRESSION)


async def _leave_as_is(_connection: object) -> None:
    """In place of the driver's reset, a round trip per transaction: see the head of this file."""


async def _answer(connection: Connection) -> None:
    await connection.execute("SELECT")


async def _durability(connection: Connection) -> list[asyncpg.Record]:
    names = ["fsync", "full_page_writes", "synchronous_commit"]
    return await connection.fetch("SELECT name, current_setting(name) AS value FROM unnest($1::text[]) name", names)


def _report_abandoned(task: asyncio.Task[Any]) -> None:
    """Nobody waits for the outcome any more: an error must not vanish."""
    if not task.cancelled() and (error := task.exception()) is not None:
        _log.warning("abandoned_work_failed", task=task.get_name(), cause=repr(error))
