"""LISTEN on a connection of its own, made anew whenever it breaks.

A NOTIFY can be missed (the connection was down) and is then replaced by one wake-up after reconnecting. Whoever listens
still polls: the wake-up makes it fast, the poll makes it right.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

import asyncpg
import structlog

from services.chassis.database_session import DRIVER_ERRORS

CONNECT_TIMEOUT_SECONDS: Final = 5
CHECK_INTERVAL_SECONDS: Final = 15  # finds a connection that is dead without a sign, e.g. behind a firewall
CHECK_TIMEOUT_SECONDS: Final = 5
RECONNECT_PAUSE_SECONDS: Final = 0.5

_log = structlog.get_logger(__name__)


@asynccontextmanager
async def listening(url: str, channel: str, wake: Callable[[str], None], *, name: str) -> AsyncIterator[None]:
    """Call `wake(payload)` for every NOTIFY on `channel` inside the block, and `wake("")` after each connect."""
    task = asyncio.create_task(_listen_for_ever(url, channel, wake, name), name=name)
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _listen_for_ever(url: str, channel: str, wake: Callable[[str], None], name: str) -> None:
    while True:
        try:
            await _listen_once(url, channel, wake, name)
        except DRIVER_ERRORS as error:
            _log.warning("listener_reconnects", channel=channel, cause=repr(error))
        await asyncio.sleep(RECONNECT_PAUSE_SECONDS)


async def _listen_once(url: str, channel: str, wake: Callable[[str], None], name: str) -> None:
    def on_notify(_connection: Any, _pid: int, _channel: str, payload: object) -> None:
        wake(str(payload))

    settings = {"application_name": name}
    connection = await asyncpg.connect(url, timeout=CONNECT_TIMEOUT_SECONDS, server_settings=settings)
    broken = asyncio.Event()
    connection.add_termination_listener(lambda _connection: broken.set())
    try:
        await connection.add_listener(channel, on_notify)
        wake("")
        while not broken.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(CHECK_INTERVAL_SECONDS):
                    await broken.wait()
            if not broken.is_set():
                await connection.execute("SELECT", timeout=CHECK_TIMEOUT_SECONDS)
    finally:
        connection.terminate()
