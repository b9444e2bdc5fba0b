"""Allocation documents and regions over HTTP: documents are versioned, with effective dates and an author."""

from typing import Annotated, Any, Final, NamedTuple

import orjson
from fastapi import APIRouter, Depends, Header, Path, Query, Response
from pydantic import Field

from services.atp.application.planning import (
    AllocationKind,
    DocumentHead,
    Draft,
    Names,
    OtherKind,
    PeriodsOverlap,
    Planning,
    VersionMoved,
)
from services.atp.entrypoints.allocation_documents import (
    Document,
    HierarchyDocument,
    ProtectionDocument,
    QuotaDocument,
)
from services.atp.entrypoints.capacity_documents import DAYS_MAX, CapacityDays, CapacityDocument
from services.atp.entrypoints.problem_codes import DOCUMENT_KIND, DOCUMENT_UNKNOWN, NAMES_UNKNOWN, PERIODS_OVERLAP
from services.chassis.auth import Principal, require
from services.chassis.problems import BAD_REQUEST, CONFLICT, PRECONDITION_FAILED, VALIDATION_FAILED, Problem
from services.chassis.problems import problem_responses as problems
from services.contracts.payload import Code, Day, Moment, Payload

ZONES_MAX: Final = 1_000  # of one region
PAGE_MAX: Final = 1_000  # versions of one page
Planner = Annotated[Principal, Depends(require("atp.configure"))]
Reader = Annotated[Principal, Depends(require("atp.read"))]
DocumentId = Annotated[Code, Path()]
VersionAsked = Annotated[int | None, Query(ge=1, description="default: the newest")]
MomentAsked = Annotated[Moment | None, Query(description="the version in effect then; not with a version")]
IfMatch = Annotated[
    str | None,
    Header(max_length=24, description='the version that this one was made from, as ETag gave it ("3"); "0": a first'),
]
WRITTEN: Final = problems(VALIDATION_FAILED, BAD_REQUEST, PERIODS_OVERLAP, DOCUMENT_KIND, CONFLICT, PRECONDITION_FAILED)


class Shape(NamedTuple):
    """A kind of document: where it is, what it is called, and what is written."""

    path: str
    kind: AllocationKind
    noun: str
    model: type[Document]


SHAPES: Final = (
    Shape("protections", "protection", "protection document", ProtectionDocument),
    Shape("quotas", "quota", "quota document", QuotaDocument),
    Shape("hierarchies", "hierarchy", "hierarchy of an item", HierarchyDocument),
    Shape("capacities", "capacity", "capacity document", CapacityDocument),
)


class Region(Payload):
    """The zones of a region; a zone is of one region at most."""

    zones: Annotated[tuple[Code, ...], Field(max_length=ZONES_MAX)]


def allocation_routes(planning: Planning) -> APIRouter:
    """The routes."""
    router = APIRouter(tags=["allocation"])
    for shape in SHAPES:
        _add_document(router, planning, shape)
    _add_list(router, planning)
    _add_regions(router, planning)
    _add_capacity_days(router, planning)
    return router


def draft_of(
    body: Document, document_id: str, author: str, *, base: int | None = None, version: int | None = None
) -> Draft:
    """A document as it is stored. Raises Problem (409) where periods overlap."""
    try:
        kind, rows = body.kind, body.rows()
        encoded = orjson.dumps(body.body())
    except PeriodsOverlap:
        raise Problem(PERIODS_OVERLAP) from None
    return Draft(kind, DocumentHead(document_id, body.effective_from, author, encoded, base, version), rows)


async def store_draft(planning: Planning, draft: Draft) -> int:
    """Write the next version of a document of any kind; its number. Raises Problem (409, 412)."""
    try:
        return await planning.store_document(draft)
    except (PeriodsOverlap, OtherKind, VersionMoved) as error:
        raise refusal(error) from None


async def check_capacity_names(planning: Planning, draft: Draft) -> None:
    """Raise Problem (422) for capacities of a location or tier that nobody knows: they would limit nothing, unseen."""
    rows = draft.capacities()
    locations = dict.fromkeys(row.location_id for row in rows)
    tiers = dict.fromkeys(share.tier for row in rows for share in row.shares)
    unknown = await planning.unknown(Names((), tuple(locations), tuple(tiers))) if rows else Names((), (), ())
    if any(unknown):
        raise Problem(NAMES_UNKNOWN, locations=list(unknown.locations), tiers=list(unknown.tiers))


def refusal(error: PeriodsOverlap | OtherKind | VersionMoved) -> Problem:
    """Why a version is not written."""
    match error:
        case PeriodsOverlap():
            return Problem(PERIODS_OVERLAP)
        case OtherKind():
            return Problem(DOCUMENT_KIND)
        case VersionMoved(current=None):
            return Problem(CONFLICT, "another version of the document was written at the same time; look at it first")
        case VersionMoved(current=current):
            return Problem(PRECONDITION_FAILED, "the document has another version by now", current_version=current)


async def known_document(
    planning: Planning, document_id: str, kind: AllocationKind, version: int | None = None, at: Any = None
) -> dict[str, Any]:
    """A version of a document. Raises Problem (404) for one that there is not."""
    document = await planning.document(document_id, kind, version, at)
    if document is None:
        raise Problem(DOCUMENT_UNKNOWN)
    return document


def base_of(if_match: str | None) -> int | None:
    """The version that a change was made from. Raises Problem (400)."""
    if if_match is None:
        return None
    number = if_match.strip().removeprefix('"').removesuffix('"')
    if not (number.isascii() and number.isdecimal()):
        raise Problem(BAD_REQUEST, 'If-Match: one version in quotes, as ETag gave it: "3"')
    return int(number)


def _add_document(router: APIRouter, planning: Planning, shape: Shape) -> None:
    async def put(
        principal: Planner, response: Response, document_id: DocumentId, body: Any, if_match: IfMatch = None
    ) -> dict[str, Any]:
        draft = draft_of(body, document_id, principal.subject, base=base_of(if_match))
        await check_capacity_names(planning, draft)
        version = await store_draft(planning, draft)
        response.headers["etag"] = f'"{version}"'
        return {"document_id": document_id, "version": version}

    async def get(
        _: Reader, response: Response, document_id: DocumentId, version: VersionAsked = None, at: MomentAsked = None
    ) -> dict[str, Any]:
        if version is not None and at is not None:
            raise Problem(BAD_REQUEST, "a version or a moment, not both")
        document = await known_document(planning, document_id, shape.kind, version, at)
        response.headers["etag"] = f'"{document["version"]}"'
        return document

    async def get_versions(
        _: Reader,
        document_id: DocumentId,
        before: Annotated[int | None, Query(ge=1)] = None,
        limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = 100,
    ) -> dict[str, Any]:
        found = await planning.versions(document_id, shape.kind, before, limit)
        if not found and before is None:
            raise Problem(DOCUMENT_UNKNOWN)
        return {"items": found, "next": found[-1]["version"] if len(found) == limit else None}

    put.__annotations__["body"] = shape.model
    path, name = f"/v1/{shape.path}/{{document_id}}", shape.path
    router.put(
        path,
        name=f"put_{name}",
        summary=f"Write the next version of a {shape.noun}",
        description="It replaces the former one from its effective date on.",
        responses={**WRITTEN, **problems(NAMES_UNKNOWN)} if shape.kind == "capacity" else WRITTEN,
    )(put)
    router.get(
        path,
        name=f"get_{name}",
        summary=f"A version of a {shape.noun}, with what each of its lines has given so far",
        responses=problems(DOCUMENT_UNKNOWN, VALIDATION_FAILED, BAD_REQUEST),
    )(get)
    router.get(
        f"{path}/versions",
        name=f"get_versions_of_{name}",
        summary=f"The versions of a {shape.noun}, the newest first: from when to when, written by whom and when",
        responses=problems(DOCUMENT_UNKNOWN, VALIDATION_FAILED),
    )(get_versions)


def _add_list(router: APIRouter, planning: Planning) -> None:
    @router.get("/v1/allocations", responses=problems(VALIDATION_FAILED))
    async def get_documents(
        _: Reader,
        at: Annotated[Moment | None, Query(description="only what was, or will be, in effect then")] = None,
        after: Annotated[str, Query(max_length=64, description="a document's id")] = "",
        limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = PAGE_MAX,
    ) -> dict[str, Any]:
        """Documents in order of their ids with all their versions: of what kind, from when to when, by whom.

        `limit` counts documents; `next` is what to give as `after` for the following page.
        """
        found, following = await planning.documents(at, after, limit)
        return {"items": found, "next": following}


def _add_capacity_days(router: APIRouter, planning: Planning) -> None:
    @router.get(
        "/v1/capacities/{document_id}/days",
        response_model=CapacityDays,
        responses=problems(DOCUMENT_UNKNOWN, VALIDATION_FAILED),
    )
    async def get_capacity_days(
        _: Reader,
        document_id: DocumentId,
        first_day: Annotated[Day | None, Query(description="default: today")] = None,
        days: Annotated[int, Query(ge=1, le=DAYS_MAX)] = 14,
    ) -> dict[str, Any]:
        """By ship day what there is of each capacity that is in effect, what is booked, kept for tiers and free."""
        await known_document(planning, document_id, "capacity")
        first = None if first_day is None else first_day.toordinal()
        return {"document_id": document_id, "items": await planning.capacity_days(document_id, first, days)}


def _add_regions(router: APIRouter, planning: Planning) -> None:
    @router.put("/v1/regions/{region}", responses=problems(VALIDATION_FAILED))
    async def put_region(_: Planner, region: Annotated[Code, Path()], body: Region) -> dict[str, Any]:
        """Let a region be these zones, and no others."""
        await planning.store_region(region, body.zones)
        return {"region": region, "zones": sorted(body.zones)}

    @router.get("/v1/regions")
    async def get_regions(_: Reader) -> dict[str, Any]:
        """The zones of all regions."""
        return {"regions": await planning.regions()}
