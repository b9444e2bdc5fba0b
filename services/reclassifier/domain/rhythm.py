"""When and how evenly a customer orders, over a window of days that ends today. All numbers are whole or exact ratios.

Sources: the four demand profiles and their cut-offs (ADI 1.32, CV² 0.49) are of Syntetos, Boylan and Croston, "On the
categorization of demand patterns", Journal of the Operational Research Society 56 (2005).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import Final, NamedTuple

from services.reclassifier.domain.orders import Day

PERIOD_DAYS: Final = 7  # demand is looked at by week: days alone would call everybody lumpy who rests on Sundays
ACTIVE_PERIODS_MIN: Final = 2  # of a single order nothing varies
INTERVALS_MIN: Final = 3  # below that a customer has no habit to leave
ADI_CUT: Final = (132, 100)
CV2_CUT: Final = (49, 100)


class DemandProfile(StrEnum):
    """How even demand is in time and in size."""

    SMOOTH = "smooth"
    INTERMITTENT = "intermittent"
    ERRATIC = "erratic"
    LUMPY = "lumpy"


class Ratio(NamedTuple):
    """An exact number: numerator and a positive denominator."""

    numerator: int
    denominator: int


class OrderDay(NamedTuple):
    """What counts of one day on which something was ordered."""

    day: Day
    units: int
    value_micros: int


@dataclass(frozen=True, slots=True)
class Rhythm:
    """Sums from which everything here follows.

    `shorter_intervals` of `intervals` between order days were shorter than the silence since the last one. A period is
    a week counted back from today, those before the first order known left out. `older_value_micros` is None where the
    customer was not known before the older half of the window began.
    """

    order_days: int
    intervals: int
    shorter_intervals: int
    periods: int
    active_periods: int
    units: int
    units_squared: int
    newer_value_micros: int
    older_value_micros: int | None

    @property
    def repeat_share(self) -> Ratio | None:
        """The share of order days that came after another one in the window; None without any."""
        return Ratio(self.order_days - 1, self.order_days) if self.order_days else None

    @property
    def lapse_risk(self) -> Ratio | None:
        """The share of the customer's own intervals that were shorter than its present silence."""
        return Ratio(self.shorter_intervals, self.intervals) if self.intervals >= INTERVALS_MIN else None

    @property
    def interval(self) -> Ratio | None:
        """ADI: periods per period with demand."""
        return Ratio(self.periods, self.active_periods) if self.active_periods else None

    @property
    def variation(self) -> Ratio | None:
        """CV²: the variance of the demand of periods that have any, over the square of its mean."""
        if self.active_periods < ACTIVE_PERIODS_MIN:
            return None
        square = self.units * self.units
        return Ratio(self.active_periods * self.units_squared - square, square)

    @property
    def profile(self) -> DemandProfile | None:
        """The demand profile; None where there is too little demand to tell."""
        interval, variation = self.interval, self.variation
        if interval is None or variation is None:
            return None
        rare, uneven = _reaches(interval, ADI_CUT), _reaches(variation, CV2_CUT)
        if rare:
            return DemandProfile.LUMPY if uneven else DemandProfile.INTERMITTENT
        return DemandProfile.ERRATIC if uneven else DemandProfile.SMOOTH

    @property
    def trend(self) -> Ratio | None:
        """Value of the newer half of the window less that of the older, over the older; None without an older one."""
        if not self.older_value_micros:
            return None
        return Ratio(self.newer_value_micros - self.older_value_micros, self.older_value_micros)


def rhythm_of(days: Iterable[OrderDay], today: Day, length: int) -> Rhythm:
    """The rhythm over the `length` days that end today, from all order days known, ascending, days to come left out."""
    known = [each for each in days if each.day <= today and each.units > 0]
    inside = [each for each in known if each.day > today - length]
    first = known[0].day if known else today
    gaps = [later.day - earlier.day for earlier, later in pairwise(inside)]
    silence = today - inside[-1].day if inside else 0
    demand = _by_period(inside, today, length // PERIOD_DAYS)
    half = length // 2
    older_from = today - 2 * half
    return Rhythm(
        order_days=len(inside),
        intervals=len(gaps),
        shorter_intervals=sum(gap < silence for gap in gaps),
        periods=min(length // PERIOD_DAYS, (today - first) // PERIOD_DAYS + 1) if inside else 0,
        active_periods=len(demand),
        units=sum(demand.values()),
        units_squared=sum(units * units for units in demand.values()),
        newer_value_micros=sum(each.value_micros for each in inside if each.day > today - half),
        older_value_micros=sum(each.value_micros for each in inside if older_from < each.day <= today - half)
        if known and first <= older_from + 1
        else None,
    )


def _by_period(inside: Iterable[OrderDay], today: Day, periods: int) -> dict[int, int]:
    demand: dict[int, int] = {}
    for each in inside:
        period = (today - each.day) // PERIOD_DAYS
        if period < periods:
            demand[period] = demand.get(period, 0) + each.units
    return demand


def _reaches(ratio: Ratio, cut: tuple[int, int]) -> bool:
    return ratio.numerator * cut[1] >= cut[0] * ratio.denominator
