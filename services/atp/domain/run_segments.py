"""Which lines a run of backorder processing concerns, and with which strategy: an ordered list of segments.

The first segment that a line is of says its strategy in the run; a line of none is not touched (`skip`). An empty
filter lets everybody through. Days count from the day of the run, so that a variant that is kept can be run each day.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from services.atp.domain.model import Day
from services.atp.domain.strategies import Strategy, falls, gains, sequence


class RunLine(NamedTuple):
    """What segments look at of a line. `locations`: those that it is promised from, else those that could serve it."""

    tier: str
    item_id: str
    zone: str
    channel: str
    customer_id: str | None
    wanted: Day
    locations: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Segment:
    """Filters, and the strategy of the lines that all of them let through. `wanted_...`: days after that of the run."""

    strategy: Strategy
    tiers: tuple[str, ...] = ()
    items: tuple[str, ...] = ()
    locations: tuple[str, ...] = ()
    zones: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()
    customers: tuple[str, ...] = ()
    wanted_from: int | None = None
    wanted_through: int | None = None

    def covers(self, line: RunLine, today: Day) -> bool:
        """Whether a line is let through on the day of the run."""
        named = (
            (self.tiers, line.tier),
            (self.items, line.item_id),
            (self.zones, line.zone),
            (self.channels, line.channel),
            (self.customers, line.customer_id),
        )
        if any(names and value not in names for names, value in named):
            return False
        if self.locations and not any(each in self.locations for each in line.locations):
            return False
        if self.wanted_from is not None and line.wanted < today + self.wanted_from:
            return False
        return self.wanted_through is None or line.wanted <= today + self.wanted_through


def strategy_of(segments: Sequence[Segment], line: RunLine, today: Day) -> Strategy:
    """The strategy of a line in a run: of the first segment that it is of."""
    return next((each.strategy for each in segments if each.covers(line, today)), "skip")


def asked_items(segments: Sequence[Segment]) -> tuple[str, ...] | None:
    """The items of which anybody may gain; None: all."""
    return _named([each.items for each in segments if gains(each.strategy)])


class Givers(NamedTuple):
    """Whose promises may fall, as far as it can be looked up: nobody else is of such a segment. None: not limited.

    `tiers` are those asked last first.
    """

    tiers: tuple[str, ...]
    locations: tuple[str, ...] | None
    channels: tuple[str, ...] | None
    customers: tuple[str, ...] | None


def givers(segments: Sequence[Segment], ranked: Sequence[str]) -> Givers:
    """Whose promises may fall by the segments. `ranked` are all tiers, the one that is served first before others."""
    falling = [each for each in segments if falls(each.strategy)]
    asked: dict[str, int] = {}
    for each in falling:
        for tier in each.tiers or ranked:
            asked[tier] = max(asked.get(tier, 0), sequence(each.strategy))
    places = {tier: (asked[tier], ranked.index(tier)) for tier in asked if tier in ranked}
    return Givers(
        tuple(sorted(places, key=places.__getitem__, reverse=True)),
        _named([each.locations for each in falling]),
        _named([each.channels for each in falling]),
        _named([each.customers for each in falling]),
    )


def _named(filters: Sequence[tuple[str, ...]]) -> tuple[str, ...] | None:
    """What any of the filters lets through; None if one of them is empty, and lets all through."""
    if not all(filters):
        return None
    return tuple(sorted({name: None for names in filters for name in names}))
