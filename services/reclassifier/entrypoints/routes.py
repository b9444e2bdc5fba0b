"""The reclassifier over HTTP."""

from dataclasses import dataclass
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Path, Query, Response
from pydantic import Field

from services.chassis.auth import Principal, require
from services.chassis.problems import FORBIDDEN, VALIDATION_FAILED, Problem, ProblemCode, problem_responses, register
from services.contracts.payload import Code, Identifier
from services.reclassifier.application.change_rule_set import change_rule_set
from services.reclassifier.application.condition_document import WINDOW_DAYS_MAX
from services.reclassifier.application.ports import Transactions
from services.reclassifier.application.read_customer import read_customer
from services.reclassifier.application.rule_set_document import RuleSetDocument
from services.reclassifier.entrypoints.documents import (
    FeaturesDocument,
    ProposalsPage,
    RuleSetsPage,
    StoredRuleSetDocument,
    features_document,
    proposal_document,
    rule_set_document,
)
from services.reclassifier.metrics import ReclassifierMetrics

PAGE_MAX: Final = 500
WINDOWS_MAX: Final = 8  # of one question; each is a sum over the customer's days
POSITION_MAX: Final = 2**53
CUSTOMER_UNKNOWN: Final = register(ProblemCode("customer_unknown", 404, "No such customer"))
RULE_SET_UNKNOWN: Final = register(ProblemCode("rule_set_unknown", 404, "No such version of a rule set"))

Reader = Annotated[Principal, Depends(require("reclassifier.read"))]
Writer = Annotated[Principal, Depends(require("reclassifier.write"))]


@dataclass(frozen=True, slots=True)
class Desk:
    """Where requests are answered. `rule_set_id` names the rule set in force."""

    transactions: Transactions
    metrics: ReclassifierMetrics
    rule_set_id: str


def routes(desk: Desk) -> APIRouter:
    """All routes of the reclassifier's own."""
    router = APIRouter()
    _add_customers(router, desk)
    _add_proposals(router, desk)
    _add_rule_sets(router, desk)
    _add_change_of_rule_set(router, desk)
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
    ) -> ProposalsPage:
        if not caller.sees_account_group(None):
            raise Problem(FORBIDDEN, "these credentials are limited to account groups")
        found = await desk.transactions.read(lambda reader: reader.page_of_proposals(after, limit))
        cursor = found[-1].position if len(found) == limit else None
        return ProposalsPage(items=[proposal_document(one) for one in found], next_after=cursor)


def _add_rule_sets(router: APIRouter, desk: Desk) -> None:
    @router.get("/v1/rule-sets", tags=["rule sets"], summary="The newest version of every rule set")
    async def list_rule_sets(_: Reader) -> RuleSetsPage:
        found = await desk.transactions.read(lambda reader: reader.rule_sets())
        return RuleSetsPage(
            items=[rule_set_document(one, in_force=one.rule_set.rule_set_id == desk.rule_set_id) for one in found]
        )

    @router.get(
        "/v1/rule-sets/{rule_set_id}",
        tags=["rule sets"],
        summary="A version of a rule set; the newest without `version`",
        responses=problem_responses(RULE_SET_UNKNOWN),
    )
    async def get_rule_set(
        _: Reader,
        rule_set_id: Annotated[Code, Path()],
        version: Annotated[int | None, Query(ge=1, le=POSITION_MAX)] = None,
    ) -> StoredRuleSetDocument:
        newest = await desk.transactions.read(lambda reader: reader.rule_set(rule_set_id))
        found = newest
        if version is not None and newest is not None:
            found = await desk.transactions.read(lambda reader: reader.rule_set(rule_set_id, version))
        if found is None or newest is None:
            raise Problem(RULE_SET_UNKNOWN)
        in_force = rule_set_id == desk.rule_set_id and found.rule_set.version == newest.rule_set.version
        return rule_set_document(found, in_force=in_force)


def _add_change_of_rule_set(router: APIRouter, desk: Desk) -> None:
    @router.put(
        "/v1/rule-sets/{rule_set_id}",
        tags=["rule sets"],
        summary="Store the next version of a rule set; it is in force from then on",
        description="Every customer is judged again by it. The document that is in force already makes no new version.",
        responses={201: {"model": StoredRuleSetDocument}, **problem_responses(VALIDATION_FAILED)},
    )
    async def put_rule_set(
        caller: Writer, rule_set_id: Annotated[Code, Path()], body: RuleSetDocument, response: Response
    ) -> StoredRuleSetDocument:
        stored, is_new = await desk.transactions.run(
            lambda transaction: change_rule_set(
                transaction, body.to_domain(rule_set_id, 1), body.to_json(), caller.subject
            ),
            label="change rule set",
        )
        if is_new:
            response.status_code = 201
            desk.metrics.rule_set_versions.inc()
        return rule_set_document(stored, in_force=rule_set_id == desk.rule_set_id)
