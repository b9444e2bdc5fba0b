"""How far it is to the tiers above and below: the registry's explanation, by the numbers of a real reclassifier."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx
import pytest

from services.segment_registry.adapters.reclassifier_api import ReclassifierApi
from services.segment_registry.entrypoints.explanation_documents import ExplanationDocument
from tests.support.reclassifier_service import NOON, ReclassifierUnderTest, reclassifier_over, record, segment
from tests.support.registry_service import RegistryUnderTest, registry_over

BY_VALUE = {
    "rungs": [
        {
            "tier": "gold",
            "promote": {"feature": "value", "window_days": 90, "at_least": "1000"},
            "demote": {"feature": "value", "window_days": 90, "below": "500"},
        },
        {
            "tier": "silver",
            "promote": {"feature": "orders", "window_days": 90, "at_least": 2},
            "demote": {"feature": "orders", "window_days": 90, "below": 2},
        },
    ],
    "floor": "standard",
}


@dataclass(frozen=True, slots=True)
class Both:
    """A registry that asks a reclassifier."""

    registry: RegistryUnderTest
    reclassifier: ReclassifierUnderTest

    async def explained(self, customer: str, **query: str) -> ExplanationDocument:
        answer = await self.registry.client.get(f"/v1/customers/{customer}/tier-explanation", params=query)
        assert answer.status_code == 200, answer.text
        return ExplanationDocument.model_validate_json(answer.content)

    async def customer(self, name: str, tier: str | None, *, orders: int) -> str:
        """A customer in a tier, as the reclassifier has read it, with orders of 100.00 each."""
        customer = await self.registry.new_customer(name, tier)
        await self.reclassifier.publish(segment(customer, tier=tier))
        await self.reclassifier.take(*(record(f"{name}-{number}", customer) for number in range(orders)))
        return customer


@pytest.fixture
async def both(database_url: str) -> AsyncIterator[Both]:
    async with reclassifier_over(database_url) as reclassifier:
        await reclassifier.set_rules(**BY_VALUE)
        api = ReclassifierApi("http://reclassifier", reclassifier.reading, httpx.ASGITransport(reclassifier.app))
        async with registry_over(database_url, reclassifier=api) as registry:
            yield Both(registry, reclassifier)
        await api.close()


async def test_the_distances_are_numbers_and_sentences_by_the_rule_set_in_force(both: Both) -> None:
    customer = await both.customer("climbing", "silver", orders=3)
    found = await both.explained(customer)
    assert found.distance is not None
    assert (found.distance.rule, found.distance.as_of, found.distance_missing) == ("activity", NOON, None)
    above, below = found.distance.above, found.distance.below
    assert above is not None
    assert below is not None
    (more,), (less,) = above.changes, below.changes
    assert (above.tier, more.feature, more.window_days, more.direction) == ("gold", "value", 90, "more")
    assert (more.value, more.by) == ("300.00", "700.00")
    assert (below.tier, less.feature, less.value, less.direction, less.by) == ("standard", "orders", "3", "less", "2")
    assert [each for each in found.sentences if each.startswith("Your figures would")] == [
        "Your figures would ask for a move up to Gold if your value of orders over 90 days were 700.00 higher.",
        "Your figures would ask for a move down to Standard if your number of orders over 90 days were 2 lower.",
    ]
    await both.reclassifier.take(*(record(f"more-{number}", customer) for number in range(7)))
    after = (await both.explained(customer)).distance
    assert after is not None
    assert after.above is not None
    assert after.above.changes == ()


async def test_the_best_tier_has_nothing_above_and_the_default_one_nothing_below(both: Both) -> None:
    best = (await both.explained(await both.customer("best", "gold", orders=9))).distance
    least = (await both.explained(await both.customer("least", None, orders=1))).distance
    assert best is not None
    assert best.above is None
    assert best.below is not None
    assert (best.below.changes[0].value, best.below.changes[0].by) == ("900.00", "400.000001")
    assert least is not None
    assert least.below is None
    assert least.above is not None
    assert (least.above.tier, least.above.changes[0].by) == ("silver", "1")


async def test_a_contract_is_said_instead_of_a_move_that_it_forbids(both: Both) -> None:
    customer = await both.customer("contracted", "silver", orders=0)
    down = "Your figures already ask for a move down to Standard, which waits for its time."
    assert down in (await both.explained(customer)).sentences
    path, record_ = f"/v1/customers/{customer}/record", {"contract": {"starts": "2025-01-01", "minimum_tier": "silver"}}
    assert (await both.registry.client.put(path, json=record_)).status_code == 200
    said = await both.explained(customer)
    assert down not in said.sentences
    assert "By your contract no figures move you below Silver." in said.sentences
    assert said.distance is not None
    assert said.distance.below is not None  # a colleague sees what they ask for
    root = await both.customer("contracted root", "silver", orders=0)
    body = {"into": root, "reason": "one firm"}
    assert (await both.registry.client.post(f"/v1/customers/{customer}:merge", json=body)).status_code == 200
    assert "By your contract no figures move you below Silver." in (await both.explained(root)).sentences


async def test_a_distance_that_is_not_known_says_why(both: Both) -> None:
    unread = await both.registry.new_customer("unread", "silver")
    behind = await both.registry.new_customer("behind", "gold")
    await both.reclassifier.publish(segment(behind, tier="silver"))
    for customer, query, reason in (
        (unread, {}, "the reclassifier does not know the customer yet"),
        (behind, {}, "the reclassifier has not read the customer's tier yet"),
        (behind, {"at": NOON.isoformat()}, "distances are known of now alone"),
    ):
        found = await both.explained(customer, **query)
        assert (found.distance, found.distance_missing) == (None, reason)


async def test_without_an_answer_the_explanation_comes_without_distances(database_url: str) -> None:
    def broken(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("nobody is there")

    api = ReclassifierApi("http://reclassifier", "key", httpx.MockTransport(broken))
    for asked, reason in (
        (api, "the reclassifier does not answer: ConnectError"),
        (None, "no address of the reclassifier is configured"),
    ):
        async with registry_over(database_url, reclassifier=asked) as registry:
            customer = await registry.new_customer(f"alone {asked is None}", "silver")
            answer = await registry.client.get(f"/v1/customers/{customer}/tier-explanation")
            assert (answer.status_code, answer.json()["distance_missing"]) == (200, reason)
    await api.close()
