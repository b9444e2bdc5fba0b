"""The distributed form for tests: each role of each service in a process of its own, on a real PostgreSQL and Kafka."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from services.chassis.event_log.kafka import KafkaEventLog
from services.chassis.event_log.port import EventLog
from services.chassis.event_log.prefixed import with_prefix
from services.chassis.signing_keys import make_key, public_half
from tiercel import topics
from tiercel.credentials import add_key
from tiercel.parts import migrate_all

PROJECT = Path(__file__).resolve().parents[2]
READY_SECONDS = 180.0  # nine processes may start at once on two cores that others use too
STOP_SECONDS = 60.0
LOOK_SECONDS = 0.1
READY = "ready"
SCOPES = (
    "atp.configure",
    "atp.release",
    "atp.promise",
    "atp.read",
    "atp.supply",
    "metrics.read",
    "registry.read",
    "registry.write",
)


@dataclass(slots=True)
class Deployment:
    """A database, topics and a key of its own, and the processes that were started on them."""

    environment: Mapping[str, str]
    event_log: EventLog
    folder: Path
    key: str
    running: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)
    urls: dict[str, str] = field(default_factory=dict)

    def start(self, name: str, service: str, *roles: str) -> None:
        """Start one process under a name, with the roles (all, if none is given)."""
        port = _free_port()
        chosen = [argument for role in roles for argument in ("--role", role)]
        with (self.folder / f"{name}.log").open("wb") as log:
            self.running[name] = subprocess.Popen(
                [sys.executable, "-m", f"services.{service}", *chosen, "--port", str(port)],
                cwd=PROJECT,
                env={**os.environ, **self.environment},
                stdout=log,
                stderr=log,
            )
        self.urls[name] = f"http://127.0.0.1:{port}"

    async def ready(self) -> None:
        """Return when every process that was started is ready; AssertionError with the log of one that is not."""
        async with httpx.AsyncClient(timeout=5) as client:
            for name, process in self.running.items():
                said = "nothing"
                try:
                    async with asyncio.timeout(READY_SECONDS):
                        while (said := await _readiness(client, self.urls[name])) != READY:
                            assert process.poll() is None, f"{name} ended:\n{self.log_of(name)[-2_000:]}"
                            await asyncio.sleep(LOOK_SECONDS)
                except TimeoutError:
                    pytest.fail(f"{name} says {said} after {READY_SECONDS} s:\n{self.log_of(name)[-2_000:]}")

    async def ask(self, name: str, method: str, path: str, body: Any = None) -> httpx.Response:
        """A request to one of them, with the key."""
        async with httpx.AsyncClient(timeout=60) as client:
            return await client.request(method, self.urls[name] + path, json=body, headers={"X-API-Key": self.key})

    def stop(self) -> dict[str, int]:
        """SIGTERM to all; their exit statuses."""
        for process in self.running.values():
            process.send_signal(signal.SIGTERM)
        return {name: process.wait(STOP_SECONDS) for name, process in self.running.items()}

    def log_of(self, name: str) -> str:
        """What a process has logged."""
        return (self.folder / f"{name}.log").read_text()


async def _readiness(client: httpx.AsyncClient, url: str) -> str:
    try:
        answer = await client.get(url + "/readyz")
    except httpx.TransportError as error:
        return repr(error)
    return READY if answer.is_success else answer.text


@asynccontextmanager
async def deployed(database_url: str, bootstrap: str) -> AsyncIterator[Deployment]:
    """A deployment without processes yet: schemas, topics and a key are there. Processes are killed at the end."""
    prefix = f"test.{os.getpid()}.{uuid4().hex}."
    event_log = with_prefix(KafkaEventLog(bootstrap, name="test"), prefix)
    with tempfile.TemporaryDirectory(prefix="tiercel-deployment-") as name:
        folder = Path(name)
        make_key(folder / "audit.key")
        make_key(folder / "proposal.key")
        key = add_key(folder / "api_keys.json", subject="test", scopes=SCOPES)
        environment = {
            "TIERCEL_FORM": "distributed",
            "TIERCEL_DATABASE_URL": database_url,
            "TIERCEL_KAFKA_BOOTSTRAP": bootstrap,
            "TIERCEL_KAFKA_TOPIC_PREFIX": prefix,
            "TIERCEL_API_KEYS_FILE": str(folder / "api_keys.json"),
            "TIERCEL_AUDIT_KEY_FILE": str(folder / "audit.key"),
            "TIERCEL_RECLASSIFIER_PROPOSAL_KEY_FILE": str(folder / "proposal.key"),
            "TIERCEL_REGISTRY_PROPOSAL_KEYS_FILE": str(public_half(folder / "proposal.key")),
        }
        deployment = Deployment(environment, event_log, folder, key)
        try:
            await event_log.ensure_topics(topics.specs())
            await migrate_all(database_url)
            yield deployment
        finally:
            for process in deployment.running.values():
                process.kill()
                process.wait()
            await event_log.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
