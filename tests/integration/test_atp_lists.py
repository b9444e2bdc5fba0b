"""Lists of promises and of exceptions over HTTP, on a real PostgreSQL."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.atp.entrypoints.list_routes import ExceptionPage, PromisePage
from tests.support.atp import Atp, an_order, assigned, in_days, running_atp, unique


@pytest.fixture
async def atp(database_url: str) -> AsyncIterator[Atp]:
    async with running_atp(database_url) as running:
        yield running


async def listed(atp: Atp, path: str = "/v1/promises", **asked: Any) -> list[dict[str, Any]]:
    """All pages of a list, two items at a time."""
    items: list[dict[str, Any]] = []
    cursor: str | None = None
    while True:
        answer = await atp.client.get(path, params={"limit": 2, **asked, **({"cursor": cursor} if cursor else {})})
        assert answer.status_code == 200, answer.text
        (ExceptionPage if path.endswith("exceptions") else PromisePage).model_validate_json(answer.content)
        items += answer.json()["items"]
        cursor = answer.json()["next_cursor"]
        if cursor is None:
            return items


async def ids(atp: Atp, **asked: Any) -> list[str]:
    return [each["promise_id"] for each in await listed(atp, **asked)]


async def test_promises_are_listed_by_item_the_newest_first_without_gap_or_repetition(atp: Atp) -> None:
    item = await atp.item(on_hand=3)
    made = [(await atp.place(an_order((item, 1)))).json()["promise_id"] for _ in range(5)]
    assert await ids(atp, sku=item) == made[::-1]
    assert await ids(atp, sku=unique("no-such-item")) == []


async def test_promises_are_listed_by_state_tier_customer_and_order(atp: Atp) -> None:
    await atp.tier("gold", 1)
    gold = unique("gold-customer")
    await atp.customer(gold, assigned("gold"))
    item = await atp.item(on_hand=9)
    theirs = an_order((item, 1), customer={"system": "erp", "id": gold})
    first = (await atp.place(theirs)).json()["promise_id"]
    other = (await atp.place(an_order((item, 1)))).json()["promise_id"]
    held = (await atp.place(an_order((item, 1), hold_seconds=600))).json()["promise_id"]
    await atp.client.post(f"/v1/promises/{other}:cancel", json={"version": 1})
    assert await ids(atp, sku=item, tier="gold") == [first]
    assert await ids(atp, customer_system="erp", customer=gold) == [first]
    assert await ids(atp, customer_system="tiercel", customer=gold) == [first]
    assert await ids(atp, sku=item, customer_system="erp", customer="nobody") == [held, other]
    assert await ids(atp, sku=item, state=["cancelled", "held"]) == [held, other]
    assert await ids(atp, sku=item, state="promised") == [first]
    assert await ids(atp, order_id=theirs["order"]["order_id"]) == [first]
    assert await ids(atp, source="shop", order_id=theirs["order"]["order_id"], state="promised") == [first]
    half = await atp.client.get("/v1/promises", params={"customer": gold})
    assert (half.status_code, half.json()["code"]) == (400, "bad_request")


async def test_promises_are_listed_by_the_day_on_which_something_arrives(atp: Atp) -> None:
    item = await atp.item(on_hand=9)
    soon = (await atp.place(an_order((item, 1)))).json()
    day = soon["lines"][0]["schedule"][0]["arrival_date"]
    assert await ids(atp, sku=item, arrival_from=day, arrival_to=day) == [soon["promise_id"]]
    assert await ids(atp, sku=item, arrival_from=in_days(30)) == []


async def test_a_caller_limited_to_channels_is_shown_only_their_promises(atp: Atp) -> None:
    shop = atp.credentials.headers("atp.read", channels=["shop"])
    item = await atp.item(on_hand=9)
    theirs = (await atp.place(an_order((item, 1), channel="shop"))).json()["promise_id"]
    await atp.place(an_order((item, 1), channel="web"))
    answer = await atp.client.get("/v1/promises", params={"sku": item}, headers=shop)
    assert [each["promise_id"] for each in answer.json()["items"]] == [theirs]


async def test_a_cursor_that_no_list_gave_is_refused(atp: Atp) -> None:
    for cursor in ("x", "W10", "WzEsMl0", "WzEsImEiLCJiIl0"):
        answer = await atp.client.get("/v1/promises", params={"cursor": cursor})
        assert answer.status_code in {400, 404}, cursor
        assert (await atp.client.get("/v1/exceptions", params={"cursor": cursor})).status_code == 400


async def test_exceptions_are_ranked_by_tier_and_tell_what_is_wrong(atp: Atp) -> None:
    await atp.tier("gold", 1)
    await atp.tier("standard", 9, default=True)
    gold = unique("gold-customer")
    await atp.customer(gold, assigned("gold"))
    item = await atp.item(on_hand=10)
    best: dict[str, Any] = {"customer": {"system": "erp", "id": gold}}
    old: dict[str, Any] = {"ordered_at": (datetime.now(UTC) - timedelta(days=30)).isoformat()}
    await atp.place(an_order((item, 6), **best))
    late = await atp.place(an_order((item, 3)))
    await atp.place(an_order((item, 1), hold_seconds=600, **best))
    await atp.place(an_order((item, 2), **best, **old))
    await atp.place(an_order((item, 2), **old))
    await atp.place(an_order((item, 2)))
    found = [
        (each["kind"], each["tier"], each["quantity"])
        for each in await listed(atp, "/v1/exceptions", sku=item)
        if each["kind"] != "expiring_hold"
    ]
    assert found == [("ageing_backorder", "gold", 2), ("ageing_backorder", "standard", 2)]
    holds = await listed(atp, "/v1/exceptions", kind="expiring_hold", tier="gold")
    assert [each["kind"] for each in holds if each["order"] is not None] == ["expiring_hold"] * len(holds)
    assert holds
    assert await listed(atp, "/v1/exceptions", kind="expiring_hold", hold_hours=0) == []
    await atp.execute(
        "UPDATE commitment SET available_day = available_day - 9, ship_day = ship_day - 9 WHERE promise_id = $1",
        late.json()["promise_id"],
    )
    await atp.execute(
        "UPDATE position SET commit_days = (SELECT array_agg(day - 9) FROM unnest(commit_days) day) WHERE item_id = $1",
        item,
    )
    (past_due,) = await listed(atp, "/v1/exceptions", sku=item, kind="past_due")
    assert (past_due["tier"], past_due["quantity"], past_due["day"]) == ("standard", 3, in_days(-9))


async def test_a_deficit_and_the_promises_at_risk_by_it_are_listed(atp: Atp) -> None:
    item = await atp.item(on_hand=5)
    made = await atp.place(an_order((item, 5)))
    loss = {"source": "wms", "reference": unique("loss"), "sku": item, "location": "L1", "kind": "adjustment"}
    cut = {"items": [{**loss, "quantity": -2, "occurred_at": datetime.now(UTC).isoformat()}]}
    assert (await atp.client.post("/v1/supply/movements", json=cut)).status_code == 200
    await atp.until("SELECT EXISTS (SELECT FROM deficit WHERE item_id = $1)", item)
    found = await listed(atp, "/v1/exceptions", sku=item)
    assert [(each["kind"], each["quantity"], each["promise_id"]) for each in found] == [
        ("deficit", 2, None),
        ("at_risk", 2, made.json()["promise_id"]),
    ]


async def test_within_a_tier_the_most_critical_items_come_first(atp: Atp) -> None:
    await atp.tier("urgent", 1)
    await atp.customer("line-stop", assigned("urgent"))
    urgent: dict[str, Any] = {"customer": {"system": "erp", "id": "line-stop"}}
    old = {"ordered_at": (datetime.now(UTC) - timedelta(days=30)).isoformat()}
    items: dict[str | None, str] = {}
    for criticality in (None, "desirable", "vital", "essential"):
        items[criticality] = await atp.item(on_hand=0)
        await atp.execute("UPDATE item SET criticality = $1 WHERE item_id = $2", criticality, items[criticality])
        await atp.place(an_order((items[criticality], 1), **urgent, **old))
    vital_of_another_tier = an_order((items["vital"], 1), **old)
    await atp.place(vital_of_another_tier)
    found = await listed(atp, "/v1/exceptions", kind="ageing_backorder", limit=2)
    ours = [each for each in found if each["sku"] in items.values()]
    assert [(each["criticality"], each["tier"]) for each in ours] == [
        ("vital", "urgent"),
        ("essential", "urgent"),
        ("desirable", "urgent"),
        (None, "urgent"),
        ("vital", ours[-1]["tier"]),
    ]
    assert ours[-1]["order"]["order_id"] == vital_of_another_tier["order"]["order_id"]
