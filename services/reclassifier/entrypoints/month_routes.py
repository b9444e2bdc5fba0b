"""What each customer brought and cost in a month, over HTTP: it adds up to what the ATP's ledger says by tier."""

from datetime import date
from typing import Annotated, Final

from fastapi import APIRouter, Path, Query

from services.chassis.auth import see_everything
from services.chassis.problems import FORBIDDEN, problem_responses
from services.reclassifier.application.ports import OwnersMonth
from services.reclassifier.domain.costs import NANOS_PER_MICRO
from services.reclassifier.domain.orders import customer_of_owner
from services.reclassifier.entrypoints.desk import PAGE_MAX, Desk, Reader
from services.reclassifier.entrypoints.window_documents import Answer, PlainDigits, amount, cost_amount

MONTH_PATTERN: Final = "^(19[7-9][0-9]|20[0-9]{2}|21[0-9]{2})-(0[1-9]|1[0-2])$"
MONTHS_PER_YEAR: Final = 12
OWNER_MAX_CHARS: Final = 300


class MonthNumbers(Answer):
    """What a customer, or all of them, brought and cost.

    `value` is net of own cancellations and counts, with what came back, on the days of the orders; costs count on
    theirs. `margin` is value less returns, goods and cost to serve; `costs_missing` activities or units have no cost.
    """

    value: PlainDigits
    returned_value: PlainDigits
    cost_to_serve: PlainDigits
    goods_cost: PlainDigits
    margin: PlainDigits
    costs_missing: int


class CustomersMonth(MonthNumbers):
    """One customer; `customer_id` null: nobody has said whose the orders of this `reference` (system/id) are."""

    customer_id: str | None
    reference: str | None


class MonthPage(Answer):
    """A page by customer, and the sums of the whole month: `assigned` to customers, `unassigned`, and both."""

    month: str
    items: list[CustomersMonth]
    next_after: str | None
    assigned: MonthNumbers
    unassigned: MonthNumbers
    total: MonthNumbers


def add_months(router: APIRouter, desk: Desk) -> None:
    """The route."""

    @router.get(
        "/v1/customer-months/{month}",
        tags=["customers"],
        summary="What each customer brought and cost in a month, with what is assigned to nobody, and the sums",
        responses=problem_responses(FORBIDDEN),
    )
    async def get_month(
        caller: Reader,
        month: Annotated[str, Path(pattern=MONTH_PATTERN)],
        after: Annotated[str, Query(max_length=OWNER_MAX_CHARS, description="`next_after` of the page before")] = "",
        limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = 100,
    ) -> MonthPage:
        see_everything(caller)
        first, last = _days(month)
        found = await desk.transactions.read(lambda reader: reader.month(first, last, after, limit))
        totals = await desk.transactions.read(lambda reader: reader.month_totals(first, last))
        known, unknown = totals.get(True, OwnersMonth("")), totals.get(False, OwnersMonth(""))
        return MonthPage(
            month=month,
            items=[_customer(one) for one in found],
            next_after=found[-1].owner if len(found) == limit else None,
            assigned=MonthNumbers.model_validate(_numbers(known)),
            unassigned=MonthNumbers.model_validate(_numbers(unknown)),
            total=MonthNumbers.model_validate(_numbers(_sum(known, unknown))),
        )


def _days(month: str) -> tuple[int, int]:
    first = date.fromisoformat(f"{month}-01")
    after = date(first.year + first.month // MONTHS_PER_YEAR, first.month % MONTHS_PER_YEAR + 1, 1)
    return first.toordinal(), after.toordinal() - 1


def _sum(one: OwnersMonth, other: OwnersMonth) -> OwnersMonth:
    return OwnersMonth(
        "",
        one.value_micros + other.value_micros,
        one.returned_value_micros + other.returned_value_micros,
        one.to_serve_nanos + other.to_serve_nanos,
        one.goods_nanos + other.goods_nanos,
        one.missing + other.missing,
    )


def _customer(one: OwnersMonth) -> CustomersMonth:
    customer_id = customer_of_owner(one.owner)
    reference = one.owner.partition(":")[2] if customer_id is None else None
    return CustomersMonth.model_validate({**_numbers(one), "customer_id": customer_id, "reference": reference})


def _numbers(one: OwnersMonth) -> dict[str, object]:
    earned = (one.value_micros - one.returned_value_micros) * NANOS_PER_MICRO
    return {
        "value": amount(one.value_micros),
        "returned_value": amount(one.returned_value_micros),
        "cost_to_serve": cost_amount(one.to_serve_nanos),
        "goods_cost": cost_amount(one.goods_nanos),
        "margin": cost_amount(earned - one.to_serve_nanos - one.goods_nanos),
        "costs_missing": one.missing,
    }
