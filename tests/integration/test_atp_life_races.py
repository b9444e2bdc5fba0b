"""Changes of a promise that meet each other: at one lock, from two processes, on a real PostgreSQL."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import AsyncExitStack
from typing import Any

import asyncpg
import httpx
import pytest

from services.chassis.lifecycle import Role
from tests.support.atp import DEADLINE_SECONDS, Atp, an_order, running_atp, unique
from tests.support.atp_proofs import prove

API = frozenset({Role.API})
CLIENTS = 64


@pytest.fixture
async def pair(database_url: str) -> AsyncIterator[tuple[Atp, Atp]]:
    """Two replicas over one database; the first one works what is due."""
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(running_atp(database_url, atp_due_poll_seconds=0.05))
        second = await stack.enter_async_context(running_atp(database_url, roles=API))
        yield first, second
        await prove(first)


async def at_one_lock(
    atp: Atp, lock: str, key: Sequence[str], racers: Sequence[Awaitable[Any]], *, waiters: int = 2
) -> list[Any]:
    """Start the racers while a row that all of them need is locked; let it go when so many wait for it."""
    connection = await asyncpg.connect(atp.database.url, server_settings={"search_path": "atp"})
    try:
        async with connection.transaction():
            assert await connection.fetch(f"{lock} FOR UPDATE", *key)
            tasks = [asyncio.ensure_future(racer) for racer in racers]
            async with asyncio.timeout(DEADLINE_SECONDS):
                while await connection.fetchval(WAITERS) < waiters:  # noqa: ASYNC110 - only the database knows
                    await asyncio.sleep(0.01)
        return list(await asyncio.gather(*tasks))
    finally:
        await connection.close()


WAITERS = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    " AND application_name = 'atp'"
)
IDENTITY = "SELECT FROM order_identity WHERE source = $1 AND order_id = $2"
POSITION = "SELECT FROM position WHERE item_id = $1"


def identity(order: dict[str, Any]) -> tuple[str, str]:
    return order["order"]["source"], order["order"]["order_id"]


def change(atp: Atp, promise_id: str, what: str, body: dict[str, Any]) -> Awaitable[httpx.Response]:
    headers = {"Idempotency-Key": unique("key")}
    return atp.client.post(f"/v1/promises/{promise_id}:{what}", json=body, headers=headers)


async def taken(atp: Atp, item: str) -> int:
    """What is committed of an item, once position and ledger agree on it."""
    ((position, ledger),) = await atp.fetch(
        "SELECT (SELECT coalesce(sum(q), 0) FROM position p, unnest(p.commit_quantities) q"
        " WHERE p.item_id = $1)::bigint, (SELECT coalesce(sum(open), 0) FROM commitment WHERE item_id = $1)::bigint",
        item,
    )
    assert position == ledger
    return int(ledger)


async def let_end(atp: Atp, promise_id: str, order: dict[str, Any], *, over: bool) -> None:
    """Let the sweep come for a hold; `over`: its time is over indeed."""
    if over:
        await atp.execute("UPDATE promise SET held_until = clock_timestamp() WHERE promise_id = $1", promise_id)
    await atp.execute(
        "UPDATE due SET at = clock_timestamp() WHERE kind = 'hold' AND key::jsonb ->> 1 = $1",
        order["order"]["order_id"],
    )


@pytest.mark.parametrize("over", [True, False])
async def test_a_confirmation_that_meets_the_sweep_is_decided_by_the_time_alone(
    pair: tuple[Atp, Atp], over: bool
) -> None:
    item = await pair[0].item(on_hand=5)
    order = an_order((item, 5), hold_seconds=600)
    promise_id = (await pair[0].place(order)).json()["promise_id"]

    racers = [let_end(pair[0], promise_id, order, over=over), change(pair[1], promise_id, "confirm", {"version": 1})]
    _, answer = await at_one_lock(pair[0], IDENTITY, identity(order), racers)
    if over:
        assert (answer.status_code, answer.json()["code"]) == (409, "promise_state")
        await pair[0].until("SELECT state = 'expired' FROM promise WHERE promise_id = $1", promise_id)
        assert await taken(pair[0], item) == 0
    else:
        assert (answer.status_code, answer.json()["state"]) == (200, "confirmed")
        await pair[0].until(
            "SELECT NOT EXISTS (SELECT FROM due WHERE kind = 'hold' AND key::jsonb ->> 1 = $1)", identity(order)[1]
        )
        assert await taken(pair[0], item) == 5


async def test_a_release_sent_twice_at_once_gives_back_once(pair: tuple[Atp, Atp]) -> None:
    item = await pair[0].item(on_hand=9)
    order = an_order((item, 9))
    promise_id = (await pair[0].place(order)).json()["promise_id"]
    body = {"version": 2, "lines": [{"line": "1", "quantity": 4}]}
    racers = [change(each, promise_id, "release", body) for each in pair]
    answers = await at_one_lock(pair[0], IDENTITY, identity(order), racers)
    assert {(answer.status_code, answer.content) for answer in answers} == {(200, answers[0].content)}
    assert await taken(pair[0], item) == 5


async def test_two_releases_that_meet_give_back_each_what_was_answered(pair: tuple[Atp, Atp]) -> None:
    item = await pair[0].item(on_hand=9)
    order = an_order((item, 9))
    promise_id = (await pair[0].place(order)).json()["promise_id"]
    quantities = (2, 3)  # each under the version of its own number
    racers = [
        change(each, promise_id, "release", {"version": number, "lines": [{"line": "1", "quantity": number}]})
        for each, number in zip(pair, quantities, strict=True)
    ]
    answers = await at_one_lock(pair[0], IDENTITY, identity(order), racers)
    given = sum(number for number, answer in zip(quantities, answers, strict=True) if answer.status_code == 200)
    assert answers[1].status_code == 200
    assert given in {3, 5}
    assert await taken(pair[0], item) == 9 - given


async def test_an_amendment_that_meets_a_cancel_leaves_nothing_behind(pair: tuple[Atp, Atp]) -> None:
    item = await pair[0].item(on_hand=9)
    order = an_order((item, 5))
    promise_id = (await pair[0].place(order)).json()["promise_id"]
    wanted = {**order, "order": {**order["order"], "version": 2}, "lines": an_order((item, 9))["lines"]}
    racers = [change(pair[0], promise_id, "amend", wanted), change(pair[1], promise_id, "cancel", {"version": 2})]
    amended, cancelled = await at_one_lock(pair[0], IDENTITY, identity(order), racers)
    assert (cancelled.status_code, cancelled.json()["state"]) == (200, "cancelled")
    assert amended.status_code in {200, 409}
    assert await taken(pair[0], item) == 0


async def test_a_revived_hold_and_a_new_order_cannot_both_have_the_last_unit(pair: tuple[Atp, Atp]) -> None:
    for _ in range(5):
        item = await pair[0].item(on_hand=1)
        order = an_order((item, 1), hold_seconds=600)
        promise_id = (await pair[0].place(order)).json()["promise_id"]
        await let_end(pair[0], promise_id, order, over=True)
        await pair[0].until("SELECT state = 'expired' FROM promise WHERE promise_id = $1", promise_id)
        racers = [
            change(pair[0], promise_id, "revive", {"version": 2}),
            pair[1].place(an_order((item, 1))),
        ]
        revived, placed = await at_one_lock(pair[0], POSITION, [item], racers)
        got = [revived.status_code == 200, placed.json()["lines"][0]["outcome"] == "promised"]
        assert sorted(got) == [False, True], (revived.json(), placed.json())
        assert await taken(pair[0], item) == 1


async def test_an_order_that_came_before_the_sweep_has_what_the_hold_gives_back(pair: tuple[Atp, Atp]) -> None:
    item = await pair[0].item(on_hand=1)
    order = an_order((item, 1), hold_seconds=600)
    promise_id = (await pair[0].place(order)).json()["promise_id"]
    placed = await pair[1].place(an_order((item, 1)))
    assert placed.json()["lines"][0]["outcome"] == "backordered"
    await let_end(pair[0], promise_id, order, over=True)
    refused = await change(pair[1], promise_id, "revive", {"version": 2})
    assert (refused.status_code, refused.json()["why"]) == (409, "no_stock")
    await pair[0].until("SELECT NOT EXISTS (SELECT FROM backorder WHERE item_id = $1)", item)
    assert await taken(pair[0], item) == 1


async def test_of_500_units_exactly_500_are_held_for_2000_and_all_come_back_once(pair: tuple[Atp, Atp]) -> None:
    item = await pair[0].item(on_hand=500)
    orders = iter([an_order((item, 1), hold_seconds=3_600) for _ in range(2_000)])
    answers: list[httpx.Response] = []

    async def client(number: int) -> None:
        for order in orders:
            answers.append(await pair[number % 2].place(order))  # noqa: PERF401 - clients take turns at the orders

    await asyncio.gather(*(client(number) for number in range(CLIENTS)))
    assert Counter(answer.json()["state"] for answer in answers) == {"held": 500, "refused": 1_500}
    assert await taken(pair[0], item) == 500
    held = [answer.json()["promise_id"] for answer in answers if answer.json()["state"] == "held"]
    await pair[0].execute("UPDATE promise SET held_until = clock_timestamp() WHERE promise_id = ANY($1)", held)
    await pair[0].execute("UPDATE due SET at = clock_timestamp() WHERE kind = 'hold'")
    await pair[0].until("SELECT count(*) = 0 FROM promise WHERE promise_id = ANY($1) AND state = 'held'", held)
    assert await taken(pair[0], item) == 0
    assert await pair[0].fetch("SELECT DISTINCT revision FROM promise WHERE promise_id = ANY($1)", held) == [(2,)]
