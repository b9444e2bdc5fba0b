"""The rules of change over HTTP, and what they limit."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.segment_registry.entrypoints.change_rule_routes import ChangeRulesDocument
from tests.support.registry_service import RegistryUnderTest, registry_over

LATER = (datetime.now(UTC) + timedelta(days=30)).isoformat()


@pytest.fixture
async def registry(database_url: str) -> AsyncIterator[RegistryUnderTest]:
    async with registry_over(database_url) as running:
        yield running


async def rules(registry: RegistryUnderTest, body: dict[str, Any], version: int | None = None) -> ChangeRulesDocument:
    headers = {} if version is None else {"If-Match": f'"{version}"'}
    answer = await registry.client.put("/v1/change-rules", json=body, headers=headers)
    assert answer.status_code == 200, answer.text
    return ChangeRulesDocument.model_validate_json(answer.content)


async def override(registry: RegistryUnderTest, customer: str, tier: str) -> tuple[int, str | None]:
    body = {"tier": tier, "kind": "override", "reason": "goodwill", "effective_to": LATER}
    answer = await registry.client.post(f"/v1/customers/{customer}/assignments", json=body)
    return answer.status_code, answer.json().get("code")


async def test_the_rules_are_versions_with_authors(registry: RegistryUnderTest) -> None:
    before = ChangeRulesDocument.model_validate_json((await registry.client.get("/v1/change-rules")).content)
    changed = await rules(registry, {"override_budgets": {"gold": 700}}, before.version)
    assert (changed.version, changed.override_budgets) == (before.version + 1, {"gold": 700})
    assert (await rules(registry, {"override_budgets": {"gold": 700}})).version == changed.version
    stale = await registry.client.put("/v1/change-rules", json={}, headers={"If-Match": f'"{before.version}"'})
    assert (stale.status_code, stale.json()["version"]) == (412, changed.version)
    unknown = await registry.client.put("/v1/change-rules", json={"override_budgets": {"lead": 1}})
    assert (unknown.status_code, unknown.json()["code"]) == (422, "rules_tier_unknown")
    entry = (await registry.audit("change_rules"))[-1]
    assert (entry["author"], entry["action"]) == ("ann", "change_rules.defined")
    await rules(registry, {})


async def test_only_who_may_govern_changes_the_rules(registry: RegistryUnderTest) -> None:
    answer = await registry.client.put("/v1/change-rules", json={}, headers=registry.keys["writer"])
    assert (answer.status_code, answer.json()["scope"]) == (403, "registry.govern")


async def test_a_race_for_the_last_override_of_a_month_has_one_winner(registry: RegistryUnderTest) -> None:
    used = (await rules(registry, {})).overrides_used.get("gold", 0)
    customers = [await registry.new_customer(f"lucky {number}") for number in range(8)]
    await rules(registry, {"override_budgets": {"gold": used + 1}})
    outcomes = await asyncio.gather(*(override(registry, customer, "gold") for customer in customers))
    assert sorted(outcomes) == [(201, None)] + [(409, "override_budget_spent")] * 7
    tiers = [(await registry.client.get(f"/v1/customers/{each}/tier")).json()["tier"] for each in customers]
    assert sorted(tiers) == ["gold"] + ["standard"] * 7
    view = ChangeRulesDocument.model_validate_json((await registry.client.get("/v1/change-rules")).content)
    assert view.overrides_used["gold"] == used + 1
    await rules(registry, {"override_budgets": {"silver": 0}})
    assert await override(registry, customers[0], "silver") == (409, "override_budget_spent")
    await rules(registry, {})
