"""A TCP proxy in front of PostgreSQL that breaks connections where a test wants it.

It forwards bytes as they come, and looks at what the client sends: when a chunk contains the armed text, the proxy acts
once and closes that connection.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import Enum, auto
from pathlib import Path
from urllib.parse import parse_qs, urlsplit, urlunsplit

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Cut(Enum):
    """Where a connection breaks."""

    BEFORE_THE_SERVER = auto()
    """The server never sees the text."""
    BEFORE_THE_ANSWER = auto()
    """The server acts on it, and the client never hears the answer."""
    SILENCE = auto()
    """The server acts on it; the connection stays open, and nothing ever comes back."""


class DatabaseProxy:
    """Forwards to one server; `cut` arms it for one connection."""

    def __init__(self, url: str) -> None:
        self._target = urlsplit(url)
        self._armed: tuple[bytes, Cut] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.cuts = 0
        self.url = ""
        self.latency_seconds = 0.0  # by which everything that a client sends comes later

    def cut(self, text: bytes, where: Cut) -> None:
        """Break the next connection on which a client sends `text`."""
        self._armed = (text, where)

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one more client."""
        task = asyncio.create_task(self._serve(reader, writer), name="database proxy")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Break all connections."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        client, server = (reader, writer), await self._connect()
        replies = asyncio.create_task(_forward(server[0], client[1]))
        try:
            while chunk := await client[0].read(65_536):
                if self._armed is not None and self._armed[0] in chunk:
                    where, self._armed = self._armed[1], None
                    await self._break(chunk, where, replies, server)
                    return
                if self.latency_seconds:
                    await asyncio.sleep(self.latency_seconds)
                server[1].write(chunk)
                await server[1].drain()
        except ConnectionError:
            pass
        finally:
            replies.cancel()
            client[1].transport.abort()
            server[1].transport.abort()

    async def _break(self, chunk: bytes, where: Cut, replies: asyncio.Task[None], server: Streams) -> None:
        self.cuts += 1
        replies.cancel()
        await asyncio.wait([replies])
        if where is Cut.BEFORE_THE_SERVER:
            return
        server[1].write(chunk)
        await server[0].read(1)
        if where is Cut.SILENCE:
            await asyncio.Event().wait()  # until the proxy closes

    async def _connect(self) -> Streams:
        options = parse_qs(self._target.query)
        host = self._target.hostname or options.get("host", ["localhost"])[0]
        port = self._target.port or 5432
        if host.startswith("/"):
            return await asyncio.open_unix_connection(str(Path(host) / f".s.PGSQL.{port}"))
        return await asyncio.open_connection(host, port)


async def _forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while chunk := await reader.read(65_536):
            writer.write(chunk)
            await writer.drain()
        writer.transport.abort()
    except ConnectionError:
        writer.transport.abort()


@asynccontextmanager
async def proxied(url: str) -> AsyncIterator[DatabaseProxy]:
    """A proxy in front of the server of `url`; its own `url` goes through it."""
    proxy = DatabaseProxy(url)
    server = await asyncio.start_server(proxy.accept, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    parts = urlsplit(url)
    user = parts.username or "postgres"
    password = f":{parts.password}" if parts.password else ""
    proxy.url = urlunsplit(parts._replace(netloc=f"{user}{password}@127.0.0.1:{port}", query="sslmode=disable"))
    try:
        yield proxy
    finally:
        server.close()
        await proxy.close()
        await server.wait_closed()
