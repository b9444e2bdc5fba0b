"""What all parts of the Kafka adapter share: how to connect, how long to wait, how to let go of a client.

aiokafka waits for ever in several places when the brokers are gone (starting, stopping, joining a group), so nothing of
it is awaited here without a deadline, and a client that does not stop is taken apart.
"""

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import structlog
from aiokafka.errors import KafkaError
from aiokafka.helpers import create_ssl_context

from services.chassis.event_log.port import LogUnavailable

REQUEST_TIMEOUT_SECONDS: Final = 10.0  # one request to one broker
START_SECONDS: Final = 15.0
ANSWER_SECONDS: Final = 10.0  # a question to the cluster, retries within it
STOP_SECONDS: Final = 5.0  # longer than leaving a group takes, short enough for an orderly shutdown without brokers

T = TypeVar("T")
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class KafkaSecurity:
    """How to prove who we are, and whom to trust. The default is for loopback only."""

    protocol: str = "PLAINTEXT"  # or SSL, SASL_SSL (production), SASL_PLAINTEXT
    mechanism: str = "SCRAM-SHA-512"  # of SASL
    username: str | None = None
    password: str | None = None
    ca_file: str | None = None  # without it the system's authorities are trusted
    certificate_file: str | None = None
    key_file: str | None = None

    def __repr__(self) -> str:
        """Without the password: settings are logged."""
        return f"KafkaSecurity({self.protocol}, {self.mechanism}, {self.username})"


def connection_options(bootstrap: str, security: KafkaSecurity, name: str) -> dict[str, Any]:
    """The keyword arguments that every client of aiokafka takes."""
    options: dict[str, Any] = {
        "bootstrap_servers": bootstrap,
        "client_id": name,
        "request_timeout_ms": int(REQUEST_TIMEOUT_SECONDS * 1_000),
        "security_protocol": security.protocol,
    }
    if security.protocol.startswith("SASL"):
        options["sasl_mechanism"] = security.mechanism
        options["sasl_plain_username"] = security.username
        options["sasl_plain_password"] = security.password
    if security.protocol.endswith("SSL"):
        options["ssl_context"] = create_ssl_context(
            cafile=security.ca_file, certfile=security.certificate_file, keyfile=security.key_file
        )
    return options


async def answered(question: Awaitable[T], what: str, *, seconds: float = ANSWER_SECONDS) -> T:
    """The answer of the cluster.

    Raises:
        LogUnavailable: it failed or did not come in time.
    """
    try:
        async with asyncio.timeout(seconds):
            return await question
    except TimeoutError as error:
        raise LogUnavailable(f"{what}: no answer within {seconds:g} s") from error
    except (KafkaError, OSError) as error:
        raise LogUnavailable(f"{what}: {error!r}") from error


async def let_go(stopping: Awaitable[None], what: str, *, seconds: float = STOP_SECONDS) -> bool:
    """Wait for something to stop, but not for ever; False if it did not end in time or in order.

    It runs in a task of its own, because `stop()` of a client without brokers may raise CancelledError, which would
    look like our own cancellation.
    """
    task = asyncio.ensure_future(stopping)
    done, _ = await asyncio.wait([task], timeout=seconds)
    if not done:
        task.cancel()
        await asyncio.wait([task], timeout=seconds)
        _log.warning("kafka_client_abandoned", client=what, waited_seconds=seconds)
        return False
    if task.cancelled():
        _log.warning("kafka_client_stop_failed", client=what, error="cancelled")
        return False
    if (error := task.exception()) is not None:
        _log.warning("kafka_client_stop_failed", client=what, error=repr(error))
        return False
    return True
