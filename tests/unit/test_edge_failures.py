"""Failures at the edge: what the client is told, what is counted, and what is logged, once."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import orjson
import pytest
import structlog
from fastapi import Request, Response
from starlette.responses import StreamingResponse
from starlette.types import Message

from services.chassis.database import CommitUnknown, DatabaseUnavailable, StillInConflict
from services.chassis.problems import CONFLICT, Problem
from tests.support.house import House, request_scope, requires
from tests.support.waiting import until


@pytest.fixture
def house() -> House:
    return House()


async def test_an_answer_that_takes_too_long_is_a_503_with_the_outcome_unknown() -> None:
    house = House(deadline_seconds=0.05)
    cancelled: list[bool] = []

    async def never(_: Request) -> Response:
        cancelled.append(False)
        try:
            await asyncio.Event().wait()
        finally:
            cancelled[-1] = True
        raise AssertionError

    async def began_and_was_cut() -> bool:
        answer = await house.get("/never")
        assert (answer.status_code, answer.json()["code"]) == (503, "deadline_exceeded")
        assert answer.headers["retry-after"] == "1"
        return bool(cancelled)  # on a busy machine the time may be over before the endpoint begins

    house.add("/never", never)
    await until(began_and_was_cut)
    assert all(cancelled)


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

    task = asyncio.create_task(house.app(request_scope(house, "/never", {}), receive, send))
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
        house.app.add_api_route("/fail", fail_api, methods=["GET"], dependencies=[requires()])
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
