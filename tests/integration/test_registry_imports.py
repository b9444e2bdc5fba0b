"""Bulk imports: many customers in one request, bad rows named, good ones stored and told of on the slow lane."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from services.contracts.segments import SegmentCurrent
from services.segment_registry.application.import_customers import IMPORT_ROWS_MAX
from services.segment_registry.entrypoints.documents import ImportDocument
from tests.support.registry_service import RegistryUnderTest, registry_over


@pytest.fixture
async def registry(database_url: str) -> AsyncIterator[RegistryUnderTest]:
    async with registry_over(database_url) as running:
        yield running


def row(name: str, tier: str | None = "gold", **more: Any) -> dict[str, Any]:
    return {"identifiers": [{"system": "crm", "id": name}], "tier": tier, **more}


async def bulk(registry: RegistryUnderTest, *items: Any) -> ImportDocument:
    answer = await registry.client.post("/v1/imports", json={"items": list(items)})
    assert answer.status_code == 200, answer.text
    return ImportDocument.model_validate_json(answer.content)


async def test_ten_thousand_customers_arrive_whole(registry: RegistryUnderTest) -> None:
    for start in (0, IMPORT_ROWS_MAX):
        rows = [row(f"bulk {number}", reason="migration") for number in range(start, start + IMPORT_ROWS_MAX)]
        done = await bulk(registry, *rows)
        assert (done.created, done.changed, done.unchanged, done.rejected) == (IMPORT_ROWS_MAX, 0, 0, ())
    (count,) = await registry.fetch(
        "SELECT count(DISTINCT customer_id) AS customers, count(*) AS assignments FROM identifier"
        " JOIN assignment USING (customer_id) WHERE id LIKE 'bulk %' AND tier = 'gold'"
    )
    assert tuple(count) == (10_000, 10_000)
    (told,) = await registry.fetch(
        "SELECT count(*) FILTER (WHERE type = 'segment.current.v1') AS current,"
        " count(*) FILTER (WHERE type = 'segment.changed.v1') AS changed,"
        " count(DISTINCT aggregateid) AS customers, min(lane) AS lane FROM outbox WHERE lane = 1"
    )
    assert tuple(told) == (10_000, 10_000, 10_000, 1)
    rows_of_audit = await registry.fetch("SELECT detail FROM audit WHERE action = 'customers.imported'")
    assert len(rows_of_audit) == 2  # one for each bulk, with its digest


async def test_an_import_again_changes_nothing(registry: RegistryUnderTest) -> None:
    rows = [row("again 1"), row("again 2", None)]
    await bulk(registry, *rows)
    before = await registry.fetch("SELECT count(*) FROM outbox")
    done = await bulk(registry, *rows)
    assert (done.created, done.changed, done.unchanged) == (0, 0, 2)
    assert await registry.fetch("SELECT count(*) FROM outbox") == before


async def test_an_import_moves_known_customers_and_adds_identifiers(registry: RegistryUnderTest) -> None:
    customer = await registry.new_customer("known", "silver")
    both = [{"system": "erp", "id": "known"}, {"system": "wms", "id": "k1"}]
    done = await bulk(registry, {"identifiers": both, "tier": "gold", "reason": "cleaned up"})
    assert (done.created, done.changed) == (0, 1)
    state = (await registry.published(customer))[-2].payload
    assert isinstance(state, SegmentCurrent)
    assert [(each.system, each.id) for each in state.identifiers] == [("erp", "known"), ("wms", "k1")]
    assert [each.tier for each in state.assignments] == ["gold"]


async def test_bad_rows_are_named_and_the_others_stand(registry: RegistryUnderTest) -> None:
    await registry.new_customer("left")
    await registry.new_customer("right")
    await registry.client.put("/v1/tiers/old", json={"name": "Old", "priority_rank": 800, "active": False})
    contradiction = [{"system": "erp", "id": "left"}, {"system": "erp", "id": "right"}]
    done = await bulk(
        registry,
        row("good one"),
        "not a row",
        row(""),
        row("bell\u0007"),
        row("x" * 129),
        row("no such tier", "unobtainium"),
        row("old tier", "old"),
        {"identifiers": [{"system": "tiercel", "id": "1"}]},
        {"identifiers": contradiction},
        row("chatty", reason="x" * 501),
        row("personal", email="ann@example.com"),
        row("good two", None),
    )
    assert (done.created, done.changed, done.unchanged) == (2, 0, 0)
    assert [(bad.index, bad.code) for bad in done.rejected] == [
        (1, "validation_failed"),
        (2, "validation_failed"),
        (3, "validation_failed"),
        (4, "validation_failed"),
        (5, "unknown_tier"),
        (6, "inactive_tier"),
        (7, "system_reserved"),
        (8, "several_customers"),
        (9, "validation_failed"),
        (10, "validation_failed"),
    ]
    assert all("ann@example.com" not in bad.detail for bad in done.rejected)
    unknown = await registry.client.get("/v1/customers:resolve", params={"system": "crm", "id": "no such tier"})
    assert unknown.status_code == 404


@pytest.mark.parametrize(
    ("content", "status", "code"),
    [
        (b"{", 400, "malformed_json"),
        (b"[]", 422, "validation_failed"),
        (b"{}", 422, "validation_failed"),
        (b'{"items": []}', 422, "validation_failed"),
        (b'{"items": {}}', 422, "validation_failed"),
        (b'{"items": [1], "more": 1}', 422, "validation_failed"),
        (b'{"items": [' + b"1," * IMPORT_ROWS_MAX + b"1]}", 422, "validation_failed"),
        (b'{"items": ["' + b"x" * 5_000_000 + b'"]}', 413, "body_too_large"),
    ],
    ids=["no json", "a list", "nothing", "no rows", "no list", "more", "too many", "too large"],
)
async def test_what_is_no_bulk_is_refused_whole(
    registry: RegistryUnderTest, content: bytes, status: int, code: str
) -> None:
    headers = {"content-type": "application/json"}
    answer = await registry.client.post("/v1/imports", content=content, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


async def test_another_kind_of_body_is_refused(registry: RegistryUnderTest) -> None:
    answer = await registry.client.post("/v1/imports", content=b"a,b", headers={"content-type": "text/csv"})
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")


async def test_a_bulk_with_a_key_is_taken_in_once(registry: RegistryUnderTest) -> None:
    body = {"items": [row("once"), row("", None)]}
    headers = {"Idempotency-Key": "bulk-1"}
    first = await registry.client.post("/v1/imports", json=body, headers=headers)
    second = await registry.client.post("/v1/imports", json=body, headers=headers)
    assert second.content == first.content
    assert first.json()["created"] == 1
    labels = {"outcome": "malformed"}
    assert registry.metrics_registry.get_sample_value("registry_import_rows_total", labels) == 1
