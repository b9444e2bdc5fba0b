"""What needs a second person, how a change request goes, and every way around it that is refused."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import orjson
import pytest

from services.chassis.business_time import Phase, clear_replay, set_replay
from services.chassis.database import Connection
from services.segment_registry.adapters.atp_api import AtpApi
from services.segment_registry.application.apply_proposals import ReceivedProposal, apply_proposals
from services.segment_registry.application.dry_run import Effects, dry_run
from services.segment_registry.application.ports import Cause, ProposalVerdict
from services.segment_registry.domain.proposals import Proposal, ProposalRefusal
from services.segment_registry.domain.timeline import Evidence
from services.segment_registry.entrypoints.change_contents import change_of
from services.segment_registry.entrypoints.change_request_documents import (
    BothHandsDocument,
    EffectsDocument,
    RequestDocument,
    RequestPage,
)
from tests.support.registry_service import RegistryUnderTest, registry_over

REQUESTS = "/v1/change-requests"
NOON = datetime.now(UTC).replace(microsecond=0)
HOUR = timedelta(hours=1)
STRICT: dict[str, Any] = {"jump_ranks_max": 1, "key_accounts": True, "contract_downgrades": True, "bulk_rows_max": 2}
CONTRACT = {"contract": {"starts": "2025-01-01"}}


@pytest.fixture
async def registry(database_url: str) -> AsyncIterator[RegistryUnderTest]:
    async with registry_over(database_url) as running:
        await govern(running, STRICT)
        yield running
        await running.database.run(clear_replay, label="test")
        await govern(running, {})


async def govern(registry: RegistryUnderTest, rules: dict[str, Any], expected: int = 200) -> dict[str, Any]:
    answer = await registry.client.put("/v1/change-rules", json=rules)
    assert answer.status_code == expected, answer.text
    document: dict[str, Any] = answer.json()
    return document


async def at(registry: RegistryUnderTest, moment: datetime) -> None:
    async def work(connection: Connection) -> None:
        await set_replay(connection, moment, Phase.SETTLE, 1)

    await registry.database.run(work, label="move the business time")


def moves(*wanted: tuple[str, str]) -> dict[str, Any]:
    listed = [{"customer_id": customer, "tier": tier, "reason": "agreed"} for customer, tier in wanted]
    return {"kind": "assignments", "moves": listed}


async def propose(registry: RegistryUnderTest, content: dict[str, Any], expected: int = 201) -> RequestDocument:
    answer = await registry.client.post(REQUESTS, json={"reason": "please", "content": content})
    assert answer.status_code == expected, answer.text
    return RequestDocument.model_validate_json(answer.content)


async def step(
    registry: RegistryUnderTest, request: RequestDocument, name: str, who: str = "", **body: Any
) -> tuple[int, str]:
    """The status, and the state or the code."""
    headers = registry.keys[who] if who else {}
    answer = await registry.client.post(f"{REQUESTS}/{request.request_id}:{name}", json=body, headers=headers)
    found = answer.json()
    return answer.status_code, found.get("code") or found["state"]


async def approve(registry: RegistryUnderTest, request: RequestDocument, who: str = "approver") -> tuple[int, str]:
    return await step(registry, request, "approve", who, content_sha256=request.content_sha256)


async def tier_of(registry: RegistryUnderTest, customer: str) -> str:
    tier: str = (await registry.client.get(f"/v1/customers/{customer}/tier")).json()["tier"]
    return tier


async def test_one_proposes_another_approves_and_it_is_carried_out_once(registry: RegistryUnderTest) -> None:
    customer = await registry.new_customer("jumper")
    refused = await registry.client.post(f"/v1/customers/{customer}/assignments", json={"tier": "gold"})
    assert (refused.status_code, refused.json()["code"], refused.json()["needs"]) == (
        409,
        "approval_required",
        ["jump"],
    )
    request = await propose(registry, moves((customer, "gold")))
    assert await step(registry, request, "apply") == (409, "not_approved")
    assert await approve(registry, request) == (200, "approved")
    assert await tier_of(registry, customer) == "standard"  # approving changes nothing yet
    outcomes = await asyncio.gather(*(step(registry, request, "apply") for _ in range(3)))
    assert sorted(outcomes) == [(200, "applied"), (409, "request_closed"), (409, "request_closed")]
    assert await tier_of(registry, customer) == "gold"
    explained = (await registry.client.get(f"/v1/customers/{customer}/tier-explanation")).json()
    assert (explained["decided_by"], explained["reason"]) == ("ann", "agreed")
    actions = [row["action"] for row in await registry.audit(request.request_id)]
    assert actions == [
        "change_request.proposed",
        "change_request.refused",
        "change_request.approved",
        "change_request.applied",
        "change_request.refused",
        "change_request.refused",
    ]


@pytest.mark.parametrize(
    ("before", "record", "to_tier", "needs"),
    [
        ("standard", {}, "silver", []),
        ("standard", {}, "gold", ["jump"]),
        ("gold", {}, "standard", ["jump"]),
        ("silver", {"strategic": True}, "gold", ["key_account"]),
        ("gold", CONTRACT, "silver", ["contract_downgrade"]),
        ("silver", CONTRACT, "gold", []),
        ("gold", {"contract": {"starts": "2025-01-01", "ends": "2025-02-01"}}, "silver", []),
        ("gold", {"strategic": True, **CONTRACT}, "standard", ["jump", "key_account", "contract_downgrade"]),
    ],
)
async def test_the_rules_say_which_moves_need_a_second_person(
    registry: RegistryUnderTest, before: str, record: dict[str, Any], to_tier: str, needs: list[str]
) -> None:
    await govern(registry, {})
    customer = await registry.new_customer(f"ruled {before} {to_tier} {hash(str(record))}", before)
    assert (await registry.client.put(f"/v1/customers/{customer}/record", json=record)).status_code == 200
    await govern(registry, STRICT)
    answer = await registry.client.post(f"/v1/customers/{customer}/assignments", json={"tier": to_tier})
    assert (answer.status_code, answer.json().get("needs", [])) == (409 if needs else 201, needs)
    if needs and before == "gold":  # nor is ending the assignment a way around
        sequence = (await registry.client.get(f"/v1/customers/{customer}")).json()["assignments"][0]["sequence"]
        path = f"/v1/customers/{customer}/assignments/{sequence}:end"
        ended = await registry.client.post(path, json={"reason": "out"})
        assert (ended.status_code, ended.json()["code"]) == (409, "approval_required")
    if record.get("strategic"):  # nor is forgetting that it is a key account
        forgot = await registry.client.put(f"/v1/customers/{customer}/record", json={})
        assert (forgot.status_code, forgot.json()["code"]) == (409, "approval_required")


async def test_an_override_hides_no_change_of_what_lies_below_it(registry: RegistryUnderTest) -> None:
    await govern(registry, {})
    customer = await registry.new_customer("below an override", "gold")
    await registry.client.put(f"/v1/customers/{customer}/record", json=CONTRACT)
    approved: dict[str, Any] = {
        "kind": "override",
        "reason": "approved for a day",
        "effective_to": (NOON + 24 * HOUR).isoformat(),
    }
    await registry.assign(customer, "silver", **approved)
    await govern(registry, STRICT)
    for wish in (
        {"tier": "silver"},  # of which nobody would notice anything before the override ends
        {"tier": "silver", "effective_from": (NOON + 12 * HOUR).isoformat()},
        {"tier": "silver", **approved, "effective_to": (NOON + 99 * HOUR).isoformat()},  # one day was approved
    ):
        path = f"/v1/customers/{customer}/assignments"
        refused = await registry.client.post(path, json=wish)
        assert (refused.status_code, refused.json()["needs"]) == (409, ["contract_downgrade"]), wish
    held = (await registry.client.get(f"/v1/customers/{customer}")).json()["assignments"]
    sequence = next(each["sequence"] for each in held if each["kind"] == "assigned")
    ended = await registry.client.post(
        f"/v1/customers/{customer}/assignments/{sequence}:end", json={"reason": "not in force now"}
    )
    assert (ended.status_code, ended.json()["needs"]) == (409, ["jump", "contract_downgrade"])
    await registry.assign(customer, "gold", kind="override", reason="as it was", effective_to=approved["effective_to"])


async def test_a_bulk_above_the_limit_and_its_rows_need_a_second_person(registry: RegistryUnderTest) -> None:
    rows = [{"identifiers": [{"system": "erp", "id": f"bulked {each}"}], "tier": "silver"} for each in range(3)]
    large = await registry.client.post("/v1/imports", json={"items": rows})
    assert (large.status_code, large.json()["needs"]) == (409, ["bulk"])
    jump = await registry.client.post("/v1/imports", json={"items": [rows[0] | {"tier": "gold"}, rows[1]]})
    assert (jump.json()["created"], [row["code"] for row in jump.json()["rejected"]]) == (1, ["approval_required"])
    request = await propose(registry, {"kind": "import", "items": [each | {"tier": "gold"} for each in rows]})
    assert await approve(registry, request) == (200, "approved")
    assert await step(registry, request, "apply") == (200, "applied")
    for number in range(3):
        asked = {"system": "erp", "id": f"bulked {number}"}
        found = await registry.client.get("/v1/customers:resolve", params=asked)
        assert found.json()["tier"] == "gold"


async def test_an_override_past_the_budget_needs_a_second_person(registry: RegistryUnderTest) -> None:
    customer = await registry.new_customer("over the budget", "silver")
    await govern(registry, {"override_budgets": {"gold": 0}})
    wish = {"tier": "gold", "kind": "override", "reason": "fair", "effective_to": (NOON + 99 * HOUR).isoformat()}
    direct = await registry.client.post(f"/v1/customers/{customer}/assignments", json=wish)
    assert (direct.status_code, direct.json()["code"]) == (409, "override_budget_spent")
    content = {"kind": "assignments", "moves": [wish | {"customer_id": customer}]}
    request = await propose(registry, content)
    effects = (await registry.client.get(f"{REQUESTS}/{request.request_id}/effects")).json()
    assert [each["needs"] for each in effects["moves"]] == [["override_budget"]]
    assert await approve(registry, request) == (200, "approved")
    assert await step(registry, request, "apply") == (200, "applied")
    assert await tier_of(registry, customer) == "gold"


async def test_nobody_approves_their_own_whatever_key_they_show(
    registry: RegistryUnderTest, capfd: pytest.CaptureFixture[str]
) -> None:
    customer = await registry.new_customer("own")
    request = await propose(registry, moves((customer, "gold")))
    assert await approve(registry, request, "ann's other key") == (403, "own_request")
    edited = await registry.client.put(
        f"{REQUESTS}/{request.request_id}",
        json={"reason": "better", "content": moves((customer, "silver"))},
        headers=registry.bob,
    )
    assert edited.json()["authors"] == ["ann", "bob"]
    newer = RequestDocument.model_validate_json(edited.content)
    assert await approve(registry, newer, "ann's other key") == (403, "own_request")  # still one of its authors
    assert await approve(registry, newer, "bob's approver key") == (403, "own_request")  # and so is the editor
    assert await step(registry, newer, "reject", "ann's other key", reason="x") == (403, "own_request")
    assert await approve(registry, newer, "ann in capitals") == (403, "own_request")
    assert "".join(capfd.readouterr()).count("change_request_refused") == 5
    assert await tier_of(registry, customer) == "standard"
    assert await approve(registry, newer) == (200, "approved")
    refusals = [
        orjson.loads(row["detail"])["refusal"]
        for row in await registry.audit(request.request_id)
        if row["action"] == "change_request.refused"
    ]
    assert refusals == ["own_request"] * 5


async def test_an_approval_is_for_the_content_that_was_looked_at(
    registry: RegistryUnderTest, capfd: pytest.CaptureFixture[str]
) -> None:
    customer = await registry.new_customer("swapped")
    request = await propose(registry, moves((customer, "silver")))
    path = f"{REQUESTS}/{request.request_id}"
    body = {"reason": "please", "content": moves((customer, "gold"))}
    assert (await registry.client.put(path, json=body)).status_code == 200
    assert await approve(registry, request) == (409, "content_changed")  # the hash of what was shown before
    newer = RequestDocument.model_validate_json((await registry.client.get(path)).content)
    assert await approve(registry, newer) == (200, "approved")
    late = await registry.client.put(path, json=body)
    assert (late.status_code, late.json()["code"]) == (409, "edit_after_approval")

    async def tamper(connection: Connection) -> None:
        await connection.execute(
            "UPDATE change_request SET content = replace(content, 'agreed', 'agreed!') WHERE request_id::text = $1",
            request.request_id,
        )

    await registry.database.run(tamper, label="somebody writes into the table")
    assert await step(registry, newer, "apply") == (409, "content_changed")
    assert await tier_of(registry, customer) == "standard"
    assert "change_request_refused" in "".join(capfd.readouterr())  # the log says so as well


async def test_what_is_not_decided_or_used_in_time_expires(
    registry: RegistryUnderTest, capfd: pytest.CaptureFixture[str]
) -> None:
    await govern(registry, STRICT | {"request_valid_days": 1, "approval_valid_hours": 1})
    await at(registry, NOON + 99 * HOUR)
    customer = await registry.new_customer("slow")
    late, unused = [await propose(registry, moves((customer, "gold"))) for _ in range(2)]
    assert await approve(registry, unused) == (200, "approved")
    await at(registry, NOON + 100 * HOUR)
    assert await step(registry, unused, "apply") == (409, "request_expired")
    await at(registry, NOON + 123 * HOUR)
    assert await approve(registry, late) == (409, "request_expired")
    assert "".join(capfd.readouterr()).count("request_expired") >= 2  # the log says so as well
    for each in (late, unused):
        refused = [row for row in await registry.audit(each.request_id) if row["action"] == "change_request.refused"]
        assert [orjson.loads(row["detail"])["refusal"] for row in refused] == ["request_expired"]
    for each in (late, unused):
        shown = await registry.client.get(f"{REQUESTS}/{each.request_id}")
        assert shown.json()["state"] == "expired"
        edited = await registry.client.put(
            f"{REQUESTS}/{each.request_id}", json={"reason": "again", "content": moves((customer, "gold"))}
        )
        assert (edited.status_code, edited.json()["code"]) == (409, "request_expired")
    assert await tier_of(registry, customer) == "standard"


async def test_a_request_is_rejected_by_others_and_withdrawn_by_its_authors(registry: RegistryUnderTest) -> None:
    customer = await registry.new_customer("undecided")
    first, second = [await propose(registry, moves((customer, "gold"))) for _ in range(2)]
    assert await step(registry, first, "reject", "approver", reason="no case") == (200, "rejected")
    assert await approve(registry, first) == (409, "request_closed")
    assert await step(registry, second, "withdraw", "writer", reason="not mine") == (403, "not_the_author")
    assert await approve(registry, second) == (200, "approved")
    assert await step(registry, second, "withdraw", reason="changed my mind") == (200, "withdrawn")
    assert await step(registry, second, "apply") == (409, "request_closed")
    page = RequestPage.model_validate_json((await registry.client.get(REQUESTS, params={"state": "withdrawn"})).content)
    assert second.request_id in [each.request_id for each in page.items]


async def test_scopes_keep_proposing_and_approving_apart(registry: RegistryUnderTest) -> None:
    customer = await registry.new_customer("scoped")
    request = await propose(registry, moves((customer, "gold")))
    assert (await approve(registry, request, "writer"))[0] == 403
    body = {"reason": "me too", "content": moves((customer, "gold"))}
    by_approver = await registry.client.post(REQUESTS, json=body, headers=registry.keys["approver"])
    assert (by_approver.status_code, by_approver.json()["scope"]) == (403, "registry.write")
    rules = {"reason": "loosen", "content": {"kind": "change_rules", "rules": {}}}
    by_writer = await registry.client.post(REQUESTS, json=rules, headers=registry.keys["writer"])
    assert (by_writer.status_code, by_writer.json()["scope"]) == (403, "registry.govern")


async def test_the_rules_guard_themselves_and_the_tiers(registry: RegistryUnderTest) -> None:
    await govern(registry, {"rule_changes": True, "tier_definitions": True})
    assert (await govern(registry, {}, 409))["needs"] == ["rule_change"]
    tin = {"name": "Tin", "priority_rank": 777}
    direct = await registry.client.put("/v1/tiers/tin", json=tin)
    assert (direct.status_code, direct.json()["needs"]) == (409, ["tier_definition"])
    tier = await propose(registry, {"kind": "tier", "tier": "tin", "base_version": 0, "definition": tin})
    rules = await propose(registry, {"kind": "change_rules", "rules": {}})
    for request in (tier, rules):
        assert await approve(registry, request) == (200, "approved")
        assert await step(registry, request, "apply") == (200, "applied")
    assert (await registry.client.get("/v1/tiers/tin")).json()["name"] == "Tin"
    stale = await propose(registry, {"kind": "tier", "tier": "tin", "base_version": 0, "definition": tin})
    assert await approve(registry, stale) == (200, "approved")
    assert await step(registry, stale, "apply") == (409, "not_carried_out")


async def test_a_change_is_carried_out_whole_or_not_at_all(registry: RegistryUnderTest) -> None:
    customer = await registry.new_customer("half")
    request = await propose(registry, moves((customer, "gold"), ("nobody", "gold")))
    assert await approve(registry, request) == (200, "approved")
    answer = await registry.client.post(f"{REQUESTS}/{request.request_id}:apply", json={})
    assert (answer.status_code, answer.json()["cause"], answer.json()["customer_id"]) == (
        409,
        "customer_unknown",
        "nobody",
    )
    assert await tier_of(registry, customer) == "standard"
    assert (await registry.client.get(f"{REQUESTS}/{request.request_id}")).json()["state"] == "approved"


async def test_what_a_rule_proposes_against_the_rules_of_change_waits_for_a_person(
    registry: RegistryUnderTest,
) -> None:
    customer = await registry.new_customer("ruled by a rule")
    proposal = Proposal(
        "p-77", customer, "standard", "gold", "revenue", 7, 1, NOON, "grew", "reclassifier", (Evidence("a", "9", "5"),)
    )
    received = ReceivedProposal("e-77", ProposalVerdict(proposal, Cause("c", "c")))
    [verdict] = await registry.transactions.run(lambda transaction: apply_proposals(transaction, [received]), label="t")
    assert verdict.refusal is ProposalRefusal.APPROVAL_REQUIRED
    page = RequestPage.model_validate_json((await registry.client.get(REQUESTS, params={"limit": 100})).content)
    [summary] = [each for each in page.items if each.authors == ("reclassifier",)]
    shown = await registry.client.get(f"{REQUESTS}/{summary.request_id}")
    request = RequestDocument.model_validate_json(shown.content)
    assert await approve(registry, request) == (200, "approved")
    assert await step(registry, request, "apply") == (200, "applied")
    explained = (await registry.client.get(f"/v1/customers/{customer}/tier-explanation")).json()
    assert (explained["tier"], explained["rule"], explained["proposal_id"]) == ("gold", "revenue", "p-77")
    assert explained["numbers"] == [{"name": "a", "value": "9", "limit": "5", "above_limit": "4"}]
    forged = moves((customer, "standard"))
    forged["moves"][0]["proposal"] = {"proposal_id": "p-1", "rule": "revenue", "rule_version": 1}
    answer = await registry.client.post(REQUESTS, json={"reason": "as if a rule had", "content": forged})
    assert (answer.status_code, answer.json()["code"]) == (422, "validation_failed")


async def test_a_dry_run_names_who_moves_and_asks_the_atp(registry: RegistryUnderTest) -> None:
    customer = await registry.new_customer("dry")
    request = await propose(registry, moves((customer, "gold")))
    path = f"{REQUESTS}/{request.request_id}/effects"
    effects = EffectsDocument.model_validate_json((await registry.client.get(path)).content)
    [move] = effects.moves
    assert (effects.customers, move.to_tier, move.needs) == (1, "gold", ("jump",))
    assert effects.preview_missing == "no address of the ATP is configured"
    asked: list[Any] = []

    def atp(request: httpx.Request) -> httpx.Response:
        asked.append(orjson.loads(request.content))
        if len(asked) == 1:
            return httpx.Response(200, json={"promises_changed": 3})
        raise httpx.ConnectError("gone")

    previews = AtpApi("http://atp", "key", httpx.MockTransport(atp))
    found = await dry_run(registry.transactions, request.request_id, change_of, previews)
    assert isinstance(found, Effects)
    assert found.preview == {"promises_changed": 3}
    assert asked == [{"tiers": [{"customer": {"system": "tiercel", "id": customer}, "tier": "gold"}]}]
    away = await dry_run(registry.transactions, request.request_id, change_of, previews)
    assert isinstance(away, Effects)
    assert away.preview_missing == "the ATP does not answer: ConnectError"
    await previews.close()


async def test_a_dry_run_of_a_bulk_is_the_bulk_as_it_would_be_decided(registry: RegistryUnderTest) -> None:
    await govern(registry, {})
    known, other = await registry.new_customer("dry known", "silver"), await registry.new_customer("dry other")
    await govern(registry, STRICT)

    def row(*names: str, **more: Any) -> dict[str, Any]:
        return {"identifiers": [{"system": "erp", "id": name} for name in names], **more}

    items = [
        row("dry known", tier="standard"),
        row("dry known", tier="gold"),  # a later row sees what an earlier one did
        row("dry new", tier="gold"),
        row("dry new", "dry new too", tier="silver"),
        row("dry other", record={"industry": "tea"}),
        row("dry other", "dry known", tier="gold"),  # two customers: refused
        row("dry nobody", tier="lead"),  # no such tier
    ]
    request = await propose(registry, {"kind": "import", "items": items})
    path = f"{REQUESTS}/{request.request_id}/effects"
    effects = EffectsDocument.model_validate_json((await registry.client.get(path)).content)
    assert [(each.customer_id, each.from_tier, each.to_tier, each.needs) for each in effects.moves] == [
        (known, "silver", "gold", ("bulk",))
    ]
    assert effects.customers == 3  # known, other, and the new one
    assert other not in {each.customer_id for each in effects.moves}
    assert (await registry.client.get("/v1/customers:resolve", params={"system": "erp", "id": "dry new"})).is_error


async def test_a_dry_run_of_a_record_shows_what_it_would_say_otherwise(registry: RegistryUnderTest) -> None:
    customer = await registry.new_customer("recorded dry")
    await registry.client.put(f"/v1/customers/{customer}/record", json={"account_owner": "kim", "strategic": True})
    record = {"account_owner": "lee", "contract": {"starts": "2026-01-01"}}
    request = await propose(registry, {"kind": "record", "customer_id": customer, "record": record})
    path = f"{REQUESTS}/{request.request_id}/effects"
    effects = EffectsDocument.model_validate_json((await registry.client.get(path)).content)
    contract: dict[str, Any] = {"starts": "2026-01-01", "ends": None, "minimum_tier": None, "commitments": []}
    assert (effects.customers, effects.moves) == (1, ())
    assert [(each.path, each.before, each.after) for each in effects.differences] == [
        ("/account_owner", "kim", "lee"),
        ("/contract", None, contract),
        ("/strategic", True, False),
    ]
    nobody = await propose(registry, {"kind": "record", "customer_id": "nobody", "record": record})
    none = (await registry.client.get(f"{REQUESTS}/{nobody.request_id}/effects")).json()
    assert (none["customers"], none["differences"]) == (0, [])


async def test_a_dry_run_of_a_withdrawn_plan_shows_what_is_in_effect_instead(registry: RegistryUnderTest) -> None:
    await govern(registry, {})
    body = {"name": "Planned", "priority_rank": 1, "policy": {"lead_time_days": 9}}
    when = (NOON + 99 * HOUR).isoformat()
    planned = await registry.client.post("/v1/tiers/gold/plans", json={"effective_from": when, "definition": body})
    assert planned.status_code == 201, planned.text
    content = {"kind": "tier_plan_withdrawal", "tier": "gold", "effective_from": when}
    request = await propose(registry, content)
    effects = (await registry.client.get(f"{REQUESTS}/{request.request_id}/effects")).json()
    assert [(each["path"], each["before"], each["after"]) for each in effects["differences"]] == [
        ("/name", "Planned", "Gold"),
        ("/policy/lead_time_days", 9, 5),
    ]
    withdrawn = await registry.client.post("/v1/tiers/gold/plans:withdraw", json={"effective_from": when})
    assert withdrawn.status_code == 200, withdrawn.text


async def test_the_report_names_who_has_both_hands_on_one_kind_of_change(registry: RegistryUnderTest) -> None:
    customer = await registry.new_customer("watched")
    mine = await propose(registry, moves((customer, "gold")))
    body = {"reason": "his", "content": moves((customer, "gold"))}
    his = RequestDocument.model_validate_json(
        (await registry.client.post(REQUESTS, json=body, headers=registry.bob)).content
    )
    assert await approve(registry, mine, "bob's approver key") == (200, "approved")
    assert await approve(registry, his) == (200, "approved")

    async def add_keys(connection: Connection) -> None:
        for number, (subject, scope) in enumerate(
            (("zoe", "registry.write"), ("zoe", "registry.approve"), ("yan", "registry.write"))
        ):
            await connection.execute(
                "INSERT INTO api_key (id, secret_sha256, subject, scopes) VALUES ($1, $2, $3, $4)",
                f"key{number}",
                bytes(32),
                subject,
                [scope],
            )

    await registry.database.run(add_keys, label="test")
    report = BothHandsDocument.model_validate_json((await registry.client.get("/v1/reports/both-hands")).content)
    assert [(each.subject, each.scopes) for each in report.may] == [("zoe", ("registry.approve", "registry.write"))]
    assert ("bob", "assignments") in [(each.subject, each.kind) for each in report.did]
    assert "wendy" not in [each.subject for each in report.did]
