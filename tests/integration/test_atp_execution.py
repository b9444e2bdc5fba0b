"""Short picks and returns: what the warehouse finds out changes promises at once, and no position is ever wrong."""

from collections.abc import AsyncIterator
from datetime import date, timedelta
from typing import Any

import orjson
import pytest

from services.atp.adapters.ledger import verify
from services.atp.adapters.oversell_audit import audit
from services.atp.application.reproduce import reproduce
from services.contracts import catalogue, topics
from services.contracts.orders import OrderRecorded
from services.contracts.promises import PromiseChanged
from tests.support.atp import Atp, an_order, in_days, order_event, outcomes, running_atp, unique

AT = "2026-01-05T08:00:00Z"


@pytest.fixture
async def atp(database_url: str) -> AsyncIterator[Atp]:
    async with running_atp(database_url) as running:
        yield running
        report = await verify(running.database)
        assert report.drifts == ()
        found = await audit(running.database)
        assert (found.oversold, found.broken_chains) == ({}, {})
        for (record,) in await running.fetch("SELECT input FROM decision_batch"):
            reproduce(record)


def goods(order: dict[str, Any], item: str, quantity: int, **fields: Any) -> dict[str, Any]:
    place = {"sku": item, "location": "L1", "line": "1", "occurred_at": AT, "reference": unique("f")}
    return {"source": "wms", "order": order["order"], **place, "quantity": quantity, **fields}


async def tell(atp: Atp, what: str, *entries: dict[str, Any]) -> list[str]:
    answer = await atp.client.post(f"/v1/fulfilments/{what}", json={"items": entries})
    assert answer.status_code == 200, answer.text
    return [each["effect"] for each in answer.json()["results"]]


async def promise(atp: Atp, promise_id: str) -> dict[str, Any]:
    return dict((await atp.client.get(f"/v1/promises/{promise_id}")).json())


async def changes(atp: Atp, promise_id: str) -> list[PromiseChanged]:
    found = await atp.published(topics.PROMISES)
    return [
        PromiseChanged.model_validate(each) for each in found if each.get("new", {}).get("promise_id") == promise_id
    ]


async def test_what_was_not_found_is_promised_from_elsewhere_in_the_same_transaction(atp: Atp) -> None:
    item = await atp.item(on_hand=5)
    await atp.item(item, on_hand=9, location="L2")
    await atp.execute("UPDATE lane SET rank = 2 WHERE location_id = 'L2'")
    await atp.execute("UPDATE configuration SET version = version + 1")
    order = an_order((item, 5))
    answer = (await atp.place(order)).json()
    assert [part["location"] for part in answer["lines"][0]["schedule"]] == ["L1"]
    missing = goods(order, item, 2)
    assert await tell(atp, "short-picked", missing) == ["applied"]
    (line,) = (await promise(atp, answer["promise_id"]))["lines"]
    assert [(part["location"], part["quantity"]) for part in line["schedule"]] == [("L1", 3), ("L2", 2)]
    assert (line["outcome"], line["promised"], line["backordered"]) == ("promised", 5, 0)
    (change,) = await changes(atp, answer["promise_id"])
    assert change.cause == "execution"
    assert await tell(atp, "short-picked", missing) == ["recorded"]
    rows = await atp.fetch(
        "SELECT on_hand, commit_quantities FROM position WHERE item_id = $1 ORDER BY location_id", item
    )
    assert rows == [(3, [3]), (9, [2])]


async def test_what_cannot_be_had_elsewhere_waits_and_is_served_when_stock_comes(atp: Atp) -> None:
    item = await atp.item(on_hand=5)
    order = an_order((item, 7))
    answer = await atp.place(order)
    assert outcomes(answer) == ["partly_promised"]
    await tell(atp, "short-picked", goods(order, item, 5))
    (line,) = (await promise(atp, answer.json()["promise_id"]))["lines"]
    assert (line["outcome"], line["promised"], line["backordered"], line["schedule"]) == ("backordered", 0, 7, [])
    assert await atp.fetch("SELECT quantity FROM backorder WHERE item_id = $1", item) == [(7,)]
    receipt = {"source": "wms", "reference": unique("m"), "sku": item, "location": "L1", "kind": "receipt"}
    body = {"items": [{**receipt, "quantity": 7, "occurred_at": AT}]}
    assert (await atp.client.post("/v1/supply/movements", json=body)).status_code == 200
    await atp.until("SELECT NOT EXISTS (SELECT FROM backorder WHERE item_id = $1)", item)
    (line,) = (await promise(atp, answer.json()["promise_id"]))["lines"]
    assert (line["outcome"], line["promised"]) == ("promised", 7)


async def test_a_short_pick_takes_nothing_from_those_who_wait_or_were_promised_before(atp: Atp) -> None:
    item = await atp.item(on_hand=6)
    order, other = an_order((item, 3)), an_order((item, 3))
    first, second = (await atp.place(order)).json(), (await atp.place(other)).json()
    waiting = (await atp.place(an_order((item, 1)))).json()
    await tell(atp, "short-picked", goods(order, item, 2))
    promised = [(await promise(atp, each["promise_id"]))["lines"][0]["promised"] for each in (first, second, waiting)]
    assert promised == [1, 3, 0]


async def test_more_than_was_promised_there_only_lowers_on_hand_and_puts_others_at_risk(atp: Atp) -> None:
    item = await atp.item(on_hand=6)
    order = an_order((item, 2))
    await atp.place(order)
    other = (await atp.place(an_order((item, 4)))).json()["promise_id"]
    await tell(atp, "short-picked", goods(order, item, 5))
    await atp.until("SELECT EXISTS (SELECT FROM deficit WHERE item_id = $1)", item)
    rows = await atp.fetch("SELECT promise_id::text, quantity, cause FROM deficit WHERE item_id = $1", item)
    assert rows == [(other, 3, "execution")]
    found = await atp.fetch("SELECT outcome FROM fulfilment WHERE order_id = $1", order["order"]["order_id"])
    assert found == [("beyond_promise",)]


async def test_a_protection_gets_back_what_was_not_found(atp: Atp) -> None:
    tier = unique("tier")
    await atp.tier(tier, 900_100, default=True)
    item = await atp.item(on_hand=5)
    period = {"sku": item, "location": "L1", "tier": tier, "start": in_days(0), "end": in_days(9), "protected_qty": 4}
    document = unique("doc")
    assert (await atp.client.put(f"/v1/protections/{document}", json={"lines": [period]})).status_code == 200
    order = an_order((item, 3))
    assert (await atp.place(order)).json()["served_as"]["tier"] == tier
    assert await atp.fetch("SELECT sum(consumed)::int FROM usage WHERE limit_id LIKE $1", f"{document}%") == [(3,)]
    await atp.execute("UPDATE item SET active = false WHERE item_id = $1", item)
    await tell(atp, "short-picked", goods(order, item, 2))
    assert await atp.fetch("SELECT sum(consumed)::int FROM usage WHERE limit_id LIKE $1", f"{document}%") == [(1,)]


async def test_goods_that_come_back_are_inspected_before_anybody_is_promised_them(atp: Atp) -> None:
    item = await atp.item(on_hand=4)
    order = an_order((item, 4))
    answer = (await atp.place(order)).json()
    assert await tell(atp, "shipped", goods(order, item, 4)) == ["applied"]
    back = goods(order, item, 3)
    assert await tell(atp, "returned", back, goods(order, item, 1, status="damaged")) == ["applied", "applied"]
    assert await tell(atp, "returned", back) == ["recorded"]
    (line,) = (await promise(atp, answer["promise_id"]))["lines"]
    assert (line["shipped"], line["returned"]) == (4, 4)
    assert outcomes(await atp.place(an_order((item, 1)))) == ["backordered"]
    statuses = (await atp.client.get(f"/v1/stock/{item}")).json()["locations"][0]["statuses"]
    assert statuses == {"available": 0, "quality": 3, "blocked": 0, "damaged": 1}
    release = {"source": "wms", "reference": unique("m"), "sku": item, "location": "L1", "kind": "status_change"}
    entry = {**release, "quantity": 2, "occurred_at": AT, "status": "quality", "to_status": "available"}
    assert (await atp.client.post("/v1/supply/movements", json={"items": [entry]})).status_code == 200
    await atp.until("SELECT NOT EXISTS (SELECT FROM backorder WHERE item_id = $1)", item)
    records = [
        OrderRecorded.model_validate(each)
        for each in await atp.published(topics.ORDERS_RECORDED)
        if each["order"]["order_id"] == order["order"]["order_id"]
    ]
    assert (records[-1].change, records[-1].lines[0].returned_quantity) == ("returned", 4)


async def test_more_than_had_shipped_is_stock_and_not_a_return_of_the_order(atp: Atp) -> None:
    item = await atp.item(on_hand=4)
    order = an_order((item, 2))
    answer = (await atp.place(order)).json()
    await tell(atp, "shipped", goods(order, item, 2))
    assert await tell(atp, "returned", goods(order, item, 3)) == ["recorded"]
    assert await tell(atp, "returned", goods(an_order((item, 1)), item, 1)) == ["recorded"]
    assert (await promise(atp, answer["promise_id"]))["lines"][0].get("returned", 0) == 0
    assert await atp.fetch("SELECT quantity FROM stock_status WHERE item_id = $1", item) == [(4,)]


async def test_short_picks_and_returns_come_by_the_event_log(atp: Atp) -> None:
    item = await atp.item(on_hand=4)
    order = an_order((item, 4))
    await atp.place(order)
    said = (
        (catalogue.FULFILMENT_SHORT_PICKED, goods(order, item, 1)),
        (catalogue.FULFILMENT_SHIPPED, goods(order, item, 3)),
        (catalogue.FULFILMENT_RETURNED, goods(order, item, 1)),
    )
    await atp.publish(*(order_event(kind, payload) for kind, payload in said))
    await atp.until("SELECT EXISTS (SELECT FROM stock_status WHERE item_id = $1 AND quantity = 1)", item)
    order_id = order["order"]["order_id"]
    rows = await atp.fetch("SELECT kind, outcome FROM fulfilment WHERE order_id = $1 ORDER BY kind", order_id)
    assert rows == [("returned", "applied"), ("shipped", "applied"), ("short_picked", "applied")]
    documents = await atp.fetch("SELECT document FROM promise WHERE order_id = $1", order_id)
    assert orjson.loads(documents[0][0])["lines"][0]["backordered"] == 1


async def test_what_leaves_beyond_the_promise_is_off_what_waits_and_nobody_is_served_twice(atp: Atp) -> None:
    item = await atp.item(on_hand=6)
    order = an_order((item, 10))
    answer = (await atp.place(order)).json()
    assert (answer["lines"][0]["promised"], answer["lines"][0]["backordered"]) == (6, 4)
    assert await tell(atp, "shipped", goods(order, item, 9)) == ["applied"]
    (line,) = (await promise(atp, answer["promise_id"]))["lines"]
    assert (line["promised"], line["shipped"], line["backordered"], line["outcome"]) == (9, 9, 1, "partly_promised")
    assert await atp.fetch("SELECT quantity FROM backorder WHERE item_id = $1", item) == [(1,)]
    (change,) = await changes(atp, answer["promise_id"])
    assert (change.cause, change.reason) == ("shipped", "line 1: 3 that waited left beyond the promise")
    assert await tell(atp, "delivered", delivered(order, 9)) == ["applied"]


async def test_what_leaves_beyond_all_that_was_ordered_is_recorded_alone(atp: Atp) -> None:
    item = await atp.item(on_hand=6)
    order = an_order((item, 8))
    answer = (await atp.place(order)).json()
    await tell(atp, "shipped", goods(order, item, 12))
    found = await promise(atp, answer["promise_id"])
    (line,) = found["lines"]
    assert (found["state"], line["shipped"], line["backordered"], line["why"]) == ("closed", 8, 0, [])
    assert await atp.fetch("SELECT on_hand FROM position WHERE item_id = $1", item) == [(-6,)]
    assert await atp.fetch("SELECT count(*) FROM backorder WHERE item_id = $1", item) == [(0,)]


@pytest.mark.parametrize(
    ("zone", "at", "in_time"),
    [
        ("America/Los_Angeles", "T07:59:00Z", True),  # there it is still the evening of the day before
        ("America/Los_Angeles", "T08:30:00Z", False),
        ("UTC", "T00:00:00Z", False),
    ],
)
async def test_a_delivery_is_late_by_the_calendar_of_the_location_as_in_the_service_levels(
    atp: Atp, zone: str, at: str, in_time: bool
) -> None:
    location = unique("L")
    await atp.client.put(f"/v1/locations/{location}", json={"time_zone": zone})
    lane = {"zone": location, "location": location, "service": "slow", "carrier_class": "standard", "transit_days": 1}
    await atp.client.put("/v1/lanes", json={"items": [lane]})
    item = await atp.item(on_hand=5, location=location)
    wanted = date(2026, 1, 14)  # in winter Los Angeles is eight hours behind
    order = an_order((item, 2), ship_to={"zone": location}, requested_arrival=wanted.isoformat())
    await atp.place(order)
    await tell(atp, "shipped", goods(order, item, 2, location=location))
    arrived = f"{wanted + timedelta(days=1)}{at}"
    assert await tell(atp, "delivered", {**delivered(order, 2), "occurred_at": arrived}) == ["applied"]
    records = [OrderRecorded.model_validate(each) for each in await atp.published(topics.ORDERS_RECORDED)]
    name = order["order"]["order_id"]
    told = [each.on_time for each in records if each.order.order_id == name and each.change == "delivered"]
    assert told == [in_time]


def delivered(order: dict[str, Any], quantity: int) -> dict[str, Any]:
    return {
        "source": "wms",
        "order": order["order"],
        "line": "1",
        "quantity": quantity,
        "occurred_at": AT,
        "reference": unique("d"),
    }
