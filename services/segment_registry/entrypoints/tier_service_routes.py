"""Cards and service statements of tiers over HTTP."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Request, Response
from pydantic import Field

from services.chassis.auth import Principal, require, see_everything
from services.chassis.problems import VALIDATION_FAILED, Problem, problem_responses
from services.contracts.payload import Code, Identifier, Moment, Payload, Version
from services.segment_registry.application.ports import ServiceLevels
from services.segment_registry.application.tier_services import Statement, TierUnknown, keep_card, service_statement
from services.segment_registry.domain.tier_cards import CODES_MAX, CodeTaken, TierCard
from services.segment_registry.entrypoints.desk import Desk, answer, commander, response
from services.segment_registry.entrypoints.documents import TierId
from services.segment_registry.entrypoints.problem_codes import CODE_TAKEN, TIER_NOT_FOUND

Reader = Annotated[Principal, Depends(require("registry.read"))]
Writer = Annotated[Principal, Depends(require("registry.write"))]


class TierCardDocument(Payload):
    """Who answers for a tier, and what other systems call it, by system; in one system a code means one tier."""

    owner: Identifier | None = None
    codes: Annotated[dict[Code, Identifier], Field(max_length=CODES_MAX)] = {}  # noqa: RUF012 - pydantic copies it


class DeliveredDocument(Payload):
    """A measure of the month beside its target, in basis points; null: no target, or nothing to measure."""

    measure: str
    target_bp: int | None
    delivered_bp: int | None
    met: bool | None


class StatementDocument(Payload):
    """What a tier is promised, in sentences, beside the last closed month, or why there is none."""

    tier: Code
    name: str
    policy_version: Version
    policy_author: Identifier
    policy_since: Moment
    owner: Identifier | None
    promised: tuple[str, ...]
    month: str | None
    delivered: tuple[DeliveredDocument, ...]
    delivered_missing: str | None


def tier_service_routes(desk: Desk, levels: ServiceLevels | None) -> APIRouter:
    """The routes."""
    router = APIRouter(tags=["tiers"])

    @router.get(
        "/v1/tiers/{tier}/card",
        response_model=TierCardDocument,
        summary="Who answers for a tier, and what other systems call it",
        responses=problem_responses(TIER_NOT_FOUND),
    )
    async def get_card(_: Reader, tier: Annotated[TierId, Path()]) -> Response:
        async def look(reader: Any) -> TierCard | None:
            return (await reader.tier_cards()).get(tier, TierCard()) if tier in await reader.tiers() else None

        card = await desk.transactions.read(look)
        if card is None:
            raise Problem(TIER_NOT_FOUND)
        return _card(card)

    @router.put(
        "/v1/tiers/{tier}/card",
        response_model=TierCardDocument,
        summary="Say anew, and whole, who answers for a tier and what other systems call it",
        responses=problem_responses(TIER_NOT_FOUND, VALIDATION_FAILED, CODE_TAKEN),
    )
    async def put_card(
        request: Request, principal: Writer, tier: Annotated[TierId, Path()], body: TierCardDocument
    ) -> Response:
        see_everything(principal)
        who = commander(request, principal)
        card = TierCard(body.owner, body.codes)
        outcome = await desk.transactions.run(
            lambda transaction: keep_card(transaction, tier, card, who), label="PUT /v1/tiers/{tier}/card"
        )
        match outcome:
            case TierUnknown():
                raise Problem(TIER_NOT_FOUND)
            case CodeTaken(system, code, other):
                raise Problem(CODE_TAKEN, system=system, tier_code=code, tier=other)
            case TierCard():
                return _card(outcome)

    @router.get(
        "/v1/tiers/{tier}/service-statement",
        response_model=StatementDocument,
        summary="What a tier is promised, in words, beside what the last closed month delivered",
        responses=problem_responses(TIER_NOT_FOUND),
    )
    async def get_statement(_: Reader, tier: Annotated[TierId, Path()]) -> Response:
        found = await service_statement(desk.transactions, tier, levels)
        if isinstance(found, TierUnknown):
            raise Problem(TIER_NOT_FOUND)
        return response(answer(_statement(found)))

    return router


def _card(card: TierCard) -> Response:
    return response(answer({"owner": card.owner, "codes": dict(card.codes)}))


def _statement(found: Statement) -> dict[str, Any]:
    return {
        "tier": found.tier.tier,
        "name": found.tier.name,
        "policy_version": found.version.version,
        "policy_author": found.version.author,
        "policy_since": found.version.defined_at,
        "owner": found.card.owner,
        "promised": list(found.promised),
        "month": found.month,
        "delivered": [
            {
                "measure": each.measure,
                "target_bp": each.target_bp,
                "delivered_bp": each.delivered_bp,
                "met": each.met,
            }
            for each in found.delivered
        ],
        "delivered_missing": found.missing,
    }
