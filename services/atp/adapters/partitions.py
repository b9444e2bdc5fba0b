"""Partitions by month for what the ATP archives by age: made ahead; each table has a DEFAULT partition as a net.

Promises, their ledger and decision records are partitioned by their id: a UUIDv7 begins with its time, so a month is a
range of ids, and a look-up by id goes to one partition. Nothing is dropped here: archiving is an operator's decision.
"""

import asyncio
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

import asyncpg
import structlog

from services.chassis.clocks import WallClock
from services.chassis.database import Connection, Database, DatabaseError

BY_ID: Final = ("promise", "promise_history", "commitment", "decision_batch", "measured_order", "costed_order")
BY_TIME: Final = (
    "movement",
    "status_movement",
    "fulfilment",
    "unapplied_command",
    "order_report",
    "planner_action",
    "receipt_due",
)
MONTHS_AHEAD: Final = 2
INTERVAL_SECONDS: Final = 3_600.0
LOCK_TIMEOUT_MILLISECONDS: Final = 500
MONTHS_PER_YEAR: Final = 12
_LOCK: Final = 4_217_101  # any number that no other advisory lock here uses
_log = structlog.get_logger(__name__)


async def keep_months(database: Database, stop: asyncio.Event, wall: WallClock) -> None:
    """The periodic task: make the months ahead at once and then every hour, until `stop` is set."""

    async def this_round(connection: Connection) -> None:
        await make_months(connection, wall.now())

    while not stop.is_set():
        try:
            await database.run(this_round, label="make partitions")
        except (DatabaseError, asyncpg.LockNotAvailableError) as error:
            _log.warning("partitions_left_for_next_round", cause=repr(error))
        try:
            await asyncio.wait_for(stop.wait(), INTERVAL_SECONDS)
        except TimeoutError:
            continue


async def make_months(connection: Connection, now: datetime) -> None:
    """Make this month's partitions and those of the months ahead, where they are missing."""
    if not await connection.fetchval("SELECT pg_try_advisory_xact_lock($1)", _LOCK):
        return  # another process is at it
    await connection.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT_MILLISECONDS}ms'")
    month = datetime(now.year, now.month, 1, tzinfo=UTC)
    for _ in range(MONTHS_AHEAD + 1):
        following = _month_after(month)
        for table in BY_ID:
            await _make(connection, table, month, str(first_id(month)), str(first_id(following)))
        for table in BY_TIME:
            await _make(connection, table, month, month.isoformat(), following.isoformat())
        month = following


def first_id(moment: datetime) -> UUID:
    """Before all ids of UUIDv7 that were made at the moment or later, after all made earlier."""
    return UUID(int=int(moment.timestamp() * 1000) << 80)


async def _make(connection: Connection, table: str, month: datetime, start: str, end: str) -> None:
    name = f"{table}_{month:%Y%m}"
    if await connection.fetchval("SELECT to_regclass($1) IS NOT NULL", name):
        return
    await connection.execute(f"LOCK TABLE {table}_default IN ACCESS EXCLUSIVE MODE")  # nobody adds a row of it now
    column = await connection.fetchval(_KEY_COLUMN, table)
    if await connection.fetchval(
        f"SELECT EXISTS (SELECT FROM {table}_default WHERE {column} >= '{start}' AND {column} < '{end}')"  # noqa: S608
    ):
        _log.warning("month_stays_in_default_partition", table=table, month=f"{month:%Y-%m}")
        return
    await connection.execute(f"CREATE TABLE {name} PARTITION OF {table} FOR VALUES FROM ('{start}') TO ('{end}')")


_KEY_COLUMN: Final = """
SELECT a.attname
FROM pg_partitioned_table t JOIN pg_attribute a ON a.attrelid = t.partrelid AND a.attnum = t.partattrs[0]
WHERE t.partrelid = to_regclass($1)
"""


def _month_after(month: datetime) -> datetime:
    if month.month == MONTHS_PER_YEAR:
        return month.replace(year=month.year + 1, month=1)
    return month.replace(month=month.month + 1)
