"""Orders that wait are asked again when a date passes, though nothing else happens."""

from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import orjson
import pytest

from services.atp.adapters.ledger import verify
from services.atp.adapters.oversell_audit import audit
from services.atp.application import turn_dates
from services.chassis.business_time import clear_replay
from services.contracts import catalogue
from tests.integration.test_atp_replay import move, quiet
from tests.support.atp import Atp, an_order, assigned, order_event, running_atp, unique

START = date(2011, 3, 1)


@pytest.fixture
async def atp(database_url: str) -> AsyncIterator[Atp]:
    async with running_atp(database_url, replay=True, atp_due_poll_seconds=0.1) as running:
        await running.tier("gold", 1)
        await running.tier("bronze", 3, default=True)
        await running.customer("g", assigned("gold"))
        await day(running, 0)
        yield running
        assert (await verify(running.database)).drifts == ()
        assert (await audit(running.database)).oversold == {}
        await running.database.run(clear_replay, label="test")


async def day(atp: Atp, number: int, hour: int = 10) -> None:
    """Let it be ten o'clock, some days after the start, and everything done that is due."""
    at = datetime.combine(START, datetime.min.time(), tzinfo=UTC) + timedelta(days=number, hours=hour)
    await move(atp, "settle", number + 1, at.isoformat())
    await quiet(atp)


def on(number: int) -> str:
    return (START + timedelta(days=number)).isoformat()


async def write(atp: Atp, kind: str, document: dict[str, Any], name: str | None = None) -> str:
    name = name or unique(kind)
    answer = await atp.client.put(f"/v1/{kind}/{name}", json=document)
    assert answer.status_code == 200, answer.text
    return name


async def waits(atp: Atp, item: str, quantity: int = 5, **fields: Any) -> str:
    """An order that gets nothing yet; its promise."""
    asked = {"latest_acceptable_arrival": on(60), **fields}
    answer = await atp.place(an_order((item, quantity), **asked))
    assert answer.json()["lines"][0]["promised"] == 0, answer.text
    return str(answer.json()["promise_id"])


async def promised(atp: Atp, promise_id: str) -> int:
    """How much it has now."""
    answer = await atp.client.get(f"/v1/promises/{promise_id}")
    return int(answer.json()["lines"][0]["promised"])


def kept(item: str, first: int, last: int, quantity: int = 5, **fields: Any) -> dict[str, Any]:
    """A line that keeps units for gold."""
    days = {"start": on(first), "end": on(last), "lapse_days": 0}
    return {"sku": item, "location": "L1", "tier": "gold", "protected_qty": quantity, **days, **fields}


async def test_when_a_protection_lapses_those_who_wait_are_served_on_that_day_and_not_before(atp: Atp) -> None:
    item = await atp.item(on_hand=5)
    await write(atp, "protections", {"lines": [kept(item, 0, 9, lapse_days=4)]})
    promise = await waits(atp, item)
    await day(atp, 5, hour=23)
    assert await promised(atp, promise) == 0
    await day(atp, 6, hour=0)
    assert await promised(atp, promise) == 5
    changed = (await atp.client.get(f"/v1/promises/{promise}/history")).json()["items"]
    assert changed[0]["cause"] == "allocation_changed"


async def test_when_a_period_is_over_without_a_lapse_the_next_day_frees_it(atp: Atp) -> None:
    item = await atp.item(on_hand=5)
    await write(atp, "protections", {"lines": [kept(item, 0, 3)]})
    promise = await waits(atp, item)
    await day(atp, 3)
    assert await promised(atp, promise) == 0
    await day(atp, 4)
    assert await promised(atp, promise) == 5


async def test_one_period_ends_and_the_next_keeps_less(atp: Atp) -> None:
    item = await atp.item(on_hand=5)
    await write(atp, "protections", {"lines": [kept(item, 0, 2), kept(item, 3, 5, 2, carry_stock=True)]})
    promises = [await waits(atp, item, 5), await waits(atp, item, 3)]
    await day(atp, 2)
    assert [await promised(atp, promise) for promise in promises] == [0, 0]
    await day(atp, 3)
    assert sum([await promised(atp, promise) for promise in promises]) == 3
    await day(atp, 6)
    assert sum([await promised(atp, promise) for promise in promises]) == 5


async def test_a_resized_protection_gives_way_day_by_day(atp: Atp) -> None:
    item = await atp.item(on_hand=10)
    await write(atp, "protections", {"lines": [kept(item, 0, 9, 10, expected_qty=10)]})
    promise = await waits(atp, item, 4)
    await day(atp, 1)
    assert await promised(atp, promise) == 1
    await day(atp, 3)
    assert await promised(atp, promise) == 3


async def test_a_document_that_comes_into_effect_later_frees_what_the_former_one_kept(atp: Atp) -> None:
    item = await atp.item(on_hand=5)
    name = await write(atp, "protections", {"lines": [kept(item, 0, 9)]})
    promise = await waits(atp, item)
    later = {"effective_from": f"{on(2)}T06:00:00Z", "lines": [kept(item, 0, 9, 1)]}
    await write(atp, "protections", later, name)
    await day(atp, 2, hour=5)
    assert await promised(atp, promise) == 0
    await day(atp, 2, hour=6)
    assert await promised(atp, promise) == 4


async def test_a_quota_for_all_items_that_is_raised_later_lets_them_be_asked_again(atp: Atp) -> None:
    items = [await atp.item(on_hand=5) for _ in range(3)]
    quota = {"start": on(0), "end": on(300), "quantity": 0}
    name = await write(atp, "quotas", {"lines": [quota]})
    promises = [await waits(atp, item) for item in items]
    later = {"effective_from": f"{on(1)}T00:00:00Z", "lines": [{**quota, "quantity": 99}]}
    await write(atp, "quotas", later, name)
    await day(atp, 1)
    assert [await promised(atp, promise) for promise in promises] == [5, 5, 5]
    await write(atp, "quotas", {"lines": [{**quota, "quantity": 10**6}]}, name)


async def test_many_items_are_asked_in_portions(atp: Atp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turn_dates, "ITEMS_AT_ONCE_MAX", 2)
    items = [await atp.item(on_hand=5) for _ in range(5)]
    quota = {"start": on(0), "end": on(300), "quantity": 0}
    name = await write(atp, "quotas", {"lines": [quota]})
    promises = [await waits(atp, item) for item in items]
    later = {"effective_from": f"{on(1)}T00:00:00Z", "lines": [{**quota, "quantity": 10**6}]}
    await write(atp, "quotas", later, name)
    await day(atp, 1)
    assert [await promised(atp, promise) for promise in promises] == [5] * 5
    assert await atp.fetch("""SELECT count(*) FROM due WHERE kind = 'turn' AND starts_with(key, '["",')""") == [(0,)]


async def test_a_hierarchy_that_comes_into_effect_later_lets_them_be_asked_again(atp: Atp) -> None:
    item = await atp.item(on_hand=5)
    tree: dict[str, Any] = {
        "sku": item,
        "periods": [{"start": on(0), "end": on(300)}],
        "nodes": [],
        "pool": {"node": "rest", "quantities": [0]},
    }
    name = await write(atp, "hierarchies", tree)
    promise = await waits(atp, item)
    later = {**tree, "effective_from": f"{on(1)}T00:00:00Z", "pool": {"node": "rest", "quantities": [9]}}
    await write(atp, "hierarchies", later, name)
    await day(atp, 1)
    assert await promised(atp, promise) == 5


async def test_a_tier_that_a_customer_gets_later_moves_its_orders_up_on_that_day(atp: Atp) -> None:
    item, other = await atp.item(on_hand=5), unique("customer")
    await write(atp, "protections", {"lines": [kept(item, 0, 300)]})
    begins = datetime(2011, 3, 3, 12, tzinfo=UTC)
    current = {
        "customer_id": other,
        "sequence": 2,
        "identifiers": [{"system": "erp", "id": other}],
        "assignments": [
            {
                "tier": "bronze",
                "effective_from": "2000-01-01T00:00:00Z",
                "effective_to": begins.isoformat(),
                "sequence": 1,
            },
            {"tier": "gold", "effective_from": begins.isoformat(), "sequence": 2},
        ],
    }
    reference = {"order": {"order_id": other}}
    await atp.publish(order_event(catalogue.SEGMENT_CURRENT, reference, data=orjson.dumps(current), key=other))
    await atp.until("SELECT EXISTS (SELECT FROM segment WHERE customer_id = $1)", other)
    promise = await waits(atp, item, customer={"system": "erp", "id": other})
    await day(atp, 2, hour=11)
    assert await promised(atp, promise) == 0
    await day(atp, 2, hour=12)
    assert await promised(atp, promise) == 5
    changed = (await atp.client.get(f"/v1/promises/{promise}/history")).json()["items"]
    assert changed[0]["cause"] == "tier_changed"


async def test_a_receipt_that_is_past_due_for_too_long_puts_promises_at_risk_on_that_day(atp: Atp) -> None:
    item = await atp.item(on_hand=0)
    receipt = {"source": "erp", "reference": unique("po"), "version": 1, "sku": item, "location": "L1", "quantity": 5}
    answer = await atp.client.post("/v1/supply/receipts", json={"items": [{**receipt, "due": on(1)}]})
    assert answer.status_code == 200, answer.text
    placed = await atp.place(an_order((item, 5)))
    assert placed.json()["lines"][0]["promised"] == 5
    await day(atp, 8)
    at_risk = "SELECT count(*) FROM deficit WHERE item_id = $1"
    assert await atp.fetch(at_risk, item) == [(0,)]
    await day(atp, 9)
    await atp.until("SELECT EXISTS (SELECT FROM deficit WHERE item_id = $1)", item)


async def test_whoever_waits_keeps_his_place_when_the_policy_lets_no_new_ones_wait_any_more(atp: Atp) -> None:
    item = await atp.item(on_hand=0)
    await atp.execute(
        "UPDATE item SET backorder_policy = 'until', backorder_until = $2 WHERE item_id = $1", item, START.toordinal()
    )
    promise = await waits(atp, item)
    await day(atp, 3)
    assert (await atp.place(an_order((item, 1)))).json()["lines"][0]["outcome"] == "not_backordered"
    movement = {"source": "wms", "reference": unique("in"), "kind": "adjustment", "occurred_at": f"{on(3)}T00:00:00Z"}
    entry = {**movement, "sku": item, "location": "L1", "quantity": 5}
    await atp.client.post("/v1/supply/movements", json={"items": [entry]})
    await quiet(atp)
    assert await promised(atp, promise) == 5
