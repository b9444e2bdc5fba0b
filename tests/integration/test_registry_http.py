"""The registry over HTTP, on a real PostgreSQL: tiers, customers, assignments, and what bad input gets."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.chassis.audit.routes import AuditPage
from services.chassis.problems import MEDIA_TYPE
from services.contracts.segments import SegmentChanged, SegmentCurrent, TierDefined
from services.segment_registry.entrypoints.documents import (
    CustomerDocument,
    CustomerPage,
    History,
    MoveDocument,
    ServedDocument,
    TierList,
)
from tests.support.registry_service import RegistryUnderTest, registry_over

LATER = datetime.now(UTC) + timedelta(days=30)
MUCH_LATER = LATER + timedelta(days=30)
NOBODY = "0192f000-0000-7000-8000-000000000000"


@pytest.fixture
async def registry(database_url: str) -> AsyncIterator[RegistryUnderTest]:
    async with registry_over(database_url) as running:
        yield running


def erp(*names: str) -> dict[str, Any]:
    return {"identifiers": [{"system": "erp", "id": name} for name in names]}


async def test_a_fresh_registry_has_a_default_tier_and_tells_of_it(registry: RegistryUnderTest) -> None:
    answer = await registry.client.get("/v1/tiers")
    tiers = TierList.model_validate_json(answer.content).items
    assert [(tier.tier, tier.priority_rank, tier.is_default) for tier in tiers] == [
        ("gold", 1, False),
        ("silver", 2, False),
        ("standard", 1_000, True),
    ]
    (told,) = await registry.published("standard")
    assert told.payload == tiers[2]
    assert (told.topic, told.lane) == ("segments.policies.v1", 0)


async def test_a_tier_is_changed_by_version(registry: RegistryUnderTest) -> None:
    body = {"name": "Copper", "priority_rank": 500, "policy": {"lead_time_days": 9, "carrier_classes": ["road"]}}
    created = await registry.client.put("/v1/tiers/copper", json=body, headers={"If-None-Match": "*"})
    assert (created.status_code, created.headers["etag"]) == (201, '"1"')
    same = await registry.client.put("/v1/tiers/copper", json=body)
    assert (same.status_code, same.headers["etag"]) == (200, '"1"')
    changed = await registry.client.put("/v1/tiers/copper", json=body | {"name": "Cu"}, headers={"If-Match": '"1"'})
    assert (changed.status_code, changed.headers["etag"]) == (200, '"2"')
    for headers in ({"If-Match": '"1"'}, {"If-None-Match": "*"}):
        late = await registry.client.put("/v1/tiers/copper", json=body, headers=headers)
        assert (late.status_code, late.json()["code"], late.json()["version"]) == (412, "precondition_failed", 2)
    assert [event.sequence for event in await registry.published("copper")] == [1, 2]
    assert [row["detail"] for row in await registry.audit("copper")] != []
    shown = await registry.client.get("/v1/tiers/copper")
    assert TierDefined.model_validate_json(shown.content).name == "Cu"
    assert (await registry.client.get("/v1/tiers/lead")).json()["code"] == "tier_not_found"


async def test_another_default_tier_takes_the_mark_in_one_transaction(registry: RegistryUnderTest) -> None:
    new = {"name": "New default", "priority_rank": 900, "is_default": True}
    assert (await registry.client.put("/v1/tiers/basic", json=new)).status_code == 201
    old = {"name": "Standard", "priority_rank": 1_000, "is_default": True}
    marks = [(tier["tier"], tier["is_default"]) for tier in (await registry.client.get("/v1/tiers")).json()["items"]]
    assert ("basic", True) in marks
    assert ("standard", False) in marks
    assert (await registry.client.put("/v1/tiers/standard", json=old)).status_code == 200
    unmarked = await registry.client.put("/v1/tiers/standard", json={"name": "Standard", "priority_rank": 1_000})
    assert (unmarked.status_code, unmarked.json()["code"]) == (409, "default_required")


async def test_a_tier_with_customers_cannot_be_switched_off(registry: RegistryUnderTest) -> None:
    await registry.client.put("/v1/tiers/tin", json={"name": "Tin", "priority_rank": 600})
    customer = await registry.new_customer("tin-lover")
    moved = await registry.assign(customer, "tin", effective_from=LATER.isoformat())
    off = {"name": "Tin", "priority_rank": 600, "active": False}
    refused = await registry.client.put("/v1/tiers/tin", json=off)
    assert (refused.status_code, refused.json()["code"]) == (409, "tier_in_use")
    path = f"/v1/customers/{customer}/assignments/{moved['assignment']['sequence']}:end"
    assert (await registry.client.post(path, json={"reason": "no tin"})).status_code == 200
    assert (await registry.client.put("/v1/tiers/tin", json=off)).status_code == 200
    assert (await registry.assign(customer, "tin", 409))["code"] == "inactive_tier"


async def test_a_customer_is_the_same_under_all_its_identifiers(registry: RegistryUnderTest) -> None:
    first = await registry.client.post("/v1/customers", json=erp("one"))
    assert first.status_code == 201
    customer_id = first.json()["customer_id"]
    both = {"identifiers": [{"system": "crm", "id": "uno"}, {"system": "erp", "id": "one"}]}
    for expected_sequence in (2, 2):  # the second time nothing is new
        again = await registry.client.post("/v1/customers", json=both)
        assert (again.status_code, again.json()["customer_id"]) == (200, customer_id)
        assert again.json()["sequence"] == expected_sequence
    for system, name in (("crm", "uno"), ("erp", "one"), ("tiercel", customer_id)):
        found = await registry.client.get("/v1/customers:resolve", params={"system": system, "id": name})
        document = CustomerDocument.model_validate_json(found.content)
        assert (document.customer_id, document.basis, document.tier) == (customer_id, "unassigned", "standard")
    states = [event.payload for event in await registry.published(customer_id)]
    assert [len(state.identifiers) for state in states if isinstance(state, SegmentCurrent)] == [1, 2]


async def test_identifiers_of_two_customers_are_a_contradiction(registry: RegistryUnderTest) -> None:
    one = await registry.new_customer("left")
    await registry.new_customer("right")
    refused = await registry.client.post("/v1/customers", json=erp("right", "left"))
    assert (refused.status_code, refused.json()["code"]) == (409, "several_customers")
    assert refused.json()["identifier"] == {"system": "erp", "id": "left"}
    assert refused.json()["customer_id"] == one
    taken = await registry.client.put(f"/v1/customers/{one}/identifiers", json=erp("left", "right"))
    assert (taken.status_code, taken.json()["code"]) == (409, "identifier_taken")


async def test_identifiers_are_replaced_whole_and_free_for_others(registry: RegistryUnderTest) -> None:
    customer = await registry.new_customer("old name")
    replaced = await registry.client.put(f"/v1/customers/{customer}/identifiers", json=erp("new name"))
    assert replaced.json()["identifiers"] == [{"system": "erp", "id": "new name"}]
    gone = await registry.client.get("/v1/customers:resolve", params={"system": "erp", "id": "old name"})
    assert (gone.status_code, gone.json()["code"]) == (404, "customer_unknown")
    assert await registry.new_customer("old name") != customer


async def test_a_move_is_answered_published_and_audited(registry: RegistryUnderTest) -> None:
    customer = await registry.new_customer("mover")
    await registry.assign(customer, "silver", reason="signed")
    document = MoveDocument.model_validate(await registry.assign(customer, "gold", reason="grew"))
    assert (document.changed, document.assignment.author, document.sequence) == (True, "ann", 3)
    again = await registry.assign(customer, "gold", 200, reason="grew more")
    assert (again["changed"], again["sequence"], again["assignment"]["reason"]) == (False, 3, "grew")
    events = await registry.published(customer)
    assert [(event.type, event.sequence) for event in events] == [
        ("segment.current.v1", 1),
        ("segment.current.v1", 2),
        ("segment.changed.v1", 2),
        ("segment.current.v1", 3),
        ("segment.changed.v1", 3),
    ]
    state, change = events[3].payload, events[4].payload
    assert isinstance(state, SegmentCurrent)
    assert [(a.tier, a.sequence) for a in state.assignments] == [("gold", 3)]  # the past is not told again
    assert isinstance(change, SegmentChanged)
    assert (change.from_tier, change.to_tier, change.author, change.reason) == ("silver", "gold", "ann", "grew")
    assert [row["action"] for row in await registry.audit(customer)] == [
        "customer.registered",
        "tier.assigned",
        "tier.assigned",
    ]


async def test_the_tier_at_any_moment_is_answerable(registry: RegistryUnderTest) -> None:
    customer = await registry.new_customer("historian")
    start = datetime.now(UTC) - timedelta(days=10)
    await registry.assign(customer, "silver", effective_from=start.isoformat())
    await registry.assign(customer, "gold", effective_from=LATER.isoformat())
    over: dict[str, Any] = {
        "kind": "override",
        "reason": "fair",
        "effective_to": (LATER + timedelta(days=1)).isoformat(),
    }
    await registry.assign(customer, "gold", effective_from=(LATER - timedelta(days=1)).isoformat(), **over)
    expected = [
        (start - timedelta(seconds=1), "standard", "unassigned"),
        (start, "silver", "assigned"),
        (LATER - timedelta(days=2), "silver", "assigned"),
        (LATER - timedelta(days=1), "gold", "override"),
        (LATER, "gold", "override"),
        (LATER + timedelta(days=1), "gold", "assigned"),
    ]
    for at, tier, basis in expected:
        answer = await registry.client.get(f"/v1/customers/{customer}/tier", params={"at": at.isoformat()})
        document = ServedDocument.model_validate_json(answer.content)
        assert (document.tier, document.basis, document.at) == (tier, basis, at)
    now = ServedDocument.model_validate_json((await registry.client.get(f"/v1/customers/{customer}/tier")).content)
    assert now.tier == "silver"
    published = (await registry.published(customer))[-1].payload
    assert isinstance(published, SegmentCurrent)
    assert [(a.tier, a.kind) for a in published.assignments] == [
        ("silver", "assigned"),
        ("gold", "override"),
        ("gold", "assigned"),
    ]


async def test_a_history_is_read_page_by_page(registry: RegistryUnderTest) -> None:
    customer = await registry.new_customer("pager")
    for tier in ("gold", "silver", "gold", "silver", "gold"):
        await registry.assign(customer, tier)
    seen: list[int] = []
    after = 0
    while True:
        query = {"after": after, "limit": 2}
        answer = await registry.client.get(f"/v1/customers/{customer}/assignments", params=query)
        page = History.model_validate_json(answer.content)
        seen += [assignment.sequence for assignment in page.items]
        if page.next_after is None:
            break
        after = page.next_after
    assert seen == [2, 3, 4, 5, 6]


async def test_what_was_known_before_stays_stored(registry: RegistryUnderTest) -> None:
    customer = await registry.new_customer("bitemporal", "silver")
    await registry.assign(customer, "gold")
    rows = await registry.fetch(
        "SELECT tier, effective_to IS NULL AS open, superseded_at IS NULL AS current FROM assignment"
        " WHERE customer_id::text = $1 ORDER BY row_id",
        customer,
    )
    assert [tuple(row) for row in rows] == [
        ("silver", True, False),  # as it was known until the move
        ("silver", False, True),
        ("gold", True, True),
    ]


async def test_an_assignment_is_ended_once(registry: RegistryUnderTest) -> None:
    customer = await registry.new_customer("leaver")
    ends: dict[str, Any] = {"kind": "override", "reason": "trial", "effective_to": LATER.isoformat()}
    sequence = (await registry.assign(customer, "gold", **ends))["assignment"]["sequence"]
    path = f"/v1/customers/{customer}/assignments/{sequence}:end"
    first = await registry.client.post(path, json={"reason": "trial failed"})
    assert (first.status_code, first.json()["changed"]) == (200, True)
    second = await registry.client.post(path, json={"reason": "trial failed"})
    assert (second.status_code, second.json()["changed"]) == (200, False)
    tier = await registry.client.get(f"/v1/customers/{customer}/tier")
    assert tier.json()["basis"] == "unassigned"
    missing = await registry.client.post(f"/v1/customers/{customer}/assignments/99:end", json={"reason": "?"})
    assert (missing.status_code, missing.json()["code"]) == (404, "unknown_assignment")


async def test_customers_are_listed_page_by_page(registry: RegistryUnderTest) -> None:
    made = [await registry.new_customer(f"listed {number}") for number in range(5)]
    seen: list[str] = []
    cursor: str | None = None
    while True:
        query: dict[str, Any] = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = CustomerPage.model_validate_json((await registry.client.get("/v1/customers:list", params=query)).content)
        seen += [customer.customer_id for customer in page.items]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert seen == sorted(set(seen))
    assert set(made) <= set(seen)


async def test_the_audit_trail_is_read_without_gaps(registry: RegistryUnderTest) -> None:
    await registry.new_customer("audited", "gold")
    positions: list[int] = []
    while True:
        query = {"after": positions[-1] if positions else 0, "limit": 3}
        page = AuditPage.model_validate_json((await registry.client.get("/v1/audit", params=query)).content)
        positions += [record.position for record in page.items]
        if not page.items:
            break
    assert positions == list(range(1, len(positions) + 1))


async def test_the_same_key_and_body_get_the_same_bytes_again(registry: RegistryUnderTest) -> None:
    customer = await registry.new_customer("retrier")
    path = f"/v1/customers/{customer}/assignments"
    for key, body, status in (
        ("key-1", {"tier": "gold"}, 201),
        ("key-2", {"tier": "unobtainium"}, 422),  # a refusal is remembered too
    ):
        first = await registry.client.post(path, json=body, headers={"Idempotency-Key": key})
        assert first.status_code == status
        if status == 422:  # by now it would be possible
            await registry.client.put("/v1/tiers/unobtainium", json={"name": "X", "priority_rank": 777})
        second = await registry.client.post(path, json=body, headers={"Idempotency-Key": key})
        assert (second.status_code, second.content) == (first.status_code, first.content)
        assert second.headers["content-type"] == first.headers["content-type"]
    other = await registry.client.post(path, json={"tier": "silver"}, headers={"Idempotency-Key": "key-1"})
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    events = [event for event in await registry.published(customer) if event.type == "segment.changed.v1"]
    assert len(events) == 1


async def test_a_key_belongs_to_its_caller(registry: RegistryUnderTest) -> None:
    key = {"Idempotency-Key": "shared"}
    mine = await registry.client.post("/v1/customers", json=erp("mine"), headers=key)
    his = await registry.client.post("/v1/customers", json=erp("his"), headers=key | registry.bob)
    assert mine.json()["customer_id"] != his.json()["customer_id"]


BAD_ASSIGNMENTS: list[tuple[dict[str, Any], int, str]] = [
    ({}, 422, "validation_failed"),
    ({"tier": "gold", "colour": "red"}, 422, "validation_failed"),
    ({"tier": "go ld"}, 422, "validation_failed"),
    ({"tier": "g" * 65}, 422, "validation_failed"),
    ({"tier": "gold", "reason": "bell\u0007"}, 422, "validation_failed"),
    ({"tier": "gold", "reason": "n\u0000l"}, 422, "validation_failed"),
    ({"tier": "gold", "reason": "x" * 501}, 422, "validation_failed"),
    ({"tier": "gold", "kind": "forever"}, 422, "validation_failed"),
    ({"tier": "gold", "effective_from": "2025-01-01T00:00:00"}, 422, "validation_failed"),  # no offset
    ({"tier": "gold", "effective_from": 1735689600}, 422, "validation_failed"),
    ({"tier": "gold", "effective_from": "yesterday"}, 422, "validation_failed"),
    ({"tier": "copernicium"}, 422, "unknown_tier"),
    ({"tier": "gold", "kind": "override", "effective_to": LATER.isoformat()}, 422, "reason_missing"),
    ({"tier": "gold", "kind": "override", "reason": "x"}, 422, "end_missing"),
    ({"tier": "gold", "effective_to": "2001-01-01T00:00:00Z"}, 422, "end_before_start"),
    (
        {"tier": "gold", "effective_from": MUCH_LATER.isoformat(), "effective_to": LATER.isoformat()},
        422,
        "end_before_start",
    ),
    ({"tier": "gold", "effective_from": "1999-01-01T00:00:00Z"}, 422, "out_of_range"),
    ({"tier": "gold", "effective_from": "2150-01-01T00:00:00Z"}, 422, "out_of_range"),
    ({"tier": "gold", "effective_to": LATER.isoformat()}, 409, "overlap"),  # it would split what is in force
]


@pytest.mark.parametrize(("body", "status", "code"), BAD_ASSIGNMENTS)
async def test_a_bad_assignment_is_a_clear_problem_and_changes_nothing(
    registry: RegistryUnderTest, body: dict[str, Any], status: int, code: str
) -> None:
    known = await registry.client.get("/v1/customers:resolve", params={"system": "erp", "id": "victim"})
    customer = (
        known.json()["customer_id"] if known.status_code == 200 else await registry.new_customer("victim", "silver")
    )
    before = (await registry.client.get(f"/v1/customers/{customer}")).content
    answer = await registry.client.post(f"/v1/customers/{customer}/assignments", json=body)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers["content-type"] == MEDIA_TYPE
    assert (await registry.client.get(f"/v1/customers/{customer}")).content == before


BAD_IDENTIFIERS: list[tuple[Any, str]] = [
    ({"identifiers": []}, "validation_failed"),
    ({}, "validation_failed"),
    ({"identifiers": [{"system": "erp"}]}, "validation_failed"),
    ({"identifiers": [{"system": "erp", "id": ""}]}, "validation_failed"),
    ({"identifiers": [{"system": "erp", "id": " x"}]}, "validation_failed"),
    ({"identifiers": [{"system": "erp", "id": "a\u0000b"}]}, "validation_failed"),
    ({"identifiers": [{"system": "erp", "id": "a\u001bb"}]}, "validation_failed"),
    ({"identifiers": [{"system": "erp", "id": "x" * 129}]}, "validation_failed"),
    ({"identifiers": [{"system": "e r p", "id": "x"}]}, "validation_failed"),
    ({"identifiers": [{"system": "erp", "id": 4711}]}, "validation_failed"),
    ({"identifiers": [{"system": "erp", "id": "x", "name": "Ann"}]}, "validation_failed"),
    ({"identifiers": [{"system": "erp", "id": str(n)} for n in range(51)]}, "validation_failed"),
    ({"identifiers": [{"system": "tiercel", "id": NOBODY}]}, "system_reserved"),
]


@pytest.mark.parametrize(("body", "code"), BAD_IDENTIFIERS)
async def test_bad_identifiers_are_a_clear_problem(registry: RegistryUnderTest, body: Any, code: str) -> None:
    customer = await registry.new_customer("named") if not await _is_known(registry, "named") else None
    answer = await registry.client.post("/v1/customers", json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, code)
    if customer is not None:
        answer = await registry.client.put(f"/v1/customers/{customer}/identifiers", json=body)
        assert (answer.status_code, answer.json()["code"]) == (422, code)


async def _is_known(registry: RegistryUnderTest, name: str) -> bool:
    found = await registry.client.get("/v1/customers:resolve", params={"system": "erp", "id": name})
    return found.status_code == 200


BAD_TIERS: list[tuple[str, dict[str, Any], int, str]] = [
    ("a*", {"name": "A", "priority_rank": 50}, 422, "validation_failed"),
    ("x" * 65, {"name": "A", "priority_rank": 50}, 422, "validation_failed"),
    ("ok", {"name": "", "priority_rank": 50}, 422, "validation_failed"),
    ("ok", {"name": "A\u0007", "priority_rank": 50}, 422, "validation_failed"),
    ("ok", {"name": "A", "priority_rank": 0}, 422, "validation_failed"),
    ("ok", {"name": "A", "priority_rank": 1.5}, 422, "validation_failed"),
    ("ok", {"name": "A", "priority_rank": "50"}, 422, "validation_failed"),
    ("ok", {"name": "A", "priority_rank": 50, "policy": {"lead_time_days": 999}}, 422, "validation_failed"),
    ("ok", {"name": "A", "priority_rank": 50, "policy": {"free_beer": True}}, 422, "validation_failed"),
    ("ok", {"name": "A", "priority_rank": 1}, 409, "rank_taken"),
    ("ok", {"name": "A", "priority_rank": 50, "is_default": True, "active": False}, 409, "default_inactive"),
]


@pytest.mark.parametrize(("tier", "body", "status", "code"), BAD_TIERS)
async def test_a_bad_tier_is_a_clear_problem(
    registry: RegistryUnderTest, tier: str, body: dict[str, Any], status: int, code: str
) -> None:
    answer = await registry.client.put(f"/v1/tiers/{tier}", json=body)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


@pytest.mark.parametrize("header", [{"If-Match": "3"}, {"If-Match": "*"}, {"If-None-Match": '"1"'}])
async def test_a_version_is_given_in_one_way(registry: RegistryUnderTest, header: dict[str, str]) -> None:
    answer = await registry.client.put("/v1/tiers/ok", json={"name": "A", "priority_rank": 50}, headers=header)
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")


@pytest.mark.parametrize("customer", [NOBODY, "nobody", NOBODY.upper().replace("-", ""), "%00", "x" * 128])
async def test_an_unknown_customer_is_not_found_anywhere(registry: RegistryUnderTest, customer: str) -> None:
    for path in ("", "/tier", "/assignments"):
        answer = await registry.client.get(f"/v1/customers/{customer}{path}")
        assert (answer.status_code, answer.json()["code"]) == (404, "customer_unknown")
    for command, body in (("assignments", {"tier": "gold"}), ("assignments/1:end", {"reason": "x"})):
        answer = await registry.client.post(f"/v1/customers/{customer}/{command}", json=body)
        assert (answer.status_code, answer.json()["code"]) == (404, "customer_unknown")
    answer = await registry.client.put(f"/v1/customers/{customer}/identifiers", json=erp("nobody's"))
    assert (answer.status_code, answer.json()["code"]) == (404, "customer_unknown")


async def test_credentials_limited_to_account_groups_see_no_customer(registry: RegistryUnderTest) -> None:
    customer = await registry.new_customer("secret")
    limited = registry.limited
    assert (await registry.client.get(f"/v1/customers/{customer}", headers=limited)).status_code == 404
    moved = await registry.client.post(f"/v1/customers/{customer}/assignments", json={"tier": "gold"}, headers=limited)
    assert moved.status_code == 404
    for path in ("/v1/customers:list", "/v1/audit"):
        assert (await registry.client.get(path, headers=limited)).status_code == 403
    assert (await registry.client.post("/v1/customers", json=erp("x"), headers=limited)).status_code == 403
    assert (await registry.client.get("/v1/tiers", headers=limited)).status_code == 200


async def test_credentials_limited_to_account_groups_change_nothing_for_everybody(registry: RegistryUnderTest) -> None:
    before = (await registry.client.get("/v1/tiers")).json(), len(await registry.fetch("SELECT FROM audit"))
    tier = {"name": "Mine", "priority_rank": 3}
    plan = {"effective_from": "2030-01-01T00:00:00Z", "definition": tier}
    tier_change = {"kind": "tier", "tier": "mine", "definition": tier}
    for method, path, body in (
        ("PUT", "/v1/tiers/mine", tier),
        ("PUT", "/v1/tiers/gold/card", {"owner": "me"}),
        ("POST", "/v1/tiers/gold/plans", plan),
        ("POST", "/v1/tiers/gold/plans:withdraw", {"effective_from": plan["effective_from"]}),
        ("GET", "/v1/tiers/gold/versions", None),
        ("PUT", "/v1/change-rules", {}),
        ("GET", "/v1/change-requests", None),
        ("POST", "/v1/change-requests", {"reason": "mine", "content": tier_change}),
        ("POST", "/v1/imports", {"items": [erp("x")]}),
        ("GET", "/v1/assignments", None),
        ("GET", "/v1/reports/both-hands", None),
    ):
        answer = await registry.client.request(method, path, json=body, headers=registry.limited)
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden"), path
    assert ((await registry.client.get("/v1/tiers")).json(), len(await registry.fetch("SELECT FROM audit"))) == before
