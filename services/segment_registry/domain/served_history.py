"""As whom a customer is served at each time, and by which tiers: its own history, and those it was merged into.

A merge and a split are moments of the customer's own story: from one on it is served by another history, from the
other on by its own again. Merges form trees, so that at every moment there is one customer at the end.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import NamedTuple

from services.segment_registry.domain.timeline import Assignment


class MergeSpan(NamedTuple):
    """A customer was merged into another one from (inclusive) to (exclusive; None: it is)."""

    merged_into: str
    merged_at: datetime
    split_at: datetime | None


class ServedSpan(NamedTuple):
    """The customer as which another one is served from (None: since ever) to (exclusive; None: for ever)."""

    customer_id: str
    start: datetime | None
    end: datetime | None

    def covers(self, at: datetime) -> bool:
        """Whether the moment lies inside."""
        return (self.start is None or self.start <= at) and (self.end is None or at < self.end)


Merges = Mapping[str, Sequence[MergeSpan]]  # by customer, ascending


def served_spans(
    customer_id: str, merges: Merges, start: datetime | None = None, end: datetime | None = None
) -> tuple[ServedSpan, ...]:
    """As whom a customer is served, without a gap, ascending; merges of one moment are a tree."""
    spans: list[ServedSpan] = []
    reached = start
    for merge in merges.get(customer_id, ()):
        first, last = _later(reached, merge.merged_at), _earlier(end, merge.split_at)
        if last is not None and last <= first:
            continue  # outside, or split off in the moment of the merge
        if reached is None or reached < first:
            spans.append(ServedSpan(customer_id, reached, first))
        spans += served_spans(merge.merged_into, merges, first, last)
        if last is None:
            return tuple(spans)
        reached = last
    if reached is None or end is None or reached < end:
        spans.append(ServedSpan(customer_id, reached, end))
    return tuple(spans)


def history_of_spans(
    spans: Sequence[ServedSpan], histories: Mapping[str, Sequence[Assignment]]
) -> tuple[Assignment, ...]:
    """The assignments that counted for a customer, each as far as it did."""
    return tuple(
        replace(
            each,
            effective_from=_later(span.start, each.effective_from),
            effective_to=_earlier(span.end, each.effective_to),
        )
        for span in spans
        for each in histories.get(span.customer_id, ())
        if (span.end is None or each.effective_from < span.end) and (span.start is None or each.ends_after(span.start))
    )


def _later(one: datetime | None, other: datetime) -> datetime:
    return other if one is None else max(one, other)


def _earlier(one: datetime | None, other: datetime | None) -> datetime | None:
    return min((each for each in (one, other) if each is not None), default=None)
