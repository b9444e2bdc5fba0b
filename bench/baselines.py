"""The two baselines as processes on ports of their own, the second one on a database of its own."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import httpx

from tiercel.stack.deployment import own_database, stack_settings

KEY: Final = "bench-key"
NOTHING: Final = "(a) do-nothing FastAPI endpoint"
USUAL: Final = "(b) one transaction a request"
PORT_OF_NOTHING: Final = 18_501
PORT_OF_USUAL: Final = 18_502


@dataclass(frozen=True, slots=True)
class Baselines:
    """Where they answer."""

    nothing: str
    usual: str


@asynccontextmanager
async def baselines() -> AsyncIterator[Baselines]:
    """Start both, and end them with the block."""
    async with own_database(stack_settings()["TIERCEL_DATABASE_URL"], "bench_usual") as database_url:
        urls = Baselines(f"http://127.0.0.1:{PORT_OF_NOTHING}", f"http://127.0.0.1:{PORT_OF_USUAL}")
        commands = (
            ("-m", "bench.baseline_nothing", "--port", str(PORT_OF_NOTHING)),
            ("-m", "bench.baseline_usual", "--port", str(PORT_OF_USUAL), "--database-url", database_url, "--key", KEY),
        )
        processes = [
            await asyncio.create_subprocess_exec(sys.executable, *command, stderr=asyncio.subprocess.DEVNULL)
            for command in commands
        ]
        try:
            for url in (urls.nothing, urls.usual):
                await _until_listening(f"{url}/docs")
            yield urls
        finally:
            for process in processes:
                process.terminate()
                await process.wait()


async def _until_listening(url: str) -> None:
    async with asyncio.timeout(60), httpx.AsyncClient() as client:
        while True:
            try:
                await client.get(url)
            except httpx.TransportError:
                await asyncio.sleep(0.1)
            else:
                return
