"""Customers who are served beside their tier: worse than its other members, or better, as if in the tier above.

A customer is compared with all others of its tier in the same window, order by order. Under-served is who had so many
more failures that chance would bring them about once in `chance_one_in`, by a gap that matters, and below the tier's
target where it has one. Over-served is the mirror image, above the target, and at least as well served as the next
better tier is on the whole; nobody in the best tier is over-served.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from services.reclassifier.domain.detections import PERCENT, Basis, Detection, Kind, Limits, percent, rarer_than
from services.reclassifier.domain.traces import TierTerms

BASIS_POINTS: Final = 10_000


class Received(NamedTuple):
    """Orders of one owner in one tier: all with how many were promised in full, delivered ones with those in time."""

    owner: str
    tier: str
    orders: int
    in_full: int
    delivered: int
    on_time: int


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
    if _is_under(own, others, scale, limits):
        return _detection(Kind.UNDER_SERVED, one, basis, (own, others, scale), limits)
    if _is_over(own, others, scale, limits):
        return _detection(Kind.OVER_SERVED, one, basis, (own, others, scale), limits)
    return None


def _is_under(own: Score, others: Score, scale: _Scale, limits: Limits) -> bool:
    on_target = scale.target_bp is not None and own.good * BASIS_POINTS >= scale.target_bp * own.trials
    if on_target or not _apart(others, own, limits):
        return False
    return rarer_than(limits.chance_one_in, own.bad, own.trials, others.bad, others.trials)


def _is_over(own: Score, others: Score, scale: _Scale, limits: Limits) -> bool:
    above = scale.above
    if above is None or above.trials < limits.orders_min or own.good * above.trials < above.good * own.trials:
        return False
    within_target = scale.target_bp is not None and own.good * BASIS_POINTS <= scale.target_bp * own.trials
    if within_target or not _apart(own, others, limits):
        return False
    return rarer_than(limits.chance_one_in, own.good, own.trials, others.good, others.trials)


def _apart(better: Score, worse: Score, limits: Limits) -> bool:
    """Whether the first share is ahead of the second by the gap, exactly."""
    ahead = better.good * worse.trials - worse.good * better.trials
    return ahead * PERCENT >= limits.service_gap_percent * better.trials * worse.trials


_WORDS: Final = {Basis.IN_FULL: "promised in full at once", Basis.ON_TIME: "delivered in time"}


def _detection(
    kind: Kind, one: Received, basis: Basis, scores: tuple[Score, Score, _Scale], limits: Limits
) -> Detection:
    own, others, scale = scores
    own_percent, others_percent = percent(own.good, own.trials), percent(others.good, others.trials)
    numbers = [
        ("orders", own.trials),
        ("good_orders", own.good),
        ("good_percent", own_percent),
        ("others_orders", others.trials),
        ("others_good_percent", others_percent),
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
        f"{own.good} of {own.trials} orders ({own_percent} %) were {_WORDS[basis]}, while of the others in tier"
        f" {one.tier} {others_percent} % were."
    )
    return Detection(kind, basis, one.owner, None, one.tier, tuple(numbers), tuple(compared), sentence)
