"""Those who wait for what a location may send are asked again, in bounded portions.

Bookable capacity was given back there, a day began on which shares of it lapse, a document of it came into effect or
ended, or the location is open again. A due row per location has the next such moment. Nothing is decided here: the
location's positions of items that somebody waits for are marked, as by freed quantity, and the row moves on. Decisions
know what is in force from the time itself, whether this was late or not.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from services.atp.application.batch import Again, Batch, Handler, Needs
from services.atp.application.capacities import capacity_of, next_turn
from services.atp.application.commands import Applied, Origin, Outcome, Remembered
from services.atp.application.due import plan_due, store_due
from services.atp.application.planner_actions import day_after
from services.atp.application.ports import Configuration, Session
from services.atp.application.turn_dates import ITEMS_AT_ONCE_MAX
from services.atp.domain.model import PositionKey, UsageKey

DAYS_AHEAD_MAX: Final = 200 * 366  # a closing without an end has a day that no calendar has
LOCATION: Final = "location"  # the kind of the due row; the key is the location, and where a portion goes on
KEPT: Final = "turned_locations"


@dataclass(frozen=True, slots=True)
class TurnLocation:
    """A moment of a location has come; `after` is the last item that was asked."""

    location_id: str
    origin: Origin
    after: str = ""
    remembered: Remembered | None = None
    lines: int = 1


def turn_location(key: tuple[str, ...], origin: Origin) -> TurnLocation:
    """The command for a due row."""
    return TurnLocation(key[0], origin, "".join(key[1:]))


@dataclass(frozen=True, slots=True)
class Portion:
    """The items that a command asks anew, and whether there are more."""

    items: Sequence[str]
    more: bool


class TurningLocation(Handler[TurnLocation]):
    """Decides `TurnLocation`."""

    def needs(self, command: TurnLocation, needs: Needs) -> None:
        """What it needs is found out."""

    async def discover(self, session: Session, commands: Sequence[TurnLocation], needs: Needs) -> None:
        """The items that are waited for there."""
        portions: dict[TurnLocation, Portion] = needs.kept.setdefault(KEPT, {})
        for command in commands:
            portions[command] = found = await _portion(session, command)
            needs.freed_items.update(dict.fromkeys(found.items))
            needs.positions.update((PositionKey(item, command.location_id), None) for item in found.items)

    async def load(self, session: Session, batch: Batch, commands: Sequence[TurnLocation]) -> None:
        """Wait for whoever writes the rows, so that nothing that he wrote is taken away. Raises Again.

        Who began to wait since the items were read may wait for what was given back since.
        """
        for command in commands:
            await session.turns.lock(LOCATION, command.location_id)
            if await _portion(session, command) != batch.kept[KEPT][command]:
                raise Again

    def decide(self, batch: Batch, command: TurnLocation) -> Outcome:
        """Mark a portion; the last one moves the row to the next moment."""
        portion: Portion = batch.kept[KEPT][command]
        for item in portion.items:
            key = PositionKey(item, command.location_id)
            if key in batch.book.positions:
                batch.free(key, "allocation_changed")
        if portion.more:
            plan_due(batch, LOCATION, (command.location_id, portion.items[-1]), batch.now)
        if command.after:
            plan_due(batch, LOCATION, (command.location_id, command.after), None)
        else:
            moment = next_moment(batch.configuration, command.location_id, batch.now)
            plan_due(batch, LOCATION, (command.location_id,), moment)
        return Applied("goes_on" if portion.more else "applied")

    async def store(self, session: Session, batch: Batch) -> None:
        """When it is looked again."""
        await store_due(session, batch)


async def _portion(session: Session, command: TurnLocation) -> Portion:
    items = await session.turns.items_awaited_at(command.location_id, command.after, ITEMS_AT_ONCE_MAX + 1)
    return Portion(items[:ITEMS_AT_ONCE_MAX], len(items) > ITEMS_AT_ONCE_MAX)


def next_moment(configuration: Configuration, location_id: str, now: datetime) -> datetime | None:
    """When those who wait for a location are asked again by date alone."""
    moments = [next_turn(configuration.capacities.get(location_id, ()), now)]
    closed = configuration.closed.get(location_id)
    if closed is not None and closed < now.date().toordinal() + DAYS_AHEAD_MAX:
        moments.append(day_after(closed))
    return min((each for each in moments if each is not None and each > now), default=None)


def freed_locations(
    configuration: Configuration, before: Mapping[UsageKey, int], after: Mapping[UsageKey, int]
) -> list[str]:
    """The locations of which bookable capacity was given back."""
    freed = {
        capacity_of(key.limit_id): None
        for key, consumed in after.items()
        if key.kind == "capacity" and consumed < before.get(key, 0)
    }
    known = configuration.capacities if freed else {}
    return [place for place, own in known.items() if any(each.capacity.capacity_id in freed for each in own)]
