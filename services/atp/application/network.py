"""The network as planners and `catalog.v1` set it: locations, lanes, services, calendars and zones."""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, Protocol

from services.contracts.network import CatalogCalendar, NetworkEntry

NetworkKind = Literal["location", "lane", "service", "calendar", "zone"]
Values = dict[str, Any]


class UnknownName(NamedTuple):
    """A name that an entry refers to and nothing defines."""

    kind: Literal["location", "calendar", "holidays"]
    name: str


class Stored(NamedTuple):
    """How many entries were newer than what was stored, or the names that stood in the way of all of them."""

    stored: int
    unknown: tuple[UnknownName, ...] = ()


class Network(Protocol):
    """Keeps the network; each method is one transaction."""

    async def store(self, entries: Sequence[NetworkEntry], *, checked: bool, author: str) -> Stored:
        """Write entries at their versions, and who did; `checked`: only if all that they name is defined.

        Events come in any order, and are not checked: what needs a calendar that is not known yet ships nothing. A
        calendar whose public holidays nobody knows is left out in any case, and told.
        """
        ...

    async def read(self, kind: NetworkKind) -> list[Values]:
        """All entries of a kind, in the order of their keys."""
        ...

    async def expand_holidays(self, author: str) -> list[str]:
        """Work the public holidays of calendars out again where that is due; the names of these calendars."""
        ...

    async def resolve(self, country: str, postcode: str | None) -> Values | None:
        """The zone of a destination, the rule that decided, why, and which others match; None if none does."""
        ...


def holidays_name(entry: NetworkEntry) -> str | None:
    """The public holidays that a calendar names, as one name."""
    if not isinstance(entry, CatalogCalendar) or entry.holidays is None:
        return None
    return "-".join(part for part in (entry.holidays.country, entry.holidays.subdivision) if part is not None)
