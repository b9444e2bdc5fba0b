"""Availability over HTTP: one item, or many."""

from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Annotated, Any, Final, Literal, Self

from fastapi import APIRouter, Depends, Query, Request
from pydantic import Field, model_validator

from services.atp.application.engine import Engine
from services.atp.application.read_availability import (
    Bucket,
    Place,
    ReadAvailability,
    TierUnknown,
    View,
    availability,
    availability_of_many,
)
from services.atp.domain.model import RuleKind
from services.atp.entrypoints.callers import origin_of
from services.atp.entrypoints.problem_codes import ITEM_UNKNOWN, TIER_UNKNOWN
from services.atp.entrypoints.stock_routes import ChannelBuffer
from services.chassis.auth import Principal, require
from services.chassis.problems import BAD_REQUEST, VALIDATION_FAILED, Problem, problem_responses
from services.contracts.payload import Code, Day, Identifier, Payload

ITEMS_MAX: Final = 100  # items of one request
PAGE_MAX: Final = 500  # locations of one page
SPAN_DAYS_MAX: Final = 366  # a year of days; more is a question for a report
Reader = Annotated[Principal, Depends(require("atp.read"))]
Limit = Annotated[int, Query(ge=1, le=PAGE_MAX)]


class TierShare(Payload):
    """What of the offer protections and waiting backorders keep from a tier, and what it may take."""

    tier: Code
    restricted: int | None
    confirmable: int | None


class AvailableDay(Payload):
    """The picture on the last day of a row (null: from its first day on, without end).

    `available` is supply less commitments and may be negative; `atp` is what can be promised of it without breaking an
    earlier promise; `offered` is what of it the item's promising rule offers, which by itself would offer `by_rule` (it
    may be negative; null: the item has no stricter rule), without what is held back from the channel. Null where supply
    is assumed without limit, or no tier was asked for.
    """

    first_day: date
    last_day: date | None
    supply: int
    committed: int
    available: int
    atp: int | None
    by_rule: int | None
    offered: int | None
    restricted: int | None = None
    confirmable: int | None = None
    tiers: tuple[TierShare, ...] = ()


class ProtectionAt(Payload):
    """A protection at a location whose document is in effect and whose period is not over.

    `protected` is asked for in the whole period, `remaining` still kept of it. `uncovered_qty`: of a future period what
    is asked beyond the receipts due within it, else what the location could not give of it by its last day.
    """

    document_id: str
    version: int
    tier: str
    start: date
    end: date
    mode: str
    protected: int
    consumed: int
    remaining: int
    lapsed: int
    uncovered_qty: int


class LocationAvailability(Payload):
    """An item at a location, ascending by day. While a planner stops it no tier may take anything.

    `protections` are listed where a tier, or all by tier, was asked for.
    """

    location: str
    on_hand: int
    buffer: int
    channel_buffers: tuple[ChannelBuffer, ...]
    version: int
    stopped_through: date | None
    supply_assumed_from: date | None
    protections: tuple[ProtectionAt, ...] = ()
    days: tuple[AvailableDay, ...]


class ItemAvailability(Payload):
    """An item, by location; `next` is what to give as `after` for the following page of locations."""

    sku: str
    active: bool
    promising_rule: RuleKind
    as_of: datetime
    tier: str | None
    locations: tuple[LocationAvailability, ...]
    next: str | None


class OneOfMany(Payload):
    """An item of several; one that is not known has nowhere."""

    sku: str
    known: bool
    active: bool
    promising_rule: RuleKind | None
    locations: tuple[LocationAvailability, ...]


class ManyAvailability(Payload):
    """Items in the order of the request, as far as this page goes; `next` is the following one's `after`."""

    as_of: datetime
    tier: str | None
    items: tuple[OneOfMany, ...]
    next: str | None


class AvailabilityRequest(Payload):
    """Which items, where, for which tier, and on which days."""

    items: Annotated[tuple[Identifier, ...], Field(min_length=1, max_length=ITEMS_MAX)]
    location: Code | None = None
    tier: Code | None = None
    by_tier: bool = False
    channel: Code | None = None
    bucket: Literal["change", "day", "week"] = "change"
    first_day: Day | None = None
    last_day: Day | None = None
    after: Annotated[str, Field(max_length=80, pattern=r"^[0-9]{1,3}:")] | None = None
    limit: Annotated[int, Field(strict=True, ge=1, le=PAGE_MAX)] = 100

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        if len(dict.fromkeys(self.items)) < len(self.items):
            raise ValueError("an item is asked for twice")
        return self


def availability_routes(engine: Engine) -> APIRouter:
    """The routes."""
    router = APIRouter(tags=["availability"])

    @router.get(
        "/v1/availability",
        summary="An item day by day: supply, committed, available, and what is kept from a tier",
        response_model=ItemAvailability,
        responses=problem_responses(BAD_REQUEST, VALIDATION_FAILED, ITEM_UNKNOWN, TIER_UNKNOWN),
    )
    async def get_availability(
        *,
        request: Request,
        _: Reader,
        sku: Annotated[Identifier, Query()],
        location: Annotated[Code | None, Query()] = None,
        tier: Annotated[Code | None, Query()] = None,
        by_tier: Annotated[bool, Query()] = False,
        channel: Annotated[Code | None, Query()] = None,
        bucket: Annotated[Bucket, Query()] = "change",
        first_day: Annotated[date | None, Query()] = None,
        last_day: Annotated[date | None, Query()] = None,
        after: Annotated[Code | None, Query()] = None,
        limit: Limit = 100,
    ) -> dict[str, Any]:
        view = replace(_view(tier, bucket, first_day, last_day, by_tier=by_tier), channel=channel)
        place = None if after is None else Place(0, after)
        command = ReadAvailability((sku,), location, view, origin_of(request), place, limit)
        try:
            found = await engine.inquire(command, lambda batch: availability(batch, command))
        except TierUnknown:
            raise Problem(TIER_UNKNOWN) from None
        if found is None:
            raise Problem(ITEM_UNKNOWN)
        document: dict[str, Any] = found
        return document

    @router.post(
        "/v1/availability:bulk",
        summary="The same of up to 100 items, as of one moment a page",
        response_model=ManyAvailability,
        responses=problem_responses(BAD_REQUEST, VALIDATION_FAILED, TIER_UNKNOWN),
    )
    async def read_many(request: Request, body: AvailabilityRequest, _: Reader) -> dict[str, Any]:
        view = _view(body.tier, body.bucket, body.first_day, body.last_day, by_tier=body.by_tier)
        view = replace(view, channel=body.channel)
        place = None if body.after is None else _place(body.after)
        command = ReadAvailability(body.items, body.location, view, origin_of(request), place, body.limit)
        try:
            document: dict[str, Any] = await engine.inquire(command, lambda batch: availability_of_many(batch, command))
        except TierUnknown:
            raise Problem(TIER_UNKNOWN) from None
        return document

    return router


def _view(tier: str | None, bucket: Bucket, first: date | None, last: date | None, *, by_tier: bool) -> View:
    if tier is not None and by_tier:
        raise Problem(BAD_REQUEST, "a tier or by_tier, not both")
    if first is not None and last is not None and not timedelta(0) <= last - first < timedelta(SPAN_DAYS_MAX):
        raise Problem(BAD_REQUEST, f"last_day is on or after first_day, within {SPAN_DAYS_MAX} days")
    if first is None and last is not None and bucket != "change":
        raise Problem(BAD_REQUEST, "a last_day of buckets comes with their first_day")
    days = (None if first is None else first.toordinal(), None if last is None else last.toordinal())
    return View(tier, by_tier, bucket, *days)


def _place(after: str) -> Place:
    item, _, location = after.partition(":")
    return Place(int(item), location)
