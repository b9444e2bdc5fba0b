"""Cards of tiers, their service statements, and tiers by the codes of other systems."""

from collections.abc import AsyncIterator
from datetime import date, timedelta
from typing import Any

import httpx
import pytest

from services.contracts.segments import TierDefined
from services.segment_registry.adapters.atp_api import AtpApi
from services.segment_registry.application.tier_services import Statement, service_statement
from services.segment_registry.domain.service_statement import Delivered, percent
from services.segment_registry.entrypoints.feed_routes import ChangedPage
from services.segment_registry.entrypoints.tier_service_routes import StatementDocument
from tests.support.registry_service import RegistryUnderTest, registry_over

POLICY = {
    "lead_time_days": 2,
    "carrier_classes": ["express"],
    "split_allowed": False,
    "fill_rate_target_bp": 9750,
    "on_time_target_bp": 9900,
    "validation": {"order_quantity_max": 500, "permitted_channels": ["edi"]},
}


@pytest.fixture
async def registry(database_url: str) -> AsyncIterator[RegistryUnderTest]:
    async with registry_over(database_url) as running:
        yield running


async def gold_with_policy(registry: RegistryUnderTest) -> None:
    body = {"name": "Gold", "priority_rank": 1, "policy": POLICY}
    assert (await registry.client.put("/v1/tiers/gold", json=body)).status_code == 200


async def test_a_tier_has_an_owner_and_codes_that_mean_it_alone(registry: RegistryUnderTest) -> None:
    card = {"owner": "kim", "codes": {"sap": "A1", "wms": "G"}}
    assert (await registry.client.put("/v1/tiers/gold/card", json=card)).json() == card
    assert (await registry.client.get("/v1/tiers/gold/card")).json() == card
    assert (await registry.client.get("/v1/tiers/silver/card")).json() == {"owner": None, "codes": {}}
    taken = await registry.client.put("/v1/tiers/silver/card", json={"codes": {"sap": "A1"}})
    assert (taken.status_code, taken.json()["code"], taken.json()["tier"]) == (409, "code_taken", "gold")
    assert (await registry.client.put("/v1/tiers/silver/card", json={"codes": {"wms": "A1"}})).status_code == 200
    assert (await registry.client.get("/v1/tiers/lead/card")).json()["code"] == "tier_not_found"
    assert [row["action"] for row in await registry.audit("gold")][-1] == "tier.card_kept"
    customer = await registry.new_customer("coded", "gold")
    for system, code in (("sap", "A1"), ("tms", None)):
        query = {"codes_for": system, "limit": "500"}
        answer = await registry.client.get("/v1/assignments", params=query)
        page = ChangedPage.model_validate_json(answer.content)
        assert [each.tier_code for each in page.items if each.customer_id == customer] == [code]


async def test_a_policy_is_said_in_words(registry: RegistryUnderTest) -> None:
    await gold_with_policy(registry)
    answer = await registry.client.get("/v1/tiers/gold/service-statement")
    said = StatementDocument.model_validate_json(answer.content)
    assert said.promised == (
        "Gold is served first.",
        "An order without a date of its own is planned to arrive within 2 days.",
        "At least 97.5 % of the units due in a month leave in time.",
        "At least 99 % of the order lines due arrive complete on the day promised.",
        "Carrier services of these classes are used: express.",
        "An order comes in one shipment.",
        "An order is of at most 500 units.",
        "Orders come by edi.",
    )
    assert (said.policy_author, said.month, said.delivered) == ("ann", None, ())
    assert said.delivered_missing == "no address of the ATP is configured"
    silver = await registry.client.get("/v1/tiers/silver/service-statement")
    assert "Silver is served next after Gold." in silver.json()["promised"]
    assert (await registry.client.get("/v1/tiers/lead/service-statement")).json()["code"] == "tier_not_found"


async def test_every_limit_is_said_and_what_happens_beyond_it(registry: RegistryUnderTest) -> None:
    limits = {
        "line_quantity_max": 1,
        "line_value_max": "1000.50",
        "permitted_items": [f"TEA-{number}" for number in range(22)],
        "permitted_item_groups": ["coffee"],
        "permitted_zones": ["GB"],
        "held": ["line_value_max", "permitted_items"],
    }
    free = {"name": "web", "channels": ["web"], "policy": {"validation": {}}}
    body = {
        "name": "Gold",
        "priority_rank": 1,
        "policy": {"lead_time_days": 0, "validation": limits, "micro_segments": [free]},
    }
    assert (await registry.client.put("/v1/tiers/gold", json=body)).status_code == 200
    said = (await registry.client.get("/v1/tiers/gold/service-statement")).json()["promised"]
    items = ", ".join(f"TEA-{number}" for number in range(20)) + " and 2 more"
    assert said == [
        "Gold is served first.",
        "An order without a date of its own is planned to arrive on the day of the order.",
        "Every class of carrier service may be used.",
        "An order may come in several shipments.",
        "A line is of at most one unit.",
        "A line is worth at most 1000.50, or the order waits until we release it.",
        f"Ordered are only items of the groups coffee and the items {items}, or the order waits until we release it.",
        "Deliveries go to GB.",
        "Of orders by web: nothing limits what is ordered.",
    ]


async def test_beside_it_stands_the_last_closed_month(registry: RegistryUnderTest) -> None:
    await gold_with_policy(registry)
    last = date.today().replace(day=1) - timedelta(days=1)  # noqa: DTZ011 - the months around today are all asked for
    before = last.replace(day=1) - timedelta(days=1)
    asked: list[str] = []

    def atp(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.params["month"])
        ratios: dict[str, Any] = {
            "fill_rate": {"achieved": 98, "total": 100, "basis_points": 9800},
            "on_time_in_full": {"achieved": 9, "total": 10, "basis_points": 9000},
            "order_accuracy": {"achieved": 0, "total": 0, "basis_points": None},
        }
        state = "closed" if len(asked) > 1 else "open"
        return httpx.Response(200, json={"state": state, "tiers": [{"tier": "gold", "ratios": ratios}]})

    api = AtpApi("http://atp", "key", httpx.MockTransport(atp))
    found = await service_statement(registry.transactions, "gold", api)
    await api.close()
    assert isinstance(found, Statement)
    assert asked == [f"{last:%Y-%m}", f"{before:%Y-%m}"]
    assert found.month == f"{before:%Y-%m}"
    assert found.delivered == (
        Delivered("fill_rate", 9750, 9800, met=True),
        Delivered("on_time_in_full", 9900, 9000, met=False),
        Delivered("order_accuracy", None, None, met=None),
    )


@pytest.mark.parametrize(("basis_points", "text"), [(10_000, "100 %"), (9_750, "97.5 %"), (5, "0.05 %"), (0, "0 %")])
def test_a_share_is_said_exactly(basis_points: int, text: str) -> None:
    assert percent(basis_points) == text


async def test_micro_segments_are_part_of_the_policy_and_said_in_words(registry: RegistryUnderTest) -> None:
    segments = [
        {"name": "web", "channels": ["web"], "policy": {"lead_time_days": 1, "split_allowed": True}},
        {"name": "isles", "zones": ["GB-HS", "GB-ZE"], "channels": ["web"], "policy": {"packaging": "crate"}},
    ]
    body = {"name": "Gold", "priority_rank": 1, "policy": {**POLICY, "micro_segments": segments}}
    defined = await registry.client.put("/v1/tiers/gold", json=body)
    assert defined.status_code == 200, defined.text
    told = [each for each in await registry.published("gold") if each.type == "tier.policy.v2"][-1]
    assert isinstance(told.payload, TierDefined)
    assert [each.name for each in told.payload.policy.micro_segments] == ["web", "isles"]
    answer = await registry.client.get("/v1/tiers/gold/service-statement")
    assert [each for each in answer.json()["promised"] if each.startswith("Of orders")] == [
        "Of orders by web: one without a date of its own is planned to arrive within one day.",
        "Of orders by web: an order may come in several shipments.",
        "Of orders by web to GB-HS or GB-ZE: goods are packed as crate.",
    ]


@pytest.mark.parametrize(
    ("segments", "said"),
    [
        ([{"name": "a", "policy": {"lead_time_days": 1}}], "names an attribute"),
        ([{"name": "a", "zones": ["GB"], "policy": {}}], "changes something"),
        ([{"name": "a", "zones": ["GB"], "policy": {"strategy": "win"}}], "Extra inputs"),
        ([{"name": "a", "moods": ["calm"], "zones": ["GB"], "policy": {"lead_time_days": 1}}], "Extra inputs"),
        ([{"name": "a", "demand_profiles": ["wobbly"], "policy": {"lead_time_days": 1}}], "Input should be"),
        ([{"name": "a", "zones": [zone], "policy": {"lead_time_days": 1}} for zone in ("GB", "FR")], "one name"),
        (
            [
                {"name": name, "zones": zones, "channels": ["web"], "policy": {"lead_time_days": 1}}
                for name, zones in (("a", ["GB", "FR"]), ("b", ["FR", "DE"]))
            ],
            "neither is more specific",
        ),
    ],
)
async def test_micro_segments_that_nobody_could_tell_apart_or_that_do_nothing_are_refused(
    registry: RegistryUnderTest, segments: list[dict[str, Any]], said: str
) -> None:
    body = {"name": "Gold", "priority_rank": 1, "policy": {"micro_segments": segments}}
    answers = [
        await registry.client.put("/v1/tiers/gold", json=body),
        await registry.client.post(
            "/v1/tiers/gold/plans", json={"effective_from": "2050-01-01T00:00:00Z", "definition": body}
        ),
        await registry.client.post(
            "/v1/change-requests",
            json={"content": {"kind": "tier", "tier": "gold", "definition": body}, "reason": "by request"},
        ),
    ]
    for answer in answers:
        assert (answer.status_code, answer.json()["code"]) == (422, "validation_failed"), answer.text
        assert said in answer.text
