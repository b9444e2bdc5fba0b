"""Traces: a `traceparent` is handed on with and without an exporter; nonsense is ignored."""

import contextvars
from collections.abc import Callable

import pytest
from fastapi import Request, Response
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from services.chassis import tracing
from services.chassis.tracing import Name, Tracing
from tests.support.house import House

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
    assert not tracing.is_on()
    token = tracing.traceparent.set(PARENT)
    with tracing.span("decide") as span:
        assert span is None
        assert tracing.traceparent.get() == PARENT
    tracing.traceparent.reset(token)
    assert not Tracing.configured(None, service="atp").on


class Traced:
    """What was traced while tracing was on."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        self.tracer = Tracing.to(self.exporter, service="atp")

    def run(self, work: Callable[[], None]) -> tuple[ReadableSpan, ...]:
        """The spans that the work made, in the order of their ends; the caller's context stays as it was."""

        def activated() -> None:
            self.tracer.activate()
            work()

        contextvars.copy_context().run(activated)
        self.tracer.close()
        return self.exporter.get_finished_spans()


def _id(span: ReadableSpan) -> str:
    assert span.context is not None
    return f"{span.context.span_id:016x}"


def _parent(span: ReadableSpan) -> str | None:
    return None if span.parent is None else f"{span.parent.span_id:016x}"


def test_with_an_exporter_spans_are_children_of_what_came_in() -> None:
    inside: list[str | None] = []

    def work() -> None:
        tracing.traceparent.set(PARENT)
        with tracing.span("decide", attributes={Name.MESSAGING_BATCH_SIZE: 7}):
            inside.append(tracing.traceparent.get())
            with tracing.span("store"):
                pass
        assert tracing.traceparent.get() == PARENT

    store, decide = Traced().run(work)
    assert inside == [f"00-4bf92f3577b34da6a3ce929d0e0e4736-{_id(decide)}-01"]
    assert _parent(decide) == "00f067aa0ba902b7"
    assert _parent(store) == _id(decide)
    assert decide.attributes is not None
    assert decide.attributes["messaging.batch.message_count"] == 7


def test_a_consumed_event_continues_its_trace_and_a_batch_of_several_links_them() -> None:
    other = PARENT.replace("4bf9", "aaaa").replace("00f0", "bbbb")

    def work() -> None:
        with tracing.span("one event", SpanKind.CONSUMER, follows=[PARENT]):
            pass
        with tracing.span("a batch", SpanKind.CONSUMER, follows=[PARENT, None, other, PARENT, "nonsense"]):
            pass

    one, batch = Traced().run(work)
    assert _parent(one) == "00f067aa0ba902b7"
    assert _parent(batch) is None
    assert [f"{link.context.span_id:016x}" for link in batch.links] == ["00f067aa0ba902b7", "bbbb67aa0ba902b7"]


def test_without_a_parent_a_trace_begins() -> None:
    def work() -> None:
        with tracing.span("sweep"):
            assert tracing.accept(tracing.traceparent.get()) is not None

    [span] = Traced().run(work)
    assert _parent(span) is None


def test_a_failure_marks_the_span_without_telling_what_was_in_it() -> None:
    def work() -> None:
        with pytest.raises(KeyError), tracing.span("decide"):
            raise KeyError("hunter2")

    [span] = Traced().run(work)
    assert span.status.status_code is StatusCode.ERROR
    assert "hunter2" not in span.to_json()


async def test_a_request_is_a_span_named_by_its_route_and_its_events_continue_it() -> None:
    seen: list[str | None] = []
    house = House()

    async def look(_: Request) -> Response:
        seen.append(tracing.traceparent.get())
        return Response()

    house.add("/look", look)
    traced = Traced()
    traced.tracer.activate()
    try:
        await house.get("/look", headers={"traceparent": PARENT})
    finally:
        Tracing.off().activate()
    traced.tracer.close()
    [span] = traced.exporter.get_finished_spans()
    assert (span.name, span.kind, _parent(span)) == ("GET /look", SpanKind.SERVER, "00f067aa0ba902b7")
    assert seen == [f"00-4bf92f3577b34da6a3ce929d0e0e4736-{_id(span)}-01"]
    assert span.attributes is not None
    assert span.attributes["http.response.status_code"] == 200
    assert span.attributes["http.route"] == "/look"
