"""What allocations are worth today, shown where it matters: in documents, in availability, and in the metrics."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.support.atp import DEADLINE_SECONDS, Atp, an_order, assigned, in_days, running_atp, unique


@pytest.fixture
async def atp(database_url: str) -> AsyncIterator[Atp]:
    async with running_atp(database_url, atp_measuring_seconds=0.05) as running:
        await running.tier("gold", 1)
        await running.tier("bronze", 3, default=True)
        yield running


async def protect(atp: Atp, *lines: dict[str, Any], **fields: Any) -> str:
    name = unique("figures")
    answer = await atp.client.put(f"/v1/protections/{name}", json={"lines": lines, **fields})
    assert answer.status_code == 200, answer.text
    return name


def line(item: str, tier: str, quantity: int, days: tuple[int, int] = (0, 9), **fields: Any) -> dict[str, Any]:
    span = {"start": in_days(days[0]), "end": in_days(days[1])}
    return {"sku": item, "location": "L1", "tier": tier, "protected_qty": quantity, **span, **fields}


async def shown(atp: Atp, name: str) -> list[tuple[int, int, int, int]]:
    found = (await atp.client.get(f"/v1/protections/{name}")).json()["lines"]
    return [(each["consumed"], each["remaining"], each["lapsed"], each["uncovered_qty"]) for each in found]


async def place(atp: Atp, item: str, quantity: int, tier: str, **fields: Any) -> None:
    customer = f"of {tier}"
    await atp.customer(customer, assigned(tier))
    answer = await atp.place(an_order((item, quantity), customer={"system": "erp", "id": customer}, **fields))
    assert answer.json()["lines"][0]["promised"] == quantity, answer.text


async def due(atp: Atp, item: str, quantity: int, day: int) -> None:
    entry = {"source": "erp", "reference": unique("po"), "sku": item, "location": "L1", "quantity": quantity}
    body = {"items": [{**entry, "due": in_days(day), "certainty": "confirmed", "version": 1}]}
    assert (await atp.client.post("/v1/supply/receipts", json=body)).status_code == 200


async def metric(atp: Atp, tier: str, kind: str, state: str, wanted: float) -> None:
    """Wait until a gauge has a value."""
    asked = f'tiercel_allocation_units{{kind="{kind}",state="{state}",tier="{tier}"}} {wanted}'
    async with asyncio.timeout(DEADLINE_SECONDS):
        while asked not in (await atp.client.get("/metrics")).text:  # noqa: ASYNC110 - only the process knows
            await asyncio.sleep(0.02)


async def test_a_document_says_what_each_line_keeps_and_what_supply_does_not_cover(atp: Atp) -> None:
    item, gold, silver = await atp.item(on_hand=100), unique("gold"), unique("silver")
    await atp.tier(gold, 11)
    await atp.tier(silver, 12)
    await due(atp, item, 30, 12)
    await place(atp, item, 20, gold)
    name = await protect(
        atp,
        line(item, gold, 70),
        line(item, silver, 50),
        line(item, gold, 45, (10, 19)),
        line(item, silver, 5, (-8, 2), location="nowhere", lapse_days=10),
    )
    assert await shown(atp, name) == [(20, 50, 0, 0), (0, 50, 0, 20), (0, 30, 0, 15), (0, 0, 5, 0)]
    answer = await atp.client.get("/v1/availability", params={"sku": item, "location": "L1", "by_tier": True})
    listed = answer.json()["locations"][0]["protections"]
    assert [(each["tier"], each["remaining"], each["uncovered_qty"]) for each in listed] == [
        (gold, 50, 0),
        (silver, 50, 20),
        (gold, 30, 15),
    ]
    plain = await atp.client.get("/v1/availability", params={"sku": item, "location": "L1"})
    assert plain.json()["locations"][0]["protections"] == []
    for tier, state, units in ((gold, "uncovered", 15.0), (silver, "uncovered", 20.0), (gold, "used", 20.0)):
        await metric(atp, tier, "protection", state, units)
    await metric(atp, gold, "protection", "protected", 70.0)
    await metric(atp, silver, "protection", "lapsed", 5.0)


async def test_a_number_over_locations_is_told_whole_and_a_superseded_version_keeps_nothing(atp: Atp) -> None:
    item = await atp.item(on_hand=10)
    await atp.item(item, on_hand=5, location="L2")
    everywhere = {**line(item, "gold", 40), "location": None}
    name = await protect(atp, everywhere, {**line("NOWHERE", "gold", 7), "location": None})
    assert await shown(atp, name) == [(0, 40, 0, 25), (0, 0, 0, 7)]
    await atp.client.put(f"/v1/protections/{name}", json={"lines": []})
    former = (await atp.client.get(f"/v1/protections/{name}", params={"version": 1})).json()
    assert [each["uncovered_qty"] for each in former["lines"]] == [None, None]


async def test_a_version_to_come_is_shown_as_it_will_be(atp: Atp) -> None:
    item = await atp.item(on_hand=10)
    name = await protect(atp, line(item, "gold", 4))
    body = {"effective_from": f"{in_days(1)}T00:00:00Z", "lines": [line(item, "gold", 25)]}
    await atp.client.put(f"/v1/protections/{name}", json=body)
    assert await shown(atp, name) == [(0, 25, 0, 15)]


async def test_quotas_and_hierarchies_show_what_is_left_and_borrowed(atp: Atp) -> None:
    item, gold, silver = await atp.item(on_hand=100), unique("gold"), unique("silver")
    await atp.tier(gold, 11)
    await atp.tier(silver, 12)
    span = {"start": in_days(0), "end": in_days(9)}
    quota = {**span, "sku": item, "tier": gold, "quantity": 50}
    assert (await atp.client.put(f"/v1/quotas/{unique('q')}", json={"lines": [quota]})).status_code == 200
    nodes: list[dict[str, Any]] = [
        {"node": "first", "attribute": "tier", "value": gold, "quantities": [10]},
        {"node": "second", "attribute": "tier", "value": silver, "quantities": [30], "priority": 2},
    ]
    nodes[1]["borrow_policy"] = "siblings"
    tree = {"sku": item, "periods": [span], "nodes": nodes, "pool": {"node": "rest", "quantities": [0]}}
    assert (await atp.client.put(f"/v1/hierarchies/{unique('h')}", json=tree)).status_code == 200
    await place(atp, item, 25, gold)
    for kind, tier, state, units in (
        ("quota", gold, "limit", 50.0),
        ("quota", gold, "left", 25.0),
        ("hierarchy", gold, "left", 0.0),
        ("hierarchy", gold, "borrowed", 15.0),
        ("hierarchy", silver, "left", 15.0),
    ):
        await metric(atp, tier, kind, state, units)
