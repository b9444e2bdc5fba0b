"""What customers said: surveys and complaints, each at its highest version, whatever the order in which they come."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from services.reclassifier.domain.orders import Day, Outcomes, OwnedDay, Reference


class FeedbackKind(StrEnum):
    """What was said."""

    SURVEY = "survey"
    COMPLAINT = "complaint"


class FeedbackKey(NamedTuple):
    """What a piece of feedback is known by for ever; the order of locks."""

    source: str
    reference: str


@dataclass(frozen=True, slots=True)
class Feedback:
    """One piece of feedback at one version. `customer_id` is the registry's, None for one known by `said_by` alone."""

    key: FeedbackKey
    version: int
    customer_id: str | None
    said_by: Reference
    day: Day
    kind: FeedbackKind
    score: int
    withdrawn: bool

    @property
    def outcomes(self) -> Outcomes:
        """What it adds to its day."""
        if self.withdrawn:
            return Outcomes()
        if self.kind is FeedbackKind.COMPLAINT:
            return Outcomes(complaints=1)
        return Outcomes(surveys=1, score_points=self.score)


@dataclass(frozen=True, slots=True)
class HeardFeedback:
    """Feedback with the owner under whom it counts."""

    feedback: Feedback
    owner: str


def newest(found: Iterable[Feedback]) -> dict[FeedbackKey, Feedback]:
    """The highest version of each piece."""
    kept: dict[FeedbackKey, Feedback] = {}
    for one in found:
        known = kept.get(one.key)
        kept[one.key] = one if known is None else max(known, one, key=_rank)
    return kept


def feedback_changes(before: HeardFeedback | None, after: HeardFeedback) -> Iterator[tuple[OwnedDay, Outcomes]]:
    """What to add to which days so that it counts as `after`."""
    if before is not None:
        yield OwnedDay(before.owner, before.feedback.day), before.feedback.outcomes.negated()
    yield OwnedDay(after.owner, after.feedback.day), after.feedback.outcomes


def _rank(one: Feedback) -> tuple[int, bool, Day, str, int, str, Reference]:
    """The version decides; the rest only makes the choice the same everywhere if a version was used twice."""
    return (one.version, one.withdrawn, one.day, one.kind.value, one.score, one.customer_id or "", one.said_by)
