"""Races for stock, identities and keys, between clients and between processes, on a real PostgreSQL."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, suppress
from functools import partial
from typing import Any

import httpx
import pytest

from services.atp.bootstrap import MIGRATIONS, SCHEMA
from services.chassis.lifecycle import Role
from services.chassis.migrations import migrate
from tests.support.atp import Atp, an_order, running_atp, unique
from tests.support.atp_process import atp_process

CLIENTS = 64


@pytest.fixture
async def pair(database_url: str) -> AsyncIterator[tuple[Atp, Atp]]:
    """Two replicas over one database."""
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(running_atp(database_url))
        second = await stack.enter_async_context(running_atp(database_url, roles=frozenset({Role.API})))
        yield first, second


async def by_clients(jobs: Sequence[Callable[[], Awaitable[httpx.Response]]]) -> list[httpx.Response]:
    """Run the jobs by so many clients at once; their answers."""
    waiting = iter(jobs)
    answers: list[httpx.Response] = []

    async def client() -> None:
        for job in waiting:
            answers.append(await job())  # noqa: PERF401 - clients take turns at the jobs

    await asyncio.gather(*(client() for _ in range(CLIENTS)))
    return answers


def placing(atp: Atp, order: dict[str, Any], **headers: str) -> Callable[[], Awaitable[httpx.Response]]:
    return lambda: atp.place(order, **headers)


async def committed(atp: Atp, item: str) -> int:
    """What is promised of an item, once position and ledger agree on it."""
    ((position,),) = await atp.fetch(
        "SELECT (SELECT coalesce(sum(q), 0) FROM unnest(commit_quantities) q)::bigint FROM position WHERE item_id = $1",
        item,
    )
    ((ledger,),) = await atp.fetch("SELECT coalesce(sum(open), 0)::bigint FROM commitment WHERE item_id = $1", item)
    assert position == ledger
    return int(ledger)


async def test_of_500_units_exactly_500_are_promised_to_2000_requests(pair: tuple[Atp, Atp]) -> None:
    item = await pair[0].item(on_hand=500)
    jobs = [placing(pair[number % 2], an_order((item, 1))) for number in range(2_000)]
    answers = await by_clients(jobs)
    assert {answer.status_code for answer in answers} == {201}
    got = Counter(answer.json()["lines"][0]["outcome"] for answer in answers)
    assert got == {"promised": 500, "backordered": 1_500}
    assert await committed(pair[0], item) == 500
    assert await pair[0].fetch("SELECT count(*) FROM backorder WHERE item_id = $1", item) == [(1_500,)]


async def test_one_key_sent_100_times_at_once_has_one_effect(pair: tuple[Atp, Atp]) -> None:
    item = await pair[0].item(on_hand=500)
    order, key = an_order((item, 3)), unique("key")
    answers = await by_clients([placing(pair[number % 2], order, **{"Idempotency-Key": key}) for number in range(100)])
    assert {(answer.status_code, answer.content) for answer in answers} == {(201, answers[0].content)}
    assert await committed(pair[0], item) == 3


async def test_one_order_sent_100_times_at_once_is_promised_once(pair: tuple[Atp, Atp]) -> None:
    item = await pair[0].item(on_hand=500)
    order = an_order((item, 3))
    answers = await by_clients([placing(pair[number % 2], order) for number in range(100)])
    assert Counter(answer.status_code for answer in answers) == {201: 1, 200: 99}
    assert {answer.content for answer in answers} == {answers[0].content}
    assert await committed(pair[0], item) == 3


async def test_orders_with_their_lines_in_opposite_order_do_not_lock_each_other_out(pair: tuple[Atp, Atp]) -> None:
    left, right = [await pair[0].item(on_hand=100) for _ in range(2)]
    orders = [((left, 1), (right, 1)) if number % 2 else ((right, 1), (left, 1)) for number in range(200)]
    answers = await by_clients([placing(pair[number % 3 % 2], an_order(*lines)) for number, lines in enumerate(orders)])
    assert {answer.status_code for answer in answers} == {201}
    assert [await committed(pair[0], item) for item in (left, right)] == [100, 100]


async def test_an_order_placed_and_cancelled_at_once_ends_cancelled_with_nothing_taken(pair: tuple[Atp, Atp]) -> None:
    item = await pair[0].item(on_hand=1_000)
    orders = [an_order((item, 1)) for _ in range(60)]
    made = {order["order"]["order_id"]: (await pair[0].place(order)).json()["promise_id"] for order in orders}

    def cancel(number: int, promise_id: str) -> Callable[[], Awaitable[httpx.Response]]:
        return lambda: pair[number % 2].client.post(f"/v1/promises/{promise_id}:cancel", json={"version": 1})

    jobs = [cancel(number, promise_id) for promise_id in made.values() for number in range(2)]
    answers = await by_clients(jobs)
    assert {answer.status_code for answer in answers} == {200}
    assert await committed(pair[0], item) == 0
    revisions = await pair[0].fetch(
        "SELECT DISTINCT revision FROM promise WHERE promise_id = ANY($1)", list(made.values())
    )
    assert revisions == [(2,)]


async def test_a_client_that_leaves_changes_nothing(pair: tuple[Atp, Atp]) -> None:
    atp = pair[0]
    item = await atp.item(on_hand=500)
    orders = [an_order((item, 1)) for _ in range(40)]
    leaving = [asyncio.create_task(atp.place(order)) for order in orders]
    for task in leaving[::2]:
        for _ in range(5):  # each leaves at another point of its request
            await asyncio.sleep(0)
        task.cancel()
    await asyncio.gather(*leaving, return_exceptions=True)
    ((left_at,),) = await atp.fetch("SELECT clock_timestamp()")
    answers = await by_clients([placing(atp, order) for order in orders])
    assert {answer.status_code for answer in answers} <= {200, 201}
    assert await committed(atp, item) == 40
    await atp.until(
        "SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND xact_start < $1)",
        left_at,
    )


async def test_connections_killed_under_load_lose_and_double_nothing(pair: tuple[Atp, Atp]) -> None:
    item = await pair[0].item(on_hand=10_000)
    orders = [an_order((item, 1)) for _ in range(300)]

    def until_answered(number: int, order: dict[str, Any]) -> Callable[[], Awaitable[httpx.Response]]:
        async def job() -> httpx.Response:
            if number % 20 == 0:
                await pair[0].fetch(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND application_name = 'atp'"
                )
            while True:
                answer = await pair[number % 2].place(order)
                if answer.status_code != 503:
                    return answer
                assert int(answer.headers["retry-after"]) >= 1

        return job

    answers = await by_clients([until_answered(number, order) for number, order in enumerate(orders)])
    assert {answer.status_code for answer in answers} <= {200, 201}
    assert await committed(pair[0], item) == 300


async def test_a_process_killed_under_load_keeps_every_acknowledged_promise(database_url: str) -> None:
    await migrate(database_url, schema=SCHEMA, script_location=MIGRATIONS)
    async with running_atp(database_url, roles=frozenset()) as looking:
        item = await looking.item(on_hand=10_000)
        orders = [an_order((item, 1)) for _ in range(400)]
        acknowledged: dict[str, bytes] = {}
        async with atp_process(database_url) as (process, client):
            waiting = iter(orders)

            async def place_until_it_is_gone() -> None:
                with suppress(httpx.TransportError):
                    for order in waiting:
                        answer = await client.post("/v1/promises", json=order)
                        if answer.status_code == 201:
                            acknowledged[order["order"]["order_id"]] = answer.content
                        if len(acknowledged) == 100:
                            process.kill()

            await asyncio.gather(*(place_until_it_is_gone() for _ in range(CLIENTS)))
        assert 100 <= len(acknowledged) < 100 + CLIENTS
        async with atp_process(database_url) as (_, client):
            found = await by_clients([partial(client.post, "/v1/promises", json=order) for order in orders])
        answers = {answer.json()["order"]["order_id"]: answer for answer in found}
        assert all(answers[order_id].content == document for order_id, document in acknowledged.items())
        assert {answers[order_id].status_code for order_id in acknowledged} == {200}
        assert await committed(looking, item) == 400
