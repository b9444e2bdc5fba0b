"""Tier histories over HTTP."""

from typing import Annotated, Final, TypeAlias

from fastapi import APIRouter, Depends, Path, Query, Request, Response

from services.chassis.auth import Principal, require
from services.chassis.metrics import OTHER
from services.chassis.problems import IDEMPOTENCY_KEY_REUSED, VALIDATION_FAILED, problem_responses
from services.contracts.payload import Moment
from services.segment_registry.application.answer_once import Answer
from services.segment_registry.application.assign_tier import assign_tier
from services.segment_registry.application.change_customers import CustomerUnknown
from services.segment_registry.application.end_assignment import end_assignment
from services.segment_registry.application.ports import Distances, RegistryTransaction
from services.segment_registry.application.read_customers import KnownView, customer_as_known, explain_tier
from services.segment_registry.domain.moves import Moved, MoveRefused, MoveRequest
from services.segment_registry.domain.second_person import SecondPersonNeeded
from services.segment_registry.domain.timeline import Grounds, Kind, Unchanged
from services.segment_registry.entrypoints.desk import (
    Desk,
    IdempotencyKey,
    answer,
    commander,
    problem_answer,
    response,
    see_customers,
)
from services.segment_registry.entrypoints.documents import (
    AssignmentBody,
    EndBody,
    History,
    MoveDocument,
    ServedDocument,
    history_value,
    move_value,
    served_value,
)
from services.segment_registry.entrypoints.explanation_documents import ExplanationDocument, explanation_value
from services.segment_registry.entrypoints.problem_codes import (
    APPROVAL_REQUIRED,
    CUSTOMER_UNKNOWN,
    MOVE_PROBLEMS,
    UNKNOWN_ASSIGNMENT,
    customer_unknown,
    move_problem,
    second_person,
)

Reader = Annotated[Principal, Depends(require("registry.read"))]
Writer = Annotated[Principal, Depends(require("registry.write"))]
CustomerId = Annotated[str, Path(max_length=128)]
HISTORY_PAGE_MAX: Final = 500  # assignments of one page
_Outcome: TypeAlias = Moved | Unchanged | MoveRefused | CustomerUnknown | SecondPersonNeeded


def assignment_routes(desk: Desk, distances: Distances | None) -> APIRouter:
    """The routes."""
    router = APIRouter(tags=["assignments"])
    _add_reads(router, desk)
    _add_explanation(router, desk, distances)
    _add_assign(router, desk)
    _add_end(router, desk)
    return router


def _add_reads(router: APIRouter, desk: Desk) -> None:
    @router.get(
        "/v1/customers/{customer_id}/tier",
        response_model=ServedDocument,
        summary="The tier of a customer at a moment, as far as it was known at another",
        description="`at` asks what was true then (default: now), `known_at` what was known then (default: now). After"
        " `known_at` the answer is what was planned at that time.",
        responses=problem_responses(CUSTOMER_UNKNOWN, VALIDATION_FAILED),
    )
    async def get_tier(
        principal: Reader,
        customer_id: CustomerId,
        at: Annotated[Moment | None, Query()] = None,
        known_at: Annotated[Moment | None, Query()] = None,
    ) -> Response:
        see_customers(principal)
        view = await desk.transactions.read(lambda reader: customer_as_known(reader, customer_id, at, known_at))
        return response(answer(served_value(_known(view))))

    @router.get(
        "/v1/customers/{customer_id}/assignments",
        response_model=History,
        summary="The tier history of a customer: past, present, planned; as it was known at a moment",
        responses=problem_responses(CUSTOMER_UNKNOWN, VALIDATION_FAILED),
    )
    async def get_history(
        principal: Reader,
        customer_id: CustomerId,
        known_at: Annotated[Moment | None, Query()] = None,
        after: Annotated[int, Query(ge=0)] = 0,
        limit: Annotated[int, Query(ge=1, le=HISTORY_PAGE_MAX)] = 100,
    ) -> Response:
        see_customers(principal)
        view = await desk.transactions.read(lambda reader: customer_as_known(reader, customer_id, None, known_at))
        return response(answer(history_value(_known(view), after, limit)))


def _add_explanation(router: APIRouter, desk: Desk, distances: Distances | None) -> None:
    @router.get(
        "/v1/customers/{customer_id}/tier-explanation",
        response_model=ExplanationDocument,
        summary="Why a customer is in its tier, with sentences that may be read to the customer",
        responses=problem_responses(CUSTOMER_UNKNOWN, VALIDATION_FAILED),
    )
    async def get_explanation(
        principal: Reader, customer_id: CustomerId, at: Annotated[Moment | None, Query()] = None
    ) -> Response:
        see_customers(principal)
        found = await explain_tier(desk.transactions, customer_id, at, distances)
        if found is None:
            raise customer_unknown()
        return response(answer(explanation_value(found)))


def _add_assign(router: APIRouter, desk: Desk) -> None:
    @router.post(
        "/v1/customers/{customer_id}/assignments",
        response_model=MoveDocument,
        summary="Put a customer into a tier, now or from a date on",
        description="It ends the assignment in force at its start and lasts, without an end of its own, until the next"
        " planned one. 200 where the customer is in the tier already.",
        responses={
            201: {"model": MoveDocument},
            **problem_responses(
                CUSTOMER_UNKNOWN,
                VALIDATION_FAILED,
                IDEMPOTENCY_KEY_REUSED,
                APPROVAL_REQUIRED,
                *MOVE_PROBLEMS.values(),
            ),
        },
    )
    async def post_assignment(
        request: Request, principal: Writer, customer_id: CustomerId, body: AssignmentBody, key: IdempotencyKey = None
    ) -> Response:
        see_customers(principal)
        who = commander(request, principal)
        grounds = Grounds(body.reason, who.author)
        wanted = MoveRequest(body.tier, Kind(body.kind), body.effective_from, body.effective_to, grounds)

        decided: list[_Outcome] = []  # of the attempt that was committed

        async def command(transaction: RegistryTransaction) -> Answer:
            outcome = await assign_tier(transaction, customer_id, wanted, who.cause)
            decided[:] = [outcome]
            return await _answer(transaction, request, customer_id, outcome, changed_status=201)

        done = await desk.run(request, principal, command, key)
        for outcome in decided:
            desk.metrics.assignments.at(body.kind, _label(outcome, "moved")).inc()
        return done


def _add_end(router: APIRouter, desk: Desk) -> None:
    @router.post(
        "/v1/customers/{customer_id}/assignments/{sequence}:end",
        response_model=MoveDocument,
        summary="End an assignment now, or withdraw one that is only planned",
        responses=problem_responses(
            CUSTOMER_UNKNOWN,
            UNKNOWN_ASSIGNMENT,
            VALIDATION_FAILED,
            IDEMPOTENCY_KEY_REUSED,
            APPROVAL_REQUIRED,
        ),
    )
    async def post_end(
        *,
        request: Request,
        principal: Writer,
        customer_id: CustomerId,
        sequence: Annotated[int, Path(ge=1, le=2**53)],
        body: EndBody,
        key: IdempotencyKey = None,
    ) -> Response:
        see_customers(principal)
        who = commander(request, principal)
        grounds = Grounds(body.reason, who.author)

        decided: list[_Outcome] = []  # of the attempt that was committed

        async def command(transaction: RegistryTransaction) -> Answer:
            outcome = await end_assignment(transaction, customer_id, sequence, grounds, who.cause)
            decided[:] = [outcome]
            return await _answer(transaction, request, customer_id, outcome, changed_status=200)

        done = await desk.run(request, principal, command, key)
        for outcome in decided:
            kind = outcome.assignment.kind if isinstance(outcome, Moved | Unchanged) else OTHER
            desk.metrics.assignments.at(kind, _label(outcome, "ended")).inc()
        return done


async def _answer(
    transaction: RegistryTransaction,
    request: Request,
    customer_id: str,
    outcome: _Outcome,
    *,
    changed_status: int,
) -> Answer:
    match outcome:
        case CustomerUnknown():
            return problem_answer(request, customer_unknown())
        case MoveRefused():
            return problem_answer(request, move_problem(outcome))
        case SecondPersonNeeded():
            return problem_answer(request, second_person(outcome))
        case Moved(customer, assignment):
            return answer(move_value(customer_id, customer.sequence, assignment, changed=True), changed_status)
        case Unchanged(assignment):
            sequence = (await transaction.customers([customer_id]))[customer_id].sequence
            return answer(move_value(customer_id, sequence, assignment, changed=False))


def _label(outcome: _Outcome, moved: str) -> str:
    match outcome:
        case CustomerUnknown():
            return CUSTOMER_UNKNOWN.code
        case SecondPersonNeeded():
            return APPROVAL_REQUIRED.code
        case Moved():
            return moved
        case Unchanged():
            return "unchanged"
        case MoveRefused(reason):
            return reason


def _known(view: KnownView | None) -> KnownView:
    if view is None:
        raise customer_unknown()
    return view
