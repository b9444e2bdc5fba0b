"""Events as CloudEvents in Kafka's binary mode."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest

from services.chassis.envelope import ATTRIBUTE_MAX_CHARS, Event, MalformedEvent, from_record, to_record
from services.chassis.event_log.port import Received, Record

AT = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)
EVENT = Event(
    id="0199-1",
    type="order.placed.v1",
    source="urn:shop",
    topic="orders.v1",
    key="order-7",
    sequence=3,
    time=AT,
    data=b'{"a":1}',
    correlation_id="c-1",
    causation_id="c-0",
    traceparent="00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    dataschema="urn:tiercel:schema:order.placed.v1",
    subject="order-7",
)


def received(record: Record) -> Received:
    return Received(record, partition=2, offset=41, at=AT)


def record_with(changes: dict[str, bytes | None], record: Record | None = None) -> Record:
    """The record of EVENT with some headers replaced, added, or (None) taken away."""
    base = record or to_record(EVENT)
    headers = [(name, value) for name, value in base.headers if name not in changes]
    return replace(base, headers=(*headers, *((name, value) for name, value in changes.items() if value is not None)))


def test_an_event_comes_back_from_its_record_as_it_was() -> None:
    assert from_record(received(to_record(EVENT))) == EVENT


def test_the_headers_are_those_of_cloudevents_binary_mode() -> None:
    record = to_record(EVENT)
    assert (record.key, record.value) == (b"order-7", b'{"a":1}')
    assert dict(record.headers) == {
        "ce_specversion": b"1.0",
        "ce_id": b"0199-1",
        "ce_type": b"order.placed.v1",
        "ce_source": b"urn:shop",
        "ce_time": b"2026-03-01T12:30:00+00:00",
        "ce_sequence": b"3",
        "ce_correlationid": b"c-1",
        "ce_causationid": b"c-0",
        "ce_partitionkey": b"order-7",
        "ce_subject": b"order-7",
        "ce_dataschema": b"urn:tiercel:schema:order.placed.v1",
        "ce_traceparent": b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "content-type": b"application/json",
    }


def test_an_event_without_optional_parts_comes_back_without_them() -> None:
    bare = replace(EVENT, key=None, traceparent=None, dataschema=None, subject=None)
    assert from_record(received(to_record(bare))) == bare


def test_empty_data_is_a_tombstone() -> None:
    tombstone = replace(EVENT, data=b"")
    assert to_record(tombstone).value is None
    assert from_record(received(to_record(tombstone))) == tombstone


def test_what_a_foreign_producer_leaves_out_says_as_little_as_possible() -> None:
    left_out = {"ce_time", "ce_sequence", "ce_correlationid", "ce_causationid", "ce_partitionkey", "content-type"}
    event = from_record(received(record_with(dict.fromkeys(left_out))))
    assert (event.time, event.sequence, event.correlation_id, event.causation_id) == (AT, 0, EVENT.id, EVENT.id)


def test_a_time_in_another_zone_is_the_same_moment_in_utc() -> None:
    local = AT.astimezone(timezone(timedelta(hours=5, minutes=30)))
    event = from_record(received(record_with({"ce_time": local.isoformat().encode()})))
    assert event.time == AT
    assert event.time.tzinfo is UTC


def test_the_trace_of_plain_instrumentation_is_taken_over() -> None:
    header = (EVENT.traceparent or "").encode()
    record = record_with({"ce_traceparent": None, "traceparent": header})
    assert from_record(received(record)).traceparent == EVENT.traceparent


def test_a_traceparent_that_is_none_is_ignored() -> None:
    assert from_record(received(record_with({"ce_traceparent": b"nonsense"}))).traceparent is None


def test_headers_of_others_may_hold_anything() -> None:
    assert from_record(received(record_with({"x-routing": b"\xff\x00"}))) == EVENT


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"ce_id": None}, "attribute_missing"),
        ({"ce_id": b""}, "attribute_missing"),
        ({"ce_type": None}, "attribute_missing"),
        ({"ce_source": None}, "attribute_missing"),
        ({"ce_specversion": None}, "attribute_missing"),
        ({"ce_specversion": b"2.0"}, "spec_version_unsupported"),
        ({"ce_id": b"\xff"}, "attribute_invalid"),
        ({"ce_id": b"a\x00b"}, "attribute_invalid"),
        ({"ce_id": b"x" * (ATTRIBUTE_MAX_CHARS + 1)}, "attribute_invalid"),
        ({"ce_time": b"yesterday"}, "attribute_invalid"),
        ({"ce_time": b"2026-03-01T12:30:00"}, "attribute_invalid"),
        ({"ce_sequence": b"-1"}, "attribute_invalid"),
        ({"ce_sequence": b"3.0"}, "attribute_invalid"),
        ({"ce_sequence": "٣".encode()}, "attribute_invalid"),
        ({"ce_sequence": str(2**63).encode()}, "attribute_invalid"),
        ({"ce_partitionkey": b"other"}, "key_mismatch"),
        ({"content-type": b"application/cloudevents+json"}, "content_type_unsupported"),
        ({"content-type": b"avro/binary"}, "content_type_unsupported"),
    ],
)
def test_a_malformed_record_is_refused_with_its_reason(changes: dict[str, bytes | None], reason: str) -> None:
    with pytest.raises(MalformedEvent) as malformed:
        from_record(received(record_with(changes)))
    assert malformed.value.reason == reason


@pytest.mark.parametrize(
    ("key", "reason"),
    [(b"\xff", "key_invalid"), (b"", "key_invalid"), (b"a\nb", "key_invalid"), (None, "key_mismatch")],
)
def test_a_key_that_cannot_be_a_key_is_refused(key: bytes | None, reason: str) -> None:
    with pytest.raises(MalformedEvent) as malformed:
        from_record(received(replace(to_record(EVENT), key=key)))
    assert malformed.value.reason == reason


def test_json_with_parameters_or_a_suffix_is_json() -> None:
    for content_type in (b"application/json; charset=utf-8", b"Application/JSON", b"application/vnd.shop+json"):
        assert from_record(received(record_with({"content-type": content_type}))) == EVENT
