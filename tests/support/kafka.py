"""A real Apache Kafka for tests: the broker of TIERCEL_TEST_KAFKA (`host:port`; `make stack-up` starts one).

Tests that stop or kill a broker have one of their own, so that nobody else's tests fail.
"""

import asyncio
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from aiokafka.admin import AIOKafkaAdminClient

from tests.support.session import real_parts_are_required
from tiercel.stack import kafka, process
from tiercel.stack.layout import HOST, PROJECT, Layout


def new_topic_name() -> str:
    """The name of a topic that is deleted when this run is over."""
    return f"test.{os.getpid()}.{uuid4().hex}"


@pytest.fixture(scope="session")
def kafka_bootstrap() -> Iterator[str]:
    """The address of a broker. Without one the test is skipped; under CI=true it fails."""
    bootstrap = os.environ.get("TIERCEL_TEST_KAFKA")
    if bootstrap:
        yield bootstrap
        asyncio.run(_delete_topics(bootstrap))
        return
    reason = "needs Apache Kafka: run `make stack-up` and set TIERCEL_TEST_KAFKA=host:port"
    if real_parts_are_required():
        pytest.fail(reason)
    pytest.skip(reason)


class OwnBroker:
    """A broker that a test may stop, continue, kill and start again, with its data kept."""

    def __init__(self, folder: Path) -> None:
        libraries = PROJECT / ".stack" / "kafka-libs"
        if libraries.exists():
            (folder / "kafka-libs").symlink_to(libraries)
        self._layout = Layout(folder, {"kafka": _free_port(), "kafka_controller": _free_port()})
        self.bootstrap = f"{HOST}:{self._layout.ports['kafka']}"

    def start(self) -> None:
        """Start it, or let it go on, and return when it answers."""
        if process.running_pid(self._layout.pid_file(kafka.NAME)) is None:
            kafka.start(self._layout)
        else:
            self.go_on()

    def stand_still(self) -> None:
        """Stop its process: connections stay open and nothing is answered."""
        self._send(signal.SIGSTOP)

    def go_on(self) -> None:
        """Continue after `stand_still`."""
        self._send(signal.SIGCONT)

    def kill(self) -> None:
        """End its process at once."""
        process.stop(self._layout.pid_file(kafka.NAME), how=signal.SIGKILL)

    def _send(self, what: signal.Signals) -> None:
        pid = process.running_pid(self._layout.pid_file(kafka.NAME))
        assert pid is not None
        os.kill(pid, what)


@pytest.fixture(scope="module")
def own_broker(kafka_bootstrap: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnBroker]:  # noqa: ARG001
    """A broker of this module's own, where there is one for tests at all."""
    broker = OwnBroker(tmp_path_factory.mktemp("kafka"))
    broker.start()
    try:
        yield broker
    finally:
        broker.kill()


async def _delete_topics(bootstrap: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        mine = [name for name in await admin.list_topics() if name.startswith(f"test.{os.getpid()}.")]
        await admin.delete_topics(mine)
    finally:
        await admin.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
    return port
