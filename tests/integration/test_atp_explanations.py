"""Explanations of promises over HTTP, on a real PostgreSQL."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from services.atp.entrypoints.explanation_routes import Explanation
from tests.support.atp import Atp, an_order, assigned, in_days, running_atp, unique
from tests.support.http import client_of


@pytest.fixture
async def atp(database_url: str) -> AsyncIterator[Atp]:
    async with running_atp(database_url) as running:
        yield running


async def explained(atp: Atp, promise: dict[str, Any]) -> Explanation:
    answer = await atp.client.get(f"/v1/promises/{promise['promise_id']}/explanation")
    assert answer.status_code == 200, answer.text
    return Explanation.model_validate_json(answer.content)


async def test_a_planner_reads_which_protection_bound_and_what_would_help(atp: Atp) -> None:
    item, best, other = await atp.item(on_hand=10), unique("best"), unique("other")
    await atp.tier(best, 201)
    await atp.tier(other, 202)
    await atp.customer(unique("nobody"), assigned(other))
    customer = unique("customer")
    await atp.customer(customer, assigned(other))
    line = {"sku": item, "location": "L1", "tier": best, "protected_qty": 8, "start": in_days(0), "end": in_days(60)}
    stored = await atp.client.put(f"/v1/protections/{unique('doc')}", json={"lines": [line]})
    assert stored.status_code == 200, stored.text
    promise = (await atp.place(an_order((item, 5), customer={"system": "erp", "id": customer}))).json()
    told = await explained(atp, promise)
    assert told.lines[0].outcome == "partly_promised"
    assert any(
        f"keeps stock for tier {best} and allowed 2 units to tier {other}" in sentence
        and "lowered by 3 units" in sentence
        for sentence in told.lines[0].for_planner
    )
    assert best not in told.lines[0].for_customer
    assert "2 of 5 will arrive by" in told.lines[0].for_customer


async def test_what_changed_a_promise_is_told_newest_first(atp: Atp) -> None:
    promise = (await atp.place(an_order((await atp.item(on_hand=10), 5)))).json()
    path = f"/v1/promises/{promise['promise_id']}"
    await atp.client.post(f"{path}:confirm", json={"version": 1})
    await atp.client.post(f"{path}:cancel", json={"version": 2})
    told = await explained(atp, promise)
    assert (told.state, told.revision, [change.cause for change in told.changes]) == (
        "cancelled",
        3,
        ["cancelled", "confirmed"],
    )
    assert "promised went from 5 to 0" in told.changes[0].for_planner
    assert told.for_customer == "Your order is cancelled."


async def test_a_promise_at_risk_says_so_first(atp: Atp) -> None:
    item = await atp.item(on_hand=5)
    promise = (await atp.place(an_order((item, 5)))).json()
    movement = {
        "source": "wms",
        "reference": unique("loss"),
        "sku": item,
        "location": "L1",
        "kind": "adjustment",
        "quantity": -3,
        "occurred_at": f"{in_days(0)}T00:00:00Z",
    }
    answer = await atp.client.post("/v1/supply/movements", json={"items": [movement]})
    assert answer.status_code < 300, answer.text
    await atp.until("SELECT EXISTS (SELECT FROM deficit WHERE promise_id = $1)", promise["promise_id"])
    told = await explained(atp, promise)
    assert told.for_planner[-1].startswith("At risk (supply_cut): line 1, 3 of 5 units at L1")
    assert "may be delayed" in told.lines[0].for_customer


async def test_a_caller_of_other_channels_reads_no_explanation(atp: Atp) -> None:
    headers = atp.credentials.headers("atp.read", channels=["shop"])
    promise = (await atp.place(an_order((await atp.item(on_hand=10), 5), channel="web"))).json()
    async with client_of(atp.service.app, headers) as other:
        assert (await other.get(f"/v1/promises/{promise['promise_id']}/explanation")).status_code == 404
