"""Whatever is in the log, reading it gives an event or says why not."""

from contextlib import suppress
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from services.chassis.envelope import Event, MalformedEvent, from_record, to_record
from services.chassis.event_log.port import Received, Record

AT = datetime(2026, 1, 1, tzinfo=UTC)
TEXT = st.text(st.characters(exclude_categories=["C", "Z"], include_characters=" "), min_size=1, max_size=60)
"""What `str.isprintable` allows."""
KNOWN = st.sampled_from(
    ["ce_specversion", "ce_id", "ce_type", "ce_source", "ce_time", "ce_sequence", "ce_partitionkey", "content-type"]
)
EVENTS = st.builds(
    Event,
    id=TEXT,
    type=TEXT,
    source=TEXT,
    topic=st.just("orders.v1"),
    key=st.none() | TEXT,
    sequence=st.integers(0, 2**63 - 1),
    time=st.datetimes(timezones=st.just(UTC)),
    data=st.binary(max_size=100),
    correlation_id=TEXT,
    causation_id=TEXT,
    traceparent=st.none(),
    dataschema=st.none() | TEXT,
    subject=st.none() | TEXT,
    proof=st.none() | TEXT,
)


@given(EVENTS)
def test_every_event_survives_the_log(event: Event) -> None:
    record = to_record(event)
    assert from_record(Received(record, 0, 0, AT)) == event


@given(
    st.none() | st.binary(max_size=40),
    st.none() | st.binary(max_size=40),
    st.lists(st.tuples(KNOWN | st.text(max_size=10), st.binary(max_size=40) | st.just(b"1.0")), max_size=14),
)
def test_any_record_is_an_event_or_malformed(
    key: bytes | None, value: bytes | None, headers: list[tuple[str, bytes]]
) -> None:
    with suppress(MalformedEvent):
        assert from_record(Received(Record("orders.v1", key, value, tuple(headers)), 0, 0, AT)).topic == "orders.v1"
