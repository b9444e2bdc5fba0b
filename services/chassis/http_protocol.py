"""The HTTP/1.1 protocol with limits on what comes before the body.

uvicorn's httptools protocol takes any number of header bytes and waits for them for ever. Here a request line and
headers larger than `HEADERS_MAX_BYTES` are answered with 431 and a connection whose headers are not complete within
`HEADERS_DEADLINE_SECONDS` of its first byte (or that sends none at all) is closed. The timer exists only while
headers are incomplete, so a request that comes in one packet pays nothing.

An answer leaves in one piece. uvicorn writes its head and its body each by itself, which are two calls of the system
and two packets, each of which wakes the client: measured, a sixth of what the edge costs.
"""

import asyncio
import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from uvicorn.protocols.http import httptools_impl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from services.chassis.problems import BAD_REQUEST, HEADERS_TOO_LARGE, Problem

if TYPE_CHECKING:
    from uvicorn._types import ASGISendEvent, HTTPResponseBodyEvent, HTTPResponseStartEvent

HEADERS_MAX_BYTES: Final = 32_768  # the largest token is 8 kB; proxies add a few hundred bytes
HEADERS_MAX: Final = 100
HEADERS_DEADLINE_SECONDS: Final = 10.0


_BODILESS: Final = frozenset({204, 304})
_NOT_IN_A_HEAD: Final = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


class WholeCycle(RequestResponseCycle):
    """uvicorn's exchange of one request, with the head of the answer held back until its first piece of body."""

    _head: "HTTPResponseStartEvent | None" = None

    async def send(self, message: "ASGISendEvent") -> None:
        """Take one message of the application's answer."""
        if message["type"] == "http.response.start" and not self.response_started:
            self._head = message
            return
        head, self._head = self._head, None
        if head is None or message["type"] != "http.response.body":
            await super().send(message)
            return
        is_whole = not message.get("more_body", False) and head["status"] not in _BODILESS
        if not (is_whole and self.scope["method"] != "HEAD"):
            await super().send(head)
            await super().send(message)
            return
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        if not self.disconnected:
            self._write(head, message)

    def _write(self, head: "HTTPResponseStartEvent", message: "HTTPResponseBodyEvent") -> None:
        """Write a whole answer. Raises RuntimeError for a head that would be read as another one."""
        body, length, closes = message.get("body", b""), None, False
        lines = [STATUS_LINE[head["status"]]]
        headers = [*self.default_headers, *head.get("headers", ())]
        for name, value in headers:
            if name == b"content-length":
                length = value
            elif name == b"connection" and b"close" in value.lower():
                closes = True
            lines += (name, b": ", value, b"\r\n")
        if length is None:
            lines += (b"content-length: ", str(len(body)).encode(), b"\r\n")
        elif int(length) != len(body):
            raise RuntimeError("the answer is not as long as its Content-Length says")
        if not (self.keep_alive or closes):
            lines.append(b"connection: close\r\n")
        lines.append(b"\r\n")
        answer = b"".join(lines)
        expected = len(headers) + 2 + (length is None) + (not (self.keep_alive or closes))
        if answer.count(b"\n") != expected or _NOT_IN_A_HEAD.search(answer):
            raise RuntimeError("a header of the answer has a control character in it")
        self.keep_alive = self.keep_alive and not closes
        self.response_started = self.response_complete = True
        self.waiting_for_100_continue = False
        self.transport.write(answer + body)
        self.message_event.set()
        if not self.keep_alive:
            self.transport.close()
        self.on_response()


# uvicorn has no other place where it could be told which class to use.
httptools_impl.RequestResponseCycle = WholeCycle  # type: ignore[misc]


class HeadersTooLarge(Exception):  # noqa: N818 - says what happened
    """Raised inside the parser to stop it."""


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn's protocol, bounded."""

    _header_bytes = 0
    _unfinished_bytes = 0
    _in_headers = True  # before the first byte counts as well
    _too_large = False
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn does
        """A client connected: its first request must come."""
        super().connection_made(transport)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone."""
        self._unwatch()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse; if the headers are still incomplete, count what came and watch the clock."""
        was_in_headers = self._in_headers
        super().data_received(data)
        if self.transport.is_closing():
            return
        if not self._in_headers:
            self._unwatch()
            return
        if was_in_headers:  # the parser keeps an unfinished header to itself: its callbacks have not counted it
            self._unfinished_bytes += len(data)
        if self._unfinished_bytes > HEADERS_MAX_BYTES:
            self._too_large = True
            self.send_400_response("")
        else:
            self._watch()

    def on_message_begin(self) -> None:
        """A request starts."""
        super().on_message_begin()
        self._header_bytes = self._unfinished_bytes = 0
        self._in_headers = True

    def on_url(self, url: bytes) -> None:
        """A part of the request line."""
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header."""
        self._count(len(name) + len(value) + 4)
        if len(self.headers) >= HEADERS_MAX:
            self._refuse()
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """All headers are there."""
        self._in_headers = False
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        """Answer what cannot be parsed with a problem document, as all else; 431 if it is only too large."""
        self.transport.write(_refusal(Problem(HEADERS_TOO_LARGE if self._too_large else BAD_REQUEST, msg)))
        self.transport.close()

    def _count(self, more: int) -> None:
        self._header_bytes += more
        if self._header_bytes > HEADERS_MAX_BYTES:
            self._refuse()

    def _refuse(self) -> None:
        self._too_large = True
        raise HeadersTooLarge

    def _watch(self) -> None:
        if self._timer is None:
            self._timer = self.loop.call_later(HEADERS_DEADLINE_SECONDS, self._late)

    def _unwatch(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _late(self) -> None:
        self._timer = None
        if self._in_headers and not self.transport.is_closing():
            self.transport.close()


def _refusal(problem: Problem) -> bytes:
    answer = problem.response()
    headers = [*answer.raw_headers, (b"connection", b"close")]
    lines = [f"HTTP/1.1 {problem.status} {HTTPStatus(problem.status).phrase}".encode()]
    lines += [name + b": " + value for name, value in headers]
    return b"\r\n".join([*lines, b"", bytes(answer.body)])
