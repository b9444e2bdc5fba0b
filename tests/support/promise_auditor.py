"""An auditor of promises with arithmetic of its own: day by day, unit by unit, from a list of what was taken.

It shares the values of `services.atp.domain.model` with the engine and no code. It is slow and means to be: every
formula is written as the design states it, over every day, without breakpoints, counters or look-ahead arrays.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from services.atp.domain.model import (
    Book,
    Item,
    LineDecision,
    Planned,
    Position,
    PositionKey,
    Protection,
    Quota,
    Request,
    Tier,
)

T = TypeVar("T")
ENDLESS = 10**15
SPAN_DAYS_MIN = 24  # no test promises later than this


@dataclass(frozen=True)
class Taken:
    """A promised part with the request that got it."""

    request: Request
    part: Planned


@dataclass
class Auditor:
    """The state of a book as the auditor sees it: what there was at first, and what has been taken since."""

    book: Book
    positions: dict[PositionKey, Position] = field(init=False)
    days: range = field(init=False)
    taken: list[Taken] = field(default_factory=list)
    _known: dict[object, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.positions = dict(self.book.positions)
        known = [self.book.today + SPAN_DAYS_MIN]
        for position in self.positions.values():
            known += [receipts.day for receipts in position.receipts]
        known += [limit.end for limits in self.book.protections.values() for limit in limits]
        known += [quota.end for quota in self.book.quotas]
        self.days = range(self.book.today, max(known) + 2)

    def end(self, item: Item) -> int:
        """The first day on which supply is assumed."""
        return ENDLESS if item.checking_horizon_days is None else self.book.today + item.checking_horizon_days

    def level(self, key: PositionKey, item: Item, day: int) -> int:
        """A(day): what there is less what is owed."""
        return self.supply(key, item, day) - self.owed(key, item, day)

    def supply(self, key: PositionKey, item: Item, day: int) -> int:
        """S(day), real receipts only."""
        return self._once(("supply", key, day), lambda: self._supply(key, item, day))

    def _supply(self, key: PositionKey, item: Item, day: int) -> int:
        position = self.positions[key]
        total = position.on_hand - position.buffer
        for receipts in position.receipts:
            gone = receipts.day < self.book.today - item.past_due_supply_days
            if receipts.day <= day and not gone:
                total += receipts.confirmed + (receipts.planned if item.planned_receipts_count else 0)
        return total

    def owed(self, key: PositionKey, item: Item, day: int) -> int:
        """D(day), without what assumed supply stands for."""
        total = sum(quantity for available_day, quantity in self.positions[key].commitments if available_day <= day)
        for taken in self.taken:
            part = taken.part
            if part.key == key and part.available_day <= day and part.available_day < self.end(item):
                total += part.quantity
        return total

    def consumed(self, limit: Protection | Quota) -> int:
        """What has been taken of a protection or quota, by the tier stamped and the planned availability day."""
        return sum(
            taken.part.quantity
            for taken in self.taken
            if limit.start <= taken.part.available_day <= limit.end and self._counts(limit, taken)
        )

    def _counts(self, limit: Protection | Quota, taken: Taken) -> bool:
        request, key = taken.request, taken.part.key
        if isinstance(limit, Protection):
            return limit.key == key and limit.tier == request.tier.tier
        return self.matches(limit, request, key.item_id)

    def matches(self, quota: Quota, request: Request, item_id: str) -> bool:
        """Whether a quota speaks of a request for an item."""
        asked = {"tier": request.tier.tier, "item_id": item_id, "zone": request.zone, "channel": request.channel}
        return all(getattr(quota, name) in (None, value) for name, value in asked.items())

    def is_lapsed(self, protection: Protection) -> bool:
        return self.book.today > protection.end - protection.lapse_days

    def protected(self, key: PositionKey, item: Item, day: int) -> dict[str, int]:
        """P(day) of every protection at a position, each unit of a receipt given to one future period."""
        return self._once(("protected", key, day), lambda: self._protected(key, item, day))

    def _protected(self, key: PositionKey, item: Item, day: int) -> dict[str, int]:
        today = self.book.today
        everyone = [each for each in self.book.protections.get(key, ()) if not self.is_lapsed(each)]
        arriving: list[int] = []
        for receipts in self.positions[key].receipts:
            if receipts.day > today:
                units = receipts.confirmed + (receipts.planned if item.planned_receipts_count else 0)
                arriving += [receipts.day] * units
        arriving.sort()
        amounts: dict[str, int] = {}
        for protection in sorted(everyone, key=lambda each: (each.priority_rank, each.start, each.protection_id)):
            if protection.start <= today or protection.carry_stock:
                amounts[protection.protection_id] = protection.quantity
                continue
            covering = [due for due in arriving if protection.start <= due <= protection.end][: protection.quantity]
            for due in covering:
                arriving.remove(due)
            amounts[protection.protection_id] = len([due for due in covering if due <= day])
        return amounts

    def remaining(self, protection: Protection, item: Item, day: int) -> int:
        """What a protection keeps on a day."""
        if day < protection.start or self.is_lapsed(protection) or protection.end < self.book.today:
            return 0
        amount = self.protected(protection.key, item, day)[protection.protection_id]
        return max(0, amount - self.consumed(protection))

    def restricted(self, key: PositionKey, item: Item, tier: Tier, day: int, asked: int) -> int:
        """R_k(day, asked)."""
        total = 0
        for protection in self.book.protections.get(key, ()):
            own = protection.tier == tier.tier
            if protection.mode == "core":
                applies = not own or not protection.start <= asked <= protection.end
            else:
                applies = not own and protection.priority_rank < tier.priority_rank
            if applies:
                total += self.remaining(protection, item, day)
        return total

    def room(self, key: PositionKey, item: Item, tier: Tier, asked: int, *, in_turn: bool = False) -> int:
        """Confirmable(tier, asked), quotas aside."""
        waiting = 0 if in_turn else sum(q for rank, q in self.positions[key].waiting if rank <= tier.priority_rank)
        levels = [
            self.level(key, item, day) - self.restricted(key, item, tier, day, asked) - waiting
            for day in self.days
            if asked <= day < self.end(item)
        ]
        if asked >= self.end(item):
            return ENDLESS
        return max(0, min(levels)) if levels else max(0, self.room(key, item, tier, self.days[-1], in_turn=in_turn))

    def quota_left(self, request: Request, item_id: str, asked: int) -> int:
        """The least that a matching quota leaves."""
        lefts = [
            max(0, quota.quantity - self.consumed(quota))
            for quota in self.book.quotas
            if quota.start <= asked <= quota.end and self.matches(quota, request, item_id)
        ]
        return min(lefts, default=ENDLESS)

    def allowed(self, request: Request, key: PositionKey, asked: int, *, in_turn: bool = False) -> int:
        """What a request may be promised at a position on a day, by everything together."""
        item = self.book.items[key.item_id]
        room = self.room(key, item, request.tier, asked, in_turn=in_turn)
        return min(room, self.quota_left(request, key.item_id, asked))

    def take(self, request: Request, line: LineDecision) -> None:
        """Note what a line was promised."""
        self.taken += [Taken(request, part) for part in line.planned]

    def _once(self, name: object, work: Callable[[], T]) -> T:
        """What does not change while promises are made is worked out once."""
        if name not in self._known:
            self._known[name] = work()
        found: T = self._known[name]
        return found

    def levels(self, item: Item) -> dict[tuple[PositionKey, int], int]:
        """A of every position on every day."""
        keys = [key for key in self.positions if key.item_id == item.item_id]
        return {(key, day): self.level(key, item, day) for key in keys for day in self.days}
