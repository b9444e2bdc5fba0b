"""What serving a customer cost, by day: exact, in billionths of the currency's major unit.

A cost of an order is what its newest word says, whatever the order in which words come.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple, Self

from services.reclassifier.domain.orders import Day, OrderKey, OwnedDay, Reference

NANOS_PER_MICRO: Final = 1_000
MINOR_DIGITS_USUAL: Final = 2
# Currencies whose minor unit is not a hundredth (ISO 4217).
MINOR_DIGITS: Final[Mapping[str, int]] = dict.fromkeys(
    ("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "UYI", "VND", "VUV", "XAF", "XOF"), 0
) | dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3)


class Costs(NamedTuple):
    """Sums over days: cost to serve, goods, how many activities and units have no known cost, days with any word."""

    to_serve_nanos: int = 0
    goods_nanos: int = 0
    missing: int = 0
    days: int = 0

    def plus(self, other: Self) -> Self:
        """The sum of both."""
        return type(self)(*(mine + theirs for mine, theirs in zip(self, other, strict=True)))

    def negated(self) -> "Costs":
        """What takes this off again."""
        return Costs(*(-part for part in self))


@dataclass(frozen=True, slots=True)
class OrderCost:
    """What one order cost so far, by day."""

    key: OrderKey
    sequence: int
    customer_id: str | None
    reference: Reference
    days: tuple[tuple[Day, Costs], ...]


@dataclass(frozen=True, slots=True)
class OwnedCost:
    """A cost with the owner under whom it counts."""

    cost: OrderCost
    owner: str


def minor_digits(currency: str) -> int:
    """How many decimals of the major unit the minor unit is."""
    return MINOR_DIGITS.get(currency, MINOR_DIGITS_USUAL)


def nanos_per_micro_minor(currency: str) -> int:
    """How many billionths of the major unit a millionth of the minor unit is."""
    return int(10 ** (3 - minor_digits(currency)))


def newest_costs(found: Iterable[OrderCost]) -> dict[OrderKey, OrderCost]:
    """The newest word on each order; of two with one sequence the same one everywhere."""
    kept: dict[OrderKey, OrderCost] = {}
    for one in found:
        known = kept.get(one.key)
        kept[one.key] = one if known is None else max(known, one, key=_rank)
    return kept


def cost_changes(before: OwnedCost | None, after: OwnedCost) -> Iterator[tuple[OwnedDay, Costs]]:
    """What to add to which days so that the order's cost counts as `after`."""
    if before is not None:
        for day, costs in before.cost.days:
            yield OwnedDay(before.owner, day), costs.negated()
    for day, costs in after.cost.days:
        yield OwnedDay(after.owner, day), costs


def _rank(one: OrderCost) -> tuple[int, tuple[tuple[Day, Costs], ...], str, Reference]:
    return (one.sequence, one.days, one.customer_id or "", one.reference)
