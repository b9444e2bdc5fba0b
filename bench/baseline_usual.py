"""Baseline (b): the same promise written the usual way, one transaction per request.

FastAPI and asyncpg: idempotency row, `SELECT ... FOR UPDATE` of the stock row, promise row, outbox row, commit. The
same API key check, the same durability (`fsync` and `synchronous_commit` stay on), a pool of connections.
"""

import argparse
import hmac
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import sha256
from typing import Final
from uuid import uuid4

import asyncpg
import orjson
import uvicorn
from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.responses import Response
from pydantic import BaseModel

from services.atp.entrypoints.quick_route import QuickRequest
from services.contracts.orders import OrderPlaced

POOL_SIZE: Final = 20
SCHEMA: Final = """
CREATE SCHEMA IF NOT EXISTS bench_usual;
CREATE TABLE IF NOT EXISTS bench_usual.stock (
    sku text PRIMARY KEY, on_hand bigint NOT NULL, reserved bigint NOT NULL DEFAULT 0, CHECK (reserved <= on_hand));
CREATE TABLE IF NOT EXISTS bench_usual.idempotency (
    source text, order_id text, fingerprint bytea NOT NULL, answer bytea NOT NULL, PRIMARY KEY (source, order_id));
CREATE TABLE IF NOT EXISTS bench_usual.promise (
    promise_id uuid, line text, source text NOT NULL, order_id text NOT NULL, sku text NOT NULL,
    quantity bigint NOT NULL, PRIMARY KEY (promise_id, line));
CREATE TABLE IF NOT EXISTS bench_usual.outbox (
    id uuid PRIMARY KEY, aggregateid text NOT NULL, payload jsonb NOT NULL,
    created_at timestamptz DEFAULT now());
"""


class Orders(BaseModel):
    """Many orders in one request."""

    items: list[OrderPlaced]


def create_app(database_url: str, key: str) -> FastAPI:
    """The application over `database_url`; `key` is the one API key that it accepts."""
    digest = sha256(key.encode()).digest()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with asyncpg.create_pool(database_url, min_size=POOL_SIZE, max_size=POOL_SIZE) as pool:
            async with pool.acquire() as connection:
                await connection.execute(SCHEMA)
                await connection.execute(
                    "INSERT INTO bench_usual.stock SELECT 'BENCH-' || lpad(n::text, 4, '0'), 1000000000"
                    " FROM generate_series(1, 1000) n ON CONFLICT DO NOTHING"
                )
            app.state.pool = pool
            yield

    app = FastAPI(lifespan=lifespan)

    def authenticated(request: Request) -> None:
        given = request.headers.get("authorization", "").removeprefix("Bearer ")
        if not hmac.compare_digest(sha256(given.encode()).digest(), digest):
            raise HTTPException(401)

    @app.post("/v1/promises", dependencies=[Depends(authenticated)])
    async def promise(order: OrderPlaced, request: Request) -> Response:
        async with request.app.state.pool.acquire() as connection, connection.transaction():
            return await _promise(connection, order)

    @app.post("/v1/promises:batch", dependencies=[Depends(authenticated)])
    async def promise_all(orders: Orders, request: Request) -> Response:
        answers = []
        for order in orders.items:
            async with request.app.state.pool.acquire() as connection, connection.transaction():
                answers.append((await _promise(connection, order)).body)
        return Response(b'{"items":[' + b",".join(bytes(answer) for answer in answers) + b"]}")

    @app.get("/v1/availability", dependencies=[Depends(authenticated)])
    async def availability(sku: str, request: Request) -> Response:
        return Response(orjson.dumps(await _available(request, sku)))

    @app.post("/v1/availability:quick", dependencies=[Depends(authenticated)])
    async def quick(asked: QuickRequest, request: Request) -> Response:
        return Response(orjson.dumps({"items": [await _available(request, pair.sku) for pair in asked.items]}))

    return app


async def _available(request: Request, sku: str) -> dict[str, object]:
    async with request.app.state.pool.acquire() as connection:
        row = await connection.fetchrow("SELECT on_hand, reserved FROM bench_usual.stock WHERE sku = $1", sku)
    if row is None:
        raise HTTPException(404)
    return {"sku": sku, "available": row["on_hand"] - row["reserved"]}


async def _promise(connection: asyncpg.Connection, order: OrderPlaced) -> Response:
    ref = order.order
    known = await connection.fetchrow(
        "SELECT answer FROM bench_usual.idempotency WHERE source = $1 AND order_id = $2", ref.source, ref.order_id
    )
    if known is not None:
        return Response(known["answer"], media_type="application/json")
    promise_id, taken = uuid4(), []
    for line in order.lines:
        row = await connection.fetchrow(
            "SELECT on_hand, reserved FROM bench_usual.stock WHERE sku = $1 FOR UPDATE", line.sku
        )
        quantity = 0 if row is None else min(line.quantity, row["on_hand"] - row["reserved"])
        await connection.execute(
            "UPDATE bench_usual.stock SET reserved = reserved + $2 WHERE sku = $1", line.sku, quantity
        )
        await connection.execute(
            "INSERT INTO bench_usual.promise VALUES ($1, $2, $3, $4, $5, $6)",
            promise_id,
            line.line,
            ref.source,
            ref.order_id,
            line.sku,
            quantity,
        )
        taken.append({"line": line.line, "promised": quantity})
    answer = orjson.dumps({"promise_id": str(promise_id), "order": ref.order_id, "lines": taken})
    await connection.execute(
        "INSERT INTO bench_usual.idempotency VALUES ($1, $2, $3, $4)", ref.source, ref.order_id, b"", answer
    )
    await connection.execute(
        "INSERT INTO bench_usual.outbox (id, aggregateid, payload) VALUES ($1, $2, $3)",
        uuid4(),
        ref.order_id,
        answer.decode(),
    )
    return Response(answer, media_type="application/json", status_code=201)


def main() -> None:
    """Serve on loopback until stopped."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--database-url", required=True)
    parser.add_argument("--key", required=True)
    given = parser.parse_args()
    app = create_app(given.database_url, given.key)
    uvicorn.run(app, host="127.0.0.1", port=given.port, loop="uvloop", http="httptools", access_log=False)


if __name__ == "__main__":
    main()
