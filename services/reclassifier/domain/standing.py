"""In which tier a customer stands at a moment, from the assignments that the registry published."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Assigned:
    """An assignment in force from (inclusive) to (exclusive; None is open). Times are aware UTC."""

    tier: str
    effective_from: datetime
    effective_to: datetime | None
    sequence: int
    is_override: bool = False

    def covers(self, at: datetime) -> bool:
        """Whether the moment lies inside."""
        return self.effective_from <= at and (self.effective_to is None or at < self.effective_to)


@dataclass(frozen=True, slots=True)
class Standing:
    """The tier that counts (None: never assigned), since when, whether a person's override holds it, and until when.

    `until` is the next moment at which the registry's plan changes something.
    """

    tier: str | None
    since: datetime | None
    overridden: bool
    until: datetime | None


def standing_at(assignments: Sequence[Assigned], at: datetime) -> Standing:
    """The standing at a moment: an override counts before an assignment, then the higher sequence."""
    in_force = [assignment for assignment in assignments if assignment.covers(at)]
    counts = max(in_force, key=lambda one: (one.is_override, one.sequence), default=None)
    turns = [
        moment for one in assignments for moment in (one.effective_from, one.effective_to) if moment and moment > at
    ]
    until = min(turns, default=None)
    if counts is None:
        return Standing(None, None, overridden=False, until=until)
    return Standing(counts.tier, counts.effective_from, counts.is_override, until)
