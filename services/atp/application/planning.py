"""What planners set: items, protections and quotas, each as a whole that is stored or not."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Protocol

from services.atp.domain.model import Node
from services.contracts.items import CatalogItem

AllocationKind = Literal["protection", "quota", "hierarchy"]
Values = dict[str, Any]


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


@dataclass(frozen=True, slots=True)
class DocumentHead:
    """A document's next version, from when it is in effect (None: at once), and who wrote it."""

    document_id: str
    effective_from: datetime | None
    author: str
    body: bytes


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

    async def store_protections(self, head: DocumentHead, rows: Sequence[ProtectionRow]) -> int:
        """Write the next version of a protection document; its version. Raises PeriodsOverlap."""
        ...

    async def store_quotas(self, head: DocumentHead, rows: Sequence[QuotaRow]) -> int:
        """Write the next version of a quota document; its version."""
        ...

    async def store_hierarchy(self, head: DocumentHead, row: HierarchyRow) -> int:
        """Write the next version of a hierarchy document; its version. Raises PeriodsOverlap."""
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

    async def document(self, document_id: str, kind: AllocationKind, version: int | None = None) -> Values | None:
        """A version of a document, by default the newest, with what each of its lines has given so far."""
        ...

    async def documents(self) -> list[Values]:
        """The versions of all documents: which, of what kind, from when to when, by whom."""
        ...
