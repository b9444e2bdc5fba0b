"""Bodies at the edge: bounded, in time, and meaning one thing; the same for hot and other routes."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from starlette.types import Message

from services.chassis.problems import MEDIA_TYPE, Problem
from services.chassis.strict_json import DEPTH_MAX, refuse_ambiguous
from tests.support.house import LIMIT_BYTES, House, call
from tests.support.http import client_of


@pytest.fixture
def house() -> House:
    return House()


BOTH = pytest.mark.parametrize("path", ["/hot", "/slow-lane"])


def test_a_body_may_be_as_deep_as_is_allowed_and_no_deeper_whatever_its_texts_hold() -> None:
    for opens, closes in ((b"[", b"]"), (b'{"]}[{": ', b"}"), (b'["\\"{", ', b"]")):
        refuse_ambiguous(opens * DEPTH_MAX + b'"[{"' + closes * DEPTH_MAX)
        deeper = DEPTH_MAX + 1
        with pytest.raises(Problem, match="levels deep"):
            refuse_ambiguous(opens * deeper + b'"[{"' + closes * deeper)
    for depth in (200, 254, 255, 256, 500, 1_023, 1_024, 1_025, 100_000):  # around the limits of several parsers
        for opens, closes in ((b"[", b"]"), (b'{"a":', b"}")):
            with pytest.raises(Problem, match="levels deep"):
                refuse_ambiguous(opens * depth + b"1" + closes * depth)
            with pytest.raises(Problem, match="levels deep"):
                refuse_ambiguous(opens * depth)
    with pytest.raises(Problem, match="not valid JSON"):
        refuse_ambiguous(b"[" * DEPTH_MAX + b"}" * DEPTH_MAX)


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
        b"[" * 300 + b"]" * 300,
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
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")


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


async def test_a_body_that_does_not_arrive_in_time_is_a_408() -> None:
    house = House(deadlines_seconds={"/hot": 0.2})

    async def slow() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    status, document = await call(house, "/hot", slow, {"content-length": "10"})
    assert (status, document["code"]) == (408, "request_timeout")


async def test_a_client_that_goes_away_in_its_body_is_not_a_defect(house: House) -> None:
    async def gone() -> Message:
        return {"type": "http.disconnect"}

    status, _ = await call(house, "/hot", gone, {"content-length": "10"})
    assert status == 400
    assert house.counted("http_unexpected_errors_total") == 0.0
