"""Bookable daily capacity as planners write it, and as the rows that are stored."""

from datetime import date
from typing import Any, ClassVar, Final

from services.atp.application.planning import AllocationKind, CapacityRow, ShareRow
from services.contracts.capacity import Capacities, CapacityException, CapacityLine, CapacityShareLine
from services.contracts.payload import Payload

DIGITS_MAX: Final = 15
DAYS_MAX: Final = 366  # of one answer
WEEKDAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_SHARE: Final = ("quantity", "mode", "lapse_days")  # of a cell, after the tier
_NUMBERS: Final = ("quantity", "lapse_days")


class CapacityDocument(Capacities):
    """Capacities that change together. Without `effective_from` they are in effect at once; without lines they end."""

    kind: ClassVar[AllocationKind] = "capacity"

    def rows(self) -> tuple[CapacityRow, ...]:
        """As they are stored."""
        return tuple(row_of(line) for line in self.lines)

    def body(self) -> dict[str, Any]:
        """What is kept of the document beside its rows."""
        return {"lines": [line.model_dump(mode="json") for line in self.lines]}


def row_of(line: CapacityLine) -> CapacityRow:
    """A line as it is stored."""
    return CapacityRow(
        line.location,
        line.service,
        tuple(getattr(line, day) for day in WEEKDAYS),
        tuple(sorted((each.day.toordinal(), each.units) for each in line.exceptions)),
        tuple(ShareRow(each.tier, each.quantity, each.mode, each.lapse_days) for each in line.shares),
    )


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
