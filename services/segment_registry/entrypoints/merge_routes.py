"""Merging and splitting duplicates over HTTP."""

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request, Response
from pydantic import Field

from services.chassis.auth import Principal, require, see_everything
from services.chassis.problems import IDEMPOTENCY_KEY_REUSED, VALIDATION_FAILED, Problem, problem_responses
from services.contracts.payload import Identifier, Note, Payload
from services.segment_registry.application.answer_once import Answer
from services.segment_registry.application.change_customers import CustomerUnknown
from services.segment_registry.application.merge_customers import Outcome, merge_customers, split_customer
from services.segment_registry.application.ports import Commander, RegistryTransaction
from services.segment_registry.application.read_customers import customer_at
from services.segment_registry.domain.merging import MergeDone, MergeRefused
from services.segment_registry.domain.second_person import SecondPersonNeeded
from services.segment_registry.entrypoints.desk import (
    Desk,
    IdempotencyKey,
    answer,
    commander,
    problem_answer,
)
from services.segment_registry.entrypoints.documents import CustomerDocument, customer_value
from services.segment_registry.entrypoints.problem_codes import (
    APPROVAL_REQUIRED,
    CUSTOMER_UNKNOWN,
    MERGE_PROBLEMS,
    customer_unknown,
    second_person,
)

Writer = Annotated[Principal, Depends(require("registry.write"))]
CustomerId = Annotated[str, Path(max_length=128)]


class MergeBody(Payload):
    """The customer that the duplicate is, and why."""

    into: Identifier
    reason: Annotated[Note, Field(min_length=1)]


class SplitBody(Payload):
    """Why it is no duplicate."""

    reason: Annotated[Note, Field(min_length=1)]


def merge_routes(desk: Desk) -> APIRouter:
    """The routes."""
    router = APIRouter(tags=["customers"])
    problems = problem_responses(
        CUSTOMER_UNKNOWN, VALIDATION_FAILED, IDEMPOTENCY_KEY_REUSED, APPROVAL_REQUIRED, *MERGE_PROBLEMS.values()
    )

    @router.post(
        "/v1/customers/{customer_id}:merge",
        response_model=CustomerDocument,
        summary="Merge a duplicate into the customer that it is",
        description="Under all its identifiers it is served as that one from now on. Its own tier history is kept.",
        responses=problems,
    )
    async def post_merge(
        request: Request, principal: Writer, customer_id: CustomerId, body: MergeBody, key: IdempotencyKey = None
    ) -> Response:

        async def change(transaction: RegistryTransaction, who: Commander) -> Outcome:
            return await merge_customers(transaction, customer_id, body.into, body.reason, who)

        return await _decide(desk, request, principal, customer_id, key=key, change=change)

    @router.post(
        "/v1/customers/{customer_id}:split",
        response_model=CustomerDocument,
        summary="Split a merged customer off again, as it was kept",
        responses=problems,
    )
    async def post_split(
        request: Request, principal: Writer, customer_id: CustomerId, body: SplitBody, key: IdempotencyKey = None
    ) -> Response:

        async def change(transaction: RegistryTransaction, who: Commander) -> Outcome:
            return await split_customer(transaction, customer_id, body.reason, who)

        return await _decide(desk, request, principal, customer_id, key=key, change=change)

    return router


async def _decide(
    desk: Desk,
    request: Request,
    principal: Principal,
    customer_id: str,
    *,
    key: str | None,
    change: Callable[[RegistryTransaction, Commander], Awaitable[Outcome]],
) -> Response:
    see_everything(principal)
    who = commander(request, principal)

    async def command(transaction: RegistryTransaction) -> Answer:
        return await _answer(transaction, request, customer_id, await change(transaction, who))

    return await desk.run(request, principal, command, key)


async def _answer(transaction: RegistryTransaction, request: Request, customer_id: str, outcome: Outcome) -> Answer:
    match outcome:
        case MergeRefused(reason):
            return problem_answer(request, Problem(MERGE_PROBLEMS[reason]))
        case SecondPersonNeeded():
            return problem_answer(request, second_person(outcome))
        case CustomerUnknown():
            return problem_answer(request, customer_unknown())
        case MergeDone():
            view = await customer_at(transaction, customer_id, None)
            return problem_answer(request, customer_unknown()) if view is None else answer(customer_value(view))
