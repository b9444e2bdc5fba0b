"""Versions and plans of tiers over HTTP."""

from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, Path, Request, Response

from services.chassis.auth import Principal, require, see_everything
from services.chassis.problems import IDEMPOTENCY_KEY_REUSED, VALIDATION_FAILED, Problem, problem_responses
from services.contracts.payload import Identifier, Moment, Payload
from services.contracts.segments import TierDefined
from services.segment_registry.application.answer_once import Answer
from services.segment_registry.application.plan_tiers import (
    PlanRefused,
    TierTimes,
    plan_tier,
    tier_times,
    withdraw_plan,
)
from services.segment_registry.application.ports import RegistryTransaction
from services.segment_registry.application.publishing import tier_document
from services.segment_registry.domain.planned_tiers import PlannedTier
from services.segment_registry.domain.second_person import SecondPersonNeeded
from services.segment_registry.domain.tiers import Tier, TierRefused
from services.segment_registry.entrypoints.change_request_documents import RequestSummary, summary_value
from services.segment_registry.entrypoints.desk import (
    Desk,
    IdempotencyKey,
    answer,
    commander,
    problem_answer,
    response,
)
from services.segment_registry.entrypoints.documents import TierBody, TierId
from services.segment_registry.entrypoints.problem_codes import (
    APPROVAL_REQUIRED,
    PLAN_PROBLEMS,
    TIER_NOT_FOUND,
    second_person,
    tier_problem,
)
from services.segment_registry.entrypoints.tier_routes import tier_draft

Reader = Annotated[Principal, Depends(require("registry.read"))]
Writer = Annotated[Principal, Depends(require("registry.write"))]


class PlanBody(Payload):
    """A definition of a tier, whole, and the moment from which it is in effect."""

    effective_from: Moment
    definition: TierBody


class PlanWithdrawal(Payload):
    """Which plan is withdrawn."""

    effective_from: Moment


class PlanDocument(Payload):
    """A planned definition."""

    effective_from: Moment
    author: Identifier
    planned_at: Moment
    request_id: Identifier | None
    approver: Identifier | None
    definition: TierBody


class VersionDocument(Payload):
    """A version of a tier, since when it was in effect, and who made it: by a change request, who approved that."""

    effective_from: Moment
    author: Identifier
    request_id: Identifier | None
    approver: Identifier | None
    definition: TierDefined


class TierTimesDocument(Payload):
    """The newest versions of a tier, the newest first, what is planned, the earliest first, and what is asked for.

    `requests` are drafts, open and approved change requests about the tier, the oldest 50; `GET
    /v1/change-requests/{request_id}` has their content, `/effects` below it what they would change.
    """

    versions: tuple[VersionDocument, ...]
    planned: tuple[PlanDocument, ...]
    requests: tuple[RequestSummary, ...]


def tier_plan_routes(desk: Desk) -> APIRouter:
    """The routes."""
    router = APIRouter(tags=["tiers"])
    problems = problem_responses(VALIDATION_FAILED, IDEMPOTENCY_KEY_REUSED, APPROVAL_REQUIRED, *PLAN_PROBLEMS.values())

    @router.get(
        "/v1/tiers/{tier}/versions",
        response_model=TierTimesDocument,
        summary="The versions of a tier, what is planned for it, and what is drafted or asked for",
        responses=problem_responses(TIER_NOT_FOUND),
    )
    async def get_versions(principal: Reader, tier: Annotated[TierId, Path()]) -> Response:
        see_everything(principal)  # it tells of change requests
        found = await desk.transactions.read(lambda reader: tier_times(reader, tier))
        if not found.versions and not found.plans and not found.requests:
            raise Problem(TIER_NOT_FOUND)
        return response(answer(_times(found)))

    @router.post(
        "/v1/tiers/{tier}/plans",
        response_model=PlanDocument,
        status_code=201,
        summary="Plan a definition of a tier that comes into effect by itself",
        description="One that is not possible when its moment comes is dropped, with an entry in the audit trail.",
        responses=problems,
    )
    async def post_plan(
        request: Request,
        principal: Writer,
        tier: Annotated[TierId, Path()],
        body: PlanBody,
        key: IdempotencyKey = None,
    ) -> Response:
        see_everything(principal)
        who = commander(request, principal)
        draft = tier_draft(tier, body.definition)

        async def command(transaction: RegistryTransaction) -> Answer:
            outcome = await plan_tier(transaction, draft, body.effective_from, who)
            return _answer(request, outcome, 201)

        return await desk.run(request, principal, command, key)

    @router.post(
        "/v1/tiers/{tier}/plans:withdraw",
        response_model=PlanDocument,
        summary="Withdraw what is planned for a tier at a moment",
        responses=problems,
    )
    async def post_withdraw(
        request: Request,
        principal: Writer,
        tier: Annotated[TierId, Path()],
        body: PlanWithdrawal,
        key: IdempotencyKey = None,
    ) -> Response:
        see_everything(principal)
        who = commander(request, principal)

        async def command(transaction: RegistryTransaction) -> Answer:
            return _answer(request, await withdraw_plan(transaction, tier, body.effective_from, who), 200)

        return await desk.run(request, principal, command, key)

    return router


def _answer(
    request: Request, outcome: PlannedTier | PlanRefused | TierRefused | SecondPersonNeeded, status: int
) -> Answer:
    match outcome:
        case TierRefused():
            return problem_answer(request, tier_problem(outcome))
        case PlanRefused(reason):
            return problem_answer(request, Problem(PLAN_PROBLEMS[reason]))
        case SecondPersonNeeded():
            return problem_answer(request, second_person(outcome))
        case PlannedTier():
            return answer(_plan(outcome), status)


def _plan(plan: PlannedTier) -> dict[str, Any]:
    return {
        "effective_from": plan.effective_from,
        "author": plan.author,
        "planned_at": plan.planned_at,
        "request_id": plan.request_id,
        "approver": plan.approver,
        "definition": _definition(plan.definition),
    }


def _definition(tier: Tier) -> dict[str, Any]:
    return {
        "name": tier.name,
        "priority_rank": tier.priority_rank,
        "is_default": tier.is_default,
        "active": tier.active,
        "policy": orjson.Fragment(tier.policy),
    }


def _times(found: TierTimes) -> dict[str, Any]:
    versions = [
        {
            "effective_from": each.defined_at,
            "author": each.author,
            "request_id": None if each.by is None else each.by.request_id,
            "approver": None if each.by is None else each.by.approver,
            "definition": tier_document(each.tier),
        }
        for each in found.versions
    ]
    requests = [summary_value(each, each.state_at(found.now)) for each in found.requests]
    return {"versions": versions, "planned": [_plan(each) for each in found.plans], "requests": requests}
