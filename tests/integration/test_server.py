"""The server on real sockets: slow, huge and endless clients are cut, and a stop loses no answer."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx
import orjson
import pytest
from fastapi import Request, Response
from fastapi.responses import StreamingResponse

from services.chassis import http_protocol, server
from services.chassis.auth import RouteWithoutScope
from services.chassis.http import add_hot_route
from services.chassis.http_protocol import HEADERS_MAX, HEADERS_MAX_BYTES
from services.chassis.server import PortInUse, listen, serve
from tests.support.http import Credentials, app_for_tests

HOST = "127.0.0.1"
DEADLINE_SECONDS = 60.0
SCOPE = "thing.write"


class Running:
    """An application that is served, and its credentials."""

    def __init__(self, port: int, headers: dict[str, str], stop: asyncio.Event, serving: asyncio.Task[None]) -> None:
        self.port = port
        self.headers = headers
        self.stop = stop
        self.serving = serving

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    @property
    def key_line(self) -> bytes:
        return b"x-api-key: " + self.headers["x-api-key"].encode() + b"\r\n"

    async def say(self, *parts: bytes) -> bytes:
        """Send the parts and read until the server closes the connection."""
        async with asyncio.timeout(DEADLINE_SECONDS):
            reader, writer = await asyncio.open_connection(HOST, self.port)
            try:
                for part in parts:
                    writer.write(part)
                    await writer.drain()
                return await reader.read()
            finally:
                writer.close()


async def _length_of_body(request: Request) -> Response:
    return Response(str(len(await request.body())))


@asynccontextmanager
async def _running(
    endpoints: Mapping[str, Callable[[Request], Awaitable[Response]]] | None = None, **options: Any
) -> AsyncIterator[Running]:
    credentials = Credentials()
    app = app_for_tests(credentials, **options)
    for path, endpoint in (endpoints or {"/length": _length_of_body}).items():
        add_hot_route(app, path, endpoint, scope=SCOPE, methods=["GET", "POST"])
    listener = listen(HOST, 0)
    stop = asyncio.Event()
    serving = asyncio.create_task(serve(app, listener, stop))
    yield Running(listener.getsockname()[1], credentials.headers(SCOPE), stop, serving)
    stop.set()
    async with asyncio.timeout(DEADLINE_SECONDS):
        await serving


async def test_it_answers() -> None:
    async with (
        _running() as running,
        httpx.AsyncClient(base_url=running.url, headers=running.headers, timeout=DEADLINE_SECONDS) as client,
    ):
        answer = await client.post("/length", content=b"12345")
        assert (answer.status_code, answer.text) == (200, "5")
        assert "server" not in answer.headers


async def test_an_answer_has_one_head_whatever_its_kind() -> None:
    async def in_parts(_: Request) -> Response:
        return StreamingResponse(iter([b"one,", b"two"]), media_type="text/plain")

    async def empty(_: Request) -> Response:
        return Response(status_code=204)

    endpoints = {"/length": _length_of_body, "/parts": in_parts, "/empty": empty}
    async with _running(endpoints) as running:
        asked = b" HTTP/1.1\r\nhost: x\r\n" + running.key_line
        whole = await running.say(b"GET /length" + asked + b"connection: close\r\n\r\n")
        assert whole.count(b"content-length: 1\r\n") == 1
        assert whole.endswith(b"\r\nconnection: close\r\n\r\n0")
        parts = await running.say(b"GET /parts" + asked + b"connection: close\r\n\r\n")
        assert parts.endswith(b"\r\n\r\n4\r\none,\r\n3\r\ntwo\r\n0\r\n\r\n")
        nothing = await running.say(b"GET /empty" + asked + b"connection: close\r\n\r\n")
        assert nothing.startswith(b"HTTP/1.1 204 ")
        assert nothing.endswith(b"\r\n\r\n")
        both = await running.say(b"GET /length" + asked + b"\r\nGET /length" + asked + b"connection: close\r\n\r\n")
        assert both.count(b"HTTP/1.1 200 OK\r\n") == 2


async def test_a_header_that_would_be_two_is_never_sent() -> None:
    async def split(_: Request) -> Response:
        return Response("secret", headers={"x-note": "a\r\nset-cookie: b"})

    async with _running({"/split": split}) as running:
        answer = await running.say(b"GET /split HTTP/1.1\r\nhost: x\r\n" + running.key_line + b"\r\n")
        assert answer.startswith(b"HTTP/1.1 500 ")
        assert b"cookie" not in answer
        assert b"secret" not in answer


async def test_headers_that_never_end_are_refused() -> None:
    async with _running() as running:
        for flood in (b"a: " + b"x" * HEADERS_MAX_BYTES + b"\r\n", b"a: b\r\n" * (HEADERS_MAX + 1)):
            answer = await running.say(b"GET /livez HTTP/1.1\r\nhost: x\r\n" + flood)
            assert answer.startswith(b"HTTP/1.1 431 ")
        answer = await running.say(b"GET /" + b"x" * HEADERS_MAX_BYTES)
        assert answer.startswith(b"HTTP/1.1 431 ")
        assert _problem_of(answer)["code"] == "headers_too_large"


@pytest.mark.parametrize(
    "request_",
    [b"FOO /livez HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02", b"GET / HTTP/1.1\r\na b: c\r\n"],
)
async def test_what_is_no_http_is_answered_with_a_problem_document(request_: bytes) -> None:
    async with _running() as running:
        answer = await running.say(request_)
        assert answer.startswith(b"HTTP/1.1 400 ")
        assert _problem_of(answer)["code"] == "bad_request"


def _problem_of(answer: bytes) -> dict[str, Any]:
    head, body = answer.split(b"\r\n\r\n", 1)
    lines = head.lower().split(b"\r\n")
    assert b"content-type: application/problem+json" in lines
    assert f"content-length: {len(body)}".encode() in lines
    found: dict[str, Any] = orjson.loads(body)
    return found


async def test_a_client_that_never_finishes_its_headers_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_protocol, "HEADERS_DEADLINE_SECONDS", 0.05)
    async with _running() as running:
        assert await running.say() == b""
        assert await running.say(b"GET /livez HTTP/1.1\r\nho") == b""


async def test_headers_may_come_in_parts() -> None:
    async with _running() as running:
        answer = await running.say(b"GET /livez HTTP/1.1\r\nho", b"st: x\r\n", b"connection: close\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 200 ")


async def test_a_second_request_with_endless_headers_is_cut_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_protocol, "HEADERS_DEADLINE_SECONDS", 1.0)
    async with _running() as running:
        answer = await running.say(b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n", b"GET /livez HTTP/1.1\r\nho")
        assert answer.count(b"HTTP/1.1 200 ") == 1


async def test_a_body_that_drips_is_cut_with_a_408() -> None:
    async with _running(deadlines_seconds={"/length": 0.1}) as running:
        answer = await running.say(
            b"POST /length HTTP/1.1\r\nhost: x\r\n" + running.key_line + b"content-length: 10\r\n\r\n12"
        )
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b"connection: close" in answer


async def test_a_chunked_body_beyond_the_limit_is_refused_and_the_connection_closed() -> None:
    async with _running(body_limit_bytes=1_000) as running:
        answer = await running.say(
            b"POST /length HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n" + running.key_line + b"\r\n",
            *[b"200\r\n" + b"x" * 512 + b"\r\n"] * 3,
        )
        assert answer.startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"POST /length HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /length HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabcd",
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"GET / HTTP/9.9\r\n\r\n",
        b"nonsense\r\n\r\n",
    ],
    ids=["two framings", "two lengths", "TLS", "version", "nonsense"],
)
async def test_what_is_not_http_is_refused(request_bytes: bytes) -> None:
    async with _running() as running:
        answer = await running.say(request_bytes)
        assert answer.startswith(b"HTTP/1.1 400 ")


async def test_requests_in_one_packet_are_answered_in_order_and_keep_their_own_ids() -> None:
    async def who(request: Request) -> Response:
        return Response(request.scope["correlation_id"])

    async with _running({"/who": who}) as running:

        def ask(name: bytes, last: bytes = b"") -> bytes:
            return (
                b"GET /who HTTP/1.1\r\nhost: x\r\n"
                + running.key_line
                + b"x-request-id: "
                + name
                + b"\r\n"
                + last
                + b"\r\n"
            )

        answer = await running.say(ask(b"one") + ask(b"two") + ask(b"three", b"connection: close\r\n"))
        assert [part.rsplit(b"\r\n\r\n", 1)[1] for part in answer.split(b"HTTP/1.1 200 ")[1:]] == [
            b"one",
            b"two",
            b"three",
        ]


async def test_a_stop_lets_the_request_in_flight_finish_and_takes_no_new_one() -> None:
    inside, finish = asyncio.Event(), asyncio.Event()

    async def slow(_: Request) -> Response:
        inside.set()
        await finish.wait()
        return Response(b"done")

    async with _running({"/slow": slow}) as running, httpx.AsyncClient(headers=running.headers) as client:
        answer = asyncio.create_task(client.get(f"{running.url}/slow", timeout=DEADLINE_SECONDS))
        await inside.wait()
        running.stop.set()
        async with asyncio.timeout(DEADLINE_SECONDS):
            while True:
                try:
                    _, writer = await asyncio.open_connection(HOST, running.port)
                except OSError:  # refused, or reset while it was still in the queue of the closed listener
                    break
                writer.close()
                await writer.wait_closed()
        finish.set()
        assert (await answer).text == "done"


async def test_an_idle_connection_does_not_hold_up_the_stop() -> None:
    async with _running() as running, httpx.AsyncClient(base_url=running.url, timeout=DEADLINE_SECONDS) as client:
        assert (await client.get("/livez")).status_code == 200
        running.stop.set()
        async with asyncio.timeout(DEADLINE_SECONDS / 2):
            await running.serving


async def test_a_request_that_outlives_the_grace_period_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "GRACEFUL_SECONDS", 1)
    inside = asyncio.Event()

    async def never(_: Request) -> Response:
        inside.set()
        await asyncio.Event().wait()
        raise AssertionError

    async with _running({"/never": never}) as running, httpx.AsyncClient(headers=running.headers) as client:
        answer = asyncio.create_task(client.get(f"{running.url}/never", timeout=DEADLINE_SECONDS))
        await inside.wait()
        running.stop.set()
        response = await answer
        assert (response.status_code, orjson.loads(response.content)["code"]) == (503, "draining")


async def test_an_application_with_an_open_route_is_not_served() -> None:
    app = app_for_tests(Credentials())
    app.add_api_route("/forgotten", _length_of_body)
    listener = listen(HOST, 0)
    with pytest.raises(RouteWithoutScope, match="/forgotten"):
        await serve(app, listener, asyncio.Event())
    listener.close()


def test_a_port_in_use_says_what_to_change() -> None:
    listener = listen(HOST, 0)
    port = listener.getsockname()[1]
    with pytest.raises(PortInUse, match=f"{port}.*another port"):
        listen(HOST, port)
    listener.close()
