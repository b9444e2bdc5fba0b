"""What warehouse and carrier are told with each schedule line: in answers, in events, and through every change."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, time
from zoneinfo import ZoneInfo

import pytest

from services.contracts import topics
from services.contracts.promises import Promise
from tests.support.atp import Atp, an_order, assigned, running_atp, today, unique

ZONE = "Asia/Kolkata"


@pytest.fixture
async def atp(database_url: str) -> AsyncIterator[Atp]:
    async with running_atp(database_url) as running:
        yield running


async def express_from(atp: Atp, location: str) -> str:
    """A location with an express lane to a zone of its own whose carrier comes at half past five; the service."""
    service = unique("svc")
    await atp.client.put(f"/v1/locations/{location}", json={"time_zone": ZONE})
    lane = {"zone": location, "location": location, "service": service, "carrier_class": "express", "transit_days": 1}
    await atp.client.put("/v1/lanes", json={"items": [lane]})
    said = await atp.client.put("/v1/services", json={"items": [{"service": service, "pick_up_time": "17:30"}]})
    assert said.status_code == 200
    return service


async def test_a_promise_says_class_ship_by_priority_packaging_and_handling_and_keeps_them_through_changes(
    atp: Atp,
) -> None:
    location, tier, customer = unique("L"), unique("tier"), unique("C")
    await express_from(atp, location)
    await atp.tier(tier, 3, pick_priority=2, packaging="gift-box", handling=["fragile", "cold"])
    await atp.customer(customer, assigned(tier))
    sku = await atp.item(on_hand=4, location=location)
    order = an_order((sku, 6), ship_to={"zone": location}, customer={"system": "erp", "id": customer})
    promise = (await atp.place(order)).json()
    part = promise["lines"][0]["schedule"][0]
    leaves = datetime.combine(datetime.fromisoformat(part["ship_date"]), time(17, 30), ZoneInfo(ZONE))
    assert part["routing"] == {
        "carrier_class": "express",
        "ship_by": leaves.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        "pick_priority": 2,
        "packaging": "gift-box",
        "handling": ["fragile", "cold"],
    }
    assert Promise.model_validate(promise).lines[0].schedule[0].routing is not None

    await atp.tier(tier, 3, pick_priority=5)
    arrived = {"source": "wms", "reference": unique("R"), "sku": sku, "location": location, "kind": "receipt"}
    await atp.client.post(
        "/v1/supply/movements", json={"items": [{**arrived, "quantity": 2, "occurred_at": f"{today()}T00:00:00Z"}]}
    )
    await atp.until("SELECT NOT EXISTS (SELECT FROM backorder WHERE item_id = $1)", sku)
    await atp.until_published()
    changes = [each for each in await atp.published(topics.PROMISES) if "new" in each]
    (old, new) = next(
        (each["old"], each["new"]) for each in changes if each["new"]["promise_id"] == promise["promise_id"]
    )
    assert [each["routing"] for each in old["lines"][0]["schedule"]] == [part["routing"]]
    kept, gained = (each["routing"] for each in new["lines"][0]["schedule"])
    assert kept == part["routing"]  # as it was decided
    assert (gained["pick_priority"], gained["packaging"], gained["handling"]) == (5, None, [])

    cancelled = await atp.client.post(f"/v1/promises/{promise['promise_id']}:cancel", json={"version": 2})
    assert cancelled.status_code == 200, cancelled.text


async def test_an_inquiry_tells_the_same_and_the_planner_reads_it_in_words(atp: Atp) -> None:
    location = unique("L")
    service = await express_from(atp, location)
    sku = await atp.item(on_hand=4, location=location)
    order = an_order((sku, 1), ship_to={"zone": location})
    asked = (await atp.client.post("/v1/promises:inquire", json=order)).json()
    promise = (await atp.place(order)).json()
    assert asked["lines"][0]["schedule"] == promise["lines"][0]["schedule"]
    told = (await atp.client.get(f"/v1/promises/{promise['promise_id']}/explanation")).json()
    assert f"ship from {location} by {service}" in str(told)
    assert "class express and must have left by" in str(told)
