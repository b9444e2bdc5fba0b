"""How even demand is in time and in size: the demand profile, and when a customer's published one changes.

Sources: the four demand profiles and their cut-offs (ADI 1.32, CV² 0.49) are of Syntetos, Boylan and Croston, "On the
categorization of demand patterns", Journal of the Operational Research Society 56 (2005).

Numbers near a limit cross it with every order. So the profile that others act on (`settled`) leaves a side of a limit
only when it is passed by a tenth, begins once there are enough periods with demand, and stands for a week. Rules look
at `profile`, which remembers nothing.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, NamedTuple

PERIOD_DAYS: Final = 7  # demand is looked at by week: days alone would call everybody lumpy who rests on Sundays
ACTIVE_PERIODS_MIN: Final = 2  # of a single order nothing varies
ADI_CUT: Final = (132, 100)
CV2_CUT: Final = (49, 100)
PROFILE_WINDOW_DAYS: Final = 364  # whole weeks, as near to a year as they come: every season once
ACTIVE_PERIODS_SURE: Final = 3  # two weeks with demand are one interval and one difference: chance
BAND: Final = (10, 100)  # of a limit, on both sides
PROFILE_STANDS: Final = timedelta(days=PERIOD_DAYS)  # nothing that is measured by week changes faster


class DemandProfile(StrEnum):
    """How even demand is in time and in size."""

    SMOOTH = "smooth"
    INTERMITTENT = "intermittent"
    ERRATIC = "erratic"
    LUMPY = "lumpy"


RARE: Final = frozenset({DemandProfile.INTERMITTENT, DemandProfile.LUMPY})
UNEVEN: Final = frozenset({DemandProfile.ERRATIC, DemandProfile.LUMPY})


class Ratio(NamedTuple):
    """An exact number: numerator and a positive denominator."""

    numerator: int
    denominator: int


class Demand(NamedTuple):
    """Periods since the first order, those with demand, and the sums of their units and of the squares of these."""

    periods: int
    active_periods: int
    units: int
    units_squared: int

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
        return _profile(rare=_reaches(interval, ADI_CUT), uneven=_reaches(variation, CV2_CUT))

    def settled(self, former: DemandProfile | None) -> DemandProfile | None:
        """The profile for those who act on it, after `former`; None where there is, or was never, enough demand."""
        interval, variation = self.interval, self.variation
        if interval is None or variation is None:
            return None
        if former is None:
            return self.profile if self.active_periods >= ACTIVE_PERIODS_SURE else None
        return _profile(
            rare=_reaches(interval, _banded(ADI_CUT, reached=former in RARE)),
            uneven=_reaches(variation, _banded(CV2_CUT, reached=former in UNEVEN)),
        )


NO_DEMAND: Final = Demand(0, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Profiled:
    """A profile as it was published: which, since when, and how many were before it."""

    profile: DemandProfile | None
    sequence: int
    since: datetime


@dataclass(frozen=True, slots=True)
class Look:
    """What a look at a customer's demand came to: `changed` is to be published; `again_at` None: when it orders."""

    changed: Profiled | None
    again_at: datetime | None


def look_at(demand: Demand, former: Profiled | None, now: datetime) -> Look:
    """What is to be published of a customer after `former`, and when its demand is looked at next without an order."""
    before = None if former is None else former.profile
    wanted = demand.settled(before)
    if wanted is before:
        return Look(None, None if wanted is None else now + PROFILE_STANDS)
    if former is not None and before is not None and wanted is not None and now < former.since + PROFILE_STANDS:
        return Look(None, former.since + PROFILE_STANDS)
    sequence = 1 if former is None else former.sequence + 1
    return Look(Profiled(wanted, sequence, now), None if wanted is None else now + PROFILE_STANDS)


def _profile(*, rare: bool, uneven: bool) -> DemandProfile:
    if rare:
        return DemandProfile.LUMPY if uneven else DemandProfile.INTERMITTENT
    return DemandProfile.ERRATIC if uneven else DemandProfile.SMOOTH


def _banded(cut: tuple[int, int], *, reached: bool) -> tuple[int, int]:
    """The limit for one who has reached it (it falls back a tenth below) or has not (it rises a tenth above)."""
    share, whole = BAND
    return cut[0] * (whole - share if reached else whole + share), cut[1] * whole


def _reaches(ratio: Ratio, cut: tuple[int, int]) -> bool:
    return ratio.numerator * cut[1] >= cut[0] * ratio.denominator
