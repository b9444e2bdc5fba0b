"""Capacities for the small worlds of `promise_worlds`, and a count of them by hand."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from hypothesis import strategies as st

from services.atp.domain.model import Book, Capacity, CapacityShare, Planned, ProtectionMode, Request
from tests.support import promise_worlds as worlds

few = st.sampled_from((0, 2, 3, 5, 8, 30))
modes: st.SearchStrategy[ProtectionMode] = st.sampled_from(("prioritised", "core"))


@st.composite
def capacities(draw: st.DrawFn, location_id: str, services: Sequence[str]) -> tuple[Capacity, ...]:
    """None, one for all services together, or one besides for a service; some days are exceptions."""
    found = []
    for service in draw(st.lists(st.sampled_from([None, *services]), max_size=2, unique=True)):
        days = draw(st.lists(st.integers(worlds.TODAY, worlds.TODAY + 8), max_size=3, unique=True))
        tiers = draw(st.lists(st.sampled_from(worlds.TIERS), max_size=2, unique=True))
        found.append(
            Capacity(
                f"{location_id}-{service}",
                location_id,
                service,
                tuple(draw(few) for _ in range(7)),
                tuple((day, draw(few)) for day in sorted(days)),
                tuple(
                    CapacityShare(tier.tier, tier.priority_rank, draw(st.integers(1, 4)), draw(modes), draw(lapses))
                    for tier in tiers
                ),
            )
        )
    return tuple(found)


lapses = st.sampled_from((0, 0, 1, 4))


@st.composite
def limited(draw: st.DrawFn, books: st.SearchStrategy[Book]) -> Book:
    """A book whose locations may have capacities."""
    book = draw(books)
    services: dict[str, list[str]] = {}
    for offer in book.offers["*"]:
        services.setdefault(offer.location_id, []).append(offer.service)
    return replace(book, capacities={place: draw(capacities(place, names)) for place, names in services.items()})


@dataclass
class CapacityAuditor:
    """What has left by whom, day by day, and what may leave besides."""

    book: Book
    taken: list[tuple[Request, Planned]] = field(default_factory=list)

    def left(self, request: Request, location_id: str, service: str, ship_day: int) -> int:
        """What a request may have leave on a day."""
        lefts = [10**15]
        for capacity in self.book.capacities.get(location_id, ()):
            if capacity.service not in (None, service):
                continue
            left = dict(capacity.exceptions).get(ship_day, capacity.weekdays[(ship_day + 6) % 7])
            left -= sum(part.quantity for _, part in self._leaving(capacity, ship_day))
            for share in capacity.shares:
                own = share.tier == request.tier.tier
                ahead = share.mode == "core" or share.priority_rank < request.tier.priority_rank
                if own or not ahead or self.book.today > ship_day - share.lapse_days:
                    continue
                used = sum(
                    part.quantity for by, part in self._leaving(capacity, ship_day) if by.tier.tier == share.tier
                )
                left -= max(0, share.quantity - used)
            lefts.append(left)
        return max(0, min(lefts))

    def _leaving(self, capacity: Capacity, ship_day: int) -> list[tuple[Request, Planned]]:
        return [
            (request, part)
            for request, part in self.taken
            if part.key.location_id == capacity.location_id
            and part.ship_day == ship_day
            and capacity.service in (None, part.service)
        ]
