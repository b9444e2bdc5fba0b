"""The policy that is measured: protections for two tiers, re-sized each day from the expected rest of the period.

What a tier is expected to ask of an item until the end of the period is the item's smoothed daily demand, times the
tier's share of it, times the days that are left. The share of a tier leans on its share of everything where an item
has seen little. A protection keeps `scale` times that, and lapses `lapse_days` before the period ends, so that what
was kept in vain reaches those who wait.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from bench.allocation_world import TIERS, Demand
from services.atp.domain.model import Day

PROTECTED: Final = ("gold", "silver")
YOUNGEST_DAYS: Final = 7  # an item is taken to be at least so old, or its first order would make it a runner


@dataclass(frozen=True, slots=True)
class Parameters:
    """What is fixed beforehand. Half-life and leaning are by judgement; scale and lapse are fitted."""

    scale: float
    lapse_days: int
    half_life_days: int = 30
    leaning_units: int = 200


@dataclass(slots=True)
class _Seen:
    """What was asked of an item, older demand weighing less; as of `day`."""

    since: Day
    day: Day
    units: dict[str, float] = field(default_factory=lambda: dict.fromkeys(TIERS, 0.0))


@dataclass(slots=True)
class ExpectedRest:
    """Implements `Policy`."""

    parameters: Parameters
    _seen: dict[str, _Seen] = field(default_factory=dict)
    _total: dict[str, float] = field(default_factory=lambda: dict.fromkeys(TIERS, 0.0))

    @property
    def lapse_days(self) -> int:
        """How long before the end of its period a protection is released."""
        return self.parameters.lapse_days

    def see(self, demand: Demand) -> None:
        """Learn from a line."""
        seen = self._seen.setdefault(demand.item, _Seen(demand.day, demand.day))
        faded = self._fading(demand.day - seen.day)
        for tier in TIERS:
            seen.units[tier] *= faded
        seen.day = demand.day
        seen.units[demand.tier] += demand.quantity
        self._total[demand.tier] += demand.quantity

    def protected(self, item: str, day: Day, period_end: Day) -> Mapping[str, int]:
        """What the protected tiers are expected to ask from a day to the end of its period, scaled."""
        seen = self._seen.get(item)
        if seen is None:
            return {}
        daily = self._daily(seen, day)
        days = period_end - day + 1
        return {tier: int(self.parameters.scale * daily * self._share(seen, tier) * days + 0.5) for tier in PROTECTED}

    def _daily(self, seen: _Seen, day: Day) -> float:
        """Demand a day, by exponential smoothing that allows for how long the item has been seen."""
        age = max(YOUNGEST_DAYS, day - seen.since)
        weight = (1 - self._fading(age)) / (1 - self._fading(1))
        return sum(seen.units.values()) * self._fading(day - seen.day) / weight

    def _share(self, seen: _Seen, tier: str) -> float:
        leaning = self.parameters.leaning_units
        everywhere = self._total[tier] / sum(self._total.values())
        return (seen.units[tier] + leaning * everywhere) / (sum(seen.units.values()) + leaning)

    def _fading(self, days: int) -> float:
        return float(0.5 ** (days / self.parameters.half_life_days))
