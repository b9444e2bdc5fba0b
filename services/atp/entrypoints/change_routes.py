"""Changing what an order was promised, over HTTP: amend, release in part, transfer, revive.

Each names the order's version at its source, higher than the one stored. Sent again it answers the promise as it is.
"""

from typing import Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response

from services.atp.application.engine import Engine
from services.atp.application.queues import Lane
from services.atp.application.read_promises import PromiseReader, StoredPromise
from services.atp.entrypoints.answers import render_changed, respond
from services.atp.entrypoints.callers import check_order, origin_of, remembered_of, visible
from services.atp.entrypoints.order_changes import OrderChange, change_command
from services.atp.entrypoints.orders import order_key
from services.atp.entrypoints.problem_codes import (
    CHANNEL_FORBIDDEN,
    ID_UNPRINTABLE,
    LINE_REPEATED,
    NOT_POSSIBLE,
    ORDER_DIFFERS,
    ORDER_UNKNOWN,
    ORDER_VERSION_OLDER,
    PROMISE_STATE,
)
from services.chassis.auth import Principal, require
from services.chassis.problems import IDEMPOTENCY_KEY_REUSED, OVERLOADED, Problem, problem_responses
from services.contracts.order_changes import (
    HoldRevived,
    OrderAmended,
    OrderReleased,
    OrderRevived,
    OrderTransferred,
    PartReleased,
    PartTransferred,
)
from services.contracts.orders import OrderRef
from services.contracts.payload import Version
from services.contracts.promises import Promise

Caller = Annotated[Principal, Depends(require("atp.promise"))]
RESPONSES: Final = problem_responses(
    ORDER_UNKNOWN,
    ORDER_DIFFERS,
    ORDER_VERSION_OLDER,
    PROMISE_STATE,
    NOT_POSSIBLE,
    IDEMPOTENCY_KEY_REUSED,
    OVERLOADED,
    CHANNEL_FORBIDDEN,
    LINE_REPEATED,
    ID_UNPRINTABLE,
)


class ReleaseRequest(PartReleased):
    """The body of `:release`: the order's version at its source, and what is given back."""

    version: Version


class TransferRequest(PartTransferred):
    """The body of `:transfer`: the order's version at its source, and what goes where."""

    version: Version


class ReviveRequest(HoldRevived):
    """The body of `:revive`: the order's version at its source, and for how long it is held."""

    version: Version


def change_routes(engine: Engine, reader: PromiseReader) -> APIRouter:
    """The routes."""
    router = APIRouter(tags=["promises"])

    async def change(request: Request, principal: Principal, said: OrderChange) -> Response:
        remembered = await remembered_of(request, principal, render_changed)
        command = change_command(said, origin_of(request), remembered)
        return respond(render_changed(await engine.submit(Lane.HTTP, command)))

    async def found(promise_id: str, principal: Principal) -> StoredPromise:
        return visible(principal, await reader.by_id(id_of(promise_id)))

    @router.post("/v1/promises/{promise_id}:amend", response_model=Promise, responses=RESPONSES)
    async def amend(request: Request, promise_id: str, body: OrderAmended, principal: Caller) -> Response:
        """The source wants something else now: it keeps what it has unless the new plan is better or asked for."""
        stored = await found(promise_id, principal)
        if order_key(body.order.source, body.order.order_id) != stored.key:
            raise Problem(ORDER_DIFFERS, promise_id=stored.promise_id)
        check_order(principal, body)
        return await change(request, principal, body)

    @router.post("/v1/promises/{promise_id}:release", response_model=Promise, responses=RESPONSES)
    async def release(request: Request, promise_id: str, body: ReleaseRequest, principal: Caller) -> Response:
        """The source gives back a part of what it was promised, and orders so much less."""
        order = _order(await found(promise_id, principal), body.version)
        return await change(request, principal, OrderReleased(order=order, lines=body.lines, reason=body.reason))

    @router.post("/v1/promises/{promise_id}:transfer", response_model=Promise, responses=RESPONSES)
    async def transfer(request: Request, promise_id: str, body: TransferRequest, principal: Caller) -> Response:
        """A promised quantity comes from another location, or serves another order of the same customer."""
        stored = await found(promise_id, principal)
        if body.to_order is not None:
            visible(principal, await reader.by_order(order_key(stored.key.source, body.to_order.order_id)))
        said = OrderTransferred(
            order=_order(stored, body.version),
            line=body.line,
            quantity=body.quantity,
            from_location=body.from_location,
            to_location=body.to_location,
            to_order=body.to_order,
            reason=body.reason,
        )
        return await change(request, principal, said)

    @router.post("/v1/promises/{promise_id}:revive", response_model=Promise, responses=RESPONSES)
    async def revive(request: Request, promise_id: str, body: ReviveRequest, principal: Caller) -> Response:
        """An expired hold gets a new promise, if stock allows."""
        order = _order(await found(promise_id, principal), body.version)
        said = OrderRevived(order=order, hold_seconds=body.hold_seconds, reason=body.reason)
        return await change(request, principal, said)

    return router


def id_of(text: str) -> UUID:
    """A promise's id in a path; what is none names no promise (404)."""
    try:
        return UUID(text)
    except ValueError:
        raise Problem(ORDER_UNKNOWN) from None


def _order(stored: StoredPromise, version: int) -> OrderRef:
    return OrderRef(source=stored.key.source, order_id=stored.key.order_id, version=version)
