"""The HTTP application of a service: one shell, the same for all.

`create_app` makes a FastAPI application with health, metrics, API description and docs, problem documents and the
edge in front. Routes are added to it by the service's entrypoints: FastAPI routes with `Depends(require(scope))`, and
hot routes (plain Starlette, no request machinery) with `add_hot_route`.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from copy import deepcopy
from typing import Any, Final

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.openapi.utils import get_openapi
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema
from starlette.routing import Route
from starlette.types import Scope

from services.chassis.auth import Authenticator, check_routes, declared_routes, secured, template_of
from services.chassis.docs_page import content_security_policy, render_docs_page
from services.chassis.edge import Edge, EdgeSettings, Endpoint, Limiter
from services.chassis.logs import AccessLog
from services.chassis.metrics import HttpMetrics
from services.chassis.problem_handlers import install_handlers
from services.chassis.problems import (
    BODY_TOO_LARGE,
    FORBIDDEN,
    MALFORMED_JSON,
    MEDIA_TYPE,
    PROBLEM_SCHEMA,
    UNAUTHENTICATED,
    VALIDATION_FAILED,
    problem_responses,
)

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
    app.state.collectors = registry  # for the metrics reference, which is rendered from it
    app.state.hot_operations = {}  # (path, method) -> OpenAPI operation
    app.state.hot_models = []
    app.state.hot_answers = []
    app.state.hot_endpoints = {}  # (method, path) -> guarded endpoint
    install_handlers(app)
    _add_own_routes(app, registry, readiness)
    app.add_middleware(
        Edge,
        authenticator=authenticator,
        settings=EdgeSettings(body_limit_bytes, deadline_seconds, body_limits_bytes or {}, deadlines_seconds or {}),
        metrics=HttpMetrics(registry),
        access_log=access_log or AccessLog(),
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
    models: Sequence[type[BaseModel]] = (),
    answers: Sequence[type[BaseModel]] = (),
) -> None:
    """A route that the edge calls directly, without FastAPI's matching and request machinery.

    `path` has no parameters; `operation` is its OpenAPI object, `models` are those that it refers to as
    `#/components/schemas/<name>`; of those in `answers` every field is always sent, also one with a default. The
    endpoint raises Problem like any other.
    """
    guarded = secured(scope)(endpoint)
    app.router.routes.append(Route(path, guarded, methods=list(methods)))  # for its 405, and to be enumerated
    for method in methods:
        app.state.hot_endpoints[method, path] = guarded
        app.state.hot_operations[path, method.lower()] = deepcopy(dict(operation or {}))
    app.state.hot_models += models
    app.state.hot_answers += answers


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
        return template_of(path) if isinstance(path, str) else UNMATCHED


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
    """The OpenAPI document: FastAPI's, plus hot routes, the scope of every operation, and our own refusals."""
    if app.openapi_schema:
        return app.openapi_schema
    document = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
    for (path, method), operation in app.state.hot_operations.items():
        document["paths"].setdefault(path, {})[method] = operation
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    for name, schema in _schemas(app.state.hot_models, "validation").items():
        schemas.setdefault(name, schema)
    for name, schema in _schemas(app.state.hot_answers, "serialization").items():
        schemas.setdefault(name, schema)
    for name in _FRAMEWORK_ERRORS:
        schemas.pop(name, None)
    schemas["Problem"] = dict(PROBLEM_SCHEMA)
    document["components"]["securitySchemes"] = dict(_SECURITY_SCHEMES)
    for route in declared_routes(app):
        for method, operation in document["paths"].get(route.path, {}).items():
            if method.upper() in route.methods:
                _complete(operation, sorted(route.scopes))
    document["paths"] = dict(sorted(document["paths"].items()))
    app.openapi_schema = document
    return document


_FRAMEWORK_ERRORS: Final = ("HTTPValidationError", "ValidationError")  # FastAPI's own, which are never sent here


def _schemas(models: Sequence[type[BaseModel]], mode: JsonSchemaMode) -> dict[str, Any]:
    wanted: list[tuple[type[BaseModel], JsonSchemaMode]] = [(model, mode) for model in models]
    _, definitions = models_json_schema(wanted, ref_template="#/components/schemas/{model}")
    found: dict[str, Any] = definitions.get("$defs", {})
    return found


def _complete(operation: dict[str, Any], scopes: Sequence[str]) -> None:
    """Add what is true of every operation: its scopes, and the problems that the shell answers with."""
    operation["security"] = [{"token": list(scopes)}, {"api_key": list(scopes)}]
    responses = operation.setdefault("responses", {})
    if "HTTPValidationError" in str(responses.get("422")):
        del responses["422"]
        responses.update(_as_text(problem_responses(MALFORMED_JSON, BODY_TOO_LARGE, VALIDATION_FAILED)))
    for status, response in _as_text(problem_responses(UNAUTHENTICATED, FORBIDDEN)).items():
        responses.setdefault(status, response)
    responses.setdefault("default", {"description": "A problem", "content": {MEDIA_TYPE: _PROBLEM_REFERENCE}})


_PROBLEM_REFERENCE: Final[Mapping[str, Any]] = {"schema": {"$ref": "#/components/schemas/Problem"}}


def _as_text(responses: Mapping[int | str, Any]) -> dict[str, Any]:
    return {str(status): response for status, response in responses.items()}
