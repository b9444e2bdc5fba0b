"""What planners set: items, protections and quotas, each as a whole that is stored or not."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Protocol

from services.contracts.items import CatalogItem

AllocationKind = Literal["protection", "quota"]
Values = dict[str, Any]


class PeriodsOverlap(Exception):  # noqa: N818 - says what is wrong
    """Two periods of one tier at one position overlap."""


@dataclass(frozen=True, slots=True)
class ProtectionRow:
    """A minimum for a tier at a position in a period (days inclusive)."""

    item_id: str
    location_id: str
    tier: str
    start_day: int
    end_day: int
    quantity: int
    mode: str
    lapse_days: int
    carry_stock: bool


@dataclass(frozen=True, slots=True)
class QuotaRow:
    """A maximum for what matches, in a period (days inclusive)."""

    start_day: int
    end_day: int
    quantity: int
    tier: str | None
    item_id: str | None
    zone: str | None
    channel: str | None


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

    async def document(self, document_id: str, kind: AllocationKind) -> Values | None:
        """The newest version of a document, with what each of its lines has given so far."""
        ...
