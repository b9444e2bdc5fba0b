"""The HTTP application of a service: one shell, the same for all.

`create_app` makes a FastAPI application with health, metrics, API description and docs, problem documents and the edge in
front. Routes are added to it by the service's entrypoints: FastAPI routes with `Depends(require(scope))`, and hot routes
(plain Starlette, no request machinery) with `add_hot_route`.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.openapi.utils import get_openapi
from prometheus_client import CollectorRegistry
from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST as OPENMETRICS_TYPE
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from starlette.routing import Route

from services.chassis.auth import Authenticator, check_routes, declared_routes, secured
from services.chassis.docs_page import content_security_policy, render_docs_page
from services.chassis.edge import Edge, EdgeSettings, Limiter
from services.chassis.logs import AccessLog
from services.chassis.metrics import HttpMetrics
from services.chassis.problems import PROBLEM_SCHEMA, install_handlers

Readiness = Callable[[], Awaitable[dict[str, str | bool]]]
Endpoint = Callable[[Request], Awaitable[Response]]
Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]
BODY_LIMIT_BYTES: Final = 1_048_576  # a thousand order lines have 150 kB
DEADLINE_SECONDS: Final = 10.0  # a client that waits longer has given up
METRICS_SCOPE: Final = "metrics.read"


def create_app(
    *,
    title: str,
    version: str,
    description: str,
    authenticator: Authenticator,
    registry: CollectorRegistry,
    readiness: Readiness,
    body_limit_bytes: int = BODY_LIMIT_BYTES,
    deadline_seconds: float = DEADLINE_SECONDS,
    body_limits_bytes: Mapping[str, int] | None = None,
    deadlines_seconds: Mapping[str, float] | None = None,
    lifespan: Lifespan | None = None,
    limiter: Limiter | None = None,
    access_log: AccessLog | None = None,
) -> FastAPI:
    """A service's application. It refuses to start (RouteWithoutScope) while a route declares no scope.

    `readiness` names each thing that readiness depends on; False means not ready. `body_limits_bytes` and
    `deadlines_seconds` give exact paths their own limits. `app.state.draining = True` turns readiness off.
    """
    app = FastAPI(
        title=title,
        version=version,
        description=description,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=_checked(lifespan),
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    app.state.draining = False
    app.state.hot_operations = {}
    install_handlers(app)
    _add_own_routes(app, registry, readiness)
    app.add_middleware(
        Edge,
        authenticator=authenticator,
        settings=EdgeSettings(body_limit_bytes, deadline_seconds, body_limits_bytes or {}, deadlines_seconds or {}),
        metrics=HttpMetrics(registry),
        access_log=access_log or AccessLog(every=0),
        limiter=limiter,
        before_first=lambda: check_routes(app),
    )
    app.openapi = lambda: describe(app)  # type: ignore[method-assign] # FastAPI's documented way to extend it
    return app


def add_hot_route(
    app: FastAPI,
    path: str,
    endpoint: Endpoint,
    *,
    scope: str,
    methods: Sequence[str] = ("POST",),
    operation: Mapping[str, Any] | None = None,
) -> None:
    """A route without FastAPI's request machinery, matched before all others; `operation` is its OpenAPI object."""
    app.router.routes.insert(0, Route(path, secured(scope)(endpoint), methods=list(methods)))
    for method in methods:
        app.state.hot_operations[path, method.lower()] = dict(operation or {})


def _checked(lifespan: Lifespan | None) -> Lifespan:
    @asynccontextmanager
    async def checked(app: FastAPI) -> AsyncIterator[None]:
        check_routes(app)
        if lifespan is None:
            yield
            return
        async with lifespan(app):
            yield

    return checked


def _add_own_routes(app: FastAPI, registry: CollectorRegistry, readiness: Readiness) -> None:
    async def livez(_: Request) -> Response:
        return _json({"alive": True})

    async def readyz(_: Request) -> Response:
        checks = {**await readiness(), "draining": not app.state.draining}
        ready = all(value is not False for value in checks.values())
        shown = {**checks, "draining": app.state.draining}
        return _json({"ready": ready, "checks": shown}, 200 if ready else 503)

    async def metrics(_: Request) -> Response:
        return Response(generate_openmetrics(registry), media_type=OPENMETRICS_TYPE)

    async def openapi(_: Request) -> Response:
        return _json(app.openapi())

    async def docs(_: Request) -> Response:
        headers = {"content-security-policy": content_security_policy()}
        return Response(render_docs_page(app.title), media_type="text/html", headers=headers)

    for path, endpoint in (("/livez", livez), ("/readyz", readyz), ("/openapi.json", openapi), ("/docs", docs)):
        app.add_route(path, endpoint, methods=["GET"], include_in_schema=False)
    app.add_route("/metrics", secured(METRICS_SCOPE)(metrics), methods=["GET"], include_in_schema=False)


def _json(document: Mapping[str, Any], status: int = 200) -> Response:
    return Response(orjson.dumps(document), status_code=status, media_type="application/json")


_SECURITY_SCHEMES: Final[Mapping[str, Any]] = {
    "token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": "OAuth2 access token."},
    "api_key": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "`tiercel_<id>.<secret>`"},
}


def describe(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document: FastAPI's, plus hot routes, security of every operation and the problem schema."""
    if app.openapi_schema:
        return app.openapi_schema
    document = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
    for (path, method), operation in app.state.hot_operations.items():
        document["paths"].setdefault(path, {})[method] = operation
    components = document.setdefault("components", {})
    components["securitySchemes"] = dict(_SECURITY_SCHEMES)
    components.setdefault("schemas", {})["Problem"] = dict(PROBLEM_SCHEMA)
    for route in declared_routes(app):
        for method, operation in document["paths"].get(route.path, {}).items():
            if method.upper() in route.methods:
                scopes = sorted(route.scopes)
                operation["security"] = [{"token": scopes}, {"api_key": scopes}]
    document["paths"] = dict(sorted(document["paths"].items()))
    app.openapi_schema = document
    return document
