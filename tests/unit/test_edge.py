"""The edge: limits, deadlines, ids, headers and failures of any request, in and out."""

import asyncio
import io
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import httpx
import orjson
import pytest
import structlog
from fastapi import Depends, FastAPI, Request, Response
from prometheus_client import CollectorRegistry
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import StreamingResponse
from starlette.types import Message, Scope

from services.chassis import logs, tracing
from services.chassis.auth import require
from services.chassis.database import CommitUnknown, DatabaseUnavailable, StillInConflict
from services.chassis.http import add_hot_route
from services.chassis.problems import CONFLICT, MEDIA_TYPE, Problem
from services.chassis.strict_json import read_json_body
from tests.support.http import Credentials, app_for_tests, client_of

SCOPE = "thing.write"
LIMIT_BYTES = 1_000


class Thing(BaseModel):
    """A body with rules."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(max_length=10)
    count: int = Field(gt=0, le=10**12)
    password: str | None = Field(default=None, min_length=8)


async def _echo_hot(request: Request) -> Response:
    thing = await read_json_body(request, Thing)
    return Response(thing.model_dump_json(), media_type="application/json")


class House:
    """An application with a hot and a FastAPI route of the same body, and what it counted and logged."""

    def __init__(self, **options: Any) -> None:
        self.credentials = Credentials()
        self.headers = self.credentials.headers(SCOPE, "metrics.read")
        self.registry = CollectorRegistry()
        self.access = io.BytesIO()
        given: dict[str, Any] = {
            "registry": self.registry,
            "body_limit_bytes": LIMIT_BYTES,
            "access_log": logs.AccessLog(every=1, output=self.access),
            **options,
        }
        self.app = app_for_tests(self.credentials, **given)
        add_hot_route(self.app, "/hot", _echo_hot, scope=SCOPE)
        self.app.add_api_route("/slow-lane", _echo_api, methods=["POST"], dependencies=[_requires()])

    def add(self, path: str, endpoint: Callable[[Request], Any]) -> None:
        add_hot_route(self.app, path, endpoint, scope=SCOPE, methods=["GET", "POST"])

    def client(self) -> Any:
        return client_of(self.app, self.headers)

    async def get(self, path: str, **options: Any) -> httpx.Response:
        async with self.client() as client:
            response: httpx.Response = await client.get(path, **options)
            return response

    async def post(self, path: str, body: bytes, kind: str = "application/json") -> httpx.Response:
        async with self.client() as client:
            response: httpx.Response = await client.post(path, content=body, headers={"content-type": kind})
            return response

    def counted(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(name, labels)

    def access_lines(self) -> list[dict[str, Any]]:
        return [orjson.loads(line) for line in self.access.getvalue().splitlines()]


def _requires() -> Any:
    return Depends(require(SCOPE))


async def _echo_api(thing: Thing) -> Thing:
    return thing


@pytest.fixture
def house() -> House:
    return House()


BOTH = pytest.mark.parametrize("path", ["/hot", "/slow-lane"])


@BOTH
async def test_a_good_body_is_read(house: House, path: str) -> None:
    answer = await house.post(path, b'{"name": "\\u00e4 \\ud83d\\ude00", "count": 3}')
    assert answer.status_code == 200
    assert answer.json()["name"] == "ä 😀"


@BOTH
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"nonsense",
        b'{"name": "a", "count": NaN}',
        b'{"name": "a", "count": Infinity}',
        b'{"name": "a", "count": -Infinity}',
        b'{"name": "a", "count": 1, "count": 2}',
        b'{"name": {"x": 1, "x": 1}, "count": 1}',
        b'{"name": "\\ud800", "count": 1}',
        b'{"name": "\\udc00\\ud800", "count": 1}',
        b'{"name": "\xff", "count": 1}',
        b'{"name": "\xed\xa0\x80", "count": 1}',
        b"[" * 200 + b"]" * 200,
        b'{"a":' * 120 + b"1" + b"}" * 120,
        b'{"name": "a", "count": ' + b"9" * 900 + b"}",
        b'{"name": "a", "count": 1e999}',
        b'{"name": "a", "count": 1} trailing',
        b'\xef\xbb\xbf{"name": "a", "count": 1}',
        b"null",
        b"[]",
        b'"text"',
        b'{"name": "a\x00b", "count": 1}',
    ],
    ids=lambda body: repr(body)[:40],
)
async def test_a_body_that_cannot_be_trusted_is_refused_and_never_a_500(house: House, path: str, body: bytes) -> None:
    answer = await house.post(path, body)
    assert answer.status_code in {400, 422}
    assert answer.headers["content-type"] == MEDIA_TYPE
    assert answer.json()["code"] in {"malformed_json", "validation_failed"}


async def test_a_number_of_thousands_of_digits_is_refused() -> None:
    house = House(body_limit_bytes=100_000)
    for path in ("/hot", "/slow-lane"):
        answer = await house.post(path, b'{"name": "a", "count": ' + b"9" * 5_000 + b"}")
        assert (answer.status_code, answer.json()["code"]) == (400, "malformed_json")


async def test_depth_that_would_overflow_a_parser_is_refused() -> None:
    house = House(body_limit_bytes=1_000_000)
    for path in ("/hot", "/slow-lane"):
        answer = await house.post(path, b"[" * 400_000)
        assert (answer.status_code, answer.json()["code"]) == (400, "malformed_json")


@BOTH
async def test_a_broken_rule_is_named_without_repeating_the_value(house: House, path: str) -> None:
    answer = await house.post(path, b'{"name": "much too long a name", "count": 0, "password": "hunter2", "extra": 1}')
    assert (answer.status_code, answer.json()["code"]) == (422, "validation_failed")
    assert {error["location"] for error in answer.json()["errors"]} == {
        "body/name",
        "body/count",
        "body/password",
        "body/extra",
    }
    assert "hunter2" not in answer.text
    assert "much too" not in answer.text


@BOTH
async def test_a_body_larger_than_the_limit_is_refused(house: House, path: str) -> None:
    answer = await house.post(path, b" " * (LIMIT_BYTES + 1))
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")
    assert answer.json()["limit_bytes"] == LIMIT_BYTES
    assert answer.headers["connection"] == "close"


@BOTH
async def test_a_chunked_body_has_the_same_limit_and_is_not_read_to_its_end(house: House, path: str) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while sent < 1_000 * LIMIT_BYTES:
            sent += 100
            yield b" " * 100

    async with house.client() as client:
        answer = await client.post(path, content=endless(), headers={"content-type": "application/json"})
    assert answer.status_code == 413
    assert sent <= LIMIT_BYTES + 200


async def test_a_chunked_body_within_the_limit_is_read(house: House) -> None:
    async def parts() -> AsyncIterator[bytes]:
        for part in (b'{"name": ', b'"a", ', b'"count": 1}'):
            yield part

    async with house.client() as client:
        answer = await client.post("/hot", content=parts(), headers={"content-type": "application/json"})
    assert answer.status_code == 200


@pytest.mark.parametrize("length", ["-1", "abc", "1e3", "9" * 40])
async def test_a_length_that_is_none_is_refused(house: House, length: str) -> None:
    async with house.client() as client:
        answer = await client.post("/hot", content=b"{}", headers={"content-length": length})
    assert answer.status_code == 413


async def test_a_path_may_have_its_own_limit() -> None:
    house = House(body_limits_bytes={"/hot": 10_000})
    body = b'{"name": "a", "count": 1}' + b" " * LIMIT_BYTES
    assert (await house.post("/hot", body)).status_code == 200
    assert (await house.post("/slow-lane", body)).status_code == 413


@BOTH
@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "", "application/jsonx"])
async def test_another_kind_of_body_is_refused(house: House, path: str, kind: str) -> None:
    answer = await house.post(path, b'{"name": "a", "count": 1}', kind)
    assert answer.status_code in {415, 422}
    assert answer.headers["content-type"] == MEDIA_TYPE


async def test_a_compressed_body_is_refused_before_it_can_explode(house: House) -> None:
    async with house.client() as client:
        answer = await client.post(
            "/hot", content=b"\x1f\x8b", headers={"content-encoding": "gzip", "content-type": "application/json"}
        )
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")


async def test_the_body_of_a_stranger_is_not_read(house: House) -> None:
    read: list[bytes] = []

    async def body() -> AsyncIterator[bytes]:
        read.append(b"{}")
        yield b"{}"

    async with client_of(house.app) as client:
        answer = await client.post("/hot", content=body(), headers={"content-type": "application/json"})
    assert answer.status_code == 401
    assert read == []


def _scope(house: House, path: str, headers: Mapping[str, str]) -> Scope:
    raw = [(name.lower().encode(), value.encode()) for name, value in {**house.headers, **headers}.items()]
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": raw,
        "client": ("test", 1),
        "server": ("test", 1),
    }


async def _call(house: House, path: str, receive: Any, headers: Mapping[str, str]) -> tuple[int, dict[str, Any]]:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    await house.app(_scope(house, path, headers), receive, send)
    body = b"".join(message.get("body", b"") for message in sent[1:])
    return sent[0]["status"], orjson.loads(body)


async def test_a_body_that_does_not_arrive_in_time_is_a_408() -> None:
    house = House(deadlines_seconds={"/hot": 0.01})

    async def slow() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    status, document = await _call(house, "/hot", slow, {"content-length": "10"})
    assert (status, document["code"]) == (408, "request_timeout")


async def test_a_client_that_goes_away_in_its_body_is_not_a_defect(house: House) -> None:
    async def gone() -> Message:
        return {"type": "http.disconnect"}

    status, _ = await _call(house, "/hot", gone, {"content-length": "10"})
    assert status == 400
    assert house.counted("http_unexpected_errors_total") == 0.0


async def test_an_answer_that_takes_too_long_is_a_503_with_the_outcome_unknown() -> None:
    house = House(deadline_seconds=0.01)
    cancelled = asyncio.Event()

    async def never(_: Request) -> Response:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        raise AssertionError

    house.add("/never", never)
    answer = await house.get("/never")
    assert (answer.status_code, answer.json()["code"], answer.headers["retry-after"]) == (503, "deadline_exceeded", "1")
    assert cancelled.is_set()


async def test_a_request_that_the_server_cuts_at_its_end_is_answered(house: House) -> None:
    running = asyncio.Event()

    async def never(_: Request) -> Response:
        running.set()
        await asyncio.Event().wait()
        raise AssertionError

    house.add("/never", never)
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    task = asyncio.create_task(house.app(_scope(house, "/never", {}), receive, send))
    await running.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (sent[0]["status"], orjson.loads(sent[1]["body"])["code"]) == (503, "draining")


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (CommitUnknown("x"), 503, "commit_unknown"),
        (DatabaseUnavailable("x"), 503, "dependency_unavailable"),
        (StillInConflict("x"), 503, "overloaded"),
        (asyncpg.QueryCanceledError("x"), 503, "deadline_exceeded"),
        (TimeoutError(), 503, "deadline_exceeded"),
        (ConnectionRefusedError(), 503, "dependency_unavailable"),
        (Problem(CONFLICT, "no", order_id="o-1"), 409, "conflict"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
@pytest.mark.parametrize("lane", ["hot", "slow"])
async def test_operating_failures_say_whether_to_try_again(
    house: House, error: Exception, status: int, code: str, lane: str
) -> None:
    async def fail(_: Request) -> Response:
        raise error

    async def fail_api() -> None:
        raise error

    if lane == "hot":
        house.add("/fail", fail)
    else:
        house.app.add_api_route("/fail", fail_api, methods=["GET"], dependencies=[_requires()])
    answer = await house.get("/fail")
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert ("retry-after" in answer.headers) is (status == 503)
    assert house.counted("http_unexpected_errors_total") == 0.0


async def test_an_unexpected_error_is_logged_once_counted_and_tells_the_client_nothing(house: House) -> None:
    async def broken(_: Request) -> Response:
        raise KeyError("the password is hunter2")

    house.add("/broken", broken)
    with structlog.testing.capture_logs() as lines:
        answer = await house.get("/broken", headers={"x-request-id": "order-7"})
    assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")
    assert "hunter2" not in answer.text
    assert answer.json()["correlation_id"] == answer.headers["x-request-id"] == "order-7"
    assert [line["event"] for line in lines] == ["unexpected_error"]
    assert house.counted("http_unexpected_errors_total") == 1.0


async def test_an_answer_that_breaks_half_way_cuts_the_connection(house: House) -> None:
    async def half(_: Request) -> Response:
        async def parts() -> AsyncIterator[bytes]:
            yield b"first"
            raise KeyError

        return StreamingResponse(parts())

    house.add("/half", half)
    with pytest.raises(KeyError):
        await house.get("/half")
    assert house.counted("http_unexpected_errors_total") == 1.0


@pytest.mark.parametrize("given", ["order-7", "a" * 128, "3f2c:retry.1_x"])
async def test_a_given_request_id_is_kept(house: House, given: str) -> None:
    answer = await house.get("/livez", headers={"x-request-id": given})
    assert answer.headers["x-request-id"] == given


@pytest.mark.parametrize("given", ["", "a" * 129, "a b", "a\tb", '"', "é"])
async def test_a_request_id_that_could_do_harm_is_replaced(house: House, given: str) -> None:
    answer = await house.get("/livez", headers={"x-request-id": given.encode("utf-8")})
    assert len(answer.headers["x-request-id"]) == 32


async def test_ids_reach_the_endpoint_and_do_not_stick_to_the_next_request(house: House) -> None:
    seen: list[tuple[str | None, str | None]] = []

    async def look(_: Request) -> Response:
        seen.append((logs.correlation_id.get(), tracing.traceparent.get()))
        return Response()

    house.add("/look", look)
    parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    await house.get("/look", headers={"x-request-id": "one", "traceparent": parent})
    await house.get("/look", headers={"x-request-id": "two"})
    await house.get("/look", headers={"x-request-id": "three", "traceparent": "00-0-0-0"})
    assert seen == [("one", parent), ("two", None), ("three", None)]


async def test_every_answer_has_the_security_headers(house: House) -> None:
    async with house.client() as client:
        answers = [
            await client.get("/livez"),
            await client.get("/nowhere"),
            await client.post("/hot", content=b"{"),
            await client.get("/docs"),
        ]
    for answer in answers:
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["strict-transport-security"].startswith("max-age=")


async def test_requests_are_counted_by_route_template_and_never_by_path(house: House) -> None:
    async def item(item_id: str) -> str:
        return item_id

    house.app.add_api_route("/items/{item_id}", item, methods=["GET"], dependencies=[_requires()])
    for path in ("/items/1", "/items/2", "/nowhere/3", "/livez"):
        await house.get(path)
    await house.post("/hot", b'{"name": "a", "count": 1}')

    count = "http_request_duration_seconds_count"
    assert house.counted(count, method="GET", route="/items/{item_id}", status="200") == 2.0
    assert house.counted(count, method="GET", route="unmatched", status="404") == 1.0
    assert house.counted(count, method="GET", route="/livez", status="200") == 1.0
    assert house.counted(count, method="POST", route="/hot", status="200") == 1.0
    assert house.counted("http_requests_in_flight") == 0.0


async def test_a_made_up_method_makes_no_new_series(house: House) -> None:
    async with house.client() as client:
        await client.request("BREW", "/livez")
    labels = {"method": "OTHER", "route": "/livez", "status": "405"}
    assert house.counted("http_request_duration_seconds_count", **labels) == 1.0


async def test_refused_credentials_are_counted_by_reason(house: House) -> None:
    async with client_of(house.app) as client:
        await client.get("/hot")
        await client.get("/hot", headers={"x-api-key": "nonsense"})
    assert house.counted("http_credentials_refused_total", reason="missing") == 1.0
    assert house.counted("http_credentials_refused_total", reason="malformed") == 1.0


async def test_the_access_line_says_who_what_and_how_long_but_no_path_with_ids(house: House) -> None:
    await house.get("/nowhere/customer-17", headers={"x-request-id": "order-7"})
    [line] = house.access_lines()
    assert line["route"] == "unmatched"
    assert (line["status"], line["subject"], line["correlation_id"]) == (404, "tester", "order-7")
    assert b"customer-17" not in house.access.getvalue()


def test_the_access_log_can_be_thinned_out_but_failures_and_slow_answers_stay() -> None:
    output = io.BytesIO()
    access = logs.AccessLog(every=10, slow_seconds=1.0, output=output)

    def write(status: int, seconds: float) -> None:
        access.write(method="GET", path="/x", status=status, seconds=seconds, correlation="c", subject=None)

    for _ in range(100):
        write(200, 0.001)
    write(503, 0.001)
    write(200, 1.5)
    statuses = [orjson.loads(line)["status"] for line in output.getvalue().splitlines()]
    assert statuses == [200] * 10 + [503, 200]


class OneADay:
    """A limiter that admits one command."""

    def __init__(self) -> None:
        self.taken = 0

    def wait_seconds(self, subject: str) -> float:
        assert subject == "tester"
        self.taken += 1
        return 0.0 if self.taken == 1 else 7.3


async def test_commands_beyond_the_budget_are_refused_and_reads_are_free() -> None:
    house = House(limiter=OneADay())
    body = b'{"name": "a", "count": 1}'
    first, second = await house.post("/hot", body), await house.post("/hot", body)
    assert (first.status_code, second.status_code) == (200, 429)
    assert second.headers["retry-after"] == "8"
    assert (await house.get("/metrics")).status_code == 200


async def test_readiness_says_what_is_missing_and_goes_off_when_draining() -> None:
    checks: dict[str, str | bool] = {"database": True, "tiers": "12 s old", "projection": False}

    async def readiness() -> dict[str, str | bool]:
        return checks

    house = House(readiness=readiness)
    assert (await house.get("/readyz")).status_code == 503
    checks["projection"] = True
    ready = await house.get("/readyz")
    assert (ready.status_code, ready.json()["checks"]["tiers"]) == (200, "12 s old")
    house.app.state.draining = True
    assert (await house.get("/readyz")).status_code == 503
    assert (await house.get("/livez")).status_code == 200


async def test_metrics_are_for_those_who_may_read_them(house: House) -> None:
    answer = await house.get("/metrics")
    assert answer.status_code == 200
    assert "http_requests_in_flight" in answer.text


async def test_web_sockets_are_closed_at_once(house: House) -> None:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    scope = {**_scope(house, "/hot", {}), "type": "websocket"}
    await house.app(scope, receive, send)
    assert [message["type"] for message in sent] == ["websocket.close"]


async def test_a_path_with_a_slash_too_many_is_not_redirected(house: House) -> None:
    answer = await house.get("/hot/", headers={"host": "evil.example"})
    assert answer.status_code == 404


def test_the_application_describes_itself_whole(house: House) -> None:
    document = house.app.openapi()
    assert document["openapi"].startswith("3.1")
    assert document["paths"]["/slow-lane"]["post"]["security"] == [{"token": [SCOPE]}, {"api_key": [SCOPE]}]
    assert document["paths"]["/hot"]["post"]["security"] == [{"token": [SCOPE]}, {"api_key": [SCOPE]}]
    assert set(document["components"]["securitySchemes"]) == {"token", "api_key"}


async def test_the_lifespan_of_the_service_runs_inside_of_the_shell() -> None:
    seen: list[str] = []

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        seen.append("up")
        yield
        seen.append("down")

    house = House(lifespan=lifespan)
    async with house.app.router.lifespan_context(house.app):
        assert seen == ["up"]
    assert seen == ["up", "down"]
