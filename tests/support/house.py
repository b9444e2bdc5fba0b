"""An application behind the edge, for tests: two ways to read one body, and what was counted and logged."""

import io
from collections.abc import Callable, Mapping
from typing import Any

import httpx
import orjson
from fastapi import Depends, Request, Response
from prometheus_client import CollectorRegistry
from pydantic import BaseModel, ConfigDict, Field
from starlette.types import Message, Scope

from services.chassis import logs
from services.chassis.auth import require
from services.chassis.http import add_hot_route
from services.chassis.strict_json import read_json_body
from tests.support.http import Credentials, app_for_tests, client_of

SCOPE = "thing.write"
LIMIT_BYTES = 1_000


class Thing(BaseModel):
    """A body with rules."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(max_length=10)
    count: int = Field(gt=0, le=10**12)
    password: str | None = Field(default=None, min_length=8)


async def _echo_hot(request: Request) -> Response:
    thing = await read_json_body(request, Thing)
    return Response(thing.model_dump_json(), media_type="application/json")


class House:
    """An application with a hot and a FastAPI route of the same body, and what it counted and logged."""

    def __init__(self, **options: Any) -> None:
        self.credentials = Credentials()
        self.headers = self.credentials.headers(SCOPE, "metrics.read")
        self.registry = CollectorRegistry()
        self.access = io.BytesIO()
        given: dict[str, Any] = {
            "registry": self.registry,
            "body_limit_bytes": LIMIT_BYTES,
            "access_log": logs.AccessLog(every=1, output=self.access),
            **options,
        }
        self.app = app_for_tests(self.credentials, **given)
        add_hot_route(self.app, "/hot", _echo_hot, scope=SCOPE)
        self.app.add_api_route("/slow-lane", _echo_api, methods=["POST"], dependencies=[requires()])

    def add(self, path: str, endpoint: Callable[[Request], Any]) -> None:
        add_hot_route(self.app, path, endpoint, scope=SCOPE, methods=["GET", "POST"])

    def client(self) -> Any:
        return client_of(self.app, self.headers)

    async def get(self, path: str, **options: Any) -> httpx.Response:
        async with self.client() as client:
            response: httpx.Response = await client.get(path, **options)
            return response

    async def post(self, path: str, body: bytes, kind: str = "application/json") -> httpx.Response:
        async with self.client() as client:
            response: httpx.Response = await client.post(path, content=body, headers={"content-type": kind})
            return response

    def counted(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(name, labels)

    def access_lines(self) -> list[dict[str, Any]]:
        return [orjson.loads(line) for line in self.access.getvalue().splitlines()]


def requires() -> Any:
    return Depends(require(SCOPE))


async def _echo_api(thing: Thing) -> Thing:
    return thing


def request_scope(house: House, path: str, headers: Mapping[str, str]) -> Scope:
    raw = [(name.lower().encode(), value.encode()) for name, value in {**house.headers, **headers}.items()]
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": raw,
        "client": ("test", 1),
        "server": ("test", 1),
    }


async def call(house: House, path: str, receive: Any, headers: Mapping[str, str]) -> tuple[int, dict[str, Any]]:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    await house.app(request_scope(house, path, headers), receive, send)
    body = b"".join(message.get("body", b"") for message in sent[1:])
    return sent[0]["status"], orjson.loads(body)
