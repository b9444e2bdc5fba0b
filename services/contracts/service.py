"""How a tier was served against its targets, on `service.breaches.v1`."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from services.contracts.payload import Code, Moment, Payload, QuantityOrZero, Version

Month = Annotated[str, StringConstraints(pattern=r"^[0-9]{4}-(0[1-9]|1[0-2])$")]
BasisPoints = Annotated[int, Field(strict=True, ge=0, le=10_000, description="hundredths of a percent")]
BreachCause = Literal["execution", "late_supply", "allocation", "demand_above_plan"]
TargetMeasure = Literal["fill_rate", "on_time_in_full", "order_accuracy"]


class MissedByCause(Payload):
    """How much of what was missed has one cause: units of a fill rate, lines of on time in full, orders of accuracy."""

    cause: BreachCause
    missed: QuantityOrZero


class ServiceBreached(Payload):
    """`service.breached.v1`: a tier's measure of a month fell below its target, came back, or was closed below it.

    `cause` is the one with most of what was missed; null for one that came back.
    """

    tier: Code
    sequence: Version
    month: Month
    measure: TargetMeasure
    state: Literal["opened", "recovered", "closed"]
    target_bp: BasisPoints
    actual_bp: BasisPoints
    achieved: QuantityOrZero
    total: QuantityOrZero
    cause: BreachCause | None
    causes: tuple[MissedByCause, ...]
    policy_version: Version
    determined_at: Moment
