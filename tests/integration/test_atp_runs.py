"""Runs of backorder processing by stored variants: whom they touch, that each is made once, and that one ends whole."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from services.atp.adapters.runs import PostgresRuns
from services.chassis.lifecycle import Role
from services.contracts import topics
from tests.support.atp import Atp, an_order, assigned, running_atp, unique
from tests.support.atp_process import atp_process
from tests.support.atp_proofs import prove

LATER = (datetime.now(UTC).date() + timedelta(days=20)).isoformat()
NIGHTLY = {"days": ["mon", "tue", "wed", "thu", "fri", "sat", "sun"], "times": ["03:00"], "time_zone": "UTC"}


@pytest.fixture
async def atp(database_url: str) -> AsyncIterator[Atp]:
    async with running_atp(database_url, atp_due_poll_seconds=0.2) as running:
        await tiers(running)
        yield running
        await running.execute("UPDATE run_variant SET next_slot = NULL")


async def tiers(atp: Atp) -> None:
    """Gold before silver before bronze; all gain, so that nobody falls but in a run."""
    for rank, tier in enumerate(("gold", "silver", "bronze"), start=1):
        await atp.tier(tier, rank, default=tier == "bronze", strategy="gain", as_soon_as_possible=False)


async def order(atp: Atp, tier: str, item: str, quantity: int, **fields: Any) -> str:
    """Place an order of a new customer of a tier; its promise id."""
    name = unique(tier)
    await atp.customer(name, assigned(tier))
    placed = an_order((item, quantity), customer={"system": "erp", "id": name}, **fields)
    placed["lines"][0].setdefault("requested_arrival", LATER)
    answer = await atp.place(placed)
    assert answer.status_code in {200, 201}, answer.text
    return str(answer.json()["promise_id"])


async def promised(atp: Atp, *promises: str) -> list[int]:
    found = [(await atp.client.get(f"/v1/promises/{each}")).json()["lines"][0]["promised"] for each in promises]
    return [int(each) for each in found]


async def variant(atp: Atp, *segments: dict[str, Any], **fields: Any) -> str:
    name = unique("variant")
    answer = await atp.client.put(f"/v1/run-variants/{name}", json={"segments": segments, **fields})
    assert answer.status_code == 200, answer.text
    return name


async def begun(atp: Atp, name: str) -> str:
    answer = await atp.client.post("/v1/runs", json={"variant_id": name, "reason": "a test"})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["run_id"])


async def ended(atp: Atp, run_id: str) -> dict[str, Any]:
    """The report of a run once it has ended, and what it left to the usual re-decision is done."""
    await atp.until("SELECT state <> 'running' FROM backorder_run WHERE run_id = $1", run_id)
    await atp.until("SELECT NOT EXISTS (SELECT FROM position WHERE marked_at IS NOT NULL)")
    found: dict[str, Any] = (await atp.client.get(f"/v1/runs/{run_id}")).json()
    return found


FALL = ({"strategy": "win", "tiers": ["gold"]}, {"strategy": "lose", "tiers": ["bronze"]})


async def test_a_run_lets_fall_whom_its_variant_names_and_only_in_that_run(atp: Atp) -> None:
    item = await atp.item(on_hand=6)
    bronze = await order(atp, "bronze", item, 6)
    gold = await order(atp, "gold", item, 8)
    assert await promised(atp, bronze, gold) == [6, 0]
    run_id = await begun(atp, await variant(atp, *({**each, "skus": [item]} for each in FALL)))
    report = await ended(atp, run_id)
    assert await promised(atp, bronze, gold) == [0, 6]
    assert (report["state"], report["version"], report["started_by"]) == ("finished", 1, "tester")
    by_tier = {each["tier"]: each for each in report["tiers"]}
    of_gold, of_bronze = by_tier["gold"], by_tier["bronze"]
    assert (of_gold["asked"], of_gold["improved"], of_gold["units_gained"], of_gold["unmet"]) == (1, 1, 6, 1)
    assert (of_bronze["asked"], of_bronze["worsened"], of_bronze["units_lost"]) == (0, 1, 6)
    assert (report["total"]["units_gained"], report["total"]["units_lost"]) == (6, 6)
    changed = [each for each in await atp.published(topics.PROMISES) if run_id in str(each.get("reason"))]
    assert sorted(each["cause"] for each in changed) == ["preempted", "reprocessed"]
    later = await order(atp, "gold", item, 1)
    await ended(atp, run_id)
    assert await promised(atp, bronze, gold, later) == [0, 6, 0]
    await prove(atp)


@pytest.mark.parametrize("name", ["skus", "locations", "zones", "channels", "customers", "wanted_from_days"])
async def test_a_segment_with_a_filter_touches_only_what_it_lets_through(atp: Atp, name: str) -> None:
    await atp.location("L2")
    item, other = await atp.item(on_hand=3), await atp.item(on_hand=3, location="L2")
    zone, channel = unique("zone"), unique("channel")
    named = {"ship_to": {"zone": zone}, "channel": channel}
    inside = await order(atp, "bronze", item, 3, **named)
    outside = await order(atp, "bronze", other, 3)
    if name == "wanted_from_days":
        outside_gold = await order(atp, "gold", other, 3)
    gold, outside_gold = await order(atp, "gold", item, 3), await order(atp, "gold", other, 3)
    ((customer,),) = await atp.fetch("SELECT customer_id FROM promise WHERE promise_id = $1", inside)
    filters = {
        "skus": [item],
        "locations": ["L1"],
        "zones": [zone],
        "channels": [channel],
        "customers": [customer],
        "wanted_from_days": 21,
    }
    run_id = await begun(atp, await variant(atp, FALL[0], {**FALL[1], name: filters[name]}))
    await ended(atp, run_id)
    expected = [3, 0] if name == "wanted_from_days" else [0, 3]
    assert await promised(atp, inside, gold) == expected
    assert await promised(atp, outside, outside_gold) == [3, 0]
    await prove(atp)


async def test_two_replicas_make_the_run_of_one_moment_once(atp: Atp, database_url: str) -> None:
    item = await atp.item(on_hand=4)
    bronze, gold = await order(atp, "bronze", item, 4), await order(atp, "gold", item, 4)
    async with running_atp(database_url, store=atp.store, atp_due_poll_seconds=0.2) as second:
        name = await variant(atp, *({**each, "skus": [item]} for each in FALL), schedule=NIGHTLY)
        planned = (await atp.client.get(f"/v1/run-variants/{name}")).json()["next_run"]
        assert planned > datetime.now(UTC).isoformat()[:10]
        await atp.execute("UPDATE run_variant_version SET effective_from = effective_from - interval '1 day'")
        for late in (3, 2, 1):
            await atp.execute(
                "UPDATE run_variant SET next_slot = date_trunc('day', clock_timestamp()) - make_interval(hours => $1)",
                late,
            )
            racers = [PostgresRuns(each.database) for each in (atp, second) for _ in range(4)]
            await asyncio.gather(*(racer.begin_due() for racer in racers))
            await atp.until("SELECT next_slot > clock_timestamp() FROM run_variant WHERE variant_id = $1", name)
            await atp.until(
                "SELECT NOT EXISTS (SELECT FROM backorder_run WHERE variant_id = $1 AND state = 'running')", name
            )
        runs = (await atp.client.get("/v1/runs", params={"variant_id": name})).json()["items"]
        assert [(each["state"], each["started_by"]) for each in runs] == [("finished", "schedule")] * 3
        assert await promised(atp, bronze, gold) == [0, 4]
        assert (await atp.client.get(f"/v1/run-variants/{name}")).json()["next_run"] == planned
    await prove(atp)


async def test_a_run_whose_process_is_killed_in_the_middle_goes_on_with_the_next_line(database_url: str) -> None:
    async with running_atp(database_url) as first:
        await tiers(first)
        items = [await first.item(on_hand=25) for _ in range(5)]
        bronze = [await order(first, "bronze", item, 25) for item in items]
        gold = [await order(first, "gold", item, 1) for item in items * 50]
        name = await variant(first, *({**each, "skus": items} for each in FALL))
    store = first.store
    blocker = await asyncpg.connect(database_url, server_settings={"search_path": "atp"})
    last = "SELECT FROM order_identity WHERE promise_id = $1 FOR UPDATE"
    came = "SELECT portions FROM backorder_run WHERE run_id = $1"
    async with atp_process(database_url) as (process, client), blocker.transaction():
        await blocker.fetch(last, gold[-1])
        run_id = (await client.post("/v1/runs", json={"variant_id": name, "reason": "a test"})).json()["run_id"]
        async with asyncio.timeout(120):
            while not await blocker.fetchval(came, run_id):  # noqa: ASYNC110 - only the database knows
                await asyncio.sleep(0.01)
        process.kill()
        await process.wait()
        assert await blocker.fetchval("SELECT state FROM backorder_run WHERE run_id = $1", run_id) == "running"
    await blocker.close()
    async with running_atp(database_url, store=store, atp_due_poll_seconds=0.2) as second:
        report = await ended(second, run_id)
        # 250 of gold, each once, and the five of bronze that came to wait by it
        assert (report["state"], report["total"]["asked"], report["total"]["improved"]) == ("finished", 255, 125)
        assert (report["total"]["units_gained"], report["total"]["units_lost"]) == (125, 125)
        assert await promised(second, *bronze, *gold) == [0] * 5 + [1] * 125 + [0] * 125
        await prove(second)


async def test_a_run_that_is_stopped_asks_nobody_any_more(database_url: str) -> None:
    async with running_atp(database_url) as first:
        await tiers(first)
        item = await first.item(on_hand=2)
        bronze, gold = await order(first, "bronze", item, 2), await order(first, "gold", item, 2)
        name = await variant(first, *({**each, "skus": [item]} for each in FALL))
    api = frozenset({Role.API})
    async with running_atp(database_url, roles=api, store=first.store) as only_api:
        run_id = await begun(only_api, name)
        again = await only_api.client.post("/v1/runs", json={"variant_id": name, "reason": "again"})
        assert (again.status_code, again.json()["code"], again.json()["run_id"]) == (409, "run_goes_on", run_id)
        for effect in ("applied", "repeated"):
            answer = await only_api.client.post(f"/v1/runs/{run_id}:stop", json={"reason": "wrong variant"})
            assert answer.json() == {"run_id": run_id, "effect": effect}
    async with running_atp(database_url, store=first.store, atp_due_poll_seconds=0.2) as second:
        other = await second.item(on_hand=1)
        assert await order(second, "gold", other, 1)
        finished = await begun(second, await variant(second, *({**each, "skus": [other]} for each in FALL)))
        assert (await ended(second, finished))["state"] == "finished"
        report = await ended(second, run_id)
        assert (report["state"], report["ended_why"], report["portions"]) == ("stopped", "wrong variant", 0)
        assert await promised(second, bronze, gold) == [2, 0]


async def test_a_request_with_its_key_sent_again_begins_one_run(atp: Atp) -> None:
    name = await variant(atp, {"strategy": "gain", "skus": [await atp.item()]})
    body, key = {"variant_id": name, "reason": "a test"}, {"Idempotency-Key": unique("key")}
    answers = [await atp.client.post("/v1/runs", json=body, headers=key) for _ in range(2)]
    assert [each.status_code for each in answers] == [201, 200]
    assert answers[0].json()["run_id"] == answers[1].json()["run_id"]
    other = {**body, "variant_id": await variant(atp, {"strategy": "gain"})}
    assert (await atp.client.post("/v1/runs", json=other, headers=key)).status_code == 422


async def test_a_preview_of_a_stored_variant_is_what_its_run_then_does(atp: Atp) -> None:
    item = await atp.item(on_hand=9)
    bronze = [await order(atp, "bronze", item, 3) for _ in range(3)]
    gold, silver = await order(atp, "gold", item, 4), await order(atp, "silver", item, 2)
    everybody = (*bronze, gold, silver)
    name = await variant(atp, *({**each, "skus": [item]} for each in FALL))
    answer = await atp.client.post("/v1/previews", json={"run": {"variant": {"variant_id": name}}})
    assert answer.status_code == 200, answer.text
    before = await promised(atp, *everybody)
    assert before == [3, 3, 3, 0, 0]
    assert (await atp.client.get("/v1/runs", params={"variant_id": name})).json()["items"] == []
    shown = {each["promise_id"]: each["lines"][0]["after"]["promised"] for each in answer.json()["promises"]}
    await ended(atp, await begun(atp, name))
    after = await promised(atp, *everybody)
    assert [shown.get(each, held) for each, held in zip(everybody, before, strict=True)] == after
    assert (after[3], sum(after)) == (4, 9)
    unknown = await atp.client.post("/v1/previews", json={"run": {"variant": {"variant_id": "nobody"}}})
    assert unknown.json()["code"] == "variant_unknown"
    await prove(atp)


async def test_versions_of_a_variant_replace_each_other_by_their_dates_and_are_audited(atp: Atp) -> None:
    name = await variant(atp, {"strategy": "gain"})
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    later = {"segments": [{"strategy": "win"}], "schedule": NIGHTLY, "effective_from": tomorrow}
    path = f"/v1/run-variants/{name}"
    assert (await atp.client.put(path, json=later, headers={"If-Match": '"0"'})).status_code == 412
    written = (await atp.client.put(path, json=later, headers={"If-Match": '"1"'})).json()
    assert (written["version"], written["next_run"] > tomorrow[:19]) == (2, True)
    assert (await atp.client.get(path)).json()["version"] == 1
    assert (await atp.client.get(path, params={"at": tomorrow})).json()["version"] == 2
    assert [each["version"] for each in (await atp.client.get(f"{path}/versions")).json()["items"]] == [2, 1]
    assert {"variant_id": name, **written} in (await atp.client.get("/v1/run-variants")).json()["items"]
    trail = await atp.fetch("SELECT action, author FROM audit WHERE subject = $1", name)
    assert trail == [("run_variant.changed", "tester")] * 2
    wrong = {"segments": [{"strategy": "gain", "tiers": ["platinum"]}]}
    refused = await atp.client.put(path, json=wrong)
    assert (refused.status_code, refused.json()["tiers"]) == (422, ["platinum"])


async def test_runs_are_listed_in_pages_the_newest_first(atp: Atp) -> None:
    name = await variant(atp, {"strategy": "gain", "skus": [await atp.item()]})
    made = []
    for _ in range(3):
        made.append(await begun(atp, name))
        await ended(atp, made[-1])
    first = (await atp.client.get("/v1/runs", params={"variant_id": name, "limit": 2})).json()
    rest = (await atp.client.get("/v1/runs", params={"variant_id": name, "cursor": first["next_cursor"]})).json()
    assert [each["run_id"] for each in (*first["items"], *rest["items"])] == made[::-1]
    assert rest["next_cursor"] is None
