"""Routing rules over HTTP: sourcing rules, fulfilment modes and substitutions, as documents with versions."""

from typing import Annotated, Any, Final, NamedTuple

import orjson
from fastapi import APIRouter, Depends, Path, Query, Response

from services.atp.application.planning import OtherKind, VersionMoved
from services.atp.application.routing import NamedInRules, RoutingDocuments, RoutingDraft, RoutingKind, TooManyRules
from services.atp.entrypoints.allocation_routes import DocumentId, IfMatch, MomentAsked, VersionAsked, base_of, refusal
from services.atp.entrypoints.problem_codes import (
    DOCUMENT_KIND,
    DOCUMENT_UNKNOWN,
    NAMES_UNKNOWN,
    TOO_MANY_RULES,
)
from services.chassis.auth import Principal, require
from services.chassis.problems import BAD_REQUEST, CONFLICT, PRECONDITION_FAILED, VALIDATION_FAILED, Problem
from services.chassis.problems import problem_responses as problems
from services.contracts.routing import FulfilmentModes, SourcingRules, Substitutions

PAGE_MAX: Final = 1_000  # documents, or versions, of one page
NAMES_SHOWN_MAX: Final = 20  # of what is not known
Planner = Annotated[Principal, Depends(require("atp.configure"))]
Reader = Annotated[Principal, Depends(require("atp.read"))]
RoutingBody = SourcingRules | FulfilmentModes | Substitutions
_WRITTEN: Final = problems(
    VALIDATION_FAILED, BAD_REQUEST, DOCUMENT_KIND, CONFLICT, PRECONDITION_FAILED, NAMES_UNKNOWN, TOO_MANY_RULES
)


class _Shape(NamedTuple):
    """A kind of document: where it is, what it is called, and what is written."""

    path: str
    kind: RoutingKind
    noun: str
    model: type[RoutingBody]


_SHAPES: Final = (
    _Shape("sourcing-rules", "sourcing_rules", "document of sourcing rules", SourcingRules),
    _Shape("fulfilment-modes", "fulfilment_modes", "document of fulfilment modes", FulfilmentModes),
    _Shape("substitutions", "substitutions", "document of substitutions", Substitutions),
)


def routing_routes(documents: RoutingDocuments) -> APIRouter:
    """The routes."""
    router = APIRouter(tags=["routing"])
    for shape in _SHAPES:
        _add_writing(router, documents, shape)
        _add_reading(router, documents, shape)
    return router


def routing_draft(
    body: RoutingBody, document_id: str, author: str, *, base: int | None = None, version: int | None = None
) -> RoutingDraft:
    """A document as it is stored."""
    kind = next(shape.kind for shape in _SHAPES if isinstance(body, shape.model))
    encoded = orjson.dumps(body.model_dump(mode="json")["rules"])
    return RoutingDraft(kind, document_id, body.effective_from, author, encoded, len(body.rules), version, base)


async def check_names(documents: RoutingDocuments, bodies: tuple[RoutingBody, ...]) -> None:
    """Raises Problem (422) where rules name a tier, location or item that nobody knows."""
    unknown = await documents.unknown(_names_in(bodies))
    found = {"tiers": unknown.tiers, "locations": unknown.locations, "items": unknown.items}
    if any(found.values()):
        shown = {kind: list(names[:NAMES_SHOWN_MAX]) for kind, names in found.items()}
        raise Problem(NAMES_UNKNOWN, tiers=shown["tiers"], locations=shown["locations"], items=shown["items"])


def _names_in(bodies: tuple[RoutingBody, ...]) -> NamedInRules:
    rules = [rule for body in bodies for rule in body.rules]
    locations = [
        each.location
        for body in bodies
        if isinstance(body, SourcingRules)
        for rule in body.rules
        for each in rule.locations
    ]
    items = [
        name
        for body in bodies
        if isinstance(body, Substitutions)
        for rule in body.rules
        for name in (rule.sku, rule.substitute)
    ]
    tiers = [rule.tier for rule in rules if rule.tier is not None]
    return NamedInRules(*(tuple(dict.fromkeys(names)) for names in (tiers, locations, items)))


def _add_writing(router: APIRouter, documents: RoutingDocuments, shape: _Shape) -> None:
    async def put(
        principal: Planner, response: Response, document_id: DocumentId, body: Any, if_match: IfMatch = None
    ) -> dict[str, Any]:
        await check_names(documents, (body,))
        try:
            version = await documents.store(routing_draft(body, document_id, principal.subject, base=base_of(if_match)))
        except TooManyRules:
            raise Problem(TOO_MANY_RULES) from None
        except (OtherKind, VersionMoved) as error:
            raise refusal(error) from None
        response.headers["etag"] = f'"{version}"'
        return {"document_id": document_id, "version": version}

    put.__annotations__["body"] = shape.model
    router.put(
        f"/v1/{shape.path}/{{document_id}}",
        name=f"put_{shape.kind}",
        summary=f"Write the next version of a {shape.noun}",
        description="It replaces the former one whole from its effective date on; without rules it withdraws them.",
        responses=_WRITTEN,
    )(put)


def _add_reading(router: APIRouter, documents: RoutingDocuments, shape: _Shape) -> None:
    async def get(
        _: Reader, response: Response, document_id: DocumentId, version: VersionAsked = None, at: MomentAsked = None
    ) -> dict[str, Any]:
        if version is not None and at is not None:
            raise Problem(BAD_REQUEST, "a version or a moment, not both")
        document = await documents.document(shape.kind, document_id, version, at)
        if document is None:
            raise Problem(DOCUMENT_UNKNOWN)
        response.headers["etag"] = f'"{document["version"]}"'
        return document

    async def get_versions(
        _: Reader,
        document_id: Annotated[str, Path(max_length=64)],
        before: Annotated[int | None, Query(ge=1)] = None,
        limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = 100,
    ) -> dict[str, Any]:
        found = await documents.versions(shape.kind, document_id, before, limit)
        if not found and before is None:
            raise Problem(DOCUMENT_UNKNOWN)
        return {"items": found, "next": found[-1]["version"] if len(found) == limit else None}

    async def get_documents(
        _: Reader,
        after: Annotated[str, Query(max_length=64, description="a document's id")] = "",
        limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = 100,
    ) -> dict[str, Any]:
        found = await documents.documents(shape.kind, after, limit)
        return {"items": found, "next": found[-1]["document_id"] if len(found) == limit else None}

    path = f"/v1/{shape.path}"
    router.get(
        f"{path}/{{document_id}}",
        name=f"get_{shape.kind}",
        summary=f"A version of a {shape.noun}: the newest, one that is named, or the one in effect at a time",
        responses=problems(DOCUMENT_UNKNOWN, VALIDATION_FAILED, BAD_REQUEST),
    )(get)
    router.get(
        f"{path}/{{document_id}}/versions",
        name=f"get_versions_of_{shape.kind}",
        summary=f"The versions of a {shape.noun}, the newest first: from when to when, written by whom and when",
        responses=problems(DOCUMENT_UNKNOWN, VALIDATION_FAILED),
    )(get_versions)
    router.get(
        path,
        name=f"list_{shape.kind}",
        summary=f"Every {shape.noun} with its newest version",
        responses=problems(VALIDATION_FAILED),
    )(get_documents)
