"""What things cost and what was reported of orders, over HTTP; the same comes by `catalog.v1` and `fulfilments.v1`."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Final, Generic, TypeVar

from fastapi import APIRouter, Depends, Query, Request
from pydantic import Field

from services.atp.application.commands import Applied
from services.atp.application.cost_inputs import CostInputs, rate_row
from services.atp.application.engine import Engine
from services.atp.application.order_reports import ReportOrder
from services.atp.application.queues import Lane
from services.atp.entrypoints.callers import origin_of
from services.atp.entrypoints.supply_commands import report_command
from services.chassis.auth import Principal, require
from services.chassis.problems import VALIDATION_FAILED, problem_responses
from services.contracts.costs import ActivityRate, ActivityReported, LandedCost
from services.contracts.payload import Identifier, Payload
from services.contracts.supply import Discrepancy

ENTRIES_MAX: Final = 1_000  # entries of one request
Supplier = Annotated[Principal, Depends(require("atp.supply"))]
Planner = Annotated[Principal, Depends(require("atp.configure"))]
Reader = Annotated[Principal, Depends(require("atp.read"))]
Said = TypeVar("Said", bound=Payload)


class CostEntries(Payload, Generic[Said]):
    """A bulk of entries."""

    items: Annotated[tuple[Said, ...], Field(min_length=1, max_length=ENTRIES_MAX)]


class StoredCosts(Payload):
    """How many entries were newer than what was stored."""

    stored: int


class CostEntry(Payload):
    """A cost in effect from a day on; `amount_minor` null: withdrawn."""

    name: str
    effective_from: str
    amount_minor: str | None
    version: int
    author: str
    recorded_at: datetime


class CostList(Payload):
    """Entries by name and day."""

    items: tuple[CostEntry, ...]


class ReportResult(Payload):
    """What became of a report: `applied`, `repeated` (known), or `recorded` (nobody knows the order or line)."""

    reference: str
    effect: str


class ReportResults(Payload):
    """Results in the order of the entries."""

    results: tuple[ReportResult, ...]


def cost_routes(engine: Engine, costs: CostInputs) -> APIRouter:
    """The routes."""
    router = APIRouter(tags=["costs"])
    _add_inputs(router, costs)
    _add_reports(router, engine)
    return router


def _add_inputs(router: APIRouter, costs: CostInputs) -> None:
    @router.post("/v1/costs/landed", response_model=StoredCosts, responses=problem_responses(VALIDATION_FAILED))
    async def post_landed(principal: Planner, body: CostEntries[LandedCost]) -> dict[str, Any]:
        """Set what base units of items cost, each from a day on. Closed months get a listed correction."""
        return {"stored": await costs.store([rate_row(each) for each in body.items], principal.subject)}

    @router.get("/v1/costs/landed", response_model=CostList, responses=problem_responses(VALIDATION_FAILED))
    async def get_landed(_: Reader, sku: Annotated[Identifier, Query()]) -> dict[str, Any]:
        """What base units of an item cost, by the day from which it is so."""
        return {"items": await costs.rates("landed", sku)}

    @router.post("/v1/costs/rates", response_model=StoredCosts, responses=problem_responses(VALIDATION_FAILED))
    async def post_rates(principal: Planner, body: CostEntries[ActivityRate]) -> dict[str, Any]:
        """Set what activities cost, each from a day on. Closed months get a listed correction."""
        return {"stored": await costs.store([rate_row(each) for each in body.items], principal.subject)}

    @router.get("/v1/costs/rates", response_model=CostList)
    async def get_rates(_: Reader) -> dict[str, Any]:
        """What activities cost, by activity and by the day from which it is so."""
        return {"items": await costs.rates("activity", None)}


def _add_reports(router: APIRouter, engine: Engine) -> None:
    @router.post(
        "/v1/fulfilments/activities", response_model=ReportResults, responses=problem_responses(VALIDATION_FAILED)
    )
    async def post_activities(request: Request, _: Supplier, body: CostEntries[ActivityReported]) -> dict[str, Any]:
        """Take in what was done for orders: pallets, contacts, and activities whose own cost is known."""
        origin = origin_of(request)
        return await _report(engine, [report_command(each, origin) for each in body.items])

    @router.post(
        "/v1/fulfilments/discrepancies", response_model=ReportResults, responses=problem_responses(VALIDATION_FAILED)
    )
    async def post_discrepancies(request: Request, _: Supplier, body: CostEntries[Discrepancy]) -> dict[str, Any]:
        """Take in that goods came wrong, damaged or too few."""
        origin = origin_of(request)
        return await _report(engine, [report_command(each, origin) for each in body.items])


async def _report(engine: Engine, commands: Sequence[ReportOrder]) -> dict[str, Any]:
    found = await asyncio.gather(*(engine.submit(Lane.HTTP, each) for each in commands), return_exceptions=True)
    results = []
    for command, outcome in zip(commands, found, strict=True):
        if isinstance(outcome, BaseException):
            raise outcome
        effect = outcome.note if isinstance(outcome, Applied) else "applied"
        results.append({"reference": command.name.reference, "effect": effect})
    return {"results": results}
