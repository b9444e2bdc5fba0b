"""Positions as they stand, for a reconciliation: before the first promise, and whenever somebody wants to know.

What stands in the way of going live is named (`Hindrance`): nothing that is promised there could be trusted.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from services.atp.domain.model import PositionKey
from services.atp.domain.standing import Standing

Hindrance = Literal["item_unknown", "location_unknown", "not_counted", "review_pending"]
"""The item, or the location, is not in the master data; something is committed and no source has told any stock; the
deficits are not dealt out yet, so that who goes short is not known."""


@dataclass(frozen=True, slots=True)
class StandingPosition:
    """A position, how it stands, and what stands in the way there."""

    key: PositionKey
    standing: Standing
    hindrances: tuple[Hindrance, ...]


class PositionReader(Protocol):
    """What the routes ask."""

    async def positions(self, item_id: str | None, after: PositionKey | None, limit: int) -> Sequence[StandingPosition]:
        """Positions (of one item, or all) by item and location, after one."""
        ...
