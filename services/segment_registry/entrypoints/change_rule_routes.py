"""The rules of change over HTTP."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Header, Request, Response
from pydantic import Field

from services.chassis.auth import Principal, require
from services.chassis.problems import BAD_REQUEST, PRECONDITION_FAILED, VALIDATION_FAILED, problem_responses
from services.contracts.payload import Code, Day, Payload
from services.segment_registry.application.define_change_rules import (
    RulesView,
    define_change_rules,
    read_change_rules,
)
from services.segment_registry.application.ports import RegistryTransaction
from services.segment_registry.domain.change_rules import ChangeRules, RulesRefused
from services.segment_registry.domain.tiers import TIERS_MAX
from services.segment_registry.entrypoints.desk import Desk, answer, commander, response, see_everything
from services.segment_registry.entrypoints.problem_codes import RULES_PROBLEMS, rules_problem
from services.segment_registry.entrypoints.versions import etag, expected_version

Reader = Annotated[Principal, Depends(require("registry.read"))]
Governor = Annotated[Principal, Depends(require("registry.govern"))]
BUDGET_MAX: Final = 1_000_000  # overrides of a tier and month; more is no limit


class OverrideBudgets(Payload):
    """Per tier, how many overrides into it may be decided in a month of UTC; tiers not named have no limit."""

    override_budgets: Annotated[
        dict[Code, Annotated[int, Field(strict=True, ge=0, le=BUDGET_MAX)]], Field(max_length=TIERS_MAX)
    ] = {}  # noqa: RUF012 - pydantic copies it


class ChangeRulesDocument(OverrideBudgets):
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
        responses=problem_responses(BAD_REQUEST, PRECONDITION_FAILED, VALIDATION_FAILED, *RULES_PROBLEMS.values()),
    )
    async def put_rules(
        request: Request,
        principal: Governor,
        body: OverrideBudgets,
        if_match: Annotated[str | None, Header()] = None,
    ) -> Response:
        see_everything(principal)
        expected = expected_version(if_match, None)
        draft = ChangeRules(override_budgets=body.override_budgets)
        who = commander(request, principal)

        async def command(transaction: RegistryTransaction) -> RulesView | RulesRefused:
            return await define_change_rules(transaction, draft, expected_version=expected, commander=who)

        outcome = await desk.transactions.run(command, label="PUT /v1/change-rules")
        if isinstance(outcome, RulesRefused):
            raise rules_problem(outcome)
        return response(answer(_value(outcome)), etag(outcome.rules.version))

    return router


def _value(view: RulesView) -> dict[str, Any]:
    return {
        "override_budgets": dict(view.rules.override_budgets),
        "version": view.rules.version,
        "month": view.month,
        "overrides_used": view.used,
    }
