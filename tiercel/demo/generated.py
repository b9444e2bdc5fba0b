"""A seeded order history that the project makes itself, for `make demo` with nothing given.

Calibrated to public figures of the UCI Online Retail set (Chen 2015), counted over its 396,337 replayable lines: a
third of the customers order once (here 28 %), the busiest tenth places 43 % of the orders (48 %), the busiest fifth of
the items takes 76 % of the units (75 %), half of the lines are for 6 units or fewer (6) and one in twenty for 36 or
more (36), nine of ten orders stay in the home country (85 %). One line in forty comes back, whole or in part
(there is a cancellation to 46 lines). Orders have fewer lines than UCI's mean of 21.5 (4.0), so that the demo runs in
seconds. Same seed, same history; nothing here is real data.
"""

import random
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final

from tiercel.demo.history import History, HistoryLine, HistoryOrder, HistoryReturn

FIRST_DAY: Final = datetime(2026, 1, 5, tzinfo=UTC)
HOME_ZONE: Final = "GB"
OTHER_ZONES: Final = ("DE", "FR", "IE", "NL")
HOME_SHARE: Final = 0.9
PARETO_CAP: Final = 40.0  # the busiest customer's weight against the lightest's
WHOLESALE_SHARE: Final = 0.06
QUANTITIES: Final = (1, 1, 2, 3, 4, 6, 8, 10, 12, 24)
WHOLESALE_QUANTITIES: Final = (36, 48, 96, 120)
RETURNED_SHARE: Final = 1 / 40
KEPT_DAYS: Final = (7, 21)  # for which a customer keeps what comes back


def generate(*, seed: int = 7, days: int = 42, customers: int = 340, items: int = 160, orders: int = 1_650) -> History:
    """A history of `orders` orders over `days` days; the same arguments give the same history."""
    draw = random.Random(seed)  # noqa: S311 - a scenario, not a secret
    customer_ids = [f"C{number:05d}" for number in range(1, customers + 1)]
    weights = [min(draw.paretovariate(0.95), PARETO_CAP) for _ in customer_ids]
    skus = [f"SKU-{number:04d}" for number in range(1, items + 1)]
    popularity = [1 / (rank**1.15) for rank in range(1, items + 1)]
    prices = {sku: Decimal(draw.randrange(45, 2_500)) / 100 for sku in skus}
    homes = {
        customer: HOME_ZONE if draw.random() < HOME_SHARE else draw.choice(OTHER_ZONES) for customer in customer_ids
    }
    placed: list[HistoryOrder] = []
    for number in range(1, orders + 1):
        customer = draw.choices(customer_ids, weights)[0]
        minute = draw.randrange(days * 24 * 60)
        chosen = dict.fromkeys(draw.choices(skus, popularity, k=min(20, 1 + int(draw.expovariate(1 / 4.5)))))
        lines = tuple(
            HistoryLine(str(line), sku, _quantity(draw), prices[sku]) for line, sku in enumerate(chosen, start=1)
        )
        ordered_at = FIRST_DAY + timedelta(minutes=minute)
        placed.append(HistoryOrder(f"D{number:06d}", customer, ordered_at, homes[customer], lines))
    placed.sort(key=lambda order: (order.ordered_at, order.order_id))
    end = FIRST_DAY + timedelta(days=days)
    returns = [each for each in _returns(placed, seed) if each.returned_at < end]
    return History(source=f"generated, seed {seed}", currency="GBP", orders=placed, returns=returns)


def _returns(orders: Sequence[HistoryOrder], seed: int) -> Iterator[HistoryReturn]:
    draw = random.Random(seed)  # noqa: S311 - apart from the orders', which are the same with returns and without
    for order in orders:
        for line in order.lines:
            if draw.random() < RETURNED_SHARE:
                reference = f"RT-{order.order_id}-{line.line}"
                at = order.ordered_at + timedelta(days=draw.randint(*KEPT_DAYS))
                yield HistoryReturn(reference, order.order_id, line.line, draw.randint(1, line.quantity), at)


def _quantity(draw: random.Random) -> int:
    if draw.random() < WHOLESALE_SHARE:
        return draw.choice(WHOLESALE_QUANTITIES)
    return draw.choice(QUANTITIES)
