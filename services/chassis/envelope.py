"""Events as CloudEvents 1.0 in Kafka binary mode: attributes in `ce_*` headers, the JSON payload as the record's value.

Guarantees: `from_record(to_record(event))` is the event; whatever else is in the log raises `MalformedEvent` with a
stable reason, never another error. Not done here: the payload is neither parsed nor checked, that is the business of
whoever knows the event's type.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

from services.chassis.event_log.port import Received, Record
from services.chassis.tracing import accept

SPEC_VERSION: Final = "1.0"
CONTENT_TYPE: Final = "application/json"
ATTRIBUTE_MAX_CHARS: Final = 1_024  # longer than any id, source or schema address that is meant
SEQUENCE_MAX: Final = 2**63 - 1  # it is stored as a bigint


class Malformation(StrEnum):
    """Why a record is not an event: stable codes, the reasons of dead letters."""

    ATTRIBUTE_MISSING = "attribute_missing"
    ATTRIBUTE_INVALID = "attribute_invalid"
    CONTENT_TYPE_UNSUPPORTED = "content_type_unsupported"
    KEY_INVALID = "key_invalid"
    KEY_MISMATCH = "key_mismatch"
    SPEC_VERSION_UNSUPPORTED = "spec_version_unsupported"


class MalformedEvent(Exception):  # noqa: N818 - says what happened
    """A record is not an event of ours: `reason` is a code, `detail` says which part."""

    def __init__(self, reason: Malformation, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Event:
    """One event: `data` is JSON, empty for a tombstone; `sequence` is the version of the key, 0 if none was given.

    `proof` says who made it (`services.chassis.event_proofs`), on topics whose reader asks for that.
    """

    id: str
    type: str
    source: str
    topic: str
    key: str | None
    sequence: int
    time: datetime
    data: bytes
    correlation_id: str
    causation_id: str
    traceparent: str | None = None
    dataschema: str | None = None
    subject: str | None = None
    proof: str | None = None


def to_record(event: Event) -> Record:
    """The record that carries the event; its key is the event's key."""
    return Record(
        topic=event.topic,
        key=None if event.key is None else event.key.encode(),
        value=event.data or None,
        headers=tuple((name, value.encode()) for name, value in headers_of(event).items()),
    )


def headers_of(event: Event) -> dict[str, str]:
    """The attributes of the event as headers; one that it does not have is left out."""
    headers = {
        "ce_specversion": SPEC_VERSION,
        "ce_id": event.id,
        "ce_type": event.type,
        "ce_source": event.source,
        "ce_time": event.time.isoformat(),
        "ce_sequence": str(event.sequence),
        "ce_correlationid": event.correlation_id,
        "ce_causationid": event.causation_id,
        "content-type": CONTENT_TYPE,
    }
    if event.key is not None:
        headers["ce_partitionkey"] = event.key
    if event.subject is not None:
        headers["ce_subject"] = event.subject
    if event.dataschema is not None:
        headers["ce_dataschema"] = event.dataschema
    if event.traceparent is not None:
        headers["ce_traceparent"] = event.traceparent
    if event.proof is not None:
        headers["ce_proof"] = event.proof
    return headers


def from_record(received: Received) -> Event:
    """The event that a record carries.

    What CloudEvents leaves optional gets the value that says least: no time is when the log took the record, no
    sequence is 0, no correlation or causation is the event's own id.

    Raises:
        MalformedEvent: the record is not an event.
    """
    record = received.record
    attributes = _attributes(record)
    version = _required(attributes, "ce_specversion")
    if version != SPEC_VERSION:
        raise MalformedEvent(Malformation.SPEC_VERSION_UNSUPPORTED, version)
    _check_content_type(record, attributes.get("content-type"))
    event_id = _required(attributes, "ce_id")
    return Event(
        id=event_id,
        type=_required(attributes, "ce_type"),
        source=_required(attributes, "ce_source"),
        topic=record.topic,
        key=_key(record.key, attributes.get("ce_partitionkey")),
        sequence=_sequence(attributes.get("ce_sequence")),
        time=_time(attributes.get("ce_time"), received.at),
        data=record.value or b"",
        correlation_id=attributes.get("ce_correlationid") or event_id,
        causation_id=attributes.get("ce_causationid") or event_id,
        # Producers with plain OpenTelemetry instrumentation send the header without the prefix.
        traceparent=accept(attributes.get("ce_traceparent") or attributes.get("traceparent")),
        dataschema=attributes.get("ce_dataschema"),
        subject=attributes.get("ce_subject"),
        proof=attributes.get("ce_proof"),
    )


_KNOWN: Final = frozenset(
    {
        "ce_specversion",
        "ce_id",
        "ce_type",
        "ce_source",
        "ce_time",
        "ce_sequence",
        "ce_correlationid",
        "ce_causationid",
        "ce_partitionkey",
        "ce_subject",
        "ce_dataschema",
        "ce_traceparent",
        "ce_proof",
        "traceparent",
        "content-type",
    }
)


def _attributes(record: Record) -> dict[str, str]:
    """The known headers as text; headers of others are none of our business and may hold anything."""
    attributes: dict[str, str] = {}
    for name, raw in record.headers:
        known = name.lower()
        if known not in _KNOWN:
            continue
        attributes[known] = _text(known, raw)
    return attributes


def _text(name: str, raw: bytes) -> str:
    try:
        value = raw.decode()
    except UnicodeDecodeError as error:
        raise MalformedEvent(Malformation.ATTRIBUTE_INVALID, f"{name} is not UTF-8") from error
    if len(value) > ATTRIBUTE_MAX_CHARS:
        raise MalformedEvent(Malformation.ATTRIBUTE_INVALID, f"{name} is longer than {ATTRIBUTE_MAX_CHARS} characters")
    if not value.isprintable():
        raise MalformedEvent(Malformation.ATTRIBUTE_INVALID, f"{name} has characters that cannot be printed")
    return value


def _required(attributes: dict[str, str], name: str) -> str:
    value = attributes.get(name)
    if not value:
        raise MalformedEvent(Malformation.ATTRIBUTE_MISSING, name)
    return value


def _check_content_type(record: Record, content_type: str | None) -> None:
    if record.value is None or content_type is None:  # a tombstone has no content, and JSON is what is assumed
        return
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type != CONTENT_TYPE and not media_type.endswith("+json"):
        raise MalformedEvent(Malformation.CONTENT_TYPE_UNSUPPORTED, media_type)
    if media_type.startswith("application/cloudevents"):
        raise MalformedEvent(Malformation.CONTENT_TYPE_UNSUPPORTED, "structured mode; send binary mode")


def _key(raw: bytes | None, partition_key: str | None) -> str | None:
    if raw is None:
        if partition_key is not None:  # it was meant to be ordered by this key, and it was not
            raise MalformedEvent(Malformation.KEY_MISMATCH, "ce_partitionkey is given, the record has no key")
        return None
    try:
        key = raw.decode()
    except UnicodeDecodeError as error:
        raise MalformedEvent(Malformation.KEY_INVALID, "the key is not UTF-8") from error
    if not key or len(key) > ATTRIBUTE_MAX_CHARS or not key.isprintable():
        raise MalformedEvent(Malformation.KEY_INVALID, "the key is empty, too long or cannot be printed")
    if partition_key is not None and partition_key != key:
        raise MalformedEvent(Malformation.KEY_MISMATCH, "ce_partitionkey differs from the record's key")
    return key


def _sequence(value: str | None) -> int:
    if value is None:
        return 0
    if not (value.isascii() and value.isdigit()) or int(value) > SEQUENCE_MAX:
        raise MalformedEvent(Malformation.ATTRIBUTE_INVALID, "ce_sequence is not a number of 63 bits")
    return int(value)


def _time(value: str | None, taken_at: datetime) -> datetime:
    if value is None:
        return taken_at
    try:
        moment = datetime.fromisoformat(value)
    except ValueError as error:
        raise MalformedEvent(Malformation.ATTRIBUTE_INVALID, "ce_time is not an RFC 3339 time") from error
    if moment.tzinfo is None:
        raise MalformedEvent(Malformation.ATTRIBUTE_INVALID, "ce_time has no time zone")
    return moment.astimezone(UTC)
