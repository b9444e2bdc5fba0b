"""Blocks of customers, and the orders that validation holds, over HTTP."""

from datetime import datetime
from typing import Annotated, Any, Final, Literal
from uuid import UUID

import orjson
from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import Field

from services.atp.application.content import CustomerKey
from services.atp.application.customer_blocks import BlockChange, BlockPlace, CustomerBlocks
from services.atp.application.engine import Engine
from services.atp.application.queues import Lane
from services.atp.application.read_promises import PromiseReader
from services.atp.application.release_validation import ReleaseValidation
from services.atp.application.validation_records import HeldOrders
from services.atp.entrypoints.answers import render_changed, respond
from services.atp.entrypoints.callers import origin_of, promise_id_of, remembered_of, visible
from services.atp.entrypoints.problem_codes import ORDER_UNKNOWN, PROMISE_STATE
from services.chassis.auth import Principal, require
from services.chassis.problems import BAD_REQUEST, IDEMPOTENCY_KEY_REUSED, OVERLOADED, Problem, problem_responses
from services.contracts.blocks import Reason
from services.contracts.orders import CustomerRef
from services.contracts.payload import Code, Identifier, Moment, Payload, Version
from services.contracts.promises import Promise

ENTRIES_MAX: Final = 1_000  # blocks of one request
PAGE_MAX: Final = 500  # held orders or blocks of one page
Reader = Annotated[Principal, Depends(require("atp.read"))]
Releaser = Annotated[Principal, Depends(require("atp.release"))]
Limit = Annotated[int, Query(ge=1, le=PAGE_MAX)]


class Block(Payload):
    """A block of a customer; `none` lifts it. Without a version it is the next one, else the highest counts."""

    customer: CustomerRef
    kind: Literal["credit", "compliance"]
    effect: Literal["refuse", "hold", "none"]
    effective_to: Moment | None = None
    reason: Reason
    version: Version | None = None


class Blocks(Payload):
    """A bulk of blocks, stored all or none."""

    items: Annotated[tuple[Block, ...], Field(min_length=1, max_length=ENTRIES_MAX)]


class StoredBlock(Payload):
    """A block as stored, with who set it and when."""

    customer: CustomerRef
    kind: Literal["credit", "compliance"]
    version: Version
    effect: Literal["refuse", "hold", "none"]
    effective_to: datetime | None
    reason: str
    author: str
    changed_at: datetime


class BlockPage(Payload):
    """Blocks that are set; `next` is what to give as `after` for the following page."""

    items: tuple[StoredBlock, ...]
    next: str | None


class BlockHistory(Payload):
    """Every change of the blocks of one customer, under the name given, oldest first of each kind."""

    items: tuple[StoredBlock, ...]


class Stored(Payload):
    """How many were newer than what is stored."""

    stored: int


class HeldList(Payload):
    """Orders that await their release, the oldest first, each as it was answered; `next` goes on after the page."""

    items: tuple[Promise, ...]
    next: str | None


class ReleaseBody(Payload):
    """Why the checks that hold the order are waived."""

    reason: Reason


class ReleaseEntry(Payload):
    """A release: by whom, why, when, and which checks it waived."""

    author: Identifier
    reason: str
    released_at: datetime
    waived: tuple[str, ...]
    decision_id: Identifier


class Releases(Payload):
    """The releases of one promise, oldest first."""

    items: tuple[ReleaseEntry, ...]


def validation_routes(engine: Engine, reader: PromiseReader, held: HeldOrders, blocks: CustomerBlocks) -> APIRouter:
    """The routes."""
    router = APIRouter(tags=["validation"])
    _add_blocks(router, blocks)
    _add_held(router, held)
    _add_releases(router, engine, reader, held)
    return router


def _add_blocks(router: APIRouter, blocks: CustomerBlocks) -> None:
    @router.put("/v1/customer-blocks", summary="Set or lift blocks of customers", response_model=Stored)
    async def put_blocks(principal: Releaser, body: Blocks) -> dict[str, Any]:
        return {"stored": await blocks.store([_change(each, principal.subject) for each in body.items])}

    @router.get(
        "/v1/customer-blocks",
        summary="Blocks that are set",
        response_model=BlockPage,
        responses=problem_responses(BAD_REQUEST),
    )
    async def get_blocks(
        _: Reader, after: Annotated[str | None, Query(max_length=400)] = None, limit: Limit = 100
    ) -> dict[str, Any]:
        items = await blocks.page(None if after is None else _place(after), limit)
        return {"items": items, "next": _next(items[-1]) if len(items) == limit else None}

    @router.get(
        "/v1/customer-blocks/history",
        summary="Every change of one customer's blocks, with author and reason",
        response_model=BlockHistory,
    )
    async def get_block_history(
        _: Reader, system: Annotated[Code, Query()], customer: Annotated[Identifier, Query(alias="id")]
    ) -> dict[str, Any]:
        return {"items": await blocks.history(CustomerKey(system, customer))}


def _add_held(router: APIRouter, held: HeldOrders) -> None:
    @router.get(
        "/v1/held-orders",
        summary="Orders that validation holds until somebody releases them",
        response_model=HeldList,
        responses=problem_responses(ORDER_UNKNOWN),
    )
    async def get_held_orders(
        principal: Reader,
        tier: Annotated[Code | None, Query()] = None,
        after: Annotated[str | None, Query(max_length=40)] = None,
        limit: Limit = 100,
    ) -> Response:
        place: UUID | None = None if after is None else promise_id_of(after)
        channels = None if principal.channels is None else sorted(principal.channels)
        if not principal.sees_account_group(None):
            channels = []
        page = await held.page(place, limit, channels=channels, tier=tier)
        items = [orjson.Fragment(document) for document in page.documents]
        last = None if page.last is None else str(page.last)
        return respond((200, orjson.dumps({"items": items, "next": last})))


def _add_releases(router: APIRouter, engine: Engine, reader: PromiseReader, held: HeldOrders) -> None:
    @router.post(
        "/v1/promises/{promise_id}:release-validation",
        summary="Waive what holds an order: it is decided now, as a new one",
        description="The tier, the stock and the rules of this moment count. What refuses still refuses.",
        response_model=Promise,
        responses=problem_responses(ORDER_UNKNOWN, PROMISE_STATE, IDEMPOTENCY_KEY_REUSED, OVERLOADED),
    )
    async def release(request: Request, promise_id: str, body: ReleaseBody, principal: Releaser) -> Response:
        stored = visible(principal, await reader.by_id(promise_id_of(promise_id)))
        remembered = await remembered_of(request, principal, render_changed)
        command = ReleaseValidation(stored.key, principal.subject, body.reason, origin_of(request), remembered)
        return respond(render_changed(await engine.submit(Lane.HTTP, command)))

    @router.get(
        "/v1/promises/{promise_id}/releases",
        summary="Who released the order from validation, and why",
        response_model=Releases,
        responses=problem_responses(ORDER_UNKNOWN),
    )
    async def get_releases(promise_id: str, principal: Reader) -> dict[str, Any]:
        stored = visible(principal, await reader.by_id(promise_id_of(promise_id)))
        return {
            "items": [
                {
                    "author": each.author,
                    "reason": each.reason,
                    "released_at": each.released_at,
                    "waived": each.waived,
                    "decision_id": str(each.decision_id),
                }
                for each in await held.releases(stored.promise_id)
            ]
        }


def _change(block: Block, author: str) -> BlockChange:
    return BlockChange(
        CustomerKey(block.customer.system, block.customer.id),
        block.kind,
        None if block.effect == "none" else block.effect,
        block.effective_to,
        block.reason,
        author,
        block.version,
    )


def _next(item: dict[str, Any]) -> str:
    place = (item["customer"]["system"], item["customer"]["id"], item["kind"])
    return orjson.dumps(place).decode()


def _place(after: str) -> BlockPlace:
    try:
        place = orjson.loads(after)
    except ValueError:
        place = None
    if not (isinstance(place, list) and len(place) == len(BlockPlace._fields) and all(map(_is_name, place))):
        raise Problem(BAD_REQUEST, "after: take it from `next` of the page before")
    return BlockPlace(*place)


def _is_name(part: object) -> bool:
    return isinstance(part, str) and "\x00" not in part
