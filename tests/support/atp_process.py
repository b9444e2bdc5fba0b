"""`python -m tests.support.atp_process URL KEY_ID DIGEST`: an ATP of its own process, to be killed.

It prints its port when it serves. Its event log is in memory: what is looked at afterwards is in the database.
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import httpx
import uvloop

from services.atp.bootstrap import build
from services.atp.settings import AtpSettings
from services.chassis.auth import ApiKeys, Authenticator, MintedKeys, mint
from services.chassis.auth.api_keys import HashedKey
from services.chassis.clocks import SystemClock
from services.chassis.event_log.port import TopicSpec
from services.chassis.lifecycle import ALL_ROLES, Supervisor
from services.chassis.process import Hosted, run_services
from services.chassis.server import listen
from services.chassis.settings import Form
from services.contracts import topics
from tests.support.atp import SCOPES
from tests.support.memory_log import MemoryEventLog, MemoryStore

START_SECONDS_MAX = 120  # of a machine that many tests share


@asynccontextmanager
async def atp_process(database_url: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, httpx.AsyncClient]]:
    """An ATP in a process of its own, and a client of it."""
    key, hashed = mint(SCOPES, subject="test")
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.support.atp_process",
        database_url,
        hashed.id,
        hashed.digest.hex(),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(START_SECONDS_MAX):
            port = (await process.stdout.readline()).split()[0].decode()
        address = f"http://127.0.0.1:{port}"
        async with httpx.AsyncClient(base_url=address, headers={"x-api-key": key}, timeout=60) as client:
            yield process, client
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def serve(database_url: str, key_id: str, digest: str) -> None:
    """Serve on a free port until killed."""
    log = MemoryEventLog(MemoryStore())
    await log.ensure_topics([TopicSpec(topic.name, partitions=1) for topic in topics.ALL])
    wall = SystemClock()
    keys = MintedKeys([HashedKey(key_id, bytes.fromhex(digest), "test", frozenset({"*"}))])
    service = await build(
        AtpSettings(form=Form.EMBEDDED),
        database_url=database_url,
        event_log=log,
        authenticator=Authenticator(wall=wall, api_keys=ApiKeys([keys], wall=wall)),
        roles=ALL_ROLES,
    )
    listener = listen("127.0.0.1", 0)

    async def announce() -> None:
        print(listener.getsockname()[1], datetime.now(UTC).isoformat(), flush=True)  # noqa: T201 - the parent reads it

    await run_services([Hosted(service, listener)], supervisor=Supervisor(), then=announce)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(*sys.argv[1:]))
