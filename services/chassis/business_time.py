"""Business time: dates, holds, lapse and effective dating. The database's clock, or in a replay a stored value.

The value lives in a schema of its own that all services read; only the replay driver writes it. Outside a replay there
is no row and business time is `clock_timestamp()`, not `now()`, which is the start of the transaction and is too old
after a wait for a lock: read it once per decision, after the locks are held.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

from services.chassis.database_session import Connection

SCHEMA: Final = "business_clock"
MOVED: Final = "replay_moved"  # the channel that tells of each half step of a replay: what waited for it may go on
_SCHEMA_LOCK: Final = 4_217_001  # any number that no other advisory lock here uses

_CREATE: Final = """
CREATE SCHEMA IF NOT EXISTS business_clock;
CREATE TABLE IF NOT EXISTS business_clock.replay (
    singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    at timestamptz NOT NULL,
    phase text NOT NULL CHECK (phase IN ('intake', 'settle')),
    step bigint NOT NULL CHECK (step >= 0)
);
"""


class Phase(StrEnum):
    """The two halves of a replay step: first everything comes in, then what it causes takes effect."""

    INTAKE = "intake"
    SETTLE = "settle"


@dataclass(frozen=True, slots=True)
class ReplayState:
    """Where a replay is: the business time, the half of the step, and the number of the step."""

    at: datetime
    phase: Phase
    step: int


class ReplayTimeStored(Exception):  # noqa: N818 - says what happened
    """A replay left its time in this database, and this process was not told that it takes part in a replay."""

    def __init__(self, state: ReplayState) -> None:
        super().__init__(
            f"the database holds the replay time {state.at.isoformat()}: every promise would be dated by it. "
            "Set TIERCEL_REPLAY=true to take part in the replay, or use a database without one."
        )
        self.state = state


async def ensure_schema(connection: Connection) -> None:
    """Create the schema if it is missing; safe in several processes at once."""
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock($1)", _SCHEMA_LOCK)
        await connection.execute(_CREATE)


async def business_now(connection: Connection) -> datetime:
    """The business time now, in UTC. Call it once per decision, after the locks are held."""
    now: datetime = await connection.fetchval(
        "SELECT coalesce((SELECT at FROM business_clock.replay), clock_timestamp())"
    )
    return now.astimezone(UTC)


async def replay_state(connection: Connection) -> ReplayState | None:
    """Where the replay is; None outside a replay."""
    row = await connection.fetchrow("SELECT at, phase, step FROM business_clock.replay")
    return None if row is None else ReplayState(row["at"].astimezone(UTC), Phase(row["phase"]), row["step"])


async def set_replay(connection: Connection, at: datetime, phase: Phase | str, step: int) -> None:
    """Move the business time of all services and announce it on `MOVED`. Only the driver of a replay calls this."""
    await connection.execute(
        "INSERT INTO business_clock.replay (at, phase, step) VALUES ($1, $2, $3)"
        " ON CONFLICT (singleton) DO UPDATE SET at = excluded.at, phase = excluded.phase, step = excluded.step",
        at,
        Phase(phase).value,
        step,
    )
    await connection.execute("SELECT pg_notify($1, '')", MOVED)


async def clear_replay(connection: Connection) -> None:
    """End the replay: business time is the database's clock again."""
    await connection.execute("DELETE FROM business_clock.replay")


async def refuse_stored_time(connection: Connection, replay_allowed: bool) -> None:
    """Called at every start, after `ensure_schema`.

    Raises:
        ReplayTimeStored: a value is stored and the replay setting is not given.
    """
    if replay_allowed:
        return
    state = await replay_state(connection)
    if state is not None:
        raise ReplayTimeStored(state)
