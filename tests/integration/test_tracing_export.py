"""Spans leave the process for a collector, and a collector that is gone holds nothing up."""

import asyncio
import socket

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from services.chassis import tracing
from services.chassis.tracing import Tracing

DEADLINE_SECONDS = 60.0


async def test_spans_reach_a_collector() -> None:
    received: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue()

    async def collect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.split("content-length: ")[1].split("\r\n")[0])
        await received.put((head.split(" ")[1], await reader.readexactly(length)))
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(collect, "127.0.0.1", 0)
    traces = Tracing.configured(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", service="atp")
    traces.activate()
    with tracing.span("decide"):
        pass
    Tracing.off().activate()
    async with asyncio.timeout(DEADLINE_SECONDS):
        _, (path, body) = await asyncio.gather(asyncio.to_thread(traces.close), received.get())
    server.close()
    await server.wait_closed()

    assert path == "/v1/traces"
    [resource] = ExportTraceServiceRequest.FromString(body).resource_spans
    attributes = {each.key: each.value.string_value for each in resource.resource.attributes}
    assert attributes["service.name"] == "atp"
    assert [span.name for scope in resource.scope_spans for span in scope.spans] == ["decide"]


async def test_a_collector_that_is_gone_does_not_hold_up_the_end() -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        traces = Tracing.configured(f"http://127.0.0.1:{nobody.getsockname()[1]}", service="atp")
        traces.activate()
        with tracing.span("decide"):
            pass
        Tracing.off().activate()
        async with asyncio.timeout(DEADLINE_SECONDS):
            await asyncio.to_thread(traces.close)
