"""What there is of an item and what is on its way, as its sources told it: for people and other systems to compare."""

from typing import Any, Protocol


class StockReader(Protocol):
    """Reads stock; nothing is locked."""

    async def stock(self, item_id: str) -> list[dict[str, Any]]:
        """By location: stock by status, what is due in, transfers, and what is assumed."""
        ...
