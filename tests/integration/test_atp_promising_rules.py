"""Items that are promised by a stricter rule, over the public interface: promises, inquiries, availability, reasons."""

from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest

from services.chassis.envelope import Event
from services.contracts import catalogue
from tests.support.atp import Atp, an_order, in_days, order_event, running_atp, unique
from tests.support.atp_proofs import prove


@pytest.fixture
async def atp(database_url: str) -> AsyncIterator[Atp]:
    async with running_atp(database_url) as running:
        yield running


async def ruled(atp: Atp, rule: dict[str, Any], *, on_hand: int = 5) -> str:
    """An item with stock now and three more units in four days; two days of transit."""
    item = await atp.item(on_hand=on_hand)
    body = {"sku": item, "version": 2, "promising_rule": rule}
    assert (await atp.client.put(f"/v1/items/{item}", json=body)).status_code == 200
    entry = {"source": "erp", "reference": "PO", "sku": item, "location": "L1", "quantity": 3, "due": in_days(4)}
    assert (await atp.client.post("/v1/supply/receipts", json={"items": [entry]})).status_code == 200
    return item


async def days(atp: Atp, item: str) -> list[tuple[int, int | None, int]]:
    answer = await atp.client.get("/v1/availability", params={"sku": item})
    (location,) = answer.json()["locations"]
    return [(row["atp"], row["by_rule"], row["offered"]) for row in location["days"]]


def whole(item: str, quantity: int, **line: Any) -> dict[str, Any]:
    """An order that is served with all or nothing, in one part."""
    order = an_order((item, quantity), ship_complete=True)
    order["lines"][0] |= line
    return order


async def test_a_discrete_item_is_offered_receipt_by_receipt(atp: Atp) -> None:
    item = await ruled(atp, {"kind": "discrete"})
    assert await days(atp, item) == [(5, 5, 5), (8, 3, 3)]
    order = an_order((item, 8))
    asked = (await atp.client.post("/v1/promises:inquire", json=order)).json()["lines"][0]
    assert [(each["quantity"], each["ship_date"]) for each in asked["schedule"]] == [(5, in_days(0)), (3, in_days(4))]
    answer = (await atp.place(order)).json()["lines"][0]
    assert answer["schedule"] == asked["schedule"]
    assert await days(atp, item) == [(0, 0, 0), (0, 0, 0)]
    await prove(atp)


async def test_what_a_rule_withholds_is_refused_with_the_rule_as_the_reason(atp: Atp) -> None:
    await atp.tier("whole", 700_001, split_allowed=False)
    await atp.customer("one-part", {"tier": "whole", "effective_from": "2000-01-01T00:00:00Z", "sequence": 1})
    item = await ruled(atp, {"kind": "discrete"})
    order = an_order((item, 7), customer={"system": "erp", "id": "one-part"})
    answer = (await atp.place(order)).json()
    (line,) = answer["lines"]
    assert (line["promised"], line["backordered"]) == (5, 2)
    kinds = {each["kind"]: each for each in line["why"]}
    assert (kinds["rule"]["reference"], kinds["rule"]["allowed"]) == ("discrete", 5)
    assert (kinds["supply"]["needed"], kinds["supply"]["would_help"]) == (2, f"2 more units at L1 by {in_days(0)}")
    said = (await atp.client.get(f"/v1/promises/{answer['promise_id']}/explanation")).text
    assert "promised by the rule discrete" in said


async def test_periods_with_windows_make_up_for_shortages_and_carry_what_is_left(atp: Atp) -> None:
    rule = {"kind": "periods", "period_days": 1, "backward_periods": 3, "accumulation_periods": 10}
    item = await ruled(atp, rule)
    assert (await days(atp, item))[-3:] == [(8, 8, 8), (8, 3, 3), (8, 0, 0)]
    assert (await atp.place(an_order((item, 8)))).json()["lines"][0]["promised"] == 8


async def test_an_item_goes_back_to_the_cumulative_rule(atp: Atp) -> None:
    item = await ruled(atp, {"kind": "discrete"})
    await atp.client.put(f"/v1/items/{item}", json={"sku": item, "version": 3})
    assert await days(atp, item) == [(5, None, 5), (8, None, 8)]
    stored = (await atp.client.get(f"/v1/items/{item}")).json()
    assert stored["promising_rule"]["kind"] == "cumulative"


async def test_the_rule_comes_by_the_event_log_and_is_checked(atp: Atp) -> None:
    sku = unique("item")
    payload = {"sku": sku, "version": 1, "promising_rule": {"kind": "periods", "period_days": 7, "forward_periods": 2}}
    event: Event = order_event(
        catalogue.CATALOG_ITEM, {"order": {"order_id": sku}}, data=orjson.dumps(payload), key=sku
    )
    await atp.publish(event)
    await atp.until("SELECT EXISTS (SELECT FROM item WHERE item_id = $1)", sku)
    stored = (await atp.client.get(f"/v1/items/{sku}")).json()["promising_rule"]
    assert (stored["kind"], stored["period_days"], stored["forward_periods"]) == ("periods", 7, 2)
    wrong = {"sku": sku, "version": 2, "promising_rule": {"kind": "discrete", "forward_periods": 2}}
    assert (await atp.client.put(f"/v1/items/{sku}", json=wrong)).status_code == 422


async def test_those_who_wait_are_asked_anew_when_the_policy_of_their_item_offers_more(atp: Atp) -> None:
    item = await atp.item()
    entry = {"source": "erp", "reference": "PLAN", "sku": item, "location": "L1", "quantity": 5, "due": in_days(4)}
    body = {"items": [{**entry, "certainty": "planned"}]}
    assert (await atp.client.post("/v1/supply/receipts", json=body)).status_code == 200
    waiting = (await atp.place(an_order((item, 5)))).json()
    assert (waiting["lines"][0]["promised"], waiting["lines"][0]["backordered"]) == (0, 5)
    counted = {"sku": item, "version": 2, "planned_receipts_count": True}
    assert (await atp.client.put(f"/v1/items/{item}", json=counted)).status_code == 200
    await atp.until("SELECT NOT EXISTS (SELECT FROM backorder WHERE item_id = $1 AND NOT late)", item)
    line = (await atp.client.get(f"/v1/promises/{waiting['promise_id']}")).json()["lines"][0]
    assert [(part["quantity"], part["ship_date"]) for part in line["schedule"]] == [(5, in_days(4))]
    await prove(atp)
