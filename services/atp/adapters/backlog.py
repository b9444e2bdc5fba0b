"""What the ATP still has to do, as far as its database knows."""

from dataclasses import dataclass
from typing import Final

from services.atp.adapters.backorders import marked_items, marked_positions
from services.atp.adapters.deficits import reviews_pending
from services.atp.adapters.due_rows import count_due
from services.atp.adapters.waking import wake_redecision
from services.atp.application.ports import MarkedItem
from services.chassis import outbox
from services.chassis.business_time import Phase, ReplayState, replay_state, set_replay
from services.chassis.database import Connection, Database

_ACTIVITY: Final = "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM outbox_position"


@dataclass(frozen=True, slots=True)
class Backlog:
    """`activity` counts the events ever published: what leaves no event concerns nobody else. It never falls."""

    activity: int
    events_unpublished: int
    positions_marked: int
    deficits_unreviewed: int
    due: int


async def backlog(connection: Connection) -> Backlog:
    """Marked positions and what is due are no backlog in a replay's intake phase: they wait for the settle phase."""
    taking_in = await _taking_in(connection)
    marked = 0 if taking_in else await marked_positions(connection)
    due = 0 if taking_in else await count_due(connection)
    activity: int = await connection.fetchval(_ACTIVITY)
    return Backlog(activity, await outbox.pending(connection), marked, await reviews_pending(connection), due)


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
