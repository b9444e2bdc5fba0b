"""Variants of backorder processing over HTTP: segments with strategies, in versions, and their schedules."""

from datetime import datetime
from typing import Annotated, Any, Final, Self

import orjson
from fastapi import APIRouter, Depends, Path, Query, Response
from pydantic import Field, model_validator

from services.atp.application.planning import Names, Planning, VersionMoved
from services.atp.application.run_variants import VARIANTS_MAX, RunVariants, TooManyVariants, VariantDraft
from services.atp.entrypoints.allocation_routes import IfMatch, base_of
from services.atp.entrypoints.problem_codes import NAMES_UNKNOWN, TOO_MANY_VARIANTS, VARIANT_UNKNOWN
from services.chassis.auth import Principal, require
from services.chassis.problems import BAD_REQUEST, PRECONDITION_FAILED, VALIDATION_FAILED, Problem
from services.chassis.problems import problem_responses as problems
from services.contracts.network import LocalTime, TimeZone, Weekday
from services.contracts.payload import Code, Identifier, Moment, Payload, broken_rule
from services.contracts.segments import Strategy

SEGMENTS_MAX: Final = 20  # each line is compared with all of them
NAMES_MAX: Final = 500  # of one filter
DAYS_MAX: Final = 3_660  # that a filter looks ahead, or back
TIMES_MAX: Final = 24  # of a day: what is to be done more often is done by events anyhow
PAGE_MAX: Final = 100
Planner = Annotated[Principal, Depends(require("atp.configure"))]
Reader = Annotated[Principal, Depends(require("atp.read"))]
VariantId = Annotated[Code, Path()]
Codes = Annotated[tuple[Code, ...], Field(max_length=NAMES_MAX)]
Identifiers = Annotated[tuple[Identifier, ...], Field(max_length=NAMES_MAX)]
Days = Annotated[int, Field(strict=True, ge=-DAYS_MAX, le=DAYS_MAX)]


class SegmentBody(Payload):
    """The lines that all filters let through (an empty one lets all), and their strategy in the run.

    `locations` are those that a line is promised from, or could be served from if nothing of it is promised; only what
    is promised from there falls. `customers` are ids of the registry. The days that a line is wanted count from the
    day of the run (0: today).
    """

    strategy: Strategy
    tiers: Codes = ()
    skus: Identifiers = ()
    locations: Codes = ()
    zones: Codes = ()
    channels: Codes = ()
    customers: Identifiers = ()
    wanted_from_days: Days | None = None
    wanted_through_days: Days | None = None


class ScheduleBody(Payload):
    """When it is run by itself. A time that is there twice, or missing, on the day the clock is set is one moment."""

    days: Annotated[tuple[Weekday, ...], Field(min_length=1, max_length=7)]
    times: Annotated[tuple[LocalTime, ...], Field(min_length=1, max_length=TIMES_MAX)]
    time_zone: TimeZone


class VariantBody(Payload):
    """Who is asked with which strategy: of the first segment that a line is of; a line of none is not touched."""

    segments: Annotated[tuple[SegmentBody, ...], Field(min_length=1, max_length=SEGMENTS_MAX)]
    schedule: ScheduleBody | None = None
    effective_from: Moment | None = None

    @model_validator(mode="after")
    def _fits(self) -> Self:
        given = () if self.schedule is None else (self.schedule.days, self.schedule.times)
        if any(len(dict.fromkeys(each)) < len(each) for each in given):
            raise broken_rule("a day or a time of a schedule is named once")
        if all(each.strategy == "skip" for each in self.segments):
            raise broken_rule("a segment is asked, or may fall: of a variant that skips all, nothing comes")
        return self

    def stored(self) -> bytes:
        """The document as it is kept."""
        return orjson.dumps(self.model_dump(mode="json", exclude={"effective_from"}))

    def names(self) -> Names:
        """Items, locations and tiers that it names."""
        found = ([name for each in self.segments for name in getattr(each, field)] for field in _NAMED)
        return Names(*(tuple(dict.fromkeys(names)) for names in found))


_NAMED: Final = ("skus", "locations", "tiers")


class VariantVersionDocument(Payload):
    """A version as it was written."""

    variant_id: str
    version: int
    segments: tuple[SegmentBody, ...]
    schedule: ScheduleBody | None
    effective_from: datetime
    effective_to: datetime | None
    author: str
    recorded_at: datetime


class VariantDocument(VariantVersionDocument):
    """A version, and when the variant is run next by its schedule."""

    next_run: datetime | None


class VariantVersions(Payload):
    """Versions, the newest first; `next` is the version before which the next page goes on."""

    items: tuple[VariantVersionDocument, ...]
    next: int | None


class VariantHead(Payload):
    """A variant with its newest version."""

    variant_id: str
    version: int
    next_run: datetime | None


class VariantHeads(Payload):
    """All variants in order of their ids."""

    items: tuple[VariantHead, ...]


def run_variant_routes(variants: RunVariants, planning: Planning) -> APIRouter:
    """The routes."""
    router = APIRouter(tags=["runs"])

    @router.put(
        "/v1/run-variants/{variant_id}",
        response_model=VariantHead,
        responses=problems(VALIDATION_FAILED, BAD_REQUEST, PRECONDITION_FAILED, NAMES_UNKNOWN, TOO_MANY_VARIANTS),
    )
    async def put_variant(
        principal: Planner, variant_id: VariantId, body: VariantBody, response: Response, if_match: IfMatch = None
    ) -> dict[str, Any]:
        """Write the next version of a variant, in effect from a time on; a run that goes on keeps its version."""
        unknown = await planning.unknown(body.names())
        if any(unknown):
            items, locations, tiers = (list(each) for each in unknown)
            raise Problem(NAMES_UNKNOWN, items=items, locations=locations, tiers=tiers)
        draft = VariantDraft(variant_id, body.stored(), body.effective_from, principal.subject, base_of(if_match))
        try:
            version, slot = await variants.store(draft)
        except VersionMoved as error:
            detail = "the variant has another version by now"
            raise Problem(PRECONDITION_FAILED, detail, current_version=error.current) from None
        except TooManyVariants:
            raise Problem(TOO_MANY_VARIANTS) from None
        response.headers["etag"] = f'"{version}"'
        return {"variant_id": variant_id, "version": version, "next_run": slot}

    @router.get(
        "/v1/run-variants/{variant_id}",
        response_model=VariantDocument,
        responses=problems(VARIANT_UNKNOWN, VALIDATION_FAILED),
    )
    async def get_variant(
        _: Reader,
        variant_id: VariantId,
        response: Response,
        version: Annotated[int | None, Query(ge=1)] = None,
        at: Annotated[Moment | None, Query(description="default: now; not with a version")] = None,
    ) -> dict[str, Any]:
        """A version of a variant; without a number the one in effect."""
        found = await variants.version(variant_id, version, at)
        if found is None:
            raise Problem(VARIANT_UNKNOWN)
        response.headers["etag"] = f'"{found["version"]}"'
        return {**found}

    @router.get(
        "/v1/run-variants/{variant_id}/versions", response_model=VariantVersions, responses=problems(VALIDATION_FAILED)
    )
    async def get_versions(
        _: Reader,
        variant_id: VariantId,
        before: Annotated[int | None, Query(ge=1)] = None,
        limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = PAGE_MAX,
    ) -> dict[str, Any]:
        """All versions of a variant, the newest first."""
        found = await variants.versions(variant_id, before, limit)
        return {"items": found, "next": found[-1]["version"] if len(found) == limit else None}

    @router.get("/v1/run-variants", response_model=VariantHeads, responses=problems(VALIDATION_FAILED))
    async def get_variants(
        _: Reader,
        after: Annotated[str, Query(max_length=64, description="a variant's id")] = "",
        limit: Annotated[int, Query(ge=1, le=VARIANTS_MAX)] = VARIANTS_MAX,
    ) -> dict[str, Any]:
        """Variants in order of their ids, with their newest versions, and when each is run next."""
        return {"items": await variants.variants(after, limit)}

    return router
