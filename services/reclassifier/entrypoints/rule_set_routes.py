"""Rule sets over HTTP: versions, their approval by a second person, and the fuse."""

from typing import Annotated, Final

import structlog
from fastapi import APIRouter, Path, Query, Response
from pydantic import Field

from services.chassis.auth import see_everything
from services.chassis.problems import FORBIDDEN, VALIDATION_FAILED, Problem, ProblemCode, problem_responses, register
from services.contracts.payload import Code, Note, Payload
from services.reclassifier.application.change_rule_set import ApprovalRefusal, approve_rule_set, change_rule_set
from services.reclassifier.application.guard_moves import reset_fuse
from services.reclassifier.application.rule_set_document import RuleSetDocument
from services.reclassifier.entrypoints.desk import POSITION_MAX, Approver, Desk, Reader, Writer
from services.reclassifier.entrypoints.documents import (
    FuseDocument,
    RuleSetsPage,
    StoredRuleSetDocument,
    fuse_document,
    rule_set_document,
)

HASH_PATTERN: Final = "^[0-9a-f]{64}$"
RULE_SET_UNKNOWN: Final = register(ProblemCode("rule_set_unknown", 404, "No such version of a rule set"))
OTHER_CONTENT: Final = register(
    ProblemCode("rule_set_content_differs", 409, "The version has another content than the one that was approved")
)
OWN_WORK: Final = register(ProblemCode("own_work", 403, "Nobody approves what he wrote himself"))
RULE_SET_OVERTAKEN: Final = register(ProblemCode("rule_set_overtaken", 409, "A newer version is in force"))
FUSE_WHOLE: Final = register(ProblemCode("fuse_whole", 409, "Automatic moves are not stopped"))
_REFUSALS: Final = {
    ApprovalRefusal.UNKNOWN: RULE_SET_UNKNOWN,
    ApprovalRefusal.OTHER_CONTENT: OTHER_CONTENT,
    ApprovalRefusal.OWN_WORK: OWN_WORK,
    ApprovalRefusal.OVERTAKEN: RULE_SET_OVERTAKEN,
}
_log = structlog.get_logger(__name__)


class ApprovalOfRules(Payload):
    """Binds an approval to the content that was read."""

    content_hash: Annotated[str, Field(pattern=HASH_PATTERN, description="as the version shows it")]


class ResetOfFuse(Payload):
    """Why moves may be made again."""

    reason: Annotated[Note, Field(min_length=1)]


def add_rule_sets(router: APIRouter, desk: Desk) -> None:
    """All routes of rule sets."""
    _add_reading(router, desk)
    _add_changing(router, desk)
    _add_fuse(router, desk)


def _add_reading(router: APIRouter, desk: Desk) -> None:
    @router.get("/v1/rule-sets", tags=["rule sets"], summary="The newest version of every rule set, approved or not")
    async def list_rule_sets(_: Reader) -> RuleSetsPage:
        found = await desk.transactions.read(lambda reader: reader.rule_sets())
        in_force = await desk.transactions.read(lambda reader: reader.rule_set(desk.rule_set_id))
        return RuleSetsPage(items=[rule_set_document(one, in_force) for one in found])

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
        found = await desk.transactions.read(
            lambda reader: (
                reader.newest_version(rule_set_id) if version is None else reader.rule_set(rule_set_id, version)
            )
        )
        if found is None:
            raise Problem(RULE_SET_UNKNOWN)
        in_force = await desk.transactions.read(lambda reader: reader.rule_set(desk.rule_set_id))
        return rule_set_document(found, in_force)


def _add_changing(router: APIRouter, desk: Desk) -> None:
    @router.put(
        "/v1/rule-sets/{rule_set_id}",
        tags=["rule sets"],
        summary="Store the next version of a rule set as a draft",
        description="It is in force once another person approves it. The newest document again makes no new version.",
        responses={201: {"model": StoredRuleSetDocument}, **problem_responses(VALIDATION_FAILED, FORBIDDEN)},
    )
    async def put_rule_set(
        caller: Writer, rule_set_id: Annotated[Code, Path()], body: RuleSetDocument, response: Response
    ) -> StoredRuleSetDocument:
        see_everything(caller)
        stored, is_new = await desk.transactions.run(
            lambda transaction: change_rule_set(
                transaction, body.to_domain(rule_set_id, 1), body.to_json(), caller.subject
            ),
            label="change rule set",
        )
        if is_new:
            response.status_code = 201
            desk.metrics.rule_set_versions.inc()
        in_force = await desk.transactions.read(lambda reader: reader.rule_set(desk.rule_set_id))
        return rule_set_document(stored, in_force)

    @router.post(
        "/v1/rule-sets/{rule_set_id}/versions/{version}:approve",
        tags=["rule sets"],
        summary="Put a version in force; everybody is judged by it",
        responses=problem_responses(FORBIDDEN, RULE_SET_UNKNOWN, OTHER_CONTENT, OWN_WORK, RULE_SET_OVERTAKEN),
    )
    async def approve(
        caller: Approver,
        rule_set_id: Annotated[Code, Path()],
        version: Annotated[int, Path(ge=1, le=POSITION_MAX)],
        body: ApprovalOfRules,
    ) -> StoredRuleSetDocument:
        see_everything(caller)
        outcome = await desk.transactions.run(
            lambda transaction: approve_rule_set(transaction, rule_set_id, version, body.content_hash, caller.subject),
            label="approve rule set",
        )
        if isinstance(outcome, ApprovalRefusal):
            _log.warning("approval_of_rules_refused", rule_set=rule_set_id, version=version, reason=outcome)
            raise Problem(_REFUSALS[outcome])
        in_force = await desk.transactions.read(lambda reader: reader.rule_set(desk.rule_set_id))
        return rule_set_document(outcome, in_force)


def _add_fuse(router: APIRouter, desk: Desk) -> None:
    @router.get(
        "/v1/rule-sets/{rule_set_id}/fuse",
        tags=["rule sets"],
        summary="Whether automatic moves of a rule set are stopped, and by how many",
    )
    async def get_fuse(_: Reader, rule_set_id: Annotated[Code, Path()]) -> FuseDocument:
        return fuse_document(rule_set_id, await desk.transactions.read(lambda reader: reader.fuse(rule_set_id)))

    @router.post(
        "/v1/rule-sets/{rule_set_id}/fuse:reset",
        tags=["rule sets"],
        summary="Let automatic moves be made again; what waits for a person still does",
        responses=problem_responses(FORBIDDEN, FUSE_WHOLE),
    )
    async def reset(caller: Approver, rule_set_id: Annotated[Code, Path()], body: ResetOfFuse) -> FuseDocument:
        see_everything(caller)
        done = await desk.transactions.run(
            lambda transaction: reset_fuse(transaction, rule_set_id, caller.subject, body.reason), label="reset fuse"
        )
        if not done:
            raise Problem(FUSE_WHOLE)
        return fuse_document(rule_set_id, await desk.transactions.read(lambda reader: reader.fuse(rule_set_id)))
