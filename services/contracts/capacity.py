"""Bookable daily capacity of locations on `catalog.v1` and over HTTP: how many units may leave on a ship day.

Each document is replaced whole by its next version, from its effective date on; one without lines ends what it said.
"""

from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from services.contracts.payload import Code, Day, Moment, Note, Payload, QuantityOrZero, Version, broken_rule

LINES_MAX: Final = 1_000  # of one document: locations and services
EXCEPTIONS_MAX: Final = 732  # of one line: every day of two years
SHARES_MAX: Final = 50  # of one line: as many as there are tiers in metrics
LAPSE_DAYS_MAX: Final = 365


class CapacityException(Payload):
    """Another quantity on a single day; 0 for a day on which nothing ships."""

    day: Day
    units: QuantityOrZero


class CapacityShareLine(Payload):
    """What of each day is kept for a tier, as a protection keeps stock.

    `prioritised`: from the tiers that rank behind it; `core`: from all others. What of it is not booked is for
    everybody from `lapse_days` before the ship day on (0: never, until the day is over).
    """

    tier: Code
    quantity: QuantityOrZero
    mode: Literal["prioritised", "core"] = "prioritised"
    lapse_days: Annotated[int, Field(strict=True, ge=0, le=LAPSE_DAYS_MAX)] = 0


class CapacityLine(Payload):
    """Units of all items together that may leave a location on a ship day, in the days of the location.

    By one `service`, or, without it, by all services together; a promise has to fit both. Past bookings count until
    their day is over; a shipment gives nothing back.
    """

    location: Code
    service: Code | None = None
    mon: QuantityOrZero
    tue: QuantityOrZero
    wed: QuantityOrZero
    thu: QuantityOrZero
    fri: QuantityOrZero
    sat: QuantityOrZero
    sun: QuantityOrZero
    exceptions: Annotated[tuple[CapacityException, ...], Field(max_length=EXCEPTIONS_MAX)] = ()
    shares: Annotated[tuple[CapacityShareLine, ...], Field(max_length=SHARES_MAX)] = ()

    @model_validator(mode="after")
    def _once(self) -> Self:
        if len({each.day for each in self.exceptions}) < len(self.exceptions):
            raise broken_rule("a day is an exception once")
        if len({each.tier for each in self.shares}) < len(self.shares):
            raise broken_rule("a tier has one share")
        return self


class Capacities(Payload):
    """Capacities that change together. Without `effective_from` they are in effect at once; without lines they end."""

    effective_from: Moment | None = None
    lines: Annotated[tuple[CapacityLine, ...], Field(max_length=LINES_MAX)]

    @model_validator(mode="after")
    def _apart(self) -> Self:
        names = {(line.location, line.service): None for line in self.lines}
        if len(names) < len(self.lines):
            raise broken_rule("a location and service is named once")
        return self


class CatalogCapacity(Capacities):
    """`catalog.capacity.v1`: a document of capacities at a version of its source; the highest counts."""

    document: Code
    version: Version
    author: Note = ""
