"""What every tier may take on every day: as the engine offers it, and as the auditor counts it."""

from collections.abc import Sequence

from services.atp.domain.allocation import room_for
from services.atp.domain.model import Book, PositionKey
from tests.support.allocation_auditor import ENDLESS, AllocationAuditor
from tests.support.allocation_worlds import TIERS

Rooms = dict[tuple[PositionKey, str, int], int]


def offered_rooms(book: Book, days: Sequence[int]) -> Rooms:
    """By the engine."""
    found: Rooms = {}
    for key in book.positions:
        for tier in TIERS:
            room = room_for(book, key, book.items["I1"], tier)
            found |= {(key, tier.tier, day): min(ENDLESS, max(0, room.at(day))) for day in days}
    return found


def audited_rooms(auditor: AllocationAuditor) -> Rooms:
    """By the auditor."""
    found: Rooms = {}
    for key in auditor.positions:
        seen = auditor.seen(key)
        for tier in TIERS:
            rooms = auditor.rooms(key, tier, auditor.days, seen)
            found |= {(key, tier.tier, day): room for day, room in rooms.items()}
    return found
