"""A real Redis or Valkey for tests: the server of TIERCEL_TEST_REDIS, or a private one if the program is installed.

Where neither is there a test that needs it is skipped, and fails under CI=true.
"""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.session import real_parts_are_required

START_DEADLINE_SECONDS = 60.0
PROGRAMS = ("redis-server", "valkey-server")


class RedisServer:
    """A private server on a free port of this machine, without persistence; it can be killed and started again."""

    def __init__(self, program: str) -> None:
        self._program = program
        self._folder = Path(tempfile.mkdtemp(prefix="tiercel-test-redis-"))
        self._process: subprocess.Popen[bytes] | None = None
        self.port = _free_port()

    @property
    def url(self) -> str:
        """Its address."""
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start it and wait until it answers."""
        options = {"--port": str(self.port), "--bind": "127.0.0.1", "--save": "", "--appendonly": "no"}
        flags = [part for pair in options.items() for part in pair]
        self._process = subprocess.Popen(
            [self._program, *flags, "--dir", str(self._folder)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + START_DEADLINE_SECONDS
        while not self._answers():
            if time.monotonic() > deadline or self._process.poll() is not None:
                pytest.fail(f"{self._program} did not start on port {self.port}")
            self._process_wait(0.02)

    def kill(self) -> None:
        """End it without a warning."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def close(self) -> None:
        """End it and remove what it left."""
        self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1.0) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(16).startswith(b"+PONG")
        except OSError:
            return False

    def _process_wait(self, seconds: float) -> None:
        try:
            assert self._process is not None
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def _installed() -> str:
    for program in PROGRAMS:
        if found := shutil.which(program):
            return found
    if real_parts_are_required():
        pytest.fail("CI=true: install redis-server or set TIERCEL_TEST_REDIS")
    pytest.skip("neither redis-server nor TIERCEL_TEST_REDIS")


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """The address of a server that tests share; use keys of your own."""
    if given := os.environ.get("TIERCEL_TEST_REDIS"):
        yield given if "://" in given else f"redis://{given}/0"
        return
    server = RedisServer(_installed())
    try:
        server.start()
        yield server.url
    finally:
        server.close()


@pytest.fixture
def private_redis() -> Iterator[RedisServer]:
    """A server of the test's own, started, to be killed."""
    server = RedisServer(_installed())
    try:
        server.start()
        yield server
    finally:
        server.close()
