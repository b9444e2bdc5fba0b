"""Baseline (a): FastAPI endpoints that read the same requests with the same models and answer a fixed document.

It authenticates nothing, stores nothing and decides nothing: what is left is HTTP, JSON and validation.
"""

import argparse

import uvicorn
from fastapi import FastAPI
from fastapi.responses import Response
from pydantic import BaseModel

from services.atp.entrypoints.quick_route import QuickRequest
from services.contracts.orders import OrderPlaced


class Orders(BaseModel):
    """Many orders in one request."""

    items: list[OrderPlaced]


def create_app(answer_bytes: int) -> FastAPI:
    """The application; its answer is a JSON document of about `answer_bytes` bytes."""
    app = FastAPI()
    answer = b'{"filler":"' + b"x" * answer_bytes + b'"}'

    @app.post("/v1/promises")
    async def nothing(order: OrderPlaced) -> Response:  # noqa: ARG001 - the order is read and validated, not used
        return Response(answer, media_type="application/json")

    @app.post("/v1/promises:batch")
    async def nothing_of_many(orders: Orders) -> Response:  # noqa: ARG001 - read and validated, not used
        return Response(answer, media_type="application/json")

    @app.post("/v1/availability:quick")
    async def nothing_quick(asked: QuickRequest) -> Response:  # noqa: ARG001 - read and validated, not used
        return Response(answer, media_type="application/json")

    @app.get("/v1/availability")
    async def nothing_to_read(sku: str) -> Response:  # noqa: ARG001 - read, not used
        return Response(answer, media_type="application/json")

    return app


def main() -> None:
    """Serve on loopback until stopped."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--answer-bytes", type=int, default=900)
    given = parser.parse_args()
    app = create_app(given.answer_bytes)
    uvicorn.run(app, host="127.0.0.1", port=given.port, loop="uvloop", http="httptools", access_log=False)


if __name__ == "__main__":
    main()
