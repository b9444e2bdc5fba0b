"""What a rule may look at: each measure with its unit, its number over a customer's features, and how it is shown.

Numbers are exact ratios. What is not here may not move a tier: the service that a customer received (late deliveries,
surveys, complaints) is for detection alone, else a tier that is starved would never rise.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple, TypeAlias

from services.reclassifier.domain.costs import NANOS_PER_MICRO
from services.reclassifier.domain.demand import Ratio
from services.reclassifier.domain.features import Detail, Features, Window
from services.reclassifier.domain.orders import MICROS_PER_UNIT

PERCENT: Final = 100


class Measure(StrEnum):
    """What a leaf compares. All but `recency` (days since the last order) are over a window."""

    ORDERS = "orders"
    UNITS = "units"
    VALUE = "value"
    ORDER_VALUE = "order_value"
    EXPECTED_VALUE = "expected_value"
    RECENCY = "recency"
    RETURN_SHARE = "return_share"
    REPEAT_SHARE = "repeat_share"
    LAPSE_RISK = "lapse_risk"
    TREND = "trend"
    MARGIN = "margin"


COUNTS: Final = (Measure.ORDERS, Measure.UNITS, Measure.RECENCY)  # whole numbers; all others may have decimals
_DETAIL: Final = {
    Measure.RETURN_SHARE: Detail.OUTCOMES,
    Measure.REPEAT_SHARE: Detail.RHYTHM,
    Measure.LAPSE_RISK: Detail.RHYTHM,
    Measure.TREND: Detail.RHYTHM,
    Measure.MARGIN: Detail.COSTS,
}


@dataclass(frozen=True, slots=True)
class Prior:
    """What a customer is expected to bring in a window before its own orders say enough.

    The estimate is (weight x prior + n x own value) / (weight + n) for n own orders, and the own value alone from
    `own_data_from_orders` on: a credibility-weighted mean (H. Bühlmann, "Experience rating and credibility", 1967).
    """

    value_micros: int
    window_days: int
    weight: int
    own_data_from_orders: int


class Measured(NamedTuple):
    """A number as it was found. `is_lower_bound`: the true one may be higher; `is_upper_bound`: it may be lower."""

    ratio: Ratio
    is_lower_bound: bool = False
    is_upper_bound: bool = False


Limit: TypeAlias = int  # in counts, or in millionths of a major unit or of a percent; see `scale`


def scale(measure: Measure) -> int:
    """What one unit of a written limit is as a `Limit`."""
    return 1 if measure in COUNTS else MICROS_PER_UNIT


def detail_of(measure: Measure) -> Detail | None:
    """What must be computed for it beyond the plain sums."""
    return _DETAIL.get(measure)


def measured(measure: Measure, window_days: int, features: Features, prior: Prior | None = None) -> Measured | None:
    """The number, in the unit of its limits; None where it is missing."""
    if measure is Measure.RECENCY:
        days = features.recency_days
        return None if days is None else Measured(Ratio(days, 1))
    window = features.windows[window_days]
    if measure is Measure.EXPECTED_VALUE:
        return None if prior is None else Measured(expected_value(window, prior), window.unpriced_lines > 0)
    return _OF_WINDOW[measure](window)


def expected_value(window: Window, prior: Prior) -> Ratio:
    """The estimate of the window's value, as `Prior` says."""
    if window.orders >= prior.own_data_from_orders:
        return Ratio(window.value_micros, 1)
    weighted = prior.weight * prior.value_micros + window.orders * window.value_micros
    return Ratio(weighted, prior.weight + window.orders)


def shown(measure: Measure, ratio: Ratio) -> str:
    """A number of a measure as text, in its written unit; decimals beyond the sixth cut off."""
    if measure in COUNTS:
        return str(ratio.numerator // ratio.denominator)
    sign = "-" if ratio.numerator < 0 else ""
    whole, rest = divmod(abs(ratio.numerator) // ratio.denominator, MICROS_PER_UNIT)
    return f"{sign}{whole}.{f'{rest:06d}'.rstrip('0').ljust(2, '0')}"


def _orders(window: Window) -> Measured | None:
    return Measured(Ratio(window.orders, 1))


def _units(window: Window) -> Measured | None:
    return Measured(Ratio(window.units, 1))


def _value(window: Window) -> Measured | None:
    return Measured(Ratio(window.value_micros, 1), window.unpriced_lines > 0)


def _order_value(window: Window) -> Measured | None:
    """The mean value of an order."""
    return Measured(Ratio(window.value_micros, window.orders), window.unpriced_lines > 0) if window.orders else None


def _return_share(window: Window) -> Measured | None:
    """Percent of the window's units that came back."""
    if window.outcomes is None or not window.units:
        return None
    return Measured(_percent(Ratio(window.outcomes.returned_units, window.units)))


def _repeat_share(window: Window) -> Measured | None:
    return _shared(None if window.rhythm is None else window.rhythm.repeat_share)


def _lapse_risk(window: Window) -> Measured | None:
    return _shared(None if window.rhythm is None else window.rhythm.lapse_risk)


def _trend(window: Window) -> Measured | None:
    """Of lower bounds nothing follows."""
    return _shared(None if window.rhythm is None or window.unpriced_lines else window.rhythm.trend)


def margin_of(window: Window) -> Ratio | None:
    """Value less returns, goods and cost to serve, in millionths of the major unit; None while no cost is known."""
    if window.costs is None:
        return None
    returned = 0 if window.outcomes is None else window.outcomes.returned_value_micros
    spent = window.costs.to_serve_nanos + window.costs.goods_nanos
    return Ratio((window.value_micros - returned) * NANOS_PER_MICRO - spent, NANOS_PER_MICRO)


def _margin(window: Window) -> Measured | None:
    """Without a price the value is a lower bound, without a rate the margin an upper one; with both it is nothing."""
    margin, missing = margin_of(window), window.costs is not None and window.costs.missing > 0
    if margin is None or (missing and window.unpriced_lines):
        return None
    return Measured(margin, is_lower_bound=window.unpriced_lines > 0, is_upper_bound=missing)


def _shared(ratio: Ratio | None) -> Measured | None:
    return None if ratio is None else Measured(_percent(ratio))


def _percent(ratio: Ratio) -> Ratio:
    return Ratio(ratio.numerator * PERCENT * MICROS_PER_UNIT, ratio.denominator)


_OF_WINDOW: Final[Mapping[Measure, Callable[[Window], Measured | None]]] = {
    Measure.ORDERS: _orders,
    Measure.UNITS: _units,
    Measure.VALUE: _value,
    Measure.ORDER_VALUE: _order_value,
    Measure.RETURN_SHARE: _return_share,
    Measure.REPEAT_SHARE: _repeat_share,
    Measure.LAPSE_RISK: _lapse_risk,
    Measure.TREND: _trend,
    Measure.MARGIN: _margin,
}
