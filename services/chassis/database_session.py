"""One connection to PostgreSQL: how it is set up, how its transaction ends, and what an error of it means."""

from collections.abc import Collection
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, TypeAlias

import asyncpg

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy
    from asyncpg.transaction import Transaction

    _DriverConnection = asyncpg.Connection[asyncpg.Record]
else:
    _DriverConnection = asyncpg.Connection

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]"
Isolation: TypeAlias = Literal["read_committed", "repeatable_read", "rehearsal"]

LOCK_TIMEOUT_SECONDS: Final = 5  # rows are locked in one order, for milliseconds; longer means something is stuck
STATEMENT_TIMEOUT_SECONDS: Final = 30
IDLE_IN_TRANSACTION_TIMEOUT_SECONDS: Final = 15  # work waits for nothing but the database
ROLLBACK_TIMEOUT_SECONDS: Final = 5
# For work that finds its rows by their keys, whatever the tables' statistics say: plans are made once a connection and
# kept. The server would plan every execution anew, because it sees the values; measured, a third of its time in storing
# a batch. A kept plan must not be one for a table that was still empty: so no other way than by index is considered.
BY_KEY: Final = "".join(
    f"; SET LOCAL {setting}"
    for setting in (
        "plan_cache_mode = force_generic_plan",
        "enable_seqscan = off",
        "enable_hashjoin = off",
        "enable_mergejoin = off",
    )
)
# Large documents are compressed by LZ4 where the server was built with it, for a fifth of the time that its own method
# takes; what was stored by the other stays readable.
QUICK_COMPRESSION: Final = """
SELECT set_config(name, 'lz4', false) FROM pg_settings
WHERE name = 'default_toast_compression' AND 'lz4' = ANY(enumvals)
"""
_BEGIN: Final[dict[Isolation, str]] = {
    "read_committed": "BEGIN",
    "repeatable_read": "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
    "rehearsal": "BEGIN ISOLATION LEVEL REPEATABLE READ",
}
FIRST_OID_OF_OTHERS: Final = 10_000  # below are the types that every PostgreSQL has, with numbers that never change


def server_settings(schema: str, name: str, statement_seconds: int = STATEMENT_TIMEOUT_SECONDS) -> dict[str, str]:
    """What a connection asks for in its start-up packet, which costs no round trip.

    JIT compilation is off: it takes longer than the short statements that it would speed up.
    """
    return {
        "application_name": name,
        "search_path": schema,
        "timezone": "UTC",
        "jit": "off",
        "lock_timeout": f"{LOCK_TIMEOUT_SECONDS}s",
        "statement_timeout": f"{statement_seconds}s",
        "idle_in_transaction_session_timeout": f"{IDLE_IN_TRANSACTION_TIMEOUT_SECONDS}s",
    }


class Session(_DriverConnection):
    """A connection that begins and ends its transaction and remembers whom to tell after the commit.

    Between `begin` and the end, `transaction()` of the driver makes savepoints.
    """

    __slots__ = ("_announcements",)
    _top_xact: "Transaction | None"
    _builtin_types: ClassVar[dict[frozenset[int], Any]] = {}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._announcements: frozenset[str] = frozenset()

    @property
    def itself(self) -> "Session":
        """The connection behind the pool's proxy."""
        return self

    async def begin(self, isolation: Isolation, *, by_key: bool = False) -> None:
        """Start a transaction; one of REPEATABLE READ cannot write. A rehearsal is one that may, and never commits.

        `by_key`: see BY_KEY.
        """
        self._announcements = frozenset()
        level: Literal["read_committed", "repeatable_read"]
        level = "read_committed" if isolation == "read_committed" else "repeatable_read"
        # What Transaction.start does, with more in the same round trip; by it the driver knows what a savepoint is.
        self._top_xact = self.transaction(isolation=level, readonly=isolation == "repeatable_read")
        await self.execute(_BEGIN[isolation] + (BY_KEY if by_key else ""))

    async def commit(self) -> bool:
        """Commit; False if the server rolled back instead, as it does when an error was swallowed."""
        self._top_xact = None  # as Transaction.commit does, which keeps the server's answer to itself
        return await self.execute("COMMIT") == "COMMIT"

    async def roll_back(self) -> None:
        """Undo the transaction, whatever state it is in."""
        self._top_xact = None
        await self.execute("ROLLBACK", timeout=ROLLBACK_TIMEOUT_SECONDS)

    def announce_after_commit(self, subject: str) -> None:
        """Ask for a NOTIFY on the channel `<subject>_<schema>` once this transaction has committed."""
        self._announcements |= {subject}

    @property
    def announcements(self) -> frozenset[str]:
        """The subjects to announce if this transaction commits."""
        return self._announcements

    async def _introspect_types(self, typeoids: Collection[int], timeout: float | None) -> Any:  # noqa: ASYNC109
        """Ask the server once per process, not once per connection, what an array of integers is.

        The driver knows few array types by heart and asks for the others, some 25 ms, in the first statement of every
        connection that uses them. Types that come with PostgreSQL have the same numbers and meaning everywhere.
        """
        asked = frozenset(typeoids)
        if max(asked) >= FIRST_OID_OF_OTHERS:
            return await super()._introspect_types(typeoids, timeout)  # type: ignore[misc]
        if asked not in self._builtin_types:
            self._builtin_types[asked] = await super()._introspect_types(typeoids, timeout)  # type: ignore[misc]
        return self._builtin_types[asked]


async def announce(connection: Connection, subject: str) -> None:
    """Send a NOTIFY on the channel `<subject>_<schema>` once the caller's transaction has committed.

    On a connection of `Database` it is sent after the commit; on any other in the transaction, which is as good, but
    keeps such transactions from committing together.
    """
    later = getattr(connection, "announce_after_commit", None)
    if later is not None:
        later(subject)
    else:
        await connection.execute("SELECT pg_notify($1 || '_' || current_schema(), '')", subject)


class Failure(Enum):
    """What an error says about the transaction in which it was raised."""

    CONFLICT = auto()
    """Another transaction was in the way; the next attempt may succeed."""
    LOST = auto()
    """The connection is gone or was not to be had; the next attempt makes a new one."""
    OTHER = auto()
    """The statement or the work is at fault; the next attempt would fail the same way."""


DRIVER_ERRORS: Final = (
    OSError,  # refused, reset, unreachable; TimeoutError is one of them
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # e.g. when the server says good-bye at a moment that the driver does not expect
)
"""Everything that a statement or a connection attempt can raise."""

_CONFLICTS: Final = (asyncpg.SerializationError, asyncpg.DeadlockDetectedError, asyncpg.LockNotAvailableError)
_LOSSES: Final = (
    OSError,
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
    asyncpg.TooManyConnectionsError,
)
# SQLSTATE classes whose errors leave open whether COMMIT took effect: connection, operator intervention, system, bug.
_CLASSES_IN_DOUBT: Final = ("08", "57", "58", "XX")


def failure_of(error: BaseException, *, connection_closed: bool) -> Failure:
    """Classify an error that was raised before COMMIT was sent."""
    if isinstance(error, _CONFLICTS):
        return Failure.CONFLICT
    if isinstance(error, _LOSSES):
        return Failure.LOST
    if connection_closed and isinstance(error, DRIVER_ERRORS):
        return Failure.LOST
    return Failure.OTHER


def refused_to_commit(error: BaseException) -> bool:
    """Whether the server answered COMMIT with an error that proves the roll-back."""
    return isinstance(error, asyncpg.PostgresError) and not (error.sqlstate or "XX").startswith(_CLASSES_IN_DOUBT)
