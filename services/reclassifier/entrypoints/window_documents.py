"""A customer's numbers over one window, as they are answered. Formulas are in docs/reclassification.md."""

from decimal import Decimal
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, PlainSerializer

from services.reclassifier.domain.demand import DemandProfile, Ratio
from services.reclassifier.domain.features import Window
from services.reclassifier.domain.measures import PERCENT, Prior, expected_value, margin_of
from services.reclassifier.domain.orders import MICROS_PER_UNIT
from services.reclassifier.domain.rhythm import Rhythm

NANOS_PER_UNIT: Final = 1_000_000_000
# As text an exact zero of nine decimals would be "0E-9".
PlainDigits = Annotated[
    Decimal, PlainSerializer(lambda value: f"{value:f}", return_type=str, when_used="json-unless-none")
]


class Answer(BaseModel):
    """The parent of all answers."""

    model_config = ConfigDict(frozen=True)


class DemandDocument(Answer):
    """How even the demand is, by weeks; null where there is too little to tell."""

    profile: DemandProfile | None
    average_interval: PlainDigits | None
    squared_variation: PlainDigits | None
    periods: int
    periods_with_demand: int


class WindowDocument(Answer):
    """Numbers over the `days` days that end with the day of `as_of`, days in UTC; shares and trend in percent.

    `value` is net of the customer's own cancellations, `unpriced_lines` says how far it is only a lower bound. What
    came back or was late counts on the day of its order. Costs are null while none is known, and `margin`, which is
    `value` less returns, goods and cost to serve, is an upper bound where `costs_missing` is not 0.
    """

    days: int
    orders: int
    units: int
    value: PlainDigits
    unpriced_lines: int
    order_days: int
    order_value: PlainDigits | None
    expected_value: PlainDigits | None
    returned_units: int
    returned_value: PlainDigits
    return_share: PlainDigits | None
    orders_delivered: int
    orders_late: int
    late_share: PlainDigits | None
    surveys: int
    survey_score: PlainDigits | None
    complaints: int
    repeat_share: PlainDigits | None
    lapse_risk: PlainDigits | None
    trend: PlainDigits | None
    demand: DemandDocument
    cost_to_serve: PlainDigits | None
    goods_cost: PlainDigits | None
    costs_missing: int | None
    margin: PlainDigits | None


def window_document(window: Window, prior: Prior | None) -> WindowDocument:
    """The window as it is answered; outcomes and rhythm must have been asked for."""
    outcomes, rhythm = window.outcomes, window.rhythm
    assert outcomes is not None  # noqa: S101 - the view asks for every detail
    assert rhythm is not None  # noqa: S101 - the same
    estimated = prior is not None and prior.window_days == window.days
    return WindowDocument(
        days=window.days,
        orders=window.orders,
        units=window.units,
        value=amount(window.value_micros),
        unpriced_lines=window.unpriced_lines,
        order_days=rhythm.order_days,
        order_value=_amount(_ratio(window.value_micros, window.orders)),
        expected_value=_amount(expected_value(window, prior)) if prior is not None and estimated else None,
        returned_units=outcomes.returned_units,
        returned_value=amount(outcomes.returned_value_micros),
        return_share=_percent(_ratio(outcomes.returned_units, window.units)),
        orders_delivered=outcomes.orders_delivered,
        orders_late=outcomes.orders_late,
        late_share=_percent(_ratio(outcomes.orders_late, outcomes.orders_delivered)),
        surveys=outcomes.surveys,
        survey_score=_decimal(_ratio(outcomes.score_points, outcomes.surveys)),
        complaints=outcomes.complaints,
        repeat_share=_percent(rhythm.repeat_share),
        lapse_risk=_percent(rhythm.lapse_risk),
        trend=None if window.unpriced_lines else _percent(rhythm.trend),
        demand=_demand(rhythm),
        cost_to_serve=None if window.costs is None else cost_amount(window.costs.to_serve_nanos),
        goods_cost=None if window.costs is None else cost_amount(window.costs.goods_nanos),
        costs_missing=None if window.costs is None else window.costs.missing,
        margin=_margin(window),
    )


def amount(micros: int) -> Decimal:
    """An amount in the major unit."""
    sign = "-" if micros < 0 else ""
    whole, rest = divmod(abs(micros), MICROS_PER_UNIT)
    return Decimal(f"{sign}{whole}.{rest:06d}")  # as text: arithmetic would round to the context's digits


def cost_amount(nanos: int) -> Decimal:
    """An exact cost in the major unit."""
    sign = "-" if nanos < 0 else ""
    whole, rest = divmod(abs(nanos), NANOS_PER_UNIT)
    return Decimal(f"{sign}{whole}.{rest:09d}")


def _margin(window: Window) -> Decimal | None:
    margin = margin_of(window)
    return None if margin is None else cost_amount(margin.numerator)


def _demand(rhythm: Rhythm) -> DemandDocument:
    return DemandDocument(
        profile=rhythm.profile,
        average_interval=_decimal(rhythm.interval),
        squared_variation=_decimal(rhythm.variation),
        periods=rhythm.periods,
        periods_with_demand=rhythm.active_periods,
    )


def _ratio(part: int, whole: int) -> Ratio | None:
    return Ratio(part, whole) if whole else None


def _amount(ratio: Ratio | None) -> Decimal | None:
    """An exact number of micros as an amount."""
    return None if ratio is None else amount(_towards_zero(ratio.numerator, ratio.denominator))


def _percent(ratio: Ratio | None) -> Decimal | None:
    return None if ratio is None else _decimal(Ratio(ratio.numerator * PERCENT, ratio.denominator))


def _decimal(ratio: Ratio | None) -> Decimal | None:
    if ratio is None:
        return None
    return amount(_towards_zero(ratio.numerator * MICROS_PER_UNIT, ratio.denominator))


def _towards_zero(numerator: int, denominator: int) -> int:
    return -(-numerator // denominator) if numerator < 0 else numerator // denominator
