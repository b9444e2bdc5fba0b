"""Orders that a micro-segment of their tier serves: which one, named where, by which policy, on a real PostgreSQL."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import orjson
import pytest

from services.atp.adapters.decision_reader import PostgresDecisionReader
from services.atp.application.replay_decision import DecisionName, replay
from services.contracts import catalogue, topics
from services.contracts.promises import Promise
from services.contracts.segments import TierDefined
from tests.support.atp import Atp, an_order, assigned, in_days, order_event, outcomes, running_atp, unique

SEGMENTS: list[dict[str, Any]] = [
    {"name": "web", "channels": ["web"], "policy": {"packaging": "bag", "lead_time_days": 9}},
    {"name": "tea", "item_groups": ["tea"], "policy": {"packaging": "tin", "pick_priority": 7}},
    {"name": "north", "regions": ["NORTH"], "policy": {"packaging": "crate", "handling": ["upright"]}},
    {"name": "tea-by-web", "item_groups": ["tea"], "channels": ["web"], "policy": {"packaging": "gift"}},
    {"name": "strict", "channels": ["edi"], "policy": {"validation": {"order_quantity_max": 3}}},
]


@pytest.fixture
async def atp(database_url: str) -> AsyncIterator[Atp]:
    async with running_atp(database_url) as running:
        yield running


async def a_customer(atp: Atp, *segments: dict[str, Any], **policy: Any) -> str:
    """A customer of a tier of its own with these micro-segments, as the registry publishes one."""
    tier, customer = unique("tier"), unique("customer")
    await publish(atp, tier, 1, *segments, **policy)
    await atp.customer(customer, assigned(tier))
    return customer


async def publish(atp: Atp, tier: str, version: int, *segments: dict[str, Any], **policy: Any) -> None:
    rank = 300_000 + len(await atp.fetch("SELECT tier FROM tier"))
    document = {
        "tier": tier,
        "version": version,
        "name": "Tried",
        "priority_rank": rank,
        "policy": {**policy, "micro_segments": segments},
    }
    data = TierDefined.model_validate_json(orjson.dumps(document)).model_dump_json().encode()
    event = order_event(catalogue.TIER_POLICY, {"order": {"order_id": tier}}, data=data, sequence=version)
    await atp.publish(event)
    await atp.until("SELECT EXISTS (SELECT FROM tier WHERE tier = $1 AND version = $2)", tier, version)


async def an_item(atp: Atp, *groups: str, on_hand: int = 50) -> str:
    item = await atp.item(on_hand=on_hand)
    await atp.execute("UPDATE item SET item_groups = $2 WHERE item_id = $1", item, list(groups))
    return item


def by(customer: str, *lines: tuple[str, int], **fields: Any) -> dict[str, Any]:
    return an_order(*lines, customer={"system": "erp", "id": customer}, **fields)


async def served(atp: Atp, customer: str, *items: str, **fields: Any) -> tuple[str | None, str | None]:
    """The micro-segment that an order names, and how it is packed."""
    answer = await atp.place(by(customer, *((item, 1) for item in items), **fields))
    assert answer.status_code == 201, answer.text
    promise = Promise.model_validate_json(answer.content)
    routing = promise.lines[0].schedule[0].routing
    assert routing is not None
    return promise.served_as.micro_segment, routing.packaging


async def test_the_most_specific_one_serves_an_order_and_the_answer_names_it(atp: Atp) -> None:
    customer = await a_customer(atp, *SEGMENTS, packaging="box")
    tea, coal = await an_item(atp, "tea", "drinks"), await an_item(atp, "fuel")
    assert (await atp.client.put("/v1/regions/NORTH", json={"zones": ["GB-NO"]})).status_code < 300
    assert await served(atp, customer, coal) == (None, "box")
    assert await served(atp, customer, coal, channel="web") == ("web", "bag")
    assert await served(atp, customer, tea) == ("tea", "tin")
    assert await served(atp, customer, tea, channel="web") == ("tea-by-web", "gift")
    assert await served(atp, customer, coal, ship_to={"zone": "GB-NO"}) == ("north", "crate")
    assert await served(atp, customer, tea, ship_to={"zone": "GB-NO"}) == ("tea", "tin"), (
        "item groups come before regions"
    )


async def test_an_order_of_several_kinds_of_goods_has_the_policy_of_the_whole_order(atp: Atp) -> None:
    customer = await a_customer(atp, *SEGMENTS, packaging="box")
    tea, green, coal = await an_item(atp, "tea"), await an_item(atp, "tea"), await an_item(atp, "fuel")
    assert await served(atp, customer, tea, green) == ("tea", "tin")
    assert await served(atp, customer, tea, coal) == (None, "box")
    assert await served(atp, customer, tea, coal, channel="web") == ("web", "bag")


async def test_its_policy_decides_and_the_explanation_and_the_event_name_it(atp: Atp) -> None:
    customer = await a_customer(atp, *SEGMENTS, lead_time_days=4)
    coal = await an_item(atp, "fuel")
    answer = await atp.place(by(customer, (coal, 1), channel="web"))
    promise = answer.json()
    assert promise["lines"][0]["requested_arrival"] == in_days(9)
    told = (await atp.client.get(f"/v1/promises/{promise['promise_id']}/explanation")).text
    assert "Micro-segment web is the most specific one" in told
    events = [each["promise"] for each in await atp.published(topics.PROMISES) if "promise" in each]
    event = next(each for each in events if each["promise_id"] == promise["promise_id"])
    assert event["served_as"] == promise["served_as"]
    assert event["served_as"]["micro_segment"] == "web"
    refused = await atp.place(by(customer, (coal, 4), channel="edi"))
    assert (refused.json()["served_as"]["micro_segment"], outcomes(refused)) == ("strict", ["not_permitted"])
    assert outcomes(await atp.place(by(customer, (coal, 4)))) == ["promised"]


async def test_what_waits_is_served_by_the_one_of_the_whole_order_and_by_its_newest_version(atp: Atp) -> None:
    customer = await a_customer(atp, *SEGMENTS)
    ((tier,),) = await atp.fetch("SELECT assignments -> 0 ->> 'tier' FROM segment WHERE customer_id = $1", customer)
    there, missing = await an_item(atp, "tea"), await an_item(atp, "tea", on_hand=0)
    first = (await atp.place(by(customer, (there, 1), (missing, 2), channel="web"))).json()
    assert (first["served_as"]["micro_segment"], first["lines"][1]["outcome"]) == ("tea-by-web", "backordered")
    changed = [
        {**each, "policy": {"packaging": "chest"}} if each["name"] == "tea-by-web" else each for each in SEGMENTS
    ]
    await publish(atp, tier, 2, *changed)
    movement = {"source": "wms", "reference": unique("GR"), "sku": missing, "location": "L1", "kind": "receipt"}
    body = {"items": [{**movement, "quantity": 2, "occurred_at": f"{in_days(0)}T00:00:00Z"}]}
    assert (await atp.client.post("/v1/supply/movements", json=body)).status_code == 200
    await atp.until("SELECT EXISTS (SELECT FROM commitment WHERE item_id = $1)", missing)
    promise = (await atp.client.get(f"/v1/promises/{first['promise_id']}")).json()
    assert promise["served_as"]["micro_segment"] == "tea-by-web"
    packed = [line["schedule"][0]["routing"]["packaging"] for line in promise["lines"]]
    assert packed == ["gift", "chest"]
    amended = {**by(customer, (there, 1), (missing, 2), (await an_item(atp, "fuel"), 1), channel="web")}
    amended["order"] = {**first["order"], "version": 2}
    answer = await atp.client.post(f"/v1/promises/{first['promise_id']}:amend", json=amended)
    assert (answer.status_code, answer.json()["served_as"]["micro_segment"]) == (200, "web"), answer.text


async def test_decisions_by_micro_segments_are_made_again_byte_for_byte(atp: Atp) -> None:
    customer = await a_customer(atp, *SEGMENTS, split_allowed=False)
    tea = await an_item(atp, "tea", on_hand=3)
    placed = [(await atp.place(by(customer, (tea, 2), channel=name))).json() for name in ("web", "edi", "shop")]
    assert [each["served_as"].get("micro_segment") for each in placed] == ["tea-by-web", "tea", "tea"]
    reader = PostgresDecisionReader(atp.database)
    for each in placed:
        batch, _, place = each["decision_id"].partition(".")
        found = await replay(reader, DecisionName(UUID(batch), int(place)))
        assert found
        assert [one.differences for one in found] == [()]


async def test_a_glance_at_availability_sees_what_its_carriers_could_do(atp: Atp) -> None:
    slow = {"name": "none", "channels": ["web"], "policy": {"carrier_classes": ["no-such-class"]}}
    customer = await a_customer(atp, slow)
    coal = await an_item(atp, "fuel")
    body: dict[str, Any] = {"items": [{"sku": coal}], "customer": {"system": "erp", "id": customer}}
    for channel, able in (("web", False), ("edi", True)):
        answer = await atp.client.post("/v1/availability:quick", json={**body, "channel": channel})
        assert (answer.json()["items"][0]["earliest_arrival"] is not None) is able
