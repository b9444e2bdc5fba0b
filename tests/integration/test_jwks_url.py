"""The issuer's key set over HTTP: bounded in size and time, never redirected, at most one fetch at a time."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress

import pytest

from services.chassis.auth import Authenticator, Jwks, JwksUnreadable
from services.chassis.auth import jwks as jwks_module
from services.chassis.auth.jwks import BODY_MAX_BYTES, REFRESH_MIN_SECONDS
from tests.support.clocks import SteppedClock
from tests.support.http import Issuer, claims_at, verifier

Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]


class IssuerSite:
    """A very small HTTP server."""

    def __init__(self) -> None:
        self.requests = 0
        self.serving: set[asyncio.Task[None]] = set()
        self.answer: Answer = self.nothing
        self.url = ""

    async def nothing(self, writer: asyncio.StreamWriter) -> None:
        """Close without a word."""
        del writer

    def says(self, body: bytes, status: str = "200 OK", headers: bytes = b"") -> None:
        """From now on answer this."""

        async def answer(writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 " + status.encode() + b"\r\ncontent-length: %d\r\n" % len(body))
            writer.write(headers + b"connection: close\r\n\r\n" + body)
            await writer.drain()

        self.answer = answer

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One more connection."""
        self.serving.add(asyncio.create_task(self.serve(reader, writer), name="issuer site"))

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, to its very end."""
        self.requests += 1
        try:
            await reader.readuntil(b"\r\n\r\n")
            await self.answer(writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            return  # the client had enough
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()


@asynccontextmanager
async def _site() -> AsyncIterator[IssuerSite]:
    site = IssuerSite()
    server = await asyncio.start_server(site.accept, "127.0.0.1", 0)
    site.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/jwks"
    try:
        yield site
    finally:
        server.close()
        for connection in site.serving:
            connection.cancel()
        if site.serving:
            await asyncio.wait(site.serving)
        await server.wait_closed()


async def test_tokens_are_verified_with_keys_from_a_url() -> None:
    clock, issuer = SteppedClock(), Issuer()
    async with _site() as site:
        site.says(issuer.key_set())
        authenticator = Authenticator(wall=clock, tokens=verifier(site.url, clock))
        token = issuer.token(claims_at(clock)).encode()
        principal = await authenticator.authenticate([(b"authorization", b"Bearer " + token)])
    assert principal.subject == "shop"


async def test_a_flood_of_unknown_keys_at_the_same_time_makes_one_fetch() -> None:
    clock, issuer = SteppedClock(), Issuer()
    async with _site() as site:
        site.says(issuer.key_set())
        jwks = Jwks(site.url, wall=clock)
        assert await asyncio.gather(*(jwks.key(f"unknown-{n}") for n in range(100))) == [None] * 100
        assert site.requests == 1


@pytest.mark.parametrize("fault", ["redirect", "error", "too large", "endless", "silent", "closed", "not JSON"])
async def test_a_site_that_misbehaves_is_an_error_and_keeps_former_keys(
    fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, issuer = SteppedClock(), Issuer()
    async with _site() as site, _site() as elsewhere:
        elsewhere.says(Issuer().key_set())
        fresh = Jwks(site.url, wall=clock)
        with _broken(site, fault, elsewhere.url, monkeypatch), pytest.raises(JwksUnreadable):
            await fresh.key("key-1")
        assert elsewhere.requests == 0

        site.says(issuer.key_set())
        clock.advance(REFRESH_MIN_SECONDS)
        assert await fresh.key("key-1") is not None
        clock.advance(REFRESH_MIN_SECONDS)
        with _broken(site, fault, elsewhere.url, monkeypatch):
            assert await fresh.key("another") is None
        assert await fresh.key("key-1") is not None


@contextmanager
def _broken(site: IssuerSite, fault: str, elsewhere: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The site misbehaves inside of the block, and its client has little patience there."""
    with monkeypatch.context() as patience:
        if fault in {"endless", "silent"}:
            patience.setattr(jwks_module, "FETCH_DEADLINE_SECONDS", 0.2)
        _break(site, fault, elsewhere)
        yield


def _break(site: IssuerSite, fault: str, elsewhere: str) -> None:
    async def endless(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n")
        while not writer.is_closing():
            writer.write(b" " * 65_536)
            await writer.drain()

    async def silent(writer: asyncio.StreamWriter) -> None:
        await writer.wait_closed()

    match fault:
        case "redirect":
            site.says(b"", "302 Found", b"location: " + elsewhere.encode() + b"\r\n")
        case "error":
            site.says(b"{}", "500 Internal Server Error")
        case "too large":
            site.says(b" " * (BODY_MAX_BYTES + 1))
        case "endless":
            site.answer = endless
        case "silent":
            site.answer = silent
        case "not JSON":
            site.says(b"<html>")
        case _:
            site.answer = site.nothing
