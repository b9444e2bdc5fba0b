"""Proposals from the event log: once each, never stale, never against an override, and a replay's own time."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest

from services.chassis import business_time
from services.chassis.consumer import Delivery
from services.chassis.database import Connection
from services.chassis.envelope import Event, to_record
from services.chassis.event_log.port import Received
from services.contracts.segments import SegmentChanged, SegmentCurrent
from services.segment_registry.application.report_quiet import backlog
from services.segment_registry.entrypoints.proposals import ProposalsHandler, WaitingProposals
from tests.support.proposal_keys import PROOFS, PROVER
from tests.support.registry_service import RegistryUnderTest, registry_over

AS_OF = datetime(2025, 6, 1, tzinfo=UTC)


@pytest.fixture
async def registry(database_url: str) -> AsyncIterator[RegistryUnderTest]:
    async with registry_over(database_url) as running:
        yield running


def proposed(customer: str, name: str, **changed: Any) -> Delivery:
    """A delivery of a proposal to go from silver to gold, based on sequence 2."""
    payload = {
        "proposal_id": name,
        "customer_id": customer,
        "from_tier": "silver",
        "to_tier": "gold",
        "rule": "revenue",
        "rule_version": 3,
        "as_of": AS_OF.isoformat(),
        "based_on_sequence": 2,
        "reason": "revenue of 90 days above the limit",
        "evidence": [{"name": "revenue_90d", "value": "12000.00", "limit": "10000.00"}],
        **changed,
    }
    event = Event(
        id=f"event of {name}",
        type="segment.proposed.v1",
        source="reclassifier",
        topic="segments.proposals.v1",
        key=customer,
        sequence=1,
        time=AS_OF,
        data=orjson.dumps(payload),
        correlation_id="the order",
        causation_id="the order",
        traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    )
    return delivered(PROVER.prove(event))


def delivered(event: Event) -> Delivery:
    """The event as it comes out of the log."""
    return Delivery(event, Received(to_record(event), 0, 0, AS_OF))


def again(delivery: Delivery, **changed: Any) -> Delivery:
    """The producer's own event with something else in it, proven anew."""
    return delivered(PROVER.prove(replace(delivery.event, **changed)))


async def apply(registry: RegistryUnderTest, *deliveries: Delivery) -> list[tuple[int, str]]:
    rejected = await ProposalsHandler(registry.transactions, registry.metrics, PROOFS)(deliveries)
    return [(one.index, one.code) for one in rejected]


async def outcomes(registry: RegistryUnderTest, *names: str) -> list[tuple[str, str | None]]:
    rows = await registry.fetch("SELECT proposal_id, state, refusal FROM proposal WHERE proposal_id = ANY($1)", names)
    found = {row["proposal_id"]: (row["state"], row["refusal"]) for row in rows}
    return [found[name] for name in names]


async def tier_of(registry: RegistryUnderTest, customer: str) -> str:
    tier: str = (await registry.client.get(f"/v1/customers/{customer}/tier")).json()["tier"]
    return tier


async def test_a_proposal_moves_the_customer_with_its_grounds(registry: RegistryUnderTest) -> None:
    customer = await registry.new_customer("climber", "silver")
    assert await apply(registry, proposed(customer, "up")) == []
    history = (await registry.client.get(f"/v1/customers/{customer}/assignments")).json()["items"]
    assert history[-1] | {"effective_from": None} == {
        "tier": "gold",
        "kind": "assigned",
        "effective_from": None,
        "effective_to": None,
        "sequence": 3,
        "reason": "revenue of 90 days above the limit",
        "author": "reclassifier",
        "rule": "revenue",
        "rule_version": 3,
        "proposal_id": "up",
        "evidence": [{"name": "revenue_90d", "value": "12000.00", "limit": "10000.00"}],
    }
    current, changed = (await registry.published(customer))[-2:]
    assert isinstance(current.payload, SegmentCurrent)
    assert isinstance(changed.payload, SegmentChanged)
    assert (changed.payload.rule, changed.payload.proposal_id) == ("revenue", "up")
    assert (changed.headers["ce_correlationid"], changed.headers["ce_causationid"]) == ("the order", "event of up")
    assert changed.headers["ce_traceparent"].startswith("00-0af7651916cd43dd8448eb211c80319c")
    assert (await registry.audit(customer))[-1]["action"] == "proposal.applied"
    assert await outcomes(registry, "up") == [("applied", None)]


async def test_the_same_event_and_the_same_proposal_count_once(registry: RegistryUnderTest) -> None:
    customer = await registry.new_customer("echo", "silver")
    first = proposed(customer, "echoed")
    under_another_event = again(first, id="another event")
    await apply(registry, first, first, under_another_event)
    await apply(registry, first)
    await apply(registry, under_another_event)
    assert len([event for event in await registry.published(customer) if event.type == "segment.changed.v1"]) == 2
    assert len(await registry.fetch("SELECT FROM proposal WHERE proposal_id = 'echoed'")) == 1


async def test_a_stale_proposal_is_recorded_and_refused(registry: RegistryUnderTest) -> None:
    customer = await registry.new_customer("mover", "silver")
    await apply(registry, proposed(customer, "first"), proposed(customer, "second", to_tier="standard"))
    assert await outcomes(registry, "first", "second") == [("applied", None), ("refused", "stale")]
    refused = (await registry.audit(customer))[-1]
    assert refused["action"] == "proposal.refused"
    assert orjson.loads(refused["detail"])["refusal"] == "stale"


async def test_proposals_out_of_order_apply_the_one_that_fits(registry: RegistryUnderTest) -> None:
    customer = await registry.new_customer("shuffled", "silver")
    later = proposed(customer, "later", from_tier="gold", to_tier="silver", based_on_sequence=3)
    await apply(registry, later)
    await apply(registry, proposed(customer, "earlier"))
    assert await outcomes(registry, "later", "earlier") == [("refused", "stale"), ("applied", None)]
    assert await tier_of(registry, customer) == "gold"


async def test_a_new_identifier_does_not_make_a_proposal_stale(registry: RegistryUnderTest) -> None:
    customer = await registry.new_customer("renamed", "silver")
    await registry.client.put(
        f"/v1/customers/{customer}/identifiers", json={"identifiers": [{"system": "crm", "id": "renamed"}]}
    )
    await apply(registry, proposed(customer, "still good"))
    assert await outcomes(registry, "still good") == [("applied", None)]


async def test_an_override_in_force_is_a_persons_decision(registry: RegistryUnderTest) -> None:
    customer = await registry.new_customer("protected", "silver")
    override = {"kind": "override", "reason": "board decision", "effective_to": "2100-01-01T00:00:00Z"}
    override["effective_to"] = (datetime.now(UTC) + timedelta(days=365)).isoformat()
    await registry.client.post(f"/v1/customers/{customer}/assignments", json={"tier": "silver", **override})
    await apply(registry, proposed(customer, "against it", based_on_sequence=3))
    assert await outcomes(registry, "against it") == [("refused", "override_in_force")]


async def test_other_reasons_to_refuse(registry: RegistryUnderTest) -> None:
    customer = await registry.new_customer("various", "silver")
    await apply(
        registry,
        proposed("nobody", "for nobody"),
        proposed("0192f000-0000-7000-8000-000000000000", "for a stranger"),
        proposed(customer, "from elsewhere", from_tier="gold", to_tier="silver"),
        proposed(customer, "to nowhere", to_tier="unobtainium"),
        proposed(customer, "to itself", to_tier="silver"),
    )
    names = ("for nobody", "for a stranger", "from elsewhere", "to nowhere", "to itself")
    assert await outcomes(registry, *names) == [
        ("refused", "unknown_customer"),
        ("refused", "unknown_customer"),
        ("refused", "not_in_from_tier"),
        ("refused", "unknown_tier"),
        ("refused", "already_there"),
    ]
    assert registry.metrics_registry.get_sample_value("registry_proposals_total", {"outcome": "already_there"}) == 1


async def test_poison_is_rejected_and_the_rest_is_applied(registry: RegistryUnderTest) -> None:
    customer = await registry.new_customer("healthy", "silver")
    good = proposed(customer, "good")
    broken = [
        again(good, id="1", data=b"{"),
        again(good, id="2", data=b""),
        again(good, id="3", type="segment.proposed.v9"),
        again(good, id="4", type="order.placed.v1"),
        again(good, id="5", key="somebody else"),
        proposed(customer, "x", rule_version=0),
        proposed(customer, "y" * 129),
        proposed(customer, "z", evidence=[{"name": "n", "value": 1}]),
    ]
    codes = [code for _, code in await apply(registry, *broken, good)]
    assert codes == [
        "invalid_payload",
        "invalid_payload",
        "unknown_event_version",
        "wrong_topic",
        "invalid_payload",
        "invalid_payload",
        "invalid_payload",
        "invalid_payload",
    ]
    assert await tier_of(registry, customer) == "gold"
    seen = await registry.fetch("SELECT event_id FROM inbox WHERE event_id IN ('1', '2', '3', '4', '5')")
    assert seen == []  # a replay from the dead letters is no duplicate


async def set_replay(registry: RegistryUnderTest, at: datetime | None, phase: str = "intake", step: int = 1) -> None:
    async def work(connection: Connection) -> None:
        if at is None:
            await business_time.clear_replay(connection)
        else:
            await business_time.set_replay(connection, at, phase, step)

    await registry.database.run(work, label="replay")


@pytest.fixture
async def replaying(registry: RegistryUnderTest) -> AsyncIterator[RegistryUnderTest]:
    await set_replay(registry, AS_OF)
    yield registry
    await set_replay(registry, None)


async def test_a_replay_collects_first_and_applies_when_it_settles(replaying: RegistryUnderTest) -> None:
    registry = replaying
    customer = await registry.new_customer("replayed", "silver")
    await apply(registry, proposed(customer, "kept"), proposed(customer, "kept too", to_tier="standard"))
    assert await outcomes(registry, "kept", "kept too") == [("waiting", None), ("waiting", None)]
    left = await registry.transactions.read(backlog)
    assert left.proposals_waiting == 0  # nothing to wait for while it collects
    waiting = WaitingProposals(registry.transactions, registry.metrics, poll_seconds=1)
    await waiting.settle()
    assert await tier_of(registry, customer) == "silver"

    await set_replay(registry, AS_OF.replace(day=2), "settle", 1)
    assert (await registry.transactions.read(backlog)).proposals_waiting == 2
    await waiting.settle()
    assert await outcomes(registry, "kept", "kept too") == [("applied", None), ("refused", "stale")]
    assert (await registry.transactions.read(backlog)).proposals_waiting == 0
    last = (await registry.client.get(f"/v1/customers/{customer}/assignments")).json()["items"][-1]
    assert last["effective_from"] == "2025-06-02T00:00:00+00:00"
    changed = (await registry.published(customer))[-1]
    assert changed.headers["ce_causationid"] == "event of kept"


async def test_moves_of_one_replayed_moment_leave_the_last_one(replaying: RegistryUnderTest) -> None:
    registry = replaying
    customer = await registry.new_customer("restless", "silver")
    await set_replay(registry, AS_OF, "settle")
    await apply(registry, proposed(customer, "to gold"))
    await apply(registry, proposed(customer, "to standard", from_tier="gold", to_tier="standard", based_on_sequence=3))
    history = (await registry.client.get(f"/v1/customers/{customer}/assignments")).json()["items"]
    assert [(one["tier"], one["sequence"]) for one in history] == [("standard", 4)]


async def test_waiting_proposals_come_before_newer_ones(replaying: RegistryUnderTest) -> None:
    registry = replaying
    customer = await registry.new_customer("queued", "silver")
    await apply(registry, proposed(customer, "older"))
    await set_replay(registry, AS_OF, "settle")
    await apply(registry, proposed(customer, "newer", to_tier="standard"))
    assert await outcomes(registry, "older", "newer") == [("applied", None), ("refused", "stale")]
