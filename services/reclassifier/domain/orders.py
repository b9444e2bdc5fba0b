"""What recorded orders say of their customers' demand, whatever their order and however often they come.

An order's state is the join of all its records: the record of the highest sequence says what was ordered and shipped,
and one that was ever cancelled stays cancelled. The join is commutative, associative and idempotent, so that any order
and duplication of the same records ends in the same state. Demand is net of the customer's own cancellations: of a
cancelled order only what had shipped counts. What was promised, when and from where is no part of it, hence a
re-decision changes nothing here.

Days are proleptic ordinals in UTC, quantities base units, values millionths of the currency's major unit.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import NamedTuple, Protocol, Self, TypeVar

Day = int
MICROS_PER_UNIT = 1_000_000


class Reference(NamedTuple):
    """A customer as another system knows it."""

    system: str
    id: str


class Demand(NamedTuple):
    """A quantity with its value; lines without a price, or in another currency, are counted and add no value."""

    units: int = 0
    value_micros: int = 0
    unpriced_lines: int = 0


NOTHING = Demand()


class OrderKey(NamedTuple):
    """What an order is known by for ever; the order of locks."""

    source: str
    order_id: str


class Line(NamedTuple):
    """One line at some version of its order: totals, not differences. `price_micros` None: not known."""

    line: str
    quantity: int
    shipped: int
    price_micros: int | None
    returned: int = 0


class Punctuality(IntEnum):
    """What is known of an order's deliveries; of two statements the higher one is true of the order."""

    UNTOLD = 0
    IN_TIME = 1
    LATE = 2


@dataclass(frozen=True, slots=True)
class OrderState:
    """All that the records of one order have said so far. `sequence` is that of the newest record."""

    key: OrderKey
    sequence: int
    customer_id: str | None
    reference: Reference
    ordered_on: Day
    cancelled: bool
    ordered: Demand
    shipped: Demand
    returned: Demand = NOTHING
    punctuality: Punctuality = Punctuality.UNTOLD

    @property
    def demand(self) -> Demand:
        """What counts: what was ordered, or of a cancelled order what had shipped."""
        return self.shipped if self.cancelled else self.ordered


class OwnedDay(NamedTuple):
    """A day of one owner's activity; the order of locks."""

    owner: str
    day: Day


class Activity(NamedTuple):
    """Sums over orders: how many have any demand, and that demand."""

    orders: int = 0
    units: int = 0
    value_micros: int = 0
    unpriced_lines: int = 0

    def plus(self, other: Self) -> Self:
        """The sum of both."""
        orders, units, value_micros, unpriced_lines = self
        return type(self)(orders + other[0], units + other[1], value_micros + other[2], unpriced_lines + other[3])

    def negated(self) -> "Activity":
        """What takes this off again."""
        return Activity(*(-part for part in self))


class Outcomes(NamedTuple):
    """What came of orders, on the day of the order, and what the customer said, on the day on which it was said.

    Of a returned line without a price the units count and no value. `score_points` are the sum of `surveys` scores.
    """

    returned_units: int = 0
    returned_value_micros: int = 0
    orders_delivered: int = 0
    orders_late: int = 0
    surveys: int = 0
    score_points: int = 0
    complaints: int = 0

    def plus(self, other: Self) -> Self:
        """The sum of both."""
        return type(self)(*(mine + theirs for mine, theirs in zip(self, other, strict=True)))

    def negated(self) -> "Outcomes":
        """What takes this off again."""
        return Outcomes(*(-part for part in self))


class Summed(Protocol):
    """Numbers of a day that add up."""

    def plus(self, other: Self) -> Self:
        """The sum of both."""
        ...

    def __iter__(self) -> Iterator[int]: ...


Sums = TypeVar("Sums", bound=Summed)


class LineTotals(NamedTuple):
    """What the lines of one record come to."""

    ordered: Demand
    shipped: Demand
    returned: Demand


def demand_of(lines: Iterable[Line]) -> LineTotals:
    """What was ordered and, of that, what had shipped and come back. A line given twice counts at its larger value."""
    by_id: dict[str, Line] = {}
    for line in lines:
        known = by_id.get(line.line)
        if known is None or _weight(line) > _weight(known):
            by_id[line.line] = line
    ordered = shipped = returned = Demand()
    for line in by_id.values():
        ordered = _add(ordered, line.quantity, line.price_micros)
        if line.shipped:
            shipped = _add(shipped, min(line.quantity, line.shipped), line.price_micros)
        if line.returned:
            returned = _add(returned, min(line.quantity, line.returned), line.price_micros)
    return LineTotals(ordered, shipped, returned)


def join(one: OrderState, other: OrderState) -> OrderState:
    """What two states of one order say together."""
    newer = max(one, other, key=_rank)
    known = [state.customer_id for state in (one, other) if state.customer_id is not None]
    return replace(
        newer,
        customer_id=max(known, default=None),  # two names of one order's customer are one customer, merged
        cancelled=one.cancelled or other.cancelled,
        punctuality=max(one.punctuality, other.punctuality),
    )


def join_all(states: Iterable[OrderState]) -> dict[OrderKey, OrderState]:
    """One state per order."""
    joined: dict[OrderKey, OrderState] = {}
    for state in states:
        known = joined.get(state.key)
        joined[state.key] = state if known is None else join(known, state)
    return joined


def owner_of_customer(customer_id: str) -> str:
    """The owner of a customer that the registry knows."""
    return f"c:{customer_id}"


def owner_of_reference(reference: Reference) -> str:
    """The owner of orders whose customer nobody has resolved yet."""
    return f"r:{reference.system}/{reference.id}"


def customer_of_owner(owner: str) -> str | None:
    """The registry's id of an owner; None while it is only a reference."""
    return owner.removeprefix("c:") if owner.startswith("c:") else None


@dataclass(frozen=True, slots=True)
class Counted:
    """An order with the owner under whom it counts."""

    state: OrderState
    owner: str


def changes(before: Counted | None, after: Counted) -> Iterator[tuple[OwnedDay, Activity]]:
    """What to add to which days so that the order counts as `after`; nothing if it counts the same."""
    old = [] if before is None else list(_contribution(before))
    new = list(_contribution(after))
    if old == new:
        return
    for day, activity in old:
        yield day, activity.negated()
    yield from new


def outcome_changes(before: Counted | None, after: Counted) -> Iterator[tuple[OwnedDay, Outcomes]]:
    """What to add to which days so that the order's outcome counts as `after`; nothing if it counts the same."""
    old = None if before is None else _outcome(before)
    new = _outcome(after)
    if old == new:
        return
    if before is not None and old is not None:
        yield OwnedDay(before.owner, before.state.ordered_on), old[1].negated()
    if new is not None:
        yield new


def sum_changes(found: Iterable[tuple[OwnedDay, Sums]]) -> dict[OwnedDay, Sums]:
    """Changes by day, those that cancel out left out, ascending."""
    sums: dict[OwnedDay, Sums] = {}
    for day, change in found:
        known = sums.get(day)
        sums[day] = change if known is None else known.plus(change)
    return {day: sums[day] for day in sorted(sums) if any(sums[day])}


def _outcome(counted: Counted) -> tuple[OwnedDay, Outcomes] | None:
    state = counted.state
    if not state.returned.units and state.punctuality is Punctuality.UNTOLD:
        return None
    late = int(state.punctuality is Punctuality.LATE)
    told = int(state.punctuality is not Punctuality.UNTOLD)
    outcomes = Outcomes(state.returned.units, state.returned.value_micros, told, late)
    return OwnedDay(counted.owner, state.ordered_on), outcomes


def _contribution(counted: Counted) -> Iterator[tuple[OwnedDay, Activity]]:
    demand = counted.state.demand
    if demand.units > 0:
        yield OwnedDay(counted.owner, counted.state.ordered_on), Activity(1, *demand)


def _add(demand: Demand, quantity: int, price_micros: int | None) -> Demand:
    if quantity == 0:
        return demand
    if price_micros is None:
        return Demand(demand.units + quantity, demand.value_micros, demand.unpriced_lines + 1)
    return Demand(demand.units + quantity, demand.value_micros + quantity * price_micros, demand.unpriced_lines)


def _weight(line: Line) -> tuple[int, int, int, int]:
    return (line.quantity, line.shipped, -1 if line.price_micros is None else line.price_micros, line.returned)


def _rank(state: OrderState) -> tuple[int, Day, Demand, Demand, Demand, Reference]:
    """The sequence decides; the rest only makes the choice the same everywhere if a sequence was used twice."""
    return (state.sequence, state.ordered_on, state.ordered, state.shipped, state.returned, state.reference)
