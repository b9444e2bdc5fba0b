"""What was planned: it takes effect by itself, is explained beforehand, and reaches those without an event log."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.chassis.business_time import Phase, clear_replay, set_replay
from services.chassis.database import Connection
from services.contracts.segments import SegmentChanged, SegmentCurrent
from services.segment_registry.application.report_quiet import backlog
from services.segment_registry.application.settle_effects import settle_due
from services.segment_registry.entrypoints.documents import History, ServedDocument
from services.segment_registry.entrypoints.explanation_documents import ExplanationDocument
from services.segment_registry.entrypoints.feed_routes import ChangedPage
from services.segment_registry.entrypoints.planned_effects import PlannedEffects
from tests.support.registry_service import RegistryUnderTest, registry_over

HOUR = timedelta(hours=1)
NOON = datetime.now(UTC).replace(microsecond=0) + 24 * HOUR


@pytest.fixture
async def registry(database_url: str) -> AsyncIterator[RegistryUnderTest]:
    async with registry_over(database_url) as running:
        yield running
        await running.database.run(clear_replay, label="test")


async def at(registry: RegistryUnderTest, moment: datetime, phase: Phase = Phase.SETTLE) -> None:
    async def work(connection: Connection) -> None:
        await set_replay(connection, moment, phase, 1)

    await registry.database.run(work, label="move the business time")


async def settle(registry: RegistryUnderTest) -> None:
    await PlannedEffects(registry.transactions, registry.metrics, poll_seconds=1.0).settle()


async def told(registry: RegistryUnderTest, customer: str) -> list[tuple[str | None, str, datetime, str]]:
    """The moves that were published."""
    events = [event.payload for event in await registry.published(customer)]
    return [
        (each.from_tier, each.to_tier, each.effective_from, each.reason)
        for each in events
        if isinstance(each, SegmentChanged)
    ]


async def test_a_planned_move_is_told_when_it_takes_effect_and_once(registry: RegistryUnderTest) -> None:
    await at(registry, NOON)
    customer = await registry.new_customer("planner", "silver")
    await registry.assign(customer, "gold", effective_from=(NOON + HOUR).isoformat(), reason="contract")
    assert [move[1] for move in await told(registry, customer)] == ["silver"]
    state = (await registry.published(customer))[-1].payload
    assert isinstance(state, SegmentCurrent)  # whoever keeps effective dates knows already
    assert [each.tier for each in state.assignments] == ["silver", "gold"]
    await settle(registry)
    assert len(await told(registry, customer)) == 1
    await at(registry, NOON + HOUR)
    assert (await registry.transactions.read(backlog)).effects_waiting == 1
    for _ in range(2):
        await settle(registry)
    assert (await told(registry, customer))[1:] == [("silver", "gold", NOON + HOUR, "contract")]
    assert (await registry.transactions.read(backlog)).effects_waiting == 0
    current = (await registry.published(customer))[-2].payload
    assert isinstance(current, SegmentCurrent)
    assert [each.tier for each in current.assignments] == ["gold"]
    assert [row["action"] for row in await registry.audit(customer)][-1] == "tier.took_effect"


async def test_an_override_that_ends_is_told_with_what_lies_below_it(registry: RegistryUnderTest) -> None:
    await at(registry, NOON)
    customer = await registry.new_customer("tried", "silver")
    override: dict[str, Any] = {"kind": "override", "reason": "trial", "effective_to": (NOON + HOUR).isoformat()}
    await registry.assign(customer, "gold", **override)
    await registry.assign(customer, "standard", reason="below the override")  # nobody is served by it yet
    assert [move[1] for move in await told(registry, customer)] == ["silver", "gold"]
    await at(registry, NOON + HOUR)
    await settle(registry)
    assert (await told(registry, customer))[2][:3] == ("gold", "standard", NOON + HOUR)


async def test_a_move_after_an_untold_boundary_is_told_after_it(registry: RegistryUnderTest) -> None:
    await at(registry, NOON)
    customer = await registry.new_customer("impatient", "silver")
    override: dict[str, Any] = {"kind": "override", "reason": "trial", "effective_to": (NOON + HOUR).isoformat()}
    await registry.assign(customer, "gold", **override)
    await at(registry, NOON + 2 * HOUR)
    await registry.assign(customer, "standard", reason="left")  # before anybody worked the end of the override
    await settle(registry)
    chain = [(move[0], move[1]) for move in await told(registry, customer)]
    assert chain == [(None, "silver"), ("silver", "gold"), ("gold", "silver"), ("silver", "standard")]


async def test_a_withdrawn_plan_is_never_told(registry: RegistryUnderTest) -> None:
    await at(registry, NOON)
    customer = await registry.new_customer("reconsidered", "silver")
    planned = await registry.assign(customer, "gold", effective_from=(NOON + HOUR).isoformat())
    sequence = planned["assignment"]["sequence"]
    ended = await registry.client.post(
        f"/v1/customers/{customer}/assignments/{sequence}:end", json={"reason": "not signed"}
    )
    assert ended.status_code == 200
    await at(registry, NOON + 2 * HOUR)
    await settle(registry)
    # The plan had ended silver, and withdrawing it does not say what comes instead: that is the default tier.
    assert [move[1] for move in await told(registry, customer)] == ["silver", "standard"]


async def test_nothing_takes_effect_while_a_replay_collects(registry: RegistryUnderTest) -> None:
    await at(registry, NOON)
    customer = await registry.new_customer("replayed")
    await registry.assign(customer, "gold", effective_from=(NOON + HOUR).isoformat())
    await at(registry, NOON + HOUR, Phase.INTAKE)
    assert await registry.transactions.run(settle_due, label="test") is None
    assert (await registry.transactions.read(backlog)).effects_waiting == 0
    await at(registry, NOON + HOUR)
    await settle(registry)
    assert len(await told(registry, customer)) == 1


async def test_two_workers_tell_it_once(registry: RegistryUnderTest) -> None:
    await at(registry, NOON)
    customers = [await registry.new_customer(f"one of many {number}") for number in range(30)]
    for customer in customers:
        await registry.assign(customer, "gold", effective_from=(NOON + HOUR).isoformat())
    await at(registry, NOON + HOUR)
    await asyncio.gather(*(settle(registry) for _ in range(4)))
    for customer in customers:
        assert len(await told(registry, customer)) == 1


async def test_a_correction_is_known_from_its_day_on(registry: RegistryUnderTest) -> None:
    await at(registry, NOON)
    customer = await registry.new_customer("corrected", "silver")
    await at(registry, NOON + 2 * HOUR)
    await registry.assign(customer, "gold", effective_from=(NOON + HOUR).isoformat(), reason="was signed then")
    answers = {}
    for known in (NOON + HOUR, NOON + 2 * HOUR):
        asked = {"at": (NOON + HOUR).isoformat(), "known_at": known.isoformat()}
        answer = await registry.client.get(f"/v1/customers/{customer}/tier", params=asked)
        answers[known] = ServedDocument.model_validate_json(answer.content)
        assert answers[known].known_at == known
    assert [answers[known].tier for known in sorted(answers)] == ["silver", "gold"]
    before = await registry.client.get(
        f"/v1/customers/{customer}/assignments", params={"known_at": (NOON + HOUR).isoformat()}
    )
    assert [(each.tier, each.effective_to) for each in History.model_validate_json(before.content).items] == [
        ("silver", None)
    ]


async def test_in_no_assignment_the_default_of_that_time_counted(registry: RegistryUnderTest) -> None:
    customer = await registry.new_customer("unassigned")
    then = datetime.now(UTC)
    basic = {"name": "Basic", "priority_rank": 900, "is_default": True}
    assert (await registry.client.put("/v1/tiers/basic", json=basic)).status_code in {200, 201}
    for moment, tier in ((then, "standard"), (datetime.now(UTC), "basic")):
        answer = await registry.client.get(f"/v1/customers/{customer}/tier", params={"at": moment.isoformat()})
        assert (answer.json()["tier"], answer.json()["basis"]) == (tier, "unassigned")
    standard = {"name": "Standard", "priority_rank": 1_000, "is_default": True}
    assert (await registry.client.put("/v1/tiers/standard", json=standard)).status_code == 200
    off = {"name": "Basic", "priority_rank": 900, "active": False}
    assert (await registry.client.put("/v1/tiers/basic", json=off)).status_code == 200


async def test_a_tier_is_explained_in_facts_and_in_sentences(registry: RegistryUnderTest) -> None:
    await at(registry, NOON)
    customer = await registry.new_customer("curious", "silver")
    await registry.assign(customer, "gold", effective_from=(NOON + 24 * HOUR).isoformat(), reason="internal remark")
    answer = await registry.client.get(f"/v1/customers/{customer}/tier-explanation")
    explained = ExplanationDocument.model_validate_json(answer.content)
    assert (explained.tier, explained.basis, explained.since, explained.decided_by) == (
        "silver",
        "assigned",
        NOON,
        "ann",
    )
    assert explained.tier_above is not None
    assert explained.tier_below is not None
    assert (explained.tier_above.tier, explained.tier_below.tier) == ("gold", "standard")
    assert explained.next_change is not None
    assert (explained.next_change.tier, explained.next_change.at) == ("gold", NOON + 24 * HOUR)
    text = " ".join(explained.sentences)
    assert "You are served as Silver since" in text
    assert "you move up to Gold" in text
    assert "internal remark" not in text
    assert "ann" not in text.replace("planned", "")
    nobody = await registry.client.get("/v1/customers/nobody/tier-explanation")
    assert (nobody.status_code, nobody.json()["code"]) == (404, "customer_unknown")


async def test_the_feed_gives_each_change_to_those_who_come_back(registry: RegistryUnderTest) -> None:
    mine = [await registry.new_customer(f"followed {number}", "silver") for number in range(5)]
    tiers, cursor = await follow(registry, None, {})
    assert [tiers[customer] for customer in mine] == ["silver"] * 5
    assert await follow(registry, cursor, {}) == ({}, cursor)
    await registry.assign(mine[3], "gold")
    await registry.assign(mine[1], "standard")
    await registry.assign(mine[3], "silver")
    tiers, cursor = await follow(registry, cursor, {})
    assert list(tiers.items()) == [(mine[1], "standard"), (mine[3], "silver")]
    bad = await registry.client.get("/v1/assignments", params={"after": "1.nobody"})
    assert (bad.status_code, bad.json()["code"]) == (422, "validation_failed")


async def follow(
    registry: RegistryUnderTest, cursor: str | None, tiers: dict[str, str]
) -> tuple[dict[str, str], str | None]:
    """Page through the feed; the tiers in the order in which they came."""
    while True:
        query: dict[str, Any] = {"limit": 2} | ({} if cursor is None else {"after": cursor})
        page = ChangedPage.model_validate_json((await registry.client.get("/v1/assignments", params=query)).content)
        for each in page.items:
            tiers.pop(each.customer_id, None)
            tiers[each.customer_id] = each.tier
        cursor = page.next_cursor
        if not page.more:
            return tiers, cursor


async def test_a_reader_of_the_feed_misses_no_commit_of_a_race(registry: RegistryUnderTest) -> None:
    customers = [await registry.new_customer(f"raced {number}") for number in range(12)]
    _, cursor = await follow(registry, None, {})
    seen: dict[str, str] = {}
    working = asyncio.gather(*(registry.assign(each, tier) for tier in ("silver", "gold") for each in customers))
    while not working.done():
        seen, cursor = await follow(registry, cursor, seen)
        await asyncio.sleep(0)
    await working
    seen, _ = await follow(registry, cursor, seen)
    for customer in customers:
        now = await registry.client.get(f"/v1/customers/{customer}/tier")
        assert seen[customer] == now.json()["tier"]
