"""What customers send back in a replay, each on the first morning after its moment on which they have the goods.

Goods that are delivered later than the history says that they came back come back after their delivery; what is never
delivered never comes back, and stays in `open_units`.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import date, timedelta
from typing import Any, NamedTuple

from tiercel.demo.history import HistoryReturn


class CameBack(NamedTuple):
    """Goods on their way back to the location that they came from."""

    reference: str
    order: dict[str, Any]
    line: str
    sku: str
    location: str
    quantity: int


class _Delivered(NamedTuple):
    order: dict[str, Any]
    sku: str
    location: str
    quantity: int


class Returns:
    """The returns to come, and of the goods that they need what the customers have."""

    def __init__(self, returns: Iterable[HistoryReturn] = ()) -> None:
        self._coming: dict[date, list[HistoryReturn]] = defaultdict(list)
        for each in returns:
            self._coming[each.returned_at.date() + timedelta(days=1)].append(each)
        self._wanted = {(each.order_id, each.line) for day in self._coming.values() for each in day}
        self._delivered: dict[tuple[str, str], list[_Delivered]] = defaultdict(list)
        self._waiting: list[tuple[HistoryReturn, int, int]] = []  # with the quantity still to come, and parts that came

    def deliver(self, order: dict[str, Any], line: str, sku: str, location: str, quantity: int) -> None:
        """Goods reached the customer."""
        key = (order["order_id"], line)
        if key in self._wanted:
            self._delivered[key].append(_Delivered(order, sku, location, quantity))

    def take(self, day: date) -> Iterator[CameBack]:
        """What comes back on the morning of `day`, in the order of its moments."""
        for due in sorted(each for each in self._coming if each <= day):
            self._waiting += [(each, each.quantity, 0) for each in self._coming.pop(due)]
        still = []
        for each, rest, parts in self._waiting:
            came = list(self._parts(each, rest, parts))
            yield from came
            left = rest - sum(one.quantity for one in came)
            if left:
                still.append((each, left, parts + len(came)))
        self._waiting = still

    def _parts(self, each: HistoryReturn, rest: int, parts: int) -> Iterator[CameBack]:
        there = self._delivered.get((each.order_id, each.line), [])
        while rest and there:
            goods = there.pop(0)
            quantity = min(rest, goods.quantity)
            if quantity < goods.quantity:
                there.insert(0, goods._replace(quantity=goods.quantity - quantity))
            rest, parts = rest - quantity, parts + 1
            yield CameBack(f"{each.reference}-{parts}", goods.order, each.line, goods.sku, goods.location, quantity)

    @property
    def busy(self) -> bool:
        """Whether something is to come back that a customer has."""
        return any(self._delivered.get(key) for key in self.open)

    @property
    def open(self) -> dict[tuple[str, str], int]:
        """Units by order and line that have not come back."""
        found: dict[tuple[str, str], int] = defaultdict(int)
        for each, rest, _ in self._waiting:
            found[each.order_id, each.line] += rest
        for day in self._coming.values():
            for each in day:
                found[each.order_id, each.line] += each.quantity
        return dict(found)

    @property
    def open_units(self) -> int:
        """Units that have not come back."""
        return sum(self.open.values())
