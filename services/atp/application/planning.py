"""What planners set: items, protections and quotas, each as a whole that is stored or not."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, NamedTuple, Protocol

from services.atp.domain.model import Node
from services.contracts.items import CatalogItem

AllocationKind = Literal["protection", "quota", "hierarchy", "capacity"]
Values = dict[str, Any]


class VersionMoved(Exception):  # noqa: N818 - says what is wrong
    """The document's newest version is not the one that a change was made from; None: it was written just now."""

    def __init__(self, current: int | None) -> None:
        super().__init__(current)
        self.current = current


class OtherKind(Exception):  # noqa: N818 - says what is wrong
    """The document exists and is of another kind."""


class PeriodsOverlap(Exception):  # noqa: N818 - says what is wrong
    """Two periods of one tier at one position overlap, or two hierarchies of one item."""


@dataclass(frozen=True, slots=True)
class ProtectionRow:
    """A minimum for a tier in a period (days inclusive), at one location, at several, or (None) at all together."""

    item_id: str
    locations: tuple[str, ...] | None
    is_group: bool
    tier: str
    start_day: int
    end_day: int
    quantity: int
    mode: str
    lapse_days: int
    carry_stock: bool
    basis: str = "quantity"
    share: int = 0
    unconsumable: bool = False
    strict: bool = False
    expected: int | None = None

    @property
    def scope(self) -> int:
        """0: one position, 1: several, 2: all."""
        if not self.is_group:
            return 0
        return 2 if self.locations is None else 1


@dataclass(frozen=True, slots=True)
class QuotaRow:
    """A maximum for what matches, in a period (days inclusive). Rows of one `series` are the periods of one quota."""

    series: int
    start_day: int
    end_day: int
    quantity: int
    tier: str | None = None
    item_id: str | None = None
    zone: str | None = None
    channel: str | None = None
    region: str | None = None
    customer_id: str | None = None
    item_group: str | None = None
    backward: int = 0
    forward: int = 0


@dataclass(frozen=True, slots=True)
class HierarchyRow:
    """A tree of allocations of one item; in shortage its quantities are divided by fair share, if it says so."""

    item_id: str
    periods: tuple[tuple[int, int], ...]
    nodes: tuple[Node, ...]
    pool: str
    fair_share: bool


class ShareRow(NamedTuple):
    """What of a capacity is kept for a tier; see `services.atp.domain.model.CapacityShare`."""

    tier: str
    quantity: int
    mode: str
    lapse_days: int


@dataclass(frozen=True, slots=True)
class CapacityRow:
    """Units that may leave a location on a day, by one service or (None) by all together; weekdays Monday first.

    `exceptions` are (day, units), ascending.
    """

    location_id: str
    service: str | None
    weekdays: tuple[int, ...]
    exceptions: tuple[tuple[int, int], ...] = ()
    shares: tuple[ShareRow, ...] = ()

    @property
    def capacity_id(self) -> str:
        """See `capacity_name`."""
        return capacity_name(self.location_id, self.service)


def capacity_name(location_id: str, service: str | None) -> str:
    """The id of a capacity: the same, whichever document says how much it is. `@` and `/` are in no code."""
    return location_id if service is None else f"{location_id}@{service}"


@dataclass(frozen=True, slots=True)
class DocumentHead:
    """A document's next version, from when it is in effect (None: at once), and who wrote it.

    `base` is the version that it was made from; 0: there was none; None: whichever is the newest. `version` is the one
    that its source gives it, which has to be above the newest; None: the next.
    """

    document_id: str
    effective_from: datetime | None
    author: str
    body: bytes
    base: int | None = None
    version: int | None = None


@dataclass(frozen=True, slots=True)
class Draft:
    """A document's next version as it is stored: `rows` are of its kind, one for a hierarchy."""

    kind: AllocationKind
    head: DocumentHead
    rows: tuple[ProtectionRow, ...] | tuple[QuotaRow, ...] | tuple[HierarchyRow] | tuple[CapacityRow, ...]

    def named_items(self) -> list[str | None]:
        """The items that its rows name; None: a row is for all. Capacities name none."""
        return [row.item_id for row in self.rows if not isinstance(row, CapacityRow)]

    def capacities(self) -> list[CapacityRow]:
        """Its rows of capacities."""
        return [row for row in self.rows if isinstance(row, CapacityRow)]


class Names(NamedTuple):
    """Names of items, locations and tiers."""

    items: tuple[str, ...]
    locations: tuple[str, ...]
    tiers: tuple[str, ...]


class Planning(Protocol):
    """Keeps what planners set; each method is one transaction."""

    async def store_items(self, items: Sequence[CatalogItem]) -> int:
        """Write items at their versions; how many were newer than what is stored."""
        ...

    async def items(self, after: str, limit: int) -> list[Values]:
        """Items in order of their ids, after one."""
        ...

    async def item(self, sku: str) -> Values | None:
        """One item."""
        ...

    async def store_document(self, draft: Draft) -> int:
        """Write the next version of a document; its version. Raises PeriodsOverlap, VersionMoved, OtherKind."""
        ...

    async def serve_waiting(self) -> int:
        """Let all that waits be offered what is free, in order of service; how many items have something waiting."""
        ...

    async def store_region(self, region: str, zones: Sequence[str]) -> None:
        """Let a region be these zones; a zone is of one region at most."""
        ...

    async def regions(self) -> dict[str, list[str]]:
        """The zones of all regions."""
        ...

    async def document(
        self, document_id: str, kind: AllocationKind, version: int | None = None, at: datetime | None = None
    ) -> Values | None:
        """A version of a document, by default the newest, or the one in effect at a time, with what its lines gave."""
        ...

    async def versions(self, document_id: str, kind: AllocationKind, before: int | None, limit: int) -> list[Values]:
        """The versions of a document before one, the newest first: from when to when, by whom, written when."""
        ...

    async def documents(self, at: datetime | None, after: str, limit: int) -> tuple[list[Values], str | None]:
        """The versions of documents after an id, or those in effect at a time; the last id where more may follow."""
        ...

    async def capacity_days(self, document_id: str, first: int | None, days: int) -> list[Values]:
        """What a document in effect says of each ship day from one on (None: today), and what is booked of it."""
        ...

    async def unknown(self, names: Names) -> Names:
        """Those of the names that nobody knows."""
        ...
