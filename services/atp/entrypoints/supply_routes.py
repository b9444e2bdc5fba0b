"""Supply and fulfilments over HTTP, in bulk: each entry is applied once, in the order given, and answered by itself."""

import asyncio
from collections.abc import Sequence
from typing import Annotated, Any, Final, Generic, TypeVar

from fastapi import APIRouter, Depends, Request
from pydantic import Field

from services.atp.application.commands import Applied, Command
from services.atp.application.engine import Engine
from services.atp.application.queues import Lane
from services.atp.application.take_supply import SetBuffer
from services.atp.domain.model import PositionKey
from services.atp.entrypoints.callers import origin_of
from services.atp.entrypoints.supply_commands import Fulfilment, Supply, fulfilment_commands, supply_command
from services.chassis.auth import Principal, require
from services.chassis.problems import VALIDATION_FAILED, problem_responses
from services.contracts.payload import Payload
from services.contracts.supply import (
    Buffer,
    Delivered,
    ScheduledReceipt,
    Shipped,
    SupplyMovement,
    SupplySnapshot,
    Transfer,
)
from services.contracts.warehouse import Returned, ShortPicked

ENTRIES_MAX: Final = 1_000  # entries of one request: some 300 kB, decided in two batches
Supplier = Annotated[Principal, Depends(require("atp.supply"))]
Planner = Annotated[Principal, Depends(require("atp.configure"))]
Said = TypeVar("Said", bound=Payload)


class Entries(Payload, Generic[Said]):
    """A bulk of entries."""

    items: Annotated[tuple[Said, ...], Field(min_length=1, max_length=ENTRIES_MAX)]


class EntryResult(Payload):
    """What became of an entry.

    `applied`; `included` (in a count already); `waiting` (a count that waits for movements); `older` and `repeated`
    change nothing; `recorded` (goods that no promise was open for); `too_many_channels` (of one position; not set).
    """

    reference: str
    effect: str


class EntryResults(Payload):
    """Results in the order of the entries."""

    results: tuple[EntryResult, ...]


def supply_routes(engine: Engine) -> APIRouter:
    """The routes."""
    router = APIRouter(tags=["supply"])
    _add_supply(router, engine)
    _add_fulfilments(router, engine)

    @router.put("/v1/buffers", response_model=EntryResults, responses=problem_responses(VALIDATION_FAILED))
    async def put_buffers(request: Request, _: Planner, body: Entries[Buffer]) -> dict[str, Any]:
        """Set the safety stock of positions, or what is held back there from a channel besides it."""
        origin = origin_of(request)
        commands = [
            SetBuffer(PositionKey(one.sku, one.location), one.buffer, origin, one.channel) for one in body.items
        ]
        return _results([_position(one) for one in body.items], await _apply(engine, commands))

    return router


def _position(buffer: Buffer) -> str:
    held_back = "" if buffer.channel is None else f"/{buffer.channel}"
    return f"{buffer.sku}@{buffer.location}{held_back}"


def _add_supply(router: APIRouter, engine: Engine) -> None:
    async def take(request: Request, items: Sequence[Supply]) -> dict[str, Any]:
        origin = origin_of(request)
        effects = await _apply(engine, [supply_command(one, origin) for one in items])
        return _results([one.reference for one in items], effects)

    @router.post("/v1/supply/movements", response_model=EntryResults, responses=problem_responses(VALIDATION_FAILED))
    async def post_movements(request: Request, _: Supplier, body: Entries[SupplyMovement]) -> dict[str, Any]:
        """Take in movements: on hand changes once per (source, reference)."""
        return await take(request, body.items)

    @router.post("/v1/supply/snapshots", response_model=EntryResults, responses=problem_responses(VALIDATION_FAILED))
    async def post_snapshots(request: Request, _: Supplier, body: Entries[SupplySnapshot]) -> dict[str, Any]:
        """Take in full counts."""
        return await take(request, body.items)

    @router.post("/v1/supply/receipts", response_model=EntryResults, responses=problem_responses(VALIDATION_FAILED))
    async def post_receipts(request: Request, _: Supplier, body: Entries[ScheduledReceipt]) -> dict[str, Any]:
        """Take in what is due; quantity 0 withdraws it."""
        return await take(request, body.items)

    @router.post("/v1/supply/transfers", response_model=EntryResults, responses=problem_responses(VALIDATION_FAILED))
    async def post_transfers(request: Request, _: Supplier, body: Entries[Transfer]) -> dict[str, Any]:
        """Take in transfers between locations: committed where they ship, due where they arrive."""
        return await take(request, body.items)


def _add_fulfilments(router: APIRouter, engine: Engine) -> None:
    async def take(request: Request, items: Sequence[Fulfilment]) -> dict[str, Any]:
        origin = origin_of(request)
        commands = fulfilment_commands([(one, origin) for one in items])
        effects = await _apply(engine, [command for command, _ in commands])
        by_place = {place: effect for (_, places), effect in zip(commands, effects, strict=True) for place in places}
        return _results([one.reference for one in items], [by_place[place] for place in range(len(items))])

    @router.post("/v1/fulfilments/shipped", response_model=EntryResults, responses=problem_responses(VALIDATION_FAILED))
    async def post_shipped(request: Request, _: Supplier, body: Entries[Shipped]) -> dict[str, Any]:
        """Take in goods that left."""
        return await take(request, body.items)

    @router.post(
        "/v1/fulfilments/delivered", response_model=EntryResults, responses=problem_responses(VALIDATION_FAILED)
    )
    async def post_delivered(request: Request, _: Supplier, body: Entries[Delivered]) -> dict[str, Any]:
        """Take in goods that reached the customer."""
        return await take(request, body.items)

    @router.post(
        "/v1/fulfilments/short-picked", response_model=EntryResults, responses=problem_responses(VALIDATION_FAILED)
    )
    async def post_short_picked(request: Request, _: Supplier, body: Entries[ShortPicked]) -> dict[str, Any]:
        """Take in goods that were not found: on hand falls, and their lines are planned anew at once."""
        return await take(request, body.items)

    @router.post(
        "/v1/fulfilments/returned", response_model=EntryResults, responses=problem_responses(VALIDATION_FAILED)
    )
    async def post_returned(request: Request, _: Supplier, body: Entries[Returned]) -> dict[str, Any]:
        """Take in goods that came back: into inspection, or another status."""
        return await take(request, body.items)


async def _apply(engine: Engine, commands: Sequence[Command]) -> list[str]:
    """Submit in order and wait for all; raises the first failure (what was done stays done, sent again it is known)."""
    found = await asyncio.gather(*(engine.submit(Lane.HTTP, each) for each in commands), return_exceptions=True)
    effects: list[str] = []
    for outcome in found:
        if isinstance(outcome, BaseException):
            raise outcome
        effects.append(outcome.note if isinstance(outcome, Applied) else "applied")
    return effects


def _results(references: Sequence[str], effects: Sequence[str]) -> dict[str, Any]:
    return {
        "results": [
            {"reference": reference, "effect": effect} for reference, effect in zip(references, effects, strict=True)
        ]
    }
