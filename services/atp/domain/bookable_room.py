"""What a line may take by a lane whose ship days are limited by capacity: the least of stock and of what may leave.

Stock alone only grows from day to day (`Room`); with capacity day 3 may be full and day 4 free. So days are tried one
by one, from each day on which the stock changes, `DAYS_MAX` at most; a search stops at the first day that will do.
"""

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from services.atp.domain.capacity import left_for, most_on_any_day
from services.atp.domain.model import Day, Tier, UsageKey
from services.atp.domain.supply_picture import Room
from services.atp.domain.taking import Lane

DAYS_MAX: Final = 92  # tried from each change of the stock on; what is full for a quarter takes no more for now


@dataclass(frozen=True, slots=True)
class BookableRoom:
    """`Room` by a lane with capacities: the same questions. `usage` is looked at when one is asked.

    `enough` is what is wanted at most: how much more there would be on a day is not looked for.
    """

    stock: Room
    lane: Lane
    tier: Tier
    today: Day
    usage: Mapping[UsageKey, int]
    pack_size: int
    enough: int

    def at(self, day: Day) -> int:
        """What can be taken on a day, today or later, in whole packs; may be negative."""
        return min(self.stock.at(day), self.may_leave(self.lane.ship_day(day)))

    def may_leave(self, ship_day: Day) -> int:
        """What capacities let leave on a ship day, in whole packs."""
        left = min([left_for(each, self.tier, ship_day, self.today, self.usage) for each in self.lane.capacities])
        return left - left % self.pack_size

    def most(self, last: Day) -> int:
        """The most that there is room for on any day up to the last one, or `enough`; 0 if no day is left."""
        best, enough = 0, min(self.enough, *[most_on_any_day(each) for each in self.lane.capacities])
        for first, until, stock in self._stretches(last):
            for day in range(first, min(until, first + DAYS_MAX) + 1) if stock > best else ():
                best = max(best, min(stock, self.may_leave(self.lane.ship_day(day))))
                if best >= min(stock, enough):
                    break
            if best >= enough:
                break
        return best

    def earliest(self, quantity: int) -> Day:
        """The first day with room for a quantity that some day has room for (`most`)."""
        for first, until, stock in self._stretches(None):
            for day in range(first, min(until, first + DAYS_MAX) + 1) if stock >= quantity else ():
                if self.may_leave(self.lane.ship_day(day)) >= quantity:
                    return day
        raise LookupError(quantity)

    def latest(self, quantity: int, last: Day) -> Day | None:
        """The last day, not after `last`, with room for a quantity."""
        for first, until, stock in reversed(list(self._stretches(last))):
            for day in range(until, max(first, until - DAYS_MAX) - 1, -1) if stock >= quantity else ():
                if self.may_leave(self.lane.ship_day(day)) >= quantity:
                    return day
        return None

    @property
    def turning_days(self) -> list[Day]:
        """The days on which it may change."""
        return [
            day for first, until, _ in self._stretches(None) for day in range(first, min(until, first + DAYS_MAX) + 1)
        ]

    def _stretches(self, last: Day | None) -> Iterator[tuple[Day, Day, int]]:
        """First day, last day and stock of each time without a change of it; `last` None: there is no end."""
        days, quantities = self.stock
        until = days[-1] + DAYS_MAX if last is None else last
        for index in range(bisect_right(days, until)):
            end = days[index + 1] - 1 if index + 1 < len(days) else until
            yield days[index], min(end, until), quantities[index]
