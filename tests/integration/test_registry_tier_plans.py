"""Tiers that are defined by date: planned, in effect by themselves, and every version to be seen."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.chassis.business_time import Phase, clear_replay, set_replay
from services.chassis.database import Connection
from services.contracts.segments import TierDefined
from services.segment_registry.application.report_quiet import backlog
from services.segment_registry.entrypoints.planned_effects import PlannedEffects
from services.segment_registry.entrypoints.tier_plan_routes import PlanDocument, TierTimesDocument
from tests.support.registry_service import RegistryUnderTest, registry_over

HOUR = timedelta(hours=1)
NOON = datetime.now(UTC).replace(microsecond=0) + 24 * HOUR


@pytest.fixture
async def registry(database_url: str) -> AsyncIterator[RegistryUnderTest]:
    async with registry_over(database_url) as running:
        await at(running, NOON)
        yield running
        await running.database.run(clear_replay, label="test")
        await running.client.put("/v1/change-rules", json={})


async def at(registry: RegistryUnderTest, moment: datetime, phase: Phase = Phase.SETTLE) -> None:
    async def work(connection: Connection) -> None:
        await set_replay(connection, moment, phase, 1)

    await registry.database.run(work, label="move the business time")


async def settle(registry: RegistryUnderTest) -> None:
    await PlannedEffects(registry.transactions, registry.metrics, poll_seconds=1.0).settle()


async def plan(
    registry: RegistryUnderTest, tier: str, moment: datetime, expected: int = 201, **fields: Any
) -> dict[str, Any]:
    body = {"effective_from": moment.isoformat(), "definition": fields}
    answer = await registry.client.post(f"/v1/tiers/{tier}/plans", json=body)
    assert answer.status_code == expected, answer.text
    document: dict[str, Any] = answer.json()
    return document


async def test_a_plan_comes_into_effect_by_itself_and_is_published_then(registry: RegistryUnderTest) -> None:
    now = {"name": "Copper", "priority_rank": 500}
    assert (await registry.client.put("/v1/tiers/copper", json=now)).status_code == 201
    planned = await plan(registry, "copper", NOON + HOUR, name="Cu", priority_rank=501, policy={"lead_time_days": 1})
    assert PlanDocument.model_validate(planned).author == "ann"
    await settle(registry)
    assert (await registry.client.get("/v1/tiers/copper")).json()["name"] == "Copper"
    await at(registry, NOON + HOUR, Phase.INTAKE)
    await settle(registry)  # while a replay collects, nothing does
    assert (await registry.client.get("/v1/tiers/copper")).json()["version"] == 1
    await at(registry, NOON + HOUR)
    assert (await registry.transactions.read(backlog)).effects_waiting == 1
    for _ in range(2):
        await settle(registry)
    told = (await registry.published("copper"))[-1]
    assert isinstance(told.payload, TierDefined)
    assert (told.payload.version, told.payload.name, told.payload.policy.lead_time_days) == (2, "Cu", 1)
    for moment, name in ((NOON, "Copper"), (NOON + HOUR, "Cu")):
        answer = await registry.client.get("/v1/tiers/copper", params={"at": moment.isoformat()})
        assert answer.json()["name"] == name
    times = TierTimesDocument.model_validate_json((await registry.client.get("/v1/tiers/copper/versions")).content)
    assert [(each.definition.version, each.effective_from) for each in times.versions] == [
        (2, NOON + HOUR),
        (1, NOON),
    ]
    assert times.planned == ()
    actions = [row["action"] for row in await registry.audit("copper")]
    assert actions == ["tier.defined", "tier.planned", "tier.defined"]


async def test_plans_are_listed_withdrawn_and_refused_where_one_stands(registry: RegistryUnderTest) -> None:
    await plan(registry, "tin", NOON + HOUR, name="Tin", priority_rank=601)
    other = await plan(registry, "tin", NOON + HOUR, 409, name="Sn", priority_rank=601)
    assert other["code"] == "plan_taken"
    times = TierTimesDocument.model_validate_json((await registry.client.get("/v1/tiers/tin/versions")).content)
    assert [each.definition.name for each in times.planned] == ["Tin"]
    past = await plan(registry, "tin", NOON, 422, name="Tin", priority_rank=601)
    assert past["code"] == "plan_not_ahead"
    path = "/v1/tiers/tin/plans:withdraw"
    for status in (200, 404):
        body = {"effective_from": (NOON + HOUR).isoformat()}
        assert (await registry.client.post(path, json=body)).status_code == status
    assert (await registry.client.get("/v1/tiers/tin/versions")).json()["code"] == "tier_not_found"


async def test_a_plan_that_is_not_possible_any_more_is_dropped_and_said(
    registry: RegistryUnderTest, capfd: pytest.CaptureFixture[str]
) -> None:
    await plan(registry, "zinc", NOON + HOUR, name="Zinc", priority_rank=701)
    other = {"name": "Nickel", "priority_rank": 701}
    assert (await registry.client.put("/v1/tiers/nickel", json=other)).status_code == 201
    await at(registry, NOON + HOUR)
    await settle(registry)
    assert (await registry.client.get("/v1/tiers/zinc")).json()["code"] == "tier_not_found"
    [_, failed] = await registry.audit("zinc")
    assert (failed["action"], '"refusal":"rank_taken"' in failed["detail"].replace(" ", "")) == (
        "tier.plan_failed",
        True,
    )
    logged = "".join(capfd.readouterr())
    assert all(word in logged for word in ("tier_plan_failed", "zinc", "rank_taken"))


async def test_a_plan_is_approved_like_any_definition(registry: RegistryUnderTest) -> None:
    await registry.client.put("/v1/change-rules", json={"tier_definitions": True})
    body = {"name": "Lead", "priority_rank": 801}
    refused = await plan(registry, "lead", NOON + HOUR, 409, **body)
    assert refused["needs"] == ["tier_definition"]
    content = {"kind": "tier", "tier": "lead", "effective_from": (NOON + HOUR).isoformat(), "definition": body}
    asked = (await registry.client.post("/v1/change-requests", json={"reason": "new", "content": content})).json()
    path = f"/v1/change-requests/{asked['request_id']}"
    approval = {"content_sha256": asked["content_sha256"]}
    approved = await registry.client.post(f"{path}:approve", json=approval, headers=registry.keys["approver"])
    assert approved.status_code == 200
    assert (await registry.client.post(f"{path}:apply", json={})).json()["state"] == "applied"
    await at(registry, NOON + HOUR)
    await settle(registry)
    assert (await registry.client.get("/v1/tiers/lead")).json()["name"] == "Lead"


async def test_it_takes_as_many_people_to_withdraw_a_plan_as_to_make_it(registry: RegistryUnderTest) -> None:
    await plan(registry, "iron", NOON + HOUR, name="Iron", priority_rank=901)
    await registry.client.put("/v1/change-rules", json={"tier_definitions": True})
    moment = {"effective_from": (NOON + HOUR).isoformat()}
    alone = await registry.client.post("/v1/tiers/iron/plans:withdraw", json=moment)
    assert (alone.status_code, alone.json()["needs"]) == (409, ["tier_definition"])
    content = {"kind": "tier_plan_withdrawal", "tier": "iron", **moment}
    asked = (await registry.client.post("/v1/change-requests", json={"reason": "no", "content": content})).json()
    path, approval = f"/v1/change-requests/{asked['request_id']}", {"content_sha256": asked["content_sha256"]}
    await registry.client.post(f"{path}:approve", json=approval, headers=registry.keys["approver"])
    assert (await registry.client.get("/v1/tiers/iron/versions")).json()["planned"] != []
    assert (await registry.client.post(f"{path}:apply", json={})).json()["state"] == "applied"
    assert (await registry.client.get("/v1/tiers/iron/versions")).json()["code"] == "tier_not_found"
