"""Locations that are closed for promising: what is kept of a closing, and how it is done.

From the moment on at which a closing is answered no promise is made from the location, of any item and by any kind of
command, through a day or until it is opened again: no decision is under way then that does not know it. Promises that
were made before stand; they are moved away where that costs nobody anything, if it is asked for (`move_away`). A line
that could only be served from there waits, and is served when the location is open again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, Protocol

from services.atp.application.planner_records import Planner
from services.atp.domain.model import Day


class Closing(NamedTuple):
    """A closed location: through a day (None: until it is opened again), by whom, when and why."""

    location_id: str
    through: Day | None
    reason: str
    actor: str
    at: datetime


class Closed(NamedTuple):
    """What became of an act: whether anything changed, and how many promises are to be looked at for moving."""

    changed: bool
    moving: int = 0


@dataclass(frozen=True, slots=True)
class TriedClosing:
    """A closing as a preview tries it: at once, and with all moved away that can be."""

    location_id: str
    through: Day | None = None


class Closings(Protocol):
    """Keeps closings; each method is one transaction."""

    async def close(self, location_id: str, planner: Planner, *, move: bool) -> Closed | None:
        """Close a location; `move`: let its promises be moved away one after another. None: there is no such one."""
        ...

    async def reopen(self, location_id: str, planner: Planner) -> Closed | None:
        """Open a location again; those who wait are asked first. None: there is no such one."""
        ...

    async def closed(self) -> Sequence[Closing]:
        """The locations that are closed today, in order of their ids."""
        ...
