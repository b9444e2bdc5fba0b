"""For the driver of a replay: whether nothing is left to do, and moving the business time of all services."""

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import APIRouter
from pydantic import Field

from services.atp.entrypoints.problem_codes import NOT_A_REPLAY
from services.chassis.business_time import Phase, ReplayState
from services.chassis.problems import Problem, problem_responses
from services.chassis.quiet import Driver, Look, Stir, quiet_route
from services.contracts.payload import Moment, Payload


class ReplayStep(Payload):
    """Where the replay is: the business time, the half of the step, and the number of the step."""

    at: Moment
    phase: Phase
    step: Annotated[int, Field(ge=0, le=2**53)]


def internal_routes(quiet: Look, stir: Stir, move: Callable[[ReplayState], Awaitable[None]] | None) -> APIRouter:
    """`move` sets the business time; None if this process does not take part in a replay."""
    router = quiet_route(quiet, stir)

    @router.put(
        "/internal/replay",
        summary="Move the business time of all services",
        responses=problem_responses(NOT_A_REPLAY),
    )
    async def put_replay(body: ReplayStep, _: Driver) -> ReplayStep:
        if move is None:
            raise Problem(NOT_A_REPLAY)
        await move(ReplayState(body.at, body.phase, body.step))
        return body

    return router
