"""Promises explained over HTTP."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends

from services.atp.application.explain_promise import explanation
from services.atp.application.read_promises import PromiseReader
from services.atp.entrypoints.callers import promise_id_of, visible
from services.atp.entrypoints.problem_codes import ORDER_UNKNOWN
from services.chassis.auth import Principal, require
from services.chassis.problems import problem_responses
from services.contracts.payload import Code, Identifier, Payload, Version
from services.contracts.promises import LineOutcome, PromiseState

Reader = Annotated[Principal, Depends(require("atp.read"))]


class ExplainedLine(Payload):
    """A line: for the planner what it got and what bound, the nearest constraint first; for the customer one text."""

    line: Identifier
    sku: Identifier
    outcome: LineOutcome
    for_planner: tuple[str, ...]
    for_customer: str


class ExplainedChange(Payload):
    """A revision that replaced another one."""

    revision: Version
    cause: str
    at: datetime
    for_planner: str
    for_customer: str


class Explanation(Payload):
    """A promise in sentences, what matters most first. `for_customer` names nothing but the customer's own order."""

    promise_id: Identifier
    revision: Version
    state: PromiseState
    decided_at: datetime
    tier: Code
    for_planner: tuple[str, ...]
    for_customer: str
    lines: tuple[ExplainedLine, ...]
    changes: tuple[ExplainedChange, ...]


def explanation_routes(reader: PromiseReader) -> APIRouter:
    """The routes."""
    router = APIRouter(tags=["promises"])

    @router.get(
        "/v1/promises/{promise_id}/explanation",
        summary="Why a promise is as it is, in sentences for a planner and for the customer",
        response_model=Explanation,
        responses=problem_responses(ORDER_UNKNOWN),
    )
    async def get_explanation(promise_id: str, principal: Reader) -> dict[str, Any]:
        stored = visible(principal, await reader.by_id(promise_id_of(promise_id)))
        former = await reader.history(stored.promise_id)
        return explanation(stored, former, await reader.uncovered(stored.promise_id))

    return router
