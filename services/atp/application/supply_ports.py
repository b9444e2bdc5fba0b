"""What the application needs from outside of the records of supply; part of `ports.Session`."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from services.atp.application.content import OrderKey
from services.atp.application.status_book import CountedStatus, StatusBook, StatusKey, TrackKey
from services.atp.application.supply_entries import (
    CountedSince,
    Entry,
    FulfilmentEntry,
    Reference,
    StreamKey,
    TransferKey,
)
from services.atp.domain.scheduled_receipts import Scheduled
from services.atp.domain.stock_intake import StockState
from services.atp.domain.transfers import Transfer


class SupplyRecords(Protocol):
    """What sources have said of positions; read and written under the locks of the positions."""

    async def states(self, streams: Sequence[StreamKey]) -> dict[StreamKey, StockState]:
        """How far each source has told, for those that have said anything."""
        ...

    async def known(self, names: Sequence[Reference]) -> list[Reference]:
        """Which of these movements, shipments or counts are recorded."""
        ...

    async def scheduled(self, names: Sequence[Reference]) -> dict[Reference, Scheduled]:
        """Scheduled receipts that are known."""
        ...

    async def later(self, counted: CountedSince) -> int:
        """The sum of recorded movements of the position that a count does not include."""
        ...

    async def store(
        self,
        entries: Sequence[Entry],
        states: Mapping[StreamKey, StockState],
        scheduled: Mapping[Reference, Scheduled],
    ) -> None:
        """Write entries of the supply ledger, states and scheduled receipts."""
        ...

    async def statuses(self, streams: Sequence[StreamKey]) -> tuple[dict[StatusKey, int], dict[TrackKey, StockState]]:
        """Stock of the streams' positions that is not available, and what the streams have said of it."""
        ...

    async def later_of_status(self, counted: CountedStatus) -> int:
        """The sum of recorded movements of a status that a count does not include."""
        ...

    async def store_statuses(self, book: StatusBook) -> None:
        """Write what a batch changed of stock that is not available."""
        ...

    async def transfers(self, keys: Sequence[TransferKey], *, lock: bool) -> dict[TransferKey, Transfer]:
        """The transfers that are known; `lock`: made where they are not, and locked in key order."""
        ...

    async def store_transfers(self, changed: Mapping[TransferKey, Transfer]) -> None:
        """Write transfers, which are locked."""
        ...

    async def known_deliveries(self, names: Sequence[tuple[OrderKey, str, str]]) -> list[tuple[OrderKey, str, str]]:
        """Which of these deliveries (order, source, reference) are recorded."""
        ...

    async def store_fulfilments(self, entries: Sequence[FulfilmentEntry]) -> None:
        """Write what the warehouse did."""
        ...
