"""When a rule set's calendar comes round, in its own zone."""

from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from services.reclassifier.domain.rule_set import Calendar, Every

DAYS_LOOKED_AT: Final = 62  # two months: within them every calendar comes round


def next_run(calendar: Calendar, after: datetime) -> datetime:
    """The first moment after the given one at which the calendar comes round, in UTC.

    A time of day that the clocks leap over is as it would be without the leap; one that comes twice is taken once.
    """
    zone = ZoneInfo(calendar.zone)
    start = after.astimezone(zone).date()
    for ahead in range(-1, DAYS_LOOKED_AT):
        day = start + timedelta(days=ahead)
        if not _falls_on(calendar, day.isoweekday(), day.day):
            continue
        local = datetime(day.year, day.month, day.day, calendar.hour, calendar.minute, tzinfo=zone)
        moment = local.astimezone(UTC)
        if moment > after:
            return moment
    raise AssertionError("a calendar comes round within two months")


def _falls_on(calendar: Calendar, weekday: int, day_of_month: int) -> bool:
    if calendar.every is Every.DAY:
        return True
    return calendar.on == (weekday if calendar.every is Every.WEEK else day_of_month)
