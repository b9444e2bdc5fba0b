"""Traces across HTTP and the event log, in the W3C `traceparent` format.

Without a configured exporter nothing of the OpenTelemetry SDK runs: an incoming `traceparent` is validated, kept in a
context variable and handed on in events and calls, so a trace is not cut here. With an exporter (`Tracing.activate`,
once, by the composition root, before tasks are started), `span` makes real spans: of requests, of consumed batches.
The names of the semantic conventions are here and nowhere else, because they still change.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from enum import StrEnum
from types import MappingProxyType
from typing import Final
from urllib.parse import urlsplit

from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, StatusCode, TraceFlags

traceparent: ContextVar[str | None] = ContextVar("traceparent", default=None)
_FORMAT: Final = re.compile(r"00-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})")
EXPORT_DEADLINE_SECONDS: Final = 3  # with all tries; the end of the process waits for it once
LINKS_MAX: Final = 128  # what OpenTelemetry keeps of a batch's causes
QUEUE_MAX_SPANS: Final = 4_096  # spans beyond it are dropped: tracing never slows the service down


class Name(StrEnum):
    """Attribute names of the OpenTelemetry semantic conventions (1.45) that are used."""

    HTTP_METHOD = "http.request.method"
    HTTP_ROUTE = "http.route"
    HTTP_STATUS = "http.response.status_code"
    MESSAGING_SYSTEM = "messaging.system.name"
    MESSAGING_DESTINATION = "messaging.destination.name"
    MESSAGING_OPERATION = "messaging.operation.name"
    MESSAGING_GROUP = "messaging.consumer.group.name"
    MESSAGING_BATCH_SIZE = "messaging.batch.message_count"
    KAFKA_OFFSET = "kafka.offset"
    DATABASE_SYSTEM = "db.system.name"
    DATABASE_OPERATION = "db.operation.name"


def accept(header: str | None) -> str | None:
    """The header if it is a well-formed `traceparent`, else None: a bad one is ignored, as the standard asks."""
    return header if header is not None and _FORMAT.fullmatch(header) else None


class Tracing:
    """The tracer of one process. `close` sends what is queued and blocks while it does; call it last, in a thread."""

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
                export_timeout_millis=EXPORT_DEADLINE_SECONDS * 1000,
            )
        )
        return cls(provider)

    @classmethod
    def configured(cls, otlp_endpoint: str | None, *, service: str) -> "Tracing":
        """Tracing as the settings say: to an OTLP collector over HTTP, or off."""
        if otlp_endpoint is None:
            return cls.off()
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        address = otlp_endpoint.rstrip("/")
        path = "" if urlsplit(address).path else "/v1/traces"
        return cls.to(OTLPSpanExporter(endpoint=address + path, timeout=EXPORT_DEADLINE_SECONDS), service=service)

    @property
    def on(self) -> bool:
        """Whether spans are made."""
        return self._tracer is not None

    def activate(self) -> None:
        """Make `span` use this; whatever task is started from here on inherits it."""
        _active.set(self)

    @contextmanager
    def span(
        self, name: str, kind: SpanKind, attributes: Mapping[Name, str | int], follows: Iterable[str | None]
    ) -> Iterator[trace.Span | None]:
        """See the function `span`."""
        if self._tracer is None:
            yield None
            return
        causes = [context for header in dict.fromkeys(follows) if (context := _context_of(header)) is not None]
        parent = causes.pop() if len(causes) == 1 else _context_of(traceparent.get())
        given = {str(key): value for key, value in attributes.items()}
        links = [trace.Link(context) for context in causes[:LINKS_MAX]]
        under = None if parent is None else trace.set_span_in_context(NonRecordingSpan(parent))
        made = self._tracer.start_span(name, context=under, kind=kind, attributes=given, links=links)
        token = traceparent.set(_header_of(made.get_span_context()))
        try:
            yield made
        except BaseException:
            made.set_status(StatusCode.ERROR)  # without the exception's text, which may hold what nobody may read
            raise
        finally:
            traceparent.reset(token)
            made.end()

    def close(self) -> None:
        """Send the queued spans and stop the background thread."""
        if self._provider is not None:
            self._provider.shutdown()


_active: ContextVar[Tracing] = ContextVar("tracing", default=Tracing.off())  # noqa: B039 - it cannot be changed


def is_on() -> bool:
    """Whether spans are made here; for callers that have something to prepare."""
    return _active.get().on


def span(
    name: str,
    kind: SpanKind = SpanKind.INTERNAL,
    attributes: Mapping[Name, str | int] = MappingProxyType({}),
    follows: Iterable[str | None] = (),
) -> AbstractContextManager[trace.Span | None]:
    """A span around the block, in which `traceparent` is the span's own; None where tracing is off.

    It is a child of the current `traceparent`, or of the one cause in `follows`; several causes (a batch of events) are
    linked.
    """
    return _active.get().span(name, kind, attributes, follows)


def _context_of(header: str | None) -> SpanContext | None:
    match = None if header is None else _FORMAT.fullmatch(header)
    if match is None:
        return None
    return SpanContext(
        trace_id=int(match[1], 16), span_id=int(match[2], 16), is_remote=True, trace_flags=TraceFlags(int(match[3], 16))
    )


def _header_of(context: SpanContext) -> str:
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags):02x}"
