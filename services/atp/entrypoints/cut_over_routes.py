"""Cut-over over HTTP: open orders of the system that promised before, in bulk, each answered by itself.

The scope `atp.cut_over` is apart from that of placing orders: supply is not asked here. An order is taken over once, so
that a request that was answered in part, or not at all, may be sent again as it is.
"""

import asyncio
import hashlib
from typing import Annotated, Any, Final, Literal
from uuid import UUID

import orjson
from fastapi import APIRouter, Body, Depends, Request
from pydantic import Field

from services.atp.application.commands import Answered, NotPossible, Outcome, PlaceOrder
from services.atp.application.content import content_of, encode, fingerprint_of
from services.atp.application.engine import Engine
from services.atp.application.planning import Planning
from services.atp.application.queues import Lane
from services.atp.application.take_over_order import GivenPart, TakeOverOrder
from services.atp.entrypoints.answers import render_changed
from services.atp.entrypoints.callers import check_channel, origin_of
from services.atp.entrypoints.orders import fault_of, order_key
from services.chassis.auth import Principal, require
from services.chassis.problems import OVERLOADED, VALIDATION_FAILED, Problem, problem_responses
from services.contracts.cut_over import GivenPromise, OpenOrder
from services.contracts.orders import OrderLine, OrderPlaced
from services.contracts.payload import Payload

CUT_OVER_PATH: Final = "/v1/cut-over/orders"
ORDERS_MAX: Final = 1_000
EXAMPLE: Final[dict[str, Any]] = {
    "items": [
        {
            "order": {"source": "legacy", "order_id": "L-1"},
            "customer": {"system": "shop", "id": "C-9"},
            "ordered_at": "2026-01-02T09:30:00Z",
            "ship_to": {"country": "GB", "postcode": "IV2 3XY"},
            "lines": [
                {
                    "line": "1",
                    "sku": "TEA-1",
                    "quantity": 30,
                    "promised": [
                        {
                            "quantity": 24,
                            "shipped": 6,
                            "location": "DC-1",
                            "service": "parcel",
                            "ship_date": "2026-12-01",
                            "arrival_date": "2026-12-03",
                        }
                    ],
                }
            ],
        }
    ]
}
CutOver = Annotated[Principal, Depends(require("atp.cut_over"))]


class OpenOrders(Payload):
    """A bulk of open orders."""

    items: Annotated[tuple[OpenOrder, ...], Field(min_length=1, max_length=ORDERS_MAX)]


Bulk = Annotated[
    OpenOrders, Body(openapi_examples={"partly_shipped": {"summary": "24 of 30 promised, 6 shipped", "value": EXAMPLE}})
]


class TakenOver(Payload):
    """What became of an open order.

    `taken_over` now, `repeated` (it was before, from the same content), or `refused` with the code and a sentence why:
    nothing of a refused order is kept.
    """

    source: str
    order_id: str
    effect: Literal["taken_over", "repeated", "refused"]
    promise_id: UUID | None = None
    code: str | None = None
    detail: str | None = None


class TakenOverOrders(Payload):
    """Results in the order of the entries."""

    results: tuple[TakenOver, ...]


class Finished(Payload):
    """How many items had something waiting, which is offered what is free from now on."""

    items: int


def cut_over_routes(engine: Engine, planning: Planning) -> APIRouter:
    """The routes."""
    router = APIRouter(tags=["cut-over"])

    @router.post(
        CUT_OVER_PATH,
        response_model=TakenOverOrders,
        responses=problem_responses(VALIDATION_FAILED, OVERLOADED),
    )
    async def post_open_orders(request: Request, principal: CutOver, body: Bulk) -> dict[str, Any]:
        """Take over open orders with the dates that they were promised, also beyond supply; each once, for ever."""
        waiting = [await _submit(engine, request, principal, order) for order in body.items]
        found = await asyncio.gather(*(each for each in waiting if isinstance(each, asyncio.Future)))
        outcomes = iter(found)
        answers = [each if isinstance(each, Problem) else next(outcomes) for each in waiting]
        return {"results": [_result(order, one) for order, one in zip(body.items, answers, strict=True)]}

    @router.post("/v1/cut-over:finish", response_model=Finished)
    async def finish(_: CutOver) -> dict[str, Any]:
        """Offer what is free to all that waits, in order of service: once the open orders are in, before new ones."""
        return {"items": await planning.serve_waiting()}

    return router


async def _submit(
    engine: Engine, request: Request, principal: Principal, order: OpenOrder
) -> "asyncio.Future[Outcome] | Problem":
    try:
        check_channel(principal, order.channel)
        return await engine.submit_in_turn(Lane.HTTP, take_over_command(order, request, principal.subject))
    except Problem as problem:
        return problem


def take_over_command(order: OpenOrder, request: Request, author: str) -> TakeOverOrder:
    """The command. Raises Problem for what the schema cannot say."""
    placed = OrderPlaced(
        order=order.order,
        customer=order.customer,
        lines=tuple(OrderLine(**line.model_dump(exclude={"promised"})) for line in order.lines),
        ordered_at=order.ordered_at,
        ship_to=order.ship_to,
        channel=order.channel,
        ship_complete=order.ship_complete,
    )
    fault = fault_of(placed)
    if fault is not None:
        raise Problem(fault)
    content = content_of(placed)
    encoded = encode(content)
    return TakeOverOrder(
        order=PlaceOrder(
            key=order_key(order.order.source, order.order.order_id),
            version=order.order.version,
            content=content,
            encoded=encoded,
            fingerprint=fingerprint_of(encoded),
            origin=origin_of(request),
        ),
        given=tuple(tuple(_given(each) for each in line.promised) for line in order.lines),
        fingerprint=hashlib.sha256(order.model_dump_json(exclude={"order": {"version"}}).encode()).digest(),
        confirmed=order.confirmed,
        author=author,
    )


def _given(promised: GivenPromise) -> GivenPart:
    ship, arrival = promised.ship_date, promised.arrival_date
    return GivenPart(
        promised.quantity,
        promised.shipped,
        promised.location,
        promised.service,
        None if ship is None else ship.toordinal(),
        None if arrival is None else arrival.toordinal(),
    )


def _result(order: OpenOrder, outcome: Outcome | Problem) -> dict[str, Any]:
    named = {"source": order.order.source, "order_id": order.order.order_id}
    if isinstance(outcome, Answered):
        return {**named, "effect": "taken_over" if outcome.first else "repeated", "promise_id": outcome.promise_id}
    if isinstance(outcome, NotPossible):
        return {**named, "effect": "refused", "code": outcome.why, "detail": outcome.detail}
    document = outcome.document() if isinstance(outcome, Problem) else orjson.loads(render_changed(outcome)[1])
    return {
        **named,
        "effect": "refused",
        "promise_id": document.get("promise_id"),
        "code": document["code"],
        "detail": document.get("detail") or document.get("title"),
    }
