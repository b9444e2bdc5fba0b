"""Runs and proposals that a person decides on, over HTTP."""

from typing import Annotated, Final
from uuid import UUID

import structlog
from fastapi import APIRouter, Path, Query
from pydantic import Field

from services.chassis.auth import Principal, see_everything
from services.chassis.problems import FORBIDDEN, Problem, ProblemCode, problem_responses, register
from services.contracts.payload import Note, Payload
from services.reclassifier.application.ports import Proposal
from services.reclassifier.application.review_proposals import Review, ReviewRefusal, review_proposal, review_run
from services.reclassifier.entrypoints.desk import PAGE_MAX, POSITION_MAX, Approver, Desk, Reader
from services.reclassifier.entrypoints.documents import (
    ProposalDocument,
    ReviewedRun,
    RunDocument,
    RunsPage,
    proposal_document,
    run_document,
)
from services.reclassifier.entrypoints.rule_set_routes import OWN_WORK

PROPOSAL_UNKNOWN: Final = register(ProblemCode("proposal_unknown", 404, "No such proposal"))
NOT_AWAITING: Final = register(ProblemCode("proposal_not_awaiting", 409, "The proposal does not await a decision"))
PROPOSAL_EXPIRED: Final = register(ProblemCode("proposal_expired", 409, "The proposal has expired"))
RUN_UNKNOWN: Final = register(ProblemCode("run_unknown", 404, "No such run"))
_REFUSALS: Final = {
    ReviewRefusal.UNKNOWN: PROPOSAL_UNKNOWN,
    ReviewRefusal.NOT_AWAITING: NOT_AWAITING,
    ReviewRefusal.EXPIRED: PROPOSAL_EXPIRED,
    ReviewRefusal.OWN_WORK: OWN_WORK,
}
_log = structlog.get_logger(__name__)


class Verdict(Payload):
    """Why somebody decided so."""

    reason: Annotated[Note, Field(min_length=1)]


def add_reviews(router: APIRouter, desk: Desk) -> None:
    """Decisions on single proposals."""
    answers = problem_responses(PROPOSAL_UNKNOWN, NOT_AWAITING, PROPOSAL_EXPIRED, OWN_WORK, FORBIDDEN)

    @router.post(
        "/v1/proposals/{proposal_id}:approve", tags=["proposals"], summary="Let a move be made", responses=answers
    )
    async def approve(caller: Approver, proposal_id: Annotated[UUID, Path()], body: Verdict) -> ProposalDocument:
        return await _review(
            desk, caller, proposal_id, Review(approve=True, reviewer=caller.subject, reason=body.reason)
        )

    @router.post("/v1/proposals/{proposal_id}:reject", tags=["proposals"], summary="Refuse a move", responses=answers)
    async def reject(caller: Approver, proposal_id: Annotated[UUID, Path()], body: Verdict) -> ProposalDocument:
        return await _review(
            desk, caller, proposal_id, Review(approve=False, reviewer=caller.subject, reason=body.reason)
        )


async def _review(desk: Desk, caller: Principal, proposal_id: UUID, review: Review) -> ProposalDocument:
    see_everything(caller)
    outcome = await desk.transactions.run(
        lambda transaction: review_proposal(transaction, str(proposal_id), review), label="review proposal"
    )
    if isinstance(outcome, ReviewRefusal):
        _log.warning("review_refused", proposal_id=str(proposal_id), approve=review.approve, reason=outcome)
        raise Problem(_REFUSALS[outcome])
    return proposal_document(outcome)


def add_runs(router: APIRouter, desk: Desk) -> None:
    """Judgements of everybody, each a batch to review."""
    answers = problem_responses(RUN_UNKNOWN, FORBIDDEN)

    @router.get("/v1/runs", tags=["runs"], summary="Judgements of everybody, the newest first; without their counts")
    async def list_runs(
        caller: Reader,
        before: Annotated[int | None, Query(ge=1, le=POSITION_MAX)] = None,
        limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = 100,
    ) -> RunsPage:
        see_everything(caller)
        found = await desk.transactions.read(lambda reader: reader.runs(before, limit))
        cursor = found[-1].run_id if len(found) == limit else None
        return RunsPage(items=[run_document(one) for one in found], next_before=cursor)

    @router.get("/v1/runs/{run_id}", tags=["runs"], summary="A run with what came of it", responses=answers)
    async def get_run(caller: Reader, run_id: Annotated[int, Path(ge=1, le=POSITION_MAX)]) -> RunDocument:
        see_everything(caller)
        found = await desk.transactions.read(lambda reader: reader.run(run_id))
        if found is None:
            raise Problem(RUN_UNKNOWN)
        return run_document(found)

    summary = "Let the moves of a run be made that await somebody, a portion at a time: repeat until none is left"

    @router.post("/v1/runs/{run_id}:approve", tags=["runs"], summary=summary, responses=answers)
    async def approve(
        caller: Approver, run_id: Annotated[int, Path(ge=1, le=POSITION_MAX)], body: Verdict
    ) -> ReviewedRun:
        return await _review_run(
            desk, caller, run_id, Review(approve=True, reviewer=caller.subject, reason=body.reason)
        )

    summary = "Refuse the moves of a run that await somebody, a portion at a time: repeat until none is left"

    @router.post("/v1/runs/{run_id}:reject", tags=["runs"], summary=summary, responses=answers)
    async def reject(
        caller: Approver, run_id: Annotated[int, Path(ge=1, le=POSITION_MAX)], body: Verdict
    ) -> ReviewedRun:
        return await _review_run(
            desk, caller, run_id, Review(approve=False, reviewer=caller.subject, reason=body.reason)
        )


async def _review_run(desk: Desk, caller: Principal, run_id: int, review: Review) -> ReviewedRun:
    see_everything(caller)
    outcomes = await desk.transactions.run(
        lambda transaction: review_run(transaction, run_id, review), label="review run"
    )
    if ReviewRefusal.OWN_WORK in outcomes:
        _log.warning("review_refused", run_id=run_id, approve=review.approve, reason=ReviewRefusal.OWN_WORK)
        raise Problem(OWN_WORK)
    run = await desk.transactions.read(lambda reader: reader.run(run_id))
    if run is None:
        raise Problem(RUN_UNKNOWN)
    decided = sum(isinstance(outcome, Proposal) for outcome in outcomes)
    return ReviewedRun(decided=decided, expired=len(outcomes) - decided, run=run_document(run))
