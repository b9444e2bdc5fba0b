"""Closing a location for promising over HTTP, and opening it again. Scope `atp.plan`."""

from datetime import date, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path
from pydantic import Field

from services.atp.application.closings import Closed, Closing, Closings
from services.atp.application.planner_records import Planner
from services.atp.entrypoints.planner_routes import Planning, Reader, Reason
from services.atp.entrypoints.problem_codes import NO_LOCATION
from services.chassis.problems import VALIDATION_FAILED, Problem, problem_responses
from services.contracts.payload import Code, Day, Payload

Location = Annotated[Code, Path()]


class CloseRequest(Payload):
    """Close a location through a day, or until it is opened again.

    `move`: what it has promised is moved elsewhere, one order after another, where all of it can arrive as promised.
    What that would mean is shown by `POST /v1/previews` with `closings`.
    """

    reason: Reason
    until: Day | None = None
    move: bool = False


class ReopenRequest(Payload):
    """Promise from a location again."""

    reason: Reason


class CloseResult(Payload):
    """What became of it: `applied`, or `repeated` where it was so already; `moving` orders are looked at for moving."""

    location: str
    effect: Literal["applied", "repeated"]
    moving: int


class ClosedLocation(Payload):
    """A closed location; `until` null: until it is opened again."""

    location: str
    until: date | None
    reason: str
    closed_by: str
    closed_at: datetime


class ClosedLocations(Payload):
    """Closed locations, in order of their ids."""

    items: Annotated[tuple[ClosedLocation, ...], Field()]


def closing_routes(closings: Closings) -> APIRouter:
    """The routes."""
    router = APIRouter(tags=["planning"])

    @router.post(
        "/v1/locations/{location}:close",
        response_model=CloseResult,
        responses=problem_responses(NO_LOCATION, VALIDATION_FAILED),
    )
    async def close_location(principal: Planning, location: Location, body: CloseRequest) -> dict[str, Any]:
        """No new promise is made from a location, from this answer on; promises made before stand."""
        planner = Planner(principal.subject, body.reason, None if body.until is None else body.until.toordinal())
        return _result(location, await closings.close(location, planner, move=body.move))

    @router.post(
        "/v1/locations/{location}:reopen",
        response_model=CloseResult,
        responses=problem_responses(NO_LOCATION, VALIDATION_FAILED),
    )
    async def reopen_location(principal: Planning, location: Location, body: ReopenRequest) -> dict[str, Any]:
        """Promises are made from a location again; those who wait are served first."""
        return _result(location, await closings.reopen(location, Planner(principal.subject, body.reason)))

    @router.get("/v1/closings", response_model=ClosedLocations)
    async def get_closings(_: Reader) -> dict[str, Any]:
        """The locations that are closed today: by whom, why and until when."""
        return {"items": [_closing(each) for each in await closings.closed()]}

    return router


def _result(location: str, found: Closed | None) -> dict[str, Any]:
    if found is None:
        raise Problem(NO_LOCATION)
    return {"location": location, "effect": "applied" if found.changed else "repeated", "moving": found.moving}


def _closing(found: Closing) -> dict[str, Any]:
    return {
        "location": found.location_id,
        "until": None if found.through is None else date.fromordinal(found.through),
        "reason": found.reason,
        "closed_by": found.actor,
        "closed_at": found.at,
    }
