"""The edge: ids, headers, metrics, access lines and health of any request."""

import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import orjson
import pytest
from fastapi import FastAPI, Request, Response
from starlette.types import Message

from services.chassis import logs, tracing
from tests.support.house import SCOPE, House, request_scope, requires
from tests.support.http import client_of


@pytest.fixture
def house() -> House:
    return House()


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

    house.app.add_api_route("/items/{item_id}", item, methods=["GET"], dependencies=[requires()])
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


def _write(access: logs.AccessLog, status: int, seconds: float = 0.001) -> None:
    access.write(method="GET", path="/x", status=status, seconds=seconds, correlation="c", subject=None)


def _statuses(output: io.BytesIO) -> list[int]:
    return [orjson.loads(line)["status"] for line in output.getvalue().splitlines()]


def test_the_access_log_can_be_thinned_out_but_refusals_failures_and_slow_answers_stay() -> None:
    output = io.BytesIO()
    access = logs.AccessLog(every=10, slow_seconds=1.0, output=output)
    for _ in range(100):
        _write(access, 200)
    for status in (400, 401, 403, 404, 409, 413, 422, 429, 503):
        _write(access, status)
    _write(access, 200, seconds=1.5)
    assert _statuses(output) == [200] * 10 + [400, 401, 403, 413, 422, 429, 503, 200]


def test_a_flood_of_refusals_is_not_a_flood_of_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "ACCESS_LINES_PER_SECOND_MAX", 10)
    output = io.BytesIO()
    seconds = iter([1] * 1_000 + [2])
    access = logs.AccessLog(every=0, output=output, now=lambda: datetime.fromtimestamp(next(seconds), UTC))
    for _ in range(1_000):
        _write(access, 401)
    assert len(_statuses(output)) == 10
    _write(access, 401)
    assert orjson.loads(output.getvalue().splitlines()[-1])["left_out"] == 990


async def test_the_operator_sees_why_a_caller_was_refused(house: House) -> None:
    async with client_of(house.app) as client:
        await client.get("/hot", headers={"x-api-key": "nonsense"})
    [line] = house.access_lines()
    assert (line["status"], line["refusal"], line["subject"]) == (401, "malformed", None)


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

    scope = {**request_scope(house, "/hot", {}), "type": "websocket"}
    await house.app(scope, receive, send)
    assert [message["type"] for message in sent] == ["websocket.close"]


@pytest.mark.parametrize("path", ["/slow-lane", "/hot"])
async def test_a_query_that_could_be_no_stored_text_is_refused(house: House, path: str) -> None:
    answer = await house.post(f"{path}?after=a%00b", b'{"name": "a", "count": 3}')
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")


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
