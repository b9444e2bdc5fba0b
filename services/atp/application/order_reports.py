"""What is told of an order besides its goods, as values, and where it is kept."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, NamedTuple, Protocol
from uuid import UUID

from services.atp.application.commands import Origin, Remembered
from services.atp.application.content import OrderKey


class ReportName(NamedTuple):
    """A source's name for one report of an order."""

    key: OrderKey
    source: str
    reference: str


@dataclass(frozen=True, slots=True)
class ReportOrder:
    """A discrepancy (`what`: its kind, of a line) or an activity (`what`: which) of an order."""

    name: ReportName
    kind: Literal["discrepancy", "activity"]
    what: str
    line: str | None
    quantity: int
    actual_cost_minor: int | None
    occurred_at: datetime
    origin: Origin
    remembered: Remembered | None = None
    lines: int = 1


@dataclass(frozen=True, slots=True)
class ReportEntry:
    """A report as it is stored; `outcome` says whether the order is known and has the line."""

    report: ReportOrder
    promise_id: UUID | None
    outcome: str


class OrderReports(Protocol):
    """Reports of orders; read and written under the locks of their orders."""

    async def known(self, names: Sequence[ReportName]) -> list[ReportName]:
        """Which of these are recorded."""
        ...

    async def store(self, entries: Sequence[ReportEntry]) -> None:
        """Write reports."""
        ...
