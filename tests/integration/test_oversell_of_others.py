"""How others oversold, tried on this system: over HTTP, by several processes, on a real PostgreSQL.

| what went wrong elsewhere | where |
|---|---|
| two checkouts pass for the last unit while the way to the database is slow | saleor#543 |
| lines of one item in one order do not see each other | medusa#16502, vendure#1028, vendure#4030 |
| check and reservation in different transactions | vendure#3508, saleor#11069 |
| a filter that turns out empty matches everything | vendure#2356, vendure#3588 |
| a release runs twice and gives back twice | medusa#12401, odoo PR#32857 |
| rows locked in opposite order | saleor#17123, odoo#272560 |
| a shared counter is read and then written | magento2#6363, medusa#16569 |

After every test the ledger has to agree with what decisions read, and an audit with arithmetic of its own must find
that no decision ever made anything less than nothing.
"""

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Iterable
from contextlib import AsyncExitStack
from typing import Any

import httpx
import pytest

from services.atp.adapters import ledger, oversell_audit
from services.chassis.lifecycle import Role
from tests.support.atp import Atp, an_order, assigned, outcomes, running_atp, unique
from tests.support.atp_process import atp_process
from tests.support.database_proxy import proxied

STOCK, REQUESTS, CONNECTIONS = 500, 2_000, 64
SLOWNESS_SECONDS = 0.03
ANSWER_SECONDS_MAX = 120.0


@pytest.fixture
async def pair(database_url: str) -> AsyncIterator[tuple[Atp, Atp]]:
    """Two replicas over one database, the second with a slow way to it; afterwards everything is audited."""
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(running_atp(database_url))
        proxy = await stack.enter_async_context(proxied(database_url))
        second = await stack.enter_async_context(running_atp(proxy.url, roles=frozenset({Role.API})))
        proxy.latency_seconds = SLOWNESS_SECONDS
        yield first, second
        proxy.latency_seconds = 0.0
        await audited(first)


async def audited(atp: Atp) -> None:
    """Ledger and aggregates agree, and nothing was ever oversold."""
    assert (await ledger.verify(atp.database)).drifts == ()
    report = await oversell_audit.audit(atp.database)
    assert (report.oversold, report.broken_chains) == ({}, {})
    assert report.decisions > 0


async def at_once(requests: Iterable[Awaitable[httpx.Response]]) -> list[httpx.Response]:
    return list(await asyncio.gather(*requests))


async def surely_posted(client: httpx.AsyncClient, order: dict[str, Any]) -> httpx.Response:
    """Place an order, again and again while nobody knows whether it was: on a busy machine an answer may be late."""
    while (answer := await client.post("/v1/promises", json=order, timeout=ANSWER_SECONDS_MAX)).status_code == 503:
        pass
    return answer


async def committed(atp: Atp, item: str) -> int:
    """What positions hold as promised of an item."""
    query = "SELECT coalesce(sum(q), 0)::bigint FROM position, unnest(commit_quantities) q WHERE item_id = $1"
    return int((await atp.fetch(query, item))[0][0])


def promised(answers: Iterable[httpx.Response]) -> int:
    """Units promised over all answers, each of which has to be one."""
    total = 0
    for answer in answers:
        assert answer.status_code in {200, 201}, answer.text
        total += sum(line["promised"] for line in answer.json()["lines"])
    return total


@pytest.mark.timeout(600)
async def test_of_500_units_2000_requests_over_64_connections_get_exactly_500(database_url: str) -> None:
    async with running_atp(database_url, roles=frozenset()) as looking:
        item = await looking.item(on_hand=STOCK)
        async with atp_process(database_url) as (_, first), atp_process(database_url) as (_, second):
            jobs = iter([an_order((item, 1)) for _ in range(REQUESTS)])
            answers: list[httpx.Response] = []

            async def connection(client: httpx.AsyncClient) -> None:
                for order in jobs:
                    answers.append(await surely_posted(client, order))  # noqa: PERF401 - connections take turns

            await asyncio.gather(*(connection((first, second)[number % 2]) for number in range(CONNECTIONS)))
        assert len(answers) == REQUESTS
        assert {answer.status_code for answer in answers} <= {200, 201}
        assert Counter(outcomes(answer)[0] for answer in answers) == {
            "promised": STOCK,
            "backordered": REQUESTS - STOCK,
        }
        assert await committed(looking, item) == STOCK
        await audited(looking)


async def test_two_checkouts_race_for_the_last_unit_and_one_gets_it(pair: tuple[Atp, Atp]) -> None:
    items = [await pair[0].item(on_hand=1) for _ in range(12)]
    for item in items:
        answers = await at_once(atp.place(an_order((item, 1))) for atp in pair)
        assert sorted(outcomes(answer)[0] for answer in answers) == ["backordered", "promised"]
        assert await committed(pair[0], item) == 1


@pytest.mark.parametrize(
    ("stock", "lines", "got"),
    [(1, (1, 1), [1, 0]), (13, (10, 15), [10, 3]), (25, (20, 10, 5), [20, 5, 0]), (35, (20, 10, 5), [20, 10, 5])],
)
async def test_lines_of_one_item_in_one_order_see_each_other(
    pair: tuple[Atp, Atp], stock: int, lines: tuple[int, ...], got: list[int]
) -> None:
    item = await pair[0].item(on_hand=stock)
    answers = await at_once(atp.place(an_order(*((item, quantity) for quantity in lines))) for atp in pair)
    assert got in [[line["promised"] for line in answer.json()["lines"]] for answer in answers]
    assert promised(answers) == await committed(pair[0], item) <= stock


async def test_orders_of_one_bulk_request_see_each_other(pair: tuple[Atp, Atp]) -> None:
    item = await pair[0].item(on_hand=10)
    bulk = {"items": [an_order((item, 3), (item, 1)) for _ in range(4)]}
    answers = await at_once(atp.client.post("/v1/promises:batch", json=bulk) for atp in pair)
    assert [answer.status_code for answer in answers] == [200, 200]
    assert await committed(pair[0], item) == 10


async def test_who_looked_first_has_no_claim_until_he_reserves(pair: tuple[Atp, Atp]) -> None:
    item = await pair[0].item(on_hand=1)
    orders = [an_order((item, 1)) for _ in range(8)]
    looked = await at_once(
        pair[number % 2].client.post("/v1/promises:inquire", json=order) for number, order in enumerate(orders)
    )
    assert promised(looked) == 8
    assert await committed(pair[0], item) == 0
    placed = await at_once(pair[number % 2].place(order) for number, order in enumerate(orders))
    assert promised(placed) == 1
    promises = [answer.json()["promise_id"] for answer in placed]
    confirmed = await at_once(
        pair[number % 2].client.post(f"/v1/promises/{promise}:confirm", json={"version": 1})
        for number, promise in enumerate(promises)
    )
    assert promised(confirmed) == await committed(pair[0], item) == 1


async def test_a_filter_that_turns_out_empty_matches_nothing(pair: tuple[Atp, Atp]) -> None:
    atp = pair[0]
    stocked, other = unique("DC"), unique("DC")
    item = await atp.item(on_hand=9, location=stocked)
    await atp.execute("UPDATE lane SET zone = 'north' WHERE location_id = $1", stocked)
    await atp.location(other, zone="south")
    await atp.tier("fast-only", 7, carrier_classes=["rocket"])
    await atp.customer("hasty", assigned("fast-only"))
    south = await atp.place(an_order((item, 1), ship_to={"zone": "south"}))
    hasty = await atp.place(an_order((item, 1), ship_to={"zone": "north"}, customer={"system": "erp", "id": "hasty"}))
    assert promised([south, hasty]) == 0
    for path, empty in (("/v1/promises:batch", {"items": list[str]()}), ("/v1/promises", an_order())):
        assert (await atp.client.post(path, json=empty)).status_code == 422
    assert await committed(atp, item) == 0
    assert promised([await atp.place(an_order((item, 9), ship_to={"zone": "north"}))]) == 9


async def test_a_release_that_runs_twice_gives_back_once(pair: tuple[Atp, Atp]) -> None:
    item = await pair[0].item(on_hand=10)
    made = [(await pair[0].place(an_order((item, 5)))).json()["promise_id"] for _ in range(2)]
    for promise in made:
        path = f"/v1/promises/{promise}:cancel"
        answers = await at_once(atp.client.post(path, json={"version": 1}) for atp in pair * 3)
        assert {answer.status_code for answer in answers} == {200}
    assert await committed(pair[0], item) == 0
    assert promised(await at_once(atp.place(an_order((item, 10))) for atp in pair)) == 10
    assert await committed(pair[0], item) == 10


async def test_a_hold_that_ends_while_it_is_cancelled_gives_back_once(pair: tuple[Atp, Atp]) -> None:
    item = await pair[0].item(on_hand=6)
    holds = [(await pair[0].place(an_order((item, 2), hold_seconds=1))).json() for _ in range(3)]
    await pair[0].until("SELECT clock_timestamp() > $1::text::timestamptz", max(each["held_until"] for each in holds))
    await at_once(
        atp.client.post(f"/v1/promises/{each['promise_id']}:cancel", json={"version": 1})
        for each in holds
        for atp in pair
    )
    late = await at_once(
        atp.client.post(f"/v1/promises/{each['promise_id']}:confirm", json={"version": 1})
        for each in holds
        for atp in pair
    )
    assert {answer.status_code for answer in late} == {409}
    await pair[0].until("SELECT commit_quantities = '{}' FROM position WHERE item_id = $1", item)
    assert promised(await at_once(atp.place(an_order((item, 6))) for atp in pair)) == 6


async def test_orders_that_lock_in_opposite_order_wait_for_each_other_and_never_for_ever(
    pair: tuple[Atp, Atp],
) -> None:
    items = [await pair[0].item(on_hand=20) for _ in range(3)]
    orders: list[dict[str, Any]] = [
        an_order(*((item, 1) for item in lines)) for lines in list(itertools.permutations(items)) * 5
    ]
    answers = await at_once(surely_posted(pair[number % 2].client, order) for number, order in enumerate(orders))
    assert promised(answers) == 60
    assert [await committed(pair[0], item) for item in items] == [20, 20, 20]
    deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
    assert await pair[0].fetch(deadlocks) == [(0,)]
