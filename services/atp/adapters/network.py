"""The network in PostgreSQL. A change of it raises the configuration's version."""

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from itertools import islice
from typing import Final, NamedTuple

import orjson

from services.atp.adapters.configuration import raise_version, read_zone_map
from services.atp.adapters.public_holidays import LIBRARY, HolidaysUnknown, expand_again, expanded, through
from services.atp.adapters.turns import mark_all_waiting
from services.atp.application.network import NetworkKind, Stored, UnknownName, Values, holidays_name
from services.atp.domain.zones import EVERY_COUNTRY, ZoneRule, plain_postcode
from services.chassis import audit
from services.chassis.audit.chain import AuditEntry
from services.chassis.business_time import business_now
from services.chassis.database import Connection, Database
from services.contracts.network import (
    CatalogCalendar,
    CatalogLane,
    CatalogLocation,
    CatalogService,
    CatalogZone,
    NetworkEntry,
    PublicHolidays,
)
from services.contracts.payload import FIRST_DAY

NETWORK_CHANGED: Final = "supply_changed"  # where it can come from has changed
RULES_SHOWN_MAX: Final = 20  # of one destination; more are not read
WEEKDAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


class _Table(NamedTuple):
    """Where a kind is kept: its table, its key columns, and its other columns with their types."""

    name: str
    keys: tuple[str, ...]
    columns: Mapping[str, str]


_TABLES: Final[Mapping[type, _Table]] = {
    CatalogCalendar: _Table(
        "calendar",
        ("calendar_id",),
        {
            "weekdays": "text",
            "closed": "int[]",
            "opened": "int[]",
            "holiday_country": "text",
            "holiday_subdivision": "text",
            "holidays": "int[]",
            "holidays_through": "int",
            "holidays_library": "text",
        },
    ),
    CatalogService: _Table(
        "carrier_service",
        ("service",),
        {"pick_up_calendar": "text", "cut_off": "time", "pick_up_time": "time", "active": "bool"},
    ),
    CatalogLocation: _Table(
        "location",
        ("location_id",),
        {
            "kind": "text",
            "active": "bool",
            "processing_days": "int",
            "zone_name": "text",
            "calendar_id": "text",
            "dock_to_stock_days": "int",
            "closes_at": "time",
            "ready_minutes": "int",
            "lead_time_days": "int",
        },
    ),
    CatalogLane: _Table(
        "lane",
        ("zone", "location_id", "service"),
        {
            "carrier_class": "text",
            "rank": "int",
            "transit_days": "int",
            "cost_shipment_minor": "bigint",
            "cost_unit_minor": "bigint",
            "cost_kg_minor": "bigint",
            "active": "bool",
        },
    ),
    CatalogZone: _Table("zone_rule", ("country", "low", "high"), {"zone": "text", "active": "bool"}),
}
_READ: Final[Mapping[NetworkKind, str]] = {
    "location": "SELECT location_id AS location, kind, active, processing_days, zone_name AS time_zone,"
    " dock_to_stock_days, to_char(closes_at, 'HH24:MI') AS closes_at, ready_minutes,"
    " lead_time_days, calendar_id AS calendar, version FROM location ORDER BY location_id",
    "lane": "SELECT zone, location_id AS location, service, carrier_class, rank, transit_days, cost_shipment_minor,"
    " cost_unit_minor, cost_kg_minor, active, version FROM lane ORDER BY zone, rank, location_id, service",
    "service": "SELECT service, pick_up_calendar, to_char(cut_off, 'HH24:MI') AS cut_off,"
    " to_char(pick_up_time, 'HH24:MI') AS pick_up_time, active, version"
    " FROM carrier_service ORDER BY service",
    "calendar": "SELECT calendar_id AS calendar, weekdays, closed, opened, holiday_country, holiday_subdivision,"
    " holidays, holidays_through, holidays_library, version FROM calendar ORDER BY calendar_id",
    "zone": "SELECT country, low, high, zone, active, version FROM zone_rule ORDER BY country, low, high",
}
_RAISE_ZONES: Final = "UPDATE configuration SET zones_version = zones_version + 1"
_LOCATIONS: Final = "SELECT location_id FROM location WHERE location_id = ANY($1::text[])"
_CALENDARS: Final = "SELECT calendar_id FROM calendar WHERE calendar_id = ANY($1::text[])"


class PostgresNetwork:
    """`Network` over a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def store(self, entries: Sequence[NetworkEntry], *, checked: bool, author: str) -> Stored:
        """See the port."""
        without = _unknown_holidays(entries)
        if not entries or (checked and without):
            return Stored(0, without)
        known = [each for each in entries if holidays_name(each) not in {name.name for name in without}]

        async def work(connection: Connection) -> Stored:
            unknown = await _unknown(connection, entries) if checked else ()
            if unknown:
                return Stored(0, unknown)
            now = await business_now(connection)
            audited: list[AuditEntry] = []
            for kind, table in _TABLES.items():
                rows = _newest([each for each in known if isinstance(each, kind)], table, now.year)
                if rows:
                    written = await connection.fetch(_upsert(table), orjson.dumps(rows).decode())
                    names = {tuple(row) for row in written}
                    changed = [row for row in rows if tuple(row[key] for key in table.keys) in names]
                    audited += _audited(kind, changed, author)
            if audited:
                await raise_version(connection)
                await mark_all_waiting(connection, now, NETWORK_CHANGED)
                if any(isinstance(each, CatalogZone) for each in entries):
                    await connection.execute(_RAISE_ZONES)
                await audit.append(connection, audited, now)
            return Stored(len(audited), without)

        return await self._database.run(work, label="network")

    async def read(self, kind: NetworkKind) -> list[Values]:
        """See the port."""

        async def work(connection: Connection) -> list[Values]:
            return [_SHOWN.get(kind, dict)(dict(row)) for row in await connection.fetch(_READ[kind])]

        return await self._database.read(work)

    async def expand_holidays(self, author: str) -> list[str]:
        """See the port."""
        return await expand_again(self._database, author)

    async def resolve(self, country: str, postcode: str | None) -> Values | None:
        """See the port."""

        async def work(connection: Connection) -> Values | None:
            rules = (await read_zone_map(connection)).matching(country, postcode)
            found = list(islice(rules, RULES_SHOWN_MAX))
            if not found:
                return None
            shown = [{"zone": rule.zone, "rule": _shown_rule(rule._asdict())} for rule in found]
            return {**shown[0], "why": _why(found, postcode), "others": shown[1:]}

        return await self._database.read(work)


def _why(found: Sequence[ZoneRule], postcode: str | None) -> str:
    """Why the first of the rules that match decides, in a sentence."""
    rule = found[0]
    if rule.country == EVERY_COUNTRY:
        return "No rule of the country matches; this one is of every country."
    if not rule.low:
        given = "no postcode was given" if postcode is None else f"no rule of a postcode matches {postcode}"
        return f"It is of the whole country: {given}."
    what = (
        f"postcodes from {rule.low} to {rule.high}"
        if rule.low != rule.high
        else f"postcodes that begin with {rule.low}"
    )
    if len(found) == 1 or not found[1].low:
        return f"It is the one rule of {what}, and a postcode's rule goes before one of a whole country."
    return f"Of the rules that match, the one of {what} fixes the postcode most closely."


def _audited(kind: type, rows: Sequence[Values], author: str) -> list[AuditEntry]:
    """That entries were defined; of lists only how long they are."""
    noun, keys = kind.__name__.removeprefix("Catalog").lower(), _TABLES[kind].keys
    return [
        AuditEntry(
            author,
            f"{noun}.defined",
            "/".join(str(row[key]) for key in keys),
            {name: len(value) if isinstance(value, list) else value for name, value in row.items() if name not in keys},
        )
        for row in rows
    ]


def _upsert(table: _Table) -> str:
    names = (*table.keys, *table.columns)
    returned = ", ".join(f"old.{key}" for key in table.keys)
    changes = ", ".join(f"{name} = excluded.{name}" for name in table.columns)
    typed = ", ".join([*(f"{key} text" for key in table.keys), *(f"{n} {t}" for n, t in table.columns.items())])
    return f"""
    INSERT INTO {table.name} AS old ({", ".join(names)}, version)
    SELECT {", ".join(names)}, version FROM jsonb_to_recordset($1::jsonb) AS k ({typed}, version bigint)
    ON CONFLICT ({", ".join(table.keys)}) DO UPDATE SET {changes},
        version = CASE WHEN excluded.version = 0 THEN old.version + 1 ELSE excluded.version END
    WHERE excluded.version = 0 OR old.version < excluded.version
    RETURNING {returned}
    """  # noqa: S608 - made of constants


def _newest(entries: Sequence[NetworkEntry], table: _Table, year: int) -> list[Values]:
    """Rows in key order; of several for one key the last one of the highest version."""
    rows: dict[tuple[str, ...], Values] = {}
    for entry in entries:
        row = _row(entry, year)
        key = tuple(row[name] for name in table.keys)
        if key not in rows or row["version"] == 0 or rows[key]["version"] <= row["version"]:
            rows[key] = row
    return [rows[key] for key in sorted(rows)]


def _row(entry: NetworkEntry, year: int) -> Values:
    row = entry.model_dump(mode="json") | {"version": entry.version or 0}
    match entry:
        case CatalogLocation():
            row["location_id"], row["zone_name"], row["calendar_id"] = entry.location, entry.time_zone, entry.calendar
        case CatalogLane():
            row["location_id"] = entry.location
        case CatalogService():
            pass
        case CatalogCalendar():
            row["calendar_id"] = entry.calendar
            row["weekdays"] = "".join("1" if day in entry.weekdays else "0" for day in WEEKDAYS)
            row["closed"] = _days(entry.closed)
            row["opened"] = _days(entry.opened)
            row |= _holidays(entry.holidays, year)
        case CatalogZone():
            row["low"] = plain_postcode(entry.postcode_from or entry.postcode_prefix or "")
            row["high"] = plain_postcode(entry.postcode_to or entry.postcode_prefix or "")
    return row


def _days(days: Sequence[date]) -> list[int]:
    return sorted({day.toordinal() for day in days})


def _holidays(said: PublicHolidays | None, year: int) -> Values:
    if said is None:
        return {"holidays": []}
    return {
        "holiday_country": said.country,
        "holiday_subdivision": said.subdivision,
        "holidays": expanded(said.country, said.subdivision, year),
        "holidays_through": through(year),
        "holidays_library": LIBRARY,
    }


def _unknown_holidays(entries: Sequence[NetworkEntry]) -> tuple[UnknownName, ...]:
    """The holidays that calendars name and nobody knows."""
    found: dict[str, None] = {}
    for each in entries:
        if isinstance(each, CatalogCalendar) and each.holidays is not None:
            try:
                expanded(each.holidays.country, each.holidays.subdivision, FIRST_DAY.year)
            except HolidaysUnknown:
                found[holidays_name(each) or ""] = None
    return tuple(UnknownName("holidays", name) for name in found)


async def _unknown(connection: Connection, entries: Sequence[NetworkEntry]) -> tuple[UnknownName, ...]:
    locations = {each.location for each in entries if isinstance(each, CatalogLane)}
    named = [each.calendar for each in entries if isinstance(each, CatalogLocation)]
    named += [each.pick_up_calendar for each in entries if isinstance(each, CatalogService)]
    calendars = {name for name in named if name is not None}
    known_locations = {row[0] for row in await connection.fetch(_LOCATIONS, sorted(locations))}
    known_calendars = {row[0] for row in await connection.fetch(_CALENDARS, sorted(calendars))}
    return (
        *(UnknownName("location", name) for name in sorted(locations - known_locations)),
        *(UnknownName("calendar", name) for name in sorted(calendars - known_calendars)),
    )


def _shown_calendar(row: Values) -> Values:
    country, subdivision = row.pop("holiday_country"), row.pop("holiday_subdivision")
    last, library = row.pop("holidays_through"), row.pop("holidays_library")
    return row | {
        "weekdays": [day for day, flag in zip(WEEKDAYS, row["weekdays"], strict=True) if flag == "1"],
        "closed": [date.fromordinal(day).isoformat() for day in row["closed"]],
        "opened": [date.fromordinal(day).isoformat() for day in row["opened"]],
        "holidays": None if country is None else {"country": country, "subdivision": subdivision},
        "expanded": None
        if country is None
        else {
            "closed": [date.fromordinal(day).isoformat() for day in row["holidays"]],
            "through": date.fromordinal(last).isoformat(),
            "library": library,
        },
    }


def _shown_rule(row: Values) -> Values:
    low, high = row.pop("low"), row.pop("high")
    is_range = low != high
    return row | {
        "postcode_prefix": None if is_range or not low else low,
        "postcode_from": low if is_range else None,
        "postcode_to": high if is_range else None,
    }


_SHOWN: Final[Mapping[NetworkKind, Callable[[Values], Values]]] = {"calendar": _shown_calendar, "zone": _shown_rule}
