"""The rules of change over HTTP."""

from dataclasses import asdict
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Header, Request, Response
from pydantic import Field

from services.chassis.auth import Principal, require, see_everything
from services.chassis.problems import BAD_REQUEST, PRECONDITION_FAILED, VALIDATION_FAILED, problem_responses
from services.contracts.payload import Code, Day, Payload
from services.segment_registry.application.define_change_rules import (
    RulesView,
    define_change_rules,
    read_change_rules,
)
from services.segment_registry.application.import_customers import IMPORT_ROWS_MAX
from services.segment_registry.application.ports import RegistryTransaction
from services.segment_registry.domain.change_rules import APPROVAL_HOURS, VALID_DAYS, ChangeRules, RulesRefused
from services.segment_registry.domain.second_person import SecondPersonNeeded
from services.segment_registry.domain.tiers import TIERS_MAX
from services.segment_registry.entrypoints.desk import Desk, answer, commander, response
from services.segment_registry.entrypoints.problem_codes import (
    APPROVAL_REQUIRED,
    RULES_PROBLEMS,
    rules_problem,
    second_person,
)
from services.segment_registry.entrypoints.versions import etag, expected_version

Reader = Annotated[Principal, Depends(require("registry.read"))]
Governor = Annotated[Principal, Depends(require("registry.govern"))]
VALID_DAYS_MAX: Final = 90  # a request that nobody decides in a quarter is not wanted
VALID_HOURS_MAX: Final = 720  # what was approved a month ago was approved for another world
BUDGET_MAX: Final = 1_000_000  # overrides of a tier and month; more is no limit


class ChangeRulesBody(Payload):
    """What people may change, and what of it needs a second person; null and false ask nobody.

    `override_budgets`: per tier, how many overrides into it may be decided in a month of UTC; tiers not named have no
    limit. A second person is needed past a budget, for a move over more than `jump_ranks_max` ranks, for key accounts,
    for the downgrade of a customer with a contract in force, for a bulk of more than `bulk_rows_max` customers, for
    tiers, and for these rules.
    """

    override_budgets: Annotated[
        dict[Code, Annotated[int, Field(strict=True, ge=0, le=BUDGET_MAX)]], Field(max_length=TIERS_MAX)
    ] = {}  # noqa: RUF012 - pydantic copies it
    jump_ranks_max: Annotated[int, Field(strict=True, ge=0, le=TIERS_MAX)] | None = None
    key_accounts: bool = False
    contract_downgrades: bool = False
    bulk_rows_max: Annotated[int, Field(strict=True, ge=0, le=IMPORT_ROWS_MAX)] | None = None
    tier_definitions: bool = False
    rule_changes: bool = False
    request_valid_days: Annotated[int, Field(strict=True, ge=1, le=VALID_DAYS_MAX)] = VALID_DAYS
    approval_valid_hours: Annotated[int, Field(strict=True, ge=1, le=VALID_HOURS_MAX)] = APPROVAL_HOURS


class ChangeRulesDocument(ChangeRulesBody):
    """The rules in force (version 0: none were written), and the overrides decided in this month by tier."""

    version: int
    month: Day
    overrides_used: dict[Code, int]


def change_rule_routes(desk: Desk) -> APIRouter:
    """The routes."""
    router = APIRouter(tags=["rules of change"])

    @router.get("/v1/change-rules", response_model=ChangeRulesDocument, summary="What people may change, and how much")
    async def get_rules(principal: Reader) -> Response:
        see_everything(principal)
        view = await desk.transactions.read(read_change_rules)
        return response(answer(_value(view)), etag(view.rules.version))

    @router.put(
        "/v1/change-rules",
        response_model=ChangeRulesDocument,
        summary="Say anew, and whole, what people may change",
        description="`If-Match` with the version looked at refuses to overwrite another one.",
        responses=problem_responses(
            BAD_REQUEST,
            PRECONDITION_FAILED,
            VALIDATION_FAILED,
            APPROVAL_REQUIRED,
            *RULES_PROBLEMS.values(),
        ),
    )
    async def put_rules(
        request: Request,
        principal: Governor,
        body: ChangeRulesBody,
        if_match: Annotated[str | None, Header()] = None,
    ) -> Response:
        see_everything(principal)
        expected = expected_version(if_match, None)
        draft = rules_of(body)
        who = commander(request, principal)

        async def command(transaction: RegistryTransaction) -> RulesView | RulesRefused | SecondPersonNeeded:
            return await define_change_rules(transaction, draft, expected_version=expected, commander=who)

        outcome = await desk.transactions.run(command, label="PUT /v1/change-rules")
        if isinstance(outcome, RulesRefused):
            raise rules_problem(outcome)
        if isinstance(outcome, SecondPersonNeeded):
            raise second_person(outcome)
        return response(answer(_value(outcome)), etag(outcome.rules.version))

    return router


def rules_of(body: ChangeRulesBody) -> ChangeRules:
    """As the domain has them."""
    return ChangeRules(**body.model_dump())


def _value(view: RulesView) -> dict[str, Any]:
    return {
        **asdict(view.rules),
        "month": view.month,
        "overrides_used": view.used,
    }
