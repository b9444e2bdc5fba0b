"""A `tiercel serve` of its own process, for tests that look at the product from outside."""

import json
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

PROJECT = Path(__file__).resolve().parents[2]
SERVICES = ("atp", "segment_registry", "reclassifier")
START_SECONDS_MAX = 180
STOP_SECONDS_MAX = 60


@dataclass(frozen=True, slots=True)
class Served:
    """A running `tiercel serve`."""

    process: subprocess.Popen[bytes]
    urls: dict[str, str]
    key: str
    data: Path
    ready_file: Path

    def ask(self, service: str, method: str, path: str, body: Any = None) -> httpx.Response:
        """A request with the key that was printed."""
        headers = {"X-API-Key": self.key}
        return httpx.request(method, self.urls[service] + path, json=body, headers=headers, timeout=60)

    def look(self, service: str, path: str) -> httpx.Response:
        """A look without the key."""
        return httpx.get(self.urls[service] + path, timeout=60)

    def stop(self) -> int:
        """SIGTERM; the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(STOP_SECONDS_MAX)


def tiercel(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run a command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "tiercel", *arguments],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
        timeout=START_SECONDS_MAX,
    )


def start(data: Path, ready_file: Path, log: Path) -> "subprocess.Popen[bytes]":
    """Start it, on free ports; what it says goes into `log`, as a pipe that nobody reads would fill and block it."""
    command = [sys.executable, "-m", "tiercel", "serve", "--port", "0"]
    with log.open("ab") as output:
        return subprocess.Popen(
            [*command, "--data", str(data), "--ready-file", str(ready_file)], cwd=PROJECT, stdout=output, stderr=output
        )


@contextmanager
def serving(data: Path, ready_file: Path) -> Iterator[Served]:
    """One that is ready; killed at the end, if it still runs."""
    log = data.with_suffix(".log")
    process = start(data, ready_file, log)
    try:
        found = _await_ready(process, ready_file, log)
        yield Served(process, {name: found[name] for name in SERVICES}, found["api_key"], data, ready_file)
    finally:
        process.kill()
        process.wait()


def _await_ready(process: "subprocess.Popen[bytes]", ready_file: Path, log: Path) -> dict[str, str]:
    deadline = time.monotonic() + START_SECONDS_MAX
    while not ready_file.exists():
        if process.poll() is not None:
            pytest.fail(f"it ended with status {process.returncode}: {log.read_text()}")
        assert time.monotonic() < deadline, f"not ready in time: {log.read_text()}"
        time.sleep(0.05)
    found: dict[str, str] = json.loads(ready_file.read_text())
    return found


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Not pytest's: another run of pytest closes that one to the user that PostgreSQL runs as."""
    folder = Path(tempfile.mkdtemp(prefix="tiercel-serve-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def served_folder() -> Iterator[Path]:
    """A folder for the data of one test."""
    with temporary_folder() as found:
        yield found


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    """One that several tests look at."""
    with temporary_folder() as folder, serving(folder / "data", folder / "ready.json") as running:
        yield running
