"""What a rule set does to a history, in numbers: computed from orders, tier changes and promises, and from no clock.

Revenue of an order is quantity times unit price of its lines; lines without a price bring none and are counted. Landed
cost is modelled, as a share of revenue that whoever runs the back-test gives; the cost to serve is what the promises
say of shipping. Margin is revenue less both. All of it counts under the tier in which the order was answered.

A *reversal* is a change that takes a customer back to the tier that it had before its last change: flapping. Money is
in minor units, rounded half up once per tier.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Final

from tiercel.demo.history import History
from tiercel.demo.run import Replayed
from tiercel.demo.summary import count

MINOR_PER_MAJOR: Final = 100
PERCENT: Final = 100


@dataclass(frozen=True, slots=True)
class Move:
    """One change of one customer, by its name in the history."""

    at: str
    customer: str
    from_tier: str
    to_tier: str
    reason: str


@dataclass(slots=True)
class _Money:
    revenue: Decimal = Decimal(0)
    unpriced_lines: int = 0


@dataclass(frozen=True, slots=True)
class Tried:
    """A rule set with what it did: `moves` ascending by time and customer, `members` by day and tier."""

    name: str
    moves: tuple[Move, ...]
    by_tier: tuple[dict[str, Any], ...]
    members: dict[str, dict[str, int]] = field(default_factory=dict)

    @property
    def document(self) -> dict[str, Any]:
        """Everything that must be the same whenever the same rule set is tried on the same history."""
        return {
            "rule_set": self.name,
            "moves": len(self.moves),
            "customers_moved": len({move.customer for move in self.moves}),
            "most_moves_of_a_customer": max(Counter(move.customer for move in self.moves).values(), default=0),
            "reversals": reversals(self.moves),
            "shortest_stay_days": shortest_stay_days(self.moves),
            "by_direction": dict(sorted(Counter(f"{m.from_tier} to {m.to_tier}" for m in self.moves).items())),
            "by_tier": list(self.by_tier),
            "members": self.members,
        }


def tried(
    name: str, history: History, came: Replayed, *, tiers: Sequence[str], lowest: str, landed_percent: int
) -> Tried:
    """What came of one replay."""
    moves = moves_of(came)
    return Tried(name, moves, _by_tier(history, came, landed_percent), members(history, moves, tiers, lowest))


def moves_of(came: Replayed) -> tuple[Move, ...]:
    """Every change that a rule made, ascending by time and customer."""
    return tuple(
        sorted(
            (
                Move(
                    each["effective_from"],
                    came.customers[each["customer_id"]],
                    str(each["from_tier"]),
                    each["to_tier"],
                    each["reason"],
                )
                for each in came.changes
            ),
            key=lambda move: (move.at, move.customer, move.to_tier),
        )
    )


def reversals(moves: Sequence[Move]) -> int:
    """Changes back to the tier before the last change."""
    former: dict[str, str] = {}
    found = 0
    for move in moves:
        found += former.get(move.customer) == move.to_tier
        former[move.customer] = move.from_tier
    return found


def shortest_stay_days(moves: Sequence[Move]) -> int | None:
    """Whole days between two changes of one customer, at least; None if nobody moved twice."""
    last: dict[str, datetime] = {}
    stays = []
    for move in moves:
        at = datetime.fromisoformat(move.at)
        if move.customer in last:
            stays.append((at - last[move.customer]).days)
        last[move.customer] = at
    return min(stays, default=None)


def _by_tier(history: History, came: Replayed, landed_percent: int) -> tuple[dict[str, Any], ...]:
    money: dict[str, _Money] = defaultdict(_Money)
    for order in history.orders:
        of_tier = money[came.answers.first[order.order_id].tier]
        for line in order.lines:
            if line.unit_price is None:
                of_tier.unpriced_lines += 1
            else:
                of_tier.revenue += line.quantity * line.unit_price
    counted = count(came.answers.first, came.answers.promises, came.warehouse.shipped_in_time)
    return tuple(_row(row, money[row["tier"]], landed_percent) for row in counted.by_tier)


def _row(row: Mapping[str, Any], money: _Money, landed_percent: int) -> dict[str, Any]:
    revenue = _minor(money.revenue)
    landed = _minor(money.revenue * landed_percent / PERCENT)
    cost = _minor(Decimal(str(row["cost_to_serve"])))
    return {
        **{name: row[name] for name in ("tier", "orders", "lines", "units", "fill_rate", "on_time_rate")},
        "revenue_minor": revenue,
        "unpriced_lines": money.unpriced_lines,
        "landed_cost_minor": landed,
        "cost_to_serve_minor": cost,
        "margin_minor": revenue - landed - cost,
    }


def _minor(amount: Decimal) -> int:
    return int((amount * MINOR_PER_MAJOR).to_integral_value(ROUND_HALF_UP))


def members(history: History, moves: Sequence[Move], tiers: Sequence[str], lowest: str) -> dict[str, dict[str, int]]:
    """How many customers each tier had at the end of each day; those that the history never gave a tier are lowest."""
    customers = {order.customer_id for order in history.orders}
    given = (history.tiers.get(customer, lowest) for customer in customers)
    now = Counter(tier if tier in tiers else lowest for tier in given)
    by_day: dict[date, list[Move]] = defaultdict(list)
    for move in moves:
        by_day[datetime.fromisoformat(move.at).date()].append(move)
    first = history.orders[0].ordered_at.date()
    last = max([history.orders[-1].ordered_at.date(), *by_day])
    found = {}
    for day in (first + timedelta(days=number) for number in range((last - first).days + 1)):
        for move in by_day.get(day, ()):
            now[move.from_tier] -= 1
            now[move.to_tier] += 1
        found[day.isoformat()] = {tier: now[tier] for tier in tiers}
    return found
