"""A versioned rule set: which numbers lift a customer into a tier, and which let it drop out."""

from dataclasses import dataclass

from services.reclassifier.domain.features import Detail
from services.reclassifier.domain.measures import Prior
from services.reclassifier.domain.predicates import AnyLeaf, Predicate, detail_needed, leaves


@dataclass(frozen=True, slots=True)
class Rung:
    """A tier with the two conditions at its lower edge. Between them lies the hysteresis.

    `promote` lifts into this tier whoever stands below; `demote` drops out of it whoever stands in it.
    """

    tier: str
    promote: Predicate
    demote: Predicate


@dataclass(frozen=True, slots=True)
class RuleSet:
    """One version of a rule set. `rungs` are best first; whoever is in none of them is on the `floor`."""

    rule_set_id: str
    version: int
    rungs: tuple[Rung, ...]
    floor: str
    minimum_dwell_days: int
    proposal_ttl_days: int
    prior: Prior | None = None

    @property
    def tiers(self) -> tuple[str, ...]:
        """All tiers, best first, the floor last."""
        return (*(rung.tier for rung in self.rungs), self.floor)

    @property
    def leaves(self) -> tuple[AnyLeaf, ...]:
        """Every leaf of every condition, each once."""
        found = [leaf for rung in self.rungs for part in (rung.promote, rung.demote) for leaf in leaves(part)]
        return tuple(dict.fromkeys(found))

    @property
    def windows(self) -> tuple[int, ...]:
        """The lengths of the windows that are looked at, in days, ascending."""
        return tuple(sorted({leaf.window_days for leaf in self.leaves if leaf.window_days}))

    @property
    def detail(self) -> tuple[Detail, ...]:
        """What must be computed of features beyond the plain sums."""
        needed = {detail_needed(leaf) for leaf in self.leaves}
        return tuple(one for one in Detail if one in needed)
