"""The edge: what happens to every request before and after its handler, in one pass of pure ASGI.

In this order: correlation id and `traceparent`; credentials (nothing but the public paths gets past without); rate
limit of the caller; the body, whole, within its limit and deadline (bytes are counted, so a chunked body has the same
limit); the handler, within the request's deadline; security headers; metrics and the access line. An exception that
nobody foresaw is logged once, counted, and answered with a problem that says nothing but its correlation id.

It is one class on purpose: five stacked middlewares would cost five more coroutines and closures per request.
"""

import asyncio
import os
import re
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import structlog
from fastapi import FastAPI, Request, Response
from opentelemetry.trace import SpanKind
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.chassis import logs, tracing
from services.chassis.auth import PUBLIC_PATHS, Authenticator, Principal, Refusal, Unauthenticated
from services.chassis.auth.routes import PRINCIPAL_KEY
from services.chassis.metrics import HttpMetrics
from services.chassis.problems import (
    BAD_REQUEST,
    BODY_TOO_LARGE,
    CORRELATION_KEY,
    DEADLINE_EXCEEDED,
    DRAINING,
    INTERNAL_ERROR,
    REQUEST_TIMEOUT,
    TOO_MANY_REQUESTS,
    UNSUPPORTED_MEDIA_TYPE,
    Problem,
    from_exception,
)
from services.chassis.strict_json import BODY_KEY, is_json, refuse_ambiguous
from services.chassis.tracing import Name

_SAFE_ID: Final = re.compile(rb"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")
_NUL: Final = b"%00"  # in no text that PostgreSQL can store, hence in no cursor and no id
_SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_CLIENT_WENT_AWAY: Final = 499  # for the metrics only: nobody was there to be answered
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
SECURITY_HEADERS: Final[tuple[tuple[bytes, bytes], ...]] = (
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"strict-transport-security", b"max-age=31536000"),
    (b"referrer-policy", b"no-referrer"),
)
_SECURITY_NAMES: Final = frozenset(name for name, _ in SECURITY_HEADERS)
_log = structlog.get_logger(__name__)


class Limiter(Protocol):
    """What the edge needs of services.chassis.rate_limit."""

    def wait_seconds(self, subject: str) -> float:
        """Take one from the caller's budget: 0.0 if there was one, else how long until there is."""
        ...


Endpoint = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class EdgeSettings:
    """The limits of one application. Bytes are of the body as sent; seconds are of the whole request."""

    body_limit_bytes: int
    deadline_seconds: float
    body_limits_bytes: Mapping[str, int] = field(default_factory=dict)  # exact path -> its own limit
    deadlines_seconds: Mapping[str, float] = field(default_factory=dict)  # exact path -> its own deadline


class Routing(Protocol):
    """What the edge needs to know of the application behind it."""

    def check(self) -> None:
        """Refuse an application that is not safe to serve; called before the first request."""
        ...

    def hot(self, method: str, path: str) -> Endpoint | None:
        """The endpoint to call without the framework's own matching, if this is one."""
        ...

    def template(self, scope: Scope) -> str:
        """The template of the route that answered, for metrics and logs: never a path with ids in it."""
        ...


@dataclass(slots=True)
class _Exchange:
    """What is known about one request while it is answered."""

    correlation: str
    started: float
    principal: Principal | None = None
    status: int = 0
    body_complete: bool = True  # False while the body is being read
    route: str | None = None
    refusal: str | None = None


class Edge:
    """The middleware; see the module."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        authenticator: Authenticator,
        settings: EdgeSettings,
        metrics: HttpMetrics,
        access_log: logs.AccessLog,
        routing: Routing,
        limiter: Limiter | None = None,
    ) -> None:
        self._app = app
        self._authenticator = authenticator
        self._settings = settings
        self._metrics = metrics
        self._access_log = access_log
        self._routing = routing
        self._limiter = limiter
        self._checked = False
        for reason in Refusal:
            metrics.refused.labels(reason.value)  # there from the start: an alert needs a series to look at

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; other kinds of connections than HTTP are refused."""
        if scope["type"] != "http":
            await self._not_http(scope, receive, send)
            return
        if not self._checked:
            self._routing.check()
            self._checked = True
        headers = dict(scope["headers"])
        exchange = _Exchange(_correlation(headers), time.perf_counter())
        _set_context(exchange.correlation, headers.get(b"traceparent"))
        scope[CORRELATION_KEY] = exchange.correlation
        self._metrics.in_flight += 1
        try:
            await self._answer(scope, receive, _decorated(send, exchange), headers, exchange)
        finally:
            self._metrics.in_flight -= 1
            self._record(scope, exchange)

    async def _not_http(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})

    async def _answer(
        self, scope: Scope, receive: Receive, send: Send, headers: Mapping[bytes, bytes], exchange: _Exchange
    ) -> None:
        limit = asyncio.timeout(self._settings.deadlines_seconds.get(scope["path"], self._settings.deadline_seconds))
        try:
            async with limit:
                if tracing.is_on():
                    await self._traced(scope, receive, send, headers, exchange)
                else:
                    await self._handle(scope, receive, send, headers, exchange)
        except asyncio.CancelledError:  # the server cuts what is left after its grace period
            if not exchange.status:
                await Problem(DRAINING).response(exchange.correlation)(scope, receive, send)
            raise
        except Exception as error:
            problem = self._problem_for(error, exchange, deadline_over=limit.expired())
            if exchange.status:
                raise  # half an answer is out: only the server can cut the connection
            await problem.response(exchange.correlation)(scope, receive, send)

    async def _traced(
        self, scope: Scope, receive: Receive, send: Send, headers: Mapping[bytes, bytes], exchange: _Exchange
    ) -> None:
        with tracing.span(scope["method"], SpanKind.SERVER, {Name.HTTP_METHOD: scope["method"]}) as span:
            await self._handle(scope, receive, send, headers, exchange)
            if span is not None:
                route = exchange.route or self._routing.template(scope)
                span.update_name(f"{scope['method']} {route}")
                span.set_attributes({Name.HTTP_ROUTE: route, Name.HTTP_STATUS: exchange.status})

    async def _handle(
        self, scope: Scope, receive: Receive, send: Send, headers: Mapping[bytes, bytes], exchange: _Exchange
    ) -> None:
        path: str = scope["path"]
        if path not in PUBLIC_PATHS:
            exchange.principal = await self._admit(scope)
        if _NUL in scope["query_string"]:
            raise Problem(BAD_REQUEST, "the query has a NUL character")
        exchange.body_complete = False
        body = await self._read_body(scope, receive, headers)
        exchange.body_complete = True
        receive = _replay(body, receive)
        endpoint = self._routing.hot(scope["method"], path)
        if endpoint is None:
            await self._app(scope, receive, send)
            return
        exchange.route = path
        response = await endpoint(Request(scope, receive, send))
        if type(response) is not Response or response.background is not None:
            await response(scope, receive, send)
            return
        # What the response would do by itself, without its two calls back.
        await send({"type": "http.response.start", "status": response.status_code, "headers": response.raw_headers})
        await send({"type": "http.response.body", "body": response.body})

    async def _admit(self, scope: Scope) -> Principal:
        principal = await self._authenticator.authenticate(scope["headers"])
        if self._limiter is not None and scope["method"] not in _SAFE_METHODS:
            wait = self._limiter.wait_seconds(principal.subject)
            if wait > 0:
                raise Problem(TOO_MANY_REQUESTS, retry_after_seconds=max(1, round(wait + 0.5)))
        scope[PRINCIPAL_KEY] = principal
        return principal

    async def _read_body(
        self, scope: MutableMapping[str, Any], receive: Receive, headers: Mapping[bytes, bytes]
    ) -> bytes:
        declared = headers.get(b"content-length")
        if declared is None and b"transfer-encoding" not in headers and scope["method"] in _SAFE_METHODS:
            return b""
        limit = self._settings.body_limits_bytes.get(scope["path"], self._settings.body_limit_bytes)
        if declared is not None and (not declared.isdigit() or int(declared[:20]) > limit):
            raise Problem(BODY_TOO_LARGE, limit_bytes=limit, headers={"connection": "close"})
        if headers.get(b"content-encoding", b"identity") != b"identity":
            raise Problem(UNSUPPORTED_MEDIA_TYPE, "compressed bodies are not read")
        body = await _whole_body(receive, limit)
        if body and is_json(headers.get(b"content-type", b"").decode("latin-1")):
            refuse_ambiguous(body)
            scope[BODY_KEY] = body
        return body

    def _problem_for(self, error: Exception, exchange: _Exchange, *, deadline_over: bool) -> Problem:
        if isinstance(error, Unauthenticated):
            exchange.refusal = error.reason.value
            self._metrics.refused.labels(exchange.refusal).inc()
            return error
        if deadline_over and isinstance(error, TimeoutError):
            if exchange.body_complete:
                return Problem(DEADLINE_EXCEEDED)
            return Problem(REQUEST_TIMEOUT, headers={"connection": "close"})
        problem = from_exception(error)
        if problem is None:
            self._metrics.unexpected.inc()
            _log.error("unexpected_error", exc_info=error)
            return Problem(INTERNAL_ERROR)
        if problem is not error:
            _log.warning("request_failed", code=problem.code, error=repr(error))
        return problem

    def _record(self, scope: Scope, exchange: _Exchange) -> None:
        seconds = time.perf_counter() - exchange.started
        route = exchange.route or self._routing.template(scope)
        method = scope["method"] if scope["method"] in _METHODS else "OTHER"
        status = exchange.status or _CLIENT_WENT_AWAY
        self._metrics.observe(method, route, status, seconds)
        self._access_log.write(
            method=method,
            path=route,
            status=status,
            seconds=seconds,
            correlation=exchange.correlation,
            subject=None if exchange.principal is None else exchange.principal.subject,
            refusal=exchange.refusal,
        )


def outermost(app: FastAPI) -> ASGIApp:
    """The application as a server calls it: from the edge on, past what the framework puts in front of every request.

    In front of the edge are the framework's net for errors, which the edge has itself, telemetry and a limit of bodies,
    which are off. An application without an edge stays as it is.
    """
    if app.middleware_stack is None:
        app.middleware_stack = app.build_middleware_stack()
    layer: Any = app.middleware_stack
    while layer is not None and not isinstance(layer, Edge):
        layer = getattr(layer, "app", None)
    if layer is None:
        return app
    edge = layer

    def served(scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        scope["app"] = app  # as the framework's own entrance does
        return edge(scope, receive, send)

    return served


def _set_context(correlation: str, parent: bytes | None) -> None:
    # Always all of them: a request that waited behind another on its connection inherits that one's context.
    logs.correlation_id.set(correlation)
    logs.causation_id.set(None)
    tracing.traceparent.set(None if parent is None else tracing.accept(parent.decode("latin-1")))


def _correlation(headers: Mapping[bytes, bytes]) -> str:
    given = headers.get(b"x-request-id")
    if given is not None and _SAFE_ID.fullmatch(given):
        return given.decode("ascii")
    return os.urandom(16).hex()


def _decorated(send: Send, exchange: _Exchange) -> Send:
    async def decorated(message: Message) -> None:
        if message["type"] == "http.response.start":
            exchange.status = message["status"]
            headers = message.get("headers", ())
            present = {name for name, _ in headers}
            wanted = SECURITY_HEADERS
            if not present.isdisjoint(_SECURITY_NAMES):
                wanted = tuple([header for header in SECURITY_HEADERS if header[0] not in present])
            message["headers"] = [*headers, *wanted, (b"x-request-id", exchange.correlation.encode("ascii"))]
        await send(message)

    return decorated


async def _whole_body(receive: Receive, limit_bytes: int) -> bytes:
    message = await receive()
    body: bytes = message.get("body", b"")
    if message["type"] == "http.request" and not message.get("more_body", False) and len(body) <= limit_bytes:
        return body
    parts = bytearray()
    while True:
        if message["type"] == "http.disconnect":
            raise Problem(BAD_REQUEST, "the connection was closed before the body was complete")
        parts += message.get("body", b"")
        if len(parts) > limit_bytes:
            raise Problem(BODY_TOO_LARGE, limit_bytes=limit_bytes, headers={"connection": "close"})
        if not message.get("more_body", False):
            return bytes(parts)
        message = await receive()


def _replay(body: bytes, receive: Receive) -> Callable[[], Awaitable[Message]]:
    sent = False

    async def replay() -> Message:
        nonlocal sent
        if sent:
            return await receive()
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay
