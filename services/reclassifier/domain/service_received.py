"""Customers who are served beside their tier: worse than its other members, or better, as if in the tier above.

A customer is compared with what its own orders would have met as the others of its tier fared (indirect
standardisation): who orders in the week before a holiday, to an island, or by the pallet is compared with others on
those days, to that zone and of that size. Under-served is who had so many more failures that chance would bring them
about once in `chance_one_in`, by a gap that matters, and below the tier's target where it has one. Over-served is the
mirror image, above the target, and at least as well served as the next better tier is on the whole; nobody in the best
tier is over-served.

The chance of each order to fail is the tier's, its odds multiplied by those of its day and its size against the tier's:
the model of a logistic regression with main effects, read from the margins. A zone has few customers, of whom one badly
served one would make the others look well served: its odds are those of all tiers, against what their mix of tiers
makes one expect, and a finding must hold with them and without them. Trials of different chances
have a thinner tail than as many of their mean (Hoeffding, Annals of Mathematical Statistics 27, 1956), so that the
binomial distribution at the mean errs in favour of the customer.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from services.reclassifier.domain.detections import (
    PERCENT,
    SHARES_PER_ONE,
    Basis,
    Detection,
    Kind,
    Limits,
    percent,
    rarer_than,
)
from services.reclassifier.domain.traces import TierTerms

BASIS_POINTS: Final = 10_000
SIZES: Final = (4, 16, 64, 256, 1_024, 4_096, 16_384, 65_536)  # units from which on an order is of the next size
PEERS_WEIGHT: Final = 20  # usual orders that each day and size counts besides its own: few say little
ZONE_WEIGHT: Final = 40  # and each zone, whose orders are of few customers


class Expected(NamedTuple):
    """How many of some orders would have failed as others fared, in ten-thousandths of one.

    `anywhere` by their days and sizes, `there` by their zones too.
    """

    anywhere: int = 0
    there: int = 0


class Received(NamedTuple):
    """Orders of one owner in one tier: all with how many were promised in full, delivered ones with those in time.

    `short_expected` and `late_expected`: how many would have failed as the others fared, 0 in sums over all owners.
    """

    owner: str
    tier: str
    orders: int
    in_full: int
    delivered: int
    on_time: int
    short_expected: Expected = Expected()
    late_expected: Expected = Expected()


class Score(NamedTuple):
    """How many of some trials went well."""

    good: int
    trials: int

    def less(self, other: "Score") -> "Score":
        """Without these."""
        return Score(self.good - other.good, self.trials - other.trials)

    @property
    def bad(self) -> int:
        """How many did not."""
        return self.trials - self.good


class Fared(NamedTuple):
    """How many of some orders failed, and which share of them usually would, in ten-thousandths.

    `weight`: as many orders that fared as usual count besides.
    """

    bad: int
    orders: int
    usual: int
    weight: int = PEERS_WEIGHT


def usual_share(bad: int, orders: int) -> int:
    """The share that failed, in ten-thousandths, neither impossible nor certain."""
    return _within(bad * SHARES_PER_ONE // max(1, orders))


def expected_to_fail(usual: int, *marks: Fared) -> int:
    """The chance of one order to fail, in ten-thousandths, by what others met.

    `usual`: the share of its tier's others; `marks`: the others with the order's day, its size, its zone. Odds
    multiply: the order's are those of its tier times each mark's over what they usually are.
    """
    fails, goes_well = usual, SHARES_PER_ONE - usual
    for mark in marks:
        share = _within((mark.bad * SHARES_PER_ONE + mark.weight * mark.usual) // (mark.orders + mark.weight))
        fails *= share * (SHARES_PER_ONE - mark.usual)
        goes_well *= (SHARES_PER_ONE - share) * mark.usual
    return fails * SHARES_PER_ONE // (fails + goes_well)


def _within(share: int) -> int:
    """Neither impossible nor certain."""
    return min(max(share, 1), SHARES_PER_ONE - 1)


@dataclass(frozen=True, slots=True)
class _Scale:
    """One tier by one measure: how all of it fared, what it is to get, and how the next better tier fared."""

    whole: Score
    target_bp: int | None
    above: Score | None


def served_beside_their_tier(
    received: Sequence[Received], totals: Sequence[Received], terms: Mapping[str, TierTerms], limits: Limits
) -> Iterator[Detection]:
    """Detections by owner, in the order given. `totals` holds each tier's sums over all its owners."""
    by_tier = {total.tier: total for total in totals}
    for basis in (Basis.IN_FULL, Basis.ON_TIME):
        scales = {
            tier: _Scale(score_of(total, basis), _target(terms.get(tier), basis), _above(tier, by_tier, terms, basis))
            for tier, total in by_tier.items()
        }
        for one in received:
            found = _judged(one, basis, scales[one.tier], limits)
            if found is not None:
                yield found


def score_of(received: Received, basis: Basis) -> Score:
    """The trials of a measure."""
    if basis is Basis.IN_FULL:
        return Score(received.in_full, received.orders)
    return Score(received.on_time, received.delivered)


def _target(terms: TierTerms | None, basis: Basis) -> int | None:
    if terms is None:
        return None
    return terms.in_full_target_bp if basis is Basis.IN_FULL else terms.on_time_target_bp


def _above(tier: str, by_tier: Mapping[str, Received], terms: Mapping[str, TierTerms], basis: Basis) -> Score | None:
    """How the next better tier with any orders fared; None for the best one and for one that nobody defined."""
    if tier not in terms:
        return None
    better = [name for name in by_tier if name in terms and terms[name].rank < terms[tier].rank]
    if not better:
        return None
    return score_of(by_tier[max(better, key=lambda name: terms[name].rank)], basis)


def _judged(one: Received, basis: Basis, scale: _Scale, limits: Limits) -> Detection | None:
    own = score_of(one, basis)
    others = scale.whole.less(own)
    if own.trials < limits.orders_min or others.trials < limits.orders_min:
        return None
    expected = one.short_expected if basis is Basis.IN_FULL else one.late_expected
    if _is_under(own, max(expected), (others, scale), limits):
        return _detection(Kind.UNDER_SERVED, one, basis, (own, max(expected), others, scale), limits)
    if _is_over(own, min(expected), (others, scale), limits):
        return _detection(Kind.OVER_SERVED, one, basis, (own, min(expected), others, scale), limits)
    return None


def _is_under(own: Score, expected_bad: int, against: tuple[Score, _Scale], limits: Limits) -> bool:
    others, scale = against
    on_target = scale.target_bp is not None and own.good * BASIS_POINTS >= scale.target_bp * own.trials
    if on_target or not _apart(own.bad * SHARES_PER_ONE - expected_bad, own, limits):
        return False
    return _is_rare(own.bad, expected_bad, own, others, limits)


def _is_over(own: Score, expected_bad: int, against: tuple[Score, _Scale], limits: Limits) -> bool:
    others, scale = against
    above = scale.above
    if above is None or above.trials < limits.orders_min or own.good * above.trials < above.good * own.trials:
        return False
    within_target = scale.target_bp is not None and own.good * BASIS_POINTS <= scale.target_bp * own.trials
    if within_target or not _apart(expected_bad - own.bad * SHARES_PER_ONE, own, limits):
        return False
    return _is_rare(own.good, own.trials * SHARES_PER_ONE - expected_bad, own, others, limits)


def _apart(ahead: int, own: Score, limits: Limits) -> bool:
    """Whether this is the gap or more, exactly."""
    return ahead * PERCENT >= limits.service_gap_percent * own.trials * SHARES_PER_ONE


def _is_rare(hits: int, expected: int, own: Score, others: Score, limits: Limits) -> bool:
    """Whether so many hits are rare, at the expected share as if so many of the others' orders had shown it."""
    of_others = -(-expected * others.trials // (own.trials * SHARES_PER_ONE))
    return rarer_than(limits.chance_one_in, hits, own.trials, of_others, others.trials)


_WORDS: Final = {Basis.IN_FULL: "promised in full at once", Basis.ON_TIME: "delivered in time"}


def _detection(
    kind: Kind, one: Received, basis: Basis, found: tuple[Score, int, Score, _Scale], limits: Limits
) -> Detection:
    own, expected_bad, others, scale = found
    own_percent = percent(own.good, own.trials)
    expected_percent = percent(own.trials * SHARES_PER_ONE - expected_bad, own.trials * SHARES_PER_ONE)
    numbers = [
        ("orders", own.trials),
        ("good_orders", own.good),
        ("good_percent", own_percent),
        ("expected_good_percent", expected_percent),
        ("others_orders", others.trials),
        ("others_good_percent", percent(others.good, others.trials)),
    ]
    if scale.above is not None:
        numbers.append(("tier_above_good_percent", percent(*scale.above)))
    compared = [
        ("orders_min", limits.orders_min),
        ("service_gap_percent", limits.service_gap_percent),
        ("chance_one_in", limits.chance_one_in),
    ]
    if scale.target_bp is not None:
        compared.append(("target_bp", scale.target_bp))
    sentence = (
        f"{own.good} of {own.trials} orders ({own_percent} %) were {_WORDS[basis]}; as the others in tier {one.tier}"
        f" fared on the same days, to the same zones and with orders of the same size, {expected_percent} % would have"
        " been."
    )
    return Detection(kind, basis, one.owner, None, one.tier, tuple(numbers), tuple(compared), sentence)
