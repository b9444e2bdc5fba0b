"""The network on `catalog.v1` and over HTTP: locations, lanes, carrier services, calendars and zones.

Of each entry the highest version counts. One without a version counts as the next one after what is stored: for
whoever sets it by hand. What is not wanted any more is said again with `active` false.
"""

from datetime import time
from typing import Annotated, Any, Final, Literal, Self
from zoneinfo import available_timezones

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, WithJsonSchema, model_validator

from services.contracts.payload import Code, Country, Day, MinorUnits, Payload, Postcode, Version, broken_rule

DAYS_MAX: Final = 365  # transit or processing longer than a year is a mistake
RANK_MAX: Final = 1_000_000
READY_MINUTES_MAX: Final = 10_080  # a week; what takes longer takes processing days
CALENDAR_DAYS_MAX: Final = 1_000  # named days of one calendar: holidays of several decades
OF_THE_MACHINE: Final = frozenset({"localtime", "posixrules"})  # files beside those of the IANA
LocationKind = Literal["distribution_center", "store", "drop_ship", "third_party", "make_to_order"]
Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
Days = Annotated[int, Field(strict=True, ge=0, le=DAYS_MAX)]


def _known_zone(name: str) -> str:
    """What a machine calls its own is another zone on another machine, or none."""
    if name not in available_timezones() or name in OF_THE_MACHINE:
        raise broken_rule("not an IANA time zone")
    return name


def _written_as_time(value: object) -> object:
    if isinstance(value, time) or (isinstance(value, str) and len(value) == len("15:00") and value[2] == ":"):
        return value
    raise broken_rule("not a time as hh:mm")


_TIME_SCHEMA: Final[dict[str, Any]] = {"type": "string", "pattern": "^([01][0-9]|2[0-3]):[0-5][0-9]$"}
TimeZone = Annotated[str, Field(max_length=64), AfterValidator(_known_zone)]
LocalTime = Annotated[
    time,
    BeforeValidator(_written_as_time),
    PlainSerializer(lambda value: f"{value:%H:%M}", return_type=str, when_used="json-unless-none"),
    WithJsonSchema(_TIME_SCHEMA),
]


class LocationTerms(Payload):
    """A place that ships. Goods due at its dock can be promised from `dock_to_stock_days` working days later.

    These days count for receipts and transfers that are said, or said again, from then on. Processing takes working
    days of `calendar`; without one, any days. Its day is that of its time zone.

    At a `store` customers who collect (lanes of the carrier class `pick_up`) can do so until `closes_at` of a day of
    its calendar, `ready_minutes` after they ordered at the soonest. With `lead_time_days` supply is assumed from so
    many working days of the location on, without a limit but its bookable capacity: of goods made to order, or of a
    drop-ship vendor that does not tell its stock. A location offers the items that it has a position of; an item is
    named there by a count, be it 0.
    """

    kind: LocationKind = "distribution_center"
    time_zone: TimeZone = "UTC"
    calendar: Code | None = None
    processing_days: Days = 0
    dock_to_stock_days: Days = 0
    closes_at: LocalTime | None = None
    ready_minutes: Annotated[int, Field(strict=True, ge=0, le=READY_MINUTES_MAX)] = 0
    lead_time_days: Days | None = None
    active: bool = True
    version: Version | None = None

    @model_validator(mode="after")
    def _of_its_kind(self) -> Self:
        if self.kind == "make_to_order" and self.lead_time_days is None:
            raise broken_rule("what is made to order has a lead time")
        if self.lead_time_days is not None and self.kind not in {"make_to_order", "drop_ship"}:
            raise broken_rule("a lead time is that of goods made to order, or of a vendor whose stock is not told")
        if self.kind != "store" and (self.closes_at is not None or self.ready_minutes):
            raise broken_rule("customers collect at a store")
        return self


class CatalogLocation(LocationTerms):
    """`catalog.location.v1`: a place that ships; see the terms of a location."""

    location: Code


class CatalogLane(Payload):
    """`catalog.lane.v1`: a location with a carrier service to a zone ("*": zones without lanes of their own)."""

    zone: Code
    location: Code
    service: Code
    carrier_class: Code
    rank: Annotated[int, Field(strict=True, ge=1, le=RANK_MAX)] = 1
    transit_days: Days
    cost_shipment_minor: MinorUnits = 0
    cost_unit_minor: MinorUnits = 0
    cost_kg_minor: MinorUnits = 0
    active: bool = True
    version: Version | None = None


class CatalogService(Payload):
    """`catalog.service.v1`: when a carrier service picks up.

    An order that comes after `cut_off`, by the clock of the location, is worked on from the next day. `pick_up_time` is
    when the carrier comes. Services that nothing is said of pick up every day, and take what comes until midnight.

    On the day on which a clock is set, a time that is there twice is meant the first time, and one that is missing is
    when the clock jumps over it.
    """

    service: Code
    pick_up_calendar: Code | None = None
    cut_off: LocalTime | None = None
    pick_up_time: LocalTime | None = None
    active: bool = True
    version: Version | None = None


class PublicHolidays(Payload):
    """The public holidays of a country (ISO 3166-1) or of a subdivision of it (ISO 3166-2, without the country)."""

    country: Country
    subdivision: Code | None = None


class CatalogCalendar(Payload):
    """`catalog.calendar.v1`: working or pick-up days: these weekdays, but not `closed` days, and `opened` ones too.

    Public `holidays` are closed days as well, but for those that are `opened`. They are worked out when the calendar is
    written, for the year and the three after it, and again as years pass.
    """

    calendar: Code
    weekdays: Annotated[tuple[Weekday, ...], Field(min_length=1, max_length=7)] = ("mon", "tue", "wed", "thu", "fri")
    closed: Annotated[tuple[Day, ...], Field(max_length=CALENDAR_DAYS_MAX)] = ()
    opened: Annotated[tuple[Day, ...], Field(max_length=CALENDAR_DAYS_MAX)] = ()
    holidays: PublicHolidays | None = None
    version: Version | None = None


class CatalogZone(Payload):
    """`catalog.zone.v1`: which zone a country's postcodes are in; the most specific rule decides.

    By prefix, by range (both ends included, of one length), or neither: the whole country. Country "*": all others.
    """

    country: Country | Literal["*"]
    postcode_prefix: Postcode | None = None
    postcode_from: Postcode | None = None
    postcode_to: Postcode | None = None
    zone: Code
    active: bool = True
    version: Version | None = None

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if (self.postcode_from is None) != (self.postcode_to is None):
            raise broken_rule("a range has a first and a last postcode")
        if self.postcode_from is not None and self.postcode_to is not None:
            first, last = (code.replace(" ", "").replace("-", "") for code in (self.postcode_from, self.postcode_to))
            if self.postcode_prefix is not None or len(first) != len(last) or first.upper() >= last.upper():
                raise broken_rule("a range goes from a postcode to a later one of the same length, and has no prefix")
        if self.country == "*" and (self.postcode_prefix or self.postcode_from):
            raise broken_rule("postcodes are those of a country")
        return self


NetworkEntry = CatalogLocation | CatalogLane | CatalogService | CatalogCalendar | CatalogZone
