"""On which day goods ship: processing takes working days of the location, and the carrier comes on its pick-up days.

    available on d ─▶ work begins on the first working day from max(d, not_before) on
                   ─▶ as many working days later as processing takes
                   ─▶ ships on the first day from then on that is both a working and a pick-up day

The ship day never falls as d grows, so that the last day of availability for a ship day is found by halving.
"""

from bisect import bisect_left, bisect_right
from typing import Final

from services.atp.domain.model import Calendar, Day, Offer

# A lane that is not open within so many days is taken to open then: too late for anybody, and every search ends.
CLOSED_DAYS_MAX: Final = 400
_WEEK: Final = 7


def is_timed(offer: Offer) -> bool:
    """Whether an offer's days depend on a calendar or a cut-off."""
    return offer.working is not None or offer.pick_up is not None or offer.not_before > 0


def is_open(calendar: Calendar | None, day: Day) -> bool:
    """Whether a day is open; without a calendar every day is."""
    if calendar is None:
        return True
    if calendar.weekdays[(day - 1) % _WEEK]:  # day 1 was a Monday
        return not _holds(calendar.closed, day)
    return _holds(calendar.opened, day)


def ship_day(offer: Offer, day: Day) -> Day:
    """When goods ship that are available on a day."""
    day = _first_open(offer.working, None, max(day, offer.not_before))
    for _ in range(offer.processing_days):
        day = _first_open(offer.working, None, day + 1)
    return _first_open(offer.working, offer.pick_up, day)


def last_available(offer: Offer, ships: Day) -> Day:
    """The last day on which goods may become available and still ship on a day or before; a past day if none may."""
    last = ships - offer.processing_days
    first = last - CLOSED_DAYS_MAX * (offer.processing_days + 2)
    days = range(first, last + 1)
    return first + bisect_right(days, ships, key=lambda day: ship_day(offer, day)) - 1


def after_working_days(calendar: Calendar | None, start: Day, days: int) -> Day:
    """The day so many working days after one; one that would be too far away is taken to be open."""
    day = start
    for _ in range(days):
        last, day = day + CLOSED_DAYS_MAX, day + 1
        while day < last and not is_open(calendar, day):
            day += 1
    return day


def at_dock(calendar: Calendar | None, ready: Day, days: int) -> Day:
    """The last day from which so many working days later is `ready`; as many days before, if there is none."""
    for day in range(ready, ready - CLOSED_DAYS_MAX, -1):
        if after_working_days(calendar, day, days) == ready:
            return day
    return ready - days


def _first_open(calendar: Calendar | None, other: Calendar | None, day: Day) -> Day:
    for later in range(day, day + CLOSED_DAYS_MAX):
        if is_open(calendar, later) and is_open(other, later):
            return later
    return day + CLOSED_DAYS_MAX


def _holds(days: tuple[Day, ...], day: Day) -> bool:
    place = bisect_left(days, day)
    return place < len(days) and days[place] == day
