"""When the day of a service ends at a location, when its carrier comes, and what is told of a departure.

All in the location's own time zone. On the day on which its clock is set, a time of day that is there twice is meant
the first time, and one that is missing is when the clock jumps over it: so that a cut-off that has passed never comes
back, and none is passed over.
"""

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from services.atp.application.documents import Document
from services.atp.application.ports import Clock, OfferName
from services.atp.domain.model import Day, Planned, Tier

CACHED_MAX: Final = 8_192  # departures told without working them out again: services times days ahead
MIDNIGHT: Final = Clock("UTC", None)  # of what nothing is said of


def routing_of(clocks: Mapping[OfferName, Clock], planned: Planned, tier: Tier) -> Document | None:
    """What warehouse and carrier are told of a planned quantity; None where no lane was taken. Not to be changed."""
    if not planned.carrier_class:
        return None
    clock = clocks.get((planned.key.location_id, planned.service), MIDNIGHT)
    priority = tier.priority_rank if tier.pick_priority is None else tier.pick_priority
    return _routing(planned.carrier_class, clock, planned.ship_day, (priority, tier.packaging, tier.handling))


@lru_cache(maxsize=CACHED_MAX)
def ship_by(clock: Clock, day: Day) -> datetime:
    """When goods that ship on a day must have left: at the pick-up, else the cut-off, else the end of the day."""
    comes = clock.pick_up or clock.cut_off
    if comes is not None:
        return moment(clock.time_zone, day, comes)
    return moment(clock.time_zone, day + 1, time(0))


@lru_cache(maxsize=CACHED_MAX)
def moment(time_zone: str, day: Day, at: time) -> datetime:
    """The moment of a time of day in a zone, in UTC; see the module for the days on which the clock is set."""
    zone = ZoneInfo(time_zone)
    wall = datetime.combine(date.fromordinal(day), at)
    later, sooner = (wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    if later.astimezone(zone).replace(tzinfo=None) == wall:
        return later  # of a time that is there twice, fold 0 is the first one
    return _jump(zone, sooner, later)


def _jump(zone: ZoneInfo, before: datetime, after: datetime) -> datetime:
    """The moment after `before` and not after `after` from which another offset is in force, to the second."""
    offset = after.astimezone(zone).utcoffset()
    while after - before > timedelta(seconds=1):
        middle = before + (after - before) // 2
        if middle.astimezone(zone).utcoffset() == offset:
            after = middle
        else:
            before = middle
    return after.replace(microsecond=0)


@lru_cache(maxsize=CACHED_MAX)
def _routing(carrier_class: str, clock: Clock, day: Day, by_tier: tuple[int, str | None, tuple[str, ...]]) -> Document:
    priority, packaging, handling = by_tier
    return {
        "carrier_class": carrier_class,
        "ship_by": ship_by(clock, day),
        "pick_priority": priority,
        "packaging": packaging,
        "handling": handling,
    }
