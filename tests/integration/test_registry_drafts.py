"""Drafts of tiers with their policies: written by several hands, compared, submitted, approved, in effect by date."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from services.chassis.business_time import Phase, clear_replay, set_replay
from services.chassis.database import Connection
from services.segment_registry.domain.change_requests import DRAFTS_MAX
from services.segment_registry.entrypoints.change_request_documents import EffectsDocument, RequestDocument
from services.segment_registry.entrypoints.planned_effects import PlannedEffects
from services.segment_registry.entrypoints.tier_plan_routes import TierTimesDocument
from tests.support.registry_service import RegistryUnderTest, registry_over

REQUESTS = "/v1/change-requests"
HOUR = timedelta(hours=1)
NOON = datetime.now(UTC).replace(microsecond=0) + 24 * HOUR


@pytest.fixture
async def registry(database_url: str) -> AsyncIterator[RegistryUnderTest]:
    async with registry_over(database_url) as running:
        await at(running, NOON)
        await two_persons(running, asked=True)
        yield running
        await running.database.run(clear_replay, label="test")
        await two_persons(running, asked=False)


async def at(registry: RegistryUnderTest, moment: datetime) -> None:
    async def work(connection: Connection) -> None:
        await set_replay(connection, moment, Phase.SETTLE, 1)

    await registry.database.run(work, label="move the business time")


async def two_persons(registry: RegistryUnderTest, *, asked: bool) -> None:
    answer = await registry.client.put("/v1/change-rules", json={"tier_definitions": asked})
    assert answer.status_code == 200, answer.text


def tier(name: str, rank: int, *, base: int | None = 0, start: datetime | None = None, **policy: Any) -> dict[str, Any]:
    return {
        "kind": "tier",
        "tier": name,
        "base_version": base,
        "effective_from": None if start is None else start.isoformat(),
        "definition": {"name": name.title(), "priority_rank": rank, "policy": policy},
    }


async def send(
    registry: RegistryUnderTest, method: str, path: str, who: str = "", version: str = "", **body: Any
) -> httpx.Response:
    headers = dict(registry.bob if who == "bob" else registry.keys[who] if who else {})
    return await registry.client.request(
        method, path, json=body, headers=headers | ({"If-Match": version} if version else {})
    )


async def draft(registry: RegistryUnderTest, content: dict[str, Any], who: str = "") -> RequestDocument:
    answer = await send(registry, "POST", REQUESTS, who, reason="next season", draft=True, content=content)
    assert answer.status_code == 201, answer.text
    return RequestDocument.model_validate_json(answer.content)


async def step(
    registry: RegistryUnderTest, request: RequestDocument, name: str, who: str = "", **body: Any
) -> tuple[int, str]:
    """The status, and the state or the code."""
    answer = await send(registry, "POST", f"{REQUESTS}/{request.request_id}:{name}", who, **body)
    found = answer.json()
    return answer.status_code, found.get("code") or found["state"]


async def look(registry: RegistryUnderTest, request: RequestDocument) -> RequestDocument:
    answer = await registry.client.get(f"{REQUESTS}/{request.request_id}")
    assert answer.headers["etag"] == f'"{answer.json()["revision"]}"'
    return RequestDocument.model_validate_json(answer.content)


async def edit(registry: RegistryUnderTest, request: RequestDocument, content: dict[str, Any], who: str = "") -> Any:
    path = f"{REQUESTS}/{request.request_id}"
    return (await send(registry, "PUT", path, who, reason="better", content=content)).json()


async def test_a_draft_becomes_the_tier_on_its_day_by_two_persons(registry: RegistryUnderTest) -> None:
    made = await draft(registry, tier("jade", 310, start=NOON + HOUR, lead_time_days=2))
    assert (made.state, made.expires_at, made.revision) == ("draft", None, 1)
    assert await step(registry, made, "apply") == (409, "not_carried_out")  # the rules ask for a second person
    assert await step(registry, made, "submit", content_sha256=made.content_sha256) == (200, "open")
    opened = await look(registry, made)
    assert opened.expires_at == NOON + timedelta(days=14)
    assert await step(registry, made, "approve", "ann's other key", content_sha256=made.content_sha256) == (
        403,
        "own_request",
    )
    assert await step(registry, made, "approve", "approver", content_sha256=made.content_sha256) == (200, "approved")
    assert await step(registry, made, "apply", "bob") == (200, "applied")
    planned = await times(registry, "jade")
    [plan] = planned.planned
    assert (plan.request_id, plan.approver, plan.author, plan.effective_from) == (
        made.request_id,
        "ava",
        "ann",
        NOON + HOUR,
    )
    assert (planned.versions, planned.requests) == ((), ())
    await at(registry, NOON + HOUR)
    await PlannedEffects(registry.transactions, registry.metrics, poll_seconds=1.0).settle()
    [version] = (await times(registry, "jade")).versions
    assert (version.request_id, version.approver, version.author) == (made.request_id, "ava", "ann")
    assert (version.definition.version, version.definition.policy.lead_time_days) == (1, 2)
    actions = [row["action"] for row in await registry.audit(made.request_id)]
    assert actions == [
        "change_request.drafted",
        "change_request.not_applied",
        "change_request.submitted",
        "change_request.refused",
        "change_request.approved",
        "change_request.applied",
    ]


async def times(registry: RegistryUnderTest, name: str) -> TierTimesDocument:
    answer = await registry.client.get(f"/v1/tiers/{name}/versions")
    assert answer.status_code == 200, answer.text
    return TierTimesDocument.model_validate_json(answer.content)


async def test_a_draft_shows_what_it_would_change_from_what_it_replaces(registry: RegistryUnderTest) -> None:
    await two_persons(registry, asked=False)
    definition = tier("opal", 320, lead_time_days=4)["definition"]
    assert (await send(registry, "PUT", "/v1/tiers/opal", **definition)).status_code == 201
    definition = tier("opal", 321, lead_time_days=5)["definition"]
    plan = {"effective_from": (NOON + HOUR).isoformat(), "definition": definition}
    assert (await send(registry, "POST", "/v1/tiers/opal/plans", **plan)).status_code == 201
    found = []
    for start in (None, NOON + HOUR / 2, NOON + 2 * HOUR):
        made = await draft(registry, tier("opal", 321, base=1, start=start, lead_time_days=5, pick_priority=7))
        answer = await registry.client.get(f"{REQUESTS}/{made.request_id}/effects")
        effects = EffectsDocument.model_validate_json(answer.content)
        found.append([(each.path, each.before, each.after) for each in effects.differences])
    now = [
        ("/policy/lead_time_days", 4, 5),
        ("/policy/pick_priority", None, 7),
        ("/priority_rank", 320, 321),
    ]
    assert found == [now, now, [("/policy/pick_priority", None, 7)]]
    assert [each.state for each in (await times(registry, "opal")).requests] == ["draft"] * 3


async def test_of_two_editors_the_one_who_looked_at_an_older_revision_is_told(registry: RegistryUnderTest) -> None:
    made = await draft(registry, tier("ruby", 330))
    path = f"{REQUESTS}/{made.request_id}"
    answers = await asyncio.gather(
        *(
            send(registry, "PUT", path, who, '"1"', reason=who, content=tier("ruby", rank))
            for who, rank in (("bob", 331), ("writer", 332), ("writer", 333))
        )
    )
    assert sorted(each.status_code for each in answers) == [200, 412, 412]
    [won] = [each for each in answers if each.status_code == 200]
    found = await look(registry, made)
    assert (found.revision, won.headers["etag"]) == (2, '"2"')
    assert found.content == won.json()["content"]
    assert (await send(registry, "PUT", path, "", "2", reason="x", content=tier("ruby", 1))).status_code == 400


async def test_what_is_edited_between_submission_and_approval_is_not_approved(registry: RegistryUnderTest) -> None:
    made = await draft(registry, tier("onyx", 340))
    await edit(registry, made, tier("onyx", 341), "bob")
    assert await step(registry, made, "submit", content_sha256=made.content_sha256) == (409, "content_changed")
    looked_at = (await look(registry, made)).content_sha256
    assert await step(registry, made, "submit", content_sha256=looked_at) == (200, "open")
    await edit(registry, made, tier("onyx", 342))
    assert await step(registry, made, "approve", "approver", content_sha256=looked_at) == (409, "content_changed")
    # Whoever edited a draft is one of its authors, and so is who submitted it.
    assert await step(registry, made, "approve", "bob's approver key", content_sha256=looked_at) == (403, "own_request")
    now = (await look(registry, made)).content_sha256
    assert await step(registry, made, "approve", "approver", content_sha256=now) == (200, "approved")
    assert (await edit(registry, made, tier("onyx", 343)))["code"] == "edit_after_approval"
    assert await step(registry, made, "redraft", "writer") == (403, "not_the_author")
    assert await step(registry, made, "redraft") == (200, "draft")
    void = await look(registry, made)
    assert (void.approver, void.approved_at, void.expires_at) == (None, None, None)
    assert await step(registry, made, "apply") == (409, "not_carried_out")
    assert await step(registry, made, "approve", "approver", content_sha256=now) == (409, "not_submitted")
    assert (await registry.client.get("/v1/tiers/onyx")).status_code == 404


async def test_a_draft_that_could_not_be_defined_so_is_kept_and_not_submitted(registry: RegistryUnderTest) -> None:
    wrong = {
        "plan_not_ahead": tier("pearl", 350, start=NOON),
        "version_mismatch": tier("gold", 1, base=7, start=NOON + HOUR),
        "rank_taken": tier("pearl", 1, base=None),
        "default_required": tier("standard", 1_000, base=None),
    }
    for cause, content in wrong.items():
        made = await draft(registry, content)
        path = f"{REQUESTS}/{made.request_id}:submit"
        refused = await send(registry, "POST", path, content_sha256=made.content_sha256)
        assert (refused.status_code, refused.json()["cause"]) == (409, cause)
        assert (await look(registry, made)).state == "draft"
    late = await send(registry, "POST", REQUESTS, reason="x", content=wrong["plan_not_ahead"])
    assert (late.status_code, late.json()["code"]) == (422, "plan_not_ahead")


async def test_of_two_drafts_for_the_same_moment_one_is_planned(registry: RegistryUnderTest) -> None:
    made = [await draft(registry, tier("coral", 360 + n, start=NOON + HOUR)) for n in range(2)]
    for each in made:
        assert await step(registry, each, "submit", content_sha256=each.content_sha256) == (200, "open")
        approved = await step(registry, each, "approve", "approver", content_sha256=each.content_sha256)
        assert approved == (200, "approved")
    outcomes = await asyncio.gather(*(step(registry, each, "apply") for each in made))
    assert sorted(outcomes) == [(200, "applied"), (409, "not_carried_out")]
    assert len((await times(registry, "coral")).planned) == 1


async def test_a_planned_draft_is_refused_once_the_tier_has_moved_on(registry: RegistryUnderTest) -> None:
    await two_persons(registry, asked=False)
    assert (await send(registry, "PUT", "/v1/tiers/topaz", **tier("topaz", 370)["definition"])).status_code == 201
    made = await draft(registry, tier("topaz", 371, base=1, start=NOON + HOUR))
    assert (await send(registry, "PUT", "/v1/tiers/topaz", **tier("topaz", 372)["definition"])).status_code == 200
    answer = await send(registry, "POST", f"{REQUESTS}/{made.request_id}:apply")
    assert (answer.status_code, answer.json()["cause"]) == (409, "version_mismatch")


async def test_where_nobody_is_asked_a_draft_is_put_into_effect_by_one(registry: RegistryUnderTest) -> None:
    await two_persons(registry, asked=False)
    made = await draft(registry, tier("amber", 380))
    outcomes = await asyncio.gather(*(step(registry, made, "apply") for _ in range(3)))
    assert sorted(outcomes) == [(200, "applied"), (409, "request_closed"), (409, "request_closed")]
    [version] = (await times(registry, "amber")).versions
    assert (version.request_id, version.approver) == (made.request_id, None)
    assert version.author == "ann"
    theirs = await draft(registry, tier("amber", 382, base=1))
    assert await step(registry, theirs, "apply", "writer") == (200, "applied")
    newest = max((await times(registry, "amber")).versions, key=lambda each: each.definition.version)
    assert (newest.definition.version, newest.author, newest.approver) == (2, "wendy", None)  # she alone decided it
    # A draft of anything else is submitted, and whatever is submitted is approved.
    moves = {"kind": "change_rules", "rules": {"key_accounts": True}}
    assert await step(registry, await draft(registry, moves), "apply") == (409, "not_submitted")
    other = await draft(registry, tier("amber", 381, base=2))
    assert await step(registry, other, "submit", content_sha256=other.content_sha256) == (200, "open")
    assert await step(registry, other, "apply") == (409, "not_approved")


async def test_a_dry_run_counts_everybody_whom_the_tier_serves(registry: RegistryUnderTest) -> None:
    async def counted(name: str) -> int:
        defined = (await registry.client.get(f"/v1/tiers/{name}")).json()
        body = {each: defined[each] for each in ("name", "priority_rank", "is_default", "active")}
        made = await draft(registry, {"kind": "tier", "tier": name, "definition": body})
        count: int = (await registry.client.get(f"{REQUESTS}/{made.request_id}/effects")).json()["customers"]
        assert await step(registry, made, "withdraw", reason="counted") == (200, "withdrawn")
        return count

    before = {name: await counted(name) for name in ("standard", "silver", "gold")}
    nobody, _, over, twin = [
        await registry.new_customer(f"counted {number}", assigned)
        for number, assigned in enumerate((None, "standard", "silver", "silver"))
    ]
    until = (datetime.now(UTC) + timedelta(days=900)).isoformat()
    await registry.assign(over, "gold", kind="override", reason="fair", effective_to=until)
    assert {name: await counted(name) - before[name] for name in before} == {"standard": 2, "silver": 1, "gold": 1}
    merged = await registry.client.post(f"/v1/customers/{twin}:merge", json={"into": nobody, "reason": "one firm"})
    assert merged.status_code == 200
    assert {name: await counted(name) - before[name] for name in before} == {"standard": 2, "silver": 0, "gold": 1}


async def test_a_draft_waits_and_is_withdrawn_by_its_authors_alone(registry: RegistryUnderTest) -> None:
    made = await draft(registry, tier("beryl", 390))
    await at(registry, NOON + timedelta(days=400))
    assert (await look(registry, made)).state == "draft"
    assert await step(registry, made, "reject", "approver", reason="no") == (409, "not_submitted")
    assert await step(registry, made, "withdraw", "writer", reason="no") == (403, "not_the_author")
    assert await step(registry, made, "withdraw", reason="not now") == (200, "withdrawn")
    assert await step(registry, made, "submit", content_sha256=made.content_sha256) == (409, "request_closed")
    assert (await registry.client.get("/v1/tiers/beryl/versions")).status_code == 404


async def test_a_request_that_nobody_decided_in_time_is_made_a_draft_again(registry: RegistryUnderTest) -> None:
    made = await draft(registry, tier("agate", 400))
    assert await step(registry, made, "submit", content_sha256=made.content_sha256) == (200, "open")
    assert await step(registry, made, "submit", content_sha256=made.content_sha256) == (409, "already_submitted")
    await at(registry, NOON + timedelta(days=15))
    assert (await look(registry, made)).state == "expired"
    assert await step(registry, made, "redraft") == (200, "draft")
    assert await step(registry, made, "submit", content_sha256=made.content_sha256) == (200, "open")


async def test_who_may_not_write_drafts_nothing_and_there_is_an_end_to_drafts(registry: RegistryUnderTest) -> None:
    body: dict[str, Any] = {"reason": "x", "draft": True, "content": tier("flint", 410)}
    assert (await send(registry, "POST", REQUESTS, "approver", **body)).status_code == 403
    bulk = {"kind": "import", "items": [{"identifiers": [{"system": "erp", "id": "one"}]}]}
    assert (await send(registry, "POST", REQUESTS, "writer", **(body | {"content": bulk}))).status_code == 403
    there = len((await registry.client.get(REQUESTS, params={"state": "draft", "limit": 100})).json()["items"])
    made = [await send(registry, "POST", REQUESTS, "writer", **body) for _ in range(DRAFTS_MAX - there + 1)]
    assert {each.status_code for each in made[:-1]} == {201}
    assert (made[-1].status_code, made[-1].json()["code"]) == (409, "too_many_drafts")
    for each in made[:-1]:
        path = f"{REQUESTS}/{each.json()['request_id']}:withdraw"
        assert (await send(registry, "POST", path, "writer", reason="done")).status_code == 200


async def test_the_table_refuses_an_approver_of_a_draft_and_an_unapproved_change(registry: RegistryUnderTest) -> None:
    made = await draft(registry, tier("slate", 420))
    for forged in (
        "state = 'approved'",
        "approver = 'eve', approved_sha256 = 'x'",
        "state = 'applied', closed_at = now(), kind = 'assignments'",
        "state = 'open'",
    ):

        async def write(connection: Connection, forged: str = forged) -> None:
            await connection.execute(f"UPDATE change_request SET {forged} WHERE request_id = $1", made.request_id)

        with pytest.raises(Exception, match=r"change_request_(approver|submitted)"):
            await registry.database.run(write, label="forge")


async def test_of_an_edit_and_an_approval_at_the_same_moment_one_is_refused(registry: RegistryUnderTest) -> None:
    for n in range(8):
        made = await draft(registry, tier(f"race-{n}", 430))
        assert await step(registry, made, "submit", content_sha256=made.content_sha256) == (200, "open")
        edited, approved = await asyncio.gather(
            edit(registry, made, tier(f"race-{n}", 431), "bob"),
            step(registry, made, "approve", "approver", content_sha256=made.content_sha256),
        )
        if approved == (200, "approved"):
            assert edited["code"] == "edit_after_approval"
        else:
            assert (approved, edited["revision"]) == ((409, "content_changed"), 2)
        found = await look(registry, made)
        assert (found.state == "approved") == (found.content_sha256 == made.content_sha256)
        assert await step(registry, made, "withdraw", reason="done") == (200, "withdrawn")
