"""Redis for the native stack: a cache and nothing else, so it keeps nothing on disk."""

import socket
from typing import Final

from tiercel.stack import packages, process
from tiercel.stack.layout import HOST, Layout, settle_port

NAME: Final = "redis"
NEEDS: Final = (packages.REDIS,)
READY_SECONDS: Final = 20


def start(layout: Layout) -> None:
    """Start Redis and wait until it answers."""
    port = settle_port(layout, NAME)
    process.start(
        [
            packages.find("redis-server") or "redis-server",
            *("--bind", HOST, "--port", str(port), "--dir", str(layout.folder(NAME))),
            *("--save", "", "--appendonly", "no", "--maxmemory", "128mb", "--maxmemory-policy", "allkeys-lru"),
        ],
        pid_file=layout.pid_file(NAME),
        log=layout.log(NAME),
    )
    process.wait_until_ready(
        NAME, lambda: answers(layout), pid_file=layout.pid_file(NAME), log=layout.log(NAME), seconds=READY_SECONDS
    )


def answers(layout: Layout) -> bool:
    """Whether it answers a ping."""
    try:
        with socket.create_connection((HOST, layout.ports[NAME]), timeout=1) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith(b"+PONG")
    except OSError:
        return False


def stop(layout: Layout) -> bool:
    """Stop it; False if it was not running."""
    return process.stop(layout.pid_file(NAME))


def environment(layout: Layout) -> dict[str, str]:
    """The settings that point to it."""
    return {"TIERCEL_REDIS_URL": f"redis://{HOST}:{layout.ports[NAME]}/0"}
