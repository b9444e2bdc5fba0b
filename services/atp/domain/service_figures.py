"""A tier's figures of a month from its amounts: ratios against targets, and what things cost by what is known of it.

Amounts are integers by (measure, detail); costs at a rate are exact decimals, rounded once, half to even, when shown.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Final

BASIS_POINTS: Final = 10_000
GOODS: Final = "goods"
Figures = Mapping[str, Decimal]  # by "measure" or "measure/detail"


@dataclass(frozen=True, slots=True)
class Ratio:
    """How much of how much; None where nothing is known to divide by."""

    achieved: int
    total: int

    @property
    def basis_points(self) -> int | None:
        """Rounded down, so that a target is met only when it is met."""
        return self.achieved * BASIS_POINTS // self.total if self.total else None


@dataclass(frozen=True, slots=True)
class Cost:
    """One component: what was told, what is charged at a rate, and of how many nothing is known."""

    component: str
    actual_minor: Decimal
    rate_minor: Decimal
    missing: int


def count(figures: Figures, measure: str, detail: str = "") -> int:
    """One amount that counts things."""
    return int(figures.get(f"{measure}/{detail}" if detail else measure, Decimal(0)))


def ratios(figures: Figures) -> dict[str, Ratio]:
    """The ratios of a month, by name; what is delivered is a ratio only where deliveries are told."""
    delivered = count(figures, "units_delivered") > 0
    due = count(figures, "lines_due") if delivered else 0
    return {
        "fill_rate": Ratio(count(figures, "units_shipped_in_time"), count(figures, "units_due")),
        "on_time_in_full_promised": Ratio(
            count(figures, "lines_promised_on_time_in_full"), count(figures, "lines_answered")
        ),
        "on_time_in_full": Ratio(count(figures, "lines_on_time_in_full"), due),
        "delivered_as_requested": Ratio(count(figures, "lines_delivered_as_requested"), due),
        "order_accuracy": Ratio(count(figures, "orders_accurate"), count(figures, "orders_delivered")),
    }


def costs(figures: Figures) -> list[Cost]:
    """The components that have any figure, in order of their names."""
    names = sorted(
        {
            name.partition("/")[2]
            for name in figures
            if name.partition("/")[0] in ("cost_actual", "cost_rate", "cost_missing")
        }
    )
    return [
        Cost(
            name,
            figures.get(f"cost_actual/{name}", Decimal(0)),
            figures.get(f"cost_rate/{name}", Decimal(0)),
            count(figures, "cost_missing", name),
        )
        for name in names
    ]


@dataclass(frozen=True, slots=True)
class Churn:
    """What changes of promises by one cause came to: lines by what became of them, and what it costs more.

    `late_unit_days` are units times days late, `open_units` what waits, both more (or less, negative) than before.
    """

    improved: int
    worsened: int
    cost_minor: int
    late_unit_days: int
    open_units: int

    def penalty_minor(self, lateness_minor: int, backorder_minor: int) -> int:
        """What a tier's penalties say of it."""
        return lateness_minor * self.late_unit_days + backorder_minor * self.open_units


def churn(figures: Figures) -> dict[str, Churn]:
    """Changes that no customer asked for, by cause, in order of their names."""
    names = [name.partition("/") for name in figures]
    causes = sorted({cause for measure, _, cause in names if measure.startswith("changes_")})
    counted = ("improved", "worsened", "cost", "late_unit_days", "open_units")
    return {cause: Churn(*(count(figures, f"changes_{name}", cause) for name in counted)) for cause in causes}


def cost_to_serve(found: list[Cost]) -> Decimal:
    """What serving cost, as far as it is known: everything but the goods themselves."""
    return sum((each.actual_minor + each.rate_minor for each in found if each.component != GOODS), Decimal(0))


def rounded(amount: Decimal) -> int:
    """Whole minor units."""
    return int(amount.quantize(Decimal(1), rounding=ROUND_HALF_EVEN))


def added(figures: Figures, more: Figures) -> dict[str, Decimal]:
    """The sum by name; zeros leave no trace."""
    names = sorted({*figures, *more})
    sums = {name: figures.get(name, Decimal(0)) + more.get(name, Decimal(0)) for name in names}
    return {name: amount for name, amount in sums.items() if amount}


def difference(now: Figures, before: Figures) -> dict[str, Decimal]:
    """What is to be added to `before` to get `now`; empty if they are equal."""
    return added(now, {name: -amount for name, amount in before.items()})
