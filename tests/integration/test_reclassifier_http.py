"""The reclassifier over HTTP, on a real PostgreSQL."""

from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest

from tests.support.http import strangers_let_in
from tests.support.reclassifier_service import (
    NOON,
    RULES,
    ReclassifierUnderTest,
    reclassifier_over,
    record,
    segment,
)


@pytest.fixture
async def reclassifier(database_url: str) -> AsyncIterator[ReclassifierUnderTest]:
    async with reclassifier_over(database_url) as running:
        yield running


async def test_a_customer_is_shown_with_its_numbers_and_the_move_they_ask_for(
    reclassifier: ReclassifierUnderTest,
) -> None:
    await reclassifier.publish(segment(sequence=4, tier="bronze"))
    await reclassifier.take(record("1"), record("2"))
    shown = (await reclassifier.client.get("/v1/customers/c1/features")).json()
    sums = [[one[name] for name in ("days", "orders", "units", "value", "unpriced_lines")] for one in shown["windows"]]
    assert sums == [[30, 2, 20, "200.000000", 0], [90, 2, 20, "200.000000", 0]]
    assert (shown["recency_days"], shown["last_order_day"], shown["tier"]) == (0, "2026-03-02", "bronze")
    assert (shown["rule_set"], shown["rule_version"], shown["segment_sequence"]) == ("activity", 1, 4)
    assert shown["move_due"]["to_tier"] == "silver"
    assert shown["next_look_at"] == "2026-04-01T00:00:00Z"


async def test_a_customer_that_only_orders_know_is_shown_without_a_tier(reclassifier: ReclassifierUnderTest) -> None:
    await reclassifier.take(record("1", "c9"))
    shown = (await reclassifier.client.get("/v1/customers/c9/features")).json()
    assert (shown["tier"], shown["segment_sequence"], shown["move_due"]) == (None, None, None)


async def test_a_customer_that_nobody_knows_or_that_the_caller_may_not_see_is_not_found(
    reclassifier: ReclassifierUnderTest,
) -> None:
    await reclassifier.publish(segment())
    for path, headers in (("c2", None), ("c1", reclassifier.limited), ("x" * 128, None)):
        answer = await reclassifier.client.get(f"/v1/customers/{path}/features", headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (404, "customer_unknown")
    assert (await reclassifier.client.get(f"/v1/customers/{'x' * 129}/features")).status_code == 422


async def test_proposals_are_followed_by_their_position(reclassifier: ReclassifierUnderTest) -> None:
    names = [f"c{number}" for number in range(5)]
    await reclassifier.publish(*(segment(name) for name in names))
    await reclassifier.take(*(record(f"{name}-{n}", name) for name in names for n in range(2)))
    await reclassifier.judge()
    seen: list[str] = []
    after = 0
    while True:
        page = (await reclassifier.client.get("/v1/proposals", params={"after": after, "limit": 2})).json()
        seen += [one["customer_id"] for one in page["items"]]
        if page["next_after"] is None:
            break
        after = page["next_after"]
    assert seen == names
    assert page["items"][0]["state"] == "open"
    assert page["items"][0]["as_of"] == NOON.isoformat().replace("+00:00", "Z")
    refused = await reclassifier.client.get("/v1/proposals", headers=reclassifier.limited)
    assert refused.status_code == 403


async def test_who_is_limited_to_account_groups_changes_no_rules(reclassifier: ReclassifierUnderTest) -> None:
    before = (await reclassifier.client.get("/v1/rule-sets/activity")).json()
    body = {**before["document"], "minimum_dwell_days": 77}
    draft = (await reclassifier.client.put("/v1/rule-sets/activity", json=body)).json()
    approval = {"content_hash": draft["content_hash"]}
    tries = [
        ("PUT", "/v1/rule-sets/activity", {**body, "minimum_dwell_days": 78}),
        ("POST", f"/v1/rule-sets/activity/versions/{draft['version']}:approve", approval),
        ("POST", "/v1/rule-sets/activity/fuse:reset", {"reason": "why not"}),
    ]
    for method, path, given in tries:
        refused = await reclassifier.client.request(method, path, json=given, headers=reclassifier.limited)
        assert (refused.status_code, refused.json()["code"]) == (403, "forbidden"), path
    newest = (await reclassifier.client.get("/v1/rule-sets/activity")).json()
    assert (newest["version"], newest["approved_by"]) == (draft["version"], None)


@pytest.mark.parametrize("query", ["after=-1", "after=x", "limit=0", "limit=501", f"after={2**63}"])
async def test_a_page_outside_of_its_limits_is_refused(reclassifier: ReclassifierUnderTest, query: str) -> None:
    assert (await reclassifier.client.get(f"/v1/proposals?{query}")).status_code == 422


async def test_a_cursor_that_nobody_was_given_is_refused(reclassifier: ReclassifierUnderTest) -> None:
    answer = await reclassifier.client.get("/v1/customer-months/2026-03?after=%00")
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")


async def test_a_rule_set_is_stored_as_its_next_version(reclassifier: ReclassifierUnderTest) -> None:
    body: dict[str, Any] = {**RULES, "minimum_dwell_days": 14}
    first = await reclassifier.client.put("/v1/rule-sets/activity", json=body)
    again = await reclassifier.client.put("/v1/rule-sets/activity", json=body)
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    assert (first.json()["version"], first.json()["in_force"], first.json()["author"]) == (2, False, "ann")
    approved = await reclassifier.client.post(
        "/v1/rule-sets/activity/versions/2:approve",
        json={"content_hash": first.json()["content_hash"]},
        headers=reclassifier.second,
    )
    assert (approved.status_code, approved.json()["in_force"], approved.json()["approved_by"]) == (200, True, "bea")
    shown = await reclassifier.client.get("/v1/rule-sets/activity")
    assert shown.json()["document"]["minimum_dwell_days"] == 14
    former = (await reclassifier.client.get("/v1/rule-sets/activity", params={"version": 1})).json()
    assert (former["version"], former["in_force"], former["document"]["minimum_dwell_days"]) == (1, False, 10)
    other = await reclassifier.client.put("/v1/rule-sets/trial", json=body)
    assert (other.status_code, other.json()["in_force"]) == (201, False)
    page = (await reclassifier.client.get("/v1/rule-sets")).json()
    assert [(one["rule_set"], one["version"]) for one in page["items"]] == [("activity", 2), ("trial", 1)]
    put_back = await reclassifier.client.put("/v1/rule-sets/trial", json=shown.json()["document"])
    assert put_back.status_code == 200


@pytest.mark.parametrize("path", ["nothing", "activity?version=9"])
async def test_a_version_that_is_not_there_is_not_found(reclassifier: ReclassifierUnderTest, path: str) -> None:
    answer = await reclassifier.client.get(f"/v1/rule-sets/{path}")
    assert (answer.status_code, answer.json()["code"]) == (404, "rule_set_unknown")


LEAF: dict[str, Any] = {"feature": "orders", "window_days": 9, "at_least": 1}


def _nested(depth: int) -> dict[str, Any]:
    condition = LEAF
    for _ in range(depth):
        condition = {"not": condition}
    return condition


@pytest.mark.parametrize(
    ("condition", "status", "code"),
    [
        (_nested(20), 422, "validation_failed"),
        ({"any": [LEAF] * 1_000}, 422, "validation_failed"),
        ({"all": [{"any": [LEAF] * 100}] * 100}, 422, "validation_failed"),
        (_nested(500), 400, "malformed_json"),
        ({"any": [LEAF] * 100_000}, 413, "body_too_large"),
    ],
    ids=["deep", "wide", "bushy", "deeper than a body may be", "larger than a body may be"],
)
async def test_a_rule_tree_that_is_too_deep_or_too_large_is_refused_and_nothing_is_stored(
    reclassifier: ReclassifierUnderTest,
    condition: dict[str, Any],
    status: int,
    code: str,
    capfd: pytest.CaptureFixture[str],
) -> None:
    tables = ("rule_set", "evaluation_run", "audit", "outbox")

    async def stored() -> list[Any]:
        return [await reclassifier.fetch(f"SELECT to_jsonb(t) FROM {table} t ORDER BY 1") for table in tables]

    before = await stored()
    for part in ("promote", "demote"):
        rungs = [{**RULES["rungs"][0], part: condition}]
        answer = await reclassifier.client.put("/v1/rule-sets/activity", json={**RULES, "rungs": rungs})
        assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert await stored() == before
    lines = [orjson.loads(line) for line in capfd.readouterr().err.splitlines() if '"event":"request"' in line]
    assert [(line["status"], line["subject"]) for line in lines] == [(status, "ann")] * 2


async def test_no_route_answers_to_a_stranger(reclassifier: ReclassifierUnderTest) -> None:
    transport: Any = reclassifier.client._transport
    assert await strangers_let_in(transport.app, reclassifier.poor) == []
