"""Availability over HTTP on a real PostgreSQL: by tier and day, many items, and the quick look."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from services.atp.application import quick_availability
from services.atp.entrypoints.availability_routes import ItemAvailability, ManyAvailability
from services.atp.entrypoints.quick_route import QuickAnswer
from tests.support.atp import DEADLINE_SECONDS, Atp, an_order, assigned, in_days, running_atp, unique
from tests.support.http import client_of


@pytest.fixture
async def atp(database_url: str) -> AsyncIterator[Atp]:
    async with running_atp(database_url) as running:
        yield running


async def quick(atp: Atp, *pairs: dict[str, Any], **fields: Any) -> QuickAnswer:
    answer = await atp.client.post("/v1/availability:quick", json={"items": pairs, **fields})
    assert answer.status_code == 200, answer.text
    return QuickAnswer.model_validate_json(answer.content)


async def two_tiers(atp: Atp, item: str, protected: int) -> tuple[str, str]:
    """A tier for which a quantity of the item is kept, and another."""
    best, other = unique("best"), unique("other")
    rank = 300 + 2 * len(await atp.fetch("SELECT tier FROM tier"))
    await atp.tier(best, rank)
    await atp.tier(other, rank + 1)
    line = {"sku": item, "location": "L1", "tier": best, "protected_qty": protected}
    lines = [{**line, "start": in_days(0), "end": in_days(60)}]
    stored = await atp.client.put(f"/v1/protections/{unique('doc')}", json={"lines": lines})
    assert stored.status_code == 200, stored.text
    return best, other


async def test_the_picture_shows_what_is_kept_from_each_tier(atp: Atp) -> None:
    item = await atp.item(on_hand=10)
    best, other = await two_tiers(atp, item, 8)
    answer = await atp.client.get("/v1/availability", params={"sku": item, "by_tier": True})
    (location,) = ItemAvailability.model_validate_json(answer.content).locations
    shares = {share.tier: (share.restricted, share.confirmable) for share in location.days[0].tiers}
    assert (shares[best], shares[other]) == ((0, 10), (8, 2))
    for_one = await atp.client.get("/v1/availability", params={"sku": item, "tier": other})
    day = ItemAvailability.model_validate_json(for_one.content).locations[0].days[0]
    assert (day.supply, day.committed, day.available, day.restricted, day.confirmable) == (10, 0, 10, 8, 2)


async def test_every_field_of_the_description_is_sent(atp: Atp) -> None:
    item = await atp.item(on_hand=10)
    params = {"sku": item, "bucket": "day", "first_day": in_days(0), "last_day": in_days(1)}
    one = await atp.client.get("/v1/availability", params=params)
    assert one.json() == ItemAvailability.model_validate_json(one.content).model_dump(mode="json")
    many = await atp.client.post("/v1/availability:bulk", json={"items": [item, unique("unknown")]})
    assert many.json() == ManyAvailability.model_validate_json(many.content).model_dump(mode="json")
    assert many.headers["content-type"] == one.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    ("query", "place", "rule"),
    [
        ("", "query/sku", "missing"),
        ("sku=", "query/sku", "string_too_short"),
        ("sku=A&limit=0", "query/limit", "greater_than_equal"),
        ("sku=A&limit=ten", "query/limit", "int_parsing"),
        ("sku=A&by_tier=perhaps", "query/by_tier", "bool_parsing"),
        ("sku=A&bucket=month", "query/bucket", "literal_error"),
        ("sku=A&first_day=tomorrow", "query/first_day", "date_from_datetime_parsing"),
        ("sku=A&location=%20", "query/location", "string_pattern_mismatch"),
    ],
)
async def test_a_query_that_breaks_a_rule_is_told_where(atp: Atp, query: str, place: str, rule: str) -> None:
    answer = await atp.client.get(f"/v1/availability?{query}")
    assert (answer.status_code, answer.json()["code"]) == (422, "validation_failed")
    assert [(each["location"], each["rule"]) for each in answer.json()["errors"]] == [(place, rule)]


async def test_of_a_parameter_given_twice_the_last_counts_and_an_unknown_one_is_ignored(atp: Atp) -> None:
    item = await atp.item(on_hand=10)
    answer = await atp.client.get(f"/v1/availability?sku=other&sku={item}&colour=red")
    assert (answer.status_code, answer.json()["sku"]) == (200, item)


async def test_days_and_weeks_are_shown_as_asked(atp: Atp) -> None:
    item = await atp.item(on_hand=10)
    params = {"sku": item, "bucket": "week", "first_day": in_days(0), "last_day": in_days(9)}
    answer = await atp.client.get("/v1/availability", params=params)
    days = ItemAvailability.model_validate_json(answer.content).locations[0].days
    assert [(str(day.first_day), str(day.last_day)) for day in days] == [
        (in_days(0), in_days(6)),
        (in_days(7), in_days(9)),
    ]
    wrong = await atp.client.get("/v1/availability", params={**params, "last_day": in_days(-1)})
    assert wrong.status_code == 400


async def test_many_items_come_in_pages(atp: Atp) -> None:
    first, second = await atp.item(on_hand=1, location="LA"), await atp.item(on_hand=2, location="LA")
    for item in (first, second):
        await atp.item(item, on_hand=3, location="LB")
    body = {"items": [first, "no-such", second], "limit": 3}
    one = await atp.client.post("/v1/availability:bulk", json=body)
    page = ManyAvailability.model_validate_json(one.content)
    two = await atp.client.post("/v1/availability:bulk", json={**body, "after": page.next})
    rest = ManyAvailability.model_validate_json(two.content)
    assert [(each.sku, each.known, [place.location for place in each.locations]) for each in page.items] == [
        (first, True, ["LA", "LB"]),
        ("no-such", False, []),
        (second, True, ["LA"]),
    ]
    assert [(each.sku, [place.location for place in each.locations]) for each in rest.items] == [(second, ["LB"])]
    assert rest.next is None


async def test_a_quick_look_says_what_an_order_is_then_told(atp: Atp) -> None:
    item, short = await atp.item(on_hand=5), await atp.item()
    answer = await quick(atp, {"sku": item, "zone": "GB"}, {"sku": short, "zone": "GB"}, {"sku": "no-such"})
    seen, none, unknown = answer.items
    assert (seen.outcome, seen.in_stock, seen.restock_date) == ("promised", True, None)
    assert (none.outcome, none.in_stock, none.earliest_arrival) == ("backordered", False, None)
    assert unknown.outcome == "unknown_item"
    promised = await atp.place(an_order((item, 1), latest_acceptable_arrival=str(seen.earliest_arrival)))
    assert promised.json()["lines"][0]["promised"] == 1


async def test_a_quick_look_is_for_the_tier_of_the_customer(atp: Atp) -> None:
    item = await atp.item(on_hand=5)
    best, other = await two_tiers(atp, item, 5)
    customer = unique("customer")
    await atp.customer(customer, assigned(best))
    pair = {"sku": item, "quantity": 5}
    mine = await quick(atp, pair, customer={"system": "erp", "id": customer})
    assert (mine.tier, mine.items[0].in_stock) == (best, True)
    assert (await quick(atp, pair, tier=other)).items[0].in_stock is False
    assert (await quick(atp, pair)).items[0].quantity == 5
    unknown = await atp.client.post("/v1/availability:quick", json={"items": [pair], "tier": "no-such"})
    assert (unknown.status_code, unknown.json()["code"]) == (422, "tier_unknown")


async def test_a_blocked_customer_is_told_so(atp: Atp) -> None:
    item, customer = await atp.item(on_hand=5), unique("customer")
    block = {"customer": {"system": "erp", "id": customer}, "kind": "credit", "effect": "refuse", "reason": "late"}
    await atp.client.put("/v1/customer-blocks", json={"items": [block]})
    told = await quick(atp, {"sku": item}, customer={"system": "erp", "id": customer})
    assert (told.items[0].outcome, told.items[0].in_stock) == ("not_permitted", False)


async def test_looks_that_wait_together_share_a_snapshot_and_each_gets_its_own_answer(
    atp: Atp, monkeypatch: pytest.MonkeyPatch
) -> None:
    items = [await atp.item(on_hand=number) for number in range(4)]
    loads: list[int] = []
    needs = quick_availability.QuickLook.needs

    def counted(handler: Any, command: Any, wanted: Any) -> None:
        loads.append(len(command.questions))
        needs(handler, command, wanted)

    monkeypatch.setattr(quick_availability.QuickLook, "needs", counted)
    answers = await asyncio.gather(
        *(quick(atp, {"sku": item}) for item in items),
        atp.client.post("/v1/availability:quick", json={"items": [{"sku": items[0]}], "tier": "no-such"}),
        *(quick(atp, {"sku": item}) for item in items),
    )
    seen = [answer.items[0].in_stock for answer in answers if isinstance(answer, QuickAnswer)]
    assert seen == [False, True, True, True] * 2
    assert sum(loads) == 9
    assert len(loads) < 9


async def test_a_quick_look_takes_no_lock_and_200_pairs_at_most(atp: Atp) -> None:
    item = await atp.item(on_hand=5)
    async with asyncio.timeout(DEADLINE_SECONDS):

        async def hold(connection: Any) -> None:
            await connection.fetch("SELECT FROM position WHERE item_id = $1 FOR UPDATE", item)
            assert (await quick(atp, {"sku": item})).items[0].in_stock

        await atp.database.run(hold, label="test")
    many = await atp.client.post("/v1/availability:quick", json={"items": [{"sku": item}] * 201})
    assert many.status_code == 422


async def test_a_caller_of_other_channels_looks_at_its_own_only(atp: Atp) -> None:
    headers = atp.credentials.headers("atp.read", channels=["shop"])
    item = await atp.item(on_hand=5)
    async with client_of(atp.service.app, headers) as other:
        body = {"items": [{"sku": item}]}
        assert (await other.post("/v1/availability:quick", json={**body, "channel": "web"})).status_code == 403
        assert (await other.post("/v1/availability:quick", json={**body, "channel": "shop"})).status_code == 200
