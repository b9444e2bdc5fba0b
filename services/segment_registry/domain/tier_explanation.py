"""Why a customer is in its tier, in facts for a colleague and in sentences that may be read to the customer.

The sentences name tiers, dates and the customer's own numbers; who decided, the reason that was written down and the
names of rules are for colleagues and stay in the facts. Dates are days in UTC.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, NamedTuple

from services.segment_registry.domain.customers import Customer, served_tier
from services.segment_registry.domain.records import CustomerRecord, promised_tier
from services.segment_registry.domain.rule_numbers import RuleNumber, number_sentences, rule_number
from services.segment_registry.domain.tier_distances import FoundDistances, distance_sentences
from services.segment_registry.domain.tiers import Tier, default_tier
from services.segment_registry.domain.timeline import Assignment, Kind, boundaries, in_force, in_force_before

_MONTHS: Final = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)


class NextChange(NamedTuple):
    """The earliest planned change of the tier."""

    at: datetime
    tier: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """The tier at a moment with its grounds; `since` is when the customer last came into it from another tier.

    `tier_above` is the active tier served next before this one, `tier_below` the one served next after it.
    `promised` is the tier below which no automatic move goes, by a contract in force. `distance` is how far the numbers
    are from the tiers beside this one now, `distance_missing` why that is not known.
    """

    customer_id: str
    at: datetime
    tier: Tier
    by: Assignment | None
    since: datetime | None
    distances: tuple[RuleNumber, ...]
    tier_above: Tier | None
    tier_below: Tier | None
    next_change: NextChange | None
    sentences: tuple[str, ...]
    promised: Tier | None = None
    distance: FoundDistances | None = None
    distance_missing: str | None = None


def explain(
    customer: Customer, tiers: Mapping[str, Tier], at: datetime, now: datetime, merged: Sequence[CustomerRecord] = ()
) -> Explanation:
    """Explain the tier at a moment, seen from `now`; `customer` holds its whole tier history.

    `merged` are the records of those that were merged into it. Records are known of now alone.
    """
    served = served_tier(customer, tiers, at)
    tier = tiers[served.tier]
    since = _since(customer, tiers, at)
    numbers = tuple(rule_number(each) for each in served.by.grounds.evidence) if served.by else ()
    coming = _next_change(customer, tiers, at)
    above, below = _neighbours(tiers, tier)
    promised = promised_tier((customer.record, *merged), tiers, now) if at == now else None
    sentences = (
        _standing(tier, since, at, now),
        _grounds(served.by),
        *number_sentences(numbers),
        *_around(above, below),
        *((f"By your contract no figures move you below {promised.name}.",) if promised else ()),
        _outlook(tiers, tier, coming, now),
    )
    by = served.by
    return Explanation(customer.customer_id, at, tier, by, since, numbers, above, below, coming, sentences, promised)


def with_distance(explanation: Explanation, found: FoundDistances, tiers: Mapping[str, Tier]) -> Explanation:
    """The explanation with how far it is to other tiers, said before what is planned."""
    missing = None
    if found.overridden:
        missing = "a decision for this account in particular holds, and no rule"
    elif (found.tier or default_tier(tiers).tier) != explanation.tier.tier:
        missing = "the reclassifier has not read the customer's tier yet"
    elif found.above is None and found.below is None:
        missing = "no rule moves customers of this tier"
    if missing is not None:
        return replace(explanation, distance_missing=missing)
    said = distance_sentences(_within_contract(explanation.promised, found, tiers), tiers)
    sentences = (*explanation.sentences[:-1], *said, explanation.sentences[-1])
    return replace(explanation, distance=found, sentences=sentences)


def _within_contract(promised: Tier | None, found: FoundDistances, tiers: Mapping[str, Tier]) -> FoundDistances:
    """Without the distance to a tier into which the contract lets no figures move the customer."""
    below = None if found.below is None else tiers.get(found.below.tier)
    if promised is None or below is None or below.priority_rank <= promised.priority_rank:
        return found
    return replace(found, below=None)


def _since(customer: Customer, tiers: Mapping[str, Tier], at: datetime) -> datetime | None:
    """The last boundary at which another tier began; None for a customer that was never in one.

    One that was in no other tier than the default one, by a decision, is in it since the first decision.
    """
    default = default_tier(tiers).tier
    passed = [each for each in boundaries(customer.assignments) if each <= at]
    for moment in reversed(passed):
        before = in_force_before(customer.assignments, moment)
        after = in_force(customer.assignments, moment)
        if (before.tier if before else default) != (after.tier if after else default):
            return moment
    return passed[0] if passed and in_force(customer.assignments, at) else None


def _next_change(customer: Customer, tiers: Mapping[str, Tier], at: datetime) -> NextChange | None:
    current = served_tier(customer, tiers, at).tier
    for moment in boundaries(customer.assignments):
        if moment > at and served_tier(customer, tiers, moment).tier != current:
            return NextChange(moment, served_tier(customer, tiers, moment).tier)
    return None


def _neighbours(tiers: Mapping[str, Tier], tier: Tier) -> tuple[Tier | None, Tier | None]:
    ranked = sorted((each for each in tiers.values() if each.active), key=lambda each: each.priority_rank)
    above = [each for each in ranked if each.priority_rank < tier.priority_rank]
    below = [each for each in ranked if each.priority_rank > tier.priority_rank]
    return above[-1] if above else None, below[0] if below else None


def _standing(tier: Tier, since: datetime | None, at: datetime, now: datetime) -> str:
    if at > now:
        return f"On {_day(at)} you will be served as {tier.name}, as things are planned now."
    start = "You are" if at == now else f"On {_day(at)} you were"
    if since is None:
        return f"{start} served as {tier.name}, as everybody is for whom nothing else was decided."
    return f"{start} served as {tier.name} since {_day(since)}."


def _grounds(by: Assignment | None) -> str:
    if by is None:
        return "No decision for your account in particular counts."
    if by.kind is Kind.OVERRIDE:
        return "This was decided for your account in particular, for a limited time."
    if by.grounds.rule is not None:
        return "This follows from your own figures, by the same rule for all customers."
    return "This was decided by us for your account."


def _around(above: Tier | None, below: Tier | None) -> tuple[str, ...]:
    said = []
    if above is not None:
        said.append(f"The next tier above yours is {above.name}.")
    if below is not None:
        said.append(f"The next tier below yours is {below.name}.")
    return tuple(said)


def _outlook(tiers: Mapping[str, Tier], tier: Tier, coming: NextChange | None, now: datetime) -> str:
    if coming is None:
        return "No change is planned."
    following = tiers[coming.tier]
    direction = "up" if following.priority_rank < tier.priority_rank else "down"
    if coming.at <= now:
        return f"On {_day(coming.at)} you moved {direction} to {following.name}."
    return f"On {_day(coming.at)} you move {direction} to {following.name}, as planned."


def _day(moment: datetime) -> str:
    return f"{moment.day} {_MONTHS[moment.month - 1]} {moment.year}"
