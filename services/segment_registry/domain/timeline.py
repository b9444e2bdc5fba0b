"""When a customer is in which tier: effective-dated assignments of two kinds, and how a change alters them.

A *tier history* has two layers. `assigned` is the normal one; `override` lies above it, has always an end, and counts
while it lasts. Inside a layer no two assignments overlap. A new assignment starts at `effective_from` and

    ends the one in force then           |---old---|           becomes  |-old-|--new--...
    replaces one that starts just then   |---old---|           becomes  |--new--...
    lasts, without an end of its own, until the next one that is already planned.

It never shortens or splits what is planned after it: that is `OVERLAP`, and the caller ends the planned one first. An
assignment that would alter no moment's tier is `Unchanged`. Nothing here reads a clock; every time is aware UTC.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

PLANNED_MAX = 50  # assignments of one customer not yet ended: all of them travel in every published state
HORIZON = timedelta(days=3_660)  # dates further away than ten years are typing errors


class Kind(StrEnum):
    """The two layers."""

    ASSIGNED = "assigned"
    OVERRIDE = "override"


@dataclass(frozen=True, slots=True)
class Evidence:
    """One number that a rule looked at, beside its limit, as written."""

    name: str
    value: str
    limit: str


@dataclass(frozen=True, slots=True)
class Grounds:
    """Why and by whom: a person's reason, or a rule with its proposal and numbers."""

    reason: str
    author: str
    rule: str | None = None
    rule_version: int | None = None
    proposal_id: str | None = None
    evidence: tuple[Evidence, ...] = ()


@dataclass(frozen=True, slots=True)
class Assignment:
    """In `tier` from (inclusive) to (exclusive; None is open). `sequence` names it among all of its customer."""

    sequence: int
    tier: str
    kind: Kind
    effective_from: datetime
    effective_to: datetime | None
    grounds: Grounds

    def covers(self, at: datetime) -> bool:
        """Whether the moment lies inside."""
        return self.effective_from <= at and self.ends_after(at)

    def ends_after(self, at: datetime) -> bool:
        """Whether any of it is still to come at that moment."""
        return self.effective_to is None or self.effective_to > at


@dataclass(frozen=True, slots=True)
class Wanted:
    """An assignment as asked for, its start settled; `effective_to` None lasts until the next planned one."""

    tier: str
    kind: Kind
    effective_from: datetime
    effective_to: datetime | None
    grounds: Grounds


class TimelineRefusal(StrEnum):
    """Why an assignment was refused; where several apply, the first in this order is given."""

    REASON_MISSING = "reason_missing"
    END_MISSING = "end_missing"
    END_BEFORE_START = "end_before_start"
    OUT_OF_RANGE = "out_of_range"
    OVERLAP = "overlap"
    TOO_MANY_PLANNED = "too_many_planned"
    UNKNOWN_ASSIGNMENT = "unknown_assignment"


@dataclass(frozen=True, slots=True)
class Changed:
    """The assignments after the change, and the one that is new or, when ended, as it was."""

    assignments: tuple[Assignment, ...]
    assignment: Assignment


@dataclass(frozen=True, slots=True)
class Unchanged:
    """The customer is there already, by this assignment."""

    assignment: Assignment


@dataclass(frozen=True, slots=True)
class Refused:
    """Nothing was altered; `conflict` is the assignment in the way, if one is."""

    reason: TimelineRefusal
    conflict: Assignment | None = None


def in_force(assignments: Iterable[Assignment], at: datetime) -> Assignment | None:
    """The assignment that counts at a moment: an override before a normal one; None where there is neither."""
    found: Assignment | None = None
    for assignment in assignments:
        if assignment.covers(at) and (found is None or assignment.kind is Kind.OVERRIDE):
            found = assignment
    return found


def in_force_before(assignments: Iterable[Assignment], at: datetime) -> Assignment | None:
    """The assignment that counted until just before a moment."""
    found: Assignment | None = None
    for assignment in assignments:
        lasted = assignment.effective_to is None or assignment.effective_to >= at
        if assignment.effective_from < at and lasted and (found is None or assignment.kind is Kind.OVERRIDE):
            found = assignment
    return found


def boundaries(assignments: Iterable[Assignment]) -> tuple[datetime, ...]:
    """The moments at which an assignment begins or ends, ascending, each once."""
    held = tuple(assignments)
    begins = [assignment.effective_from for assignment in held]
    ends = [assignment.effective_to for assignment in held if assignment.effective_to is not None]
    return tuple(sorted(dict.fromkeys(begins + ends)))


def assign(
    assignments: tuple[Assignment, ...], wanted: Wanted, *, sequence: int, now: datetime
) -> Changed | Unchanged | Refused:
    """Put a customer into a tier; `sequence` names the new assignment.

    `assignments` holds at least all that end after `wanted.effective_from`; others are kept as they are.
    """
    malformed = _malformed(wanted, now)
    if malformed is not None:
        return Refused(malformed)
    layer = sorted((a for a in assignments if a.kind is wanted.kind), key=lambda a: a.effective_from)
    covering = next((a for a in layer if a.covers(wanted.effective_from)), None)
    following = next((a for a in layer if a.effective_from > wanted.effective_from), None)
    end = wanted.effective_to
    if end is None and following is not None:
        end = following.effective_from
    if covering is not None and covering.tier == wanted.tier and _reaches(covering, end):
        return Unchanged(covering)
    if following is not None and end is not None and following.effective_from < end:
        return Refused(TimelineRefusal.OVERLAP, following)
    if covering is not None and wanted.effective_to is not None and covering.ends_after(wanted.effective_to):
        return Refused(TimelineRefusal.OVERLAP, covering)
    if sum(a.ends_after(now) for a in assignments) >= PLANNED_MAX:
        return Refused(TimelineRefusal.TOO_MANY_PLANNED)
    new = Assignment(sequence, wanted.tier, wanted.kind, wanted.effective_from, end, wanted.grounds)
    if covering is not None:
        assignments = _without(assignments, covering) + _cut(covering, new.effective_from)
    return Changed(_ordered((*assignments, new)), new)


def end_assignment(
    assignments: tuple[Assignment, ...], sequence: int, *, now: datetime
) -> Changed | Unchanged | Refused:
    """End an assignment now; one that has not started is withdrawn. What it had cut short stays cut short."""
    found = next((a for a in assignments if a.sequence == sequence), None)
    if found is None:
        return Refused(TimelineRefusal.UNKNOWN_ASSIGNMENT)
    if not found.ends_after(now):
        return Unchanged(found)
    return Changed(_ordered(_without(assignments, found) + _cut(found, now)), found)


def difference(
    before: tuple[Assignment, ...], after: tuple[Assignment, ...]
) -> tuple[tuple[Assignment, ...], tuple[Assignment, ...]]:
    """What leaves the history as known so far, and what enters it."""
    return tuple(a for a in before if a not in after), tuple(a for a in after if a not in before)


def _malformed(wanted: Wanted, now: datetime) -> TimelineRefusal | None:
    if wanted.kind is Kind.OVERRIDE and not wanted.grounds.reason.strip():
        return TimelineRefusal.REASON_MISSING
    if wanted.kind is Kind.OVERRIDE and wanted.effective_to is None:
        return TimelineRefusal.END_MISSING
    if wanted.effective_to is not None and wanted.effective_to <= wanted.effective_from:
        return TimelineRefusal.END_BEFORE_START
    if not now - HORIZON <= wanted.effective_from <= now + HORIZON:
        return TimelineRefusal.OUT_OF_RANGE
    if wanted.effective_to is not None and wanted.effective_to > now + HORIZON:
        return TimelineRefusal.OUT_OF_RANGE
    return None


def _reaches(covering: Assignment, end: datetime | None) -> bool:
    return covering.effective_to is None or (end is not None and end <= covering.effective_to)


def _cut(assignment: Assignment, at: datetime) -> tuple[Assignment, ...]:
    """What is left of it before `at`: one assignment, or none if it had not started."""
    return (replace(assignment, effective_to=at),) if assignment.effective_from < at else ()


def _without(assignments: tuple[Assignment, ...], left_out: Assignment) -> tuple[Assignment, ...]:
    return tuple(a for a in assignments if a.sequence != left_out.sequence)


def _ordered(assignments: tuple[Assignment, ...]) -> tuple[Assignment, ...]:
    return tuple(sorted(assignments, key=lambda a: (a.effective_from, a.kind, a.sequence)))
