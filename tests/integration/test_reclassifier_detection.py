"""Detection through the service's intake on a real PostgreSQL: counted once, found whole, told to who may read."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from random import Random
from typing import Any

import pytest

from bench.detection import named_in
from bench.detection_peak import peak_world
from bench.detection_sums import found_in, sums_of
from bench.detection_world import NOW, tiers, world
from services.contracts.catalogue import ORDER_RECORDED_V1
from services.reclassifier.domain.detections import Detection, Limits
from services.reclassifier.entrypoints.detecting import Detecting
from tests.support.reclassifier_service import ReclassifierUnderTest, delivery, reclassifier_over, record, segment

BATCH = 500
HOUR = timedelta(hours=1)
PLAN = {"change": "promise_changed"}


@pytest.fixture
async def reclassifier(database_url: str) -> AsyncIterator[ReclassifierUnderTest]:
    async with reclassifier_over(database_url) as running:
        await running.set_time(NOW)
        await running.define(*tiers())
        yield running


async def _look(running: ReclassifierUnderTest, limits: Limits | None = None) -> list[Detection] | None:
    look = await Detecting(running.transactions, running.metrics, limits or Limits(), HOUR).look()
    return None if look is None else list(look.found)


async def _take(running: ReclassifierUnderTest, records: list[dict[str, Any]]) -> None:
    for start in range(0, len(records), BATCH):
        assert await running.take(*records[start : start + BATCH]) == []


async def _told(running: ReclassifierUnderTest, **query: Any) -> list[dict[str, Any]]:
    answer = await running.client.get("/v1/detections", params=query)
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


def _at(minutes: int) -> str:
    return (NOW - timedelta(minutes=minutes)).isoformat()


def _overrides(user: str, count: int, at: datetime = NOW) -> list[dict[str, Any]]:
    act = {"kind": "expedited", "by": user}
    return [
        record(f"{user}-{number}", **PLAN, sequence=2, act=act, ordered_at=_at(9), occurred_at=at.isoformat())
        for number in range(count)
    ]


async def test_a_seeded_stream_with_duplicates_in_any_order_gives_what_its_sums_say(
    reclassifier: ReclassifierUnderTest,
) -> None:
    made = world(5)
    draw = Random(5)
    stream = made.records + draw.choices(made.records, k=len(made.records) // 10)
    draw.shuffle(stream)
    await _take(reclassifier, stream)
    found = await _look(reclassifier)
    assert found == found_in(made, Limits())
    assert made.planted <= named_in(found)
    assert len(named_in(found) - made.planted) * 20 < len(made.lookalikes)
    told = await _told(reclassifier, limit=500)
    assert sorted((one["kind"], one["sentence"]) for one in told) == sorted((one.kind, one.sentence) for one in found)
    for kind in ("over_served", "under_served", "priority_overrides", "other_customers_id", "split_orders"):
        shown = reclassifier.metrics.detections.at(kind)._value.get()
        assert shown == sum(one["kind"] == kind for one in told) > 0


async def test_what_others_make_one_expect_is_summed_as_the_domain_says(reclassifier: ReclassifierUnderTest) -> None:
    made = peak_world(3)
    names = {one["customer_id"] for one in made.records if one["customer_id"][-1] in "02"}
    made.records = [one for one in made.records if one["customer_id"] in names]
    await _take(reclassifier, made.records)
    received, totals = await reclassifier.transactions.run(lambda one: one.received(NOW, Limits()), label="received")
    sums = sums_of(made)
    assert sorted(received) == [one for one in sums.received if max(one.orders, one.delivered) >= Limits().orders_min]
    assert sorted(totals) == sums.totals
    assert len({one.short_expected.there for one in received}) > 50
    assert await _look(reclassifier) == found_in(made, Limits())


async def test_a_finding_stands_until_it_is_not_found_any_more(reclassifier: ReclassifierUnderTest) -> None:
    await _take(reclassifier, [*_overrides("a", 20), *_overrides("b", 2), *_overrides("c", 3)])
    assert [one.user for one in await _look(reclassifier) or []] == ["a"]
    assert await _look(reclassifier) is None  # not yet
    await reclassifier.set_time(NOW + HOUR)
    assert len(await _look(reclassifier) or []) == 1
    first = await _told(reclassifier)
    assert [(one["user"], one["numbers"]["acts"], one["ended_at"]) for one in first] == [("a", 20, None)]
    assert first[0]["found_at"] < first[0]["seen_at"]
    await _take(reclassifier, _overrides("b", 20) + _overrides("c", 20))
    await reclassifier.set_time(NOW + 2 * HOUR)
    assert await _look(reclassifier) == []
    assert await _told(reclassifier, standing=True) == []
    assert [one["position"] for one in await _told(reclassifier, standing=False)] == [first[0]["position"]]


async def test_findings_are_filtered_and_paged(reclassifier: ReclassifierUnderTest) -> None:
    users = [f"u{number}" for number in range(9)]
    acts = [one for user in users for one in _overrides(user, 1)]
    await _take(reclassifier, acts + [one for user in ("x", "y", "z") for one in _overrides(user, 12)])
    await _look(reclassifier)
    page = (await reclassifier.client.get("/v1/detections", params={"limit": 2})).json()
    rest = await _told(reclassifier, after=page["next_after"])
    assert [one["user"] for one in (*page["items"], *rest)] == ["x", "y", "z"]
    assert [one["user"] for one in await _told(reclassifier, user="y")] == ["y"]
    assert await _told(reclassifier, kind="split_orders") == []
    assert await _told(reclassifier, customer_id="c1") == []
    refused = await reclassifier.client.get("/v1/detections", params={"kind": "rumour"})
    assert refused.status_code == 422


async def test_only_who_may_read_all_customers_is_told(reclassifier: ReclassifierUnderTest) -> None:
    for headers in (reclassifier.limited, reclassifier.poor):
        assert (await reclassifier.client.get("/v1/detections", headers=headers)).status_code == 403


async def test_orders_of_two_ids_of_a_merged_customer_count_together(reclassifier: ReclassifierUnderTest) -> None:
    big = [{"line": "1", "sku": "A", "quantity": 900, "unit_price": "1"}]
    orders = [
        record(f"{number}-{name}", name, lines=big, ordered_at=_at(500 * number + extra))
        for number in range(1, 4)
        for name, extra in (("c1", 20), ("c2", 0))
    ]
    await reclassifier.publish(segment("c1", tier="bronze"), segment("c2", tier="bronze"))
    await _take(reclassifier, orders)
    assert await _look(reclassifier) == []
    await reclassifier.publish(segment("c2", sequence=2, status="merged", merged_into="c1"))
    await reclassifier.set_time(NOW + HOUR)
    found = await _look(reclassifier) or []
    assert [(one.kind, one.basis, one.owner, dict(one.numbers)["orders"]) for one in found] == [
        ("split_orders", "order_quantity", "c:c1", 3)
    ]


async def test_a_limit_of_a_tier_counts_as_it_was_published_last(reclassifier: ReclassifierUnderTest) -> None:
    big = [{"line": "1", "sku": "A", "quantity": 900, "unit_price": "1"}]
    orders = [record(f"{number}", lines=big, ordered_at=_at(10 * number)) for number in range(4)]
    await _take(reclassifier, orders)
    assert [one.tier for one in await _look(reclassifier) or []] == ["bronze"]
    higher = {**tiers()[2], "version": 3, "policy": {"validation": {"order_quantity_max": 9_000}}}
    await reclassifier.define(higher, {**tiers()[2], "version": 2})
    await reclassifier.set_time(NOW + HOUR)
    assert await _look(reclassifier) == []


async def test_what_is_remembered_leaves_by_age(reclassifier: ReclassifierUnderTest) -> None:
    await _take(reclassifier, [record("1", ordered_at=_at(5)), *_overrides("a", 12), *_overrides("b", 1)])
    await _take(reclassifier, _overrides("c", 1))
    await _look(reclassifier)
    later = NOW + timedelta(days=60)
    await reclassifier.set_time(later)
    await _look(reclassifier)
    await _take(reclassifier, [record("2", ordered_at=later.isoformat()), *_overrides("d", 1, later)])
    forgotten = await reclassifier.transactions.run(
        lambda transaction: transaction.forget_traces(NOW + timedelta(days=101), 1_000), label="forget"
    )
    assert forgotten == 15
    tables = ("order_trace", "priority_act", "detection")
    left = {table: (await reclassifier.fetch(f"SELECT count(*) FROM {table}"))[0][0] for table in tables}
    assert left == {"order_trace": 1, "priority_act": 1, "detection": 1}


async def test_a_first_version_of_a_record_counts_without_what_it_does_not_say(
    reclassifier: ReclassifierUnderTest,
) -> None:
    told = delivery(ORDER_RECORDED_V1, record("1", ordered_at=_at(5)))
    assert await reclassifier.handler([told]) == []
    rows = await reclassifier.fetch("SELECT entered_by, in_full, quota_reached FROM order_trace")
    assert [tuple(row) for row in rows] == [(None, False, False)]


async def test_nobody_looks_while_a_replay_collects(reclassifier: ReclassifierUnderTest) -> None:
    await reclassifier.set_time(NOW, phase="intake")
    assert await _look(reclassifier) is None
