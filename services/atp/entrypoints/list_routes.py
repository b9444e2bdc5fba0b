"""Lists over HTTP: promises by what they are, and what needs somebody's attention."""

from datetime import date, datetime
from typing import Annotated, Any, Final, Literal
from uuid import UUID

import orjson
from fastapi import APIRouter, Depends, Query, Response

from services.atp.application.list_promises import (
    EXCEPTION_KINDS,
    ExceptionFound,
    ExceptionPlace,
    ExceptionsAsked,
    PromiseLists,
    PromisesAsked,
)
from services.atp.application.read_promises import PromiseReader
from services.atp.entrypoints.answers import respond
from services.atp.entrypoints.callers import visible
from services.atp.entrypoints.change_routes import id_of
from services.atp.entrypoints.cursors import CURSOR_MAX_CHARS, decode_cursor, encode_cursor
from services.atp.entrypoints.orders import order_key
from services.atp.entrypoints.problem_codes import ORDER_UNKNOWN
from services.chassis.auth import Principal, require
from services.chassis.problems import BAD_REQUEST, Problem, problem_responses
from services.contracts.orders import OrderRef
from services.contracts.payload import Code, Day, Identifier, Payload
from services.contracts.promises import Promise, PromiseState

PAGE_MAX: Final = 500
HOLD_HOURS_MAX: Final = 24 * 90
BACKORDER_DAYS_MAX: Final = 3_650
Reader = Annotated[Principal, Depends(require("atp.read"))]
Cursor = Annotated[str | None, Query(max_length=CURSOR_MAX_CHARS, description="`next_cursor` of the page before")]
Limit = Annotated[int, Query(ge=1, le=PAGE_MAX)]
ExceptionKind = Literal[
    "deficit", "at_risk", "past_due", "expiring_hold", "ageing_backorder", "overbooked", "unmet", "set_aside"
]


class PromisePage(Payload):
    """Promises, the newest first. A page may be short, or empty, with a cursor: go on until there is none."""

    items: tuple[Promise, ...]
    next_cursor: str | None


class ExceptionItem(Payload):
    """Something that needs attention; the best tier first, and in a tier the most critical items.

    `deficit`: less at a position than is committed there; `quantity` in all, `tier` the best that goes short, `day` the
    first ship day. `at_risk`: what of a schedule line is not covered; `day` its ship day. `past_due`: it should have
    shipped on `day`. `expiring_hold`: a hold that ends soon, at `at`. `ageing_backorder`: it waits since `at`; `day` is
    the arrival that was asked for. `overbooked`: `quantity` more is booked to leave the location (by the `service`, if
    one is named) on `day` than its capacity says since it was lowered; the promises stand; the tier is "*".
    `unmet`: a line of a tier that must win is not whole on its `day`; `cause` says
    whether `quantity` is `missing` or `late`, `at` when it was ordered. `set_aside`: `quantity` at a position is kept
    for an old backorder (for all its lines of the item, where it ships complete) from those behind it through `day`.
    """

    kind: ExceptionKind
    tier: str
    priority_rank: int
    promise_id: UUID | None
    order: OrderRef | None
    line: str | None
    sku: str | None
    location: str | None
    service: str | None
    quantity: int | None
    day: date
    at: datetime | None
    cause: str | None
    criticality: Literal["vital", "essential", "desirable"] | None


class ExceptionPage(Payload):
    """Exceptions by tier rank, criticality of the item, kind and day."""

    items: tuple[ExceptionItem, ...]
    next_cursor: str | None


def list_routes(lists: PromiseLists, reader: PromiseReader) -> APIRouter:
    """The routes."""
    router = APIRouter()
    _add_promises(router, lists, reader)
    _add_exceptions(router, lists)
    return router


def _add_promises(router: APIRouter, lists: PromiseLists, reader: PromiseReader) -> None:
    @router.get(
        "/v1/promises",
        tags=["promises"],
        summary="The promise of an order, by its identity (source and order_id); or promises by what they are",
        response_model=Promise | PromisePage,
        responses=problem_responses(ORDER_UNKNOWN, BAD_REQUEST),
    )
    async def find_promises(
        *,
        principal: Reader,
        source: Annotated[Code | None, Query()] = None,
        order_id: Annotated[Identifier | None, Query()] = None,
        customer_system: Annotated[Code | None, Query(description='"tiercel" for the registry\'s own ids')] = None,
        customer: Annotated[Identifier | None, Query(description="with customer_system")] = None,
        sku: Annotated[Identifier | None, Query()] = None,
        state: Annotated[list[PromiseState] | None, Query()] = None,
        tier: Annotated[Code | None, Query(description="the tier that counted")] = None,
        arrival_from: Annotated[Day | None, Query(description="something of it arrives on this day or later")] = None,
        arrival_to: Annotated[Day | None, Query(description="and on this day or earlier")] = None,
        cursor: Cursor = None,
        limit: Limit = 100,
    ) -> Response:
        """With source and order_id and nothing else, the promise of that order; else a page, the newest first."""
        filters = (customer_system, customer, sku, state, tier, arrival_from, arrival_to, cursor)
        if source is not None and order_id is not None and not any(filters):
            return respond((200, visible(principal, await reader.by_order(order_key(source, order_id))).document))
        if (customer is None) != (customer_system is None):
            raise Problem(BAD_REQUEST, "customer and customer_system go together")
        asked = PromisesAsked(
            source=source,
            order_id=order_id,
            customer=None if customer is None or customer_system is None else (customer_system, customer),
            item_id=sku,
            states=None if state is None else [each.value for each in state],
            tier=tier,
            arrival_from=None if arrival_from is None else arrival_from.toordinal(),
            arrival_to=None if arrival_to is None else arrival_to.toordinal(),
            channels=_channels(principal),
        )
        place = decode_cursor(cursor, 1)
        page = await lists.page(asked, None if place is None else id_of(str(place[0])), limit)
        items = [orjson.Fragment(document) for document in page.documents]
        more = None if page.after is None else encode_cursor(str(page.after))
        return respond((200, orjson.dumps({"items": items, "next_cursor": more})))


def _add_exceptions(router: APIRouter, lists: PromiseLists) -> None:
    @router.get(
        "/v1/exceptions",
        tags=["planning"],
        response_model=ExceptionPage,
        responses=problem_responses(BAD_REQUEST),
    )
    async def get_exceptions(
        *,
        principal: Reader,
        kind: Annotated[list[ExceptionKind] | None, Query()] = None,
        tier: Annotated[Code | None, Query()] = None,
        sku: Annotated[Identifier | None, Query()] = None,
        hold_hours: Annotated[int, Query(ge=0, le=HOLD_HOURS_MAX, description="holds that end within so long")] = 1,
        backorder_days: Annotated[
            int, Query(ge=0, le=BACKORDER_DAYS_MAX, description="backorders of orders at least so old")
        ] = 7,
        cursor: Cursor = None,
        limit: Limit = 100,
    ) -> dict[str, Any]:
        """What needs attention: deficits, risks, past due, holds, old backorders, overbooked days, unmet, set aside."""
        channels = _channels(principal)
        asked = ExceptionsAsked(kind or EXCEPTION_KINDS, tier, sku, hold_hours, backorder_days, channels)
        place = decode_cursor(cursor, len(ExceptionPlace._fields))
        after = None if place is None else _place(place)
        found = await lists.exceptions(asked, after, limit + 1)
        more = None
        if len(found) > limit:
            last = found[limit - 1].place
            more = encode_cursor(*last[:4], str(last.promise_id), *last[5:])
        return {"items": [_exception(each) for each in found[:limit]], "next_cursor": more}


def _place(place: list[Any]) -> ExceptionPlace:
    rank, criticality, kind, day, promise_id, line, part = place
    numbers = (rank, criticality, kind, day, part)
    if not (all(isinstance(each, int) for each in numbers) and isinstance(line, str)):
        raise Problem(BAD_REQUEST, "cursor: not one that this list gave")
    return ExceptionPlace(rank, criticality, kind, day, id_of(str(promise_id)), line, part)


def _exception(found: ExceptionFound) -> dict[str, Any]:
    of_promise = found.order_id is not None
    order = {"source": found.source, "order_id": found.order_id} if of_promise else None
    return {
        "kind": found.kind,
        "tier": found.tier,
        "priority_rank": found.place.priority_rank,
        "promise_id": found.place.promise_id if of_promise else None,
        "order": order,
        "line": (found.place.line or None) if of_promise else None,
        "sku": found.item_id,
        "location": found.location_id,
        "service": found.place.line.partition("@")[2] or None if found.kind == "overbooked" else None,
        "quantity": found.quantity,
        "day": date.fromordinal(found.day),
        "at": found.at,
        "cause": found.cause,
        "criticality": found.criticality,
    }


def _channels(principal: Principal) -> list[str] | None:
    """The channels that the caller may see; whoever is limited to account groups sees none."""
    if not principal.sees_account_group(None):
        return []
    return None if principal.channels is None else sorted(principal.channels)
