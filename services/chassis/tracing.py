"""Traces across HTTP and the event log, in the W3C `traceparent` format.

Without a configured exporter nothing of the OpenTelemetry SDK runs: an incoming `traceparent` is validated, kept in a
context variable and handed on in events and calls, so a trace is not cut here. With an exporter, `span` makes real
spans. The names of the semantic conventions are here and nowhere else, because they still change.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from enum import StrEnum
from typing import Final

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, TraceFlags

traceparent: ContextVar[str | None] = ContextVar("traceparent", default=None)
_FORMAT: Final = re.compile(r"00-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})")
EXPORT_DEADLINE_MILLISECONDS: Final = 5_000
QUEUE_MAX_SPANS: Final = 4_096  # spans beyond it are dropped: tracing never slows the service down


class Name(StrEnum):
    """Attribute names of the OpenTelemetry semantic conventions (1.45) that are used."""

    HTTP_METHOD = "http.request.method"
    HTTP_ROUTE = "http.route"
    HTTP_STATUS = "http.response.status_code"
    MESSAGING_SYSTEM = "messaging.system.name"
    MESSAGING_DESTINATION = "messaging.destination.name"
    MESSAGING_OPERATION = "messaging.operation.name"
    MESSAGING_BATCH_SIZE = "messaging.batch.message_count"
    KAFKA_OFFSET = "kafka.offset"
    DATABASE_SYSTEM = "db.system.name"
    DATABASE_OPERATION = "db.operation.name"


def accept(header: str | None) -> str | None:
    """The header if it is a well-formed `traceparent`, else None: a bad one is ignored, as the standard asks."""
    return header if header is not None and _FORMAT.fullmatch(header) else None


class Tracing:
    """The tracer of one process. `close` sends what is queued; call it last."""

    def __init__(self, provider: TracerProvider | None) -> None:
        self._provider = provider
        self._tracer = None if provider is None else provider.get_tracer("tiercel")

    @classmethod
    def off(cls) -> "Tracing":
        """No exporter: context still travels, no span is made."""
        return cls(None)

    @classmethod
    def to(cls, exporter: SpanExporter, *, service: str) -> "Tracing":
        """Spans of `service` go to the exporter, in batches, in the background."""
        provider = TracerProvider(resource=Resource.create({"service.name": service}), shutdown_on_exit=False)
        provider.add_span_processor(
            BatchSpanProcessor(
                exporter,
                max_queue_size=QUEUE_MAX_SPANS,
                export_timeout_millis=EXPORT_DEADLINE_MILLISECONDS,
            )
        )
        return cls(provider)

    @classmethod
    def configured(cls, otlp_endpoint: str | None, *, service: str) -> "Tracing":
        """Tracing as the settings say: to an OTLP collector over HTTP, or off."""
        if otlp_endpoint is None:
            return cls.off()
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        return cls.to(OTLPSpanExporter(endpoint=otlp_endpoint), service=service)

    @property
    def on(self) -> bool:
        """Whether spans are made."""
        return self._tracer is not None

    @contextmanager
    def span(
        self, name: str, kind: SpanKind = SpanKind.INTERNAL, attributes: Mapping[Name, str | int] | None = None
    ) -> Iterator[trace.Span | None]:
        """A span under the current `traceparent`, which is the span's own inside of the block."""
        if self._tracer is None:
            yield None
            return
        parent = _context_of(traceparent.get())
        given = {str(key): value for key, value in (attributes or {}).items()}
        with self._tracer.start_as_current_span(name, context=parent, kind=kind, attributes=given) as span:
            token = traceparent.set(_header_of(span.get_span_context()))
            try:
                yield span
            finally:
                traceparent.reset(token)

    def close(self) -> None:
        """Send the queued spans and stop the background thread."""
        if self._provider is not None:
            self._provider.shutdown()


def _context_of(header: str | None) -> Context | None:
    match = None if header is None else _FORMAT.fullmatch(header)
    if match is None:
        return None
    context = SpanContext(
        trace_id=int(match[1], 16), span_id=int(match[2], 16), is_remote=True, trace_flags=TraceFlags(int(match[3], 16))
    )
    return trace.set_span_in_context(NonRecordingSpan(context))


def _header_of(context: SpanContext) -> str:
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags):02x}"
