"""Problem documents (RFC 9457): the catalogue of stable codes and their one rendering.

A code never changes its meaning or status; clients branch on `code` (or `type`, which is the same), never on text.
Problems exist only at the HTTP edge: the domain returns values, and entrypoints turn them into problems.

    Exception
    └── Problem            an answer that is a problem document; raised anywhere below an HTTP handler
        └── Unauthenticated   (services.chassis.auth) 401, always the same words

Guarantees: no body ever repeats what the client sent in a way that could be a secret (validation errors name the place
and the rule, never the value), and no internal text of an unexpected exception leaves the process.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import asyncpg
import orjson
from fastapi import Response
from pydantic import ValidationError

from services.chassis.database import CommitUnknown, DatabaseUnavailable, StillInConflict

MEDIA_TYPE: Final = "application/problem+json"
CORRELATION_KEY: Final = "correlation_id"  # where the edge leaves the request's correlation id in the ASGI scope
ERRORS_MAX: Final = 50  # a body with thousands of bad lines must not make an answer larger than itself
LOCATION_PART_MAX_CHARS: Final = 64  # a field name is the client's text too
Headers = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class ProblemCode:
    """One entry of the catalogue; `retry_after_seconds` is set where sending the same again later can succeed."""

    code: str
    status: int
    title: str
    retry_after_seconds: int | None = None

    @property
    def type(self) -> str:
        """The problem's stable URI."""
        return f"urn:tiercel:problem:{self.code}"


PROBLEMS: dict[str, ProblemCode] = {}


def register(entry: ProblemCode) -> ProblemCode:
    """Add a code to the catalogue; the same entry twice is harmless, the same code with another meaning is refused."""
    known = PROBLEMS.setdefault(entry.code, entry)
    if known != entry:
        msg = f"problem code {entry.code!r} already means {known}"
        raise ValueError(msg)
    return entry


MALFORMED_JSON: Final = register(ProblemCode("malformed_json", 400, "The body is not JSON that can be trusted"))
BAD_REQUEST: Final = register(ProblemCode("bad_request", 400, "The request cannot be understood"))
UNAUTHENTICATED: Final = register(ProblemCode("unauthenticated", 401, "Valid credentials are required"))
FORBIDDEN: Final = register(ProblemCode("forbidden", 403, "These credentials do not allow this"))
NOT_FOUND: Final = register(ProblemCode("not_found", 404, "There is nothing here that you may see"))
METHOD_NOT_ALLOWED: Final = register(ProblemCode("method_not_allowed", 405, "This method is not offered here"))
REQUEST_TIMEOUT: Final = register(ProblemCode("request_timeout", 408, "The body did not arrive in time"))
CONFLICT: Final = register(ProblemCode("conflict", 409, "The request contradicts what is stored"))
PRECONDITION_FAILED: Final = register(
    ProblemCode("precondition_failed", 412, "The version given is not the current one")
)
BODY_TOO_LARGE: Final = register(ProblemCode("body_too_large", 413, "The body is larger than this route allows"))
UNSUPPORTED_MEDIA_TYPE: Final = register(
    ProblemCode("unsupported_media_type", 415, "This kind of body is not read here")
)
VALIDATION_FAILED: Final = register(ProblemCode("validation_failed", 422, "The request breaks a rule of its schema"))
IDEMPOTENCY_KEY_REUSED: Final = register(
    ProblemCode("idempotency_key_reused", 422, "This idempotency key was used with another body")
)
PRECONDITION_REQUIRED: Final = register(ProblemCode("precondition_required", 428, "A version must be given"))
HEADERS_TOO_LARGE: Final = register(ProblemCode("headers_too_large", 431, "The headers are larger than is read here"))
TOO_MANY_REQUESTS: Final = register(ProblemCode("too_many_requests", 429, "The rate limit is reached", 1))
INTERNAL_ERROR: Final = register(ProblemCode("internal_error", 500, "Something broke on this side"))
OVERLOADED: Final = register(ProblemCode("overloaded", 503, "Too much is waiting already", 1))
DRAINING: Final = register(ProblemCode("draining", 503, "This process is shutting down", 1))
DEADLINE_EXCEEDED: Final = register(
    ProblemCode("deadline_exceeded", 503, "No answer in time; the outcome is unknown", 1)
)
COMMIT_UNKNOWN: Final = register(ProblemCode("commit_unknown", 503, "The outcome is unknown; send the same again", 1))
DEPENDENCY_UNAVAILABLE: Final = register(
    ProblemCode("dependency_unavailable", 503, "A needed part is not reachable", 2)
)


class Problem(Exception):  # noqa: N818 -- RFC 9457 calls it a problem
    """An answer that is a problem document.

    `code` is an entry of the catalogue or its name; `detail` is a sentence for a human about this occurrence; `extra`
    are further members of the document (JSON values); `headers` go out with it.
    """

    def __init__(
        self,
        code: ProblemCode | str,
        detail: str = "",
        *,
        headers: Headers | None = None,
        retry_after_seconds: int | None = None,
        **extra: Any,
    ) -> None:
        self.kind = code if isinstance(code, ProblemCode) else PROBLEMS[code]
        self.detail = detail
        self.extra: dict[str, Any] = extra
        self.headers: dict[str, str] = dict(headers or {})
        retry = retry_after_seconds if retry_after_seconds is not None else self.kind.retry_after_seconds
        if retry is not None:
            self.headers["retry-after"] = str(retry)
        super().__init__(f"{self.kind.code}: {detail}" if detail else self.kind.code)

    @property
    def code(self) -> str:
        """The stable code, as in the catalogue."""
        return self.kind.code

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self.kind.status

    @property
    def title(self) -> str:
        """The same words for every occurrence."""
        return self.kind.title

    def document(self, correlation_id: str | None = None) -> dict[str, Any]:
        """The members of the problem document."""
        kind = self.kind
        document: dict[str, Any] = {**self.extra, "type": kind.type, "title": kind.title, "status": kind.status}
        document["code"] = kind.code
        if self.detail:
            document["detail"] = self.detail
        if correlation_id:
            document["correlation_id"] = correlation_id
        return document

    def response(self, correlation_id: str | None = None) -> Response:
        """The HTTP answer."""
        body = orjson.dumps(self.document(correlation_id), default=str)
        return Response(body, status_code=self.status, headers=self.headers, media_type=MEDIA_TYPE)


def validation_problem(errors: Iterable[Mapping[str, Any]], place: Sequence[str] = ()) -> Problem:
    """The 422 for pydantic errors: where and which rule, never the value that broke it."""
    shown: list[dict[str, str]] = []
    total = 0
    for error in errors:
        total += 1
        if len(shown) < ERRORS_MAX:
            location = "/".join(_printable(part) for part in (*place, *error["loc"]))
            shown.append({"location": location, "rule": str(error["type"]), "message": _rule_text(error)})
    return Problem(VALIDATION_FAILED, f"{total} rule(s) broken", errors=shown)


def _rule_text(error: Mapping[str, Any]) -> str:
    # Texts of value_error and assertion_error may hold anything, those of wrong tags hold the tag; the rest are fixed:
    # a validator of ours says its rule by an error of a type of its own (`services.contracts.payload.broken_rule`).
    if error["type"] in {"value_error", "assertion_error"}:
        return "not an allowed value"
    if error["type"] == "union_tag_invalid":
        return "not one of the kinds that there are"
    if error["type"] == "json_invalid":
        return "not valid JSON"
    return str(error["msg"])


def _printable(part: object) -> str:
    text = str(part)[:LOCATION_PART_MAX_CHARS]
    return "".join(character if character.isprintable() else "?" for character in text)


def from_validation_error(error: ValidationError) -> Problem:
    """The problem for a body that pydantic refused: 400 if it was no JSON, else 422."""
    errors = error.errors(include_url=False, include_context=False, include_input=False)
    if errors and errors[0]["type"] == "json_invalid":
        return Problem(MALFORMED_JSON, "the body is not valid JSON")
    return validation_problem(errors, ("body",))


def from_exception(error: BaseException) -> Problem | None:
    """The problem that an operating failure is answered with, or None if nobody foresaw it (then it is a 500)."""
    match error:
        case Problem():
            return error
        case CommitUnknown():
            return Problem(COMMIT_UNKNOWN)
        case StillInConflict():
            return Problem(OVERLOADED)
        case DatabaseUnavailable() | asyncpg.PostgresConnectionError() | ConnectionError():
            return Problem(DEPENDENCY_UNAVAILABLE)
        case asyncpg.QueryCanceledError() | TimeoutError():
            return Problem(DEADLINE_EXCEEDED)
        case _:
            return None


def problem_responses(*codes: ProblemCode | str) -> dict[int | str, dict[str, Any]]:
    """The OpenAPI `responses` of these problems, for the `responses=` of a route."""
    entries = [code if isinstance(code, ProblemCode) else PROBLEMS[code] for code in codes]
    responses: dict[int | str, dict[str, Any]] = {}
    for entry in sorted(entries, key=lambda each: (each.status, each.code)):
        response = responses.setdefault(entry.status, {"description": "", "content": {MEDIA_TYPE: {}}})
        titles = [part for part in (response["description"], f"`{entry.code}`: {entry.title}") if part]
        response["description"] = "; ".join(titles)
        response["content"][MEDIA_TYPE] = {"schema": {"$ref": "#/components/schemas/Problem"}}
    return responses


PROBLEM_SCHEMA: Final[Mapping[str, Any]] = {
    "title": "Problem",
    "description": "A problem document (RFC 9457). Branch on `code`; texts may change.",
    "type": "object",
    "required": ["type", "title", "status", "code"],
    "properties": {
        "type": {"type": "string", "format": "uri"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string"},
        "detail": {"type": "string"},
        "correlation_id": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["location", "rule", "message"],
                "properties": {
                    "location": {"type": "string"},
                    "rule": {"type": "string"},
                    "message": {"type": "string"},
                },
            },
        },
    },
}
