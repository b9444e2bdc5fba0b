"""Limits that several items share: quotas that name no item, and capacities of locations.

Whatever gives such a limit something back frees it for those who wait for other items too: their positions are marked
in the same transaction, so that nobody who comes meanwhile takes what they wait for. Only so many items are marked at
once as a new order may wait for; the others follow as a matter that is due (`services.atp.application.free_limits`).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from services.atp.application.ports import Configuration, Session
from services.atp.domain.model import PositionKey, UsageKey

ITEMS_MAX: Final = 50  # marked in the transaction: each adds the locks of its positions to those of a cancellation


@dataclass(frozen=True, slots=True)
class Sharing:
    """The limits of several items that a batch may free, and the first of the items that somebody waits for.

    `more`: somebody waits for others, which come after the last of `items`.
    """

    limits: Mapping[UsageKey, None]
    items: Sequence[str]
    positions: Sequence[PositionKey]
    more: bool


async def find_sharing(session: Session, configuration: Configuration, freed: Iterable[UsageKey]) -> Sharing | None:
    """Who waits for what these limits give; None where none of them is shared by items."""
    named = {each.quota.quota_id: None for each in configuration.quotas if each.quota.item_id is not None}
    limits = {
        usage: None
        for usage in freed
        if usage.kind == "capacity" or (usage.kind == "quota" and usage.limit_id not in named)
    }
    if not limits:
        return None
    found = await session.turns.waiting_items("", ITEMS_MAX + 1)
    items = found[:ITEMS_MAX]
    positions = await session.position_keys(items) if items else []
    return Sharing(limits, items, positions, more=len(found) > ITEMS_MAX)
