"""Proposals that the reclassifier did not make: set aside with their reason, and nothing is changed."""

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import orjson
import pytest

from services.chassis.consumer import Delivery
from services.chassis.envelope import Event
from tests.integration.test_registry_proposals import apply, delivered, outcomes, proposed, tier_of
from tests.support.proposal_keys import PROVER, a_stranger
from tests.support.registry_service import RegistryUnderTest, registry_over

Forgery = Callable[[Event, str], Event]


def _changed(event: Event, **changed: Any) -> Event:
    """The event with another content under its old proof."""
    return replace(event, data=orjson.dumps(orjson.loads(event.data) | changed))


def _of_another(event: Event, another: str) -> Event:
    return replace(_changed(event, customer_id=another), key=another)


FORGERIES: dict[str, tuple[str, Forgery]] = {
    "without a proof": ("proof_missing", lambda event, _: replace(event, proof=None)),
    "under another customer": ("proof_wrong", _of_another),
    "under another customer's key alone": ("proof_wrong", lambda event, another: replace(event, key=another)),
    "to a higher tier": ("proof_wrong", lambda event, _: _changed(event, to_tier="gold")),
    "a second time, under another id": (
        "proof_wrong",
        lambda event, _: replace(_changed(event, proposal_id="second"), id="second"),
    ),
    "by another key": ("proof_key_unknown", lambda event, _: a_stranger().prove(event)),
    "by somebody else's name": ("proof_wrong", lambda event, _: replace(event, source="ann")),
    "with numbers that nobody reckoned": ("proof_wrong", lambda event, _: _changed(event, evidence=[])),
    "with the proof cut short": ("proof_wrong", lambda event, _: replace(event, proof=(event.proof or "")[:-4])),
}


@pytest.fixture
async def registry(database_url: str) -> AsyncIterator[RegistryUnderTest]:
    async with registry_over(database_url) as running:
        yield running


async def everything(registry: RegistryUnderTest) -> list[Any]:
    """All that a proposal could change."""
    tables = ("customer", "assignment", "proposal", "inbox", "outbox", "audit", "change_request")
    return [await registry.fetch(f"SELECT to_jsonb(t) FROM {table} t ORDER BY 1") for table in tables]


@pytest.mark.parametrize("name", FORGERIES)
async def test_a_forged_proposal_changes_nothing(registry: RegistryUnderTest, name: str) -> None:
    reason, forge = FORGERIES[name]
    customer = await registry.new_customer(f"genuine, {name}", "standard")
    another = await registry.new_customer(f"another, {name}", "standard")
    genuine = proposed(customer, f"up, {name}", from_tier="standard", to_tier="silver")
    before = await everything(registry)
    assert await apply(registry, delivered(forge(genuine.event, another))) == [(0, reason)]
    assert await everything(registry) == before
    assert await apply(registry, genuine) == []  # that it was tried by others does not hold up the true one
    assert [await tier_of(registry, one) for one in (customer, another)] == ["silver", "standard"]


async def test_forged_ones_do_not_keep_genuine_ones_of_their_batch_back(registry: RegistryUnderTest) -> None:
    customer = await registry.new_customer("in the crowd", "silver")
    genuine = proposed(customer, "in the crowd")
    forged: list[Delivery] = [delivered(replace(genuine.event, proof=None))] * 200
    rejected = await apply(registry, *forged, genuine, *forged)
    assert rejected == [(index, "proof_missing") for index in (*range(200), *range(201, 401))]
    assert await outcomes(registry, "in the crowd") == [("applied", None)]


async def test_a_genuine_proposal_that_is_sent_again_counts_once(registry: RegistryUnderTest) -> None:
    customer = await registry.new_customer("sent again", "silver")
    genuine = proposed(customer, "sent again")
    assert await apply(registry, genuine) == []
    await registry.assign(customer, "silver")
    before = await everything(registry)
    assert await apply(registry, genuine, genuine) == []
    assert await everything(registry) == before
    assert await tier_of(registry, customer) == "silver"


async def test_the_proof_says_nothing_of_whether_a_proposal_fits(registry: RegistryUnderTest) -> None:
    customer = await registry.new_customer("stale", "silver")
    proven = PROVER.prove(proposed(customer, "stale", based_on_sequence=1).event)
    assert await apply(registry, delivered(proven)) == []
    assert await outcomes(registry, "stale") == [("refused", "stale")]
