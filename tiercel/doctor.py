"""`tiercel doctor`: asks everything that a deployment stands on, and says what to change where an answer is wrong.

Each check has a deadline and stands alone: one part that is gone does not hide the others. Nothing is changed; the only
writes are a few transactions without rows, which measure how long the disk takes to make one durable.
"""

import asyncio
import shutil
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

import asyncpg
from redis.asyncio import Redis
from redis.exceptions import RedisError

from services.chassis import business_time
from services.chassis.auth import FileKeys, Jwks
from services.chassis.clocks import SystemClock
from services.chassis.database import Connection
from services.chassis.event_log.port import EventLog, EventLogError, LogUnavailable

CHECK_SECONDS_MAX: Final = 10.0  # a check that takes longer has found something
POSTGRES_OLDEST: Final = 150_000  # server_version_num of the oldest version that the suites run on
DURABLE: Final = ("fsync", "synchronous_commit", "full_page_writes")
COMMITS: Final = 20  # enough for a median; less than a second on a slow disk
SLOW_COMMIT_SECONDS: Final = 0.02  # a batch is one commit: this is the floor of every answer
CLOCK_SKEW_SECONDS_MAX: Final = 2.0  # tokens are given 30 s; logs and traces get confusing earlier
DISK_FREE_BYTES_MIN: Final = 2 * 1024**3
PYTHON_OLDEST: Final = (3, 11)


class Verdict(StrEnum):
    """How bad it is: only `FAILED` makes the command fail."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found, and if it is not well, what to do about it."""

    verdict: Verdict
    said: str
    mend: str = ""


@dataclass(frozen=True, slots=True)
class Migration:
    """The version that the database has of one schema (None: it is not there) and the one that this program needs."""

    stored: str | None
    needed: str


Check = Callable[[], Awaitable[Finding]]
DatabaseCheck = Callable[[Connection], Awaitable[Finding]]


def ok(said: str) -> Finding:
    """Nothing to do."""
    return Finding(Verdict.OK, said)


def judged(*, well: bool, said: str, mend: str, otherwise: Verdict = Verdict.FAILED) -> Finding:
    """OK if it is well, else `otherwise` with what to do."""
    return ok(said) if well else Finding(otherwise, said, mend)


async def examine(checks: Mapping[str, Check]) -> dict[str, Finding]:
    """The finding of each check, in the same order; a check that does not end or cannot ask is a failed one."""
    return {name: await _within_deadline(check) for name, check in checks.items()}


async def _within_deadline(check: Check) -> Finding:
    try:
        async with asyncio.timeout(CHECK_SECONDS_MAX):
            return await check()
    except TimeoutError:
        return Finding(
            Verdict.FAILED, f"no answer within {CHECK_SECONDS_MAX:.0f} s", "see whether it runs, and the network"
        )
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, EventLogError, RedisError) as error:
        return Finding(Verdict.FAILED, f"{type(error).__name__}: {error}", "see whether it runs, and its address")


async def python() -> Finding:
    """This interpreter."""
    return judged(
        well=sys.version_info >= PYTHON_OLDEST,
        said=f"{sys.version_info.major}.{sys.version_info.minor}.{sys.version_info.micro}",
        mend="Python 3.11 or newer is needed",
    )


def disk(folder: Path) -> Check:
    """Room where this process writes."""
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())

    async def check() -> Finding:
        free = shutil.disk_usage(existing).free
        return judged(
            well=free >= DISK_FREE_BYTES_MIN,
            said=f"{free / 1024**3:.1f} GiB free at {existing}",
            mend="free at least 2 GiB: a full disk stops every answer",
            otherwise=Verdict.WARNING,
        )

    return check


def with_database(url: str, check: DatabaseCheck) -> Check:
    """A check on a connection of its own."""

    async def connected() -> Finding:
        connection = await asyncpg.connect(url, timeout=CHECK_SECONDS_MAX)
        try:
            return await check(connection)
        finally:
            await connection.close()

    return connected


async def server(connection: Connection) -> Finding:
    """Version and durability of PostgreSQL."""
    version = await connection.fetchval("SHOW server_version")
    number = int(await connection.fetchval("SHOW server_version_num"))
    settings = {name: await connection.fetchval("SELECT current_setting($1)", name) for name in DURABLE}
    off = sorted(name for name, value in settings.items() if value == "off")
    if number < POSTGRES_OLDEST:
        return Finding(Verdict.FAILED, f"PostgreSQL {version}", "PostgreSQL 15 or newer is needed")
    return judged(
        well=not off,
        said=f"PostgreSQL {version}, " + ", ".join(f"{name} {value}" for name, value in settings.items()),
        mend=f"turn on {', '.join(off)}: a crash would lose promises that were given",
    )


async def commits(connection: Connection) -> Finding:
    """How long one durable commit takes: the floor of every answer."""
    seconds = []
    for _ in range(COMMITS):
        began = time.perf_counter()
        await connection.execute("SELECT pg_logical_emit_message(true, 'tiercel doctor', '')")
        seconds.append(time.perf_counter() - began)
    median = statistics.median(seconds)
    return judged(
        well=median <= SLOW_COMMIT_SECONDS,
        said=f"{median * 1_000:.1f} ms for one durable commit",
        mend="the disk is slow to sync: every answer takes at least this long",
        otherwise=Verdict.WARNING,
    )


async def clocks(connection: Connection) -> Finding:
    """The difference between this clock and the database's."""
    before = datetime.now(UTC)
    theirs = await connection.fetchval("SELECT clock_timestamp()")
    after = datetime.now(UTC)
    apart = abs((theirs - before - (after - before) / 2).total_seconds())
    return judged(
        well=apart <= CLOCK_SKEW_SECONDS_MAX,
        said=f"{apart:.3f} s between this clock and the database's",
        mend="synchronise the clocks: tokens are checked by this one, promises are dated by the database's",
        otherwise=Verdict.WARNING,
    )


async def replay(connection: Connection) -> Finding:
    """Whether a replay left its time."""
    if await connection.fetchval("SELECT to_regclass('business_clock.replay')") is None:
        return ok("no replay has run here")
    state = await business_time.replay_state(connection)
    if state is None:
        return ok("business time is the database's clock")
    return Finding(
        Verdict.WARNING,
        f"business time is {state.at.isoformat()}, stored by a replay (step {state.step}, {state.phase})",
        "while it is stored, services start only with TIERCEL_REPLAY=true and date every promise by it",
    )


def migrated(states: Callable[[Connection], Awaitable[Mapping[str, Migration]]]) -> DatabaseCheck:
    """Whether each schema is at the version that this program needs."""

    async def check(connection: Connection) -> Finding:
        found = await states(connection)
        behind = [schema for schema, state in found.items() if state.stored != state.needed]
        said = ", ".join(f"{schema} {state.stored or 'missing'}" for schema, state in found.items())
        needed = ", ".join(f"{schema} {found[schema].needed}" for schema in behind)
        return judged(well=not behind, said=said, mend=f"run `tiercel migrate` (needed: {needed})")

    return check


def log(event_log: EventLog, topics: Sequence[str]) -> Check:
    """Whether the event log answers and every topic is there."""

    async def check() -> Finding:
        missing = [topic for topic in topics if not await _exists(event_log, topic)]
        return judged(
            well=not missing,
            said=f"{len(topics) - len(missing)} of {len(topics)} topics are there",
            mend=f"see whether it runs; then run `tiercel topics` (missing: {', '.join(missing[:3])}, ...)",
        )

    return check


async def _exists(event_log: EventLog, topic: str) -> bool:
    try:
        return await event_log.partitions(topic) > 0
    except LogUnavailable:
        return False


def cache(url: str) -> Check:
    """Whether Redis answers; without it everything works, slower."""

    async def check() -> Finding:
        client: Any = Redis.from_url(url, socket_timeout=CHECK_SECONDS_MAX, socket_connect_timeout=CHECK_SECONDS_MAX)
        try:
            began = time.perf_counter()
            await client.ping()
            return ok(f"answers in {(time.perf_counter() - began) * 1_000:.1f} ms")
        except RedisError as error:
            return Finding(Verdict.WARNING, str(error), "caches and rate limits are per process until it is back")
        finally:
            await client.aclose()

    return check


def credentials(api_keys_file: Path | None, jwks: str | None) -> Check:
    """Whether anybody can be let in."""

    async def check() -> Finding:
        said = []
        if api_keys_file is not None:
            said.append(f"{len(await FileKeys(api_keys_file).load())} API keys by file")
        if jwks is not None:
            await Jwks(jwks, wall=SystemClock()).key("")  # raises if the set cannot be read
            said.append(f"token keys from {jwks}")
        return judged(
            well=bool(said),
            said=", ".join(said) or "neither API keys nor a token issuer",
            mend="give TIERCEL_API_KEYS_FILE (`tiercel keys mint` makes it) or TIERCEL_AUTH_JWKS",
        )

    return check
