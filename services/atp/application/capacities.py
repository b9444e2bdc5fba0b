"""Which capacities count now, and when that changes by date alone.

Of a capacity that only a document to come names, or a share of one, what is taken is counted already and nothing is
limited by it: so its counters are right when the document comes into effect.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from typing import Final

from services.atp.domain.model import Capacity, CapacityShare
from services.contracts.payload import QUANTITY_MAX

COUNTED_ONLY: Final = QUANTITY_MAX  # units of a day of a capacity that is not in effect yet: more than anybody orders
BEHIND_ALL: Final = 1_000_001  # the rank of a share that keeps nothing yet


@dataclass(frozen=True, slots=True)
class EffectiveCapacity:
    """A capacity while its document is in effect: from (inclusive) to (exclusive, None = open)."""

    capacity: Capacity
    effective_from: datetime
    effective_to: datetime | None


ByLocation = Mapping[str, tuple[EffectiveCapacity, ...]]


def capacities_at(known: ByLocation, locations: Iterable[str], now: datetime) -> dict[str, tuple[Capacity, ...]]:
    """What limits, and what only counts, what leaves these locations, by location."""
    found: dict[str, tuple[Capacity, ...]] = {}
    for location in locations:
        own: dict[str, list[EffectiveCapacity]] = {}
        for each in known.get(location, ()):
            if each.effective_to is None or now < each.effective_to:
                own.setdefault(each.capacity.capacity_id, []).append(each)
        if own:
            found[location] = tuple(_merged(versions, now) for versions in own.values())
    return found


def _merged(versions: list[EffectiveCapacity], now: datetime) -> Capacity:
    current = [each.capacity for each in versions if each.effective_from <= now]
    first = versions[0].capacity
    base = current[0] if current else replace(first, weekdays=(COUNTED_ONLY,) * 7, exceptions=(), shares=())
    shares = {share.tier: share for share in base.shares}
    for each in versions:
        for share in each.capacity.shares:
            shares.setdefault(share.tier, CapacityShare(share.tier, BEHIND_ALL, 0))
    return base if len(shares) == len(base.shares) else replace(base, shares=tuple(shares.values()))


def names_of(capacities: Iterable[Capacity]) -> list[str]:
    """The names of their counters: of each whole, and of the tiers with a share."""
    return sorted(
        name
        for each in capacities
        for name in (each.capacity_id, *(tier_counter(each.capacity_id, share.tier) for share in each.shares))
    )


def tier_counter(capacity_id: str, tier: str) -> str:
    """The name of the counter of a tier's share."""
    return f"{capacity_id}/{tier}"


def capacity_of(counter: str) -> str:
    """The capacity that a counter is of."""
    return counter.partition("/")[0]


def next_turn(known: Iterable[EffectiveCapacity], now: datetime) -> datetime | None:
    """The next moment at which those who wait may have more of a location's capacity; None: there is none.

    A document comes into effect or ends; or a day begins, on which shares lapse.
    """
    alive = [each for each in known if each.effective_to is None or now < each.effective_to]
    moments = [each.effective_from for each in alive] + [each.effective_to for each in alive if each.effective_to]
    if any(each.capacity.shares for each in alive):
        moments.append(datetime.combine(now.astimezone(UTC).date() + timedelta(days=1), time(), tzinfo=UTC))
    return min((each for each in moments if each > now), default=None)
