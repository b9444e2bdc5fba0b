"""When and how much a customer orders, over a window of days that ends today. All numbers are whole or exact ratios."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, NamedTuple

from services.reclassifier.domain.demand import PERIOD_DAYS, Demand, DemandProfile, Ratio
from services.reclassifier.domain.orders import Day

INTERVALS_MIN: Final = 3  # below that a customer has no habit to leave


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
    def demand(self) -> Demand:
        """How even it is."""
        return Demand(self.periods, self.active_periods, self.units, self.units_squared)

    @property
    def interval(self) -> Ratio | None:
        """ADI, of the demand."""
        return self.demand.interval

    @property
    def variation(self) -> Ratio | None:
        """CV², of the demand."""
        return self.demand.variation

    @property
    def profile(self) -> DemandProfile | None:
        """The demand profile; None where there is too little demand to tell."""
        return self.demand.profile

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
