"""Where the numbers say that a customer belongs, and when to look again.

Promotion: the best tier above the customer's own whose `promote` is yes (and whose `demote` is not). Demotion: if the
own tier's `demote` is yes, the best tier below whose `demote` is not, else the floor. A customer whose tier is not of
the rule set, or is held by an override, is left alone. A move waits until the customer has been in its tier for the
minimum dwell, so that one at the border moves at most once per dwell; after a proposal that came to nothing it waits
for the cool-down; and a demotion waits until the numbers have asked for one, without a break, for the days of grace.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from services.reclassifier.domain.features import Features
from services.reclassifier.domain.leaves import Finding, Truth, leaf_turns
from services.reclassifier.domain.orders import Day
from services.reclassifier.domain.predicates import Predicate, findings, truth
from services.reclassifier.domain.rule_set import Downgrade, Mode, RuleSet, Rung
from services.reclassifier.domain.standing import Standing

REASON_CHARS_MAX = 500


class Held(StrEnum):
    """Why a person must decide on a move."""

    BY_MODE = "mode"
    BY_JUMP = "jump"
    BY_FUSE = "fuse"


@dataclass(frozen=True, slots=True)
class Move:
    """The numbers put a customer into another tier; `reason` is a sentence fit to show, `mode` that of its rule."""

    from_tier: str
    to_tier: str
    reason: str
    evidence: tuple[Finding, ...]
    mode: Mode = Mode.AUTOMATIC


@dataclass(frozen=True, slots=True)
class Memory:
    """What earlier evaluations left: since when the numbers ask for a demotion, and when a proposal last failed."""

    falling_since: datetime | None = None
    failed_at: datetime | None = None


NOTHING_KNOWN = Memory()


@dataclass(frozen=True, slots=True)
class Judgement:
    """A move to propose now, or none; when to look again without any new order (None: never); what to remember."""

    move: Move | None
    again_at: datetime | None
    falling_since: datetime | None = None


def judge(
    rule_set: RuleSet, standing: Standing, features: Features, as_of: datetime, memory: Memory = NOTHING_KNOWN
) -> Judgement:
    """Decide on one customer from its standing and its features, both as of the same moment."""
    tier = rule_set.floor if standing.tier is None else standing.tier
    if tier not in rule_set.tiers or standing.overridden:
        return Judgement(None, standing.until)
    again_at = _earliest(standing.until, _numbers_turn_at(rule_set, features))
    move = find_move(rule_set, tier, features)
    if move is None:
        return Judgement(None, again_at)
    falls = rule_set.tiers.index(move.to_tier) > rule_set.tiers.index(tier)
    falling_since = _falling_since(memory, standing, as_of) if falls else None
    free_at = max(_waits(rule_set, standing, memory, falling_since), default=as_of)
    if as_of < free_at:
        return Judgement(None, _earliest(again_at, free_at), falling_since)
    return Judgement(move, again_at, falling_since)


def held_by(rule_set: RuleSet, move: Move, *, fuse_blown: bool) -> Held | None:
    """Why a person must decide on this move; None if it is made by itself (or only recorded)."""
    if move.mode is Mode.SHADOW:
        return None
    if move.mode is Mode.PROPOSE:
        return Held.BY_MODE
    most = rule_set.automatic_jump_max
    if most is not None and rule_set.jump(move.from_tier, move.to_tier) > most:
        return Held.BY_JUMP
    return Held.BY_FUSE if fuse_blown else None


def find_move(rule_set: RuleSet, tier: str, features: Features) -> Move | None:
    """Where the numbers alone put a customer of this tier; None if it stays."""
    place = rule_set.tiers.index(tier)
    for rung in rule_set.rungs[:place]:
        if _lifts(rung, features):
            return _move(rule_set, rung, (tier, rung.tier), rung.promote, features)
    if place == len(rule_set.rungs):
        return None
    own = rule_set.rungs[place]
    if truth(own.demote, features) is not Truth.YES:
        return None
    return _move(rule_set, own, (tier, _below(rule_set, place, features)), own.demote, features)


def _below(rule_set: RuleSet, place: int, features: Features) -> str:
    if rule_set.downgrade is Downgrade.ONE_STEP:
        return rule_set.tiers[place + 1]
    below = (rung.tier for rung in rule_set.rungs[place + 1 :] if _holds(rung, features))
    return next(below, rule_set.floor)


def _lifts(rung: Rung, features: Features) -> bool:
    return truth(rung.promote, features) is Truth.YES and truth(rung.demote, features) is not Truth.YES


def _holds(rung: Rung, features: Features) -> bool:
    return truth(rung.demote, features) is not Truth.YES


def _move(rule_set: RuleSet, rung: Rung, way: tuple[str, str], cause: Predicate, features: Features) -> Move:
    evidence = findings(cause, features)
    numbers = ", ".join(f"{finding.name} {finding.value} ({finding.limit})" for finding in evidence)
    reason = f"{rule_set.rule_set_id} v{rule_set.version}: {numbers}"
    if len(reason) > REASON_CHARS_MAX:
        reason = reason[: REASON_CHARS_MAX - 1] + "…"
    return Move(*way, reason, evidence, rung.mode or rule_set.mode)


def _falling_since(memory: Memory, standing: Standing, as_of: datetime) -> datetime:
    """Since when the numbers ask for a demotion out of this tier; what they asked for out of a former one is over."""
    known = memory.falling_since
    if known is None or (standing.since is not None and known < standing.since):
        return as_of
    return known


def _waits(rule_set: RuleSet, standing: Standing, memory: Memory, falling_since: datetime | None) -> Iterator[datetime]:
    """The moments before which the customer does not move."""
    if standing.since is not None:
        yield standing.since + timedelta(days=rule_set.minimum_dwell_days)
    if memory.failed_at is not None:
        yield memory.failed_at + timedelta(days=rule_set.cool_down_days)
    if falling_since is not None:
        yield falling_since + timedelta(days=rule_set.grace_days)


def _numbers_turn_at(rule_set: RuleSet, features: Features) -> datetime | None:
    days = [leaf_turns(leaf, features) for leaf in rule_set.turning]
    first = min((day for day in days if day is not None), default=None)
    return None if first is None else start_of(first)


def start_of(day: Day) -> datetime:
    """The moment at which a day begins, in UTC."""
    return datetime.fromordinal(day).replace(tzinfo=UTC)


def _earliest(*moments: datetime | None) -> datetime | None:
    return min((moment for moment in moments if moment is not None), default=None)
