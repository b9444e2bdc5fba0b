"""Those who wait in order of service, and the marks of positions at which they are to be asked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, Protocol

from services.atp.application.content import OrderKey
from services.atp.application.orders import Backorder
from services.atp.domain.model import Day, PositionKey
from services.atp.domain.order_of_service import ServiceKey


@dataclass(frozen=True, slots=True)
class Mark:
    """Quantity was freed at a position and not yet offered to all backorders; `after` is the last one asked."""

    at: datetime
    cause: str
    after: ServiceKey | None = None


class Place(NamedTuple):
    """A place in an item's order of service, and how many lines after it are asked for."""

    after: ServiceKey | None
    lines: int


class MarkedItem(NamedTuple):
    """An item with freed quantity, and how many of its lines wait (counted up to a portion)."""

    item_id: str
    lines: int


class Backorders(Protocol):
    """Open backorders, and what is promised late, in order of service."""

    async def falling(self, items: Sequence[str], tiers: Sequence[str], today: Day, limit: int) -> list[OrderKey]:
        """Orders with open parts of items that were decided by tiers and ship after today; read without a lock.

        Those of the tiers named first come first, then those that arrive last, then the newest.
        """
        ...

    async def late(self, items: Sequence[str]) -> list[str]:
        """The items of which something is promised late."""
        ...

    async def marks(self, items: Sequence[str]) -> dict[PositionKey, Mark]:
        """The items' positions with freed quantity; read without a lock."""
        ...

    async def next(self, places: Mapping[str, Place]) -> dict[str, list[Backorder]]:
        """By item, the next backorders after a place in the order of service."""
        ...

    async def waiting_after(self, places: Mapping[str, Place], basis: int) -> dict[str, dict[int, int]]:
        """By item, the quantity by lead of the backorders after a place in the order of service."""
        ...

    async def outdated(self, items: Sequence[str], basis: int, limit: int) -> list[Backorder]:
        """Backorders of items whose keys are of a former basis, as many as a portion."""
        ...

    async def outdate(self, customer_ids: Sequence[str]) -> None:
        """Let the keys of customers' backorders be set anew: their tiers changed."""
        ...
