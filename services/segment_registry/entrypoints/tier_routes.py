"""Tiers over HTTP."""

from typing import Annotated

import orjson
from fastapi import APIRouter, Depends, Header, Path, Query, Request, Response

from services.chassis.auth import Principal, require, see_everything
from services.chassis.problems import (
    BAD_REQUEST,
    PRECONDITION_FAILED,
    VALIDATION_FAILED,
    Problem,
    problem_responses,
)
from services.contracts.payload import Moment
from services.contracts.segments import TierDefined as TierDocument
from services.segment_registry.application.define_tier import define_tier
from services.segment_registry.application.ports import RegistryReader, RegistryTransaction
from services.segment_registry.application.publishing import tier_document
from services.segment_registry.domain.second_person import SecondPersonNeeded
from services.segment_registry.domain.tiers import Tier, TierDefined, TierRefused, TierUnchanged
from services.segment_registry.entrypoints.desk import Desk, answer, commander, response
from services.segment_registry.entrypoints.documents import TierBody, TierId, TierList
from services.segment_registry.entrypoints.problem_codes import (
    APPROVAL_REQUIRED,
    TIER_NOT_FOUND,
    TIER_PROBLEMS,
    second_person,
    tier_problem,
)
from services.segment_registry.entrypoints.versions import etag, expected_version

Reader = Annotated[Principal, Depends(require("registry.read"))]
Writer = Annotated[Principal, Depends(require("registry.write"))]


def tier_routes(desk: Desk) -> APIRouter:
    """The routes."""
    router = APIRouter(tags=["tiers"])
    _add_reads(router, desk)
    _add_definition(router, desk)
    return router


def _add_reads(router: APIRouter, desk: Desk) -> None:

    @router.get("/v1/tiers", response_model=TierList, summary="All tiers, the one served first at the head")
    async def list_tiers(_: Reader) -> Response:
        tiers = await desk.transactions.read(lambda reader: reader.tiers())
        return response(answer({"items": [tier_document(tier) for tier in tiers.values()]}))

    @router.get(
        "/v1/tiers/{tier}",
        response_model=TierDocument,
        summary="A tier with its service policy, as it is or as it was at a moment",
        responses=problem_responses(TIER_NOT_FOUND),
    )
    async def get_tier(
        _: Reader, tier: Annotated[TierId, Path()], at: Annotated[Moment | None, Query()] = None
    ) -> Response:
        async def look(reader: RegistryReader) -> Tier | None:
            if at is None:
                return (await reader.tiers()).get(tier)
            version = await reader.tier_at(tier, at)
            return None if version is None else version.tier

        found = await desk.transactions.read(look)
        if found is None:
            raise Problem(TIER_NOT_FOUND)
        return response(answer(tier_document(found)), etag(found.version))


def _add_definition(router: APIRouter, desk: Desk) -> None:
    @router.put(
        "/v1/tiers/{tier}",
        response_model=TierDocument,
        summary="Define a tier, or change it whole",
        description="`If-Match` with the version looked at refuses to overwrite another one; `If-None-Match: *` refuses"
        " to change a tier that exists. Naming another default takes the mark from the former one.",
        responses={
            201: {"model": TierDocument},
            **problem_responses(
                BAD_REQUEST,
                PRECONDITION_FAILED,
                VALIDATION_FAILED,
                APPROVAL_REQUIRED,
                *TIER_PROBLEMS.values(),
            ),
        },
    )
    async def put_tier(
        *,
        request: Request,
        principal: Writer,
        tier: Annotated[TierId, Path()],
        body: TierBody,
        if_match: Annotated[str | None, Header()] = None,
        if_none_match: Annotated[str | None, Header()] = None,
    ) -> Response:
        expected = expected_version(if_match, if_none_match)
        draft = tier_draft(tier, body)
        see_everything(principal)
        who = commander(request, principal)

        async def command(
            transaction: RegistryTransaction,
        ) -> TierDefined | TierUnchanged | TierRefused | SecondPersonNeeded:
            return await define_tier(transaction, draft, expected_version=expected, commander=who)

        match await desk.transactions.run(command, label="PUT /v1/tiers/{tier}"):
            case TierRefused() as refused:
                raise tier_problem(refused)
            case SecondPersonNeeded() as needed:
                raise second_person(needed)
            case TierUnchanged(tier=found):
                return response(answer(tier_document(found)), etag(found.version))
            case TierDefined(defined, changed, created):
                desk.metrics.tier_versions.inc(len(changed))
                return response(answer(tier_document(defined), 201 if created else 200), etag(defined.version))


def tier_draft(tier: str, body: TierBody) -> Tier:
    """A definition as the domain has it, without a version."""
    policy = orjson.dumps(body.policy.model_dump(mode="json"), option=orjson.OPT_SORT_KEYS).decode()
    return Tier(tier, 0, body.name, body.priority_rank, body.is_default, body.active, policy)
