"""Bookable daily capacity as planners write it, and as the rows that are stored."""

from datetime import date
from typing import Annotated, Any, ClassVar, Final, Literal, Self

from pydantic import Field, model_validator

from services.atp.application.planning import AllocationKind, CapacityRow, ShareRow, capacity_name
from services.contracts.payload import Code, Day, Moment, Payload, QuantityOrZero

LINES_MAX: Final = 1_000  # of one document: locations and services
EXCEPTIONS_MAX: Final = 732  # of one line: every day of two years
SHARES_MAX: Final = 50  # of one line: as many as there are tiers in metrics
LAPSE_DAYS_MAX: Final = 365
DIGITS_MAX: Final = 15
DAYS_MAX: Final = 366  # of one answer
WEEKDAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_SHARE: Final = ("quantity", "mode", "lapse_days")  # of a cell, after the tier
_NUMBERS: Final = ("quantity", "lapse_days")


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
            raise ValueError("a day is an exception once")
        if len({each.tier for each in self.shares}) < len(self.shares):
            raise ValueError("a tier has one share")
        return self

    def row(self) -> CapacityRow:
        """As it is stored."""
        return CapacityRow(
            self.location,
            self.service,
            tuple(getattr(self, day) for day in WEEKDAYS),
            tuple(sorted((each.day.toordinal(), each.units) for each in self.exceptions)),
            tuple(ShareRow(each.tier, each.quantity, each.mode, each.lapse_days) for each in self.shares),
        )


class CapacityDocument(Payload):
    """Capacities that change together. Without `effective_from` they are in effect at once; without lines they end."""

    kind: ClassVar[AllocationKind] = "capacity"
    effective_from: Moment | None = None
    lines: Annotated[tuple[CapacityLine, ...], Field(max_length=LINES_MAX)]

    @model_validator(mode="after")
    def _apart(self) -> Self:
        names = {capacity_name(line.location, line.service): None for line in self.lines}
        if len(names) < len(self.lines):
            raise ValueError("a location and service is named once")
        return self

    def rows(self) -> tuple[CapacityRow, ...]:
        """As they are stored."""
        return tuple(line.row() for line in self.lines)

    def body(self) -> dict[str, Any]:
        """What is kept of the document beside its rows."""
        return {"lines": [line.model_dump(mode="json") for line in self.lines]}


class TierOfDay(Payload):
    """A tier's share of a day: what the tier has booked, and what is still kept for it."""

    tier: str
    share: int
    booked: int
    kept: int


class CapacityOfDay(Payload):
    """A ship day: `free` is for everybody, `overbooked` what is booked beyond its units since these were lowered."""

    day: date
    units: int
    booked: int
    overbooked: int
    free: int
    tiers: tuple[TierOfDay, ...]


class CapacityUse(Payload):
    """A capacity, day by day."""

    location: str
    service: str | None
    days: tuple[CapacityOfDay, ...]


class CapacityDays(Payload):
    """The capacities of a document; none while no version of it is in effect."""

    document_id: str
    items: tuple[CapacityUse, ...]


def exceptions_text(exceptions: tuple[CapacityException, ...]) -> str:
    """Exceptions as the cell of a table: `2026-12-24=50;2026-12-25=0`."""
    return ";".join(f"{each.day}={each.units}" for each in sorted(exceptions, key=_day))


def shares_text(shares: tuple[CapacityShareLine, ...]) -> str:
    """Shares as the cell of a table: `gold=40;silver=20:core:2` (tier, quantity, mode, lapse days)."""
    return ";".join(f"{each.tier}={each.quantity}:{each.mode}:{each.lapse_days}" for each in shares)


def exceptions_of(cell: str) -> Any:
    """What `exceptions_text` wrote, or a person; values as the schema wants them, or the text where it is none."""
    found = []
    for part in _parts(cell):
        day, equals, units = part.partition("=")
        if not equals or not _is_number(units):
            return cell
        found.append({"day": day.strip(), "units": int(units)})
    return tuple(found)


def shares_of(cell: str) -> Any:
    """What `shares_text` wrote, or a person; values as the schema wants them, or the text where it is none."""
    found = []
    for part in _parts(cell):
        tier, equals, rest = part.rpartition("=")
        given = [each.strip() for each in rest.split(":")]
        share: dict[str, Any] = {"tier": tier.strip(), **dict(zip(_SHARE, given, strict=False))}
        if not equals or len(given) > len(_SHARE) or not all(_is_number(share.get(n, "0")) for n in _NUMBERS):
            return cell
        found.append({name: int(each) if name in _NUMBERS else each for name, each in share.items()})
    return tuple(found)


def _parts(cell: str) -> list[str]:
    return [part.strip() for part in cell.split(";") if part.strip()]


def _is_number(text: str) -> bool:
    text = text.strip()
    return text.isascii() and text.isdecimal() and len(text) <= DIGITS_MAX


def _day(each: CapacityException) -> date:
    return each.day
