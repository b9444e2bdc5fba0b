"""What the services say about themselves: their API descriptions and their metrics, from the running code.

The applications come from the composition roots, built and never started, so that nothing here can differ from what is
served. Building needs the address of a PostgreSQL; any empty database will do.
"""

import asyncio
import tempfile
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from prometheus_client import CollectorRegistry

from services.chassis.auth import ApiKeys, Authenticator, MintedKeys
from services.chassis.clocks import SystemClock
from services.chassis.embedded_postgres import EmbeddedPostgres
from services.chassis.event_log.port import EventLog
from services.chassis.lifecycle import ALL_ROLES, Service
from services.chassis.settings import Form
from tiercel.parts import PARTS, Part
from tiercel.schemas.documents import Document


@dataclass(frozen=True, slots=True)
class Described:
    """One service: its OpenAPI document and the registry of its metrics."""

    openapi: Document
    metrics: CollectorRegistry


async def describe_services(database_url: str) -> dict[str, Described]:
    """All services by name; nothing is left open."""
    async with AsyncExitStack() as stack:
        found = {}
        for part in PARTS:
            service = await _built(part, database_url)
            stack.push_async_callback(service.stop)
            found[part.name] = Described(service.app.openapi(), service.app.state.collectors)
        return found


def describe_services_by_themselves() -> Mapping[str, Described]:
    """As `describe_services`, with a private database that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="tiercel-schemas-") as folder:
        server = EmbeddedPostgres()
        try:
            return asyncio.run(describe_services(server.start(Path(folder))))
        finally:
            server.stop()


async def _built(part: Part, database_url: str) -> Service:
    wall = SystemClock()
    nobody = Authenticator(wall=wall, api_keys=ApiKeys([MintedKeys()], wall=wall))
    return await part.program.build(
        part.program.settings(form=Form.EMBEDDED, redis_url=None),
        database_url=database_url,
        event_log=cast("EventLog", None),  # used from the start on, and nothing is started
        authenticator=nobody,
        roles=ALL_ROLES,
    )
