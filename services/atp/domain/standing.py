"""How a position stands: what there is, what is owed and coming, and the lowest that availability gets.

The lowest is the least A(s) over the days from today up to the checking horizon, and the first day on which it is so
low; where the horizon is today or past there is none. What it is below 0 is the position's deficit.
"""

from dataclasses import dataclass

from services.atp.domain.model import Day, Item, Position
from services.atp.domain.supply_picture import running_supply


@dataclass(frozen=True, slots=True)
class Standing:
    """Quantities in base units; receipts are all that is still to come, past due ones too."""

    on_hand: int
    buffer: int
    committed: int
    confirmed: int
    planned: int
    lowest: int | None
    lowest_on: Day | None

    @property
    def deficit(self) -> int:
        """Units that are committed beyond supply, on the worst day."""
        return max(0, -self.lowest) if self.lowest is not None else 0


def standing(position: Position, item: Item, today: Day) -> Standing:
    """How a position stands today."""
    curve = running_supply(position, item, today)
    levels = [
        (level, day)
        for day, level in zip(curve.days, curve.available, strict=True)
        if curve.horizon is None or day < curve.horizon
    ]
    lowest, lowest_on = min(levels, default=(None, None))
    return Standing(
        on_hand=position.on_hand,
        buffer=position.buffer,
        committed=sum(quantity for _, quantity in position.commitments),
        confirmed=sum(receipts.confirmed for receipts in position.receipts),
        planned=sum(receipts.planned for receipts in position.receipts),
        lowest=lowest,
        lowest_on=lowest_on,
    )
