"""Placing, confirming, cancelling and reading orders' promises over HTTP.

`POST /v1/promises` and `:batch` are plain routes without the framework's request machinery, because they are hot; their
descriptions are written by hand (`promise_operations`).
"""

from typing import Annotated, Any, Final

import orjson
from fastapi import APIRouter, Depends, FastAPI, Request, Response

from services.atp.application.commands import CancelOrder, Command, ConfirmOrder
from services.atp.application.engine import Engine
from services.atp.application.place_order import inquiry
from services.atp.application.queues import Lane
from services.atp.application.read_promises import PromiseReader
from services.atp.application.unpack_decision import unpack
from services.atp.entrypoints.answers import Rendered, render_changed, render_placed, respond
from services.atp.entrypoints.batch_route import batch_endpoint
from services.atp.entrypoints.callers import check_order, origin_of, promise_id_of, remembered_of, visible
from services.atp.entrypoints.documents import Decision, History, Inquiry
from services.atp.entrypoints.orders import place_command
from services.atp.entrypoints.problem_codes import (
    CHANNEL_FORBIDDEN,
    ID_UNPRINTABLE,
    LINE_REPEATED,
    NO_DECISION,
    ORDER_UNKNOWN,
    ORDER_VERSION_OLDER,
    PROMISE_STATE,
)
from services.atp.entrypoints.promise_operations import BATCH_OPERATION, PLACE_OPERATION
from services.chassis.auth import Principal, require
from services.chassis.auth.routes import principal_of
from services.chassis.http import add_hot_route
from services.chassis.problems import IDEMPOTENCY_KEY_REUSED, OVERLOADED, Problem, problem_responses
from services.chassis.strict_json import read_json_body
from services.contracts.orders import OrderPlaced
from services.contracts.payload import Note, Payload, Version
from services.contracts.promises import Promise

PROMISE_SCOPE: Final = "atp.promise"
READ_SCOPE: Final = "atp.read"
BATCH_PATH: Final = "/v1/promises:batch"
BATCH_BODY_MAX_BYTES: Final = 8 * 1_048_576  # a thousand orders of some lines each
BATCH_DEADLINE_SECONDS: Final = 30.0
CREATED: Final = 201

Reader = Annotated[Principal, Depends(require(READ_SCOPE))]
Caller = Annotated[Principal, Depends(require(PROMISE_SCOPE))]


class ChangeRequest(Payload):
    """The body of `:confirm` and `:cancel`: the order's version at its source."""

    version: Version
    reason: Note = ""


def add_promise_routes(app: FastAPI, engine: Engine, reader: PromiseReader) -> None:
    """Add all routes of promises."""

    async def place(request: Request) -> Response:
        principal = principal_of(request)
        order = await read_json_body(request, OrderPlaced)
        check_order(principal, order)
        command = place_command(order, origin_of(request), await remembered_of(request, principal, render_placed))
        rendered = render_placed(await engine.submit(Lane.HTTP, command))
        return respond(rendered, _location(rendered))

    add_hot_route(app, "/v1/promises", place, scope=PROMISE_SCOPE, operation=PLACE_OPERATION)
    add_hot_route(app, BATCH_PATH, batch_endpoint(engine), scope=PROMISE_SCOPE, operation=BATCH_OPERATION)
    app.include_router(_asking(engine, reader))
    app.include_router(_changing(engine, reader))


def _asking(engine: Engine, reader: PromiseReader) -> APIRouter:
    router = APIRouter(tags=["promises"])

    @router.post(
        "/v1/promises:inquire",
        summary="What an order would be promised now; nothing is taken or stored",
        response_model=Inquiry,
        responses=problem_responses(CHANNEL_FORBIDDEN, LINE_REPEATED, ID_UNPRINTABLE),
    )
    async def inquire(request: Request, order: OrderPlaced, principal: Reader) -> Response:
        check_order(principal, order)
        command = place_command(order, origin_of(request))
        document: bytes = await engine.inquire(command, lambda batch: inquiry(batch, command))
        return respond((200, document))

    @router.get(
        "/v1/promises/{promise_id}",
        summary="A promise as it is now",
        response_model=Promise,
        responses=problem_responses(ORDER_UNKNOWN),
    )
    async def get_promise(promise_id: str, principal: Reader) -> Response:
        return respond((200, visible(principal, await reader.by_id(promise_id_of(promise_id))).document))

    @router.get(
        "/v1/promises/{promise_id}/history",
        summary="All revisions of a promise, oldest first, with what replaced each",
        response_model=History,
        responses=problem_responses(ORDER_UNKNOWN),
    )
    async def get_history(promise_id: str, principal: Reader) -> Response:
        stored = visible(principal, await reader.by_id(promise_id_of(promise_id)))
        former = [
            {
                "revision": each.revision,
                "replaced_at": each.replaced_at,
                "cause": each.cause,
                "promise": orjson.Fragment(each.document),
            }
            for each in await reader.history(stored.promise_id)
        ]
        current: dict[str, Any] = {"revision": stored.revision, "replaced_at": None, "cause": None}
        current["promise"] = orjson.Fragment(stored.document)
        return respond((200, orjson.dumps({"items": [*former, current]}, option=orjson.OPT_UTC_Z)))

    @router.get(
        "/v1/promises/{promise_id}/decision",
        summary="The record of the decision that made the current answer, from which it can be reproduced",
        response_model=Decision,
        responses=problem_responses(ORDER_UNKNOWN, NO_DECISION),
    )
    async def get_decision(promise_id: str, principal: Reader) -> Response:
        stored = visible(principal, await reader.by_id(promise_id_of(promise_id)))
        decision = await reader.decision(stored.promise_id)
        if decision is None:
            raise Problem(NO_DECISION)
        return respond((200, orjson.dumps(unpack(decision), option=orjson.OPT_UTC_Z)))

    return router


def _changing(engine: Engine, reader: PromiseReader) -> APIRouter:
    router = APIRouter(tags=["promises"])
    responses = problem_responses(ORDER_UNKNOWN, ORDER_VERSION_OLDER, PROMISE_STATE, IDEMPOTENCY_KEY_REUSED, OVERLOADED)

    async def change(request: Request, promise_id: str, body: ChangeRequest, principal: Principal) -> Response:
        stored = visible(principal, await reader.by_id(promise_id_of(promise_id)))
        remembered = await remembered_of(request, principal, render_changed)
        command: Command = ConfirmOrder(stored.key, body.version, origin_of(request), remembered)
        if request.url.path.endswith(":cancel"):
            command = CancelOrder(stored.key, body.version, origin_of(request), remembered, reason=body.reason)
        return respond(render_changed(await engine.submit(Lane.HTTP, command)))

    @router.post(
        "/v1/promises/{promise_id}:confirm",
        summary="The source accepts the promise",
        response_model=Promise,
        responses=responses,
    )
    async def confirm(request: Request, promise_id: str, body: ChangeRequest, principal: Caller) -> Response:
        return await change(request, promise_id, body, principal)

    @router.post(
        "/v1/promises/{promise_id}:cancel",
        summary="The source withdraws the order; what has not shipped is given back",
        response_model=Promise,
        responses=responses,
    )
    async def cancel(request: Request, promise_id: str, body: ChangeRequest, principal: Caller) -> Response:
        return await change(request, promise_id, body, principal)

    return router


def _location(rendered: Rendered) -> dict[str, str] | None:
    """Where a new promise is; its document begins with its id."""
    status, body = rendered
    if status != CREATED:
        return None
    return {"location": f"/v1/promises/{body[len(DOCUMENT_HEAD) : len(DOCUMENT_HEAD) + ID_CHARS].decode()}"}


DOCUMENT_HEAD: Final = b'{"promise_id":"'
ID_CHARS: Final = 36
