"""What detection needs of the outside, as a part of what the reclassifier's use cases need."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from services.reclassifier.domain.detections import Detection, Kind, Limits
from services.reclassifier.domain.service_received import Received
from services.reclassifier.domain.splits import Sized
from services.reclassifier.domain.traces import Act, TierTerms, Trace
from services.reclassifier.domain.workarounds import Entered, UsersActs


@dataclass(frozen=True, slots=True)
class DetectionsAsked:
    """Which detections are asked for; None asks for all."""

    kind: Kind | None = None
    owner: str | None = None
    user: str | None = None
    standing: bool | None = None


@dataclass(frozen=True, slots=True)
class StoredDetection:
    """A detection with when it was first and last seen; `ended_at` None: it stands. `position` counts all of them."""

    position: int
    detection: Detection
    window_from: datetime
    found_at: datetime
    seen_at: datetime
    ended_at: datetime | None


class DetectionReader(Protocol):
    """What detection looks at, and what it found; windows end now."""

    async def terms(self) -> dict[str, TierTerms]:
        """What the registry published of each tier."""
        ...

    async def received(self, now: datetime, limits: Limits) -> tuple[list[Received], list[Received]]:
        """How owners with enough orders were served by tier, and the sums of all owners by tier."""
        ...

    async def entered(self, now: datetime, limits: Limits) -> list[Entered]:
        """All orders, by who entered them, of owners of whose orders any names a user."""
        ...

    async def sized(self, now: datetime, limits: Limits) -> list[Sized]:
        """Orders near a limit of their tier, and all of those who reached a quota."""
        ...

    async def acts(self, now: datetime, limits: Limits) -> list[UsersActs]:
        """Priority acts by user, the most first."""
        ...

    async def standing_detections(self) -> Mapping[Kind, int]:
        """How many detections of each kind stand."""
        ...

    async def page_of_detections(self, asked: DetectionsAsked, after: int, limit: int) -> list[StoredDetection]:
        """Detections by position, after the one given."""
        ...


class DetectionTransaction(DetectionReader, Protocol):
    """What changes of it."""

    async def add_traces(self, traces: Sequence[Trace], acts: Sequence[Act]) -> None:
        """Store those that are not stored yet."""
        ...

    async def save_terms(self, terms: Sequence[TierTerms]) -> None:
        """Store what is newer than what is known."""
        ...

    async def may_look(self, now: datetime, every: timedelta) -> bool:
        """Whether it is time to look again and nobody else does; nobody will until the commit."""
        ...

    async def save_detections(self, found: Sequence[Detection], window_from: datetime, now: datetime) -> None:
        """Store what is found now; what stood and is not found has ended."""
        ...

    async def forget_traces(self, now: datetime, limit: int) -> int:
        """Delete what no window reaches any more, up to the limit; how many."""
        ...
