"""What came of a command, as HTTP: a decided order is 201 first and 200 afterwards, also when it got nothing."""

from collections.abc import Mapping
from typing import Any, Final, assert_never

import orjson
from fastapi import Response

from services.atp.application.commands import (
    Answered,
    AnsweredBefore,
    Applied,
    BackordersServed,
    CancellationKept,
    KeyReused,
    NotPossible,
    OlderVersion,
    OtherContent,
    Outcome,
    SeenBefore,
    UnknownOrder,
    WrongState,
)
from services.atp.entrypoints.problem_codes import (
    NOT_POSSIBLE,
    ORDER_DIFFERS,
    ORDER_UNKNOWN,
    ORDER_VERSION_OLDER,
    PROMISE_STATE,
)
from services.chassis.problems import IDEMPOTENCY_KEY_REUSED, MEDIA_TYPE, Problem

JSON: Final = "application/json"
CREATED: Final = 201
OK: Final = 200
ACCEPTED: Final = 202
PROBLEM_FROM: Final = 400
Rendered = tuple[int, bytes]


def render_placed(outcome: Outcome) -> Rendered:
    """(status, body) of a placed order."""
    return _render(outcome, CREATED)


def render_changed(outcome: Outcome) -> Rendered:
    """(status, body) of a confirmed or cancelled order."""
    return _render(outcome, OK)


def respond(rendered: Rendered, headers: Mapping[str, str] | None = None) -> Response:
    """The HTTP answer."""
    status, body = rendered
    media_type = MEDIA_TYPE if status >= PROBLEM_FROM else JSON
    return Response(body, status_code=status, headers=headers, media_type=media_type)


def _render(outcome: Outcome, first: int) -> Rendered:
    match outcome:
        case Answered():
            return (first if outcome.first else OK), outcome.document
        case AnsweredBefore():
            return outcome.status, outcome.body
        case CancellationKept() | Applied() | SeenBefore() | BackordersServed():
            return ACCEPTED, b'{"accepted":true}'
        case OtherContent() | OlderVersion() | WrongState() | NotPossible() | UnknownOrder() | KeyReused():
            problem = _problem(outcome)
            return problem.status, orjson.dumps(problem.document(), default=str)
        case _:
            assert_never(outcome)


def _problem(outcome: OtherContent | OlderVersion | WrongState | NotPossible | UnknownOrder | KeyReused) -> Problem:
    match outcome:
        case OtherContent():
            return Problem(ORDER_DIFFERS, stored_version=outcome.stored_version, promise_id=outcome.promise_id)
        case OlderVersion():
            return Problem(ORDER_VERSION_OLDER, stored_version=outcome.stored_version)
        case WrongState():
            return Problem(PROMISE_STATE, state=outcome.state)
        case NotPossible():
            bound: dict[str, Any] = {"constraints": outcome.constraints} if outcome.constraints else {}
            return Problem(NOT_POSSIBLE, outcome.detail, why=outcome.why, promise_id=outcome.promise_id, **bound)
        case UnknownOrder():
            return Problem(ORDER_UNKNOWN)
        case KeyReused():
            return Problem(IDEMPOTENCY_KEY_REUSED)
        case _:
            assert_never(outcome)
