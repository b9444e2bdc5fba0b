"""Structured logs: one JSON object a line on standard error, with correlation and causation ids.

Everything goes one way: the project's own lines (structlog) and those of libraries (the standard logging module) get
the same shape. Values under names that smell of secrets, and secrets inside texts, are replaced before a line is
written. Ids travel in context variables, so a task started by a request inherits them.

The access line has its own path (`AccessLog`): it is written for every request, so it skips the processor chain.
"""

import logging
import re
import sys
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import partial
from typing import Any, BinaryIO, Final

import orjson
import structlog

correlation_id: ContextVar[str | None] = ContextVar("correlation_id", default=None)
_access_log_every: ContextVar[int] = ContextVar("access_log_every", default=0)
causation_id: ContextVar[str | None] = ContextVar("causation_id", default=None)

FAILURE: Final = 500  # statuses from here on are our fault
REFUSALS: Final = frozenset({400, 401, 403, 413, 422, 429})  # what a caller may not, or no service reads
ACCESS_LINES_PER_SECOND_MAX: Final = 1_000  # about 1 % of a core and 250 kB a second
REDACTED: Final = "[redacted]"
TEXT_MAX_CHARS: Final = 8_192  # a stack trace fits; a body that somebody logs does not
_SECRET_NAMES: Final = frozenset(
    {
        "authorization",
        "api_key",
        "x_api_key",
        "apikey",
        "cookie",
        "password",
        "passwd",
        "secret",
        "token",
        "jwt",
        "credential",
    }
)
_SECRET_TEXT: Final = re.compile(
    r"(?P<key>\btiercel_[0-9a-z]{4,32}\.)[0-9A-Za-z_-]{16,}"  # an API key keeps its id, so that it can be revoked
    r"|(?P<bearer>\b(?:bearer|basic)\s+)[^\s\"',]+"
    r"|(?P<url>\w+://[^\s:/@]*:)[^\s@/]+(?=@)"  # the password of a URL
    r"|(?P<named>\b(?:authorization|api[_-]?key|password|passwd|secret|token|cookie)['\"]?\s*[:=]\s*)"
    r"(?!bearer|basic)b?(?:'[^']*'|\"[^\"]*\"|[^\s'\",})]+)"
    r"|\beyJ[0-9A-Za-z_-]{8,}\.[0-9A-Za-z_-]*\.[0-9A-Za-z_-]*",  # a token
    re.IGNORECASE,
)
Line = MutableMapping[str, Any]


def configure(level: str = "INFO", stream: BinaryIO | None = None, *, access_log_every: int = 0) -> None:
    """Set up logging for this process; called once, by the composition root, before tasks are started."""
    _access_log_every.set(access_log_every)
    output = stream or sys.stderr.buffer
    shared: list[structlog.typing.Processor] = [
        _add_ids,
        structlog.stdlib.add_log_level,
        _add_time,
        structlog.processors.format_exc_info,
        structlog.stdlib.PositionalArgumentsFormatter(),
        redact,
    ]
    structlog.configure(
        processors=[*shared, _render_bytes],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.BytesLoggerFactory(output),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(_TextOver(output))
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, _render_text],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for noisy in ("uvicorn.error", "uvicorn", "httpx", "httpcore", "aiokafka"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, root.level))


@contextmanager
def configured(level: str, stream: BinaryIO) -> Iterator[None]:
    """`configure` for as long as the block lasts: nobody may log to a stream that its owner has closed since."""
    root = logging.getLogger()
    handlers, root_level = root.handlers[:], root.level
    former = structlog.get_config() if structlog.is_configured() else None
    configure(level, stream)
    try:
        yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(root_level)
        if former is None:
            structlog.reset_defaults()
        else:
            structlog.configure(**former)


class _TextOver:
    """A text stream over the binary one, so that both kinds of loggers write through one file object."""

    def __init__(self, output: BinaryIO) -> None:
        self._output = output

    def write(self, text: str) -> int:
        return self._output.write(text.encode(errors="replace"))

    def flush(self) -> None:
        self._output.flush()


def _add_ids(_: object, __: str, line: Line) -> Line:
    if (correlation := correlation_id.get()) is not None:
        line.setdefault("correlation_id", correlation)
    if (causation := causation_id.get()) is not None:
        line.setdefault("causation_id", causation)
    return line


def _add_time(_: object, __: str, line: Line) -> Line:
    line["at"] = datetime.now(UTC).isoformat(timespec="milliseconds")
    return line


def redact(_: object, __: str, line: Line) -> Line:
    """The processor that takes secrets out of a line; also applied to nested values."""
    for name, value in line.items():
        line[name] = REDACTED if _is_secret_name(name) else _clean(value)
    return line


def _is_secret_name(name: str) -> bool:
    return name.lower().replace("-", "_") in _SECRET_NAMES


def _clean(value: Any) -> Any:
    match value:
        case str():
            return clean_text(value)
        case dict():
            return {key: REDACTED if _is_secret_name(str(key)) else _clean(inner) for key, inner in value.items()}
        case list() | tuple():
            return [_clean(inner) for inner in value]
        case bytes() | bytearray():
            return f"<{len(value)} bytes>"  # raw bytes are somebody's payload
        case _:
            return value


def clean_text(text: str) -> str:
    """The text without secrets, bounded in length."""
    return _SECRET_TEXT.sub(_keep_prefix, text[:TEXT_MAX_CHARS])


def _keep_prefix(match: re.Match[str]) -> str:
    return (match["key"] or match["bearer"] or match["url"] or match["named"] or "") + REDACTED


def _dump(line: Line) -> bytes:
    return orjson.dumps(line, default=repr, option=orjson.OPT_NON_STR_KEYS)


def _render_bytes(_: object, __: str, line: Line) -> bytes:
    try:
        return _dump(line)
    except orjson.JSONEncodeError:  # a lone surrogate in somebody's text must not cost the line
        return _dump({key: repr(value) for key, value in line.items()})


def _render_text(logger: object, name: str, line: Line) -> str:
    return _render_bytes(logger, name, line).decode()


class AccessLog:
    """One line per request: for what is refused, failures and slow answers always, every n-th for the rest.

    At most `ACCESS_LINES_PER_SECOND_MAX`: a flood of refusals must not become a flood of lines. What was left out is
    counted in the next line.
    """

    def __init__(
        self,
        *,
        every: int | None = None,
        slow_seconds: float = 1.0,
        output: BinaryIO | None = None,
        now: Callable[[], datetime] | None = None,
    ) -> None:
        """`every` 1 writes each request, 100 one in a hundred, 0 only those that are always; None: as configured."""
        self._every = every
        self._slow_seconds = slow_seconds
        self._output = output
        self._now = now or partial(datetime.now, UTC)
        self._seen = 0
        self._second = 0
        self._written = 0
        self._left_out = 0

    def write(
        self,
        *,
        method: str,
        path: str,
        status: int,
        seconds: float,
        correlation: str,
        subject: str | None,
        refusal: str | None = None,
    ) -> None:
        """Write the line, or not. `path` is the route's template, never the path with its ids."""
        self._seen += 1
        if status < FAILURE and status not in REFUSALS and seconds < self._slow_seconds:
            every = _access_log_every.get() if self._every is None else self._every
            if not every or self._seen % every:
                return
        now = self._now()
        if not self._has_room(int(now.timestamp())):
            return
        line = {
            "event": "request",
            "level": "info" if status < FAILURE else "error",
            "at": now.isoformat(timespec="milliseconds"),
            "method": method,
            "route": path,
            "status": status,
            "milliseconds": round(seconds * 1000, 3),
            "correlation_id": correlation,
            "subject": subject,
            **({"refusal": refusal} if refusal else {}),
            **({"left_out": self._left_out} if self._left_out else {}),
        }
        self._left_out = 0
        output = self._output or sys.stderr.buffer
        output.write(orjson.dumps(line) + b"\n")
        output.flush()

    def _has_room(self, second: int) -> bool:
        if second != self._second:
            self._second, self._written = second, 0
        self._written += 1
        if self._written <= ACCESS_LINES_PER_SECOND_MAX:
            return True
        self._left_out += 1
        return False
