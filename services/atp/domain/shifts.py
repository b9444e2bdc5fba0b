"""What a change gains and loses, by promise line and by tier: two pictures of the same lines, held against each other.

What a line has is what is promised of it less what supply does not cover (its deficit). So a promise that keeps its
date while its supply falls away loses, and one whose deficit ends gains.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple


class LineKey(NamedTuple):
    """A line of a promise."""

    promise_id: str
    line: str


@dataclass(frozen=True, slots=True)
class LineStanding:
    """A line as it stands: units promised, of those at risk, and units that wait. The arrival is its last day (ISO)."""

    tier: str
    item_id: str
    promised: int
    backordered: int
    at_risk: int
    last_arrival: str | None

    @property
    def has(self) -> int:
        """What is promised and covered."""
        return self.promised - self.at_risk


@dataclass(frozen=True, slots=True)
class Shift:
    """A line that stands otherwise after a change than before it."""

    key: LineKey
    before: LineStanding
    after: LineStanding

    @property
    def gained(self) -> int:
        """Units that it has more."""
        return max(0, self.after.has - self.before.has)

    @property
    def lost(self) -> int:
        """Units that it has less."""
        return max(0, self.before.has - self.after.has)


@dataclass(frozen=True, slots=True)
class Totals:
    """Units gained and lost, and by how many promises; a promise may gain on one line and lose on another."""

    gained: int = 0
    lost: int = 0
    promises_gaining: int = 0
    promises_losing: int = 0


def shifts(before: Mapping[LineKey, LineStanding], after: Mapping[LineKey, LineStanding]) -> list[Shift]:
    """The lines that stand otherwise, in order of their keys. Both pictures have the same lines."""
    return [Shift(key, before[key], after[key]) for key in sorted(after) if before[key] != after[key]]


def totals(found: Sequence[Shift]) -> Totals:
    """What these lines gain and lose."""
    return Totals(
        sum(each.gained for each in found),
        sum(each.lost for each in found),
        len(dict.fromkeys(each.key.promise_id for each in found if each.gained)),
        len(dict.fromkeys(each.key.promise_id for each in found if each.lost)),
    )


def by_tier(found: Sequence[Shift]) -> dict[str, Totals]:
    """The totals by the tier in which a line is after the change, in order of their names."""
    tiers = sorted({each.after.tier: None for each in found})
    return {tier: totals([each for each in found if each.after.tier == tier]) for tier in tiers}
