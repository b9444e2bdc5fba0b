"""Customers are judged after news and by the calendar, on a real PostgreSQL, and proposals are made once."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from services.chassis.database import Connection
from services.contracts.segments import Evidence
from services.reclassifier.adapters.store import PostgresTransaction
from services.reclassifier.application.evaluate import evaluate_due
from services.reclassifier.application.report_quiet import backlog
from tests.support.postgres import SOMEBODY_WAITS
from tests.support.proposal_keys import PROVER
from tests.support.reclassifier_service import (
    NOON,
    RULE_SET,
    ReclassifierUnderTest,
    reclassifier_over,
    record,
    segment,
)
from tests.support.waiting import until


@pytest.fixture
async def reclassifier(database_url: str) -> AsyncIterator[ReclassifierUnderTest]:
    async with reclassifier_over(database_url) as running:
        yield running


def _in_days(days: int) -> datetime:
    return NOON + timedelta(days=days)


def _big(order_id: str, **changed: Any) -> dict[str, Any]:
    lines = [{"line": "1", "sku": "A", "quantity": 1_000, "unit_price": "1"}]
    return record(order_id, lines=lines, **changed)


async def test_news_lead_to_a_proposal_with_its_numbers(reclassifier: ReclassifierUnderTest) -> None:
    await reclassifier.publish(segment(sequence=7))
    await reclassifier.take(_big("1"))
    assert await reclassifier.judge() == 1
    (proposed,) = await reclassifier.proposed()
    assert (proposed.customer_id, proposed.from_tier, proposed.to_tier) == ("c1", "bronze", "gold")
    assert (proposed.rule, proposed.rule_version, proposed.based_on_sequence) == (RULE_SET, 1, 7)
    assert proposed.as_of == NOON
    assert proposed.evidence == (Evidence(name="value_90d", value="1000.00", limit="at least 1000.00"),)
    (row,) = await reclassifier.fetch("SELECT headers FROM outbox")
    assert '"ce_causationid": "r1.0"' in row["headers"]
    assert '"ce_correlationid": "correlation of r1.0"' in row["headers"]


async def test_a_customer_has_one_open_proposal_and_it_ends_when_the_registry_speaks(
    reclassifier: ReclassifierUnderTest,
) -> None:
    await reclassifier.publish(segment())
    await reclassifier.take(_big("1"))
    await reclassifier.take(_big("2"), _big("3"))
    await reclassifier.judge()
    await reclassifier.take(_big("4"))
    await reclassifier.judge()
    assert await reclassifier.states() == ["open"]
    since = [{"tier": "gold", "effective_from": NOON.isoformat(), "sequence": 2}]
    await reclassifier.publish(segment(sequence=2, assignments=since))
    assert await reclassifier.states() == ["applied"]
    assert await reclassifier.judge() == 0


async def test_a_proposal_that_nobody_answers_expires_and_is_made_again(reclassifier: ReclassifierUnderTest) -> None:
    await reclassifier.publish(segment())
    await reclassifier.take(_big("1"))
    await reclassifier.judge()
    await reclassifier.set_time(_in_days(6))
    assert await reclassifier.judge() == 0
    await reclassifier.set_time(_in_days(7))
    assert await reclassifier.judge() == 1
    assert await reclassifier.states() == ["expired", "open"]
    sequences = await reclassifier.fetch("SELECT key_version FROM outbox ORDER BY position")
    assert [row["key_version"] for row in sequences] == [1, 2]


async def test_another_move_of_the_registry_overtakes_a_proposal(reclassifier: ReclassifierUnderTest) -> None:
    await reclassifier.publish(segment())
    await reclassifier.take(_big("1"))
    await reclassifier.judge()
    since = [{"tier": "silver", "effective_from": NOON.isoformat(), "sequence": 2}]
    await reclassifier.publish(segment(sequence=2, assignments=since))
    assert await reclassifier.states() == ["overtaken"]
    assert await reclassifier.judge() == 0  # it has to dwell in silver first
    await reclassifier.set_time(_in_days(10))
    assert await reclassifier.judge() == 1


async def test_silence_demotes_by_the_calendar_and_at_most_once(reclassifier: ReclassifierUnderTest) -> None:
    await reclassifier.publish(segment(tier="gold"))
    await reclassifier.take(_big("1"))
    assert await reclassifier.judge() == 0
    for day in range(1, 90):
        await reclassifier.set_time(_in_days(day))
        assert await reclassifier.judge() == 0
    await reclassifier.set_time(_in_days(90))
    assert await reclassifier.judge() == 1
    (proposed,) = await reclassifier.proposed()
    assert (proposed.from_tier, proposed.to_tier) == ("gold", "bronze")
    assert proposed.evidence == (Evidence(name="value_90d", value="0.00", limit="below 500.00"),)


async def test_an_override_is_left_alone_until_it_ends(reclassifier: ReclassifierUnderTest) -> None:
    ends = (NOON + timedelta(days=2)).isoformat()
    held = {"tier": "bronze", "effective_from": NOON.isoformat(), "effective_to": ends, "kind": "override"}
    await reclassifier.publish(segment(assignments=[{**held, "sequence": 1}]))
    await reclassifier.take(_big("1"))
    assert await reclassifier.judge() == 0
    await reclassifier.set_time(_in_days(2))
    assert await reclassifier.judge() == 1


async def test_nobody_proposes_for_customers_that_are_unknown_merged_or_deleted(
    reclassifier: ReclassifierUnderTest,
) -> None:
    await reclassifier.take(_big("1"), _big("2", customer_id="c2"), _big("3", customer_id=None))
    assert await reclassifier.judge() == 0
    await reclassifier.publish(segment("c2", status="deleted"))
    assert await reclassifier.judge() == 0
    await reclassifier.publish(segment("c1"))
    assert await reclassifier.judge() == 1


async def test_a_new_rule_set_judges_everybody_and_replaces_open_proposals(
    reclassifier: ReclassifierUnderTest,
) -> None:
    names = [f"c{number}" for number in range(5)]
    await reclassifier.publish(*(segment(name) for name in names))
    await reclassifier.take(*(_big(name, customer_id=name) for name in names))
    await reclassifier.take(record("6", customer_id="c6"))
    assert await reclassifier.judge() == 5
    await reclassifier.set_rules(minimum_dwell_days=11)
    assert (await reclassifier.transactions.read(backlog)).customers_due == 1
    assert await reclassifier.judge() == 5
    assert await reclassifier.states() == ["superseded"] * 5 + ["open"] * 5
    assert (await reclassifier.transactions.read(backlog)).customers_due == 0


async def test_while_a_replay_collects_nobody_is_judged(reclassifier: ReclassifierUnderTest) -> None:
    await reclassifier.publish(segment())
    await reclassifier.set_time(NOON, "intake")
    before = await reclassifier.transactions.read(backlog)
    await reclassifier.take(_big("1"))
    assert await reclassifier.judge() == 0
    collected = await reclassifier.transactions.read(backlog)
    assert (collected.customers_due, collected.events_unpublished) == (0, 0)
    assert collected.activity > before.activity
    await reclassifier.set_time(NOON, "settle")
    assert (await reclassifier.transactions.read(backlog)).customers_due == 1
    assert await reclassifier.judge() == 1
    settled = await reclassifier.transactions.read(backlog)
    assert (settled.customers_due, settled.events_unpublished) == (0, 1)
    assert settled.activity > collected.activity


async def test_customers_are_judged_in_the_order_of_their_ids(reclassifier: ReclassifierUnderTest) -> None:
    names = ["c3", "c1", "c2"]
    await reclassifier.publish(*(segment(name) for name in names))
    await reclassifier.take(*(_big(name, customer_id=name) for name in names))
    await reclassifier.judge()
    assert [one.customer_id for one in await reclassifier.proposed()] == ["c1", "c2", "c3"]


async def test_news_that_come_during_a_judgement_are_judged_too(reclassifier: ReclassifierUnderTest) -> None:
    await reclassifier.publish(segment())
    await reclassifier.take(record("1"))
    judged, counted = asyncio.Event(), asyncio.Event()

    async def judge_slowly(connection: Connection) -> None:
        await evaluate_due(PostgresTransaction(connection, PROVER), RULE_SET)
        judged.set()
        await counted.wait()

    async def count_meanwhile() -> None:
        await judged.wait()
        counting = asyncio.create_task(reclassifier.take(_big("2")))
        await _somebody_waits(reclassifier)
        counted.set()
        await counting

    await asyncio.gather(reclassifier.database.run(judge_slowly, label="judge slowly"), count_meanwhile())
    assert await reclassifier.judge() == 1


async def _somebody_waits(reclassifier: ReclassifierUnderTest) -> None:
    await until(lambda: reclassifier.database.read(lambda c: c.fetchval(SOMEBODY_WAITS)))


async def test_the_task_judges_as_soon_as_it_is_woken(reclassifier: ReclassifierUnderTest) -> None:
    reclassifier.evaluator._poll_seconds = 60.0
    stop = asyncio.Event()
    running = asyncio.create_task(reclassifier.evaluator.run(stop))
    await reclassifier.publish(segment())
    await reclassifier.take(_big("1"))

    async def proposed() -> bool:
        return await reclassifier.states() == ["open"]

    await until(proposed)
    stop.set()
    await running
