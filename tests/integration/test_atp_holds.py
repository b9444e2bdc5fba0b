"""Holds over HTTP, on a real PostgreSQL: they keep, they end, and they give back exactly once."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest

from services.contracts import topics
from services.contracts.promises import Promise, PromiseChanged
from tests.support.atp import Atp, an_order, outcomes, placed, running_atp
from tests.support.atp_proofs import prove


@pytest.fixture
async def atp(database_url: str) -> AsyncIterator[Atp]:
    async with running_atp(database_url, atp_due_poll_seconds=0.05) as running:
        yield running
        await prove(running)


@pytest.fixture
async def unswept(database_url: str) -> AsyncIterator[Atp]:
    """An ATP that never looks for what is due."""
    async with running_atp(database_url, atp_due_poll_seconds=3_600) as running:
        await running.until("SELECT count(*) >= 0 FROM due")
        yield running


async def taken(atp: Atp, item: str) -> int:
    """What is committed of an item, once position and ledger agree on it."""
    ((position, ledger),) = await atp.fetch(
        "SELECT (SELECT coalesce(sum(q), 0) FROM position p, unnest(p.commit_quantities) q"
        " WHERE p.item_id = $1)::bigint, (SELECT coalesce(sum(open), 0) FROM commitment WHERE item_id = $1)::bigint",
        item,
    )
    assert position == ledger
    return int(ledger)


async def let_it_end(atp: Atp, promise_id: str) -> None:
    """Let the time of a hold be over."""
    await atp.execute(
        "UPDATE promise SET held_until = clock_timestamp() - interval '1 second' WHERE promise_id = $1", promise_id
    )
    await atp.execute("UPDATE due SET at = clock_timestamp() - interval '1 second' WHERE kind = 'hold'")


async def state_is(atp: Atp, promise_id: str, state: str) -> dict[str, Any]:
    """Wait until a promise is in a state; the promise."""
    await atp.until("SELECT state = $2 FROM promise WHERE promise_id = $1", promise_id, state)
    found: dict[str, Any] = (await atp.client.get(f"/v1/promises/{promise_id}")).json()
    assert found["state"] == state
    return found


async def is_due(atp: Atp, order: dict[str, Any]) -> bool:
    """Whether the end of an order's hold is awaited."""
    key = orjson.dumps([order["order"]["source"], order["order"]["order_id"]]).decode()
    return bool(await atp.fetch("SELECT FROM due WHERE kind = 'hold' AND key = $1", key))


async def records_of(atp: Atp, order: dict[str, Any]) -> list[str]:
    """What `orders.recorded.v1` says of an order."""
    found = await atp.published(topics.ORDERS_RECORDED)
    return [each["change"] for each in found if each["order"]["order_id"] == order["order"]["order_id"]]


async def test_a_hold_keeps_what_it_can_have_and_says_until_when(atp: Atp) -> None:
    item = await atp.item(on_hand=5)
    before = datetime.now(UTC)
    answer = await atp.place(an_order((item, 4), hold_seconds=600))
    promise = Promise.model_validate_json(answer.content)
    assert (answer.status_code, promise.state, outcomes(answer)) == (201, "held", ["promised"])
    assert promise.held_until is not None
    assert timedelta(seconds=599) < promise.held_until - before < timedelta(seconds=660)
    assert outcomes(await atp.place(an_order((item, 2)))) == ["partly_promised"]
    assert await taken(atp, item) == 5


async def test_a_hold_that_ends_gives_back_what_it_had_once(atp: Atp) -> None:
    item = await atp.item(on_hand=5)
    order = an_order((item, 4), hold_seconds=600)
    promise_id = (await atp.place(order)).json()["promise_id"]
    await let_it_end(atp, promise_id)
    ended = await state_is(atp, promise_id, "expired")
    assert (ended["lines"][0]["outcome"], ended["lines"][0]["promised"], ended["revision"]) == ("cancelled", 0, 2)
    assert await taken(atp, item) == 0
    assert not await is_due(atp, order)
    changes = [each for each in await atp.published(topics.PROMISES) if "cause" in each]
    own = [each for each in changes if each["new"]["promise_id"] == promise_id]
    assert [each["cause"] for each in own] == ["expired"]
    PromiseChanged.model_validate(own[0])
    assert await records_of(atp, order) == []


async def test_a_confirmation_after_the_time_is_refused_even_before_the_sweep(unswept: Atp) -> None:
    item = await unswept.item(on_hand=5)
    promise_id = (await unswept.place(an_order((item, 5), hold_seconds=600))).json()["promise_id"]
    await let_it_end(unswept, promise_id)
    answer = await unswept.client.post(f"/v1/promises/{promise_id}:confirm", json={"version": 1})
    assert (answer.status_code, answer.json()["code"], answer.json()["state"]) == (409, "promise_state", "expired")
    assert await taken(unswept, item) == 5
    assert outcomes(await unswept.place(an_order((item, 1)))) == ["backordered"]


async def test_a_hold_confirmed_in_time_is_an_order_and_does_not_end(atp: Atp) -> None:
    item = await atp.item(on_hand=5)
    order = an_order((item, 4), hold_seconds=600)
    promise_id = (await atp.place(order)).json()["promise_id"]
    assert await is_due(atp, order)
    assert await records_of(atp, order) == []
    answer = await atp.client.post(f"/v1/promises/{promise_id}:confirm", json={"version": 1})
    assert (answer.status_code, answer.json()["state"]) == (200, "confirmed")
    assert await records_of(atp, order) == ["accepted"]
    assert not await is_due(atp, order)
    assert await taken(atp, item) == 4


async def test_the_rest_of_a_hold_waits_from_its_confirmation_on(atp: Atp) -> None:
    item = await atp.item(on_hand=3)
    promise_id = (await atp.place(an_order((item, 5), hold_seconds=600))).json()["promise_id"]
    assert await atp.fetch("SELECT count(*) FROM backorder WHERE item_id = $1", item) == [(0,)]
    await atp.client.post(f"/v1/promises/{promise_id}:confirm", json={"version": 1})
    assert await atp.fetch("SELECT quantity FROM backorder WHERE item_id = $1", item) == [(2,)]
    movement = {"source": "wms", "reference": item, "sku": item, "location": "L1", "kind": "receipt", "quantity": 9}
    moved = {"items": [{**movement, "occurred_at": datetime.now(UTC).isoformat()}]}
    assert (await atp.client.post("/v1/supply/movements", json=moved)).status_code == 200
    await atp.until("SELECT NOT EXISTS (SELECT FROM backorder WHERE item_id = $1)", item)
    assert await taken(atp, item) == 5


async def test_stock_that_came_while_it_was_held_serves_the_rest_when_it_is_confirmed(atp: Atp) -> None:
    item = await atp.item(on_hand=3)
    promise_id = (await atp.place(an_order((item, 5), hold_seconds=600))).json()["promise_id"]
    movement = {"source": "wms", "reference": item, "sku": item, "location": "L1", "kind": "receipt", "quantity": 9}
    moved = {"items": [{**movement, "occurred_at": datetime.now(UTC).isoformat()}]}
    await atp.client.post("/v1/supply/movements", json=moved)
    await atp.client.post(f"/v1/promises/{promise_id}:confirm", json={"version": 1})
    await atp.until("SELECT NOT EXISTS (SELECT FROM backorder WHERE item_id = $1)", item)
    assert await taken(atp, item) == 5


async def test_a_hold_that_gets_nothing_is_refused_and_waits_for_nothing(atp: Atp) -> None:
    item = await atp.item(on_hand=0)
    order = an_order((item, 5), hold_seconds=600)
    answer = await atp.place(order)
    (line,) = answer.json()["lines"]
    assert (answer.json()["state"], line["outcome"], line["backordered"]) == ("refused", "backordered", 5)
    assert await atp.fetch("SELECT count(*) FROM backorder WHERE item_id = $1", item) == [(0,)]
    assert not await is_due(atp, order)


async def test_a_cancelled_hold_gives_back_and_leaves_no_record(atp: Atp) -> None:
    item = await atp.item(on_hand=5)
    order = an_order((item, 4), hold_seconds=600)
    promise_id = (await atp.place(order)).json()["promise_id"]
    answer = await atp.client.post(f"/v1/promises/{promise_id}:cancel", json={"version": 1, "reason": "cart emptied"})
    assert answer.json()["state"] == "cancelled"
    assert await taken(atp, item) == 0
    assert not await is_due(atp, order)
    assert await records_of(atp, order) == []
    changes = [each for each in await atp.published(topics.PROMISES) if "cause" in each]
    assert [each["reason"] for each in changes if each["new"]["promise_id"] == promise_id] == ["cart emptied"]


async def test_a_hold_by_the_event_log_is_the_same(atp: Atp) -> None:
    item = await atp.item(on_hand=5)
    order = an_order((item, 4), hold_seconds=600)
    await atp.publish(placed(order))
    await atp.until("SELECT EXISTS (SELECT FROM promise WHERE order_id = $1)", order["order"]["order_id"])
    found = await atp.client.get("/v1/promises", params={"source": "shop", "order_id": order["order"]["order_id"]})
    assert found.json()["state"] == "held"
    again = await atp.place(an_order((item, 4), order_id=order["order"]["order_id"]))
    assert (again.status_code, again.content) == (200, found.content)
