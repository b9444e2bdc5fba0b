"""Protections, quotas, hierarchies and regions over HTTP: versioned documents with effective dates and an author."""

from typing import Annotated, Any, Final

import orjson
from fastapi import APIRouter, Depends, Path, Query
from pydantic import Field

from services.atp.application.planning import AllocationKind, DocumentHead, PeriodsOverlap, Planning
from services.atp.entrypoints.allocation_documents import (
    Document,
    HierarchyDocument,
    ProtectionDocument,
    QuotaDocument,
)
from services.atp.entrypoints.problem_codes import DOCUMENT_UNKNOWN, PERIODS_OVERLAP
from services.chassis.auth import Principal, require
from services.chassis.problems import VALIDATION_FAILED, Problem, problem_responses
from services.contracts.payload import Code, Payload

ZONES_MAX: Final = 1_000  # of one region
Planner = Annotated[Principal, Depends(require("atp.configure"))]
Reader = Annotated[Principal, Depends(require("atp.read"))]
DocumentId = Annotated[Code, Path()]
VersionAsked = Annotated[int | None, Query(ge=1, description="default: the newest")]
WRITTEN: Final = problem_responses(VALIDATION_FAILED, PERIODS_OVERLAP)


class Region(Payload):
    """The zones of a region; a zone is of one region at most."""

    zones: Annotated[tuple[Code, ...], Field(max_length=ZONES_MAX)]


def allocation_routes(planning: Planning) -> APIRouter:
    """The routes."""
    router = APIRouter(tags=["allocation"])
    _add_protections(router, planning)
    _add_quotas(router, planning)
    _add_hierarchies(router, planning)
    _add_regions(router, planning)
    return router


async def store_document(planning: Planning, principal: Principal, document_id: str, body: Document) -> dict[str, Any]:
    """Write the next version of a document of any kind. Raises Problem (409) where periods overlap."""
    try:
        head = DocumentHead(document_id, body.effective_from, principal.subject, orjson.dumps(body.body()))
        match body:
            case ProtectionDocument():
                version = await planning.store_protections(head, body.rows())
            case QuotaDocument():
                version = await planning.store_quotas(head, body.rows())
            case HierarchyDocument():
                version = await planning.store_hierarchy(head, body.row())
    except PeriodsOverlap:
        raise Problem(PERIODS_OVERLAP) from None
    return {"document_id": document_id, "version": version}


async def known_document(
    planning: Planning, document_id: str, kind: AllocationKind, version: int | None = None
) -> dict[str, Any]:
    """A version of a document. Raises Problem (404) for one that there is not."""
    document = await planning.document(document_id, kind, version)
    if document is None:
        raise Problem(DOCUMENT_UNKNOWN)
    return document


def _add_protections(router: APIRouter, planning: Planning) -> None:
    @router.put("/v1/protections/{document_id}", responses=WRITTEN)
    async def put_protections(principal: Planner, document_id: DocumentId, body: ProtectionDocument) -> dict[str, Any]:
        """Write the next version of a protection document; it replaces the former one from its effective date on."""
        return await store_document(planning, principal, document_id, body)

    @router.get("/v1/protections/{document_id}", responses=problem_responses(DOCUMENT_UNKNOWN, VALIDATION_FAILED))
    async def get_protections(_: Reader, document_id: DocumentId, version: VersionAsked = None) -> dict[str, Any]:
        """A version, with what each line has given so far and what it asks beyond the supply that covers it."""
        return await known_document(planning, document_id, "protection", version)


def _add_quotas(router: APIRouter, planning: Planning) -> None:
    @router.put("/v1/quotas/{document_id}", responses=WRITTEN)
    async def put_quotas(principal: Planner, document_id: DocumentId, body: QuotaDocument) -> dict[str, Any]:
        """Write the next version of a quota document; it replaces the former one from its effective date on."""
        return await store_document(planning, principal, document_id, body)

    @router.get("/v1/quotas/{document_id}", responses=problem_responses(DOCUMENT_UNKNOWN, VALIDATION_FAILED))
    async def get_quotas(_: Reader, document_id: DocumentId, version: VersionAsked = None) -> dict[str, Any]:
        """A version, with what each line has given so far."""
        return await known_document(planning, document_id, "quota", version)


def _add_hierarchies(router: APIRouter, planning: Planning) -> None:
    @router.put("/v1/hierarchies/{document_id}", responses=WRITTEN)
    async def put_hierarchy(principal: Planner, document_id: DocumentId, body: HierarchyDocument) -> dict[str, Any]:
        """Write the next version of an item's hierarchy; it replaces the former one from its effective date on."""
        return await store_document(planning, principal, document_id, body)

    @router.get("/v1/hierarchies/{document_id}", responses=problem_responses(DOCUMENT_UNKNOWN, VALIDATION_FAILED))
    async def get_hierarchy(_: Reader, document_id: DocumentId, version: VersionAsked = None) -> dict[str, Any]:
        """A version, with what each node has given in each period so far."""
        return await known_document(planning, document_id, "hierarchy", version)

    @router.get("/v1/allocations")
    async def get_documents(_: Reader) -> dict[str, Any]:
        """All versions of all documents: of what kind, from when to when, by whom."""
        return {"items": await planning.documents()}


def _add_regions(router: APIRouter, planning: Planning) -> None:
    @router.put("/v1/regions/{region}", responses=problem_responses(VALIDATION_FAILED))
    async def put_region(_: Planner, region: Annotated[Code, Path()], body: Region) -> dict[str, Any]:
        """Let a region be these zones, and no others."""
        await planning.store_region(region, body.zones)
        return {"region": region, "zones": sorted(body.zones)}

    @router.get("/v1/regions")
    async def get_regions(_: Reader) -> dict[str, Any]:
        """The zones of all regions."""
        return {"regions": await planning.regions()}
