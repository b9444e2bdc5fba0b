"""Protections, quotas and hierarchies over HTTP, on a real PostgreSQL."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from services.atp.adapters.ledger import verify
from services.atp.adapters.oversell_audit import audit
from tests.support.atp import Atp, an_order, assigned, in_days, outcomes, running_atp, today, unique


@pytest.fixture
async def atp(database_url: str) -> AsyncIterator[Atp]:
    async with running_atp(database_url) as running:
        await running.tier("gold", 1)
        await running.tier("silver", 2)
        await running.tier("bronze", 3, default=True)
        await running.customer("g", assigned("gold"))
        await running.customer("s", assigned("silver"))
        yield running
        report = await verify(running.database)
        assert report.drifts == ()
        assert (await audit(running.database)).oversold == {}


async def put(atp: Atp, kind: str, document: dict[str, Any], name: str | None = None) -> str:
    """Write a document; its id."""
    document_id = name or unique(kind)
    answer = await atp.client.put(f"/v1/{kind}/{document_id}", json=document)
    assert answer.status_code == 200, answer.text
    return document_id


async def get(atp: Atp, path: str) -> Any:
    answer = await atp.client.get(path)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def promised(atp: Atp, item: str, quantity: int, customer: str = "nobody", **fields: Any) -> int:
    """Order goods that leave within nine days, if nothing else is said; how many were promised."""
    asked = {"customer": {"system": "erp", "id": customer}, "latest_acceptable_arrival": in_days(11), **fields}
    answer = await atp.place(an_order((item, quantity), **asked))
    assert answer.status_code == 201, answer.text
    return int(answer.json()["lines"][0]["promised"])


def line(item: str, tier: str = "gold", days: tuple[int, int] = (0, 9), **fields: Any) -> dict[str, Any]:
    """A line of a protection document; by default for all locations."""
    return {"sku": item, "tier": tier, "start": in_days(days[0]), "end": in_days(days[1]), **fields}


async def stock(atp: Atp, item: str, quantity: int, location: str) -> None:
    """Let goods come in."""
    movement = {"source": "wms", "reference": unique("in"), "kind": "adjustment", "occurred_at": f"{today()}T00:00:00Z"}
    entry = {**movement, "sku": item, "location": location, "quantity": quantity}
    answer = await atp.client.post("/v1/supply/movements", json={"items": [entry]})
    assert answer.status_code == 200, answer.text


async def shipped(atp: Atp, order_id: str, item: str, quantity: int) -> None:
    body = {
        "source": "wms",
        "reference": unique("ship"),
        "order": {"source": "shop", "order_id": order_id, "version": 1},
        "line": "1",
        "sku": item,
        "location": "L1",
        "quantity": quantity,
        "occurred_at": f"{today()}T00:00:00Z",
    }
    answer = await atp.client.post("/v1/fulfilments/shipped", json={"items": [body]})
    assert answer.status_code == 200, answer.text


async def test_a_percentage_is_of_gross_supply_and_shipments_do_not_lower_it(atp: Atp) -> None:
    item = await atp.item(on_hand=100)
    await put(atp, "protections", {"lines": [line(item, location="L1", percent="50")]})
    order = an_order((item, 40))
    assert (await atp.place(order)).json()["lines"][0]["promised"] == 40
    assert await promised(atp, item, 20) == 10
    await shipped(atp, order["order"]["order_id"], item, 40)
    assert await promised(atp, item, 20) == 0
    assert await promised(atp, item, 60, "g") == 50


async def test_an_emergency_stock_is_kept_from_everybody_and_does_not_lapse(atp: Atp) -> None:
    item = await atp.item(on_hand=100)
    emergency = line(item, "emergency", (-90, 0), location="L1", protected_qty=70, unconsumable=True)
    await put(atp, "protections", {"lines": [emergency]})
    assert await promised(atp, item, 100, "g") == 30


async def test_a_protection_over_locations_is_divided_by_supply_and_again_when_supply_changes(atp: Atp) -> None:
    item = await atp.item(on_hand=90)
    await atp.location("L2")
    await stock(atp, item, 30, "L2")
    document = await put(atp, "protections", {"lines": [line(item, protected_qty=41)]})
    shares = "SELECT location_id, quantity FROM protection WHERE document_id = $1 ORDER BY location_id"
    assert await atp.fetch(shares, document) == [("L1", 31), ("L2", 10)]
    await stock(atp, item, 90, "L2")
    assert await atp.fetch(shares, document) == [("L1", 18), ("L2", 23)]
    assert await promised(atp, item, 200) == 210 - 41


async def test_shares_over_locations_do_not_follow_promises_or_shipments(atp: Atp) -> None:
    item = await atp.item(on_hand=40)
    await atp.location("L2")
    await stock(atp, item, 40, "L2")
    silver = line(item, "silver", protected_qty=40, mode="core")
    gold = line(item, "gold", location="L1", protected_qty=20, mode="core")
    document = await put(atp, "protections", {"lines": [silver, gold]})
    shares = "SELECT location_id, quantity FROM protection WHERE document_id = $1 AND scope = 2 ORDER BY location_id"
    assert await atp.fetch(shares, document) == [("L1", 20), ("L2", 20)]
    assert await promised(atp, item, 80) == 20
    order = an_order((item, 10), customer={"system": "erp", "id": "g"}, latest_acceptable_arrival=in_days(11))
    assert (await atp.place(order)).json()["lines"][0]["promised"] == 10
    await shipped(atp, order["order"]["order_id"], item, 10)
    assert await atp.fetch(shares, document) == [("L1", 20), ("L2", 20)]
    assert await promised(atp, item, 80, "g") == 10
    assert await promised(atp, item, 80, "s") == 40


async def test_a_quota_is_consumed_in_its_own_period_then_nearest_first_and_given_back_exactly(atp: Atp) -> None:
    item = await atp.item(on_hand=1000)
    periods = [(in_days(7 * week), in_days(7 * week + 6)) for week in range(3)]
    window = {"sku": item, "tier": "bronze", "channel": "web", "forward_periods": 2}
    lines = [{**window, "start": start, "end": end, "quantity": 10} for start, end in periods]
    document = await put(atp, "quotas", {"lines": lines})
    order = an_order((item, 24), channel="web")
    answer = await atp.place(order)
    assert outcomes(answer) == ["promised"]
    consumed = [each["consumed"] for each in (await get(atp, f"/v1/quotas/{document}"))["lines"]]
    assert consumed == [10, 10, 4]
    again = await put(atp, "quotas", {"lines": lines}, document)
    assert [each["consumed"] for each in (await get(atp, f"/v1/quotas/{again}"))["lines"]] == [10, 10, 4]
    assert await promised(atp, item, 24, channel="web", latest_acceptable_arrival=in_days(22)) == 6
    await atp.client.post(f"/v1/promises/{answer.json()['promise_id']}:cancel", json={"version": 1})
    assert [each["consumed"] for each in (await get(atp, f"/v1/quotas/{again}"))["lines"]] == [0, 0, 6]


async def test_a_version_that_is_not_in_effect_yet_counts_what_is_taken(atp: Atp) -> None:
    item = await atp.item(on_hand=100)
    later = f"{in_days(1)}T00:00:00Z"
    lines = [line(item, location="L1", protected_qty=60)]
    document = await put(atp, "protections", {"effective_from": later, "lines": lines})
    assert await promised(atp, item, 30, "g") == 30
    assert await promised(atp, item, 60) == 60
    (kept,) = (await get(atp, f"/v1/protections/{document}"))["lines"]
    assert kept["consumed"] == 30


async def test_a_hierarchy_gives_from_its_own_node_then_parents_then_lending_siblings(atp: Atp) -> None:
    item = await atp.item(on_hand=1000)
    answer = await atp.client.put("/v1/regions/north", json={"zones": ["GB"]})
    assert answer.status_code == 200, answer.text
    north = {"node": "north", "attribute": "region", "value": "north", "quantities": [20]}
    gold = {"node": "gold", "parent": "north", "attribute": "tier", "value": "gold", "quantities": [30]}
    silver = {**gold, "node": "silver", "value": "silver", "priority": 2, "borrow_policy": "siblings"}
    tree = {
        "sku": item,
        "periods": [{"start": in_days(0), "end": in_days(9)}],
        "nodes": [north, gold, silver],
        "pool": {"node": "rest", "quantities": [5]},
    }
    document = await put(atp, "hierarchies", tree)
    assert await promised(atp, item, 100, "g", ship_to={"zone": "GB"}) == 80
    assert await promised(atp, item, 100, "s", ship_to={"zone": "GB"}) == 0
    assert await promised(atp, item, 100, ship_to={"zone": "FR"}) == 5
    stored = await get(atp, f"/v1/hierarchies/{document}")
    assert [node["consumed"] for node in stored["nodes"]] == [[20], [30], [30]]
    ((postings,),) = await atp.fetch("SELECT postings::text FROM commitment WHERE item_id = $1 AND tier = 'gold'", item)
    assert [taken in postings for taken in ('"own"', '"parent"', '"borrowed"')] == [True] * 3


async def test_a_hierarchy_in_shortage_has_fair_shares(atp: Atp) -> None:
    """The case P10 of the conformance cases: 1,000 asked for, 500 there."""
    item = await atp.item(on_hand=500)
    asked = [100, 50, 50, 200, 300, 100, 200]
    nodes = [
        {"node": f"c{number}", "attribute": "customer", "value": f"c{number}", "quantities": [quantity]}
        for number, quantity in enumerate(asked)
    ]
    tree = {
        "sku": item,
        "periods": [{"start": in_days(0), "end": in_days(9)}],
        "nodes": nodes,
        "pool": {"node": "rest", "quantities": [0]},
        "fair_share": True,
    }
    await put(atp, "hierarchies", tree)
    for number in range(len(asked)):
        await atp.customer(f"c{number}", assigned("silver"))
    assert [await promised(atp, item, 500, f"c{number}") for number in range(7)] == [50, 25, 25, 100, 150, 50, 100]


async def test_what_a_resized_protection_gave_today_is_expected_no_more_and_comes_back_on_cancel(atp: Atp) -> None:
    item = await atp.item(on_hand=100)
    expecting = line(item, "gold", (0, 9), location="L1", protected_qty=90, expected_qty=30, mode="core", lapse_days=0)
    await put(atp, "protections", {"lines": [expecting, line(item, "silver", location="L1", protected_qty=0)]})
    order = an_order((item, 20), customer={"system": "erp", "id": "g"})
    answer = await atp.place(order)
    assert answer.json()["lines"][0]["promised"] == 20
    assert await promised(atp, item, 100, "s") == 70
    await atp.client.post(f"/v1/promises/{answer.json()['promise_id']}:cancel", json={"version": 1})
    counted = "SELECT consumed FROM usage WHERE kind = 'asked' AND limit_id IN (SELECT protection_id FROM protection p"
    assert await atp.fetch(counted + " WHERE p.item_id = $1 AND p.expected IS NOT NULL)", item) == [(0,)]


async def test_periods_that_overlap_are_refused(atp: Atp) -> None:
    item = await atp.item(on_hand=1)
    lines = [line(item, location="L1", protected_qty=1), line(item, location="L1", protected_qty=1)]
    answer = await atp.client.put(f"/v1/protections/{unique('twice')}", json={"lines": lines})
    assert (answer.status_code, answer.json()["code"]) == (409, "periods_overlap")
    quota = {"start": in_days(0), "end": in_days(3), "quantity": 1, "backward_periods": 1}
    answer = await atp.client.put(f"/v1/quotas/{unique('twice')}", json={"lines": [quota, quota]})
    assert (answer.status_code, answer.json()["code"]) == (409, "periods_overlap")


async def test_a_changed_document_lets_those_who_wait_be_asked_again(atp: Atp) -> None:
    item = await atp.item(on_hand=100)
    document = await put(atp, "protections", {"lines": [line(item, location="L1", protected_qty=100)]})
    answer = await atp.place(an_order((item, 40)))
    assert outcomes(answer) == ["backordered"]
    await put(atp, "protections", {"lines": [line(item, location="L1", protected_qty=60)]}, document)
    await atp.until("SELECT NOT EXISTS (SELECT FROM backorder WHERE item_id = $1)", item)
    promise = await get(atp, f"/v1/promises/{answer.json()['promise_id']}")
    assert promise["lines"][0]["promised"] == 40
