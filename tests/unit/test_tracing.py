"""Traces: a `traceparent` is handed on with and without an exporter; nonsense is ignored."""

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from services.chassis import tracing
from services.chassis.tracing import Name, Tracing

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "nonsense",
        PARENT + "-00",
        PARENT.upper(),
        PARENT.replace("00-4", "01-4", 1),
        "00-" + "0" * 32 + "-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-" + "0" * 16 + "-01",
        PARENT + "\n",
    ],
)
def test_a_bad_header_is_ignored(header: str | None) -> None:
    assert tracing.accept(header) is None


def test_a_good_header_is_accepted() -> None:
    assert tracing.accept(PARENT) == PARENT


def test_without_an_exporter_the_context_passes_through() -> None:
    token = tracing.traceparent.set(PARENT)
    with Tracing.off().span("decide") as span:
        assert span is None
        assert tracing.traceparent.get() == PARENT
    tracing.traceparent.reset(token)
    assert not Tracing.configured(None, service="atp").on


def test_with_an_exporter_spans_are_children_of_what_came_in() -> None:
    exporter = InMemorySpanExporter()
    tracer = Tracing.to(exporter, service="atp")
    token = tracing.traceparent.set(PARENT)
    with tracer.span("decide", attributes={Name.MESSAGING_BATCH_SIZE: 7}):
        inside = tracing.traceparent.get()
        with tracer.span("store"):
            pass
    assert tracing.traceparent.get() == PARENT
    tracing.traceparent.reset(token)
    tracer.close()

    store, decide = exporter.get_finished_spans()
    assert inside is not None
    assert inside.startswith("00-4bf92f3577b34da6a3ce929d0e0e4736-")
    assert decide.context is not None
    assert inside.split("-")[2] == f"{decide.context.span_id:016x}"
    assert decide.parent is not None
    assert f"{decide.parent.span_id:016x}" == "00f067aa0ba902b7"
    assert store.parent is not None
    assert store.parent.span_id == decide.context.span_id
    assert decide.attributes is not None
    assert decide.attributes["messaging.batch.message_count"] == 7


def test_without_a_parent_a_trace_begins() -> None:
    exporter = InMemorySpanExporter()
    tracer = Tracing.to(exporter, service="atp")
    with tracer.span("sweep"):
        assert tracing.accept(tracing.traceparent.get()) is not None
    tracer.close()
    [span] = exporter.get_finished_spans()
    assert span.parent is None
