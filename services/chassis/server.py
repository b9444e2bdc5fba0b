"""uvicorn under our supervision: it serves, we decide when it starts and stops.

uvicorn installs no signal handler here; the stop event ends it: it stops accepting, lets requests in flight finish
within `GRACEFUL_SECONDS`, and cuts what is left (without that limit it waits for idle keep-alive connections for
ever). Header bytes, header time and the number of connections are bounded here, because uvicorn bounds none of them.
"""

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from typing import Final

import uvicorn
from fastapi import FastAPI

from services.chassis.auth import check_routes
from services.chassis.edge import outermost
from services.chassis.http_protocol import BoundedProtocol

GRACEFUL_SECONDS: Final = 8  # below the supervisor's stage deadline
KEEP_ALIVE_SECONDS: Final = 20
CONNECTIONS_MAX: Final = 4_096  # file descriptors are usually limited to this or more
BACKLOG: Final = 2_048


class PortInUse(OSError):  # noqa: N818 - says what happened
    """The address cannot be listened on."""


class _SupervisedServer(uvicorn.Server):
    """A server that leaves signals to the supervisor."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def listen(host: str, port: int) -> socket.socket:
    """A bound socket; port 0 takes a free one. Raises PortInUse with a sentence that says what to change."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        msg = f"cannot listen on {host}:{port} ({error.strerror}); choose another port"
        raise PortInUse(msg) from error
    listener.listen(BACKLOG)
    listener.setblocking(False)  # noqa: FBT003 - the socket module knows no other way
    return listener


async def serve(app: FastAPI, listener: socket.socket, stop: asyncio.Event) -> None:
    """Serve until the event is set, then end gracefully. Raises RouteWithoutScope before the first request."""
    check_routes(app)
    server = _SupervisedServer(
        uvicorn.Config(
            outermost(app),
            interface="asgi3",
            http=BoundedProtocol,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,  # a client must not choose its own address
            limit_concurrency=CONNECTIONS_MAX,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=GRACEFUL_SECONDS,
        )
    )
    serving = asyncio.create_task(server.serve(sockets=[listener]), name="uvicorn")
    stopping = asyncio.create_task(stop.wait(), name="uvicorn-stop")
    try:
        await asyncio.wait([serving, stopping], return_when=asyncio.FIRST_COMPLETED)
        server.should_exit = True
        await serving
    finally:
        server.force_exit = True
        server.should_exit = True
        stopping.cancel()
