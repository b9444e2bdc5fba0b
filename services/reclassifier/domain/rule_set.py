"""A versioned rule set: which numbers lift a customer into a tier, and which let it drop out."""

from dataclasses import dataclass

from services.reclassifier.domain.predicates import Leaf, Measure, Predicate, leaves


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

    @property
    def tiers(self) -> tuple[str, ...]:
        """All tiers, best first, the floor last."""
        return (*(rung.tier for rung in self.rungs), self.floor)

    @property
    def leaves(self) -> tuple[Leaf, ...]:
        """Every leaf of every condition, each once."""
        found = [leaf for rung in self.rungs for part in (rung.promote, rung.demote) for leaf in leaves(part)]
        return tuple(dict.fromkeys(found))

    @property
    def windows(self) -> tuple[int, ...]:
        """The lengths of the windows that are looked at, in days, ascending."""
        return tuple(sorted({leaf.window_days for leaf in self.leaves if leaf.measure is not Measure.RECENCY}))
