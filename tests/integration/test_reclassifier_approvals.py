"""Who may put rules in force and let moves be made: every way around is refused, logged, audited, and moves nobody."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import orjson
import pytest

from services.chassis.envelope import Event
from tests.support.proposal_keys import PROOFS
from tests.support.reclassifier_service import (
    NOON,
    RULES,
    ReclassifierUnderTest,
    reclassifier_over,
    record,
    segment,
)

WHY = {"reason": "looked at"}
ORDERS = {"feature": "orders", "window_days": 365}
GENEROUS = {
    **RULES,
    "rungs": [{"tier": "gold", "promote": {**ORDERS, "at_least": 1}, "demote": {**ORDERS, "below": 1}}],
}
"""Rules by which whoever ordered once is gold."""


@pytest.fixture
async def reclassifier(database_url: str) -> AsyncIterator[ReclassifierUnderTest]:
    async with reclassifier_over(database_url) as running:
        yield running


async def _draft(running: ReclassifierUnderTest, document: dict[str, Any]) -> dict[str, Any]:
    stored: dict[str, Any] = (await running.client.put("/v1/rule-sets/activity", json=document)).json()
    return stored


async def _approve(
    running: ReclassifierUnderTest, version: int, content_hash: str, *, second: bool = True
) -> tuple[int, str]:
    answer = await running.client.post(
        f"/v1/rule-sets/activity/versions/{version}:approve",
        json={"content_hash": content_hash},
        headers=running.second if second else None,
    )
    found = answer.json()
    return answer.status_code, found.get("code") or found["approved_by"]


async def _in_force(running: ReclassifierUnderTest) -> list[int]:
    rows = await running.fetch("SELECT version FROM rule_set WHERE approved_at IS NOT NULL ORDER BY version")
    return [row["version"] for row in rows]


async def _refusals(running: ReclassifierUnderTest) -> list[tuple[str, str]]:
    """Who tried what in vain, by the audit trail."""
    rows = await running.fetch("SELECT author, detail FROM audit WHERE action LIKE '%\\_refused' ORDER BY position")
    return [(row["author"], orjson.loads(row["detail"])["refusal"]) for row in rows]


def _logged(capfd: pytest.CaptureFixture[str], event: str) -> int:
    return "".join(capfd.readouterr()).count(event)


async def test_nobody_puts_his_own_rules_in_force(
    reclassifier: ReclassifierUnderTest, capfd: pytest.CaptureFixture[str]
) -> None:
    tried = await _refusals(reclassifier)
    draft = await _draft(reclassifier, GENEROUS)
    assert await _approve(reclassifier, 2, draft["content_hash"], second=False) == (403, "own_work")
    assert await _in_force(reclassifier) == [1]
    assert await _refusals(reclassifier) == [*tried, ("ann", "own_work")]
    assert _logged(capfd, "approval_of_rules_refused") == 1


@pytest.mark.parametrize(("author", "approver"), [("ann", "ANN "), ("ANN ", "ann"), ("shipped", "shipped")])
async def test_another_case_of_a_name_and_the_name_of_the_product_are_no_second_person(
    reclassifier: ReclassifierUnderTest, author: str, approver: str
) -> None:
    def shown(name: str) -> dict[str, str] | None:
        return reclassifier.people.get(name)

    path = "/v1/rule-sets/activity"
    draft = (await reclassifier.client.put(path, json=GENEROUS, headers=shown(author))).json()
    answer = await reclassifier.client.post(
        f"{path}/versions/2:approve", json={"content_hash": draft["content_hash"]}, headers=shown(approver)
    )
    assert (answer.status_code, answer.json()["code"]) == (403, "own_work")
    assert await _in_force(reclassifier) == [1]


async def test_an_approval_is_for_the_rules_that_were_read(
    reclassifier: ReclassifierUnderTest, capfd: pytest.CaptureFixture[str]
) -> None:
    tried = await _refusals(reclassifier)
    read = await _draft(reclassifier, {**RULES, "grace_days": 1})
    edited = await _draft(reclassifier, GENEROUS)
    assert await _approve(reclassifier, 3, read["content_hash"]) == (409, "rule_set_content_differs")
    assert await _approve(reclassifier, 2, read["content_hash"]) == (200, "bea")
    assert await _draft(
        reclassifier, {**GENEROUS, "grace_days": 2}
    )  # an edit is a draft of its own, never the approved one
    assert await _in_force(reclassifier) == [1, 2]
    assert edited["in_force"] is False
    assert await _refusals(reclassifier) == [*tried, ("bea", "other_content")]
    assert _logged(capfd, "approval_of_rules_refused") == 1


async def test_a_draft_moves_nobody_however_often_everybody_is_judged(reclassifier: ReclassifierUnderTest) -> None:
    draft = await _draft(reclassifier, GENEROUS)
    names = [f"c{number}" for number in range(5)]
    await reclassifier.publish(*(segment(name, tier="bronze") for name in names))
    await reclassifier.take(*(record(name, name) for name in names))
    for day in range(3):
        await reclassifier.set_time(NOON + timedelta(days=day))
        await _everybody_is_due(reclassifier)
        assert await reclassifier.judge() == 0
    assert await reclassifier.proposed() == []
    assert await _approve(reclassifier, 2, draft["content_hash"]) == (200, "bea")
    assert await reclassifier.judge() == len(names)
    assert {one.rule_version for one in await reclassifier.proposed()} == {2}


async def test_whatever_is_published_is_proven_and_by_an_approved_version(reclassifier: ReclassifierUnderTest) -> None:
    await reclassifier.publish(segment("c1", tier="bronze"), segment("c2", tier="bronze"))
    lines = [{"line": "1", "sku": "A", "quantity": 2_000, "unit_price": "1"}]
    await reclassifier.take(record("1", "c1", lines=lines))
    assert await reclassifier.judge() == 1
    await reclassifier.set_rules(mode="propose")
    await _draft(reclassifier, GENEROUS)
    await reclassifier.take(record("2", "c2", lines=lines))
    await reclassifier.judge()
    [awaiting] = [
        one
        for one in (await reclassifier.client.get("/v1/proposals", params={"state": "awaiting"})).json()["items"]
        if one["customer_id"] == "c2"
    ]
    path = f"/v1/proposals/{awaiting['proposal_id']}:approve"
    assert (await reclassifier.client.post(path, json=WHY, headers=reclassifier.second)).status_code == 200
    rows = await reclassifier.fetch("SELECT * FROM outbox WHERE type = 'segment.proposed.v1' ORDER BY position")
    assert [PROOFS.refusal(_event(row)) for row in rows] == [None, None]
    versions = [one.rule_version for one in await reclassifier.proposed()]
    assert versions == [1, 2]
    assert set(versions) <= set(await _in_force(reclassifier))


async def test_moves_that_wait_are_not_let_through_by_the_author_of_the_rules_nor_too_late(
    reclassifier: ReclassifierUnderTest, capfd: pytest.CaptureFixture[str]
) -> None:
    draft = await _draft(reclassifier, {**GENEROUS, "mode": "propose"})
    assert await _approve(reclassifier, 2, draft["content_hash"]) == (200, "bea")
    tried = await _refusals(reclassifier)
    await reclassifier.publish(segment("c1", tier="bronze"))
    await reclassifier.take(record("1", "c1"))
    await reclassifier.judge()
    [waiting] = (await reclassifier.client.get("/v1/proposals", params={"state": "awaiting"})).json()["items"]
    path = f"/v1/proposals/{waiting['proposal_id']}:approve"
    own = await reclassifier.client.post(path, json=WHY)
    assert (own.status_code, own.json()["code"]) == (403, "own_work")
    await reclassifier.set_time(NOON + timedelta(days=8))
    late = await reclassifier.client.post(path, json=WHY, headers=reclassifier.second)
    assert (late.status_code, late.json()["code"]) == (409, "proposal_expired")
    assert await reclassifier.proposed() == []
    assert await _refusals(reclassifier) == [*tried, ("ann", "own_work"), ("bea", "expired")]
    assert _logged(capfd, "review_refused") == 2


async def test_a_whole_run_is_not_let_through_by_the_author_of_its_rules(
    reclassifier: ReclassifierUnderTest, capfd: pytest.CaptureFixture[str]
) -> None:
    names = [f"c{number}" for number in range(4)]
    await reclassifier.publish(*(segment(name, tier="bronze") for name in names))
    await reclassifier.take(*(record(name, name) for name in names))
    assert await reclassifier.judge() == 0
    draft = await _draft(reclassifier, {**GENEROUS, "mode": "propose"})
    assert await _approve(reclassifier, 2, draft["content_hash"]) == (200, "bea")
    tried = await _refusals(reclassifier)
    await reclassifier.judge()
    [run] = [one for one in (await reclassifier.client.get("/v1/runs")).json()["items"] if one["rule_version"] == 2]
    path = f"/v1/runs/{run['run_id']}:approve"
    assert (await reclassifier.client.post(path, json=WHY)).json()["code"] == "own_work"
    assert await reclassifier.proposed() == []
    assert await reclassifier.states() == ["awaiting"] * len(names)
    assert await _refusals(reclassifier) == [*tried, ("ann", "own_work")]  # one entry, however many moves
    assert _logged(capfd, "review_refused") == 1
    by_second = await reclassifier.client.post(path, json=WHY, headers=reclassifier.second)
    assert by_second.json()["decided"] == len(names)


async def _everybody_is_due(running: ReclassifierUnderTest) -> None:
    async def work(connection: Any) -> None:
        await connection.execute("UPDATE customer SET due_at = '-infinity'")

    await running.database.run(work, label="everybody is due")


def _event(row: asyncpg.Record) -> Event:
    """The event of a row of the outbox, as the relay publishes it."""
    headers = orjson.loads(row["headers"])
    return Event(
        id=headers["ce_id"],
        type=headers["ce_type"],
        source=headers["ce_source"],
        topic=row["aggregatetype"],
        key=row["aggregateid"],
        sequence=int(headers["ce_sequence"]),
        time=datetime.fromisoformat(headers["ce_time"]).astimezone(UTC),
        data=row["payload"],
        correlation_id=headers["ce_correlationid"],
        causation_id=headers["ce_causationid"],
        dataschema=headers["ce_dataschema"],
        proof=headers["ce_proof"],
    )
