"""Log lines: JSON, with ids, without secrets, whoever writes them."""

import io
import logging
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
import structlog

from services.chassis import logs

KEY = "tiercel_0a1b2c3d4e5f6071" + ".AbCdEfGhIjKlMnOpQrStUvWxYz0123456789-_abcde"
TOKEN = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJzaG9wIn0.c2lnbmF0dXJl"


class Written:
    """What was written, line by line."""

    def __init__(self) -> None:
        self.output = io.BytesIO()

    def lines(self) -> list[dict[str, Any]]:
        return [orjson.loads(line) for line in self.output.getvalue().splitlines()]


@pytest.fixture
def written() -> Iterator[Written]:
    written = Written()
    with logs.configured("INFO", written.output):
        yield written


def test_after_a_while_lines_go_where_they_went_before(written: Written) -> None:
    with io.BytesIO() as inner, logs.configured("DEBUG", inner):
        structlog.get_logger("x").debug("inside")
        logging.getLogger("some.library").debug("inside too")
        assert inner.getvalue().count(b"\n") == 2
    structlog.get_logger("x").info("outside")
    logging.getLogger("some.library").warning("outside too")
    logging.getLogger("some.library").debug("not shown")
    assert [line["event"] for line in written.lines()] == ["outside", "outside too"]


def test_a_line_is_json_with_time_level_and_ids(written: Written) -> None:
    correlation = logs.correlation_id.set("corr-1")
    causation = logs.causation_id.set("event-9")
    structlog.get_logger("x").info("promised", order="o-1", lines=3)
    logs.correlation_id.reset(correlation)
    logs.causation_id.reset(causation)
    structlog.get_logger("x").debug("not shown")
    [line] = written.lines()
    assert {**line, "at": ""} == {
        "event": "promised",
        "order": "o-1",
        "lines": 3,
        "level": "info",
        "correlation_id": "corr-1",
        "causation_id": "event-9",
        "at": "",
    }
    assert line["at"].endswith("+00:00")


def test_libraries_write_the_same_lines(written: Written) -> None:
    logging.getLogger("some.library").warning("lost %s after %d s", "peer", 3)
    [line] = written.lines()
    assert (line["event"], line["level"], line["logger"]) == ("lost peer after 3 s", "warning", "some.library")


def _fail(password: str) -> None:
    raise KeyError(len(password))


def test_an_exception_is_written_with_its_trace_and_without_local_values(written: Written) -> None:
    password = f"hunter2-{KEY[-5:]}"
    try:
        _fail(password)
    except KeyError as error:
        structlog.get_logger("x").error("failed", exc_info=error)
    [line] = written.lines()
    assert "KeyError: 13" in line["exception"]
    assert password not in orjson.dumps(line).decode()


@pytest.mark.parametrize(
    ("fields", "hidden"),
    [
        ({"api_key": "plain-secret"}, "plain-secret"),
        ({"headers": {"Authorization": "Basic cGxhaW4="}}, "cGxhaW4="),
        ({"headers": {"X-API-Key": "plain-secret"}}, "plain-secret"),
        ({"settings": [{"password": "plain-secret"}]}, "plain-secret"),
        ({"reason": f"refused {KEY} again"}, KEY.partition(".")[2]),
        ({"reason": f"Bearer {TOKEN}"}, TOKEN),
        ({"reason": f"got {TOKEN}"}, TOKEN.split(".")[1]),
        ({"url": "postgresql://tiercel:plain-secret@db:5432/tiercel"}, "plain-secret"),
        ({"error": "cannot reach redis://:plain-secret@cache:6379"}, "plain-secret"),
        ({"note": "password=plain-secret, token: plain-secret"}, "plain-secret"),
    ],
    ids=str,
)
def test_secrets_are_taken_out_wherever_they_hide(written: Written, fields: dict[str, Any], hidden: str) -> None:
    structlog.get_logger("x").info("seen", **fields)
    logging.getLogger("some.library").error("seen %s", fields)
    assert hidden not in written.output.getvalue().decode()


def test_raw_bytes_are_somebodys_payload_and_only_counted(written: Written) -> None:
    structlog.get_logger("x").info("seen", raw=b"plain-secret")
    assert written.lines()[0]["raw"] == "<12 bytes>"


def test_a_key_keeps_its_id_so_that_it_can_be_revoked() -> None:
    assert logs.clean_text(f"refused {KEY}") == f"refused tiercel_0a1b2c3d4e5f6071.{logs.REDACTED}"


def test_ordinary_text_is_left_alone() -> None:
    text = "order o-1 of customer c-1 costs 10.00 at https://example.com/path; token refresh is due, basic: none"
    assert logs.clean_text(text) == text


def test_a_line_cannot_be_broken_or_lost(written: Written) -> None:
    structlog.get_logger("x").info("bad\nline", sku="\ud800", note="a\r\nlevel=error", what=object())
    [line] = written.lines()
    assert line["note"] in {"a\r\nlevel=error", repr("a\r\nlevel=error")}


def test_a_text_of_a_megabyte_is_cut(written: Written) -> None:
    structlog.get_logger("x").info("big", body="x" * 1_000_000)
    assert len(written.output.getvalue()) < 2 * logs.TEXT_MAX_CHARS
