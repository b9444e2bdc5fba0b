"""Cut-over: open orders of the former system keep the dates that it promised, beyond supply too, each once for ever."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from services.atp.adapters.oversell_audit import audit
from services.atp.entrypoints.cut_over_routes import EXAMPLE
from services.contracts import topics
from services.contracts.promises import Promise
from tests.support.atp import Atp, an_order, assigned, in_days, running_atp, unique
from tests.support.atp_proofs import prove

ORDERED = "2026-01-02T09:00:00Z"


@pytest.fixture
async def atp(database_url: str) -> AsyncIterator[Atp]:
    async with running_atp(database_url) as running:
        yield running


def promised(quantity: int, ship: int, **fields: Any) -> dict[str, Any]:
    """A quantity that was promised to ship from L1 in so many days."""
    return {
        "quantity": quantity,
        "location": "L1",
        "service": "road",
        "ship_date": in_days(ship),
        "arrival_date": in_days(ship + 2),
        **fields,
    }


def open_order(sku: str, quantity: int, *parts: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """An open order of one line."""
    return {
        "order": {"source": "legacy", "order_id": unique("open"), "version": 1},
        "customer": {"system": "erp", "id": "nobody"},
        "ordered_at": ORDERED,
        "lines": [{"line": "1", "sku": sku, "quantity": quantity, "promised": list(parts)}],
        **fields,
    }


async def take_over(atp: Atp, *orders: dict[str, Any]) -> list[dict[str, Any]]:
    answer = await atp.client.post("/v1/cut-over/orders", json={"items": list(orders)})
    assert answer.status_code == 200, answer.text
    results: list[dict[str, Any]] = answer.json()["results"]
    return results


async def promise_of(atp: Atp, order: dict[str, Any]) -> dict[str, Any]:
    named = {"source": order["order"]["source"], "order_id": order["order"]["order_id"]}
    answer = await atp.client.get("/v1/promises", params=named)
    assert answer.status_code == 200, answer.text
    promise: dict[str, Any] = answer.json()
    Promise.model_validate_json(answer.content)
    return promise


async def change(atp: Atp, promise: dict[str, Any], what: str, **body: Any) -> httpx.Response:
    return await atp.client.post(f"/v1/promises/{promise['promise_id']}:{what}", json=body)


async def consumed(atp: Atp, document: str) -> list[tuple[str, int]]:
    rows = await atp.fetch("SELECT kind, consumed FROM usage WHERE starts_with(limit_id, $1) ORDER BY kind", document)
    return [(kind, quantity) for kind, quantity in rows]


async def reviewed(atp: Atp) -> None:
    await atp.until("SELECT NOT EXISTS (SELECT FROM deficit_review)")


async def test_an_open_order_keeps_its_dates_its_shipped_quantity_and_what_waits(atp: Atp) -> None:
    item = await atp.item(on_hand=100)
    order = open_order(item, 20, promised(10, 3, shipped=4), promised(5, 6))
    [result] = await take_over(atp, order)
    assert result["effect"] == "taken_over"
    promise = await promise_of(atp, order)
    assert (promise["promise_id"], promise["state"]) == (result["promise_id"], "confirmed")
    [line] = promise["lines"]
    assert (line["quantity"], line["promised"], line["shipped"], line["backordered"]) == (20, 15, 4, 5)
    assert line["outcome"] == "partly_promised"
    assert [(each["quantity"], each["ship_date"]) for each in line["schedule"]] == [(10, in_days(3)), (5, in_days(6))]
    [(days, quantities)] = await atp.fetch(
        "SELECT cardinality(commit_days), commit_quantities FROM position WHERE item_id = $1", item
    )
    assert (days, quantities) == (2, [6, 5])
    assert await atp.fetch("SELECT quantity FROM backorder WHERE item_id = $1 AND NOT late", item) == [(5,)]
    await prove(atp)


async def test_what_is_promised_beyond_supply_is_a_deficit_and_not_oversold(atp: Atp) -> None:
    item = await atp.item(on_hand=10)
    first, second = open_order(item, 8, promised(8, 1)), open_order(item, 8, promised(8, 2))
    assert [each["effect"] for each in await take_over(atp, first, second)] == ["taken_over", "taken_over"]
    await reviewed(atp)
    rows = await atp.fetch("SELECT order_id, quantity, cause FROM deficit WHERE item_id = $1", item)
    assert rows == [(second["order"]["order_id"], 6, "cut_over")]
    listed = await atp.client.get("/v1/exceptions", params={"sku": item, "kind": ["deficit", "at_risk"]})
    found = [(each["kind"], each["quantity"], each["cause"]) for each in listed.json()["items"]]
    assert found == [("deficit", 6, "cut_over"), ("at_risk", 6, "cut_over")]
    told = [each for each in await atp.published(topics.PROMISES) if each.get("sku") == item]
    assert [(each["quantity"], each["cause"]) for each in told] == [(6, "cut_over")]
    report = await audit(atp.database)
    assert (report.oversold, report.broken_chains) == ({}, {})
    assert (item, "L1") in report.cut_over_deficits
    [(taken_over,)] = await atp.fetch("SELECT count(*) FROM promise WHERE cut_over IS NOT NULL")
    assert report.taken_over == taken_over
    refused = await atp.place(an_order((item, 1)))
    assert refused.json()["lines"][0]["promised"] == 0
    await prove(atp)


async def test_a_new_promise_takes_only_what_the_open_orders_leave(atp: Atp) -> None:
    item = await atp.item(on_hand=10)
    await take_over(atp, open_order(item, 7, promised(7, 5)))
    answer = await atp.place(an_order((item, 10)))
    assert [(line["promised"], line["backordered"]) for line in answer.json()["lines"]] == [(3, 7)]
    await prove(atp)


async def test_the_same_file_may_be_sent_again_whatever_became_of_its_orders(atp: Atp) -> None:
    item = await atp.item(on_hand=50)
    order = open_order(item, 9, promised(9, 4))
    [first] = await take_over(atp, order)
    assert await take_over(atp, order) == [{**first, "effect": "repeated"}]
    promise = await promise_of(atp, order)
    done = await change(atp, promise, "cancel", version=2)
    assert (done.status_code, done.json()["state"]) == (200, "cancelled")
    assert await take_over(atp, order) == [{**first, "effect": "repeated"}]
    assert (await promise_of(atp, order))["state"] == "cancelled"
    later = {**order, "order": {**order["order"], "version": 9}}
    assert await take_over(atp, later) == [{**first, "effect": "repeated"}]
    other = {**order, "lines": [{**order["lines"][0], "quantity": 10}]}
    [refused] = await take_over(atp, other)
    assert (refused["effect"], refused["code"], refused["promise_id"]) == (
        "refused",
        "order_differs",
        first["promise_id"],
    )
    await prove(atp)


async def test_an_order_that_is_known_here_is_not_taken_over(atp: Atp) -> None:
    item = await atp.item(on_hand=50)
    placed = an_order((item, 2), order_id=unique("open"))
    assert (await atp.place(placed)).status_code == 201
    order = open_order(item, 2, promised(2, 4), order=placed["order"])
    [refused] = await take_over(atp, order)
    assert (refused["effect"], refused["code"]) == ("refused", "order_differs")


async def test_an_order_that_its_source_sends_as_well_gets_the_promise_that_was_taken_over(atp: Atp) -> None:
    item = await atp.item(on_hand=0)
    order = open_order(item, 3, promised(3, 4))
    [taken] = await take_over(atp, order)
    same = {name: order[name] for name in ("order", "customer", "ordered_at")}
    same["lines"] = [{"line": "1", "sku": item, "quantity": 3}]
    answer = await atp.place(same)
    assert (answer.status_code, answer.json()["promise_id"]) == (200, taken["promise_id"])


async def test_what_cannot_stand_is_refused_with_its_reason_and_the_others_are_taken(atp: Atp) -> None:
    item = await atp.item(on_hand=5)
    good = open_order(item, 1, promised(1, 1))
    bad = {
        "unknown_item": open_order("no-such-item", 1, promised(1, 1)),
        "unknown_location": open_order(item, 1, promised(1, 1, location="NOWHERE")),
        "no_lane": open_order(item, 1, promised(1, 1, service="pigeon", arrival_date=None)),
        "line_repeated": open_order(item, 1, promised(1, 1)),
    }
    bad["unknown_unit"] = open_order(item, 1, promised(1, 1))
    bad["unknown_unit"]["lines"][0]["unit"] = "barrel"
    bad["line_repeated"]["lines"] *= 2
    results = await take_over(atp, *bad.values(), good)
    assert [each.get("code") for each in results] == [*bad, None]
    assert [each["effect"] for each in results] == ["refused"] * len(bad) + ["taken_over"]
    mended = {**bad["unknown_location"], "lines": good["lines"]}
    assert [each["effect"] for each in await take_over(atp, mended)] == ["taken_over"]
    await prove(atp)


@pytest.mark.parametrize(
    "broken",
    [
        {"lines": [{"line": "1", "sku": "x", "quantity": 1, "promised": [promised(2, 1)]}]},
        {"lines": [{"line": "1", "sku": "x", "quantity": 2, "promised": [promised(2, 1, shipped=3)]}]},
        {"lines": [{"line": "1", "sku": "x", "quantity": 2, "promised": [promised(2, 1, shipped=2)]}]},
        {"lines": [{"line": "1", "sku": "x", "quantity": 2, "promised": [promised(2, 3, arrival_date=in_days(1))]}]},
        {"lines": []},
        {"ordered_at": None},
    ],
    ids=["more promised than ordered", "more shipped than promised", "not open", "back in time", "no line", "no age"],
)
async def test_an_order_that_contradicts_itself_is_refused_whole(atp: Atp, broken: dict[str, Any]) -> None:
    answer = await atp.client.post("/v1/cut-over/orders", json={"items": [{**open_order("x", 1), **broken}]})
    assert answer.status_code == 422


async def test_the_lane_says_the_day_that_is_missing(atp: Atp) -> None:
    item = await atp.item(on_hand=5)
    by_ship = open_order(item, 1, promised(1, 3, arrival_date=None))
    by_arrival = open_order(item, 1, promised(1, 3, ship_date=None))
    await take_over(atp, by_ship, by_arrival)
    for order in (by_ship, by_arrival):
        [part] = (await promise_of(atp, order))["lines"][0]["schedule"]
        assert (part["ship_date"], part["arrival_date"]) == (in_days(3), in_days(5))


async def test_an_overdue_promise_is_past_due_until_it_ships(atp: Atp) -> None:
    item = await atp.item(on_hand=5)
    order = open_order(item, 2, promised(2, -4))
    await take_over(atp, order)
    listed = await atp.client.get("/v1/exceptions", params={"sku": item, "kind": "past_due"})
    assert [(each["quantity"], each["day"]) for each in listed.json()["items"]] == [(2, in_days(-4))]
    goods = {
        "source": "wms",
        "reference": unique("ship"),
        "order": {"source": "legacy", "order_id": order["order"]["order_id"]},
        "line": "1",
        "sku": item,
        "location": "L1",
        "quantity": 2,
        "occurred_at": "2026-01-05T08:00:00Z",
    }
    done = await atp.client.post("/v1/fulfilments/shipped", json={"items": [goods]})
    assert done.json()["results"][0]["effect"] == "applied", done.text
    assert (await promise_of(atp, order))["state"] == "closed"
    await prove(atp)


async def test_it_is_an_ordinary_promise_from_then_on(atp: Atp) -> None:
    item = await atp.item(on_hand=30)
    order = open_order(item, 20, promised(10, 3, shipped=4), promised(10, 6), confirmed=False)
    await take_over(atp, order)
    promise = await promise_of(atp, order)
    assert promise["state"] == "promised"
    assert (await change(atp, promise, "confirm", version=1)).json()["state"] == "confirmed"
    less = await change(atp, promise, "release", version=2, lines=[{"line": "1", "quantity": 3}])
    assert less.json()["lines"][0]["promised"] == 17, less.text
    body = {name: order[name] for name in ("customer", "ordered_at")}
    body["lines"] = [{"line": "1", "sku": item, "quantity": 25}]
    amended = await change(atp, promise, "amend", order={**order["order"], "version": 3}, **body)
    assert amended.status_code == 200, amended.text
    [line] = amended.json()["lines"]
    assert (line["promised"], line["shipped"], line["backordered"]) == (25, 4, 0)
    told = await atp.client.get(f"/v1/promises/{promise['promise_id']}/explanation")
    assert any("taken over from another system" in each for each in told.json()["for_planner"])
    gone = await change(atp, promise, "cancel", version=4)
    assert gone.json()["state"] == "cancelled"
    assert await atp.fetch("SELECT on_hand, commit_days FROM position WHERE item_id = $1", item) == [(30, [])]
    await prove(atp)


async def test_the_tier_of_the_assignment_is_stamped_and_consumes_its_protection_and_quota(atp: Atp) -> None:
    await atp.tier("gold", 1)
    await atp.tier("bronze", 3, default=True)
    await atp.customer("gilt", assigned("gold"))
    item, document = await atp.item(on_hand=20), unique("document")
    line: dict[str, Any] = {"sku": item, "location": "L1", "tier": "gold", "start": in_days(0), "end": in_days(30)}
    line["protected_qty"] = 10
    kept = await atp.client.put(f"/v1/protections/{document}", json={"lines": [line]})
    assert kept.status_code == 200, kept.text
    most = {"sku": item, "tier": "gold", "start": in_days(0), "end": in_days(30), "quantity": 5}
    capped = await atp.client.put(f"/v1/quotas/{document}q", json={"lines": [most]})
    assert capped.status_code == 200, capped.text
    order = open_order(item, 8, promised(8, 4, shipped=3), customer={"system": "erp", "id": "gilt"})
    await take_over(atp, order)
    assert (await promise_of(atp, order))["served_as"]["tier"] == "gold"
    assert await consumed(atp, document) == [("protection", 8), ("quota", 8)]
    more = await atp.place(
        an_order((item, 1), customer={"system": "erp", "id": "gilt"}, latest_acceptable_arrival=in_days(20))
    )
    assert more.json()["lines"][0]["promised"] == 0  # the quota is used up, and more
    other = await atp.place(an_order((item, 20), latest_acceptable_arrival=in_days(20)))
    assert other.json()["lines"][0]["promised"] == 13  # 20 - 5 still owed - 2 that the protection keeps
    gone = await change(atp, await promise_of(atp, order), "cancel", version=2)
    assert gone.json()["state"] == "cancelled"
    assert await consumed(atp, document) == [("protection", 3), ("quota", 3)]
    await prove(atp)


async def test_beyond_the_checking_horizon_supply_is_assumed(atp: Atp) -> None:
    item = await atp.item(on_hand=4, horizon=10)
    await take_over(atp, open_order(item, 9, promised(9, 20)))
    [(receipts,)] = await atp.fetch("SELECT receipt_assumed FROM position WHERE item_id = $1", item)
    assert receipts == [9]
    answer = await atp.place(an_order((item, 4)))
    assert answer.json()["lines"][0]["promised"] == 4
    await prove(atp)


async def test_what_waits_is_offered_free_stock_when_the_cut_over_is_finished(atp: Atp) -> None:
    item = await atp.item(on_hand=10)
    waits, late = open_order(item, 6), open_order(item, 8, promised(8, 2))
    await take_over(atp, waits, late)
    assert (await promise_of(atp, waits))["lines"][0]["outcome"] == "backordered"
    done = await atp.client.post("/v1/cut-over:finish")
    assert done.status_code == 200, done.text
    assert done.json()["items"] >= 1
    await atp.until("SELECT NOT EXISTS (SELECT FROM position WHERE marked_at IS NOT NULL)")
    [line] = (await promise_of(atp, waits))["lines"]
    assert (line["promised"], line["backordered"]) == (2, 4)
    await prove(atp)


async def test_a_promise_of_another_system_is_no_measure_of_service_here(atp: Atp) -> None:
    item = await atp.item(on_hand=10)
    await take_over(atp, open_order(item, 8, promised(8, 2)))
    placed = await atp.place(an_order((item, 1)))
    measured = "SELECT count(*) FROM measured_order JOIN promise p USING (promise_id) WHERE "
    await atp.until(f"SELECT ({measured} p.promise_id = $1::uuid) = 1", placed.json()["promise_id"])
    assert await atp.fetch(f"{measured} p.cut_over IS NOT NULL") == [(0,)]


async def test_taking_over_has_a_scope_of_its_own_and_is_in_the_audit_trail(atp: Atp) -> None:
    item = await atp.item(on_hand=10)
    order = open_order(item, 8, promised(8, 2))
    headers = atp.credentials.headers("atp.promise", "atp.supply", "atp.configure")
    refused = await atp.client.post("/v1/cut-over/orders", json={"items": [order]}, headers=headers)
    assert refused.status_code == 403
    await take_over(atp, order)
    trail = (await atp.client.get("/v1/audit")).json()["items"]
    subject = f"legacy/{order['order']['order_id']}"
    assert [each["action"] for each in trail if each["subject"] == subject] == ["order.taken_over"]


async def test_it_is_published_as_taken_over_and_recorded_as_accepted(atp: Atp) -> None:
    item = await atp.item(on_hand=10)
    order = open_order(item, 8, promised(8, 2))
    [result] = await take_over(atp, order)
    await take_over(atp, order)
    order_id = order["order"]["order_id"]
    recorded = [each for each in await atp.published(topics.ORDERS_RECORDED) if each["order"]["order_id"] == order_id]
    assert [(each["change"], each["sequence"]) for each in recorded] == [("accepted", 1)]
    told = [each["promise"] for each in await atp.published(topics.PROMISES) if "promise" in each]
    assert [each["promise_id"] for each in told if each["order"]["order_id"] == order_id] == [result["promise_id"]]
    kinds = await atp.fetch(
        "SELECT type FROM outbox WHERE aggregateid = $1 AND aggregatetype = $2", order_id, "promises.v1"
    )
    assert kinds == [("promise.taken_over.v1",)]


async def test_the_example_of_the_api_description_is_an_open_order(atp: Atp) -> None:
    answer = await atp.client.post("/v1/cut-over/orders", json=EXAMPLE)
    assert [each["code"] for each in answer.json()["results"]] == ["unknown_item"]
    described = (await atp.client.get("/openapi.json")).json()["paths"]["/v1/cut-over/orders"]["post"]["requestBody"]
    assert described["content"]["application/json"]["examples"]["partly_shipped"]["value"] == EXAMPLE
