"""The whole registry as its composition root builds it: over PostgreSQL and an event log, with all its roles."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import orjson
import pytest

from services.chassis import business_time
from services.chassis.business_time import ReplayTimeStored
from services.chassis.envelope import Event, from_record, to_record
from services.chassis.event_log.port import EventLog, LogReader
from services.chassis.event_log.postgres import PostgresEventLog
from services.chassis.event_proofs import Prover
from services.chassis.lifecycle import ALL_ROLES, Role, Service, Supervisor
from services.chassis.settings import Form
from services.chassis.signing_keys import UnusableKey
from services.contracts import topics
from services.contracts.catalogue import decode
from services.contracts.segments import SegmentChanged, SegmentCurrent, SegmentHeartbeat, TierDefined
from services.segment_registry.bootstrap import build
from services.segment_registry.settings import SegmentRegistrySettings
from tests.support import waiting
from tests.support.http import Credentials, client_of, strangers_let_in
from tests.support.registry_service import prepare
from tiercel.topics import specs

DEADLINE_SECONDS = 60.0
SCOPES = ("registry.read", "registry.write", "registry.import", "replay.drive", "metrics.read")


@dataclass(frozen=True, slots=True)
class Running:
    service: Service
    client: httpx.AsyncClient
    log: EventLog


@asynccontextmanager
async def running(
    database_url: str, log: EventLog, roles: frozenset[Role] = ALL_ROLES, **settings: Any
) -> AsyncIterator[Running]:
    credentials = Credentials()
    headers = credentials.headers(*SCOPES, subject="ann")
    service = await build(
        SegmentRegistrySettings(form=Form.EMBEDDED, **settings),
        database_url=database_url,
        event_log=log,
        authenticator=credentials.authenticator(),
        roles=roles,
    )
    supervisor = Supervisor()
    supervisor.on_close("service", service.stop)
    await service.start()
    for task in service.tasks:
        supervisor.spawn(task.name, task.run, stage=task.stage)
    try:
        async with client_of(service.app, headers) as client:
            yield Running(service, client, log)
    finally:
        supervisor.request_stop("the test is over")
        await supervisor.run_until_stopped()


@pytest.fixture
async def log(database_url: str) -> AsyncIterator[EventLog]:
    await prepare(database_url)
    opened = await PostgresEventLog.open(database_url)
    await opened.ensure_topics(specs())
    yield opened
    await opened.close()


async def until(reader: LogReader, wanted: Callable[[list[Event]], bool]) -> list[Event]:
    """What is read until it is enough; a time-out shows what was there."""
    events: list[Event] = []
    try:
        async with asyncio.timeout(DEADLINE_SECONDS):
            while not wanted(events):
                events += [from_record(received) for received in await reader.poll(1_000, 1.0)]
    except TimeoutError:
        pytest.fail(f"only {[(event.type, event.key) for event in events]}")
    return events


async def propose(log: EventLog, customer: str, *, based_on: int) -> None:
    payload = {
        "proposal_id": f"p-{customer}",
        "customer_id": customer,
        "from_tier": "standard",
        "to_tier": "gold",
        "rule": "revenue",
        "rule_version": 1,
        "as_of": "2025-06-01T00:00:00Z",
        "based_on_sequence": based_on,
        "reason": "grew",
    }
    event = Event(
        id=f"e-{customer}",
        type="segment.proposed.v1",
        source="reclassifier",
        topic=topics.SEGMENTS_PROPOSALS.name,
        key=customer,
        sequence=1,
        time=datetime(2025, 6, 1, tzinfo=UTC),
        data=orjson.dumps(payload),
        correlation_id="c",
        causation_id="c",
    )
    producer = await log.producer("test")
    prover = Prover.from_file(Path(os.environ["TIERCEL_RECLASSIFIER_PROPOSAL_KEY_FILE"]))
    await producer.publish([to_record(prover.prove(event))], deadline_seconds=60)
    await producer.close()


async def test_a_proposal_from_the_log_becomes_the_customers_published_state(database_url: str, log: EventLog) -> None:
    async with running(database_url, log) as registry:
        await registry.client.put("/v1/tiers/gold", json={"name": "Gold", "priority_rank": 1})
        body = {"identifiers": [{"system": "erp", "id": "1"}]}
        customer = (await registry.client.post("/v1/customers", json=body)).json()["customer_id"]
        await propose(log, customer, based_on=1)
        reader = await log.reader(
            [topics.SEGMENTS_CURRENT.name, topics.SEGMENTS_CHANGES.name, topics.SEGMENTS_POLICIES.name]
        )

        def enough(events: list[Event]) -> bool:
            changed = any(event.type == "segment.changed.v1" for event in events)
            return changed and len({event.key for event in events if event.type == "segment.heartbeat.v1"}) == 8

        events = await until(reader, enough)
        payloads = [decode(event.type, event.data, topic=event.topic) for event in events]
        tiers = {payload.tier for payload in payloads if isinstance(payload, TierDefined)}
        assert tiers == {"standard", "gold"}
        states = [payload for payload in payloads if isinstance(payload, SegmentCurrent)]
        assert [(state.sequence, len(state.assignments)) for state in states] == [(1, 0), (2, 1)]
        (move,) = [payload for payload in payloads if isinstance(payload, SegmentChanged)]
        assert (move.from_tier, move.to_tier, move.author) == (None, "gold", "reclassifier")
        beats = [payload for payload in payloads if isinstance(payload, SegmentHeartbeat)]
        assert {beat.partition for beat in beats} == set(range(8))
        await reader.close()


async def test_a_heartbeat_is_in_the_partition_that_it_names(database_url: str, log: EventLog) -> None:
    async with running(database_url, log):
        reader = await log.reader([topics.SEGMENTS_CURRENT.name])
        seen: dict[int, int] = {}
        async with asyncio.timeout(DEADLINE_SECONDS):
            while len(seen) < 8:
                for received in await reader.poll(100, 1.0):
                    event = from_record(received)
                    payload = decode(event.type, event.data)
                    if isinstance(payload, SegmentHeartbeat):
                        assert event.key == f"heartbeat/{received.partition}"
                        seen[received.partition] = payload.partition
        assert seen == {partition: partition for partition in range(8)}
        await reader.close()


async def test_poison_goes_to_the_dead_letters(database_url: str, log: EventLog) -> None:
    async with running(database_url, log) as registry:
        producer = await log.producer("test")
        event = Event(
            id="poison",
            type="segment.proposed.v1",
            source="x",
            topic=topics.SEGMENTS_PROPOSALS.name,
            key="k",
            sequence=1,
            time=datetime(2025, 6, 1, tzinfo=UTC),
            data=b"{}",
            correlation_id="c",
            causation_id="c",
        )
        await producer.publish([to_record(event)], deadline_seconds=60)
        await producer.close()
        reader = await log.reader([topics.dead_letters(topics.SEGMENTS_PROPOSALS.name)])
        letters = await until(reader, lambda events: len(events) > 0)
        assert letters[0].id == "poison"
        await reader.close()
        await waiting.until(lambda: is_quiet(registry))


async def is_quiet(registry: Running, *, activity: int = 0) -> bool:
    document = (await registry.client.get("/internal/quiet?wait_seconds=1")).json()
    return bool(document["quiet"]) and document["activity"] >= activity


async def test_it_is_quiet_when_all_is_published_and_read(database_url: str, log: EventLog) -> None:
    async with running(database_url, log) as registry:
        await waiting.until(lambda: is_quiet(registry))
        before = (await registry.client.get("/internal/quiet?wait_seconds=1")).json()["activity"]
        body = {"identifiers": [{"system": "erp", "id": "quiet"}]}
        customer = (await registry.client.post("/v1/customers", json=body)).json()["customer_id"]
        await propose(log, customer, based_on=1)
        await waiting.until(lambda: is_quiet(registry, activity=before + 2))
        after = (await registry.client.get("/internal/quiet?wait_seconds=1")).json()
        assert after["pending"] == {
            "effects_waiting": 0,
            "events_unpublished": 0,
            "proposals_unread": 0,
            "proposals_waiting": 0,
        }


async def test_nobody_gets_in_without_the_scope_of_the_route(database_url: str, log: EventLog) -> None:
    credentials = Credentials()
    poor = credentials.headers("nothing")
    service = await build(
        SegmentRegistrySettings(form=Form.EMBEDDED),
        database_url=database_url,
        event_log=log,
        authenticator=credentials.authenticator(),
        roles=ALL_ROLES,
    )
    assert await strangers_let_in(service.app, poor) == []
    await service.stop()


async def test_health_says_whether_the_database_answers(database_url: str, log: EventLog) -> None:
    async with running(database_url, log, frozenset({Role.RELAY})) as registry:
        assert (await registry.client.get("/readyz")).json()["ready"] is True
        assert (await registry.client.get("/v1/tiers")).status_code == 404  # this process has no desk
        assert b"registry_heartbeats_total" in (await registry.client.get("/metrics")).content
        await registry.service.stop()
        assert (await registry.client.get("/readyz")).status_code == 503


async def test_nobody_applies_proposals_without_keys_to_check_them_with(database_url: str, log: EventLog) -> None:
    with pytest.raises(UnusableKey, match="TIERCEL_REGISTRY_PROPOSAL_KEYS_FILE"):
        async with running(database_url, log, frozenset({Role.CONSUMER}), registry_proposal_keys_file=None):
            pass
    async with running(database_url, log, frozenset({Role.API}), registry_proposal_keys_file=None) as registry:
        assert (await registry.client.get("/v1/tiers")).is_success  # this process reads none


async def test_a_stored_replay_time_is_refused_unless_asked_for(database_url: str, log: EventLog) -> None:
    connection = await asyncpg.connect(database_url)
    await business_time.set_replay(connection, datetime(2011, 1, 1, tzinfo=UTC), "intake", 1)
    try:
        with pytest.raises(ReplayTimeStored):
            async with running(database_url, log):
                pass
        async with running(database_url, log, replay=True) as registry:
            body = {"identifiers": [{"system": "erp", "id": "replayed"}]}
            customer = (await registry.client.post("/v1/customers", json=body)).json()["customer_id"]
            tier = (await registry.client.get(f"/v1/customers/{customer}/tier")).json()
            assert tier["at"] == "2011-01-01T00:00:00+00:00"
    finally:
        await business_time.clear_replay(connection)
        await connection.close()
