"""Availability over HTTP: one item, or many. Plain routes without request machinery, because they are hot."""

from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from typing import Annotated, Any, Final, Literal, Self, TypeVar

from fastapi import FastAPI, Request, Response
from pydantic import BaseModel, ConfigDict, Field, model_validator

from services.atp.application.batch import Batch
from services.atp.application.documents import dump
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
from services.atp.entrypoints.answers import respond
from services.atp.entrypoints.callers import origin_of
from services.atp.entrypoints.problem_codes import ITEM_UNKNOWN, TIER_UNKNOWN
from services.atp.entrypoints.stock_routes import ChannelBuffer
from services.chassis.http import add_hot_route
from services.chassis.problems import (
    BAD_REQUEST,
    BODY_TOO_LARGE,
    MALFORMED_JSON,
    VALIDATION_FAILED,
    Problem,
    ProblemCode,
    problem_responses,
)
from services.chassis.query import query_parameters, read_query
from services.chassis.strict_json import read_json_body
from services.contracts.payload import Code, Day, Identifier, Payload, broken_rule

ITEMS_MAX: Final = 100  # items of one request
PAGE_MAX: Final = 500  # locations of one page
SPAN_DAYS_MAX: Final = 366  # a year of days; more is a question for a report
SCOPE: Final = "atp.read"
ONE_PATH: Final = "/v1/availability"
MANY_PATH: Final = "/v1/availability:bulk"
Found = TypeVar("Found")


class TierShare(Payload):
    """What of the offer protections and waiting backorders keep from a tier, and what it may take.

    `confirmable` is no more than the tier may let leave the location by then, where that has a bookable daily capacity.
    """

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

    `protections` are listed where a tier, or all by tier, was asked for. `set_aside` units, on the day or coming, are
    kept for old backorders that take all that they need or nothing (`GET /v1/exceptions?kind=set_aside`: for which).
    """

    location: str
    on_hand: int
    buffer: int
    channel_buffers: tuple[ChannelBuffer, ...]
    version: int
    stopped_through: date | None
    supply_assumed_from: date | None
    set_aside: int
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
            raise broken_rule("an item is asked for twice")
        return self


class AvailabilityQuery(BaseModel):
    """The same of one item, as the query of a GET."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    sku: Identifier
    location: Code | None = None
    tier: Code | None = None
    by_tier: bool = False
    channel: Code | None = None
    bucket: Bucket = "change"
    first_day: date | None = None
    last_day: date | None = None
    after: Code | None = None
    limit: Annotated[int, Field(ge=1, le=PAGE_MAX)] = 100


def _answers(model: str, *codes: ProblemCode) -> dict[str, Any]:
    shown = {"schema": {"$ref": f"#/components/schemas/{model}"}}
    problems = {str(status): response for status, response in problem_responses(*codes).items()}
    return {"200": {"description": "Successful Response", "content": {"application/json": shown}}, **problems}


ONE_OPERATION: Final[Mapping[str, Any]] = {
    "tags": ["availability"],
    "operationId": "get_availability_v1_availability_get",
    "summary": "An item day by day: supply, committed, available, and what is kept from a tier",
    "parameters": query_parameters(AvailabilityQuery),
    "responses": _answers("ItemAvailability", BAD_REQUEST, VALIDATION_FAILED, ITEM_UNKNOWN, TIER_UNKNOWN),
}
MANY_OPERATION: Final[Mapping[str, Any]] = {
    "tags": ["availability"],
    "operationId": "read_many_v1_availability_bulk_post",
    "summary": "The same of up to 100 items, as of one moment a page",
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/AvailabilityRequest"}}},
    },
    "responses": _answers(
        "ManyAvailability", BAD_REQUEST, MALFORMED_JSON, BODY_TOO_LARGE, VALIDATION_FAILED, TIER_UNKNOWN
    ),
}


def add_availability_routes(app: FastAPI, engine: Engine) -> None:
    """Add the routes."""

    async def read_one(request: Request) -> Response:
        asked = read_query(request, AvailabilityQuery)
        view = _view(asked)
        place = None if asked.after is None else Place(0, asked.after)
        command = ReadAvailability((asked.sku,), asked.location, view, origin_of(request), place, asked.limit)
        found = await _inquired(engine, command, availability)
        if found is None:
            raise Problem(ITEM_UNKNOWN)
        return respond((200, dump(found)))

    async def read_many(request: Request) -> Response:
        asked = await read_json_body(request, AvailabilityRequest)
        place = None if asked.after is None else _place(asked.after)
        command = ReadAvailability(asked.items, asked.location, _view(asked), origin_of(request), place, asked.limit)
        return respond((200, dump(await _inquired(engine, command, availability_of_many))))

    one, many = (ItemAvailability,), (ManyAvailability,)
    add_hot_route(app, ONE_PATH, read_one, scope=SCOPE, methods=("GET",), operation=ONE_OPERATION, answers=one)
    bulk = (AvailabilityRequest,)
    add_hot_route(app, MANY_PATH, read_many, scope=SCOPE, operation=MANY_OPERATION, models=bulk, answers=many)


async def _inquired(
    engine: Engine, command: ReadAvailability, show: Callable[[Batch, ReadAvailability], Found]
) -> Found:
    try:
        found: Found = await engine.inquire(command, lambda batch: show(batch, command))
    except TierUnknown:
        raise Problem(TIER_UNKNOWN) from None
    return found


def _view(asked: AvailabilityQuery | AvailabilityRequest) -> View:
    first, last = asked.first_day, asked.last_day
    if asked.tier is not None and asked.by_tier:
        raise Problem(BAD_REQUEST, "a tier or by_tier, not both")
    if first is not None and last is not None and not timedelta(0) <= last - first < timedelta(SPAN_DAYS_MAX):
        raise Problem(BAD_REQUEST, f"last_day is on or after first_day, within {SPAN_DAYS_MAX} days")
    if first is None and last is not None and asked.bucket != "change":
        raise Problem(BAD_REQUEST, "a last_day of buckets comes with their first_day")
    days = (None if first is None else first.toordinal(), None if last is None else last.toordinal())
    return View(asked.tier, asked.by_tier, asked.bucket, *days, channel=asked.channel)


def _place(after: str) -> Place:
    item, _, location = after.partition(":")
    return Place(int(item), location)
