"""Variants of backorder processing: who is asked with which strategy, kept under a name, and when it is run by itself.

A variant has versions that replace each other from their effective dates on. Of a schedule, each moment that a version
in effect names is run once; those that passed while nobody was there to run them are run as one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Any, Final, NamedTuple, Protocol
from zoneinfo import ZoneInfo

from services.atp.application.departures import moment
from services.atp.application.planning import Values
from services.atp.domain.run_segments import Segment

VARIANTS_MAX: Final = 200  # of one company: each may have a schedule, and all are looked at together
VERSIONS_READ_MAX: Final = 100  # newest ones of a variant: more do not come into effect between two runs
_DAYS_LOOKED_AT: Final = 8  # within them each day of the week comes round


@dataclass(frozen=True, slots=True)
class Schedule:
    """Days of the week (1: Monday) and times of day in a zone; one that is there twice, or missing, is one moment."""

    weekdays: tuple[int, ...]
    times: tuple[time, ...]
    time_zone: str

    def next(self, after: datetime) -> datetime:
        """The first moment after another one, in UTC."""
        first = after.astimezone(ZoneInfo(self.time_zone)).toordinal() - 1
        days = [day for day in range(first, first + _DAYS_LOOKED_AT + 2) if (day - 1) % 7 + 1 in self.weekdays]
        moments = [moment(self.time_zone, day, at) for day in days for at in self.times]
        return min(each for each in moments if each > after)


class VariantVersion(NamedTuple):
    """A version, in effect from (inclusive) to (exclusive, None: open)."""

    version: int
    segments: tuple[Segment, ...]
    schedule: Schedule | None
    effective_from: datetime
    effective_to: datetime | None

    def covers(self, at: datetime) -> bool:
        """Whether it is in effect at a time."""
        return self.effective_from <= at and (self.effective_to is None or at < self.effective_to)


def in_effect(versions: Sequence[VariantVersion], at: datetime) -> VariantVersion | None:
    """The version in effect at a time: no two of them are at once."""
    return next((each for each in versions if each.covers(at)), None)


def next_slot(versions: Sequence[VariantVersion], after: datetime) -> datetime | None:
    """The next moment after another one at which a version that is in effect then is to be run; None: there is none."""
    found = []
    for each in versions:
        if each.schedule is not None:
            begins = max(after, each.effective_from - timedelta(microseconds=1))
            slot = each.schedule.next(begins)
            if each.covers(slot):
                found.append(slot)
    return min(found, default=None)


@dataclass(frozen=True, slots=True)
class VariantDraft:
    """The next version of a variant, from when it is in effect (None: at once), and who wrote it.

    `body` is its document; `base` the version that it was made from (0: there was none; None: whichever is newest).
    """

    variant_id: str
    body: bytes
    effective_from: datetime | None
    author: str
    base: int | None = None


class TooManyVariants(Exception):  # noqa: N818 - says what is wrong
    """There are as many as are looked at together."""


class RunVariants(Protocol):
    """Keeps variants."""

    async def store(self, draft: VariantDraft) -> tuple[int, datetime | None]:
        """Write the next version: its number, and when it is run next. Raises VersionMoved, TooManyVariants."""
        ...

    async def version(self, variant_id: str, version: int | None, at: datetime | None) -> Values | None:
        """A version; without a number the one in effect at a time (None: now)."""
        ...

    async def versions(self, variant_id: str, before: int | None, limit: int) -> list[dict[str, Any]]:
        """The versions of a variant before one, the newest first."""
        ...

    async def variants(self, after: str, limit: int) -> list[dict[str, Any]]:
        """Variants after one in order of their ids: newest version, and when each is run next."""
        ...
