"""What the master data says of an item, on `catalog.v1` and over HTTP.

All quantities of Tiercel are in the item's base unit. A larger unit is a whole number of base units, so that nothing is
ever rounded.
"""

from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from services.contracts.payload import Code, Day, Identifier, Payload, Quantity, QuantityOrZero, Version, broken_rule

UNITS_MAX: Final = 20  # units of one item; trade uses five
GROUPS_MAX: Final = 20  # groups that one item is in
SUBSTITUTES_MAX: Final = 5  # each is looked at whenever the item runs short
UNIT_FACTOR_MAX: Final = 1_000_000  # base units in a unit; a quantity in it still fits 64 bits
PERIODS_MAX: Final = 366  # days in a period, or periods in a window: a year, beyond which nobody plans by day
POLICY_DAYS_MAX: Final = 36_500  # a century: more is a slip of the pen, and day arithmetic must not leave the calendar
WEIGHT_MAX_GRAMS: Final = 10**9  # a thousand tonnes: more is a slip of the pen


Periods = Annotated[int, Field(strict=True, ge=0, le=PERIODS_MAX)]


class ItemUnit(Payload):
    """A unit in which an item may be ordered, and how many base units it is: a case of 12, a pallet of 960."""

    unit: Code
    quantity: Annotated[int, Field(strict=True, ge=1, le=UNIT_FACTOR_MAX, description="base units of the item")]


class Backordering(Payload):
    """Whether the rest of a line that cannot be promised may wait.

    `open`: it waits. `none`: it does not. `until`: what is ordered up to and on this day may wait. `limited`: at most
    this quantity of the item waits, over all orders. `discontinued`: sold out of what there is and what is due,
    nothing waits, and no supply is assumed beyond the checking horizon.
    """

    policy: Literal["open", "none", "until", "limited", "discontinued"] = "open"
    until: Day | None = None
    limit: QuantityOrZero | None = None

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if (self.policy == "until") != (self.until is not None):
            raise broken_rule("`until` goes with the policy until, and the policy with it")
        if (self.policy == "limited") != (self.limit is not None):
            raise broken_rule("`limit` goes with the policy limited, and the policy with it")
        return self


class PromisingRule(Payload):
    """What is offered of supply for a day; a rule can only offer less than `cumulative`, ATP with look-ahead.

    `discrete`: what is uncommitted of the receipt before the day until the next one. `periods`: what the day's period
    of `period_days` has left (weeks begin on Monday); a shortage takes from up to `backward_periods` before its period,
    then from up to `forward_periods` after it, the nearest first, and what up to `accumulation_periods` before a period
    have left is offered with it.
    """

    kind: Literal["cumulative", "discrete", "periods"] = "cumulative"
    period_days: Annotated[int, Field(strict=True, ge=1, le=PERIODS_MAX)] = 1
    backward_periods: Periods = 0
    forward_periods: Periods = 0
    accumulation_periods: Periods = 0

    @model_validator(mode="after")
    def _fits(self) -> Self:
        windows = (self.backward_periods, self.forward_periods, self.accumulation_periods)
        if self.kind != "periods" and (self.period_days != 1 or any(windows)):
            raise broken_rule("lengths and windows of periods go with the kind periods")
        return self


class CatalogItemV1(Payload):
    """`catalog.item.v1`: an item that may be promised."""

    sku: Identifier
    version: Version = 1
    active: bool = True
    planned_receipts_count: bool = False
    checking_horizon_days: QuantityOrZero | None = None
    past_due_supply_days: QuantityOrZero = 7


class CatalogItem(CatalogItemV1):
    """`catalog.item.v2`: an item that may be promised.

    Confirmed quantities are multiples of `pack_size` (base units). `criticality` is that of a part for what it belongs
    to: exceptions are ranked by it within a tier; no promise depends on it. `substitutes` may be offered instead of
    this item, the best first; the other way round is another item's entry. What it costs is `catalog.landed_cost.v1`.
    """

    checking_horizon_days: Annotated[int, Field(strict=True, ge=0, le=POLICY_DAYS_MAX)] | None = None
    past_due_supply_days: Annotated[int, Field(strict=True, ge=0, le=POLICY_DAYS_MAX)] = 7
    base_unit: Code = "each"
    units: Annotated[tuple[ItemUnit, ...], Field(max_length=UNITS_MAX)] = ()
    pack_size: Quantity = 1
    weight_grams: Annotated[int, Field(strict=True, ge=0, le=WEIGHT_MAX_GRAMS)] | None = None
    groups: Annotated[tuple[Code, ...], Field(max_length=GROUPS_MAX)] = ()
    criticality: Literal["vital", "essential", "desirable"] | None = None
    substitutes: Annotated[tuple[Identifier, ...], Field(max_length=SUBSTITUTES_MAX)] = ()
    backorders: Backordering = Backordering()
    promising_rule: PromisingRule = PromisingRule()

    @model_validator(mode="after")
    def _told_apart(self) -> Self:
        names = [self.base_unit, *(each.unit for each in self.units)]
        if len(dict.fromkeys(names)) < len(names):
            raise broken_rule("two units have the same name")
        if self.sku in self.substitutes or len(dict.fromkeys(self.substitutes)) < len(self.substitutes):
            raise broken_rule("substitutes are other items, each named once")
        return self
