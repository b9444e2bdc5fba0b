"""Beyond the checking horizon supply is assumed; what is real replaces it, and what the horizon reaches is checked."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from services.atp.adapters.deficits import DeficitStore, ask_for_items, asked_reviews
from services.atp.adapters.items import store_items
from services.atp.application.deficit_records import AskedReview
from services.atp.domain.model import PositionKey
from services.chassis.database import Connection, Database
from services.contracts import topics
from services.contracts.items import CatalogItem
from tests.support.atp import Atp, an_order, in_days, running_atp, unique
from tests.support.atp_proofs import prove

HORIZON_DAYS = 10


@pytest.fixture
async def atp(database_url: str) -> AsyncIterator[Atp]:
    async with running_atp(database_url) as running:
        yield running


async def lead_time_item(atp: Atp, *, location: str = "L1", on_hand: int = 0) -> str:
    return await atp.item(on_hand=on_hand, location=location, horizon=HORIZON_DAYS)


async def ordered(atp: Atp, item: str, quantity: int, days: int, **fields: Any) -> dict[str, Any]:
    """An order that may arrive in so many days and not later; it is served as soon as possible: at the horizon."""
    day = in_days(days)
    order = an_order((item, quantity))
    order["lines"][0] |= {"requested_arrival": day, "latest_acceptable_arrival": day}
    answer = await atp.place(order | fields)
    document: dict[str, Any] = answer.json()
    assert document["lines"][0]["promised"] == quantity, document
    return document


async def assumed(atp: Atp, item: str) -> list[tuple[str, int, int]]:
    found = (await atp.client.get(f"/v1/stock/{item}")).json()["locations"][0]["assumed_receipts"]
    return [(each["due"], each["quantity"], each["replaced"]) for each in found]


async def days(atp: Atp, item: str) -> list[dict[str, Any]]:
    answer = await atp.client.get("/v1/availability", params={"sku": item})
    found: list[dict[str, Any]] = answer.json()["locations"][0]["days"]
    return found


async def due(atp: Atp, item: str, quantity: int, days: int, *, version: int = 1) -> None:
    entry = {"source": "erp", "reference": "PO", "sku": item, "location": "L1", "quantity": quantity}
    body = {"items": [{**entry, "due": in_days(days), "version": version}]}
    assert (await atp.client.post("/v1/supply/receipts", json=body)).status_code == 200


async def horizon_reaches(atp: Atp, item: str) -> None:
    """The horizon of the item is later from now on, as it would be after so many days."""
    await atp.client.put(f"/v1/items/{item}", json={"sku": item, "version": 2, "checking_horizon_days": 40})
    await atp.until("SELECT NOT EXISTS (SELECT FROM deficit_review)")


async def deficits(atp: Atp, item: str) -> list[tuple[str, int, str]]:
    return await atp.fetch("SELECT location_id, quantity, cause FROM deficit WHERE item_id = $1", item)


async def test_a_promise_beyond_the_horizon_brings_an_assumed_receipt_that_a_real_one_replaces(atp: Atp) -> None:
    item = await lead_time_item(atp)
    await ordered(atp, item, 6, 20)
    assert await assumed(atp, item) == [(in_days(10), 6, 0)]
    await due(atp, item, 4, 10)
    assert await assumed(atp, item) == [(in_days(10), 2, 4)]
    await due(atp, item, 9, 10, version=2)
    assert await assumed(atp, item) == [(in_days(10), 0, 6)]
    await due(atp, item, 9, 11, version=3)
    assert await assumed(atp, item) == [(in_days(10), 6, 0)]
    assert [(each["available"], each["atp"]) for each in await days(atp, item)][-1] == (9, None)


@pytest.mark.parametrize("how", ["cancel", "release", "amend", "expire", "transfer"])
async def test_an_assumed_receipt_goes_with_what_it_was_assumed_for(atp: Atp, how: str) -> None:
    item, other = await lead_time_item(atp), unique("L")
    hold = {"hold_seconds": 1} if how == "expire" else {}
    document = await ordered(atp, item, 6, 20, **hold)
    name, line = document["promise_id"], document["lines"][0]
    if how == "expire":
        await atp.until("SELECT state = 'expired' FROM promise WHERE promise_id = $1::text::uuid", name)
    elif how == "cancel":
        await atp.client.post(f"/v1/promises/{name}:cancel", json={"version": 2})
    elif how == "release":
        body = {"version": 2, "lines": [{"line": "1", "quantity": 6}]}
        assert (await atp.client.post(f"/v1/promises/{name}:release", json=body)).status_code == 200
    elif how == "amend":
        order = an_order((item, 2), order_id=document["order"]["order_id"])
        order["order"]["version"] = 2
        order["lines"][0] |= {"requested_arrival": line["requested_arrival"]}
        assert (await atp.client.post(f"/v1/promises/{name}:amend", json=order)).status_code == 200
    else:
        await atp.location(other)
        await atp.execute(
            "INSERT INTO position (item_id, location_id, on_hand, buffer) VALUES ($1, $2, 0, 0)", item, other
        )
        body = {"version": 2, "line": "1", "to_location": other}
        assert (await atp.client.post(f"/v1/promises/{name}:transfer", json=body)).status_code == 200
    left = await atp.fetch(
        "SELECT coalesce(sum(a), 0)::int FROM position, unnest(receipt_assumed) AS a"
        " WHERE item_id = $1 AND location_id = 'L1'",
        item,
    )
    assert left == [({"amend": 2}.get(how, 0),)]
    await prove(atp)


async def test_what_the_horizon_reaches_unreplaced_is_a_deficit_and_blocks_the_stock_that_it_needs(atp: Atp) -> None:
    item = await lead_time_item(atp, on_hand=5)
    document = await ordered(atp, item, 8, 20)
    assert (await days(atp, item))[0]["atp"] == 5
    await due(atp, item, 2, 10)
    await horizon_reaches(atp, item)
    assert await deficits(atp, item) == [("L1", 1, "horizon_reached")]
    assert await assumed(atp, item) == []
    assert (await days(atp, item))[0]["atp"] == 0
    listed = (await atp.client.get("/v1/exceptions", params={"kind": "at_risk", "sku": item})).json()["items"]
    assert document["promise_id"] in [each["promise_id"] for each in listed]
    told = [each for each in await atp.published(topics.PROMISES) if each.get("sku") == item]
    assert [(each["quantity"], each["cause"]) for each in told] == [(1, "horizon_reached")]
    await due(atp, item, 3, 10, version=2)
    await atp.until("SELECT NOT EXISTS (SELECT FROM deficit WHERE item_id = $1)", item)


async def test_a_part_that_lacks_supply_at_the_horizon_moves_to_where_there_is_some_and_else_keeps_its_date(
    atp: Atp,
) -> None:
    item, other = await lead_time_item(atp), unique("L")
    first = await ordered(atp, item, 8, 20)
    second = await ordered(atp, item, 4, 20)
    await atp.location(other)
    await atp.execute("INSERT INTO position (item_id, location_id, on_hand, buffer) VALUES ($1, $2, 9, 0)", item, other)
    await atp.execute(
        "INSERT INTO movement (source, reference, item_id, location_id, kind, quantity, on_hand_change,"
        " outcome, occurred_at) VALUES ('test', 'opening', $1, $2, 'adjustment', 9, 9, 'applied', clock_timestamp())",
        item,
        other,
    )
    await horizon_reaches(atp, item)
    await atp.until("SELECT count(*) = 1 FROM deficit WHERE item_id = $1", item)
    moved = (await atp.client.get(f"/v1/promises/{first['promise_id']}")).json()
    kept = (await atp.client.get(f"/v1/promises/{second['promise_id']}")).json()
    assert [(each["location"], each["quantity"]) for each in moved["lines"][0]["schedule"]] == [(other, 8)]
    assert moved["lines"][0]["schedule"][0]["arrival_date"] <= in_days(20)
    assert kept["lines"] == second["lines"]
    assert await deficits(atp, item) == [("L1", 4, "horizon_reached")]
    changes = [
        each
        for each in await atp.published(topics.PROMISES)
        if each.get("cause") == "horizon_reached" and "new" in each
    ]
    assert [each["new"]["promise_id"] for each in changes] == [first["promise_id"]]
    tomorrow = "SELECT key, at > clock_timestamp() FROM due WHERE kind = 'horizon' AND key LIKE ANY($1)"
    orders = [each["order"]["order_id"] for each in (first, second)]
    rows = await atp.fetch(tomorrow, [f'%"{order}"%' for order in orders])
    assert [(orders[1] in key, later) for key, later in rows] == [(True, True)]
    await prove(atp)


async def test_the_start_of_a_day_brings_what_it_reaches_under_review(atp: Atp) -> None:
    item = await lead_time_item(atp)
    await ordered(atp, item, 6, 20)
    await atp.execute("UPDATE item SET checking_horizon_days = 30 WHERE item_id = $1", item)
    await atp.execute("UPDATE supply_day SET day = day - 1")
    await atp.until("SELECT EXISTS (SELECT FROM deficit WHERE item_id = $1)", item)
    assert await deficits(atp, item) == [("L1", 6, "horizon_reached")]


async def test_a_review_that_is_asked_for_again_while_it_is_made_is_made_again(database_url: str) -> None:
    async with running_atp(database_url) as atp:
        item = await lead_time_item(atp, on_hand=5)
        await ordered(atp, item, 8, 20)
    database = await Database.open(database_url, schema="atp", name="reviews")  # nobody reviews by itself any more
    changed = CatalogItem(sku=item, version=2, checking_horizon_days=40)

    async def asked() -> list[AskedReview]:
        return [each for each in await asked_reviews(database, 1_000) if each.key == PositionKey(item, "L1")]

    async def finish(request: int) -> list[AskedReview]:
        async def work(connection: Connection) -> None:
            key = PositionKey(item, "L1")
            await DeficitStore(connection).store(key, [], [], finished=request)

        await database.run(work, label="test")
        return await asked()

    try:
        await database.run(lambda connection: ask_for_items(connection, [item]), label="test")
        (begun,) = await asked()
        await database.run(lambda connection: store_items(connection, [changed]), label="test")
        (again,) = await finish(begun.request)
        assert (begun.cause, again.cause) == ("supply_cut", "horizon_reached")
        assert await finish(again.request) == []
    finally:
        await database.close()
