"""How moves are made: drafts and approvals of rules, modes, runs to review, cuts and the fuse, on a real PostgreSQL."""

import random
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from services.contracts.catalogue import decode
from tests.support.reclassifier_service import (
    NOON,
    RULES,
    ReclassifierUnderTest,
    reclassifier_over,
    record,
    segment,
)

DAILY = {"every": "day", "at": "13:00", "zone": "UTC"}
WHY = {"reason": "looked at"}


@pytest.fixture
async def reclassifier(database_url: str) -> AsyncIterator[ReclassifierUnderTest]:
    async with reclassifier_over(database_url) as running:
        yield running


def _worth(order_id: str, customer_id: str, value: int) -> dict[str, Any]:
    lines = [{"line": "1", "sku": "A", "quantity": value, "unit_price": "1"}]
    return record(order_id, customer_id, lines=lines)


async def _rich(running: ReclassifierUnderTest, count: int, *, tier: str = "bronze") -> list[str]:
    """So many customers whose numbers say gold."""
    names = [f"c{number}" for number in range(1, count + 1)]
    await running.publish(*(segment(name, tier=tier) for name in names))
    await running.take(*(_worth(name, name, 2_000) for name in names))
    await running.judge()
    return names


async def _post(running: ReclassifierUnderTest, path: str, body: Any, *, second: bool = True) -> httpx.Response:
    return await running.client.post(path, json=body, headers=running.second if second else None)


async def _proposals(running: ReclassifierUnderTest, **query: Any) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = (await running.client.get("/v1/proposals", params=query)).json()["items"]
    return items


async def _audited(running: ReclassifierUnderTest) -> list[str]:
    page = (await running.client.get("/v1/audit", params={"limit": 500})).json()
    return [one["action"] for one in page["items"]][-6:]


async def test_a_draft_is_not_in_force_until_another_person_approves_what_is_stored(
    reclassifier: ReclassifierUnderTest,
) -> None:
    draft = (await reclassifier.client.put("/v1/rule-sets/activity", json={**RULES, "mode": "shadow"})).json()
    await _rich(reclassifier, 1)
    assert await reclassifier.states() == ["open"]
    path, bound = "/v1/rule-sets/activity/versions/2:approve", {"content_hash": draft["content_hash"]}
    own = await _post(reclassifier, path, bound, second=False)
    assert (own.status_code, own.json()["code"]) == (403, "own_work")
    other = await _post(reclassifier, path, {"content_hash": "0" * 64})
    assert (other.status_code, other.json()["code"]) == (409, "rule_set_content_differs")
    unknown = await _post(reclassifier, "/v1/rule-sets/activity/versions/9:approve", bound)
    assert (unknown.status_code, unknown.json()["code"]) == (404, "rule_set_unknown")
    for _ in range(2):
        done = await _post(reclassifier, path, bound)
        assert (done.status_code, done.json()["in_force"], done.json()["approved_by"]) == (200, True, "bea")
    await reclassifier.judge()
    assert await reclassifier.states() == ["superseded", "shadow"]
    tried = ["rule_set.approval_refused"] * 2
    assert (await _audited(reclassifier))[-4:] == ["rule_set.changed", *tried, "rule_set.approved"]


async def test_an_older_draft_is_not_put_in_force_over_a_newer_version(reclassifier: ReclassifierUnderTest) -> None:
    old = (await reclassifier.client.put("/v1/rule-sets/activity", json={**RULES, "grace_days": 1})).json()
    await reclassifier.set_rules(grace_days=2)
    answer = await _post(
        reclassifier, "/v1/rule-sets/activity/versions/2:approve", {"content_hash": old["content_hash"]}
    )
    assert (answer.status_code, answer.json()["code"]) == (409, "rule_set_overtaken")


async def test_a_shadow_is_recorded_and_nobody_is_told(reclassifier: ReclassifierUnderTest) -> None:
    await reclassifier.set_rules(mode="shadow")
    await _rich(reclassifier, 2)
    assert await reclassifier.states() == ["shadow", "shadow"]
    assert await reclassifier.proposed() == []
    assert reclassifier.metrics.held.at("shadow")._value.get() == 2


async def test_a_person_lets_a_move_be_made_or_refuses_it(reclassifier: ReclassifierUnderTest) -> None:
    await reclassifier.set_rules(mode="propose", cool_down_days=3)
    await _rich(reclassifier, 2)
    first, second = await _proposals(reclassifier, state="awaiting")
    assert (first["held_by"], await reclassifier.proposed()) == ("mode", [])
    passed = await _post(reclassifier, f"/v1/proposals/{first['proposal_id']}:approve", WHY)
    assert (passed.json()["state"], passed.json()["decided_by"]) == ("open", "bea")
    refused = await _post(reclassifier, f"/v1/proposals/{second['proposal_id']}:reject", WHY)
    assert refused.json()["state"] == "rejected"
    again = await _post(reclassifier, f"/v1/proposals/{second['proposal_id']}:approve", WHY)
    assert (again.status_code, again.json()["code"]) == (409, "proposal_not_awaiting")
    (published,) = await reclassifier.proposed()
    assert (published.proposal_id, published.reason.endswith(" (approved by bea)")) == (first["proposal_id"], True)
    audited = (await _audited(reclassifier))[-3:]
    assert audited == ["proposal.approved", "proposal.rejected", "proposal.review_refused"]
    await reclassifier.take(_worth("more", "c2", 1))
    assert await reclassifier.judge() == 0
    await reclassifier.set_time(NOON + timedelta(days=3))
    assert await reclassifier.judge() == 1


async def test_nobody_lets_moves_pass_by_rules_that_he_wrote(reclassifier: ReclassifierUnderTest) -> None:
    draft = (await reclassifier.client.put("/v1/rule-sets/activity", json={**RULES, "mode": "propose"})).json()
    bound = {"content_hash": draft["content_hash"]}
    approved = await _post(reclassifier, "/v1/rule-sets/activity/versions/2:approve", bound)
    assert approved.status_code == 200
    await _rich(reclassifier, 1)
    (proposal,) = await _proposals(reclassifier, state="awaiting")
    path = f"/v1/proposals/{proposal['proposal_id']}"
    own = await _post(reclassifier, f"{path}:approve", WHY, second=False)
    assert (own.status_code, own.json()["code"]) == (403, "own_work")
    assert (await _post(reclassifier, f"{path}:reject", WHY, second=False)).status_code == 200


async def test_a_proposal_that_waited_too_long_or_was_overtaken_is_not_made(
    reclassifier: ReclassifierUnderTest,
) -> None:
    await reclassifier.set_rules(mode="propose")
    await _rich(reclassifier, 2)
    first, second = await _proposals(reclassifier, state="awaiting")
    await reclassifier.publish(segment("c1", sequence=9, tier="silver"))
    overtaken = await _post(reclassifier, f"/v1/proposals/{first['proposal_id']}:approve", WHY)
    assert (overtaken.status_code, overtaken.json()["code"]) == (409, "proposal_not_awaiting")
    await reclassifier.set_time(NOON + timedelta(days=7))
    late = await _post(reclassifier, f"/v1/proposals/{second['proposal_id']}:approve", WHY)
    assert (late.status_code, late.json()["code"]) == (409, "proposal_expired")
    assert (await reclassifier.states())[:2] == ["overtaken", "expired"]
    unknown = await _post(reclassifier, "/v1/proposals/00000000-0000-0000-0000-000000000000:approve", WHY)
    assert (unknown.status_code, unknown.json()["code"]) == (404, "proposal_unknown")


async def test_a_proposal_that_the_numbers_no_longer_ask_for_is_withdrawn(reclassifier: ReclassifierUnderTest) -> None:
    await reclassifier.set_rules(mode="propose")
    await _rich(reclassifier, 1)
    await reclassifier.take(record("c1", sequence=2, change="cancelled"))
    await reclassifier.judge()
    assert await reclassifier.states() == ["overtaken"]


async def test_a_customer_is_left_alone_after_a_proposal_that_the_numbers_overtook(
    reclassifier: ReclassifierUnderTest,
) -> None:
    await reclassifier.set_rules(mode="propose", cool_down_days=3)
    await reclassifier.publish(segment("c1", tier="bronze"))
    await reclassifier.take(_worth("1", "c1", 10), _worth("2", "c1", 10))
    await reclassifier.judge()
    await reclassifier.take(_worth("3", "c1", 2_000))  # not silver any more: gold
    await reclassifier.judge()
    assert await reclassifier.states() == ["overtaken"]
    await reclassifier.set_time(NOON + timedelta(days=3) - timedelta(microseconds=1))
    assert await reclassifier.judge() == 0
    await reclassifier.set_time(NOON + timedelta(days=3))
    assert await reclassifier.judge() == 1
    (proposal,) = await _proposals(reclassifier, state="awaiting")
    assert proposal["to_tier"] == "gold"


async def test_a_jump_beyond_what_is_stated_awaits_a_person(reclassifier: ReclassifierUnderTest) -> None:
    await reclassifier.set_rules(automatic_jump_max=1)
    await reclassifier.publish(segment("c1", tier="bronze"), segment("c2", tier="silver"))
    await reclassifier.take(_worth("1", "c1", 2_000), _worth("2", "c2", 2_000))
    await reclassifier.judge()
    found = await _proposals(reclassifier)
    assert [(one["customer_id"], one["state"], one["held_by"]) for one in found] == [
        ("c1", "awaiting", "jump"),
        ("c2", "open", None),
    ]


async def test_a_calendar_run_is_one_batch_to_review(reclassifier: ReclassifierUnderTest) -> None:
    await reclassifier.set_rules(mode="propose", by_events=False, calendar=DAILY)
    await reclassifier.judge()
    names = await _rich(reclassifier, 3)
    assert await reclassifier.states() == []  # news alone judge nobody
    await reclassifier.set_time(NOON + timedelta(hours=1))
    await reclassifier.judge()
    runs = (await reclassifier.client.get("/v1/runs")).json()["items"]
    assert [(one["cause"], one["rule_version"]) for one in runs][:2] == [("calendar", 2), ("version", 2)]
    run_id = runs[0]["run_id"]
    run = (await reclassifier.client.get(f"/v1/runs/{run_id}")).json()
    assert (run["waiting"], run["proposals"]) == (0, {"awaiting": 3})
    assert [one["customer_id"] for one in await _proposals(reclassifier, run_id=run_id)] == names
    reviewed = (await _post(reclassifier, f"/v1/runs/{run_id}:approve", WHY)).json()
    assert (reviewed["decided"], reviewed["run"]["proposals"]) == (3, {"open": 3})
    assert [one.customer_id for one in await reclassifier.proposed()] == names
    assert (await _post(reclassifier, f"/v1/runs/{run_id}:reject", WHY)).json()["decided"] == 0
    assert (await _post(reclassifier, "/v1/runs/999:reject", WHY)).status_code == 404


async def test_the_limits_of_shares_are_those_of_a_full_sort_at_the_cut(reclassifier: ReclassifierUnderTest) -> None:
    draw = random.Random(3)
    worth = {f"c{number:03}": draw.choice([0, 1, 2, 2, 3, draw.randrange(1, 5_000)]) for number in range(237)}
    await reclassifier.publish(*(segment(name) for name in worth), segment("gone", status="deleted"))
    await reclassifier.take(*(_worth(name, name, value) for name, value in worth.items() if value))
    await reclassifier.take(_worth("gone", "gone", 10**6))
    shares = ("0.1", "5", "20", "33.333333", "100")
    top = [{"feature": "value", "window_days": 365, "in_top_percent": share} for share in shares]
    rungs = [{"tier": "gold", "promote": top[1], "demote": {"any": [{"not": one} for one in top]}}]
    await reclassifier.set_rules(rungs=rungs, calendar=DAILY)
    (cut,) = await reclassifier.fetch("SELECT * FROM rule_cut")
    ordered = sorted(worth.values(), reverse=True)
    assert cut["population"] == len(ordered)
    expected = []
    for share in shares:
        inside = len(ordered) * int(float(share) * 10**6) // 10**8
        expected.append(None if not inside else str(ordered[inside - 1] * 10**6))
    assert [one[3] for one in sorted(_read(cut["limits"]), key=lambda one: one[2])] == expected
    await reclassifier.judge()
    gold = {one["customer_id"] for one in await _proposals(reclassifier, limit=500) if one["to_tier"] == "gold"}
    assert gold == set()  # nobody is in the top 0.1 % of 237, which the demotion asks for


async def test_between_cuts_the_last_limit_counts_and_a_stale_one_moves_nobody(
    reclassifier: ReclassifierUnderTest,
) -> None:
    top = {"feature": "value", "window_days": 365, "in_top_percent": "50"}
    rungs = [{"tier": "gold", "promote": top, "demote": {"not": top}}]
    await reclassifier.publish(segment("c1"), segment("c2"))
    await reclassifier.take(_worth("1", "c1", 100), _worth("2", "c2", 90))
    weekly = {"every": "week", "on": 1, "at": "03:00", "zone": "UTC"}
    await reclassifier.set_rules(rungs=rungs, calendar=weekly, cut_stale_days=2)
    await reclassifier.judge()
    assert [one["customer_id"] for one in await _proposals(reclassifier)] == ["c1"]
    await reclassifier.take(_worth("3", "c2", 10))
    await reclassifier.judge()
    assert [one["customer_id"] for one in await _proposals(reclassifier)] == ["c1", "c2"]
    await reclassifier.publish(segment("c3"))
    await reclassifier.set_time(NOON + timedelta(days=3))
    await reclassifier.take(_worth("4", "c3", 500))
    await reclassifier.judge()
    assert [one["customer_id"] for one in await _proposals(reclassifier)] == ["c1", "c2"]


def _read(limits: str) -> list[list[Any]]:
    import orjson

    found: list[list[Any]] = orjson.loads(limits)
    return found


async def _fuse(running: ReclassifierUnderTest) -> dict[str, Any]:
    shown: dict[str, Any] = (await running.client.get("/v1/rule-sets/activity/fuse")).json()
    return shown


async def test_the_fuse_stops_moves_says_so_and_is_reset_by_a_person(reclassifier: ReclassifierUnderTest) -> None:
    await reclassifier.set_rules(fuse={"moves_max": 3, "within_hours": 24})
    await _rich(reclassifier, 3)
    assert (await reclassifier.states(), (await _fuse(reclassifier))["blown"]) == (["open"] * 3, False)
    await reclassifier.publish(segment("c8"), segment("c9"))
    await reclassifier.take(_worth("8", "c8", 2_000), _worth("9", "c9", 2_000))
    await reclassifier.judge()
    assert await reclassifier.states() == ["open"] * 3 + ["awaiting"] * 2
    shown = await _fuse(reclassifier)
    assert (shown["blown"], shown["moves"], shown["limit"]) == (True, 5, 3)
    assert reclassifier.metrics.fuse_blown._value.get() == 1
    assert (await _audited(reclassifier))[-1] == "fuse.blown"
    assert (await _proposals(reclassifier, state="awaiting"))[0]["held_by"] == "fuse"
    reset = await _post(reclassifier, "/v1/rule-sets/activity/fuse:reset", {"reason": "the spring sale"})
    assert (reset.status_code, reset.json()["blown"]) == (200, False)
    again = await _post(reclassifier, "/v1/rule-sets/activity/fuse:reset", {"reason": "once more"})
    assert (again.status_code, again.json()["code"]) == (409, "fuse_whole")
    rows = await reclassifier.fetch(
        "SELECT type, payload FROM outbox WHERE type LIKE 'reclassification%' ORDER BY position"
    )
    told = [decode(row["type"], row["payload"]) for row in rows]
    assert [type(one).__name__ for one in told] == ["ReclassificationStopped", "ReclassificationResumed"]
    await reclassifier.set_time(NOON + timedelta(hours=25))
    await reclassifier.publish(segment("d1"))
    await reclassifier.take(_worth("d1", "d1", 2_000))
    await reclassifier.judge()
    assert (await reclassifier.states())[-1] == "open"
    assert reclassifier.metrics.fuse_blown._value.get() == 0


async def test_the_fuse_may_be_a_share_of_all_customers(reclassifier: ReclassifierUnderTest) -> None:
    await reclassifier.set_rules(fuse={"moves_max": 1, "within_hours": 1, "share_percent": "50"})
    await reclassifier.publish(*(segment(f"poor{number}") for number in range(4)))
    await _rich(reclassifier, 4)
    assert await reclassifier.states() == ["open"] * 4
    await reclassifier.publish(segment("c9"))
    await reclassifier.take(_worth("9", "c9", 2_000))
    await reclassifier.judge()
    assert await reclassifier.states() == ["open"] * 4 + ["awaiting"]


async def test_grace_is_kept_between_evaluations(reclassifier: ReclassifierUnderTest) -> None:
    await reclassifier.set_rules(grace_days=5)
    await reclassifier.publish(segment(tier="gold"))
    await reclassifier.take(_worth("1", "c1", 2_000))
    await reclassifier.judge()
    moments: list[datetime] = []
    for day in range(85, 100):
        await reclassifier.set_time(NOON + timedelta(days=day))
        if await reclassifier.judge():
            moments.append(NOON + timedelta(days=day))
    assert moments == [NOON + timedelta(days=95)]  # the order left the window on the 90th day
