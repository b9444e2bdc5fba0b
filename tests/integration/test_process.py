"""A real process: a signal ends it in good order, a death ends it with its reason and a bad status."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import orjson
import pytest

DEADLINE_SECONDS = 60.0
PROJECT = Path(__file__).resolve().parents[2]


@asynccontextmanager
async def _process(*arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.support.tiny_service", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=PROJECT,
    )
    try:
        async with asyncio.timeout(DEADLINE_SECONDS):
            yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def _line(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    return (await process.stdout.readline()).decode().strip()


async def _rest(process: asyncio.subprocess.Process) -> tuple[str, list[str]]:
    """What is left on standard output, and the events on standard error."""
    out, errors = await process.communicate()
    return out.decode(), [orjson.loads(line)["event"] for line in errors.splitlines()]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_lets_the_request_in_flight_finish_and_ends_with_status_0(number: signal.Signals) -> None:
    async with _process() as process:
        port, key = (await _line(process)).split()
        async with httpx.AsyncClient(headers={"x-api-key": key}, timeout=DEADLINE_SECONDS) as client:
            answer = asyncio.create_task(client.get(f"http://127.0.0.1:{port}/slow"))
            assert await _line(process) == "inside"
            process.send_signal(number)
            assert (await answer).text == "done"
        out, events = await _rest(process)
        assert process.returncode == 0
        assert out.strip() == "closed"
        assert events == ["stopping", "stopped"]


async def test_a_dead_side_task_ends_the_process_with_its_reason() -> None:
    async with _process("relay-dies") as process:
        await _line(process)
        out, events = await _rest(process)
        assert process.returncode == 1
        assert out.strip() == "closed"
        assert events == ["task_died", "stopping", "stopped", "process_failed"]


async def test_a_service_that_does_not_start_is_closed_and_ends_the_process() -> None:
    async with _process("start-fails") as process:
        await _line(process)
        assert process.stderr is not None
        out, errors = await process.communicate()
        assert process.returncode == 1
        assert out.decode().strip() == "closed"
        assert b"no database" in errors
