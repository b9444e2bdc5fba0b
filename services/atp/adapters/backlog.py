"""What the ATP still has to do, as far as its database knows."""

from dataclasses import dataclass
from typing import Final

from services.atp.adapters.backorders import marked_items
from services.atp.adapters.waking import wake_redecision
from services.atp.application.waiting_lines import MarkedItem
from services.chassis import outbox
from services.chassis.business_time import Phase, ReplayState, replay_state, set_replay
from services.chassis.database import Connection, Database

# Marked positions and what is due are no backlog in a replay's intake phase: they wait for the settle phase. A day that
# nobody has looked at yet may bring deficits about, and counts as one review.
_BACKLOG: Final = f"""
WITH clock AS (
    SELECT coalesce(max(at), clock_timestamp()) AS now, coalesce(max(phase) = '{Phase.INTAKE}', false) AS taking_in
    FROM business_clock.replay
)
SELECT (SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM outbox_position) AS activity,
    ({outbox.PENDING}) AS events_unpublished,
    CASE WHEN taking_in THEN 0 ELSE (SELECT count(*) FROM position WHERE marked_at IS NOT NULL) END AS positions_marked,
    (SELECT count(*) FROM deficit_review)
        + (SELECT (day <> (now AT TIME ZONE 'UTC')::date - date '0001-01-01' + 1)::int FROM supply_day)
        AS deficits_unreviewed,
    CASE WHEN taking_in THEN 0 ELSE (SELECT count(*) FROM due WHERE at <= now) END AS due,
    CASE WHEN taking_in THEN 0 ELSE (SELECT count(*) FROM backorder_run WHERE state = 'running')
        + (SELECT count(*) FROM run_variant WHERE next_slot <= now) END AS runs
FROM clock
"""  # noqa: S608 - made of constants


@dataclass(frozen=True, slots=True)
class Backlog:
    """`activity` counts the events ever published: what leaves no event concerns nobody else. It never falls."""

    activity: int
    events_unpublished: int
    positions_marked: int
    deficits_unreviewed: int
    due: int
    runs: int


async def backlog(database: Database) -> Backlog:
    """What is left to do now, in one question."""
    (row,) = await database.ask(_BACKLOG, label="backlog")
    return Backlog(**row)


async def items_to_serve(database: Database, limit: int, lines: int) -> list[MarkedItem]:
    """Items with a marked position, oldest mark first; none in a replay's intake phase."""

    async def look(connection: Connection) -> list[MarkedItem]:
        return [] if await _taking_in(connection) else await marked_items(connection, limit, lines)

    return await database.read(look, label="marked items")


async def move_replay(database: Database, state: ReplayState) -> None:
    """Set the business time of all services, and wake the re-decision, which may serve now."""

    async def work(connection: Connection) -> None:
        await set_replay(connection, state.at, state.phase, state.step)
        await wake_redecision(connection)

    await database.run(work, label="move the replay")


async def _taking_in(connection: Connection) -> bool:
    state = await replay_state(connection)
    return state is not None and state.phase is Phase.INTAKE
