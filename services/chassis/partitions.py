"""Partitions by day for tables that only grow: made ahead, taken off by age, and dropped a round later.

Each table has a default partition as a net: if nobody made partitions for a while, rows land there, nothing fails, and
that day stays there until it is old enough to be deleted row by row. Taking a partition off blocks writers of the table
for milliseconds; if others hold the table longer than `LOCK_TIMEOUT_MILLISECONDS`, it is left for the next round.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial
from typing import Final

import asyncpg
import structlog

from services.chassis.clocks import WallClock
from services.chassis.database import Database, DatabaseError
from services.chassis.database_session import Connection

DAYS_AHEAD: Final = 3  # a long weekend without anybody to restart the job
INTERVAL_SECONDS: Final = 3_600.0
LOCK_TIMEOUT_MILLISECONDS: Final = 500
DELETE_ROWS_MAX: Final = 50_000  # from the default partition per round, so that the transaction stays short
_LOCK: Final = 4_217_003  # any number that no other advisory lock here uses

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class DailyTable:
    """A table partitioned by the date in `column`; a day ends after `keep_days`, unless rows match `keep_if`."""

    name: str
    column: str
    keep_days: int
    keep_if: str = "false"
    storage: str = "fillfactor = 100"


CHASSIS_TABLES: Final = (
    # Published events are kept for some days, so that a log that lost them can be filled again.
    # Every row is updated once: dead entries must leave the index of the unpublished ones soon.
    DailyTable(
        "outbox",
        "created_on",
        keep_days=3,
        keep_if="published_at IS NULL",
        storage="autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000",
    ),
    # Longer than topics keep records (a week): what is read again from the oldest offset is still known.
    DailyTable("inbox", "seen_on", keep_days=8),
    DailyTable("idempotency", "stored_on", keep_days=7),
)


async def keep_partitions(
    database: Database, stop: asyncio.Event, wall: WallClock, tables: Sequence[DailyTable] = CHASSIS_TABLES
) -> None:
    """The periodic task: maintain at once and then every hour, until `stop` is set."""
    while not stop.is_set():
        today = wall.now().date()
        for table in tables:  # each in a transaction of its own, so that no table is locked while another is waited for
            try:
                await database.run(partial(maintain, today=today, tables=[table]), label=f"partitions of {table.name}")
            except DatabaseError as error:
                _log.warning("partitions_left_for_next_round", table=table.name, cause=repr(error))
        await _pause(stop, INTERVAL_SECONDS)


async def maintain(connection: Connection, today: date, tables: Sequence[DailyTable] = CHASSIS_TABLES) -> None:
    """Make the partitions of `today` and the days ahead, end those past their age; skip tables that are not there."""
    if not await connection.fetchval("SELECT pg_try_advisory_xact_lock($1)", _LOCK):
        return  # another replica is at it
    await connection.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT_MILLISECONDS}ms'")
    for table in tables:
        if await connection.fetchval("SELECT to_regclass($1) IS NOT NULL", table.name):
            try:
                async with connection.transaction():
                    await _maintain_one(connection, table, today)
            except asyncpg.LockNotAvailableError as error:
                _log.warning("partitions_left_for_next_round", table=table.name, cause=repr(error))


def partition_name(table: DailyTable, day: date) -> str:
    """The name of the partition that holds one day."""
    return f"{table.name}_{day:%Y%m%d}"


async def _maintain_one(connection: Connection, table: DailyTable, today: date) -> None:
    await _drop_detached(connection, table)
    for ahead in range(DAYS_AHEAD + 1):
        await _ensure_day(connection, table, today + timedelta(days=ahead))
    await _detach_old(connection, table, today - timedelta(days=table.keep_days))


async def _ensure_day(connection: Connection, table: DailyTable, day: date) -> None:
    name = partition_name(table, day)
    if await connection.fetchval("SELECT to_regclass($1) IS NOT NULL", name):
        return
    default = f"{table.name}_default"
    await connection.execute(f"LOCK TABLE {default} IN ACCESS EXCLUSIVE MODE")  # nobody adds a row of that day now
    if await connection.fetchval(f"SELECT EXISTS (SELECT FROM {default} WHERE {table.column} = $1)", day):  # noqa: S608
        _log.warning("day_stays_in_default_partition", table=table.name, day=str(day))
        return
    await connection.execute(
        f"CREATE TABLE {name} PARTITION OF {table.name} FOR VALUES FROM ('{day}') TO ('{day + timedelta(days=1)}')"
        f" WITH ({table.storage})"
    )


async def _detach_old(connection: Connection, table: DailyTable, before: date) -> None:
    """Take old days off the table. Their files go in the next round, when nobody waits for the table meanwhile."""
    for name, day in await _days(connection, table, attached=True):
        if day >= before:
            continue
        if await connection.fetchval(f"SELECT EXISTS (SELECT FROM {name} WHERE {table.keep_if})"):  # noqa: S608
            _log.warning("old_partition_kept", partition=name, reason=table.keep_if)
            continue
        await connection.execute(f"ALTER TABLE {table.name} DETACH PARTITION {name}")
    await connection.execute(
        f"DELETE FROM {table.name}_default WHERE ctid IN (SELECT ctid FROM {table.name}_default"  # noqa: S608
        f" WHERE {table.column} < $1 AND NOT ({table.keep_if}) LIMIT $2)",
        before,
        DELETE_ROWS_MAX,
    )


async def _drop_detached(connection: Connection, table: DailyTable) -> None:
    for name, _ in await _days(connection, table, attached=False):
        await connection.execute(f"DROP TABLE {name}")
        _log.info("partition_dropped", partition=name)


async def _days(connection: Connection, table: DailyTable, *, attached: bool) -> list[tuple[str, date]]:
    """The tables that hold one day each, oldest first: those that are partitions, or those that were."""
    names = await connection.fetch(
        "SELECT relname FROM pg_class WHERE relnamespace = current_schema()::regnamespace"
        " AND relkind = 'r' AND relispartition = $2 AND relname ~ ('^' || $1 || '_[0-9]{8}$') ORDER BY relname",
        table.name,
        attached,
    )
    return [(row["relname"], date.fromisoformat(row["relname"][-8:])) for row in names]


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return
