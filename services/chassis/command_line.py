"""`python -m services.<name> [--role ROLE]... [--host ADDRESS] [--port N]`: one process of one service.

It is the distributed form; the embedded one is `tiercel serve`.
Settings come from the environment; a wrong one ends the start with one sentence. Migrations and topics are steps of a
deployment (`tiercel migrate`, `tiercel topics`), not of a start.

exit status 0   stopped by a signal, in good order
exit status 1   it could not start, or something of it died
"""

import argparse
import asyncio
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import asyncpg
import structlog

from services.chassis import logs
from services.chassis.auth import AuthNotConfigured, TableKeys, build_authenticator
from services.chassis.business_time import ReplayTimeStored
from services.chassis.clocks import SystemClock
from services.chassis.database import Database, DatabaseError
from services.chassis.event_log.kafka import KafkaEventLog
from services.chassis.event_log.kafka_client import KafkaSecurity
from services.chassis.event_log.port import EventLog, EventLogError
from services.chassis.event_log.prefixed import with_prefix
from services.chassis.lifecycle import ALL_ROLES, Role, Service, Supervisor
from services.chassis.process import Hosted, run_process, run_services, starting
from services.chassis.server import listen
from services.chassis.settings import ChassisSettings, Form, load
from services.chassis.signing_keys import UnusableKey
from services.chassis.tracing import Tracing

DRAIN_SECONDS: Final = 5.0  # a balancer that asks every second or two has seen by then that readiness is off
KEY_CONNECTIONS: Final = 2  # the keys are read every two seconds
PORT: Final = 8080
NOT_STARTED: Final = (
    OSError,
    AuthNotConfigured,
    UnusableKey,
    ReplayTimeStored,
    DatabaseError,
    EventLogError,
    asyncpg.PostgresError,
)
"""What a wrong deployment looks like: reported as one line, where anything else is a defect and shows its trace."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Program:
    """What a service's own module says about it. `build` takes settings of the type `settings` first."""

    name: str
    schema: str
    settings: type[ChassisSettings]
    build: Callable[..., Awaitable[Service]]


def main(program: Program, arguments: Sequence[str] | None = None) -> int:
    """Run the service until a signal; the exit status."""
    options = _options(program.name, arguments)
    settings = load(program.settings)
    if settings.form is not Form.DISTRIBUTED:
        sys.exit(f"services.{program.name} runs in the distributed form; `tiercel serve` is the embedded one")
    logs.configure(settings.log_level.value, access_log_every=settings.access_log_every)
    try:
        return run_process(partial(_run, program, settings, options), drain_seconds=DRAIN_SECONDS)
    except NOT_STARTED as error:
        _log.error("not_started", service=program.name, reason=f"{type(error).__name__}: {error}")
        return 1


def open_event_log(settings: ChassisSettings, *, name: str) -> EventLog:
    """The event log of the distributed form; `name` shows in the logs of the broker."""
    password, ca_file = settings.kafka_password, settings.kafka_ca_file
    security = KafkaSecurity(
        protocol=settings.kafka_security.value,
        mechanism=settings.kafka_sasl_mechanism,
        username=settings.kafka_username,
        password=None if password is None else password.get_secret_value(),
        ca_file=None if ca_file is None else str(ca_file),
    )
    log = KafkaEventLog(str(settings.kafka_bootstrap), security=security, name=name)
    return with_prefix(log, settings.kafka_topic_prefix)


async def _run(
    program: Program, settings: ChassisSettings, options: argparse.Namespace, supervisor: Supervisor
) -> None:
    roles = frozenset(options.role or ALL_ROLES)
    traces = Tracing.configured(settings.otlp_endpoint, service=program.name)
    traces.activate()
    supervisor.on_close("traces", partial(asyncio.to_thread, traces.close))
    async with starting(supervisor):
        listener = listen(options.host, options.port)
        service = await _compose(program, settings, roles, supervisor)
    _log.info("starting", service=program.name, roles=sorted(roles), port=listener.getsockname()[1])
    await run_services([Hosted(service, listener)], supervisor=supervisor)


async def _compose(
    program: Program, settings: ChassisSettings, roles: frozenset[Role], supervisor: Supervisor
) -> Service:
    url = str(settings.database_url)
    keys = await Database.open(url, schema=program.schema, name=f"{program.name}: keys", max_size=KEY_CONNECTIONS)
    supervisor.on_close("keys", keys.close)
    event_log = open_event_log(settings, name=program.name)
    supervisor.on_close("event log", event_log.close)
    authenticator = build_authenticator(settings, wall=SystemClock(), sources=[TableKeys(keys)])
    return await program.build(
        settings, database_url=url, event_log=event_log, authenticator=authenticator, roles=roles
    )


def _options(name: str, arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=f"python -m services.{name}", description="One process of one service.")
    parser.add_argument("--role", action="append", type=Role, choices=list(Role), help="may be repeated; default: all")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on; 0.0.0.0 in a container")
    parser.add_argument("--port", type=int, default=PORT, help="0 takes a free one")
    return parser.parse_args(arguments)
