"""Positions as they stand: stock, what is owed and due, the lowest that availability gets, and what is in the way."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.support.atp import Atp, an_order, in_days, running_atp, unique


@pytest.fixture
async def atp(database_url: str) -> AsyncIterator[Atp]:
    async with running_atp(database_url) as running:
        yield running


async def standing(atp: Atp, item: str) -> list[dict[str, Any]]:
    answer = await atp.client.get("/v1/positions", params={"sku": item})
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["items"]
    return found


def open_order(item: str, quantity: int, ship: int, location: str = "L1") -> dict[str, Any]:
    part = {"quantity": quantity, "location": location, "service": "road", "ship_date": in_days(ship)}
    return {
        "order": {"source": "legacy", "order_id": unique("open")},
        "customer": {"system": "erp", "id": "nobody"},
        "ordered_at": "2026-01-02T09:00:00Z",
        "lines": [{"line": "1", "sku": item, "quantity": quantity, "promised": [part]}],
    }


async def test_the_lowest_is_where_what_is_owed_exceeds_what_is_there_and_due(atp: Atp) -> None:
    item = await atp.item(on_hand=20, buffer=5)
    due = {"source": "erp", "reference": "PO", "sku": item, "location": "L1", "version": 1}
    receipts = [
        {**due, "quantity": 30, "due": in_days(9)},
        {**due, "reference": "PO-2", "quantity": 7, "due": in_days(4), "certainty": "planned"},
    ]
    assert (await atp.client.post("/v1/supply/receipts", json={"items": receipts})).status_code == 200
    orders = [open_order(item, 12, 3), open_order(item, 8, 6)]
    assert (await atp.client.post("/v1/cut-over/orders", json={"items": orders})).status_code == 200
    await atp.until("SELECT NOT EXISTS (SELECT FROM deficit_review)")
    assert await standing(atp, item) == [
        {
            "sku": item,
            "location": "L1",
            "on_hand": 20,
            "buffer": 5,
            "committed": 20,
            "receipts_confirmed": 30,
            "receipts_planned": 7,
            "lowest": -5,
            "lowest_on": in_days(6),
            "deficit": 5,
            "hindrances": [],
        }
    ]


async def test_what_nobody_has_told_of_stands_in_the_way(atp: Atp) -> None:
    item = await atp.item(on_hand=1)
    await atp.location("L2")
    away = await atp.client.post("/v1/cut-over/orders", json={"items": [open_order(item, 2, 1, "L2")]})
    assert away.json()["results"][0]["effect"] == "taken_over", away.text
    stray = {
        "source": "wms",
        "reference": unique("stray"),
        "sku": unique("stray"),
        "location": "NOWHERE",
        "kind": "receipt",
        "quantity": 3,
        "occurred_at": "2026-01-05T08:00:00Z",
    }
    assert (await atp.client.post("/v1/supply/movements", json={"items": [stray]})).status_code == 200
    await atp.until("SELECT NOT EXISTS (SELECT FROM deficit_review)")
    assert [(each["location"], each["deficit"], each["hindrances"]) for each in await standing(atp, item)] == [
        ("L1", 0, []),
        ("L2", 2, ["not_counted"]),
    ]
    assert [each["hindrances"] for each in await standing(atp, str(stray["sku"]))] == [
        ["item_unknown", "location_unknown"]
    ]


async def test_pages_go_on_where_the_one_before_ended(atp: Atp) -> None:
    items = sorted([await atp.item(on_hand=number) for number in range(3)])
    found: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = (await atp.client.get("/v1/positions", params={"limit": 2, **cursor})).json()
        assert 0 < len(page["items"]) <= 2
        found += [each["sku"] for each in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert [sku for sku in found if sku in items] == items
    for cursor_text in ("nonsense", "W10"):
        answer = await atp.client.get("/v1/positions", params={"cursor": cursor_text})
        assert answer.status_code == 400


async def test_beyond_the_checking_horizon_nothing_is_short(atp: Atp) -> None:
    item = await atp.item(on_hand=3, horizon=5)
    assert (await atp.place(an_order((item, 9), latest_acceptable_arrival=in_days(40)))).status_code == 201
    [stands] = await standing(atp, item)
    assert stands["committed"] == 9
    assert (stands["lowest"] >= 0, stands["deficit"]) == (True, 0)
