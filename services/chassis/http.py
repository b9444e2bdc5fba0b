"""The HTTP application of a service: one shell, the same for all.

`create_app` makes a FastAPI application with health, metrics, API description and docs, problem documents and the
edge in front. Routes are added to it by the service's entrypoints: FastAPI routes with `Depends(require(scope))`, and
hot routes (plain Starlette, no request machinery) with `add_hot_route`.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.openapi.utils import get_openapi
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from starlette.routing import Route
from starlette.types import Scope

from services.chassis.auth import Authenticator, check_routes, declared_routes, secured
from services.chassis.docs_page import content_security_policy, render_docs_page
from services.chassis.edge import Edge, EdgeSettings, Endpoint, Limiter
from services.chassis.logs import AccessLog
from services.chassis.metrics import HttpMetrics
from services.chassis.problems import PROBLEM_SCHEMA, install_handlers

Readiness = Callable[[], Awaitable[dict[str, str | bool]]]
Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]
BODY_LIMIT_BYTES: Final = 1_048_576  # a thousand order lines have 150 kB
DEADLINE_SECONDS: Final = 10.0  # a client that waits longer has given up
METRICS_SCOPE: Final = "metrics.read"
UNMATCHED: Final = "unmatched"  # the route label of requests that no route answered


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
    app.state.hot_operations = {}  # (path, method) -> OpenAPI operation
    app.state.hot_endpoints = {}  # (method, path) -> guarded endpoint
    install_handlers(app)
    _add_own_routes(app, registry, readiness)
    app.add_middleware(
        Edge,
        authenticator=authenticator,
        settings=EdgeSettings(body_limit_bytes, deadline_seconds, body_limits_bytes or {}, deadlines_seconds or {}),
        metrics=HttpMetrics(registry),
        access_log=access_log or AccessLog(every=0),
        limiter=limiter,
        routing=_Routing(app),
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
    """A route that the edge calls directly, without FastAPI's matching and request machinery.

    `path` has no parameters; `operation` is its OpenAPI object. It raises Problem like any other endpoint.
    """
    guarded = secured(scope)(endpoint)
    app.router.routes.append(Route(path, guarded, methods=list(methods)))  # for its 405, and to be enumerated
    for method in methods:
        app.state.hot_endpoints[method, path] = guarded
        app.state.hot_operations[path, method.lower()] = dict(operation or {})


class _Routing:
    """What the edge asks about the application's routes."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app
        self._hot: dict[tuple[str, str], Endpoint] = app.state.hot_endpoints
        self._plain: dict[Any, str] = {}

    def check(self) -> None:
        check_routes(self._app)
        self._plain = {route.endpoint: route.path for route in self._app.routes if type(route) is Route}

    def hot(self, method: str, path: str) -> Endpoint | None:
        return self._hot.get((method, path))

    def template(self, scope: Scope) -> str:
        included = scope.get("fastapi", {}).get("effective_route_context")
        path = getattr(included or scope.get("route"), "path", None) or self._plain.get(scope.get("endpoint"))
        return path if isinstance(path, str) else UNMATCHED


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
        checks = await readiness()
        ready = not app.state.draining and is_ready(checks)
        return _json({"ready": ready, "draining": app.state.draining, "checks": checks}, 200 if ready else 503)

    async def metrics(_: Request) -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    async def openapi(_: Request) -> Response:
        return _json(app.openapi())

    async def docs(_: Request) -> Response:
        headers = {"content-security-policy": content_security_policy()}
        return Response(render_docs_page(app.title), media_type="text/html", headers=headers)

    for path, endpoint in (("/livez", livez), ("/readyz", readyz), ("/openapi.json", openapi), ("/docs", docs)):
        app.add_route(path, endpoint, methods=["GET"], include_in_schema=False)
    app.add_route("/metrics", secured(METRICS_SCOPE)(metrics), methods=["GET"], include_in_schema=False)


def is_ready(checks: Mapping[str, str | bool]) -> bool:
    """Whether nothing that readiness depends on says False (a string only informs)."""
    return all(value is not False for value in checks.values())


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
