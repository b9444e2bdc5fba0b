"""What becomes of a customer's orders when its tier changes: twelve edge cases, each with what is expected of it.

The registry's news come as events on `segments.current.v1`, as it publishes them. In all cases new orders count as the
tier in force; what is expected of the others stands in the docstring of each test.
"""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest

from services.atp.adapters.ledger import verify
from services.atp.adapters.oversell_audit import audit
from services.contracts import catalogue, topics
from services.contracts.promises import PromiseChanged
from tests.support.atp import Atp, an_order, assigned, in_days, order_event, running_atp, unique

LONG_AGO = "2000-01-01T00:00:00Z"


@pytest.fixture
async def atp(database_url: str) -> AsyncIterator[Atp]:
    async with running_atp(database_url, atp_due_poll_seconds=0.1) as running:
        await running.tier("gold", 1)
        await running.tier("silver", 5)
        await running.tier("bronze", 9, default=True)
        yield running
        assert (await verify(running.database)).drifts == ()
        found = await audit(running.database)
        assert (found.oversold, found.broken_chains) == ({}, {})


class Customer:
    """A customer whose news are told to the ATP."""

    def __init__(self, atp: Atp) -> None:
        self.atp = atp
        self.name = unique("customer")
        self.sequence = 1

    @property
    def reference(self) -> dict[str, str]:
        return {"system": "erp", "id": self.name}

    async def begin(self, tier: str) -> "Customer":
        await self.atp.customer(self.name, assigned(tier))
        return self

    async def tell(self, *assignments: dict[str, Any], sequence: int | None = None, **fields: Any) -> None:
        """Publish the customer as it is now, and wait until that is known."""
        self.sequence = max(self.sequence, sequence or self.sequence + 1)
        known = sequence or self.sequence
        current = {
            "customer_id": self.name,
            "sequence": known,
            "identifiers": [self.reference],
            "assignments": list(assignments),
            **fields,
        }
        reference = {"order": {"order_id": self.name}}
        data = orjson.dumps(current)
        await self.atp.publish(order_event(catalogue.SEGMENT_CURRENT, reference, data=data, key=self.name))
        if known == self.sequence:
            applied = "SELECT EXISTS (SELECT FROM segment WHERE customer_id = $1 AND sequence = $2)"
            await self.atp.until(applied, self.name, known)

    async def moves(self, tier: str) -> None:
        """Move to another tier, at once and for good."""
        await self.tell(is_in(tier, self.sequence + 1))

    async def order(self, item: str, quantity: int, **fields: Any) -> dict[str, Any]:
        answer = await self.atp.place(an_order((item, quantity), customer=self.reference, **fields))
        assert answer.status_code in {200, 201}, answer.text
        return dict(answer.json())


def is_in(tier: str, sequence: int, **fields: Any) -> dict[str, Any]:
    return {"tier": tier, "effective_from": LONG_AGO, "sequence": sequence, **fields}


async def settled(atp: Atp) -> None:
    await atp.until(
        "SELECT NOT EXISTS (SELECT FROM position WHERE marked_at IS NOT NULL)"
        " AND NOT EXISTS (SELECT FROM due WHERE at <= clock_timestamp())"
    )


async def comes(atp: Atp, item: str, quantity: int) -> None:
    movement: dict[str, Any] = {
        "source": "wms",
        "reference": unique("m"),
        "sku": item,
        "location": "L1",
        "kind": "receipt",
        "quantity": quantity,
        "occurred_at": "2026-01-05T08:00:00Z",
    }
    answer = await atp.client.post("/v1/supply/movements", json={"items": [movement]})
    assert answer.status_code == 200, answer.text
    await settled(atp)


async def now_of(atp: Atp, promise: dict[str, Any]) -> dict[str, Any]:
    return dict((await atp.client.get(f"/v1/promises/{promise['promise_id']}")).json())


async def has(atp: Atp, *promises: dict[str, Any]) -> list[int]:
    return [(await now_of(atp, each))["lines"][0]["promised"] for each in promises]


async def changes(atp: Atp, promise: dict[str, Any]) -> list[PromiseChanged]:
    found = await atp.published(topics.PROMISES)
    mine = [each for each in found if each.get("new", {}).get("promise_id") == promise["promise_id"]]
    return [PromiseChanged.model_validate(each) for each in mine]


async def command(atp: Atp, promise: dict[str, Any], what: str) -> None:
    answer = await atp.client.post(f"/v1/promises/{promise['promise_id']}:{what}", json={"version": 1})
    assert answer.status_code == 200, answer.text


async def two_behind(atp: Atp, item: str) -> tuple[Customer, dict[str, Any], dict[str, Any]]:
    """Somebody of silver waits; behind him a customer of bronze, who is to rise."""
    customer, other = await Customer(atp).begin("bronze"), await Customer(atp).begin("silver")
    return customer, await other.order(item, 1), await customer.order(item, 1)


async def test_an_open_hold_keeps_what_it_holds_and_its_rest_waits_by_the_new_tier_once_it_is_confirmed(
    atp: Atp,
) -> None:
    """Expected: the quantity and the tier of the hold stay; from its confirmation on the rest stands as gold."""
    item = await atp.item(on_hand=2)
    customer, other = await Customer(atp).begin("bronze"), await Customer(atp).begin("silver")
    hold = await customer.order(item, 3, hold_seconds=600)
    ahead = await other.order(item, 1)
    await customer.moves("gold")
    found = await now_of(atp, hold)
    assert (found["state"], found["lines"][0]["promised"], found["served_as"]["tier"]) == ("held", 2, "bronze")
    await command(atp, hold, "confirm")
    await comes(atp, item, 1)
    assert await has(atp, hold, ahead) == [3, 0]


async def test_a_backorder_is_ranked_and_decided_anew_at_once_and_the_event_says_why(atp: Atp) -> None:
    """Expected: what is kept for gold goes to it without any other event; old, new, cause and reason are published."""
    item = await atp.item(on_hand=4)
    kept = {"sku": item, "location": "L1", "tier": "gold", "start": in_days(0), "end": in_days(60), "lapse_days": 0}
    document = {"lines": [{**kept, "protected_qty": 4}]}
    assert (await atp.client.put(f"/v1/protections/{unique('doc')}", json=document)).status_code == 200
    customer, ahead, waiting = await two_behind(atp, item)
    assert await has(atp, ahead, waiting) == [0, 0]
    await customer.moves("gold")
    await settled(atp)
    assert await has(atp, ahead, waiting) == [0, 1]
    (change,) = await changes(atp, waiting)
    assert (change.cause, change.reason) == ("tier_changed", "tier bronze before, gold now")
    assert (change.old.served_as.tier, change.new.served_as.tier) == ("bronze", "gold")
    assert (change.old.lines[0].promised, change.new.lines[0].promised) == (0, 1)
    assert change.new.served_as.tier_at_order == "bronze"


async def test_a_quota_that_was_used_stays_used_and_gets_back_exactly_that(atp: Atp) -> None:
    """Expected: others of the former tier get no more by it; a cancellation gives that tier's quota back its own."""
    tier = unique("limited")
    await atp.tier(tier, 800)
    item = await atp.item(on_hand=50)
    period = {"start": in_days(-1), "end": in_days(90), "quantity": 5, "tier": tier, "sku": item}
    assert (await atp.client.put(f"/v1/quotas/{unique('doc')}", json={"lines": [period]})).status_code == 200
    customer, other = await Customer(atp).begin(tier), await Customer(atp).begin(tier)
    in_time = {"latest_acceptable_arrival": in_days(60)}
    used = await customer.order(item, 4, **in_time)
    waiting = await other.order(item, 3, **in_time)
    await customer.moves("gold")
    await settled(atp)
    assert await has(atp, used, waiting) == [4, 1]
    assert (await customer.order(item, 9))["lines"][0]["promised"] == 9
    await command(atp, used, "cancel")
    await settled(atp)
    assert await has(atp, waiting) == [3]


async def test_what_was_borrowed_goes_back_to_the_lender(atp: Atp) -> None:
    """Expected: the tier change moves no posting; a cancellation gives the sibling back what it lent."""
    item = await atp.item(on_hand=100)
    gold = {"node": "gold", "attribute": "tier", "value": "gold", "quantities": [3]}
    silver = {"node": "silver", "attribute": "tier", "value": "silver", "quantities": [4]}
    tree = {
        "sku": item,
        "periods": [{"start": in_days(0), "end": in_days(90)}],
        "nodes": [gold, {**silver, "priority": 2, "borrow_policy": "siblings"}],
        "pool": {"node": "rest", "quantities": [0]},
    }
    document = unique("doc")
    assert (await atp.client.put(f"/v1/hierarchies/{document}", json=tree)).status_code == 200
    customer = await Customer(atp).begin("gold")
    borrowed = await customer.order(item, 6, latest_acceptable_arrival=in_days(60))
    assert borrowed["lines"][0]["promised"] == 6
    await customer.moves("bronze")
    await settled(atp)

    async def consumed() -> list[list[int]]:
        nodes = (await atp.client.get(f"/v1/hierarchies/{document}")).json()["nodes"]
        return [node["consumed"] for node in nodes]

    assert await consumed() == [[3], [3]]
    assert await has(atp, borrowed) == [6]
    await command(atp, borrowed, "cancel")
    assert await consumed() == [[0], [0]]


async def test_orders_of_one_batch_count_by_the_tier_in_force_when_each_is_decided(atp: Atp) -> None:
    """Expected: every answer names one of both tiers with its assignment's sequence; after the news all are gold."""
    item, customer = await atp.item(on_hand=1_000), await Customer(atp).begin("bronze")
    orders = [an_order((item, 1), customer=customer.reference) for _ in range(200)]
    batch = asyncio.create_task(atp.client.post("/v1/promises:batch", json={"items": orders}))
    await customer.moves("gold")
    answers = (await batch).json()["items"]
    served = [each["promise"]["served_as"] for each in answers]
    assert {(each["tier"], each["assignment_sequence"]) for each in served} <= {("bronze", 1), ("gold", 2)}
    after = await customer.order(item, 1)
    assert (after["served_as"]["tier"], after["served_as"]["assignment_sequence"]) == ("gold", 2)


async def test_news_out_of_order_end_in_the_newest_tier(atp: Atp) -> None:
    """Expected: what is older than what is known changes nothing, and nobody is asked anew for it."""
    item = await atp.item()
    customer, ahead, waiting = await two_behind(atp, item)
    await customer.tell(is_in("gold", 3), sequence=3)
    await settled(atp)
    await customer.tell(is_in("bronze", 2), sequence=2)
    await customer.tell(is_in("gold", 4), sequence=4)  # the older one was read before this
    await comes(atp, item, 1)
    assert await has(atp, ahead, waiting) == [0, 1]


async def test_a_tier_from_a_date_on_moves_backorders_when_the_date_comes_and_not_before(atp: Atp) -> None:
    """Expected: until then bronze, for new orders and those that wait; from then on gold, with no further news."""
    item = await atp.item(on_hand=2)
    kept = {"sku": item, "location": "L1", "tier": "gold", "start": in_days(0), "end": in_days(60), "lapse_days": 0}
    document = {"lines": [{**kept, "protected_qty": 2}]}
    assert (await atp.client.put(f"/v1/protections/{unique('doc')}", json=document)).status_code == 200
    customer = await Customer(atp).begin("bronze")
    waiting = await customer.order(item, 1)
    begins = datetime.now(UTC) + timedelta(seconds=3)
    former = is_in("bronze", 1, effective_to=begins.isoformat())
    await customer.tell(former, {"tier": "gold", "effective_from": begins.isoformat(), "sequence": 2})
    await settled(atp)
    assert await has(atp, waiting) == [0]
    await atp.until("SELECT NOT EXISTS (SELECT FROM backorder WHERE item_id = $1)", item)
    (change,) = await changes(atp, waiting)
    assert change.cause == "tier_changed"
    assert change.new.decided_at >= begins


async def test_a_change_that_is_taken_back_leaves_the_place_as_it_was_and_what_was_gained(atp: Atp) -> None:
    """Expected: what it got as gold it keeps; the rest stands behind silver again."""
    item = await atp.item()
    customer, other = await Customer(atp).begin("bronze"), await Customer(atp).begin("silver")
    ahead, waiting = await other.order(item, 2), await customer.order(item, 3)
    place = "SELECT lead, further FROM backorder WHERE promise_id = $1::text::uuid"
    before = await atp.fetch(place, waiting["promise_id"])
    await customer.moves("gold")
    await comes(atp, item, 1)
    assert await has(atp, ahead, waiting) == [0, 1]
    await customer.moves("bronze")
    await settled(atp)
    assert await atp.fetch(place, waiting["promise_id"]) == before
    await comes(atp, item, 1)
    assert await has(atp, ahead, waiting) == [1, 1]


async def test_the_orders_of_a_merged_customer_stand_as_those_of_whom_it_was_merged_into(atp: Atp) -> None:
    """Expected: its backorders and new orders count as the survivor's tier, from the survivor's news on."""
    item = await atp.item()
    merged, ahead, waiting = await two_behind(atp, item)
    survivor = await Customer(atp).begin("gold")
    await merged.tell(status="merged", merged_into=survivor.name, identifiers=[])
    both = [survivor.reference, merged.reference]
    await survivor.tell(is_in("gold", 1), identifiers=both)
    await comes(atp, item, 1)
    assert await has(atp, ahead, waiting) == [0, 1]
    assert (await merged.order(item, 1))["served_as"]["tier"] == "gold"


async def test_a_contract_that_holds_a_tier_changes_nothing_for_those_who_wait(atp: Atp) -> None:
    """Expected: news that leave the tier at its minimum are known by their sequence, and move and publish nothing."""
    item = await atp.item()
    customer, other = await Customer(atp).begin("silver"), await Customer(atp).begin("silver")
    first, second = await customer.order(item, 1), await other.order(item, 1)
    held = is_in("silver", 2, reason="contract: not below silver")
    await customer.tell(held)
    await settled(atp)
    assert await changes(atp, first) == []
    assert (await customer.order(item, 1))["served_as"]["assignment_sequence"] == 2
    await comes(atp, item, 1)
    assert await has(atp, first, second) == [1, 0]


async def test_when_an_override_ends_those_who_wait_fall_back_and_promises_are_kept(atp: Atp) -> None:
    """Expected: what was promised under the override stays; from its end on the rest stands as bronze."""
    item = await atp.item(on_hand=1)
    customer, other = await Customer(atp).begin("bronze"), await Customer(atp).begin("silver")
    ends = datetime.now(UTC) + timedelta(seconds=4)
    override = is_in("gold", 2, kind="override", effective_to=ends.isoformat())
    await customer.tell(is_in("bronze", 1), override)
    waiting = await customer.order(item, 3)
    assert (waiting["served_as"]["tier"], waiting["lines"][0]["promised"]) == ("gold", 1)
    ahead = await other.order(item, 1)
    lead = "SELECT lead = 9 FROM backorder WHERE promise_id = $1::text::uuid"
    await atp.until(lead, waiting["promise_id"])
    await comes(atp, item, 1)
    assert await has(atp, ahead, waiting) == [1, 1]
    assert (await customer.order(item, 1))["served_as"]["tier"] == "bronze"


async def test_a_line_inside_its_lock_window_loses_nothing_by_a_downgrade(atp: Atp) -> None:
    """Expected: the window of the tier that promised it holds; a line of the same tier outside of it gives up."""
    winning, locked, falling = (unique("tier") for _ in range(3))
    policy = {"as_soon_as_possible": False}
    await atp.tier(winning, 500, strategy="win", **policy)
    await atp.tier(locked, 600, lock_window_days=60, **policy)
    await atp.tier(falling, 700, strategy="redistribute", **policy)
    item = await atp.item(on_hand=4)
    customer, other = await Customer(atp).begin(locked), await Customer(atp).begin(falling)
    later = {"requested_arrival": in_days(20)}
    kept, lost = await customer.order(item, 2, **later), await other.order(item, 2, **later)
    await customer.moves(falling)
    await settled(atp)
    assert await has(atp, kept, lost) == [2, 2]
    winner = await (await Customer(atp).begin(winning)).order(item, 3, **later)
    await settled(atp)
    assert await has(atp, kept, lost, winner) == [2, 0, 2]
