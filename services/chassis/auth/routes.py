"""Scopes of routes: how a route declares its scope, how it is enforced, and how a route without one is found.

Default deny in two layers. The edge (services.chassis.edge) lets no request without valid credentials past, whatever
the path, except for a short list of public paths. Then each route asks for its scope; an application with a route that
declares none refuses to start (`check_routes`), so a forgotten scope is found by the first test or start, not by a
stranger.
"""

import re
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from fastapi import FastAPI, Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, iter_route_contexts
from starlette.routing import BaseRoute, Host, Mount

from services.chassis.auth.principal import Forbidden, Principal, Refusal, Unauthenticated
from services.chassis.problems import CORRELATION_KEY, FORBIDDEN, Problem

PRINCIPAL_KEY: Final = "tiercel.principal"  # where the edge leaves the caller in the ASGI scope
SCOPE_ATTRIBUTE: Final = "required_scope"
PUBLIC_PATHS: Final = frozenset({"/livez", "/readyz", "/openapi.json", "/docs"})
PATHS_CACHED: Final = 1_024  # of one process; a service has some hundred routes
_CONVERTOR: Final = re.compile(r":[a-z]+\}")
Endpoint = Callable[[Request], Awaitable[Response]]


class RouteWithoutScope(Exception):  # noqa: N818 - says what happened
    """An application has routes that declare no scope; the message names them."""


def principal_of(request: Request) -> Principal:
    """The authenticated caller; 401 if there is none (then the edge is not in front, and nobody may in)."""
    principal = request.scope.get(PRINCIPAL_KEY)
    if not isinstance(principal, Principal):
        raise Unauthenticated(Refusal.MISSING)
    return principal


def admit(request: Request, scope: str) -> Principal:
    """The caller, if it holds the scope: 401 or 403 otherwise."""
    principal = principal_of(request)
    if not principal.may(scope):
        raise Forbidden(scope)
    return principal


def see_everything(principal: Principal) -> None:
    """403 for a caller limited to account groups, where many customers are concerned and no group is known."""
    if not principal.sees_account_group(None):
        raise Problem(FORBIDDEN, "these credentials are limited to account groups")


async def authorize(request: Request, scope: str) -> Principal:
    """`admit` for plain Starlette routes; the route must declare the same scope with `secured`."""
    return admit(request, scope)


class Require:
    """The dependency behind `require`; its scope is read by `declared_scopes`."""

    def __init__(self, scope: str) -> None:
        self.scope = scope

    async def __call__(self, request: Request) -> Principal:
        """Refuse or return the caller."""
        return admit(request, self.scope)


def require(scope: str) -> Require:
    """A FastAPI dependency: `principal: Annotated[Principal, Depends(require("atp.read"))]`."""
    return Require(scope)


def secured(scope: str) -> Callable[[Endpoint], Endpoint]:
    """Declare and enforce the scope of a plain Starlette endpoint, which may raise Problem, also inside of a mount."""

    def wrap(endpoint: Endpoint) -> Endpoint:
        async def guarded(request: Request) -> Response:
            try:
                admit(request, scope)
                return await endpoint(request)
            except Problem as problem:  # a mounted application does not know our handlers
                return problem.response(request.scope.get(CORRELATION_KEY))

        setattr(guarded, SCOPE_ATTRIBUTE, scope)
        guarded.__name__ = getattr(endpoint, "__name__", "endpoint")
        guarded.__doc__ = endpoint.__doc__
        return guarded

    return wrap


@dataclass(frozen=True, slots=True)
class DeclaredRoute:
    """One path with its methods and the scopes that it asks for (all of them); no scope means nobody declared one."""

    path: str
    methods: frozenset[str]
    scopes: frozenset[str]

    @property
    def public(self) -> bool:
        """Whether it answers without credentials, on purpose."""
        return self.path in PUBLIC_PATHS


def declared_routes(app: FastAPI) -> list[DeclaredRoute]:
    """Every route of an application: FastAPI's, included routers', plain Starlette ones, mounts (also opaque ones)."""
    return list(_walk(app.routes, ""))


@lru_cache(maxsize=PATHS_CACHED)
def template_of(path: str) -> str:
    """A path as the description and the metrics have it: `/v1/items/{sku}` of `/v1/items/{sku:path}`."""
    return _CONVERTOR.sub("}", path)


def unprotected_routes(app: FastAPI) -> list[str]:
    """The paths that neither declare a scope nor are on the short public list; must be empty."""
    return sorted(route.path for route in declared_routes(app) if not route.scopes and not route.public)


def check_routes(app: FastAPI) -> None:
    """Refuse an application with a route that declares no scope. Raises RouteWithoutScope."""
    if missing := unprotected_routes(app):
        msg = f"these routes declare no scope (use require(...) or secured(...)): {', '.join(missing)}"
        raise RouteWithoutScope(msg)


def _walk(routes: list[BaseRoute], prefix: str) -> Iterator[DeclaredRoute]:
    for context in iter_route_contexts(routes):
        route = context.original_route
        path = prefix + template_of(context.path or "")
        if isinstance(route, (Mount, Host)):
            yield from _walk_mounted(route, path)
            continue
        methods = frozenset(context.methods or {"GET"})
        yield DeclaredRoute(path, methods, frozenset(_scopes(context, route)))


def _walk_mounted(route: Mount | Host, path: str) -> Iterator[DeclaredRoute]:
    inner = getattr(route.app, "routes", None)
    if inner is None:  # an opaque ASGI application: nothing is known about it, so nothing is declared
        scope = getattr(route.app, SCOPE_ATTRIBUTE, None)
        yield DeclaredRoute(path, frozenset({"GET"}), frozenset({scope} if isinstance(scope, str) else ()))
        return
    yield from _walk(inner, path)


def _scopes(context: Any, route: BaseRoute) -> Iterator[str]:
    if isinstance(route, APIRoute):
        yield from _dependency_scopes(context.dependant)
    scope = getattr(getattr(route, "endpoint", None), SCOPE_ATTRIBUTE, None)
    if isinstance(scope, str):
        yield scope


def _dependency_scopes(dependant: Dependant) -> Iterator[str]:
    if isinstance(dependant.call, Require):
        yield dependant.call.scope
    for inner in dependant.dependencies:
        yield from _dependency_scopes(inner)
