"""Under whom things count follows from what the registry says now, and not from what was told first."""

from collections.abc import AsyncIterator
from random import Random
from typing import Any

import pytest

from tests.support.reclassifier_service import (
    ReclassifierUnderTest,
    costed,
    feedback,
    reclassifier_over,
    record,
    segment,
)

NAME = [{"system": "shop", "id": "x"}]
TABLES = (
    "recorded_order, activity_day, outcome_day, order_cost, cost_day, feedback, segment, segment_identifier, customer"
)
NUMBERS = ("orders", "value", "orders_late", "surveys", "cost_to_serve")
NOTHING = (0, "0.000000", 0, 0, None)


@pytest.fixture
async def reclassifier(database_url: str) -> AsyncIterator[ReclassifierUnderTest]:
    async with reclassifier_over(database_url) as running:
        yield running


async def _numbers(running: ReclassifierUnderTest, customer_id: str) -> tuple[Any, ...]:
    answer = (await running.client.get(f"/v1/customers/{customer_id}/features")).json()
    return tuple(answer["windows"][-1][name] for name in NUMBERS)


def _late(order_id: str, customer_id: str | None, **changed: Any) -> dict[str, Any]:
    return record(order_id, customer_id, sequence=2, change="delivered", on_time=False, **changed)


async def test_what_was_recorded_of_a_merged_customer_is_its_own_again_after_the_split(
    reclassifier: ReclassifierUnderTest,
) -> None:
    await reclassifier.take(_late("1", "c1"), _late("2", "c2"))
    await reclassifier.cost(costed("1", "100"), costed("2", "300", customer_id="c2"))
    await reclassifier.hear(feedback("1", "c2"))
    await reclassifier.publish(segment(), segment("c2", status="merged", merged_into="c1"))
    assert await _numbers(reclassifier, "c1") == (2, "200.000000", 2, 1, "4.000000000")
    await reclassifier.judge()
    await reclassifier.publish(segment("c2", sequence=2))
    assert await _numbers(reclassifier, "c1") == (1, "100.000000", 1, 0, "1.000000000")
    assert await _numbers(reclassifier, "c2") == (1, "100.000000", 1, 1, "3.000000000")
    due = await reclassifier.fetch("SELECT owner FROM customer WHERE due_at = '-infinity' ORDER BY owner")
    assert [row["owner"] for row in due] == ["c:c1", "c:c2"]


async def test_a_name_that_was_given_to_the_wrong_customer_takes_its_orders_along(
    reclassifier: ReclassifierUnderTest,
) -> None:
    by_name: dict[str, Any] = {"customer_id": None, "customer": NAME[0]}
    await reclassifier.take(_late("1", None))
    await reclassifier.cost(costed("1", "100", **by_name))
    await reclassifier.hear(feedback("1", customer=NAME[0]))
    await reclassifier.publish(segment("c1", identifiers=NAME), segment("c2"))
    everything = await _numbers(reclassifier, "c1")
    assert everything == (1, "100.000000", 1, 1, "1.000000000")
    await reclassifier.publish(segment("c1", sequence=2))
    assert await _numbers(reclassifier, "c1") == NOTHING
    await reclassifier.publish(segment("c2", sequence=2, identifiers=NAME))
    assert (await _numbers(reclassifier, "c1"), await _numbers(reclassifier, "c2")) == (NOTHING, everything)


async def test_a_chain_that_is_split_in_its_middle_counts_where_it_ends(reclassifier: ReclassifierUnderTest) -> None:
    await reclassifier.take(record("1", "c1"), record("2", "c2"), record("3", "c3"))
    await reclassifier.publish(segment("c3"), segment("c2", status="merged", merged_into="c3"))
    await reclassifier.publish(segment("c1", status="merged", merged_into="c2"))
    assert [(await _numbers(reclassifier, one))[0] for one in ("c1", "c2", "c3")] == [3, 3, 3]
    await reclassifier.publish(segment("c2", sequence=2))
    assert [(await _numbers(reclassifier, one))[0] for one in ("c1", "c2", "c3")] == [2, 2, 1]
    await reclassifier.publish(segment("c1", sequence=2, status="merged", merged_into="c3"))
    assert [(await _numbers(reclassifier, one))[0] for one in ("c1", "c2", "c3")] == [2, 1, 2]


async def test_any_order_of_what_orders_and_the_registry_say_ends_in_the_same_numbers(
    reclassifier: ReclassifierUnderTest,
) -> None:
    told = [
        *(("take", _late(str(number), None if number % 3 else f"c{1 + number % 2}")) for number in range(6)),
        *(("cost", costed(str(number), "100", customer_id=None if number % 3 else "c2")) for number in range(6)),
        ("hear", feedback("1", "c2")),
        ("publish", segment("c1", identifiers=NAME)),
        ("publish", segment("c1", sequence=2)),
        ("publish", segment("c2", status="merged", merged_into="c1")),
        ("publish", segment("c2", sequence=2, identifiers=NAME)),
        ("publish", segment("c3", status="merged", merged_into="c2")),
        ("publish", segment("c3", sequence=2, status="merged", merged_into="c1")),
    ]
    found = set()
    for seed in range(12):
        draw = Random(seed)
        await reclassifier.database.run(lambda connection: connection.execute(f"TRUNCATE {TABLES}"), label="empty")
        for way, payload in draw.sample([*told, *told], k=2 * len(told)):
            await getattr(reclassifier, way)(payload)
        found.add(tuple([await _numbers(reclassifier, one) for one in ("c1", "c2", "c3")]))
    assert len(found) == 1
