"""Where the numbers say that a customer belongs, and when to look again.

Promotion: the best tier above the customer's own whose `promote` is yes (and whose `demote` is not). Demotion: if the
own tier's `demote` is yes, the best tier below whose `demote` is not, else the floor. A customer whose tier is not of
the rule set, or is held by an override, is left alone. A move waits until the customer has been in its tier for the
minimum dwell, so that one at the border moves at most once per dwell.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from services.reclassifier.domain.features import Features
from services.reclassifier.domain.orders import Day
from services.reclassifier.domain.predicates import Finding, Predicate, Truth, findings, next_change, truth
from services.reclassifier.domain.rule_set import RuleSet, Rung
from services.reclassifier.domain.standing import Standing

REASON_CHARS_MAX = 500


@dataclass(frozen=True, slots=True)
class Move:
    """The numbers put a customer into another tier; `reason` is a sentence fit to show."""

    from_tier: str
    to_tier: str
    reason: str
    evidence: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class Judgement:
    """A move to propose now, or none; and when to look again without any new order (None: never)."""

    move: Move | None
    again_at: datetime | None


def judge(rule_set: RuleSet, standing: Standing, features: Features, as_of: datetime) -> Judgement:
    """Decide on one customer from its standing and its features, both as of the same moment."""
    tier = rule_set.floor if standing.tier is None else standing.tier
    if tier not in rule_set.tiers or standing.overridden:
        return Judgement(None, standing.until)
    again_at = _earliest(standing.until, _numbers_turn_at(rule_set, features))
    move = find_move(rule_set, tier, features)
    if move is None:
        return Judgement(None, again_at)
    free_at = _dwell_ends_at(rule_set, standing)
    if free_at is not None and as_of < free_at:
        return Judgement(None, _earliest(again_at, free_at))
    return Judgement(move, again_at)


def find_move(rule_set: RuleSet, tier: str, features: Features) -> Move | None:
    """Where the numbers alone put a customer of this tier; None if it stays."""
    place = rule_set.tiers.index(tier)
    for rung in rule_set.rungs[:place]:
        if _lifts(rung, features):
            return _move(rule_set, tier, rung.tier, rung.promote, features)
    if place == len(rule_set.rungs):
        return None
    own = rule_set.rungs[place]
    if truth(own.demote, features) is not Truth.YES:
        return None
    below = (rung.tier for rung in rule_set.rungs[place + 1 :] if _holds(rung, features))
    return _move(rule_set, tier, next(below, rule_set.floor), own.demote, features)


def _lifts(rung: Rung, features: Features) -> bool:
    return truth(rung.promote, features) is Truth.YES and truth(rung.demote, features) is not Truth.YES


def _holds(rung: Rung, features: Features) -> bool:
    return truth(rung.demote, features) is not Truth.YES


def _move(rule_set: RuleSet, from_tier: str, to_tier: str, cause: Predicate, features: Features) -> Move:
    evidence = findings(cause, features)
    numbers = ", ".join(f"{finding.name} {finding.value} ({finding.limit})" for finding in evidence)
    reason = f"{rule_set.rule_set_id} v{rule_set.version}: {numbers}"
    if len(reason) > REASON_CHARS_MAX:
        reason = reason[: REASON_CHARS_MAX - 1] + "…"
    return Move(from_tier, to_tier, reason, evidence)


def _dwell_ends_at(rule_set: RuleSet, standing: Standing) -> datetime | None:
    return None if standing.since is None else standing.since + timedelta(days=rule_set.minimum_dwell_days)


def _numbers_turn_at(rule_set: RuleSet, features: Features) -> datetime | None:
    days = [next_change(leaf, features) for leaf in rule_set.leaves]
    first = min((day for day in days if day is not None), default=None)
    return None if first is None else start_of(first)


def start_of(day: Day) -> datetime:
    """The moment at which a day begins, in UTC."""
    return datetime.fromordinal(day).replace(tzinfo=UTC)


def _earliest(*moments: datetime | None) -> datetime | None:
    return min((moment for moment in moments if moment is not None), default=None)
