"""The reclassifier over HTTP."""

from typing import Annotated, Final

from fastapi import APIRouter, Path, Query
from pydantic import Field

from services.chassis.auth import see_everything
from services.chassis.problems import FORBIDDEN, Problem, ProblemCode, problem_responses, register
from services.contracts.payload import Identifier
from services.reclassifier.application.condition_document import WINDOW_DAYS_MAX
from services.reclassifier.application.ports import ProposalState
from services.reclassifier.application.read_customer import read_customer
from services.reclassifier.entrypoints.desk import PAGE_MAX, POSITION_MAX, Desk, Reader
from services.reclassifier.entrypoints.detection_routes import add_detections
from services.reclassifier.entrypoints.documents import (
    FeaturesDocument,
    ProposalsPage,
    features_document,
    proposal_document,
)
from services.reclassifier.entrypoints.month_routes import add_months
from services.reclassifier.entrypoints.review_routes import add_reviews, add_runs
from services.reclassifier.entrypoints.rule_set_routes import add_rule_sets

WINDOWS_MAX: Final = 8  # of one question; each is a sum over the customer's days
CUSTOMER_UNKNOWN: Final = register(ProblemCode("customer_unknown", 404, "No such customer"))


def routes(desk: Desk) -> APIRouter:
    """All routes of the reclassifier's own."""
    router = APIRouter()
    _add_customers(router, desk)
    add_months(router, desk)
    add_detections(router, desk)
    _add_proposals(router, desk)
    add_reviews(router, desk)
    add_runs(router, desk)
    add_rule_sets(router, desk)
    return router


def _add_customers(router: APIRouter, desk: Desk) -> None:
    @router.get(
        "/v1/customers/{customer_id}/features",
        tags=["customers"],
        summary="A customer's numbers with their windows, its tier, and the move that the numbers ask for",
        responses=problem_responses(CUSTOMER_UNKNOWN),
    )
    async def get_features(
        caller: Reader,
        customer_id: Annotated[Identifier, Path()],
        window_days: Annotated[
            list[Annotated[int, Field(ge=1, le=WINDOW_DAYS_MAX)]],
            Query(max_length=WINDOWS_MAX, description="windows to look at besides those of the rule set in force"),
        ] = [],  # noqa: B006 - FastAPI reads it, nobody changes it
    ) -> FeaturesDocument:
        if not caller.sees_account_group(None):  # nobody here knows a customer's account group
            raise Problem(CUSTOMER_UNKNOWN)
        view = await desk.transactions.read(
            lambda reader: read_customer(reader, customer_id, desk.rule_set_id, window_days)
        )
        if view is None:
            raise Problem(CUSTOMER_UNKNOWN)
        return features_document(view)


def _add_proposals(router: APIRouter, desk: Desk) -> None:
    @router.get(
        "/v1/proposals",
        tags=["proposals"],
        summary="Proposals in the order in which they were made; follow them with `after`",
        responses=problem_responses(FORBIDDEN),
    )
    async def list_proposals(
        caller: Reader,
        after: Annotated[int, Query(ge=0, le=POSITION_MAX)] = 0,
        limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = 100,
        state: Annotated[ProposalState | None, Query(description="only those in this state")] = None,
        run_id: Annotated[int | None, Query(ge=1, le=POSITION_MAX, description="only those of this run")] = None,
    ) -> ProposalsPage:
        see_everything(caller)
        found = await desk.transactions.read(
            lambda reader: reader.page_of_proposals(after, limit, state=state, run_id=run_id)
        )
        cursor = found[-1].position if len(found) == limit else None
        return ProposalsPage(items=[proposal_document(one) for one in found], next_after=cursor)
