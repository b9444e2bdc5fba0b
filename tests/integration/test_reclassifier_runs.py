"""Runs over all customers: how far they are, who goes first, and what they read, on a real PostgreSQL."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from services.reclassifier.adapters import customer_rows, proposal_rows, run_rows
from services.reclassifier.adapters.store import SCHEMA
from services.reclassifier.application import evaluate
from tests.support.postgres import blocks_read
from tests.support.reclassifier_service import NOON, ReclassifierUnderTest, reclassifier_over, record, segment

CROWD = 20_000
BLOCKS_MAX = 60  # of 8 kB; everybody would be some thousand


@pytest.fixture
async def reclassifier(database_url: str) -> AsyncIterator[ReclassifierUnderTest]:
    async with reclassifier_over(database_url) as running:
        yield running


@pytest.fixture
def _of_two(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluate, "PORTION_MAX", 2)


async def _customers(running: ReclassifierUnderTest, count: int) -> list[str]:
    names = [f"c{number}" for number in range(1, count + 1)]
    await running.publish(*(segment(name, tier="bronze") for name in names))
    lines = [{"line": "1", "sku": "A", "quantity": 2_000, "unit_price": "1"}]
    await running.take(*(record(name, name, lines=lines) for name in names))
    await running.judge()
    return names


async def _run(running: ReclassifierUnderTest) -> dict[str, Any]:
    newest = (await running.client.get("/v1/runs")).json()["items"][0]
    run: dict[str, Any] = (await running.client.get(f"/v1/runs/{newest['run_id']}")).json()
    return run


def _progress(run: dict[str, Any]) -> tuple[int, int, int, bool]:
    return run["customers"], run["judged"], run["waiting"], run["ended_at"] is not None


@pytest.mark.usefixtures("_of_two")
async def test_a_run_says_how_far_it_is(reclassifier: ReclassifierUnderTest) -> None:
    await _customers(reclassifier, 5)
    await reclassifier.set_rules(mode="propose")
    seen = [_progress(await _run(reclassifier))]
    left = []
    more = True
    while more:
        more = (await reclassifier.evaluator.evaluate()).more
        seen.append(_progress(await _run(reclassifier)))
        left.append(reclassifier.metrics.run_waiting._value.get())
    assert seen == [
        (5, 0, 5, False),
        (5, 2, 3, False),
        (5, 4, 1, False),
        (5, 5, 1, False),  # all are judged, and that nobody is left is seen by the next look
        (5, 5, 0, True),
    ]
    assert left == [3, 1, 0, 0]
    assert (await _run(reclassifier))["proposals"] == {"awaiting": 5}


@pytest.mark.usefixtures("_of_two")
async def test_news_do_not_wait_for_a_run(reclassifier: ReclassifierUnderTest) -> None:
    names = await _customers(reclassifier, 6)
    await reclassifier.set_rules(mode="propose")
    await reclassifier.evaluator.evaluate()
    await reclassifier.take(record("news", names[-1]))
    await reclassifier.evaluator.evaluate()
    made = await reclassifier.fetch("SELECT customer_id FROM proposal WHERE state = 'awaiting' ORDER BY position")
    assert [row["customer_id"] for row in made] == [*names[:2], names[-1]]
    await reclassifier.judge()
    assert _progress(await _run(reclassifier)) == (6, 6, 0, True)


@pytest.mark.usefixtures("_of_two")
async def test_a_run_that_is_overtaken_by_another_is_begun_again_as_that(reclassifier: ReclassifierUnderTest) -> None:
    await _customers(reclassifier, 5)
    await reclassifier.set_rules(mode="shadow")
    await reclassifier.evaluator.evaluate()
    first = await _run(reclassifier)
    await reclassifier.set_rules(mode="propose")
    await reclassifier.judge()
    assert _progress(await _run(reclassifier)) == (5, 5, 0, True)
    assert await reclassifier.states() == ["superseded"] * 7 + ["awaiting"] * 5  # five were made by the first rules
    left = (await reclassifier.client.get(f"/v1/runs/{first['run_id']}")).json()
    assert _progress(left) == (5, 2, 0, False)


@pytest.mark.usefixtures("_of_two")
async def test_who_never_ordered_is_judged_by_a_run_too(reclassifier: ReclassifierUnderTest) -> None:
    ordering = await _customers(reclassifier, 3)
    silent = ["a0", "b9", "c2x", "z7"]
    await reclassifier.publish(*(segment(name, tier="gold") for name in silent))
    await reclassifier.publish(segment("c2y", status="deleted"), segment("a1", status="merged", merged_into="z7"))
    await reclassifier.take(record("nobody's", None))
    assert await reclassifier.judge() == 0
    shown = (await reclassifier.client.get("/v1/customers/z7/features")).json()["move_due"]
    assert (shown["from_tier"], shown["to_tier"]) == ("gold", "silver")  # its recency is unknown, its value is 0
    await reclassifier.set_rules(mode="propose")
    await reclassifier.judge()
    made = await reclassifier.fetch("SELECT customer_id, to_tier FROM proposal WHERE state = 'awaiting' ORDER BY 1")
    assert [tuple(row) for row in made] == sorted(
        [*((one, "silver") for one in silent), *((one, "gold") for one in ordering)]
    )
    assert _progress(await _run(reclassifier)) == (8, 8, 0, True)
    await reclassifier.set_rules(mode="shadow")
    await reclassifier.judge()
    assert _progress(await _run(reclassifier)) == (8, 8, 0, True)


async def test_who_stays_as_he_is_is_not_written_by_a_run(reclassifier: ReclassifierUnderTest) -> None:
    await reclassifier.publish(*(segment(f"c{number}", tier="bronze") for number in range(5)))
    await reclassifier.take(*(record(f"o{number}", f"c{number}") for number in range(5)))
    await reclassifier.judge()
    await reclassifier.set_rules(mode="propose")
    await reclassifier.judge()
    before = await reclassifier.fetch("SELECT owner, ctid::text, due_at FROM customer ORDER BY owner")
    await reclassifier.set_rules(mode="shadow")
    await reclassifier.judge()
    assert await reclassifier.fetch("SELECT owner, ctid::text, due_at FROM customer ORDER BY owner") == before
    assert _progress(await _run(reclassifier)) == (5, 5, 0, True)


async def test_one_portion_reads_as_little_among_many_customers_as_among_few(
    reclassifier: ReclassifierUnderTest, database_url: str
) -> None:
    connection = await asyncpg.connect(database_url, server_settings={"search_path": SCHEMA})
    try:
        await connection.execute(
            "INSERT INTO customer (owner, due_at, profile_at) SELECT 'c:' || n, at, at FROM (SELECT n,"
            " $1::timestamptz + n * interval '1 second' AS at FROM generate_series(1, $2::int) n) AS one",
            NOON + timedelta(days=30),
            CROWD,
        )
        await reclassifier.set_rules(mode="shadow")
        await connection.execute(
            "INSERT INTO proposal (proposal_id, customer_id, from_tier, to_tier, rule_set_id, rule_version, as_of,"
            " expires_at, based_on_sequence, reason, evidence, state) SELECT gen_random_uuid(), n::text, 'bronze',"
            " 'gold', 'activity', 2, $1, $1, 1, '', '[]', 'shadow' FROM generate_series(1, $2::int) n",
            NOON,
            CROWD,
        )
        await connection.execute("SET plan_cache_mode = force_generic_plan")  # what a connection has after some use
        for claim in (customer_rows.CLAIM, customer_rows.CLAIM_LOOKS):
            assert await blocks_read(connection, claim.format(limit=5)) < BLOCKS_MAX
        sweep = run_rows.SWEEP.format(limit=5)
        assert await blocks_read(connection, sweep, "c:5") < BLOCKS_MAX
        await connection.execute(
            "INSERT INTO segment (customer_id, sequence, status, assignments)"
            " SELECT n::text, 1, 'active', '[]' FROM generate_series(1, $1::int) n",
            CROWD,
        )
        enlist = run_rows.ENLIST.format(limit=5)
        assert await blocks_read(connection, enlist, "5") < BLOCKS_MAX
        await connection.execute("ANALYZE customer, segment")
        whole = run_rows.ENLIST.format(limit=evaluate.PORTION_MAX)
        plan = [row[0] for row in await connection.fetch(f"EXPLAIN {whole}", "5")]
        assert not [line for line in plan if "Seq Scan" in line], plan
        assert await blocks_read(connection, proposal_rows.OPEN, ["17", "18"]) < BLOCKS_MAX
    finally:
        await connection.close()
