"""A proof survives every event log that stands in for another: what is believed before it is believed after it."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from services.chassis.envelope import Event, from_record
from services.chassis.event_log.kafka import KafkaEventLog
from services.chassis.event_log.port import EventLog, TopicSpec
from services.chassis.event_log.postgres import PostgresEventLog
from services.chassis.event_log.prefixed import with_prefix
from services.chassis.event_proofs import ProofRefusal
from tests.support.events import event, publish
from tests.support.kafka import new_topic_name
from tests.support.memory_log import MemoryEventLog, MemoryStore
from tests.support.proposal_keys import PROOFS, PROVER, a_stranger

MOMENT = datetime(2026, 1, 1, 7, 30, 0, 123_456, tzinfo=UTC)


@pytest.fixture(params=["memory", "prefixed", "postgres", pytest.param("kafka", marks=pytest.mark.kafka)])
def where(request: pytest.FixtureRequest) -> tuple[str, str]:
    """The kind of the log, and its address."""
    asked = {"postgres": "database_url", "kafka": "kafka_bootstrap"}.get(request.param)
    return request.param, "" if asked is None else request.getfixturevalue(asked)


@pytest.fixture
async def log(where: tuple[str, str]) -> AsyncIterator[EventLog]:
    kind, address = where
    opened: EventLog
    match kind:
        case "kafka":
            opened = KafkaEventLog(address, name="test")
        case "postgres":
            opened = await PostgresEventLog.open(address)
        case "prefixed":
            opened = with_prefix(MemoryEventLog(MemoryStore()), "one.")
        case _:
            opened = MemoryEventLog(MemoryStore())
    yield opened
    await opened.close()


async def _read(log: EventLog, topic: str, count: int) -> list[Event]:
    reader = await log.reader([topic])
    found: list[Event] = []
    while len(found) < count:
        found += [from_record(received) for received in await reader.poll(100, 1.0)]
    await reader.close()
    return found


async def test_a_proven_event_is_believed_as_it_is_read_and_any_other_is_not(log: EventLog) -> None:
    topic = TopicSpec(new_topic_name(), partitions=1)
    await log.ensure_topics([topic])
    plain = replace(event(1, topic=topic.name), time=MOMENT)
    proven = PROVER.prove(plain)
    changed = replace(proven, data=b'{"number":2}')
    await publish(log, proven, plain, changed, a_stranger().prove(plain))
    read = await _read(log, topic.name, 4)
    assert read[0] == proven
    assert [PROOFS.refusal(each) for each in read] == [
        None,
        ProofRefusal.MISSING,
        ProofRefusal.WRONG,
        ProofRefusal.KEY_UNKNOWN,
    ]
