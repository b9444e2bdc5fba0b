"""Sources of several kinds: each promises with its own calendar, cost and reasons (issue 5, to show 3, first half)."""

from collections.abc import AsyncIterator
from datetime import date, timedelta
from typing import Any

import pytest

from services.atp.application.reproduce import reproduce
from services.contracts.promises import Promise
from tests.integration.test_atp_routing_rules import gold_customer, put_rules
from tests.support.atp import Atp, an_order, running_atp, today, unique
from tests.support.atp_proofs import prove

WEEK = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


@pytest.fixture
async def atp(database_url: str) -> AsyncIterator[Atp]:
    async with running_atp(database_url) as running:
        yield running


def in_days(days: int) -> date:
    """A day from today."""
    return today() + timedelta(days=days)


async def open_only(atp: Atp, *days: int) -> str:
    """A calendar that is open on these days of the coming weeks, counted from today, and on no other of them."""
    name = unique("cal")
    closed = [in_days(day).isoformat() for day in range(60) if day not in days]
    body = {"items": [{"calendar": name, "weekdays": list(WEEK), "closed": closed}]}
    assert (await atp.client.put("/v1/calendars", json=body)).status_code == 200
    return name


async def source(atp: Atp, kind: str, **terms: Any) -> str:
    """A location of a kind."""
    name = unique(kind.replace("_", "-"))
    answer = await atp.client.put(f"/v1/locations/{name}", json={"kind": kind, **terms})
    assert answer.status_code == 200, answer.text
    return name


async def lane(atp: Atp, zone: str, location: str, carrier_class: str, *terms: Any) -> None:
    """A lane with its transit days, cost of a shipment and service."""
    transit, cost, service = terms
    body = {"zone": zone, "location": location, "service": service, "carrier_class": carrier_class}
    costs = {"transit_days": transit, "cost_shipment_minor": cost}
    assert (await atp.client.put("/v1/lanes", json={"items": [{**body, **costs}]})).status_code == 200


async def item(atp: Atp, **stock: int) -> str:
    """An item, and how much of it there is at locations."""
    sku = unique("item")
    assert (await atp.client.post("/v1/items", json={"items": [{"sku": sku}]})).status_code == 200
    counts = [
        {
            "source": "wms",
            "reference": unique("COUNT"),
            "sku": sku,
            "location": location,
            "on_hand": quantity,
            "as_of": f"{today()}T00:00:00Z",
        }
        for location, quantity in stock.items()
    ]
    assert (await atp.client.post("/v1/supply/snapshots", json={"items": counts})).status_code == 200
    return sku


async def promised(atp: Atp, sku: str, quantity: int, ship_to: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """A promise, which is one of the published language."""
    answer = await atp.place(an_order((sku, quantity), ship_to=ship_to, **fields))
    assert answer.status_code in {200, 201}, answer.text
    Promise.model_validate(answer.json())
    document: dict[str, Any] = answer.json()
    return document


async def test_a_store_a_vendor_and_a_third_party_promise_by_their_own_calendars_with_their_own_cost_and_reasons(
    atp: Atp,
) -> None:
    zone = unique("Z")
    store = await source(atp, "store", calendar=await open_only(atp, 2, 9), closes_at="18:00", ready_minutes=60)
    vendor = await source(atp, "drop_ship", calendar=await open_only(atp, 3, 4, 5, 6), lead_time_days=2)
    third = await source(atp, "third_party", calendar=await open_only(atp, 1, 8), processing_days=1)
    await lane(atp, "*", store, "pick_up", 0, 0, "counter")
    await lane(atp, zone, vendor, "road", 3, 350, unique("vendor-road"))
    await lane(atp, zone, third, "road", 1, 200, unique("3pl-road"))

    collected = await promised(atp, await item(atp, **{store: 5}), 1, {"zone": zone, "pick_up_at": store})
    part = collected["lines"][0]["schedule"][0]
    assert (part["location"], part["ship_date"], part["arrival_date"]) == (store, str(in_days(2)), str(in_days(2)))
    assert (part["cost_minor"], part["routing"]["carrier_class"], collected["pick_up_at"]) == (0, "pick_up", store)
    assert part["routing"]["ship_by"] == f"{in_days(2)}T18:00:00Z"

    from_vendor = await item(atp, **{vendor: 0})
    dropped = await promised(atp, from_vendor, 40, {"zone": zone}, requested_arrival=str(in_days(5)))
    part = dropped["lines"][0]["schedule"][0]
    assert (part["location"], part["ship_date"], part["arrival_date"]) == (vendor, str(in_days(4)), str(in_days(7)))
    assert part["cost_minor"] == 350
    assert dropped["lines"][0]["outcome"] == "promised_late"
    assert dropped["lines"][0]["why"][0]["reference"].startswith(vendor)

    kept = await promised(atp, await item(atp, **{third: 5}), 1, {"zone": zone}, requested_arrival=str(in_days(3)))
    part = kept["lines"][0]["schedule"][0]
    assert (part["location"], part["ship_date"], part["arrival_date"]) == (third, str(in_days(8)), str(in_days(9)))
    assert (part["cost_minor"], kept["lines"][0]["why"][0]["kind"]) == (200, "calendar")
    records = await atp.fetch("SELECT input FROM decision_batch")
    assert sum(len(reproduce(record)) for (record,) in records) >= 3
    await prove(atp)


async def test_a_gold_line_takes_the_faster_service_exactly_where_it_changes_the_date(atp: Atp) -> None:
    zone, document = unique("Z"), unique("modes")
    tier, gold = await gold_customer(atp)
    await atp.tier(tier, 77, lateness_penalty_minor=1_000, as_soon_as_possible=True)
    dc = await source(atp, "distribution_center")
    await lane(atp, zone, dc, "express", 1, 900, "air")
    await lane(atp, zone, dc, "standard", 3, 300, "truck")
    attempts = [{"carrier_classes": ["standard"]}, {"carrier_classes": ["express"]}]
    await put_rules(atp, "fulfilment-modes", document, {"rule": "gold", "tier": tier, "attempts": attempts})
    sku = await item(atp, **{dc: 50})
    soon = await promised(atp, sku, 1, {"zone": zone}, requested_arrival=str(in_days(1)), **gold)
    later = await promised(atp, sku, 1, {"zone": zone}, requested_arrival=str(in_days(3)), **gold)
    for promise, service, cost, arrival in ((soon, "air", 900, in_days(1)), (later, "truck", 300, in_days(3))):
        part = promise["lines"][0]["schedule"][0]
        assert (part["service"], part["cost_minor"], part["arrival_date"]) == (service, cost, str(arrival))
        assert promise["lines"][0]["outcome"] == "promised"
        assert promise["lines"][0]["routed_by"][0]["rule"] == f"{document}/gold"
        assert promise["cost_minor"] == cost


async def test_what_is_made_to_order_is_promised_at_its_lead_time_stands_and_ships_without_a_receipt(atp: Atp) -> None:
    zone = unique("Z")
    factory = await source(atp, "make_to_order", lead_time_days=4, calendar=await open_only(atp, 1, 2, 5, 6, 7, 8))
    await lane(atp, zone, factory, "road", 1, 500, unique("road"))
    sku = await item(atp, **{factory: 3})
    made = await promised(atp, sku, 70, {"zone": zone})
    parts = made["lines"][0]["schedule"]
    assert [(part["quantity"], part["ship_date"]) for part in parts] == [(3, str(in_days(1))), (67, str(in_days(6)))]
    shown = (await atp.client.get("/v1/availability", params={"sku": sku})).json()["locations"][0]
    assert shown["supply_assumed_from"] == str(in_days(6))
    shipped = {
        "source": "wms",
        "reference": unique("SHIP"),
        "order": {"source": made["order"]["source"], "order_id": made["order"]["order_id"]},
        "line": "1",
        "sku": sku,
        "location": factory,
        "quantity": 70,
        "occurred_at": f"{today()}T00:00:01Z",
    }
    answer = await atp.client.post("/v1/fulfilments/shipped", json={"items": [shipped]})
    assert answer.status_code == 200, answer.text
    again = await promised(atp, sku, 10, {"zone": zone})
    assert again["lines"][0]["outcome"] in {"promised", "promised_late"}
    await prove(atp)


async def test_a_customer_who_collects_sees_the_store_alone_and_one_who_does_not_never_sees_its_counter(
    atp: Atp,
) -> None:
    zone = unique("Z")
    store = await source(atp, "store")
    await lane(atp, zone, store, "pick_up", 0, 0, "counter")
    sku = await item(atp, **{store: 5})
    sent = await promised(atp, sku, 1, {"zone": zone})
    assert sent["lines"][0]["outcome"] != "promised"
    order = an_order((sku, 2), ship_to={"zone": zone, "pick_up_at": store})
    first = (await atp.place(order)).json()
    assert (await atp.place(order)).json()["promise_id"] == first["promise_id"]
    assert first["lines"][0]["schedule"][0]["location"] == store
    elsewhere = await promised(atp, sku, 1, {"zone": zone, "pick_up_at": unique("nowhere")})
    assert elsewhere["lines"][0]["outcome"] == "no_source"
    amended = {**order, "order": {**order["order"], "version": 2}, "ship_to": {"zone": zone, "pick_up_at": store}}
    amended["lines"] = [{**order["lines"][0], "quantity": 3}]
    answer = await atp.client.post(f"/v1/promises/{first['promise_id']}:amend", json=amended)
    assert answer.status_code == 200, answer.text
    assert answer.json()["lines"][0]["promised"] == 3


async def test_terms_that_are_not_of_a_kind_are_refused(atp: Atp) -> None:
    for terms in (
        {"kind": "make_to_order"},
        {"kind": "distribution_center", "lead_time_days": 3},
        {"kind": "third_party", "closes_at": "18:00"},
        {"kind": "drop_ship", "ready_minutes": 5},
        {"kind": "store", "ready_minutes": 100_000},
    ):
        answer = await atp.client.put(f"/v1/locations/{unique('L')}", json=terms)
        assert (answer.status_code, answer.json()["code"]) == (422, "validation_failed"), terms


async def test_what_is_due_at_the_dock_counts_after_working_days_of_the_location(atp: Atp) -> None:
    zone = unique("Z")
    dc = await source(atp, "third_party", calendar=await open_only(atp, 1, 2, 6, 7, 8), dock_to_stock_days=2)
    await lane(atp, zone, dc, "road", 1, 100, unique("road"))
    sku = await item(atp, **{dc: 0})
    receipt = {
        "source": "erp",
        "reference": unique("PO"),
        "sku": sku,
        "location": dc,
        "quantity": 5,
        "due": str(in_days(2)),
        "certainty": "confirmed",
        "version": 1,
    }
    assert (await atp.client.post("/v1/supply/receipts", json={"items": [receipt]})).status_code == 200
    part = (await promised(atp, sku, 5, {"zone": zone}))["lines"][0]["schedule"][0]
    assert (part["ship_date"], part["arrival_date"]) == (str(in_days(7)), str(in_days(8)))  # six and seven are open
    later = {**receipt, "days_later": 0}
    tried = {name: later[name] for name in ("source", "reference", "sku", "location", "days_later")}
    seen = await atp.client.post("/v1/previews", json={"receipts": [tried]})
    assert (seen.status_code, seen.json()["promises_changed"]) == (200, 0)


async def test_a_vendor_without_a_limit_of_stock_sends_no_more_on_a_day_than_its_capacity(atp: Atp) -> None:
    zone = unique("Z")
    vendor = await source(atp, "drop_ship", lead_time_days=1)
    await lane(atp, zone, vendor, "road", 1, 100, unique("road"))
    sku = await item(atp, **{vendor: 0})
    document = {"lines": [{"location": vendor, **dict.fromkeys(WEEK, 10)}]}
    answer = await atp.client.put(f"/v1/capacities/{unique('CAP')}", json=document)
    assert answer.status_code == 200, answer.text
    days = [(await promised(atp, sku, 8, {"zone": zone}))["lines"][0]["schedule"] for _ in range(3)]
    by_day: dict[str, int] = {}
    for part in (part for schedule in days for part in schedule):
        by_day[part["ship_date"]] = by_day.get(part["ship_date"], 0) + part["quantity"]
    assert sum(by_day.values()) == 24
    assert max(by_day.values()) <= 10
    await prove(atp)
