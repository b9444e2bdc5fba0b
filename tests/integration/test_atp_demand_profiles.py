"""Orders served by the demand profile of their customer, as the reclassifier published it, on a real PostgreSQL."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import orjson
import pytest

from services.atp.adapters.decision_reader import PostgresDecisionReader
from services.atp.application.replay_decision import DecisionName, replay
from services.chassis.envelope import Event
from services.contracts import catalogue, topics
from services.contracts.promises import Promise
from services.contracts.segments import SegmentProfiled, TierDefined
from tests.support.atp import Atp, an_order, assigned, order_event, outcomes, running_atp, unique

SEGMENTS: list[dict[str, Any]] = [
    {"name": "even", "demand_profiles": ["smooth", "erratic"], "policy": {"packaging": "crate"}},
    {"name": "rare", "demand_profiles": ["intermittent", "lumpy"], "policy": {"packaging": "bag"}},
    {"name": "rare-web", "demand_profiles": ["lumpy"], "channels": ["web"], "policy": {"packaging": "envelope"}},
    {"name": "edi", "channels": ["edi"], "policy": {"packaging": "pallet"}},
]


@pytest.fixture
async def atp(database_url: str) -> AsyncIterator[Atp]:
    async with running_atp(database_url) as running:
        yield running


async def a_customer(atp: Atp, *segments: dict[str, Any], **policy: Any) -> str:
    """A customer of a tier of its own with these micro-segments, as the registry publishes one."""
    tier, customer = unique("tier"), unique("customer")
    document = {
        "tier": tier,
        "version": 1,
        "name": "Tried",
        "priority_rank": 600_000 + len(await atp.fetch("SELECT tier FROM tier")),
        "policy": {**policy, "micro_segments": segments},
    }
    data = TierDefined.model_validate_json(orjson.dumps(document)).model_dump_json().encode()
    await atp.publish(order_event(catalogue.TIER_POLICY, {"order": {"order_id": tier}}, data=data, sequence=1))
    await atp.until("SELECT EXISTS (SELECT FROM tier WHERE tier = $1)", tier)
    await atp.customer(customer, assigned(tier))
    return customer


def profiled(customer: str, sequence: int, profile: str | None, **changed: Any) -> Event:
    """`segment.profiled.v1`."""
    document = {
        "customer_id": customer,
        "sequence": sequence,
        "demand_profile": profile,
        "since": datetime.now(UTC).isoformat(),
    }
    SegmentProfiled.model_validate_json(orjson.dumps(document))
    given: dict[str, Any] = {"data": orjson.dumps(document), "sequence": sequence} | changed
    return order_event(catalogue.SEGMENT_PROFILED, {"order": {"order_id": customer}}, **given)


async def profile(atp: Atp, customer: str, sequence: int, profile: str | None) -> None:
    """Publish a profile, and wait until it was read."""
    await atp.publish(profiled(customer, sequence, profile))
    await known(atp, customer, sequence)


async def known(atp: Atp, customer: str, sequence: int) -> None:
    await atp.until(
        "SELECT EXISTS (SELECT FROM customer_profile WHERE customer_id = $1 AND sequence >= $2)", customer, sequence
    )


def by(customer: str, *lines: tuple[str, int], **fields: Any) -> dict[str, Any]:
    return an_order(*lines, customer={"system": "erp", "id": customer}, **fields)


async def served(atp: Atp, customer: str, **fields: Any) -> tuple[str | None, str | None]:
    """The micro-segment that an order names, and how it is packed."""
    answer = await atp.place(by(customer, (await atp.item(on_hand=5), 1), **fields))
    assert answer.status_code == 201, answer.text
    promise = Promise.model_validate_json(answer.content)
    routing = promise.lines[0].schedule[0].routing
    assert routing is not None
    return promise.served_as.micro_segment, routing.packaging


async def test_an_order_is_served_by_its_customers_profile_and_the_answer_and_the_event_name_it(atp: Atp) -> None:
    customer = await a_customer(atp, *SEGMENTS, packaging="box")
    assert await served(atp, customer) == (None, "box")  # a profile that is not known matches nothing that asks for one
    assert await served(atp, customer, channel="edi") == ("edi", "pallet")
    await profile(atp, customer, 1, "lumpy")
    assert await served(atp, customer) == ("rare", "bag")
    assert await served(atp, customer, channel="web") == ("rare-web", "envelope")
    assert await served(atp, customer, channel="edi") == ("edi", "pallet"), "channels come before profiles"
    await profile(atp, customer, 2, "smooth")
    assert await served(atp, customer, channel="web") == ("even", "crate")
    await profile(atp, customer, 3, None)
    assert await served(atp, customer) == (None, "box")
    events = [each["promise"] for each in await atp.published(topics.PROMISES) if "promise" in each]
    named = [each["served_as"].get("micro_segment") for each in events if each["customer"]["id"] == customer]
    assert named == [None, "edi", "rare", "rare-web", "edi", "even", None]


async def test_nobody_knows_the_profile_of_somebody_unknown(atp: Atp) -> None:
    answer = await atp.place(by(unique("nobody"), (await atp.item(on_hand=5), 1)))
    assert answer.json()["served_as"].get("micro_segment") is None


async def test_profiles_out_of_order_twice_or_not_to_be_read_leave_the_newest_in_force(atp: Atp) -> None:
    customer = await a_customer(atp, *SEGMENTS)
    newest = profiled(customer, 3, "smooth")
    wild = profiled(customer, 9, "lumpy", data=newest.data.replace(b'"smooth"', b'"wild"'))
    await atp.publish(newest, profiled(customer, 2, "lumpy"), newest, wild, profiled(customer, 1, None))
    await atp.publish(profiled(customer, 4, None, data=b""))  # a tombstone follows a null profile, it is none
    marker = unique("marker")
    await atp.publish(profiled(marker, 1, "smooth"), profiled(customer, 3, "lumpy"))
    await known(atp, customer, 3)
    await known(atp, marker, 1)
    assert (await served(atp, customer))[0] == "even"


async def test_a_profile_may_come_before_its_customer(atp: Atp) -> None:
    customer = unique("early")
    await profile(atp, customer, 1, "smooth")
    known_later = await a_customer(atp, *SEGMENTS)
    ((tier,),) = await atp.fetch("SELECT assignments -> 0 ->> 'tier' FROM segment WHERE customer_id = $1", known_later)
    await atp.customer(customer, assigned(tier))
    assert (await served(atp, customer))[0] == "even"


async def test_orders_under_all_ids_of_a_merged_customer_go_by_one_profile(atp: Atp) -> None:
    customer = await a_customer(atp, *SEGMENTS)
    duplicate = unique("duplicate")
    await atp.customer(duplicate)
    await profile(atp, duplicate, 1, "lumpy")
    await profile(atp, customer, 1, "smooth")
    await atp.execute(
        "UPDATE segment SET status = 'merged', merged_into = $2 WHERE customer_id = $1", duplicate, customer
    )
    assert [(await served(atp, each))[0] for each in (customer, duplicate)] == ["even", "even"]
    await profile(atp, customer, 2, "intermittent")
    assert [(await served(atp, each))[0] for each in (customer, duplicate)] == ["rare", "rare"]


async def test_what_waits_is_asked_anew_when_the_profile_of_its_customer_turns(atp: Atp) -> None:
    fast = {"name": "steady", "demand_profiles": ["smooth"], "policy": {"carrier_classes": []}}
    customer = await a_customer(atp, fast, carrier_classes=["road"])
    depot = unique("depot")
    item = await atp.item(on_hand=0)
    await atp.item(item, on_hand=5, location=depot)
    await atp.execute("UPDATE lane SET carrier_class = 'air' WHERE location_id = $1", depot)
    await atp.execute("UPDATE configuration SET version = version + 1")
    waiting = await atp.place(by(customer, (item, 2)))
    assert outcomes(waiting) == ["backordered"]
    await profile(atp, customer, 1, "smooth")
    await atp.until("SELECT EXISTS (SELECT FROM commitment WHERE item_id = $1)", item)
    promise = (await atp.client.get(f"/v1/promises/{waiting.json()['promise_id']}")).json()
    assert (promise["served_as"]["micro_segment"], promise["lines"][0]["promised"]) == ("steady", 2)


async def test_a_glance_at_availability_goes_by_the_profile_too(atp: Atp) -> None:
    slow = {"name": "none", "demand_profiles": ["lumpy"], "policy": {"carrier_classes": ["no-such-class"]}}
    customer = await a_customer(atp, slow)
    body = {"items": [{"sku": await atp.item(on_hand=5)}], "customer": {"system": "erp", "id": customer}}
    for sequence, told, able in ((1, "lumpy", False), (2, "smooth", True)):
        await profile(atp, customer, sequence, told)
        answer = await atp.client.post("/v1/availability:quick", json=body)
        assert (answer.json()["items"][0]["earliest_arrival"] is not None) is able


async def test_decisions_by_profiles_are_made_again_byte_for_byte_after_the_profile_turned(atp: Atp) -> None:
    customer = await a_customer(atp, *SEGMENTS)
    await profile(atp, customer, 1, "lumpy")
    placed = (await atp.place(by(customer, (await atp.item(on_hand=5), 2), channel="web"))).json()
    await profile(atp, customer, 2, "smooth")
    batch, _, place = placed["decision_id"].partition(".")
    found = await replay(PostgresDecisionReader(atp.database), DecisionName(UUID(batch), int(place)))
    assert found
    assert [one.differences for one in found] == [()]
