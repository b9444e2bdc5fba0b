"""A versioned rule set: which numbers lift a customer into a tier, which let it drop out, and how moves are made."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property

from services.reclassifier.domain.features import Detail
from services.reclassifier.domain.leaves import AnyLeaf, InTop, TopKey, looks_at, turns_with
from services.reclassifier.domain.measures import Prior
from services.reclassifier.domain.predicates import Predicate, leaves, with_limits


class Mode(StrEnum):
    """What becomes of a move: recorded only; a person decides; made by itself within the stated jump."""

    SHADOW = "shadow"
    PROPOSE = "propose"
    AUTOMATIC = "automatic"


class Downgrade(StrEnum):
    """Where a customer goes that drops out of its tier: where the numbers say, or one tier at a time."""

    TO_NUMBERS = "to_numbers"
    ONE_STEP = "one_step"


class Every(StrEnum):
    """How often a calendar comes round."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"


@dataclass(frozen=True, slots=True)
class Calendar:
    """When everybody is judged: on weekday (1 is Monday) or day of the month `on`, at a time of day in a zone."""

    every: Every
    on: int
    hour: int
    minute: int
    zone: str


@dataclass(frozen=True, slots=True)
class Fuse:
    """Automatic moves stop when more than the larger of both would be made within the hours.

    `share` is of all active customers, in millionths of a percent; None: `moves_max` alone counts.
    """

    moves_max: int
    within_hours: int
    share: int | None = None


@dataclass(frozen=True, slots=True)
class Rung:
    """A tier with the two conditions at its lower edge. Between them lies the hysteresis.

    `promote` lifts into this tier whoever stands below; `demote` drops out of it whoever stands in it. `mode` is that
    of moves by these conditions, None: the rule set's.
    """

    tier: str
    promote: Predicate
    demote: Predicate
    mode: Mode | None = None


@dataclass(frozen=True)  # without slots: what follows from the rungs is computed once
class RuleSet:
    """One version of a rule set. `rungs` are best first; whoever is in none of them is on the `floor`."""

    rule_set_id: str
    version: int
    rungs: tuple[Rung, ...]
    floor: str
    minimum_dwell_days: int
    proposal_ttl_days: int
    prior: Prior | None = None
    mode: Mode = Mode.AUTOMATIC
    automatic_jump_max: int | None = None
    downgrade: Downgrade = Downgrade.TO_NUMBERS
    grace_days: int = 0
    cool_down_days: int = 0
    by_events: bool = True
    calendar: Calendar | None = None
    cut_stale_days: int | None = None
    fuse: Fuse | None = None

    @cached_property
    def tiers(self) -> tuple[str, ...]:
        """All tiers, best first, the floor last."""
        return (*(rung.tier for rung in self.rungs), self.floor)

    @cached_property
    def leaves(self) -> tuple[AnyLeaf, ...]:
        """Every leaf of every condition, each once."""
        found = [leaf for rung in self.rungs for part in (rung.promote, rung.demote) for leaf in leaves(part)]
        return tuple(dict.fromkeys(found))

    @cached_property
    def turning(self) -> tuple[AnyLeaf, ...]:
        """Of the leaves that turn by the day alone on the same days, one."""
        found: dict[object, AnyLeaf] = {}
        for leaf in self.leaves:
            found.setdefault(turns_with(leaf), leaf)
        return tuple(found.values())

    @cached_property
    def windows(self) -> tuple[int, ...]:
        """The lengths of the windows that are looked at, in days, ascending."""
        return tuple(sorted({each.window_days for leaf in self.leaves for each in looks_at(leaf) if each.window_days}))

    @cached_property
    def detail(self) -> tuple[Detail, ...]:
        """What must be computed of features beyond the plain sums."""
        needed = {each.detail for leaf in self.leaves for each in looks_at(leaf)}
        return tuple(one for one in Detail if one in needed)

    @cached_property
    def tops(self) -> tuple[TopKey, ...]:
        """The shares of all customers whose limits are cut."""
        return tuple(sorted({leaf.key for leaf in self.leaves if isinstance(leaf, InTop)}))

    def jump(self, from_tier: str, to_tier: str) -> int:
        """How many tiers lie between two, the way counted in either direction."""
        return abs(self.tiers.index(from_tier) - self.tiers.index(to_tier))

    def at_cut(self, limits: Mapping[TopKey, int | None] | None) -> "RuleSet":
        """The rule set with the limits of the last cut; None: there is none that counts."""
        rungs = tuple(
            replace(rung, promote=with_limits(rung.promote, limits), demote=with_limits(rung.demote, limits))
            for rung in self.rungs
        )
        return replace(self, rungs=rungs)
