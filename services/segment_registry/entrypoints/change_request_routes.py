"""Change requests over HTTP."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Final
from uuid import UUID

import structlog
from fastapi import APIRouter, Depends, Header, Path, Query, Request, Response

from services.chassis.auth import Forbidden, Principal, require, see_everything
from services.chassis.problems import (
    BAD_REQUEST,
    FORBIDDEN,
    IDEMPOTENCY_KEY_REUSED,
    VALIDATION_FAILED,
    Problem,
    problem_responses,
)
from services.segment_registry.application.answer_once import Answer
from services.segment_registry.application.change_content import canonical
from services.segment_registry.application.dry_run import dry_run
from services.segment_registry.application.handle_requests import (
    REQUESTS_PAGE_MAX,
    NotCarriedOut,
    NotProposed,
    Proposed,
    RequestRefused,
    RequestUnknown,
    apply_change,
    approve_change,
    close_change,
    draft_change,
    edit_change,
    propose_change,
    redraft_change,
    requests_page,
    submit_change,
)
from services.segment_registry.application.ports import Commander, Previews, RegistryTransaction
from services.segment_registry.domain.change_requests import ChangeRequest, RequestState
from services.segment_registry.entrypoints.change_contents import change_of
from services.segment_registry.entrypoints.change_request_documents import (
    ApprovalBody,
    BothHandsDocument,
    ClosingBody,
    EditBody,
    EffectsDocument,
    NothingBody,
    ProposalBody,
    RequestDocument,
    RequestPage,
    both_hands_value,
    effects_value,
    request_value,
    summary_value,
)
from services.segment_registry.entrypoints.desk import (
    Desk,
    IdempotencyKey,
    answer,
    commander,
    problem_answer,
    response,
)
from services.segment_registry.entrypoints.problem_codes import (
    NOT_CARRIED_OUT,
    PROPOSAL_PROBLEMS,
    REQUEST_PROBLEMS,
    REQUEST_UNKNOWN,
)
from services.segment_registry.entrypoints.versions import etag, expected_version

Reader = Annotated[Principal, Depends(require("registry.read"))]
Writer = Annotated[Principal, Depends(require("registry.write"))]
Approver = Annotated[Principal, Depends(require("registry.approve"))]
RequestId = Annotated[str, Path(max_length=128)]
REQUESTS_PATH: Final = "/v1/change-requests"
# What a content needs besides `registry.write`: a request is no way around a scope.
SCOPES_OF_KINDS: Final = {"import": "registry.import", "change_rules": "registry.govern"}
PROPOSING: Final = ("registry.write", "*")
APPROVING: Final = ("registry.approve", "*")
_Decided = ChangeRequest | RequestRefused | RequestUnknown | NotCarriedOut
_log = structlog.get_logger(__name__)


def change_request_routes(desk: Desk, previews: Previews | None) -> APIRouter:
    """The routes."""
    router = APIRouter(tags=["change requests"])
    _add_reads(router, desk, previews)
    _add_proposing(router, desk)
    _add_submitting(router, desk)
    _add_deciding(router, desk)
    _add_closing(router, desk)
    return router


def _add_reads(router: APIRouter, desk: Desk, previews: Previews | None) -> None:
    @router.get(REQUESTS_PATH, response_model=RequestPage, summary="Change requests, the oldest first")
    async def list_requests(
        principal: Reader,
        state: Annotated[RequestState | None, Query()] = None,
        cursor: UUID | None = None,
        limit: Annotated[int, Query(ge=1, le=REQUESTS_PAGE_MAX)] = 50,
    ) -> Response:
        see_everything(principal)
        after = None if cursor is None else str(cursor)
        page, following, now = await desk.transactions.read(lambda reader: requests_page(reader, state, after, limit))
        items = [summary_value(each, each.state_at(now)) for each in page]
        return response(answer({"items": items, "next_cursor": following}))

    @router.get(
        REQUESTS_PATH + "/{request_id}",
        response_model=RequestDocument,
        summary="A change request with its content",
        responses=problem_responses(REQUEST_UNKNOWN),
    )
    async def get_request(principal: Reader, request_id: RequestId) -> Response:
        see_everything(principal)

        async def look(reader: Any) -> tuple[ChangeRequest | None, Any]:
            return await reader.change_request(request_id), await reader.now()

        found, now = await desk.transactions.read(look)
        if found is None:
            raise Problem(REQUEST_UNKNOWN)
        return response(answer(request_value(found, found.state_at(now))), etag(found.revision))

    @router.get(
        REQUESTS_PATH + "/{request_id}/effects",
        response_model=EffectsDocument,
        summary="What a change would touch: customers, and by the ATP's preview open promises and protections",
        responses=problem_responses(REQUEST_UNKNOWN),
    )
    async def get_effects(principal: Reader, request_id: RequestId) -> Response:
        see_everything(principal)
        effects = await dry_run(desk.transactions, request_id, change_of, previews)
        if isinstance(effects, RequestUnknown):
            raise Problem(REQUEST_UNKNOWN)
        return response(answer(effects_value(request_id, effects)))

    @router.get(
        "/v1/reports/both-hands",
        response_model=BothHandsDocument,
        summary="Who may propose and approve the same thing, and who has done both",
        description="Of keys it knows those of its own table; what was done it knows of everybody.",
    )
    async def get_both_hands(principal: Reader) -> Response:
        see_everything(principal)
        found = await desk.transactions.read(lambda reader: reader.both_hands(PROPOSING, APPROVING))
        return response(answer(both_hands_value(found)))


def _add_proposing(router: APIRouter, desk: Desk) -> None:
    @router.post(
        REQUESTS_PATH,
        response_model=RequestDocument,
        status_code=201,
        summary="Propose a change for somebody else to approve, or keep it as a draft",
        description="A tier that cannot be planned for its moment is refused, unless it is a draft.",
        responses=problem_responses(VALIDATION_FAILED, IDEMPOTENCY_KEY_REUSED, FORBIDDEN, *PROPOSAL_PROBLEMS.values()),
    )
    async def post_request(
        request: Request, principal: Writer, body: ProposalBody, key: IdempotencyKey = None
    ) -> Response:
        see_everything(principal)
        _check_scope(principal, body.content.kind)
        who = commander(request, principal)
        decided: list[_Decided] = []

        async def command(transaction: RegistryTransaction) -> Answer:
            if body.draft:
                made = await draft_change(transaction, _proposed(body), who)
            else:
                made = await propose_change(transaction, _proposed(body), change_of, who)
            if isinstance(made, NotProposed):
                return problem_answer(request, Problem(PROPOSAL_PROBLEMS[made.code]))
            decided[:] = [made]
            return answer(request_value(made, made.state), 201)

        done = await desk.run(request, principal, command, key)
        return _counted(desk, done, decided, "drafted" if body.draft else "proposed")

    @router.put(
        REQUESTS_PATH + "/{request_id}",
        response_model=RequestDocument,
        summary="Edit a draft or an open change request; whoever does so is one of its authors from then on",
        description="`If-Match` with the revision looked at (`ETag`) refuses to overwrite what somebody else wrote.",
        responses=problem_responses(
            BAD_REQUEST, REQUEST_UNKNOWN, VALIDATION_FAILED, FORBIDDEN, *REQUEST_PROBLEMS.values()
        ),
    )
    async def put_request(
        request: Request,
        principal: Writer,
        request_id: RequestId,
        body: EditBody,
        if_match: Annotated[str | None, Header()] = None,
    ) -> Response:
        _check_scope(principal, body.content.kind)
        revision = expected_version(if_match, None)

        async def change(transaction: RegistryTransaction, who: Commander) -> _Decided:
            return await edit_change(transaction, request_id, _proposed(body), who, revision)

        return await _decide(desk, request, principal, key=None, step="edited", change=change)


def _problems() -> dict[int | str, dict[str, Any]]:
    return problem_responses(
        REQUEST_UNKNOWN, VALIDATION_FAILED, IDEMPOTENCY_KEY_REUSED, NOT_CARRIED_OUT, *REQUEST_PROBLEMS.values()
    )


def _add_submitting(router: APIRouter, desk: Desk) -> None:
    problems = _problems()

    @router.post(
        REQUESTS_PATH + "/{request_id}:submit",
        response_model=RequestDocument,
        summary="Submit a draft, with the content that has this hash, for somebody else to approve",
        responses=problems,
    )
    async def post_submit(
        request: Request, principal: Writer, request_id: RequestId, body: ApprovalBody, key: IdempotencyKey = None
    ) -> Response:

        async def change(transaction: RegistryTransaction, who: Commander) -> _Decided:
            return await submit_change(transaction, request_id, body.content_sha256, change_of, who)

        return await _decide(desk, request, principal, key=key, step="submitted", change=change)

    @router.post(
        REQUESTS_PATH + "/{request_id}:redraft",
        response_model=RequestDocument,
        summary="Make a draft of a change request of one's own again; an approval of it is void",
        responses=problems,
    )
    async def post_redraft(
        request: Request, principal: Writer, request_id: RequestId, body: NothingBody, key: IdempotencyKey = None
    ) -> Response:
        del body

        async def change(transaction: RegistryTransaction, who: Commander) -> _Decided:
            return await redraft_change(transaction, request_id, who)

        return await _decide(desk, request, principal, key=key, step="redrafted", change=change)


def _add_deciding(router: APIRouter, desk: Desk) -> None:
    problems = _problems()

    @router.post(
        REQUESTS_PATH + "/{request_id}:approve",
        response_model=RequestDocument,
        summary="Approve the content that has this hash; not one's own",
        responses=problems,
    )
    async def post_approve(
        request: Request, principal: Approver, request_id: RequestId, body: ApprovalBody, key: IdempotencyKey = None
    ) -> Response:

        async def change(transaction: RegistryTransaction, who: Commander) -> _Decided:
            return await approve_change(transaction, request_id, body.content_sha256, who)

        return await _decide(desk, request, principal, key=key, step="approved", change=change)

    @router.post(
        REQUESTS_PATH + "/{request_id}:apply",
        response_model=RequestDocument,
        summary="Carry out an approved change, whole or not at all, and once",
        description="A draft of a tier is carried out so too, where the rules of change ask for no second person.",
        responses=problems,
    )
    async def post_apply(
        request: Request, principal: Writer, request_id: RequestId, body: NothingBody, key: IdempotencyKey = None
    ) -> Response:
        del body

        async def change(transaction: RegistryTransaction, who: Commander) -> _Decided:
            return await apply_change(transaction, request_id, change_of, who)

        return await _decide(desk, request, principal, key=key, step="applied", change=change)


def _add_closing(router: APIRouter, desk: Desk) -> None:
    problems = _problems()

    @router.post(
        REQUESTS_PATH + "/{request_id}:reject",
        response_model=RequestDocument,
        summary="Reject a change request, or take an approval back that was not used",
        responses=problems,
    )
    async def post_reject(
        request: Request, principal: Approver, request_id: RequestId, body: ClosingBody, key: IdempotencyKey = None
    ) -> Response:

        async def change(transaction: RegistryTransaction, who: Commander) -> _Decided:
            return await close_change(transaction, request_id, RequestState.REJECTED, body.reason, who)

        return await _decide(desk, request, principal, key=key, step=RequestState.REJECTED.value, change=change)

    @router.post(
        REQUESTS_PATH + "/{request_id}:withdraw",
        response_model=RequestDocument,
        summary="Withdraw a draft or a change request of one's own",
        responses=problems,
    )
    async def post_withdraw(
        request: Request, principal: Writer, request_id: RequestId, body: ClosingBody, key: IdempotencyKey = None
    ) -> Response:

        async def change(transaction: RegistryTransaction, who: Commander) -> _Decided:
            return await close_change(transaction, request_id, RequestState.WITHDRAWN, body.reason, who)

        return await _decide(desk, request, principal, key=key, step=RequestState.WITHDRAWN.value, change=change)


async def _decide(
    desk: Desk,
    request: Request,
    principal: Principal,
    *,
    key: str | None,
    step: str,
    change: Callable[[RegistryTransaction, Commander], Awaitable[_Decided]],
) -> Response:
    """Take one step of a change request, answer with what became of it and count it under the step's name."""
    see_everything(principal)
    who = commander(request, principal)
    decided: list[_Decided] = []

    async def command(transaction: RegistryTransaction) -> Answer:
        decided[:] = [await change(transaction, who)]
        return _answer(request, decided[0])

    return _counted(desk, await desk.run(request, principal, command, key), decided, step)


def _check_scope(principal: Principal, kind: str) -> None:
    scope = SCOPES_OF_KINDS.get(kind)
    if scope is not None and not principal.may(scope):
        raise Forbidden(scope)


def _proposed(body: EditBody) -> Proposed:
    return Proposed(body.content.kind, canonical(body.content.model_dump(mode="json")), body.reason)


def _answer(request: Request, outcome: _Decided) -> Answer:
    match outcome:
        case RequestUnknown():
            return problem_answer(request, Problem(REQUEST_UNKNOWN))
        case RequestRefused(refused, reason):
            problem = Problem(REQUEST_PROBLEMS[reason], state=refused.state, content_sha256=refused.content_sha256)
            return problem_answer(request, problem)
        case NotCarriedOut(_, failure):
            problem = Problem(NOT_CARRIED_OUT, cause=failure.code, customer_id=failure.customer_id)
            return problem_answer(request, problem)
        case ChangeRequest():
            return answer(request_value(outcome, outcome.state))


def _counted(desk: Desk, done: Response, decided: list[_Decided], step: str) -> Response:
    """Count what became of it; what was refused is told in the log too."""
    for outcome in decided:
        match outcome:
            case RequestRefused(request, reason):
                _log.warning("change_request_refused", request_id=request.request_id, step=step, reason=reason)
                desk.metrics.requests.at(reason).inc()
            case NotCarriedOut():
                desk.metrics.requests.at("not_carried_out").inc()
            case ChangeRequest(revision=revision):
                desk.metrics.requests.at(step).inc()
                done.headers.update(etag(revision))
    return done
