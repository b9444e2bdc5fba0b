"""Runs of backorder processing by a variant, as they are kept: how far each came, and what came of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal, NamedTuple, Protocol
from uuid import UUID

from services.atp.application.content import OrderKey
from services.atp.domain.model import Day
from services.atp.domain.order_of_service import ServiceKey
from services.atp.domain.run_segments import Givers, Segment

RunState = Literal["running", "finished", "stopped", "failed"]
RUNS_KEPT_DAYS: Final = 400  # after their end: a year and a month, to compare
FIGURES: Final = ("asked", "improved", "worsened", "unmet", "units_gained", "units_lost", "cost_minor")
Figures = Mapping[str, Mapping[str, int]]
"""By tier and name (`FIGURES`)."""


@dataclass(frozen=True, slots=True)
class Run:
    """A run that goes on. It goes through items in order of their ids, and of `group` in order of service.

    `done` is the last item of all groups before, `place` the last line of this group that was asked.
    """

    run_id: UUID
    variant_id: str
    version: int
    reason: str
    day: Day
    segments: tuple[Segment, ...]
    done: str = ""
    group: tuple[str, ...] = ()
    place: ServiceKey | None = None
    portions: int = 0
    figures: Figures = field(default_factory=dict)
    finished: bool = False


class RunRows(Protocol):
    """Runs as one transaction of the engine sees them."""

    async def lock(self, run_ids: Sequence[UUID]) -> dict[UUID, Run]:
        """Those that are running, locked in order of their ids (unless the session only reads)."""
        ...

    async def items(self, after: str, named: Sequence[str] | None, limit: int) -> list[str]:
        """Items of which something waits or comes late, in order of their ids; only named ones if any are."""
        ...

    async def falling(self, items: Sequence[str], givers: Givers, today: Day, limit: int) -> list[OrderKey]:
        """Orders with open parts of items that may fall, those asked last first; read without a lock."""
        ...

    async def store(self, runs: Sequence[Run], at: datetime) -> None:
        """Write how far runs came, which are locked."""
        ...


class Begun(NamedTuple):
    """A run that was begun; `first` is false if the same request had begun it before."""

    run_id: UUID
    first: bool


@dataclass(frozen=True, slots=True)
class RunAsked:
    """A run by hand: of the variant's version in effect, or of another one. `key`: one request, however often sent."""

    variant_id: str
    version: int | None
    author: str
    reason: str
    key: str | None = None


class VariantUnknown(Exception):  # noqa: N818 - says what is wrong
    """There is no such variant, or no version of it is in effect."""


class VariantRunning(Exception):  # noqa: N818 - says what is wrong
    """A run of the variant goes on: two at once would be two orders of asking."""

    def __init__(self, run_id: UUID) -> None:
        super().__init__(run_id)
        self.run_id = run_id


class KeyTaken(Exception):  # noqa: N818 - says what is wrong
    """The idempotency key began another run."""


class RunsStanding(NamedTuple):
    """What needs attention: seconds by which a moment of a schedule is late, and since a run came no further.

    `failed`: variants whose last run failed. `running`: runs that go on.
    """

    slot_late_seconds: float
    still_seconds: float
    failed: int
    running: int


class Runs(Protocol):
    """Begins, ends and shows runs."""

    async def begin(self, asked: RunAsked) -> Begun:
        """Begin a run by hand. Raises VariantUnknown, VariantRunning, KeyTaken."""
        ...

    async def begin_due(self) -> int:
        """Begin those whose moment has come, each once whoever asks; how many. None in a replay's intake phase."""
        ...

    async def running(self) -> list[UUID]:
        """Runs that go on, the oldest first; none in a replay's intake phase."""
        ...

    async def stop(self, run_id: UUID, author: str, reason: str) -> bool | None:
        """End a run after the portion at hand; whether it still went on. None: there is no such run."""
        ...

    async def fail(self, run_id: UUID, failure: str) -> None:
        """End a run that cannot go on."""
        ...

    async def run(self, run_id: UUID) -> dict[str, Any] | None:
        """A run with what came of it."""
        ...

    async def runs(
        self, variant_id: str | None, states: Sequence[str] | None, before: UUID | None, limit: int
    ) -> list[dict[str, Any]]:
        """Runs before one, the newest first."""
        ...

    async def standing(self) -> RunsStanding:
        """What needs attention."""
        ...
