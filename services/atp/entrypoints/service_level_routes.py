"""How tiers were served, over HTTP: a month's figures, its closing, breaches, and what one order cost."""

from datetime import date, datetime
from typing import Annotated, Any, Final, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query
from pydantic import Field, StringConstraints

from services.atp.application.read_promises import PromiseReader
from services.atp.application.service_levels import (
    MonthOfService,
    ServiceLevels,
    costs_document,
    figures_document,
    tier_document,
)
from services.atp.domain.service_figures import cost_to_serve, costs, rounded
from services.atp.entrypoints.callers import visible
from services.atp.entrypoints.problem_codes import MONTH_NOT_OVER, ORDER_UNKNOWN
from services.chassis.auth import Principal, require
from services.chassis.problems import VALIDATION_FAILED, Problem, problem_responses
from services.contracts.payload import FIRST_DAY, LAST_DAY, Code, Payload
from services.contracts.service import Month, ServiceBreached

BREACHES_MAX: Final = 1_000
Reader = Annotated[Principal, Depends(require("atp.read"))]
Planner = Annotated[Principal, Depends(require("atp.configure"))]
Exact = dict[str, dict[str, str]]
AskedMonth = Annotated[  # of the days that a payload may name, see `payload.Day`
    str,
    StringConstraints(pattern=r"^(19[7-9][0-9]|2[01][0-9]{2})-(0[1-9]|1[0-2])$"),
    Field(description=f"from {FIRST_DAY:%Y-%m} to {LAST_DAY:%Y-%m}"),
]


class RatioDocument(Payload):
    """`achieved` of `total`; `basis_points` is rounded down, and null where there is nothing to divide by."""

    achieved: int
    total: int
    basis_points: int | None


class CostDocument(Payload):
    """A component of cost: what was told, what is charged at a rate, and of how many nothing is known (missing)."""

    component: str
    actual_minor: int
    rate_minor: int
    missing: int
    complete: bool


class ChangesDocument(Payload):
    """Changes of promises that no customer asked for, by one cause: lines, and what they cost more (negative: less).

    `cost_minor` is the difference of shipping costs, `late_unit_days` of units times days late, `open_units` of what
    waits; `penalty_minor` is what the tier's penalties, as they are now, say of the last two.
    """

    improved: int
    worsened: int
    cost_minor: int
    late_unit_days: int
    open_units: int
    penalty_minor: int


class TierService(Payload):
    """How one tier was served in a month; docs/measures.md defines every figure."""

    tier: str
    counts: dict[str, int]
    ratios: dict[str, RatioDocument]
    overrides: dict[str, int]
    changes: dict[str, ChangesDocument]
    protection: dict[str, int]
    quota: dict[str, int]
    activities: dict[str, int]
    cost_to_serve_minor: int
    costs: tuple[CostDocument, ...]


class CorrectionDocument(Payload):
    """What was added to a closed month: by tier and figure, exact. `reference` names orders, or entries of costs."""

    number: int
    recorded_at: datetime
    cause: Literal["late_event", "cost_input"]
    reference: tuple[str, ...]
    figures: Exact


class ServiceLevelsDocument(Payload):
    """A month. What is due today or later is not counted yet; `behind` says that changes wait to be measured.

    A closed month has the figures of its closing and the corrections since; `tiers` are with all corrections.
    """

    month: Month
    state: Literal["open", "closed"]
    today: date
    behind: bool
    closed_at: datetime | None
    closed_by: str | None
    tiers: tuple[TierService, ...]
    closed_figures: Exact
    corrections: tuple[CorrectionDocument, ...]


class MonthClosed(Payload):
    """`closed` says whether this request closed it."""

    month: Month
    closed: bool


class BreachList(Payload):
    """Breaches as they stand, newest month first."""

    items: tuple[ServiceBreached, ...]


class OrderCosts(Payload):
    """What serving one order has cost so far."""

    promise_id: str
    cost_to_serve_minor: int
    costs: tuple[CostDocument, ...]


def service_level_routes(levels: ServiceLevels, promises: PromiseReader) -> APIRouter:
    """The routes."""
    router = APIRouter(tags=["service levels"])

    @router.get(
        "/v1/service-levels", response_model=ServiceLevelsDocument, responses=problem_responses(VALIDATION_FAILED)
    )
    async def get_service_levels(
        _: Reader, month: Annotated[AskedMonth | None, Query()] = None, tier: Annotated[Code | None, Query()] = None
    ) -> dict[str, Any]:
        """How tiers were served in a month (default: the current one), by the tier in force when promised."""
        return _document(await levels.month(None if month is None else _first_day(month)), tier)

    @router.post(
        "/v1/service-levels/{month}:close",
        response_model=MonthClosed,
        responses=problem_responses(VALIDATION_FAILED, MONTH_NOT_OVER),
    )
    async def close_month(principal: Planner, month: Annotated[AskedMonth, Path()]) -> dict[str, Any]:
        """Close a month that is over: from then on it changes only by a listed correction."""
        closed = await levels.close(_first_day(month), principal.subject)
        if closed is None:
            raise Problem(MONTH_NOT_OVER)
        return {"month": month, "closed": closed}

    @router.get("/v1/service-breaches", response_model=BreachList, responses=problem_responses(VALIDATION_FAILED))
    async def get_breaches(
        _: Reader, month: Annotated[AskedMonth | None, Query()] = None, tier: Annotated[Code | None, Query()] = None
    ) -> dict[str, Any]:
        """Breaches of the targets of tiers, each as it stands."""
        first = None if month is None else _first_day(month)
        return {"items": await levels.breaches(first, tier, BREACHES_MAX)}

    @router.get(
        "/v1/promises/{promise_id}/costs", response_model=OrderCosts, responses=problem_responses(ORDER_UNKNOWN)
    )
    async def get_order_costs(principal: Reader, promise_id: Annotated[UUID, Path()]) -> dict[str, Any]:
        """What serving an order has cost so far, and what is actual, what is a rate and what is missing of it."""
        visible(principal, await promises.by_id(promise_id))
        figures = await levels.order_costs(promise_id)
        if figures is None:
            raise Problem(ORDER_UNKNOWN)
        return {
            "promise_id": str(promise_id),
            "cost_to_serve_minor": rounded(cost_to_serve(costs(figures))),
            "costs": costs_document(figures),
        }

    return router


def _first_day(month: str) -> int:
    return date.fromisoformat(f"{month}-01").toordinal()


def _document(found: MonthOfService, tier: str | None) -> dict[str, Any]:
    def own(figures: dict[str, Any]) -> dict[str, Any]:
        return {name: each for name, each in figures.items() if tier in (None, name)}

    return {
        "month": f"{date.fromordinal(found.month):%Y-%m}",
        "state": "open" if found.closed_at is None else "closed",
        "today": date.fromordinal(found.today),
        "behind": found.behind,
        "closed_at": found.closed_at,
        "closed_by": found.closed_by,
        "tiers": [
            tier_document(name, figures, found.penalties.get(name, (0, 0)))
            for name, figures in sorted(own(dict(found.figures)).items())
        ],
        "closed_figures": own(figures_document(found.closed_figures or {})),
        "corrections": [
            {
                "number": each.number,
                "recorded_at": each.recorded_at,
                "cause": each.cause,
                "reference": each.reference,
                "figures": own(figures_document(each.figures)),
            }
            for each in found.corrections
        ],
    }
