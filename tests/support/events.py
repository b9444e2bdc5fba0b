"""Events and records for tests of what consumes them."""

from datetime import UTC, datetime

from services.chassis.envelope import Event, to_record
from services.chassis.event_log.port import EventLog, Record

MOMENT = datetime(2026, 3, 1, 12, tzinfo=UTC)


def event(number: int, *, topic: str = "orders.v1", key: str | None = None, kind: str = "order.placed.v1") -> Event:
    """The event with this number: its id and its payload say which."""
    return Event(
        id=f"event-{number}",
        type=kind,
        source="urn:test",
        topic=topic,
        key=f"key-{number % 5}" if key is None else key,
        sequence=number,
        time=MOMENT,
        data=b'{"number":%d}' % number,
        correlation_id=f"correlation-{number}",
        causation_id=f"event-{number}",
    )


def malformed(number: int, *, topic: str = "orders.v1") -> Record:
    """A record that is no event."""
    return Record(topic, b"key-%d" % (number % 5), b"not an event", (("x-number", b"%d" % number),))


async def publish(log: EventLog, *sent: Event | Record) -> None:
    """Put events or records into the log."""
    producer = await log.producer("test")
    records = [each if isinstance(each, Record) else to_record(each) for each in sent]
    await producer.publish(records, deadline_seconds=60)
    await producer.close()
