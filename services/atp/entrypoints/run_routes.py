"""Runs of backorder processing over HTTP: begin one, stop it, and see what came of it. Scope `atp.plan` to act."""

from datetime import datetime
from typing import Annotated, Any, Final, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query, Request, Response

from services.atp.application.runs import KeyTaken, RunAsked, Runs, RunState, VariantRunning, VariantUnknown
from services.atp.entrypoints.callers import key_of
from services.atp.entrypoints.cursors import CURSOR_MAX_CHARS, decode_cursor, encode_cursor
from services.atp.entrypoints.planner_routes import Reason
from services.atp.entrypoints.preview_routes import check_sees_all
from services.atp.entrypoints.problem_codes import CHANNEL_FORBIDDEN, RUN_GOES_ON, RUN_UNKNOWN, VARIANT_UNKNOWN
from services.chassis.auth import Principal, require
from services.chassis.problems import BAD_REQUEST, IDEMPOTENCY_KEY_REUSED, VALIDATION_FAILED, Problem
from services.chassis.problems import problem_responses as problems
from services.contracts.payload import Code, Payload, Version

PAGE_MAX: Final = 100
Planning = Annotated[Principal, Depends(require("atp.plan"))]
Reader = Annotated[Principal, Depends(require("atp.read"))]
RunId = Annotated[str, Path(max_length=36)]
CREATED: Final = 201


class RunRequest(Payload):
    """Run a variant now: its version in effect, or another one."""

    variant_id: Code
    version: Version | None = None
    reason: Reason


class StopRequest(Payload):
    """End a run after the portion at hand; what it did stays."""

    reason: Reason


class RunFigures(Payload):
    """What a run did: lines asked, improved and worsened; lines that had to win and are not whole in time; units.

    `cost_minor` is the difference in what carrying the changed orders costs.
    """

    asked: int = 0
    improved: int = 0
    worsened: int = 0
    unmet: int = 0
    units_gained: int = 0
    units_lost: int = 0
    cost_minor: int = 0


class TierFigures(RunFigures):
    """Of the lines of a tier, the one in force when they were asked."""

    tier: str


class RunReport(Payload):
    """A run: who or what began it, how far it is, and what came of it so far.

    `scheduled_for` is the moment of the schedule; null: somebody began it by hand. `last_progress_at`: when it came
    further the last time, by `portions` transactions in all. `ended_why` is a stop's reason, or what failed.
    """

    run_id: UUID
    variant_id: str
    version: int
    state: RunState
    scheduled_for: datetime | None
    started_by: str
    reason: str
    started_at: datetime
    last_progress_at: datetime
    ended_at: datetime | None
    ended_by: str | None
    ended_why: str | None
    portions: int
    total: RunFigures
    tiers: tuple[TierFigures, ...]


class RunPage(Payload):
    """Runs, the newest first."""

    items: tuple[RunReport, ...]
    next_cursor: str | None


class StopResult(Payload):
    """`repeated`: it had ended already."""

    run_id: UUID
    effect: Literal["applied", "repeated"]


def run_routes(runs: Runs) -> APIRouter:
    """The routes."""
    router = APIRouter(tags=["runs"])
    _add_acts(router, runs)
    _add_reads(router, runs)
    return router


def _add_acts(router: APIRouter, runs: Runs) -> None:
    @router.post(
        "/v1/runs",
        status_code=CREATED,
        response_model=RunReport,
        responses={
            200: {"model": RunReport, "description": "The run that this request had begun before"},
            **problems(
                VARIANT_UNKNOWN, RUN_GOES_ON, IDEMPOTENCY_KEY_REUSED, CHANNEL_FORBIDDEN, BAD_REQUEST, VALIDATION_FAILED
            ),
        },
    )
    async def post_run(principal: Planning, body: RunRequest, request: Request, response: Response) -> dict[str, Any]:
        """Begin a run; it goes on by itself, in portions in turn with new orders. One of a variant goes on at a time.

        With an `Idempotency-Key` header, sent again it answers the run that the first one began.
        """
        check_sees_all(principal)
        asked = RunAsked(body.variant_id, body.version, principal.subject, body.reason, key_of(request))
        try:
            begun = await runs.begin(asked)
        except VariantUnknown:
            raise Problem(VARIANT_UNKNOWN) from None
        except VariantRunning as error:
            raise Problem(RUN_GOES_ON, run_id=str(error.run_id)) from None
        except KeyTaken:
            raise Problem(IDEMPOTENCY_KEY_REUSED) from None
        response.status_code = CREATED if begun.first else 200
        return await _known(runs, begun.run_id)

    @router.post(
        "/v1/runs/{run_id}:stop",
        response_model=StopResult,
        responses=problems(RUN_UNKNOWN, CHANNEL_FORBIDDEN, VALIDATION_FAILED),
    )
    async def stop_run(principal: Planning, run_id: RunId, body: StopRequest) -> dict[str, Any]:
        """Ask nobody any more, once this is answered; what was promised by the run stands."""
        check_sees_all(principal)
        stopped = await runs.stop(_run_id(run_id), principal.subject, body.reason)
        if stopped is None:
            raise Problem(RUN_UNKNOWN)
        return {"run_id": run_id, "effect": "applied" if stopped else "repeated"}


def _add_reads(router: APIRouter, runs: Runs) -> None:
    @router.get("/v1/runs/{run_id}", response_model=RunReport, responses=problems(RUN_UNKNOWN))
    async def get_run(_: Reader, run_id: RunId) -> dict[str, Any]:
        """A run, and what came of it so far."""
        return await _known(runs, _run_id(run_id))

    @router.get("/v1/runs", response_model=RunPage, responses=problems(BAD_REQUEST, VALIDATION_FAILED))
    async def get_runs(
        _: Reader,
        variant_id: Annotated[Code | None, Query()] = None,
        state: Annotated[list[RunState] | None, Query()] = None,
        cursor: Annotated[str | None, Query(max_length=CURSOR_MAX_CHARS)] = None,
        limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = PAGE_MAX,
    ) -> dict[str, Any]:
        """Runs, the newest first."""
        place = decode_cursor(cursor, 1)
        found = await runs.runs(variant_id, state, None if place is None else _run_id(str(place[0])), limit + 1)
        more = encode_cursor(str(found[limit - 1]["run_id"])) if len(found) > limit else None
        return {"items": [_report(each) for each in found[:limit]], "next_cursor": more}


async def _known(runs: Runs, run_id: UUID) -> dict[str, Any]:
    found = await runs.run(run_id)
    if found is None:
        raise Problem(RUN_UNKNOWN)
    return _report(found)


def _run_id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise Problem(RUN_UNKNOWN) from None


def _report(found: dict[str, Any]) -> dict[str, Any]:
    figures: dict[str, dict[str, int]] = found["figures"]
    names = RunFigures.model_fields
    total = {name: sum(own.get(name, 0) for own in figures.values()) for name in names}
    shown = {name: found[name] for name in RunReport.model_fields if name in found}
    tiers = [{"tier": tier, **figures[tier]} for tier in sorted(figures)]
    return {**shown, "last_progress_at": found["came_at"], "total": total, "tiers": tiers}
