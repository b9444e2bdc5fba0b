"""Stock by status, transfers, dock to stock: what they do to promises, to the ledger, and over both ways in."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from services.atp.adapters.ledger import rebuild, verify
from services.atp.adapters.oversell_audit import audit
from services.chassis.envelope import Event
from services.chassis.ids import new_id
from services.contracts import catalogue
from services.contracts.catalogue import EventType
from tests.support.atp import Atp, an_order, in_days, running_atp, unique

AT = "2026-01-05T08:00:00Z"


@pytest.fixture
async def atp(database_url: str) -> AsyncIterator[Atp]:
    async with running_atp(database_url) as running:
        yield running
        report = await verify(running.database)
        assert report.drifts == ()
        assert (await audit(running.database)).oversold == {}


async def tell(atp: Atp, what: str, **fields: Any) -> str:
    answer = await atp.client.post(f"/v1/supply/{what}", json={"items": [{"source": "wms", **fields}]})
    assert answer.status_code == 200, answer.text
    effect: str = answer.json()["results"][0]["effect"]
    return effect


def movement(item: str, kind: str, quantity: int, **fields: Any) -> dict[str, Any]:
    place = {"sku": item, "location": "L1", "occurred_at": AT, "reference": unique("m")}
    return {**place, "kind": kind, "quantity": quantity, **fields}


async def stock(atp: Atp, item: str, location: str = "L1") -> dict[str, Any]:
    locations = (await atp.client.get(f"/v1/stock/{item}")).json()["locations"]
    (found,) = [each for each in locations if each["location"] == location]
    return dict(found)


async def promised(atp: Atp, item: str, quantity: int, **fields: Any) -> int:
    return int((await atp.place(an_order((item, quantity), **fields))).json()["lines"][0]["promised"])


async def test_goods_in_inspection_are_not_promised_until_a_status_change_makes_them_available(atp: Atp) -> None:
    item = await atp.item()
    waiting = (await atp.place(an_order((item, 5)))).json()["promise_id"]
    await tell(atp, "movements", **movement(item, "receipt", 8, status="quality"))
    assert (await stock(atp, item))["statuses"] == {"available": 0, "quality": 8, "blocked": 0, "damaged": 0}
    assert await promised(atp, item, 1) == 0
    release = movement(item, "status_change", 6, status="quality", to_status="available")
    assert await tell(atp, "movements", **release) == "applied"
    assert await tell(atp, "movements", **release) == "repeated"
    await tell(atp, "movements", **movement(item, "status_change", 2, status="quality", to_status="damaged"))
    await atp.until("SELECT NOT EXISTS (SELECT FROM backorder WHERE promise_id = $1)", waiting)
    await atp.until("SELECT NOT EXISTS (SELECT FROM position WHERE item_id = $1 AND marked_at IS NOT NULL)", item)
    assert (await stock(atp, item))["statuses"] == {"available": 6, "quality": 0, "blocked": 0, "damaged": 2}


async def test_blocking_promised_stock_puts_the_promise_at_risk(atp: Atp) -> None:
    item = await atp.item(on_hand=4)
    assert await promised(atp, item, 4) == 4
    await tell(atp, "movements", **movement(item, "status_change", 3, status="available", to_status="blocked"))
    await atp.until("SELECT EXISTS (SELECT FROM deficit WHERE item_id = $1 AND quantity = 3)", item)


async def test_a_count_of_statuses_takes_effect_once_all_that_it_includes_has_arrived(atp: Atp) -> None:
    item = await atp.item()
    await tell(atp, "movements", **movement(item, "receipt", 9, sequence=1, status="quality"))
    count = {"sku": item, "location": "L1", "reference": unique("c"), "as_of": AT, "on_hand": 4, "cursor": 2}
    await tell(atp, "snapshots", **count, statuses={"quality": 4, "blocked": 1})
    assert (await stock(atp, item))["statuses"] == {"available": 0, "quality": 4, "blocked": 0, "damaged": 0}
    late = movement(item, "status_change", 4, sequence=2, status="quality", to_status="available")
    await tell(atp, "movements", **late)
    assert (await stock(atp, item))["statuses"] == {"available": 4, "quality": 4, "blocked": 1, "damaged": 0}


async def test_a_transfer_commits_at_its_source_and_is_due_at_its_destination_until_it_has_moved(atp: Atp) -> None:
    item = await atp.item(on_hand=10)
    await atp.location("L2", zone="FAR")
    transfer = {
        "reference": "TO-1",
        "sku": item,
        "from_location": "L1",
        "to_location": "L2",
        "quantity": 6,
        "ship_date": in_days(0),
        "due": in_days(3),
    }
    assert await tell(atp, "transfers", **transfer) == "applied"
    assert await tell(atp, "transfers", **transfer) == "repeated"
    assert await promised(atp, item, 10, ship_to={"zone": "GB"}) == 4
    far = {"ship_to": {"zone": "FAR"}}
    assert await promised(atp, item, 1, latest_acceptable_arrival=in_days(4), **far) == 0
    assert await promised(atp, item, 2, latest_acceptable_arrival=in_days(5), **far) == 2
    named = {"transfer_reference": "TO-1"}
    await tell(atp, "movements", **movement(item, "transfer_shipped", -6, **named))
    (document,) = (await stock(atp, item, "L2"))["transfers"]
    assert (document["shipped"], document["received"], document["due"]) == (6, 0, in_days(3))
    arrived = movement(item, "transfer_received", 6, **named) | {"location": "L2"}
    await tell(atp, "movements", **arrived)
    assert (await stock(atp, item, "L2"))["transfers"] == []
    rows = await atp.fetch(
        "SELECT location_id, on_hand, receipt_days, commit_quantities FROM position WHERE item_id = $1 ORDER BY 1", item
    )
    assert rows == [("L1", 4, [], [4]), ("L2", 6, [], [2])]


async def test_a_cancelled_transfer_gives_back_what_has_not_shipped_to_those_who_wait(atp: Atp) -> None:
    item = await atp.item(on_hand=5)
    transfer = {
        "reference": "TO-2",
        "sku": item,
        "from_location": "L1",
        "to_location": "L2",
        "quantity": 5,
        "ship_date": in_days(1),
        "due": in_days(2),
    }
    await tell(atp, "transfers", **transfer)
    waiting = (await atp.place(an_order((item, 3)))).json()["promise_id"]
    await tell(atp, "movements", **movement(item, "transfer_shipped", -2, transfer_reference="TO-2"))
    await tell(atp, "transfers", **transfer, state="cancelled", version=2)
    await atp.until("SELECT NOT EXISTS (SELECT FROM backorder WHERE promise_id = $1)", waiting)
    assert await tell(atp, "transfers", **transfer) == "older"
    ((left,),) = await atp.fetch(
        "SELECT receipt_confirmed FROM position WHERE item_id = $1 AND location_id = 'L2'", item
    )
    assert left == [2]


async def test_a_transfer_that_goes_elsewhere_now_leaves_nothing_behind_where_it_was_to_go(atp: Atp) -> None:
    item = await atp.item(on_hand=5)
    transfer = {"reference": "TO-3", "sku": item, "from_location": "L1", "quantity": 5, "ship_date": in_days(1)}
    await tell(atp, "movements", **movement(item, "transfer_shipped", -1, transfer_reference="TO-3"))
    await tell(atp, "transfers", **transfer, to_location="L2", due=in_days(2))
    await tell(atp, "transfers", **transfer, to_location="L3", due=in_days(3), version=2)
    rows = await atp.fetch(
        "SELECT location_id, commit_quantities, receipt_confirmed FROM position WHERE item_id = $1 ORDER BY 1", item
    )
    assert rows == [("L1", [4], []), ("L2", [], []), ("L3", [], [5])]


async def test_what_is_due_at_the_dock_is_stock_after_the_days_from_dock_to_stock(atp: Atp) -> None:
    location = unique("DOCK")
    answer = await atp.client.put(f"/v1/locations/{location}", json={"dock_to_stock_days": 2})
    assert answer.status_code == 200
    await atp.location(location, zone="DOCKED", transit_days=1)
    item = await atp.item(location="L1")
    receipt = {"reference": "PO-D", "sku": item, "location": location, "quantity": 4, "due": in_days(1)}
    await tell(atp, "receipts", **receipt)
    (due,) = (await stock(atp, item, location))["receipts"]
    assert (due["due"], due["open"], due["past_due"]) == (in_days(3), 4, False)
    order = an_order((item, 4), ship_to={"zone": "DOCKED"})
    assert (await atp.place(order)).json()["lines"][0]["schedule"][0]["arrival_date"] == in_days(4)


def supply_event(kind: EventType, payload: dict[str, Any]) -> Event:
    made = str(new_id())
    data, topic = orjson.dumps(payload), kind.topic.name
    return Event(
        id=made,
        type=kind.name,
        source="urn:test:wms",
        topic=topic,
        key=payload["sku"],
        sequence=0,
        time=datetime.now(UTC),
        data=data,
        correlation_id=made,
        causation_id=made,
    )


async def test_both_versions_of_a_movement_and_a_transfer_come_by_the_event_log(atp: Atp) -> None:
    item = await atp.item()
    first = {"source": "wms", **movement(item, "receipt", 5)}
    second = {"source": "wms", **movement(item, "receipt", 3, status="blocked")}
    transfer = {
        "source": "erp",
        "reference": "TO-4",
        "sku": item,
        "from_location": "L1",
        "to_location": "L2",
        "quantity": 1,
        "ship_date": in_days(1),
        "due": in_days(2),
    }
    await atp.publish(
        supply_event(catalogue.SUPPLY_MOVEMENT_V1, first),
        supply_event(catalogue.SUPPLY_MOVEMENT, second),
        supply_event(catalogue.SUPPLY_TRANSFER, transfer),
    )
    await atp.until("SELECT EXISTS (SELECT FROM transfer WHERE item_id = $1)", item)
    assert (await stock(atp, item))["statuses"] == {"available": 5, "quality": 0, "blocked": 3, "damaged": 0}


async def test_a_status_that_drifted_is_found_and_rebuilt(atp: Atp) -> None:
    item = await atp.item()
    await tell(atp, "movements", **movement(item, "receipt", 8, status="quality"))
    await atp.execute("UPDATE stock_status SET quantity = 7 WHERE item_id = $1", item)
    report = await verify(atp.database)
    assert report.drifts == (f"{item}@L1: quality 7, by the ledger 8",)
    assert await rebuild(atp.database) == 1
