"""What the framework refuses by itself, as problem documents: so that no answer of a service has another shape."""

from collections.abc import Mapping
from typing import Final

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from services.chassis.problems import (
    BAD_REQUEST,
    BODY_TOO_LARGE,
    CONFLICT,
    CORRELATION_KEY,
    DEPENDENCY_UNAVAILABLE,
    FORBIDDEN,
    METHOD_NOT_ALLOWED,
    NOT_FOUND,
    UNAUTHENTICATED,
    UNSUPPORTED_MEDIA_TYPE,
    Problem,
    ProblemCode,
    validation_problem,
)
from services.chassis.strict_json import is_json, not_json

_FROM_STATUS: Final[Mapping[int, ProblemCode]] = {
    400: BAD_REQUEST,
    401: UNAUTHENTICATED,
    403: FORBIDDEN,
    404: NOT_FOUND,
    405: METHOD_NOT_ALLOWED,
    409: CONFLICT,
    413: BODY_TOO_LARGE,
    415: UNSUPPORTED_MEDIA_TYPE,
    503: DEPENDENCY_UNAVAILABLE,
}


def install_handlers(app: FastAPI) -> None:
    """Make every refusal of the framework and every Problem a problem document."""
    app.add_exception_handler(Problem, _answer_problem)
    app.add_exception_handler(RequestValidationError, _answer_validation)
    app.add_exception_handler(HTTPException, _answer_http_exception)


async def _answer_problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)  # noqa: S101 -- registered for this class only
    return error.response(request.scope.get(CORRELATION_KEY))


async def _answer_validation(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 -- registered for this class only
    if isinstance(error.body, bytes) and not is_json(request.headers.get("content-type", "")):
        return not_json().response(request.scope.get(CORRELATION_KEY))
    return validation_problem(error.errors()).response(request.scope.get(CORRELATION_KEY))


async def _answer_http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 -- registered for this class only
    kind = _FROM_STATUS.get(error.status_code)
    if kind is None:
        kind = ProblemCode(f"http_{error.status_code}", error.status_code, str(error.detail))
    detail = str(error.detail) if kind is BAD_REQUEST else ""
    return Problem(kind, detail, headers=error.headers).response(request.scope.get(CORRELATION_KEY))
