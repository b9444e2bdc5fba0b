"""What things cost: landed costs of items and rates of activities, each in effect from a day on."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal, Protocol

from services.atp.domain.model import Day
from services.contracts.costs import ActivityRate, LandedCost

RateKind = Literal["landed", "activity"]


@dataclass(frozen=True, slots=True)
class RateRow:
    """What an item or an activity costs once, from a day on; None withdraws the entry of that day."""

    kind: RateKind
    name: str
    effective_day: Day
    version: int
    amount_minor: Decimal | None


class CostInputs(Protocol):
    """Keeps effective-dated costs."""

    async def store(self, rows: Sequence[RateRow], author: str) -> int:
        """Write entries at their versions; how many were newer. What changes in closed months is listed there."""
        ...

    async def rates(self, kind: RateKind, name: str | None) -> list[dict[str, Any]]:
        """Entries of a kind, of one name or of all, by name and day."""
        ...


def rate_row(said: LandedCost | ActivityRate) -> RateRow:
    """The entry that was told."""
    match said:
        case LandedCost():
            return RateRow("landed", said.sku, said.effective_from.toordinal(), said.version, said.cost_minor)
        case ActivityRate():
            return RateRow("activity", said.activity, said.effective_from.toordinal(), said.version, said.rate_minor)
