"""The stop switch of an item at a location: no new promise is made from it, through a day or until it is lifted.

The stop is a field of the position's row, so that a decision sees it under the lock that it takes anyway: when a stop
is answered, no promise follows that did not know it. Promises that were made before stand. A line that could only be
served from stopped positions is answered `stopped`; it waits, and is served when the stop ends.
"""

from dataclasses import dataclass, replace
from typing import Final

from services.atp.application.batch import Batch, Handler, Needs
from services.atp.application.commands import Applied, Origin, Outcome, Remembered
from services.atp.application.due import plan_due, store_due
from services.atp.application.planner_actions import day_after, note, store_actions
from services.atp.application.planner_records import Planner
from services.atp.application.ports import Session
from services.atp.application.supply_book import position_of
from services.atp.domain.model import Day, PositionKey

STOP: Final = "stop"  # the kind of the due row at which a stop ends; the key is (item, location)
NO_END: Final = 10**7  # a day after all others: the year 27,000


@dataclass(frozen=True, slots=True)
class StopPosition:
    """Stop a position; the planner's `through` is its last day, None: until it is lifted."""

    key: PositionKey
    planner: Planner
    origin: Origin
    remembered: Remembered | None = None
    lines: int = 1


@dataclass(frozen=True, slots=True)
class LiftStop:
    """Let promises be made from a position again; `planner` None: the stop is over by itself."""

    key: PositionKey
    planner: Planner | None
    origin: Origin
    remembered: Remembered | None = None
    lines: int = 1


class Stopping(Handler[StopPosition]):
    """Decides `StopPosition`."""

    def needs(self, command: StopPosition, needs: Needs) -> None:
        """The position."""
        needs.positions[command.key] = None

    def decide(self, batch: Batch, command: StopPosition) -> Outcome:
        """A position that nothing was ever said of can be stopped before anything is."""
        through = command.planner.through
        day: Day = NO_END if through is None else through
        before = position_of(batch, command.key)
        batch.workbook.put(replace(before, stopped_through=day))
        plan_due(batch, STOP, tuple(command.key), None if through is None else day_after(through))
        note(batch, "stop", command.planner, command.key, {})
        return Applied("applied" if before.stopped_through != day else "repeated")

    async def store(self, session: Session, batch: Batch) -> None:
        """The act, and when it ends."""
        await store_actions(session, batch)
        await store_due(session, batch)


class Lifting(Handler[LiftStop]):
    """Decides `LiftStop`."""

    def needs(self, command: LiftStop, needs: Needs) -> None:
        """The position, and those who wait for its item."""
        needs.positions[command.key] = None
        needs.freed_items[command.key.item_id] = None

    def decide(self, batch: Batch, command: LiftStop) -> Outcome:
        """Those who wait are asked first. A stop that was set anew meanwhile stays."""
        position = batch.book.positions.get(command.key)
        stopped = None if position is None else position.stopped_through
        if position is None or stopped is None:
            plan_due(batch, STOP, tuple(command.key), None)
            return Applied("repeated")
        if command.planner is None and stopped >= batch.book.today:
            return Applied("later")
        batch.workbook.put(replace(position, stopped_through=None))
        batch.free(command.key, "stop_lifted")
        plan_due(batch, STOP, tuple(command.key), None)
        if command.planner is not None:
            note(batch, "lift_stop", command.planner, command.key, {})
        return Applied("applied")

    async def store(self, session: Session, batch: Batch) -> None:
        """The act, and that no end is awaited any more."""
        await store_actions(session, batch)
        await store_due(session, batch)


def end_stop(key: tuple[str, ...], origin: Origin) -> LiftStop:
    """The command for a due row."""
    return LiftStop(PositionKey(*key), None, origin)
