"""Public holidays of calendars: expanded into closed days when a calendar is written, and again as years pass.

The days come from the library `holidays`, whose version is kept beside them: a decision depends on what is stored,
never on which version happens to be installed. Calendars are worked out again by themselves within a day when a year
has passed; a version of the library that says other days takes effect by command alone, since two versions may run
beside each other. Either is in the audit trail.
"""

import asyncio
from datetime import date
from importlib.metadata import version
from typing import Final

import asyncpg
import holidays
import structlog

from services.atp.adapters.configuration import raise_version
from services.atp.adapters.turns import mark_all_waiting
from services.chassis import audit
from services.chassis.audit.chain import AuditEntry
from services.chassis.business_time import business_now
from services.chassis.database import Connection, Database, DatabaseError

LIBRARY: Final = f"holidays {version('holidays')}"
YEARS: Final = 4  # the current one and those after it: nobody promises further ahead by day
INTERVAL_SECONDS: Final = 6 * 3_600.0
TIERCEL: Final = "tiercel"  # the author of what happens by itself
_log = structlog.get_logger(__name__)

EXPANDED: Final = "supply_changed"  # when goods can leave has changed
_TO_EXPAND: Final = """
SELECT calendar_id, holiday_country, holiday_subdivision FROM calendar
WHERE holiday_country IS NOT NULL AND (holidays_library <> $1::text OR holidays_through < $2)
ORDER BY calendar_id FOR UPDATE
"""
_EXPAND: Final = """
UPDATE calendar SET holidays = $2, holidays_through = $3, holidays_library = $4, version = version + 1
WHERE calendar_id = $1
"""


class HolidaysUnknown(Exception):  # noqa: N818 - says what is wrong
    """The library knows no such country or subdivision."""


def expanded(country: str, subdivision: str | None, year: int) -> list[int]:
    """The public holidays of a year and the following ones, ascending. Raises HolidaysUnknown."""
    try:
        found = holidays.country_holidays(country, subdiv=subdivision, years=range(year, year + YEARS))
    except NotImplementedError:
        raise HolidaysUnknown from None
    return sorted(day.toordinal() for day in found)


def through(year: int) -> int:
    """The last day of those years."""
    return date(year + YEARS, 1, 1).toordinal() - 1


async def keep_holidays(database: Database, stop: asyncio.Event) -> None:
    """The periodic task: work out what a year that has passed makes due, at once and then every some hours."""
    while not stop.is_set():
        try:
            await expand_again(database, TIERCEL, library=None)
        except (DatabaseError, asyncpg.LockNotAvailableError) as error:
            _log.warning("public_holidays_left_for_next_round", cause=repr(error))
        try:
            await asyncio.wait_for(stop.wait(), INTERVAL_SECONDS)
        except TimeoutError:
            continue


async def expand_again(database: Database, author: str, *, library: str | None = LIBRARY) -> list[str]:
    """Expand those calendars again whose years have passed, or that another version than this one (None: any) did."""

    async def work(connection: Connection) -> list[str]:
        now = await business_now(connection)
        rows = await connection.fetch(_TO_EXPAND, library, through(now.year))
        entries = []
        for name, country, subdivision in rows:
            days = expanded(country, subdivision, now.year)
            await connection.execute(_EXPAND, name, days, through(now.year), LIBRARY)
            detail = {"library": LIBRARY, "holidays": len(days)}
            entries.append(AuditEntry(author, "calendar.holidays_expanded", name, detail))
        if entries:
            await raise_version(connection)
            await mark_all_waiting(connection, now, EXPANDED)
            await audit.append(connection, entries, now)
        return [name for name, *_ in rows]

    return await database.run(work, label="public holidays")
