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
from typing import NamedTuple

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

    def plus(self, other: "Activity") -> "Activity":
        """The sum of both."""
        return Activity(*(mine + theirs for mine, theirs in zip(self, other, strict=True)))

    def negated(self) -> "Activity":
        """What takes this off again."""
        return Activity(*(-part for part in self))


def demand_of(lines: Iterable[Line]) -> tuple[Demand, Demand]:
    """What was ordered and, of that, what had shipped. A line id given twice counts once, at its larger value."""
    by_id: dict[str, Line] = {}
    for line in lines:
        known = by_id.get(line.line)
        if known is None or _weight(line) > _weight(known):
            by_id[line.line] = line
    ordered, shipped = Demand(), Demand()
    for line in by_id.values():
        ordered = _add(ordered, line.quantity, line.price_micros)
        shipped = _add(shipped, min(line.quantity, line.shipped), line.price_micros)
    return ordered, shipped


def join(one: OrderState, other: OrderState) -> OrderState:
    """What two states of one order say together."""
    newer = max(one, other, key=_rank)
    known = [state.customer_id for state in (one, other) if state.customer_id is not None]
    return replace(
        newer,
        customer_id=max(known, default=None),  # two names of one order's customer are one customer, merged
        cancelled=one.cancelled or other.cancelled,
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


def sum_changes(found: Iterable[tuple[OwnedDay, Activity]]) -> dict[OwnedDay, Activity]:
    """Changes by day, those that cancel out left out, ascending."""
    sums: dict[OwnedDay, Activity] = {}
    for day, activity in found:
        sums[day] = sums.get(day, Activity()).plus(activity)
    return {day: sums[day] for day in sorted(sums) if any(sums[day])}


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


def _weight(line: Line) -> tuple[int, int, int]:
    return (line.quantity, line.shipped, -1 if line.price_micros is None else line.price_micros)


def _rank(state: OrderState) -> tuple[int, Day, Demand, Demand, Reference]:
    """The sequence decides; the rest only makes the choice the same everywhere if a sequence was used twice."""
    return (state.sequence, state.ordered_on, state.ordered, state.shipped, state.reference)
