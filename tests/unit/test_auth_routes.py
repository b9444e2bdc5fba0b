"""Routes: one without a scope keeps the application from starting, and no route answers to a stranger."""

from typing import Annotated

import httpx
import pytest
from fastapi import APIRouter, Depends, FastAPI, Request, Response
from starlette.applications import Starlette
from starlette.routing import Mount, Route
from starlette.types import Receive, Scope, Send

from services.chassis.auth import (
    Principal,
    RouteWithoutScope,
    authorize,
    check_routes,
    principal_of,
    require,
    secured,
    unprotected_routes,
)
from services.chassis.auth.routes import declared_routes
from services.chassis.http import add_hot_route
from tests.support.http import Credentials, app_for_tests, client_of, strangers_let_in


async def _answer(_: Request) -> Response:
    return Response(b"{}", media_type="application/json")


async def _fastapi_answer() -> dict[str, str]:
    return {}


@pytest.fixture
def credentials() -> Credentials:
    return Credentials()


@pytest.fixture
def app(credentials: Credentials) -> FastAPI:
    """One route of every kind, each with a scope."""
    app = app_for_tests(credentials)
    router = APIRouter(prefix="/v1/things", dependencies=[Depends(require("things.read"))])
    router.add_api_route("/{thing_id}", _fastapi_answer, methods=["GET"])
    nested = APIRouter()
    nested.add_api_route("/deep/{a}:confirm", _fastapi_answer, methods=["POST"])
    router.include_router(nested, prefix="/nested", dependencies=[Depends(require("things.write"))])
    app.include_router(router)
    app.add_api_route("/v1/own", _fastapi_answer, methods=["PUT"], dependencies=[Depends(require("own.write"))])
    app.add_route("/v1/plain/{id}", secured("plain.read")(_answer), methods=["GET"])
    app.mount("/mounted", Starlette(routes=[Route("/inner", secured("inner.read")(_answer), methods=["GET", "POST"])]))
    add_hot_route(app, "/v1/hot", _answer, scope="hot.write")
    return app


async def test_no_route_of_any_kind_answers_to_a_stranger(app: FastAPI, credentials: Credentials) -> None:
    assert await strangers_let_in(app, credentials.headers()) == []


async def test_the_proof_finds_a_route_that_answers(app: FastAPI, credentials: Credentials) -> None:
    """A test of the test: routes open on purpose are found, each by its own fault."""
    app.add_route("/open", secured("nothing")(_answer), methods=["GET"])
    faults = await strangers_let_in(app, credentials.headers("nothing"))
    assert faults == ["GET /open: 200 instead of 403", "HEAD /open: 200 instead of 403"]


def test_all_routes_are_seen_with_all_their_scopes(app: FastAPI) -> None:
    seen = {route.path: (sorted(route.methods), sorted(route.scopes)) for route in declared_routes(app)}
    assert seen["/v1/things/{thing_id}"] == (["GET"], ["things.read"])
    assert seen["/v1/things/nested/deep/{a}:confirm"] == (["POST"], ["things.read", "things.write"])
    assert seen["/v1/own"] == (["PUT"], ["own.write"])
    assert seen["/v1/plain/{id}"] == (["GET", "HEAD"], ["plain.read"])
    assert seen["/mounted/inner"] == (["GET", "HEAD", "POST"], ["inner.read"])
    assert seen["/v1/hot"] == (["POST"], ["hot.write"])
    assert seen["/metrics"] == (["GET", "HEAD"], ["metrics.read"])


def test_only_health_and_the_description_are_public(app: FastAPI) -> None:
    public = {route.path for route in declared_routes(app) if route.public}
    assert public == {"/livez", "/readyz", "/openapi.json", "/docs"}
    assert unprotected_routes(app) == []


async def _opaque(scope: Scope, receive: Receive, send: Send) -> None:
    """An application that nobody can look into."""


def _by_fastapi(app: FastAPI) -> None:
    app.add_api_route("/forgotten", _fastapi_answer)


def _by_starlette(app: FastAPI) -> None:
    app.add_route("/forgotten", _answer)


def _in_router(app: FastAPI) -> None:
    router = APIRouter()
    router.add_api_route("/forgotten", _fastapi_answer)
    app.include_router(router)


def _in_mount(app: FastAPI) -> None:
    app.router.routes.append(Mount("/", routes=[Route("/forgotten", _answer)]))


def _opaque_mount(app: FastAPI) -> None:
    app.mount("/forgotten", _opaque)


def _websocket(app: FastAPI) -> None:
    async def chat() -> None:
        """Never called."""

    app.add_api_websocket_route("/forgotten", chat)


FORGETTERS = [_by_fastapi, _by_starlette, _in_router, _in_mount, _opaque_mount, _websocket]


@pytest.mark.parametrize("forget", FORGETTERS, ids=lambda each: each.__name__)
async def test_an_application_with_a_forgotten_scope_does_not_start(app: FastAPI, forget: object) -> None:
    assert callable(forget)
    forget(app)
    assert unprotected_routes(app) == ["/forgotten"]
    with pytest.raises(RouteWithoutScope, match="/forgotten"):
        check_routes(app)
    with pytest.raises(RouteWithoutScope):
        async with app.router.lifespan_context(app):
            pass
    async with client_of(app) as client:
        with pytest.raises(RouteWithoutScope):
            await client.get("/livez")


async def test_the_caller_reaches_the_endpoint(credentials: Credentials) -> None:
    app = app_for_tests(credentials)

    @app.get("/who")
    async def who(principal: Annotated[Principal, Depends(require("who.read"))]) -> str:
        return principal.subject

    async def plain(request: Request) -> Response:
        principal = await authorize(request, "who.read")
        assert principal is principal_of(request)
        return Response(principal.subject)

    add_hot_route(app, "/plain", plain, scope="who.read", methods=["GET"])
    async with client_of(app, credentials.headers("who.read", subject="alice")) as client:
        assert (await client.get("/who")).json() == "alice"
        assert (await client.get("/plain")).text == "alice"


async def test_outside_of_the_shell_a_route_lets_nobody_in() -> None:
    """Without the edge in front there is no caller, so there is no answer either."""
    bare = Starlette(routes=[Route("/x", secured("x")(_answer))])
    transport = httpx.ASGITransport(bare)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        assert (await client.get("/x")).status_code == 401


async def test_a_stranger_cannot_tell_which_paths_exist(app: FastAPI) -> None:
    async with client_of(app) as client:
        there, not_there = await client.get("/v1/own"), await client.get("/v1/nowhere")
        wrong_method = await client.delete("/v1/things/1")
    assert {there.status_code, not_there.status_code, wrong_method.status_code} == {401}
    without_id = [{**r.json(), "correlation_id": ""} for r in (there, not_there, wrong_method)]
    assert without_id[0] == without_id[1] == without_id[2]


async def test_a_caller_sees_404_for_what_is_not_there_and_405_for_what_is_not_offered(
    app: FastAPI, credentials: Credentials
) -> None:
    async with client_of(app, credentials.headers("own.write", "hot.write")) as client:
        assert (await client.get("/v1/nowhere")).json()["code"] == "not_found"
        wrong = await client.get("/v1/own")
        assert (wrong.status_code, wrong.json()["code"], wrong.headers["allow"]) == (405, "method_not_allowed", "PUT")
        assert (await client.get("/v1/hot")).status_code == 405


async def test_a_caller_without_the_scope_is_told_which_one_is_missing(app: FastAPI, credentials: Credentials) -> None:
    async with client_of(app, credentials.headers("things.read")) as client:
        answer = await client.put("/v1/own")
    assert answer.status_code == 403
    assert answer.json()["scope"] == "own.write"
    assert answer.headers["www-authenticate"] == 'Bearer realm="tiercel", error="insufficient_scope", scope="own.write"'
