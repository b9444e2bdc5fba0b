"""What comes for those who wait is not taken by those who come meanwhile: bronze requests race a supply event."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from services.atp.adapters.ledger import verify
from services.atp.adapters.oversell_audit import audit
from tests.support.atp import Atp, an_order, assigned, in_days, running_atp, unique

WAITING = 450  # more than two portions
SUPPLY = 300
REQUESTS = 120
AT_ONCE = 150


@pytest.fixture
async def atp(database_url: str) -> AsyncIterator[Atp]:
    async with running_atp(database_url, atp_due_poll_seconds=0.1) as running:
        await running.tier("gold", 1)
        await running.tier("bronze", 9, default=True)
        yield running
        assert (await verify(running.database)).drifts == ()
        found = await audit(running.database)
        assert (found.oversold, found.broken_chains) == ({}, {})


async def gold_waits(atp: Atp, item: str) -> list[str]:
    """The orders that wait, in order of service."""
    customer = unique("gold")
    await atp.customer(customer, assigned("gold"))
    orders = [
        an_order((item, 1), customer={"system": "erp", "id": customer}, ordered_at="2026-01-02T00:00:00Z")
        for _ in range(WAITING)
    ]
    for start in range(0, WAITING, AT_ONCE):
        body = {"items": orders[start : start + AT_ONCE]}
        answer = await atp.client.post("/v1/promises:batch", json=body)
        assert answer.status_code == 200, answer.text
    return sorted(order["order"]["order_id"] for order in orders)


async def receive(atp: Atp, item: str, quantity: int) -> None:
    movement: dict[str, Any] = {
        "source": "wms",
        "reference": unique("m"),
        "sku": item,
        "location": "L1",
        "kind": "receipt",
        "quantity": quantity,
        "occurred_at": "2026-01-05T08:00:00Z",
    }
    answer = await atp.client.post("/v1/supply/movements", json={"items": [movement]})
    assert answer.status_code == 200, answer.text


async def settled(atp: Atp) -> None:
    await atp.until("SELECT NOT EXISTS (SELECT FROM position WHERE marked_at IS NOT NULL)")


async def has(atp: Atp, item: str) -> dict[str, int]:
    rows = await atp.fetch(
        "SELECT p.order_id, sum(c.open)::int FROM promise p JOIN commitment c USING (promise_id)"
        " WHERE c.item_id = $1 AND c.open > 0 GROUP BY 1",
        item,
    )
    return dict(rows)


async def test_no_bronze_request_is_served_before_a_gold_order_that_it_could_have_served(atp: Atp) -> None:
    item = await atp.item()
    waiting = await gold_waits(atp, item)

    async def bronze() -> None:
        answer = await atp.place(an_order((item, 1)))
        assert answer.json()["lines"][0]["promised"] == 0, answer.text

    racing = [asyncio.create_task(bronze()) for _ in range(REQUESTS)]
    await receive(atp, item, SUPPLY)
    await asyncio.gather(*racing)
    await settled(atp)
    assert await has(atp, item) == dict.fromkeys(waiting[:SUPPLY], 1)


async def test_what_a_cancellation_frees_goes_to_those_who_wait_whoever_asks_at_that_moment(atp: Atp) -> None:
    item = await atp.item(on_hand=50)
    holders = [(await atp.place(an_order((item, 1)))).json()["promise_id"] for _ in range(50)]
    waiting = (await gold_waits(atp, item))[:50]

    async def cancel(promise: str) -> None:
        answer = await atp.client.post(f"/v1/promises/{promise}:cancel", json={"version": 1})
        assert answer.status_code == 200, answer.text

    async def bronze() -> None:
        answer = await atp.place(an_order((item, 1)))
        assert answer.json()["lines"][0]["promised"] == 0, answer.text

    await asyncio.gather(*(each for promise in holders for each in (cancel(promise), bronze())))
    await settled(atp)
    assert await has(atp, item) == dict.fromkeys(waiting, 1)


async def test_a_shared_quota_that_gets_something_back_is_kept_for_those_who_wait_for_other_items(atp: Atp) -> None:
    tier = unique("tier")
    await atp.tier(tier, 400)
    customer = unique("customer")
    await atp.customer(customer, assigned(tier))
    own = {"system": "erp", "id": customer}
    held, wanted = await atp.item(on_hand=9), await atp.item(on_hand=9)
    period = {"start": in_days(-1), "end": in_days(90), "quantity": 3, "tier": tier}
    document = {"lines": [period]}
    assert (await atp.client.put(f"/v1/quotas/{unique('doc')}", json=document)).status_code == 200
    in_time: dict[str, Any] = {"latest_acceptable_arrival": in_days(60), "customer": own}
    holder = (await atp.place(an_order((held, 3), **in_time))).json()["promise_id"]
    behind = await atp.place(an_order((wanted, 2), **in_time))
    assert behind.json()["lines"][0]["promised"] == 0

    async def newcomer() -> None:
        await atp.place(an_order((wanted, 3), **in_time))

    cancel = atp.client.post(f"/v1/promises/{holder}:cancel", json={"version": 1})
    await asyncio.gather(cancel, *(newcomer() for _ in range(10)))
    await settled(atp)
    line = (await atp.client.get(f"/v1/promises/{behind.json()['promise_id']}")).json()["lines"][0]
    assert line["promised"] == 2
