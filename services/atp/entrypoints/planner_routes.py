"""What planners do over HTTP: pin, expedite, reassign, withdraw; stop positions; and who did what, when and why.

Scope `atp.plan`. An act on a promise names the revision that the planner has seen: another one is refused.
"""

from datetime import date, datetime
from typing import Annotated, Any, Final, Self
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import Field, StringConstraints, model_validator

from services.atp.application.commands import Command
from services.atp.application.engine import Engine
from services.atp.application.expedite_order import ExpediteOrder
from services.atp.application.pin_promise import PinPromise
from services.atp.application.planner_records import (
    ActionsAsked,
    Planner,
    PlannerAction,
    PlanningReader,
    StoppedPosition,
)
from services.atp.application.queues import Lane
from services.atp.application.read_promises import PromiseReader, StoredPromise
from services.atp.application.reassign_part import ReassignPart
from services.atp.application.stop_position import NO_END, LiftStop, StopPosition
from services.atp.application.withdraw_part import WithdrawPart
from services.atp.domain.model import PositionKey
from services.atp.entrypoints.answers import render_changed, respond
from services.atp.entrypoints.callers import origin_of, remembered_of, visible
from services.atp.entrypoints.change_routes import id_of
from services.atp.entrypoints.cursors import CURSOR_MAX_CHARS, decode_cursor, encode_cursor
from services.atp.entrypoints.orders import order_key
from services.atp.entrypoints.problem_codes import NOT_POSSIBLE, ORDER_UNKNOWN, PROMISE_STATE
from services.chassis.auth import Principal, require
from services.chassis.problems import BAD_REQUEST, IDEMPOTENCY_KEY_REUSED, OVERLOADED, problem_responses
from services.contracts.order_changes import OrderLineRef
from services.contracts.payload import (
    LINES_MAX,
    NOTE_MAX_CHARS,
    Code,
    Day,
    Identifier,
    Payload,
    Quantity,
    Version,
    broken_rule,
)
from services.contracts.promises import Promise

PAGE_MAX: Final = 500
STOPS_MAX: Final = 500  # positions of one request
Planning = Annotated[Principal, Depends(require("atp.plan"))]
Reader = Annotated[Principal, Depends(require("atp.read"))]
Reason = Annotated[
    str, StringConstraints(min_length=1, max_length=NOTE_MAX_CHARS, pattern=r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]*$")
]
Cursor = Annotated[str | None, Query(max_length=CURSOR_MAX_CHARS)]
Limit = Annotated[int, Query(ge=1, le=PAGE_MAX)]
RESPONSES: Final = problem_responses(ORDER_UNKNOWN, PROMISE_STATE, NOT_POSSIBLE, IDEMPOTENCY_KEY_REUSED, OVERLOADED)


class Act(Payload):
    """What every act of a planner says: the revision that he has seen, and why."""

    revision: Version
    reason: Reason


class PinRequest(Act):
    """Pin lines (none named: all) through a day."""

    lines: Annotated[tuple[Identifier, ...], Field(max_length=LINES_MAX)] = ()
    until: Day


class UnpinRequest(Act):
    """Take the pins of lines (none named: all) away."""

    lines: Annotated[tuple[Identifier, ...], Field(max_length=LINES_MAX)] = ()


class ExpediteRequest(Act):
    """Serve an order before all others through a day."""

    until: Day


class WithdrawRequest(Act):
    """Take a quantity off a line; it does not wait for it through the day."""

    line: Identifier
    quantity: Quantity
    location: Code | None = None
    until: Day


class ReassignTarget(OrderLineRef):
    """A line of another order, of any source."""

    source: Code


class ReassignRequest(Act):
    """Give a quantity of a line to a line of another order, which is pinned through the day."""

    line: Identifier
    quantity: Quantity
    location: Code | None = None
    to_order: ReassignTarget
    until: Day


class StoppedItem(Payload):
    """An item at a location."""

    sku: Identifier
    location: Code


class StopRequest(Payload):
    """Positions that no new promise is made from, through a day or until they are lifted."""

    items: Annotated[tuple[StoppedItem, ...], Field(min_length=1, max_length=STOPS_MAX)]
    reason: Reason
    until: Day | None = None

    @model_validator(mode="after")
    def _told_apart(self) -> Self:
        if len(dict.fromkeys(self.items)) < len(self.items):
            raise broken_rule("a position is named once")
        return self


class LiftRequest(Payload):
    """Positions that promises are made from again."""

    items: Annotated[tuple[StoppedItem, ...], Field(min_length=1, max_length=STOPS_MAX)]
    reason: Reason


class StopResult(StoppedItem):
    """What became of it: `applied`, or `repeated` where it was so already."""

    effect: str


class StopResults(Payload):
    """Results in the order of the request."""

    results: tuple[StopResult, ...]


class Stop(StoppedItem):
    """A stopped position; `until` null: until it is lifted."""

    until: date | None
    reason: str
    stopped_by: str
    stopped_at: datetime


class StopsPage(Payload):
    """Stopped positions by item and location."""

    items: tuple[Stop, ...]
    next_cursor: str | None


class Action(Payload):
    """An act of a planner, as it is kept for audit."""

    action_id: UUID
    kind: str
    actor: str
    acted_at: datetime
    reason: str
    until: date | None
    promise_id: UUID | None
    sku: str | None
    location: str | None
    details: dict[str, Any]


class ActionsPage(Payload):
    """Acts, the newest first."""

    items: tuple[Action, ...]
    next_cursor: str | None


def planner_routes(engine: Engine, promises: PromiseReader, planning: PlanningReader) -> APIRouter:
    """The routes."""
    router = APIRouter(tags=["planning"])
    _add_acts(router, engine, promises)
    _add_reassign(router, engine, promises)
    _add_stops(router, engine, planning)

    @router.get("/v1/planner-actions", response_model=ActionsPage, responses=problem_responses(BAD_REQUEST))
    async def get_planner_actions(
        _: Reader,
        promise_id: Annotated[UUID | None, Query()] = None,
        sku: Annotated[Identifier | None, Query()] = None,
        actor: Annotated[Identifier | None, Query()] = None,
        cursor: Cursor = None,
        limit: Limit = 100,
    ) -> dict[str, Any]:
        """What planners did: who, when, why and until when; the newest first."""
        place = decode_cursor(cursor, 1)
        after = None if place is None else id_of(str(place[0]))
        found = await planning.actions(ActionsAsked(promise_id, sku, actor), after, limit + 1)
        more = encode_cursor(str(found[limit - 1].action_id)) if len(found) > limit else None
        return {"items": [_action(each) for each in found[:limit]], "next_cursor": more}

    return router


def _add_acts(router: APIRouter, engine: Engine, promises: PromiseReader) -> None:
    async def act(command: Command) -> Response:
        return respond(render_changed(await engine.submit(Lane.HTTP, command)))

    async def found(promise_id: str, principal: Principal) -> StoredPromise:
        return visible(principal, await promises.by_id(id_of(promise_id)))

    @router.post("/v1/promises/{promise_id}:pin", response_model=Promise, responses=RESPONSES)
    async def pin(request: Request, promise_id: str, body: PinRequest, principal: Planning) -> Response:
        """What the lines have stays as it is through the day."""
        stored = await found(promise_id, principal)
        planner = Planner(principal.subject, body.reason, body.until.toordinal())
        remembered = await remembered_of(request, principal, render_changed)
        return await act(
            PinPromise(stored.key, body.revision, body.lines, planner, origin_of(request), remembered, pinned=True)
        )

    @router.post("/v1/promises/{promise_id}:unpin", response_model=Promise, responses=RESPONSES)
    async def unpin(request: Request, promise_id: str, body: UnpinRequest, principal: Planning) -> Response:
        """The lines may be planned anew."""
        stored = await found(promise_id, principal)
        planner = Planner(principal.subject, body.reason)
        remembered = await remembered_of(request, principal, render_changed)
        return await act(
            PinPromise(stored.key, body.revision, body.lines, planner, origin_of(request), remembered, pinned=False)
        )

    @router.post("/v1/promises/{promise_id}:expedite", response_model=Promise, responses=RESPONSES)
    async def expedite(request: Request, promise_id: str, body: ExpediteRequest, principal: Planning) -> Response:
        """Plan it earlier if that can be, and serve what it waits for before all others through the day."""
        stored = await found(promise_id, principal)
        planner = Planner(principal.subject, body.reason, body.until.toordinal())
        remembered = await remembered_of(request, principal, render_changed)
        command = ExpediteOrder(stored.key, body.revision, planner, origin_of(request), remembered)
        return await act(command)

    @router.post("/v1/promises/{promise_id}:withdraw", response_model=Promise, responses=RESPONSES)
    async def withdraw(request: Request, promise_id: str, body: WithdrawRequest, principal: Planning) -> Response:
        """Give a quantity back to stock by hand; the line does not wait for it through the day."""
        stored = await found(promise_id, principal)
        planner = Planner(principal.subject, body.reason, body.until.toordinal())
        remembered = await remembered_of(request, principal, render_changed)
        command = WithdrawPart(
            stored.key,
            body.revision,
            body.line,
            body.quantity,
            body.location,
            planner,
            origin_of(request),
            remembered,
        )
        return await act(command)


def _add_reassign(router: APIRouter, engine: Engine, promises: PromiseReader) -> None:
    @router.post("/v1/promises/{promise_id}:reassign", response_model=Promise, responses=RESPONSES)
    async def reassign(request: Request, promise_id: str, body: ReassignRequest, principal: Planning) -> Response:
        """Give a promised quantity to another order that waits for the same item, whole or not at all."""
        stored = visible(principal, await promises.by_id(id_of(promise_id)))
        target = order_key(body.to_order.source, body.to_order.order_id)
        visible(principal, await promises.by_order(target))
        command = ReassignPart(
            stored.key,
            body.revision,
            body.line,
            body.quantity,
            body.location,
            target,
            body.to_order.line,
            Planner(principal.subject, body.reason, body.until.toordinal()),
            origin_of(request),
            await remembered_of(request, principal, render_changed),
        )
        return respond(render_changed(await engine.submit(Lane.HTTP, command)))


def _add_stops(router: APIRouter, engine: Engine, planning: PlanningReader) -> None:
    @router.post("/v1/stops", response_model=StopResults)
    async def post_stops(request: Request, body: StopRequest, principal: Planning) -> dict[str, Any]:
        """No new promise is made from these positions, through a day or until they are lifted."""
        planner = Planner(principal.subject, body.reason, None if body.until is None else body.until.toordinal())
        origin = origin_of(request)
        commands = [StopPosition(PositionKey(each.sku, each.location), planner, origin) for each in body.items]
        return await _apply(engine, body.items, commands)

    @router.post("/v1/stops:lift", response_model=StopResults)
    async def lift_stops(request: Request, body: LiftRequest, principal: Planning) -> dict[str, Any]:
        """Promises are made from these positions again; those who wait are served first."""
        planner, origin = Planner(principal.subject, body.reason), origin_of(request)
        commands = [LiftStop(PositionKey(each.sku, each.location), planner, origin) for each in body.items]
        return await _apply(engine, body.items, commands)

    @router.get("/v1/stops", response_model=StopsPage, responses=problem_responses(BAD_REQUEST))
    async def get_stops(_: Reader, cursor: Cursor = None, limit: Limit = 100) -> dict[str, Any]:
        """What is stopped, by whom and why."""
        place = decode_cursor(cursor, 2) or ["", ""]
        found = await planning.stops(PositionKey(str(place[0]), str(place[1])), limit + 1)
        more = encode_cursor(*found[limit - 1].key) if len(found) > limit else None
        return {"items": [_stop(each) for each in found[:limit]], "next_cursor": more}


async def _apply(
    engine: Engine, items: tuple[StoppedItem, ...], commands: "list[StopPosition] | list[LiftStop]"
) -> dict[str, Any]:
    answers = [await engine.submit_in_turn(Lane.HTTP, command) for command in commands]
    results = []
    for item, answer in zip(items, answers, strict=True):
        outcome = await answer
        effect = getattr(outcome, "note", "applied")
        results.append({"sku": item.sku, "location": item.location, "effect": effect})
    return {"results": results}


def _stop(stop: StoppedPosition) -> dict[str, Any]:
    return {
        "sku": stop.key.item_id,
        "location": stop.key.location_id,
        "until": _day(None if stop.through == NO_END else stop.through),
        "reason": stop.reason,
        "stopped_by": stop.actor,
        "stopped_at": stop.at,
    }


def _action(action: PlannerAction) -> dict[str, Any]:
    position = action.position
    return {
        "action_id": action.action_id,
        "kind": action.kind,
        "actor": action.planner.actor,
        "acted_at": action.at,
        "reason": action.planner.reason,
        "until": _day(action.planner.through),
        "promise_id": action.promise_id,
        "sku": None if position is None else position.item_id,
        "location": None if position is None else position.location_id,
        "details": action.details,
    }


def _day(day: int | None) -> date | None:
    return None if day is None else date.fromordinal(day)
