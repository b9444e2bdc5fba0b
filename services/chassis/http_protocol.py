"""The HTTP/1.1 protocol with limits on what comes before the body.

uvicorn's httptools protocol takes any number of header bytes and waits for them for ever. Here a request line and
headers larger than `HEADERS_MAX_BYTES` are answered with 431 and a connection whose headers are not complete within
`HEADERS_DEADLINE_SECONDS` of its first byte (or that sends none at all) is closed. The timer exists only while
headers are incomplete, so a request that comes in one packet pays nothing.
"""

import asyncio
from typing import Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEADERS_MAX_BYTES: Final = 32_768  # the largest token is 8 kB; proxies add a few hundred bytes
HEADERS_MAX: Final = 100
HEADERS_DEADLINE_SECONDS: Final = 10.0


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
        """Answer what cannot be parsed; 431 if it is only too large."""
        if self._too_large:
            self.transport.write(
                b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
            )
            self.transport.close()
            return
        super().send_400_response(msg)

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
