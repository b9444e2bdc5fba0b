"""`POST /v1/promises:batch`: many orders in one request, each decided and answered as if it had come alone.

An order that cannot be read, or that its caller may not place, is a problem in its place and does not touch the others.
"""

import asyncio
import json
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any, Final

import orjson
from fastapi import Request, Response
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from services.atp.application.commands import Outcome
from services.atp.application.engine import Engine, Stopped
from services.atp.application.queues import Lane
from services.atp.entrypoints.answers import Rendered, render_placed, respond
from services.atp.entrypoints.callers import check_order, origin_of, remembered_of
from services.atp.entrypoints.orders import place_command
from services.chassis.auth import Principal
from services.chassis.auth.routes import principal_of
from services.chassis.problems import (
    INTERNAL_ERROR,
    VALIDATION_FAILED,
    Problem,
    from_exception,
    from_validation_error,
)
from services.chassis.strict_json import read_json_body
from services.contracts.orders import OrderPlaced

ORDERS_MAX: Final = 1_000
PROBLEM_FROM: Final = 400
Endpoint = Callable[[Request], Coroutine[Any, Any, Response]]


class OrdersOfBatch(BaseModel):
    """The body when all is well."""

    model_config = ConfigDict(extra="forbid")

    items: list[OrderPlaced] = Field(min_length=1, max_length=ORDERS_MAX)


class ItemsOfBatch(BaseModel):
    """The body when some order is wrong: the others are answered all the same."""

    model_config = ConfigDict(extra="forbid")

    items: list[dict[str, Any]] = Field(min_length=1, max_length=ORDERS_MAX)


def batch_endpoint(engine: Engine) -> Endpoint:
    """The endpoint."""

    async def place_all(request: Request) -> Response:
        principal = principal_of(request)
        waiting = [
            await _submit(engine, request, principal, index, order)
            for index, order in enumerate(await _read_orders(request))
        ]
        pending = [each for each in waiting if isinstance(each, asyncio.Future)]
        if pending:
            await asyncio.wait(pending)
        return respond((200, b'{"items":[' + b",".join(_item(_settled(each)) for each in waiting) + b"]}"))

    return place_all


async def _read_orders(request: Request) -> list[OrderPlaced | Problem]:
    try:
        return list((await read_json_body(request, OrdersOfBatch)).items)
    except Problem as problem:
        if problem.kind is not VALIDATION_FAILED:
            raise
    items = (await read_json_body(request, ItemsOfBatch)).items
    return [_read_order(item) for item in items]


def _read_order(item: dict[str, Any]) -> OrderPlaced | Problem:
    try:
        return OrderPlaced.model_validate_json(json.dumps(item))
    except ValidationError as error:
        return from_validation_error(error)


async def _submit(
    engine: Engine, request: Request, principal: Principal, index: int, order: OrderPlaced | Problem
) -> "asyncio.Future[Outcome] | Problem":
    if isinstance(order, Problem):
        return order
    try:
        check_order(principal, order)
        command = place_command(order, origin_of(request))
        content = b"%d %b" % (command.version, command.encoded)
        remembered = await remembered_of(request, principal, render_placed, suffix=f"\n{index}", body=content)
        return await engine.submit_in_turn(Lane.HTTP, replace(command, remembered=remembered))
    except Problem as problem:
        return problem
    except Stopped as error:
        return from_exception(error) or Problem(INTERNAL_ERROR)


def _settled(answer: "asyncio.Future[Outcome] | Problem") -> Rendered:
    problem = answer
    if isinstance(answer, asyncio.Future):
        error = answer.exception()
        if error is None:
            return render_placed(answer.result())
        problem = from_exception(error) or Problem(INTERNAL_ERROR)
    assert isinstance(problem, Problem)  # noqa: S101 - the other case has returned
    return problem.status, orjson.dumps(problem.document(), default=str)


def _item(rendered: Rendered) -> bytes:
    status, body = rendered
    name = b"problem" if status >= PROBLEM_FROM else b"promise"
    return b'{"status":%d,"%s":%s}' % (status, name, body)
