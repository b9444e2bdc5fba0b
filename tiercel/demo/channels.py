"""The ways from the replay into the services: HTTP for all three, and the event log as OMS, ERP and WMS use it."""

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import Any, Final, Self, TypeVar

import httpx
import orjson

from services.chassis.envelope import Event, MalformedEvent, from_record, to_record
from services.chassis.event_log.port import (
    EventLog,
    LogReader,
    LogUnavailable,
    Producer,
    PublishUnknown,
    Received,
    TopicPartition,
)
from services.contracts import topics
from services.contracts.catalogue import PROMISE_ANSWERED, PROMISE_CHANGED, SCHEMA_URN
from tiercel.demo.summary import FirstAnswer, Standing, first_answer, standing

REQUEST_SECONDS_MAX: Final = 120.0
PUBLISH_SECONDS_MAX: Final = 30.0
POLL_RECORDS_MAX: Final = 2_000
POLL_SECONDS: Final = 0.2
AWAY_SECONDS_MAX: Final = 300.0  # a killed process is up again by then, also on a starved machine
AGAIN_SECONDS: Final = 0.05
ASKED_AGAIN: Final = frozenset({httpx.codes.SERVICE_UNAVAILABLE, httpx.codes.GATEWAY_TIMEOUT})
SILENCE_SECONDS_MAX: Final = 600.0  # without a promise on the log while one is waited for; then the replay gives up
T = TypeVar("T")
EVENT_NAMESPACE: Final = uuid.UUID("6f1c1c1e-3a4b-5c6d-8e9f-0a1b2c3d4e5f")


class ReplayFailedError(Exception):
    """The replay cannot go on; the sentence says what was refused or what never came."""


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where the three services answer, and the key that opens them."""

    atp: str
    segment_registry: str
    reclassifier: str
    api_key: str


class ServiceClients:
    """HTTP clients of the three services."""

    def __init__(self, endpoints: Endpoints) -> None:
        headers = {"Authorization": f"Bearer {endpoints.api_key}"}
        self._clients = {
            name: httpx.AsyncClient(base_url=url, headers=headers, timeout=REQUEST_SECONDS_MAX)
            for name, url in (
                ("atp", endpoints.atp),
                ("segment_registry", endpoints.segment_registry),
                ("reclassifier", endpoints.reclassifier),
            )
        }

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for client in self._clients.values():
            await client.aclose()

    async def call(self, service: str, method: str, path: str, body: object | None = None) -> Any:
        """One request; its JSON answer.

        A service that is away, or answers 503 or 504, is asked again, as any client of it should: orders and supply
        are known by their own names, so that asking again has no second effect.

        Raises:
            ReplayFailedError: a refusal, or no answer for too long.
        """
        content = None if body is None else orjson.dumps(body)
        headers = {"Content-Type": "application/json"} if content is not None else {}
        response: httpx.Response | None = None
        deadline = time.monotonic() + AWAY_SECONDS_MAX
        while response is None or response.status_code in ASKED_AGAIN:
            try:
                response = await self._clients[service].request(method, path, content=content, headers=headers)
            except httpx.TransportError as error:
                if time.monotonic() > deadline:
                    raise ReplayFailedError(f"{service} is away: {error!r}") from error
            if response is None or response.status_code in ASKED_AGAIN:
                if time.monotonic() > deadline:
                    break
                await asyncio.sleep(AGAIN_SECONDS)
        if response is None:
            raise ReplayFailedError(f"{service} is away")
        if response.status_code >= httpx.codes.BAD_REQUEST:
            message = f"{service} {method} {path}: {response.status_code} {response.text[:800]}"
            raise ReplayFailedError(message)
        return orjson.loads(response.content) if response.content else None


@dataclass(frozen=True, slots=True)
class Outgoing:
    """An event to write: its type, topic, key, payload, and a name that makes its id.

    Between partitions a log has no order. Events that must be read in the order in which they were sent share one
    `partition`; the others are where their key puts them.
    """

    type: str
    topic: str
    key: str
    name: str
    payload: dict[str, Any]
    partition: int | None = None


@dataclass(slots=True)
class Answers:
    """What `promises.v1` said, per order id: the newest promise, and how many different first answers came.

    Only what counts at the end is kept: the promises of a long history would not fit into memory.
    """

    promises: dict[str, Standing] = field(default_factory=dict)
    first: dict[str, FirstAnswer] = field(default_factory=dict)
    first_answers: dict[str, set[str]] = field(default_factory=dict)
    records: int = 0
    seen_events: int = 0
    changes_by_cause: dict[str, int] = field(default_factory=dict)


class LogChannel:
    """Writes commands and supply to the log and reads every promise from it, as outside systems do.

    A log that does not answer is asked again for up to `AWAY_SECONDS_MAX`; a reader goes on where the last one ended.
    """

    def __init__(self, log: EventLog, heard: Callable[[dict[str, Any]], None]) -> None:
        self._log = log
        self._heard = heard
        self._producer: Producer | None = None
        self._reader: LogReader | None = None
        self._task: asyncio.Task[None] | None = None
        self._news = asyncio.Event()
        self._next: dict[TopicPartition, int] = {}  # the offset to go on from
        self._ids: set[str] = set()
        self.answers = Answers()

    async def __aenter__(self) -> Self:
        self._producer = await self._log.producer("demo")
        self._reader = await self._log.reader([topics.PROMISES.name])
        self._next = await self._reader.end_offsets()
        await self._reader.seek(self._next)
        self._task = asyncio.create_task(self._listen(), name="demo-promises")
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._reader is not None:
            await self._reader.close()
        if self._producer is not None:
            await self._producer.close()

    async def send(self, events: Sequence[Outgoing], at: datetime) -> None:
        """Publish events; an event of the same name has the same id, so that a copy can be sent on purpose."""
        if self._producer is None:
            raise ReplayFailedError("the channel is not open")
        records = [replace(to_record(_event(each, at)), partition=each.partition) for each in events]
        for start in range(0, len(records), POLL_RECORDS_MAX):  # whoever reads a copy knows what it has seen
            portion = records[start : start + POLL_RECORDS_MAX]
            await _patiently(partial(self._producer.publish, portion, deadline_seconds=PUBLISH_SECONDS_MAX))

    async def answered(self, order_ids: Sequence[str]) -> None:
        """Wait until each of these orders has an answer."""
        missing = set(order_ids)
        while True:
            missing -= self.answers.first.keys()
            if not missing:
                return
            await self._hear(f"{len(missing)} orders were not answered, {sorted(missing)[:5]} first")

    async def caught_up(self) -> None:
        """Wait until all that was published on `promises.v1` has been read."""
        ends = await _patiently(lambda: self._live_reader().end_offsets())
        while True:
            at = await _patiently(lambda: self._live_reader().positions())
            if all(at.get(place, 0) >= end for place, end in ends.items()):
                return
            await self._hear("promises.v1 was not read to its end")

    def _live_reader(self) -> LogReader:
        """Raises LogUnavailable while a reader is replaced, ReplayFailedError once reading has ended."""
        self._check_reading("the ends of promises.v1 are not known")
        if self._reader is None:
            raise LogUnavailable("the reader of promises.v1 is being replaced")
        return self._reader

    async def _hear(self, missing: str) -> None:
        """Wait for news; `ReplayFailedError` with what is missing if there are none for too long."""
        self._check_reading(missing)
        heard = asyncio.ensure_future(self._news.wait())
        reading = [self._task] if self._task is not None else []
        await asyncio.wait([heard, *reading], timeout=SILENCE_SECONDS_MAX, return_when=asyncio.FIRST_COMPLETED)
        if not heard.done():
            heard.cancel()
            if not any(each.done() for each in reading):
                raise ReplayFailedError(f"nothing came on promises.v1 for {SILENCE_SECONDS_MAX:.0f} s: {missing}")

    def _check_reading(self, missing: str) -> None:
        if self._task is None:
            raise ReplayFailedError("the channel is not open")
        if self._task.done():
            ended = None if self._task.cancelled() else self._task.exception()
            raise ReplayFailedError(f"reading promises.v1 ended: {missing}: {ended!r}") from ended

    async def _listen(self) -> None:
        while True:
            for received in await _patiently(self._poll):
                self._next[received.record.topic, received.partition] = received.offset + 1
                try:
                    self._take(from_record(received))
                except MalformedEvent as error:
                    message = f"promises.v1 holds a record that is no event: {error}"
                    raise ReplayFailedError(message) from error
            news, self._news = self._news, asyncio.Event()
            news.set()

    async def _poll(self) -> Sequence[Received]:
        """What came next; a reader that can no longer be used is given up, and the next call opens a new one."""
        if self._reader is None:
            reader = await self._log.reader([topics.PROMISES.name])
            await reader.seek(self._next)
            self._reader = reader
        try:
            return await self._reader.poll(POLL_RECORDS_MAX, POLL_SECONDS)
        except LogUnavailable:
            ended, self._reader = self._reader, None
            await ended.close()
            raise

    def _take(self, event: Event) -> None:
        self.answers.records += 1
        if event.id in self._ids:
            return
        self._ids.add(event.id)
        self.answers.seen_events += 1
        if event.type not in (PROMISE_ANSWERED.name, PROMISE_CHANGED.name):
            return  # what is said about a promise, as that it is at risk, does not change it
        data = orjson.loads(event.data)
        if event.type == PROMISE_ANSWERED.name:
            promise = data["promise"]
            order_id = promise["order"]["order_id"]
            self.answers.first_answers.setdefault(order_id, set()).add(event.id)
            if order_id not in self.answers.first:
                self.answers.first[order_id] = first_answer(promise)
        else:
            promise = data["new"]
            order_id = promise["order"]["order_id"]
            self.answers.changes_by_cause[data["cause"]] = self.answers.changes_by_cause.get(data["cause"], 0) + 1
        known = self.answers.promises.get(order_id)
        if known is None or promise["revision"] > known.revision:
            self.answers.promises[order_id] = standing(promise)
            self._heard(promise)


async def _patiently(call: Callable[[], Awaitable[T]]) -> T:
    """What `call` says, once the log answers; its LogUnavailable or PublishUnknown after `AWAY_SECONDS_MAX`."""
    deadline = time.monotonic() + AWAY_SECONDS_MAX
    while True:
        try:
            return await call()
        except (LogUnavailable, PublishUnknown):
            if time.monotonic() > deadline:
                raise
        await asyncio.sleep(AGAIN_SECONDS)


def _event(outgoing: Outgoing, at: datetime) -> Event:
    event_id = str(uuid.uuid5(EVENT_NAMESPACE, outgoing.name))
    return Event(
        id=event_id,
        type=outgoing.type,
        source="urn:tiercel:demo",
        topic=outgoing.topic,
        key=outgoing.key,
        sequence=0,
        time=at,
        data=orjson.dumps(outgoing.payload),
        correlation_id=event_id,
        causation_id=event_id,
        dataschema=f"{SCHEMA_URN}{outgoing.type}",
    )
